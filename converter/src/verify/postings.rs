//! Postings lists: every one of them, and that lists and series agree.
//!
//! Agreement is found with little memory: for each label pair, count and sum of the (hashed) references of the series
//! that carry it, once by the series and once by the list. Of large indexes, a part of the pairs at a time. Where the
//! two differ, another walk over the series finds out which reference is wrong.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::FixedState;
use tsdb_reader::index::{Index, Postings, PostingsOffset, PostingsTable, Series};
use tsdb_reader::source::BlockFile;
use tsdb_reader::{Labels, SeriesRef};
use xxhash_rust::xxh64::Xxh64;

use super::Checker;
use super::places::Part;
use super::series::walk;

/// Label pairs compared at once: about 100 MB.
const PAIRS_AT_ONCE: u64 = 2 << 20;

/// Label pairs of the series that are kept at once: more than lists make them by chance.
const PAIRS_KEPT: usize = 3 << 20;

/// Lists looked into at once, of those that do not agree with the series.
const LISTS_AT_ONCE: usize = 4096;

/// References in them, besides those of the last list: 64 MiB where lists are not mapped.
const REFS_AT_ONCE: usize = 16 << 20;

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

/// A list that names other series than those that carry its label pair.
struct Wrong {
    list: std::iter::Peekable<Postings>,
    offset: PostingsOffset,
    pair: String,
}

/// By the hash of their label pair, lists that are wrong; none where the pair has no list.
type WrongLists = HashMap<u64, Option<Wrong>, FixedState>;

impl Checker<'_> {
    /// Checks every list, and with `compare` whether lists and series agree.
    pub(super) fn postings(&mut self, index: &Index, table: &PostingsTable, compare: bool) {
        let lists_bytes = self.places_of_lists(index, table);
        if lists_bytes > index.size_bytes() {
            // To read bytes as often as they are named could take forever.
            let at = index.toc().postings_table;
            let message = format!(
                "by the table at offset {at:#x} the lists have {lists_bytes} bytes in all, more than the index, so \
                 some share theirs; they are not looked at"
            );
            return self.broken("postings-overlap", FILE, message);
        }
        let parts = (table.len() as u64).div_ceil(PAIRS_AT_ONCE).max(1);
        for part in 0..parts {
            self.part(index, table, part..parts, compare);
        }
    }

    /// Notes where the lists lie, in the order of the table: that of the file, as all writers have it. Returns how many
    /// bytes they have.
    pub(super) fn places_of_lists(&mut self, index: &Index, table: &PostingsTable) -> u64 {
        let mut bytes = 0u64;
        for entry in table.entries() {
            // Whoever reads it tells what is wrong with it.
            let Ok(refs) = index.postings_len(entry.offset) else {
                self.places.lose();
                continue;
            };
            let place = place_of_list(entry.offset, refs);
            bytes = bytes.saturating_add(place.end.saturating_sub(place.start));
            self.place_of(Part::Postings, place);
        }
        bytes
    }

    fn part(&mut self, index: &Index, table: &PostingsTable, part: Range<u64>, compare: bool) {
        let Range { start: part, end: parts } = part;
        let mut by_series: HashMap<u64, Members, FixedState> = HashMap::default();
        if compare {
            walk(index, &mut |read| {
                let Some(series) = read.ok().filter(|_| by_series.len() <= PAIRS_KEPT) else { return };
                for_each_pair(series, |key, _| {
                    if key % parts == part {
                        by_series.entry(key).or_default().add(series.series_ref);
                    }
                });
            });
        }
        let is_over = by_series.len() > PAIRS_KEPT;
        if is_over {
            by_series = HashMap::default();
            let (at, lists) = (index.toc().postings_table, table.len());
            let message = format!(
                "series carry more label pairs than the {lists} lists of the table at offset {at:#x} are for, so many \
                 that they are not compared"
            );
            self.broken("postings-missing", FILE, message);
        }
        let compare = compare && !is_over;
        let (mut wrong, mut refs) = (WrongLists::default(), 0);
        for entry in table.entries() {
            let key = pair_key(entry.name, entry.value);
            if key % parts != part {
                continue;
            }
            let list = match index.read_postings(entry.offset) {
                Ok(list) => list,
                Err(error) => {
                    self.places.lose();
                    self.error("postings", FILE, &error);
                    by_series.remove(&key);
                    continue;
                }
            };
            let mut listed = Members::default();
            list.clone().for_each(|series_ref| listed.add(series_ref));
            if compare && listed != by_series.remove(&key).unwrap_or_default() {
                let pair = display_pair(entry.name, entry.value);
                refs += list.len();
                wrong.insert(key, Some(Wrong { list: list.peekable(), offset: entry.offset, pair }));
                if wrong.len() == LISTS_AT_ONCE || refs > REFS_AT_ONCE {
                    self.look_into(index, std::mem::take(&mut wrong));
                    refs = 0;
                }
            }
        }
        for key in by_series.into_keys() {
            wrong.insert(key, None);
            if wrong.len() == LISTS_AT_ONCE {
                self.look_into(index, std::mem::take(&mut wrong));
            }
        }
        self.look_into(index, wrong);
    }

    /// Tells what is wrong with lists: both they and the series ascend.
    fn look_into(&mut self, index: &Index, mut wrong: WrongLists) {
        if wrong.is_empty() {
            return;
        }
        walk(index, &mut |read| {
            let Ok(series) = read else { return };
            for_each_pair(series, |key, pair| {
                let Some(entry) = wrong.get_mut(&key) else { return };
                let Some(Wrong { list, offset, pair }) = entry else {
                    let at = index.toc().postings_table;
                    let (pair, place) = (display_pair(pair.0, pair.1), self.place(series));
                    let message =
                        format!("the table at offset {at:#x} has no list for {pair}, which {place} carries");
                    self.broken("postings-missing", FILE, message);
                    wrong.remove(&key);
                    return;
                };
                while let Some(listed) = list.next_if(|listed| *listed < series.series_ref) {
                    self.not_of_list(index, listed, *offset, pair);
                }
                if list.next_if_eq(&series.series_ref).is_none() {
                    let place = self.place(series);
                    let message =
                        format!("the list at offset {:#x} for {pair} does not name {place}", offset.0);
                    self.broken("postings-missing-series", FILE, message);
                }
            });
        });
        for Wrong { list, offset, pair } in wrong.into_values().flatten() {
            for listed in list {
                self.not_of_list(index, listed, offset, &pair);
            }
        }
    }

    fn not_of_list(&mut self, index: &Index, listed: SeriesRef, offset: PostingsOffset, pair: &str) {
        let mut series = Series::new();
        let list = format!("the list at offset {:#x} for {pair}", offset.0);
        match index.series(listed, &mut series) {
            Ok(()) => {
                let message = format!("{list} names {}, which does not carry it", self.place(&series));
                self.broken("postings-wrong-series", FILE, message);
            }
            Err(_) => {
                self.broken(
                    "postings-unknown-series",
                    FILE,
                    format!("{list} names {listed}, which is no series"),
                );
            }
        }
    }
}

/// From its length to its checksum.
fn place_of_list(PostingsOffset(offset): PostingsOffset, refs: u32) -> Range<u64> {
    offset..offset.saturating_add(12).saturating_add(4 * u64::from(refs))
}

/// Calls `each` with the label pairs of a series and the pair of all series, and their hashes.
fn for_each_pair(series: &Series, mut each: impl FnMut(u64, (&[u8], &[u8]))) {
    for pair in std::iter::once((&b""[..], &b""[..])).chain(series.labels.iter()) {
        each(pair_key(pair.0, pair.1), pair);
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
