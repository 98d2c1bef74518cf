//! Which queues got something: a small table in shared memory that commits write and the dispatcher empties.
//!
//! A lane is the queue of one target and one company. A commit finds the lane's cell or a free one and leaves there the earliest
//! time something became due; many commits to one lane share a cell. When there is no cell in reach the caller notes that
//! lanes were missed, and the dispatcher looks for lanes in the table of events itself. Nothing here waits for anybody for long:
//! a commit callback may not fail.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::shmem::NEVER;

const CELLS: usize = 1024;
const WORDS: usize = CELLS / 64;
/// Cells that are tried before a lane counts as missed.
const REACH: usize = 8;
/// Turns of waiting for a cell that somebody writes at this moment; a few instructions each.
const PATIENCE: usize = 200;

const USED: u32 = 1;
const OF_A_COMPANY: u32 = 2;
const SPECIAL: u32 = 4;

/// Something became due in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted {
    /// [`super::wake::hash`] of the target's name.
    pub(crate) target: u64,
    /// `None`: the platform.
    pub(crate) company: Option<[u8; 16]>,
    /// The earliest time.
    pub(crate) from: i64,
    /// An event with a priority other than 0, or scheduled for later: a look from the earliest due one on misses it.
    pub(crate) is_special: bool,
}

struct Cell {
    locked: AtomicU32,
    flags: AtomicU32,
    target: AtomicU64,
    company: [AtomicU64; 2],
    from: AtomicI64,
}

/// The table. All zeros is an empty one.
pub(crate) struct Lanes {
    cells: [Cell; CELLS],
    /// A bit for each cell that holds something.
    occupied: [AtomicU64; WORDS],
}

impl Lanes {
    /// Leaves a note; false when no cell is in reach.
    pub(crate) fn note(&self, lane: &Noted) -> bool {
        let (high, low) = halves(lane.company);
        let start = (lane.target ^ high ^ low.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        (0..REACH).any(|step| {
            let index = (start as usize + step) % CELLS;
            self.cells[index].put(lane, (high, low)) && {
                self.occupied[index / 64].fetch_or(1 << (index % 64), Ordering::SeqCst);
                true
            }
        })
    }

    /// Takes all notes out.
    pub(crate) fn take(&self, mut visit: impl FnMut(Noted)) {
        for (word, bits) in self.occupied.iter().enumerate() {
            if bits.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut left = bits.swap(0, Ordering::SeqCst);
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                if let Some(lane) = self.cells[word * 64 + bit].take() {
                    visit(lane);
                }
            }
        }
    }
}

impl Cell {
    fn try_lock(&self, patience: usize) -> bool {
        for _ in 0..patience {
            if self
                .locked
                .compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return true;
            }
            spin_loop();
        }
        false
    }

    fn unlock(&self) {
        self.locked.store(0, Ordering::Release);
    }

    /// Writes into this cell if it is free or the lane's own.
    fn put(&self, lane: &Noted, (high, low): (u64, u64)) -> bool {
        if !self.try_lock(PATIENCE) {
            return false;
        }
        let flags = USED
            | if lane.company.is_some() { OF_A_COMPANY } else { 0 }
            | if lane.is_special { SPECIAL } else { 0 };
        let known = self.flags.load(Ordering::Relaxed);
        let is_same = known & !SPECIAL == flags & !SPECIAL
            && self.target.load(Ordering::Relaxed) == lane.target
            && self.company[0].load(Ordering::Relaxed) == high
            && self.company[1].load(Ordering::Relaxed) == low;
        let fits = known & USED == 0 || is_same;
        if fits {
            let from = if is_same {
                self.from.load(Ordering::Relaxed).min(lane.from)
            } else {
                lane.from
            };
            self.target.store(lane.target, Ordering::Relaxed);
            self.company[0].store(high, Ordering::Relaxed);
            self.company[1].store(low, Ordering::Relaxed);
            self.from.store(from, Ordering::Relaxed);
            self.flags
                .store(if is_same { known | flags } else { flags }, Ordering::Relaxed);
        }
        self.unlock();
        fits
    }

    /// Empties the cell. The writer, a few instructions from its end, is waited for: its note must not be passed by.
    fn take(&self) -> Option<Noted> {
        while !self.try_lock(PATIENCE) {
            std::thread::yield_now();
        }
        let flags = self.flags.swap(0, Ordering::Relaxed);
        let company = [
            self.company[0].load(Ordering::Relaxed),
            self.company[1].load(Ordering::Relaxed),
        ];
        let lane = Noted {
            target: self.target.load(Ordering::Relaxed),
            company: (flags & OF_A_COMPANY != 0).then(|| joined(company)),
            from: self.from.swap(NEVER, Ordering::Relaxed),
            is_special: flags & SPECIAL != 0,
        };
        self.unlock();
        (flags & USED != 0).then_some(lane)
    }
}

fn halves(company: Option<[u8; 16]>) -> (u64, u64) {
    let number = u128::from_be_bytes(company.unwrap_or_default());
    ((number >> 64) as u64, number as u64)
}

fn joined([high, low]: [u64; 2]) -> [u8; 16] {
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}
