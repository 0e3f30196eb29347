//! Postings: the ascending references of all series that carry one label pair.
//!
//! ```text
//! ┌─────────┬───────────┬─────────┬─────────┬───┬─────────┬────────────┐
//! │ len u32 │ count u32 │ ref u32 │ ref u32 │ … │ ref u32 │ crc32c u32 │   len = 4 + 4 · count
//! └─────────┴───────────┴─────────┴─────────┴───┴─────────┴────────────┘
//!             the checksum covers the `len` bytes from `count` on
//! ```
//! Checked on open: the checksum, that `count` agrees with `len`, that references ascend. References are series
//! refs as tombstones and series entries use them; that a series lies there is found out by reading it.
//! Defined in Prometheus' `tsdb/docs/format/index.md`, section Postings.

use bytes::{Buf, Bytes};

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::refs::SeriesRef;
use crate::trace::{FieldValue, Trace};

const REF_LEN: usize = 4;

/// Where in an index a postings list lies: a file offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PostingsOffset(pub u64);

/// A postings list: an ascending iterator over series references that can skip ahead. Shares the index' bytes.
#[derive(Debug, Clone, Default)]
pub struct Postings {
    /// The references not yet read, 4 bytes each.
    refs: Bytes,
}

impl Postings {
    /// Opens the section whose checksum was verified; `offset` is the file offset of `body`.
    pub(super) fn open(body: &Bytes, offset: u64, trace: Option<&Trace>) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body, offset).traced(trace);
        let count = cursor.u32("postings count")?;
        check_len(offset, count, body.len() as u64)?;
        let refs = body.slice(REF_LEN.min(body.len())..);
        let mut last = None;
        for (number, bytes) in refs.chunks_exact(REF_LEN).enumerate() {
            let found = decode_ref(bytes);
            if let Some(trace) = trace {
                let at = cursor.offset() + (number * REF_LEN) as u64;
                trace.note("series ref", at, 0, 8 * REF_LEN as u64, FieldValue::Unsigned(found));
            }
            if last >= Some(found) {
                let at = cursor.offset() + (number * REF_LEN) as u64;
                return Err(DecodeError::invalid(at, "postings ref", found, "more than the one before"));
            }
            last = Some(found);
        }
        Ok(Self { refs })
    }

    /// All references of many lists, ascending, each once.
    pub fn union(lists: impl IntoIterator<Item = Self>) -> Self {
        let mut lists = lists.into_iter();
        let (Some(first), second) = (lists.next(), lists.next()) else {
            return Self::default();
        };
        let Some(second) = second else {
            return first;
        };
        // A series has one value per label, so lists of one label share nothing and their sum is the result.
        let mut all: Vec<[u8; REF_LEN]> = Vec::with_capacity(first.len() + second.len());
        for list in [first, second].into_iter().chain(lists) {
            all.extend(list.refs.chunks_exact(REF_LEN).filter_map(|bytes| bytes.first_chunk().copied()));
        }
        all.sort_unstable(); // Big-endian bytes sort as their numbers do.
        all.dedup();
        Self { refs: all.into_flattened().into() }
    }

    /// References that are in this list and in `other`, in which it seeks.
    pub fn intersection(self, mut other: Self) -> impl Iterator<Item = SeriesRef> {
        self.filter(move |at| other.seek(*at) == Some(*at))
    }

    /// References that are in this list and not in `other`, in which it seeks.
    pub fn difference(self, mut other: Self) -> impl Iterator<Item = SeriesRef> {
        self.filter(move |at| other.seek(*at) != Some(*at))
    }

    /// The next reference, without taking it.
    pub fn peek(&self) -> Option<SeriesRef> {
        self.at(0)
    }

    /// Skips to the first reference that is `target` or above, and returns it without taking it.
    ///
    /// Looks 1, 2, 4… references ahead and then searches between: cheap for a near target, and logarithmic in the
    /// distance for a far one.
    pub fn seek(&mut self, target: SeriesRef) -> Option<SeriesRef> {
        let below = |list: &Self, number| list.at(number).is_some_and(|found| found < target);
        let mut reach = 1;
        while below(self, reach - 1) {
            reach *= 2;
        }
        // All before `low` are below the target, the one at `high` is not, if it exists at all.
        let (mut low, mut high) = (reach / 2, reach - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if below(self, middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.refs.advance((low * REF_LEN).min(self.refs.len()));
        self.peek()
    }

    fn at(&self, number: usize) -> Option<SeriesRef> {
        let start = number.checked_mul(REF_LEN)?;
        self.refs.get(start..start + REF_LEN).map(|bytes| SeriesRef(decode_ref(bytes)))
    }
}

impl Iterator for Postings {
    type Item = SeriesRef;

    fn next(&mut self) -> Option<SeriesRef> {
        let next = self.peek()?;
        self.refs.advance(REF_LEN);
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.refs.len() / REF_LEN;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Postings {}

/// Checks that a list of `count` references takes `len` bytes with its count, which stands at `offset`.
pub(super) fn check_len(offset: u64, count: u32, len: u64) -> Result<(), DecodeError> {
    if len == len_of(count) {
        return Ok(());
    }
    Err(DecodeError::invalid(offset, "postings count", count.into(), "as many references as the list has"))
}

/// Bytes that a list of `count` references takes with its count.
pub(super) fn len_of(count: u32) -> u64 {
    REF_LEN as u64 * (u64::from(count) + 1)
}

fn decode_ref(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes).into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn body(refs: &[u32]) -> Bytes {
        let mut body = u32::try_from(refs.len()).unwrap().to_be_bytes().to_vec();
        for at in refs {
            body.extend(at.to_be_bytes());
        }
        body.into()
    }

    fn refs(postings: Postings) -> Vec<u64> {
        postings.map(|at| at.0).collect()
    }

    #[test]
    fn list_yields_its_references_and_knows_its_length() {
        let postings = Postings::open(&body(&[3, 5, u32::MAX]), 104, None).unwrap();
        assert_eq!(postings.len(), 3);
        assert_eq!(refs(postings), [3, 5, u64::from(u32::MAX)]);
        assert_eq!(Postings::open(&body(&[]), 0, None).unwrap().len(), 0);
    }

    #[test]
    fn references_that_do_not_ascend_are_an_error() {
        for wrong in [[3, 3, 4], [3, 2, 4]] {
            let error = Postings::open(&body(&wrong), 104, None).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("postings ref is {}, expected more than the one before at offset 0x70", wrong[1])
            );
        }
    }

    #[test]
    fn count_that_disagrees_with_the_length_is_an_error() {
        let good = body(&[3, 5, 9]);
        for cut in 0..good.len() {
            assert!(Postings::open(&good.slice(..cut), 0, None).is_err());
        }
        let mut wrong = good.to_vec();
        wrong[3] = 2;
        assert_eq!(
            Postings::open(&wrong.into(), 104, None).unwrap_err().to_string(),
            "postings count is 2, expected as many references as the list has at offset 0x68"
        );
    }

    fn list(set: &BTreeSet<u16>) -> Postings {
        let list: Vec<u32> = set.iter().copied().map(u32::from).collect();
        Postings::open(&body(&list), 0, None).unwrap()
    }

    fn numbers(set: impl Iterator<Item = u16>) -> Vec<u64> {
        set.map(u64::from).collect()
    }

    proptest! {
        #[test]
        fn set_operations_give_what_sets_give(a: BTreeSet<u16>, b: BTreeSet<u16>, c: BTreeSet<u16>) {
            let both: Vec<_> = list(&a).intersection(list(&b)).map(|at| at.0).collect();
            prop_assert_eq!(both, numbers(a.intersection(&b).copied()));
            let without: Vec<_> = list(&a).difference(list(&b)).map(|at| at.0).collect();
            prop_assert_eq!(without, numbers(a.difference(&b).copied()));
            let sets = [&a, &b, &c];
            for count in 0..=3 {
                let all: BTreeSet<u16> = sets[..count].iter().copied().flatten().copied().collect();
                let union = Postings::union(sets[..count].iter().map(|set| list(set)));
                prop_assert_eq!(refs(union), numbers(all.into_iter()));
            }
        }

        #[test]
        fn seek_finds_what_a_set_finds(set: BTreeSet<u16>, targets: Vec<u16>) {
            let list: Vec<u32> = set.iter().copied().map(u32::from).collect();
            let mut postings = Postings::open(&body(&list), 0, None).unwrap();
            let mut from = 0;
            for target in targets {
                from = from.max(target);
                let expected = set.range(from..).next().map(|at| SeriesRef((*at).into()));
                prop_assert_eq!(postings.seek(SeriesRef(target.into())), expected);
            }
            prop_assert_eq!(refs(postings), set.range(from..).map(|at| u64::from(*at)).collect::<Vec<_>>());
        }
    }
}
