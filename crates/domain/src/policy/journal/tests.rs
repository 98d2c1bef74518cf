#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;

use super::*;
use crate::arbitrary::Source;

struct Room {
    counts: Counts,
    blocks: Vec<Block>,
}

impl Room {
    fn new(blocks: usize) -> Self {
        let mut room = Self {
            counts: Counts::empty(),
            blocks: vec![Block::free(NONE); blocks],
        };
        room.journal().clear();
        room
    }

    fn journal(&mut self) -> Journal<'_> {
        Journal {
            counts: &mut self.counts,
            blocks: &mut self.blocks,
        }
    }

    fn put(&mut self, company: u64, is_denial: bool, bytes: &[u8]) -> Vec<About> {
        let about = About {
            database: 1,
            company,
            is_denial,
        };
        let mut gone = Vec::new();
        self.journal().put(&about, bytes, |about| gone.push(*about));
        gone
    }

    fn read(&mut self, database: u32) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        let visit = |number, bytes| found.push((number, bytes));
        self.journal().take(database, usize::MAX, usize::MAX, visit);
        let numbers: Vec<u64> = found.iter().map(|(number, _)| *number).collect();
        assert_eq!(self.journal().put_back(&numbers), 0);
        found
    }
}

#[test]
fn records_come_out_as_they_were_put_in_denials_first() {
    let mut room = Room::new(64);
    let long: Vec<u8> = (0..2_000_u32).map(|byte| byte as u8).collect();
    for (is_denial, bytes) in [(false, &b"one"[..]), (true, &long), (false, b""), (true, b"four")] {
        assert_eq!(room.put(7, is_denial, bytes), []);
    }
    let bytes: Vec<Vec<u8>> = room.read(1).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(bytes, [long, b"four".to_vec(), b"one".to_vec(), Vec::new()]);
    assert_eq!(room.read(2), []);
}

#[test]
fn records_stay_until_they_are_removed_and_then_their_room_is_free() {
    let mut room = Room::new(16);
    for round in 0..50_u8 {
        assert_eq!(room.put(1, round % 3 == 0, &[round; 900]), []);
        let found = room.read(1);
        assert_eq!(found.len(), 1);
        assert_eq!(found, room.read(1), "reading takes nothing out");
        room.journal().remove(&[found[0].0]);
        assert_eq!(room.read(1), []);
        assert_eq!(room.counts.free_blocks, 16);
    }
}

#[test]
fn denials_are_kept_before_allowed_calls() {
    let mut room = Room::new(16);
    for company in 0..4 {
        for _ in 0..4 {
            assert_eq!(room.put(company, false, b"allowed"), []);
        }
    }
    // Full: an allowed call goes itself, a denial takes the oldest allowed one's room.
    assert_eq!(room.put(9, false, b"too many").len(), 1);
    let gone = room.put(9, true, b"denied");
    assert_eq!(gone.len(), 1);
    assert!(!gone[0].is_denial && gone[0].company == 0);
    // One that is at the end of its share makes room among its own.
    let gone = room.put(2, true, b"denied");
    assert!(!gone[0].is_denial && gone[0].company == 2);
    let denied = room
        .read(1)
        .iter()
        .filter(|(_, bytes)| bytes == b"denied")
        .count();
    assert_eq!(denied, 2);
}

#[test]
fn a_record_that_goes_while_it_is_written_down_is_counted_only_if_that_fails() {
    for is_written in [true, false] {
        let mut room = Room::new(16);
        for _ in 0..4 {
            room.put(1, false, b"allowed");
        }
        let mut numbers = Vec::new();
        room.journal()
            .take(1, 3, usize::MAX, |number, _| numbers.push(number));
        assert_eq!(room.put(1, true, b"denied"), [], "the oldest is being written");
        if is_written {
            room.journal().remove(&numbers);
            assert_eq!(room.read(1).len(), 2, "one allowed call and the denial");
        } else {
            assert_eq!(room.journal().put_back(&numbers), 1);
            assert_eq!(room.put(1, true, b"denied").len(), 1, "nobody writes it any more");
        }
    }
}

#[test]
fn one_company_goes_no_further_than_its_share() {
    let mut room = Room::new(64);
    let mut lost = 0;
    for _ in 0..1_000 {
        lost += room.put(1, true, b"denied").len();
    }
    assert_eq!(lost, 1_000 - 16, "a quarter of the room");
    for _ in 0..16 {
        assert_eq!(room.put(2, false, b"allowed"), [], "there is room for others");
    }
}

#[test]
fn a_record_larger_than_the_room_is_dropped_and_counted() {
    let mut room = Room::new(8);
    let gone = room.put(1, true, &[1; 8 * ROOM]);
    assert!(gone.len() == 1 && gone[0].is_denial);
    assert_eq!(room.counts.free_blocks, 8);
}

#[test]
fn it_is_time_to_write_when_half_is_in_use() {
    let mut room = Room::new(64);
    let about = |company| About {
        database: 1,
        company,
        is_denial: false,
    };
    let mut put = |company| room.journal().put(&about(company), b"x", |_| {});
    let first = (0..100).find(|_| put(1));
    assert_eq!(first, Some(7), "half of its share");
    let many = (0..100).find(|company| put(company + 2));
    assert_eq!(many, Some(23), "half of the room");
}

#[test]
fn databases_do_not_see_each_other_and_one_that_is_gone_is_forgotten() {
    let mut room = Room::new(32);
    for database in [1, 2, 1, 2] {
        let about = About {
            database,
            company: 5,
            is_denial: database == 2,
        };
        room.journal().put(&about, &[1; 600], |_| panic!("there is room"));
    }
    assert_eq!((room.read(1).len(), room.read(2).len()), (2, 2));
    room.journal().forget(1);
    assert_eq!((room.read(1).len(), room.read(2).len()), (0, 2));
    assert_eq!(room.counts.free_blocks, 28);
}

#[test]
fn nothing_is_lost_uncounted_and_no_block_leaks() {
    let mut source = Source::new(41);
    let mut room = Room::new(48);
    let mut inside: HashMap<Vec<u8>, bool> = HashMap::new();
    let (mut put, mut dropped, mut taken) = (0, 0, 0);
    for turn in 0..20_000_u32 {
        if source.below(5) == 0 {
            let some: Vec<(u64, Vec<u8>)> = room.read(1).into_iter().take(source.below(9)).collect();
            for (_, bytes) in &some {
                assert!(inside.remove(bytes).is_some(), "it was put in once");
            }
            taken += some.len();
            let numbers: Vec<u64> = some.iter().map(|(number, _)| *number).collect();
            room.journal().remove(&numbers);
            continue;
        }
        let mut bytes = turn.to_be_bytes().to_vec();
        bytes.resize(4 + source.below(3 * ROOM), 7);
        let is_denial = source.below(3) == 0;
        inside.insert(bytes.clone(), is_denial);
        put += 1;
        dropped += room.put(source.below(6) as u64, is_denial, &bytes).len();
        let used: u32 = room.counts.cells.iter().sum();
        assert_eq!(used + room.counts.free_blocks, 48);
    }
    assert_eq!(room.read(1).len() + dropped + taken, put);
    assert!(dropped > 1_000 && taken > 1_000, "{dropped} {taken}");
    room.journal().forget(1);
    assert_eq!(room.counts.free_blocks, 48);
}
