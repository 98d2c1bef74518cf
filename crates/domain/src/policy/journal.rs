//! Decisions on their way to the table: a buffer of a fixed size, from which somebody else writes them down.
//!
//! A record is put there at once, whatever becomes of its caller's transaction, and taken out after it was written. When there
//! is no room, something must go: allowed calls go before denials, and one company goes no further than its share, so that it
//! cannot push out what others did. What goes is counted by whoever asked for room.
//!
//! The buffer is a slice of blocks that the caller keeps, in shared memory for one; a record is a chain of blocks. Every call is
//! made by one caller at a time.

#[cfg(test)]
mod tests;

/// "Nothing" where the place of a block is kept.
const NONE: u32 = u32::MAX;
/// Bytes of a record in one block.
const ROOM: usize = 472;
/// A company may have one block in so many.
const SHARES: usize = 4;
/// How many allowed calls are looked at to find those of one company.
const FARTHEST: usize = 4_096;

/// Companies are counted by a digest, in so many cells. Two companies in one cell have one share between them.
pub const CELLS: usize = 1_024;

/// A part of a record. What is said of the record is in its first block.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// The next block of the record, or of the free ones.
    next: u32,
    older: u32,
    newer: u32,
    database: u32,
    cell: u32,
    length: u32,
    number: u64,
    is_denial: bool,
    /// Somebody writes it down at this moment.
    is_taken: bool,
    bytes: [u8; ROOM],
}

impl Block {
    /// A block that holds nothing.
    #[must_use]
    pub fn free(next: u32) -> Self {
        Self {
            next,
            older: NONE,
            newer: NONE,
            database: 0,
            cell: 0,
            length: 0,
            number: 0,
            is_denial: false,
            is_taken: false,
            bytes: [0; ROOM],
        }
    }
}

/// Records of one kind, in the order they came.
#[derive(Debug, Clone, Copy)]
struct Queue {
    oldest: u32,
    newest: u32,
}

/// What the blocks hold together.
#[derive(Debug, Clone)]
pub struct Counts {
    free: u32,
    free_blocks: u32,
    last_number: u64,
    queues: [Queue; 2],
    /// Blocks that each cell of companies has.
    cells: [u32; CELLS],
}

impl Counts {
    /// Those of a buffer without blocks.
    #[must_use]
    pub fn empty() -> Self {
        let queue = Queue {
            oldest: NONE,
            newest: NONE,
        };
        Self {
            free: NONE,
            free_blocks: 0,
            last_number: 0,
            queues: [queue; 2],
            cells: [0; CELLS],
        }
    }
}

/// What is said of a record beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The database whose table it goes to.
    pub database: u32,
    /// A digest of database and company.
    pub company: u64,
    /// Whether it is kept before others.
    pub is_denial: bool,
}

/// The buffer, for one change.
#[derive(Debug)]
pub struct Journal<'a> {
    /// What it holds.
    pub counts: &'a mut Counts,
    /// Where it holds it.
    pub blocks: &'a mut [Block],
}

impl Journal<'_> {
    /// Makes the buffer empty, whatever it held.
    pub fn clear(&mut self) {
        *self.counts = Counts::empty();
        for index in (0..self.blocks.len()).rev() {
            self.blocks[index] = Block::free(self.counts.free);
            self.counts.free = number(index);
        }
        self.counts.free_blocks = number(self.blocks.len());
    }

    /// Puts a record in. What has to go for it, be it this record itself, is told to `dropped`. Answers whether half of the
    /// room, or of the company's share, is in use: then it is time to write.
    pub fn put(&mut self, about: &About, bytes: &[u8], mut dropped: impl FnMut(&About)) -> bool {
        let needed = number(bytes.len().div_ceil(ROOM).max(1));
        let cell = (about.company % CELLS as u64) as usize;
        let share = self.share();
        while self.counts.cells[cell].saturating_add(needed) > share {
            if !(about.is_denial && self.drop_allowed(Some(cell), &mut dropped)) {
                dropped(about);
                return true;
            }
        }
        while self.counts.free_blocks < needed {
            if !(about.is_denial && self.drop_allowed(None, &mut dropped)) {
                dropped(about);
                return true;
            }
        }
        self.write(about, cell, needed, bytes);
        self.counts.free_blocks <= number(self.blocks.len() / 2) || self.counts.cells[cell] >= share / 2
    }

    /// Takes the oldest records of a database to be written down, denials first, until there are `most` of them or `bytes` of
    /// bytes. They stay where they are until [`Journal::remove`] or [`Journal::put_back`] is called with their numbers; one that
    /// has to go meanwhile is not told of, for it may be on record already.
    pub fn take(&mut self, database: u32, most: usize, bytes: usize, mut visit: impl FnMut(u64, Vec<u8>)) {
        let (mut count, mut size) = (0, 0);
        for queue in [true, false] {
            let mut next = place(self.counts.queues[usize::from(queue)].oldest);
            while let Some(index) = next {
                if count >= most || size >= bytes {
                    return;
                }
                let block = &mut self.blocks[index];
                next = place(block.newer);
                if block.database == database {
                    block.is_taken = true;
                    count += 1;
                    size += block.length as usize;
                    visit(block.number, self.read(index));
                }
            }
        }
    }

    /// Gives up writing records down for now. Answers how many of them had to go meanwhile: those are lost.
    pub fn put_back(&mut self, numbers: &[u64]) -> usize {
        let mut found = 0;
        self.visit(numbers, |journal, index| {
            journal.blocks[index].is_taken = false;
            found += 1;
        });
        numbers.len().saturating_sub(found)
    }

    /// Takes records out that were written down; those that went in between are gone already.
    pub fn remove(&mut self, numbers: &[u64]) {
        self.visit(numbers, Self::free);
    }

    /// The records of these numbers that are still there.
    fn visit(&mut self, numbers: &[u64], mut work: impl FnMut(&mut Self, usize)) {
        let Some(last) = numbers.iter().max().copied() else {
            return;
        };
        for queue in 0..2 {
            let mut next = place(self.counts.queues[queue].oldest);
            // Numbers rise along a queue.
            while let Some(index) = next.filter(|index| self.blocks[*index].number <= last) {
                next = place(self.blocks[index].newer);
                if numbers.contains(&self.blocks[index].number) {
                    work(self, index);
                }
            }
        }
    }

    /// Takes out everything of a database, without counting it; for one that is no longer there.
    pub fn forget(&mut self, database: u32) {
        for queue in 0..2 {
            let mut next = place(self.counts.queues[queue].oldest);
            while let Some(index) = next {
                next = place(self.blocks[index].newer);
                if self.blocks[index].database == database {
                    self.free(index);
                }
            }
        }
    }

    /// Blocks that one company may have; the whole of a buffer too small to be shared.
    fn share(&self) -> u32 {
        number(self.blocks.len().div_ceil(SHARES))
    }

    /// Lets go of the oldest allowed call, of one company or of any; false when there is none.
    fn drop_allowed(&mut self, cell: Option<usize>, dropped: &mut impl FnMut(&About)) -> bool {
        let mut next = place(self.counts.queues[0].oldest);
        for _ in 0..FARTHEST {
            let Some(index) = next else { return false };
            let block = &self.blocks[index];
            if cell.is_none_or(|cell| block.cell as usize == cell) {
                if !block.is_taken {
                    dropped(&About {
                        database: block.database,
                        company: u64::from(block.cell),
                        is_denial: false,
                    });
                }
                self.free(index);
                return true;
            }
            next = place(block.newer);
        }
        false
    }

    fn write(&mut self, about: &About, cell: usize, needed: u32, bytes: &[u8]) {
        let first = self.counts.free;
        let mut pieces = bytes.chunks(ROOM);
        let mut last = NONE;
        for _ in 0..needed {
            let Some(index) = place(self.counts.free) else {
                return;
            };
            let block = &mut self.blocks[index];
            if let Some(piece) = pieces.next() {
                block.bytes[..piece.len()].copy_from_slice(piece);
            }
            self.counts.free = block.next;
            last = number(index);
        }
        self.counts.free_blocks -= needed;
        self.counts.cells[cell] += needed;
        self.counts.last_number += 1;
        let (Some(first), Some(last)) = (place(first), place(last)) else {
            return;
        };
        self.blocks[last].next = NONE;
        let queue = &mut self.counts.queues[usize::from(about.is_denial)];
        let before = std::mem::replace(&mut queue.newest, number(first));
        match place(before) {
            Some(before) => self.blocks[before].newer = number(first),
            None => queue.oldest = number(first),
        }
        let block = &mut self.blocks[first];
        block.older = before;
        block.newer = NONE;
        block.database = about.database;
        block.cell = number(cell);
        block.length = number(bytes.len());
        block.number = self.counts.last_number;
        block.is_denial = about.is_denial;
        block.is_taken = false;
    }

    fn read(&self, first: usize) -> Vec<u8> {
        let mut left = self.blocks[first].length as usize;
        let mut bytes = Vec::with_capacity(left);
        let mut next = Some(first);
        while let Some(index) = next.filter(|_| left > 0) {
            let block = &self.blocks[index];
            let piece = left.min(ROOM);
            bytes.extend_from_slice(&block.bytes[..piece]);
            left -= piece;
            next = place(block.next);
        }
        bytes
    }

    fn free(&mut self, first: usize) {
        let Block {
            older,
            newer,
            cell,
            is_denial,
            ..
        } = self.blocks[first];
        let queue = &mut self.counts.queues[usize::from(is_denial)];
        match place(older) {
            Some(before) => self.blocks[before].newer = newer,
            None => queue.oldest = newer,
        }
        match place(newer) {
            Some(after) => self.blocks[after].older = older,
            None => queue.newest = older,
        }
        let mut freed = 0;
        let mut next = Some(first);
        while let Some(index) = next {
            next = place(self.blocks[index].next);
            self.blocks[index].next = self.counts.free;
            self.counts.free = number(index);
            freed += 1;
        }
        self.counts.free_blocks += freed;
        let used = &mut self.counts.cells[cell as usize];
        *used = used.saturating_sub(freed);
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
}

fn place(number: u32) -> Option<usize> {
    (number != NONE).then_some(number as usize)
}
