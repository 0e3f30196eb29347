//! The index: symbols, postings offset table, every postings list, and that lists and series agree.
//!
//! Agreement is found with little memory: for each label pair, count and sum of the (hashed) references of the series
//! that carry it, once by the series and once by the list. Of large indexes, a part of the pairs at a time.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use tsdb_reader::source::BlockFile;
use tsdb_reader::{Labels, SeriesRef};
use xxhash_rust::xxh64::Xxh64;

use super::Checker;
use super::series::{Found, walk};

/// Label pairs compared at once: about 100 MB.
const PAIRS_AT_ONCE: u64 = 2 << 20;

const FILE: BlockFile = BlockFile::Index;

/// Series of a label pair: how many, and the sum of their hashed references.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Members {
    count: u64,
    sum: u64,
}

impl Members {
    fn add(&mut self, series_ref: SeriesRef) {
        self.count += 1;
        // A plain sum would not notice 1 + 4 instead of 2 + 3.
        let hashed = (series_ref.0 ^ (series_ref.0 >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.sum = self.sum.wrapping_add(hashed ^ (hashed >> 32));
    }
}

impl Checker<'_> {
    /// Checks the index and all that it refers to; none when its series cannot be read at all.
    pub(super) fn index(&mut self) -> Option<Found> {
        let block = self.block;
        let index = block.index();
        match index.symbols() {
            Err(error) => {
                self.error("symbols", FILE, &error);
                return None; // Labels are references to them.
            }
            Ok(symbols) => {
                let mut last: Option<&[u8]> = None;
                let mut unsorted = 0u64;
                for (_, symbol) in symbols.iter() {
                    unsorted += u64::from(last.is_some_and(|last| last >= symbol));
                    last = Some(symbol);
                }
                if unsorted > 0 {
                    let message = format!(
                        "{unsorted} symbols are not after the one before, from offset {:#x} on",
                        index.toc().symbols
                    );
                    self.broken("symbols-out-of-order", FILE, message);
                }
            }
        }
        let found = self.series();
        match index.postings_table() {
            Err(error) => self.error("postings-table", FILE, &error),
            Ok(table) => {
                let parts = (table.len() as u64).div_ceil(PAIRS_AT_ONCE).max(1);
                for part in 0..parts {
                    self.postings(part, parts, !found.has_unreadable_series);
                }
            }
        }
        Some(found)
    }

    /// Checks the lists of a part of the label pairs, and whether series and lists agree.
    fn postings(&mut self, part: u64, parts: u64, compare: bool) {
        let block = self.block;
        let Ok(table) = block.index().postings_table() else { return };
        let mut by_series: HashMap<u64, Members, FixedState> = HashMap::default();
        if compare {
            walk(block, &mut |read| {
                let Ok(series) = read else { return };
                let mut add = |name: &[u8], value: &[u8]| {
                    let key = pair_key(name, value);
                    if key % parts == part {
                        by_series.entry(key).or_default().add(series.series_ref);
                    }
                };
                add(b"", b"");
                for (name, value) in series.labels.iter() {
                    add(name, value);
                }
            });
        }
        let mut listed_pairs = 0u64;
        for entry in table.entries() {
            let key = pair_key(entry.name, entry.value);
            if key % parts != part {
                continue;
            }
            let mut listed = Members::default();
            let pair = display_pair(entry.name, entry.value);
            match block.index().read_postings(entry.offset) {
                Ok(list) => list.for_each(|series_ref| listed.add(series_ref)),
                Err(error) => {
                    self.error("postings", FILE, &error);
                    by_series.remove(&key);
                    continue;
                }
            }
            if !compare {
                continue;
            }
            listed_pairs += 1;
            let carried = by_series.remove(&key).unwrap_or_default();
            if listed != carried {
                let message = format!(
                    "the list at offset {:#x} names {} series for {pair}, {} carry it{}",
                    entry.offset.0,
                    listed.count,
                    carried.count,
                    if listed.count == carried.count { ", others than those" } else { "" },
                );
                self.broken("postings-mismatch", FILE, message);
            }
        }
        let unlisted = by_series.len();
        if unlisted > 0 {
            let message = format!(
                "{unlisted} label pairs of series have no list in the table at offset {:#x}, which has {listed_pairs}",
                block.index().toc().postings_table
            );
            self.broken("postings-missing", FILE, message);
        }
    }
}

fn pair_key(name: &[u8], value: &[u8]) -> u64 {
    let mut hash = Xxh64::new(0);
    hash.update(name);
    hash.update(&[0xff]);
    hash.update(value);
    hash.digest()
}

fn display_pair(name: &[u8], value: &[u8]) -> String {
    match name.is_empty() && value.is_empty() {
        true => "all series".to_owned(),
        false => Labels::from_iter([(name, value)]).to_string(),
    }
}
