//! Symbols: names and values of labels, each held once, however many series have it.
//!
//! ```text
//! bytes   up│job│api│instance│10.0.0.1:9090│…          a series has six labels or so: pairs of numbers
//! ends      2   5   8       16            29           into this, instead of 200 bytes of text
//! ```

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use tsdb_reader::Labels;

/// Label pairs, as numbers of symbols.
pub(super) type Pairs = Box<[(u32, u32)]>;

/// All symbols, numbered as they came.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The last symbol with a hash.
    by_hash: HashMap<u64, u32, FixedState>,
    /// Of each symbol the one before it with the same hash.
    same_hash: Vec<Option<u32>>,
    /// There were more than numbers.
    overflown: bool,
}

impl Symbols {
    /// The numbers of labels; what is new is added.
    pub(super) fn number(&mut self, labels: &Labels) -> Pairs {
        labels.iter().map(|(name, value)| (self.enter(name), self.enter(value))).collect()
    }

    /// True when `pairs` are these labels.
    pub(super) fn are(&self, pairs: &Pairs, labels: &Labels) -> bool {
        pairs.len() == labels.len()
            && pairs.iter().zip(labels.iter()).all(|(pair, label)| self.pair(*pair) == label)
    }

    /// The labels that `pairs` are.
    pub(super) fn labels(&self, pairs: &Pairs) -> Labels {
        pairs.iter().map(|pair| self.pair(*pair)).collect()
    }

    /// True when some symbol has no number of its own.
    pub(super) fn overflown(&self) -> bool {
        self.overflown
    }

    /// Those that `used` has, in order, and numbers `used` by this order.
    pub(super) fn sort<'p>(&self, used: impl Iterator<Item = &'p mut Pairs>) -> Vec<&[u8]> {
        let mut used: Vec<&mut Pairs> = used.collect();
        let mut order: Vec<u32> =
            used.iter().flat_map(|pairs| pairs.iter()).flat_map(|&(a, b)| [a, b]).collect();
        order.sort_unstable();
        order.dedup();
        order.sort_unstable_by_key(|number| self.get(*number));
        let mut ranks = vec![0; self.ends.len()];
        for (rank, number) in (0u32..).zip(&order) {
            if let Some(slot) = ranks.get_mut(*number as usize) {
                *slot = rank;
            }
        }
        let rank = |number: u32| ranks.get(number as usize).copied().unwrap_or_default();
        for pair in used.iter_mut().flat_map(|pairs| pairs.iter_mut()) {
            *pair = (rank(pair.0), rank(pair.1));
        }
        order.iter().map(|number| self.get(*number)).collect()
    }

    fn pair(&self, (name, value): (u32, u32)) -> (&[u8], &[u8]) {
        (self.get(name), self.get(value))
    }

    fn get(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let end = self.ends.get(at).copied().unwrap_or(start);
        self.bytes.get(start..end).unwrap_or_default()
    }

    fn enter(&mut self, text: &[u8]) -> u32 {
        let hash = self.by_hash.hasher().hash_one(text);
        let mut candidate = self.by_hash.get(&hash).copied();
        while let Some(number) = candidate {
            if self.get(number) == text {
                return number;
            }
            candidate = self.same_hash.get(number as usize).copied().flatten();
        }
        let Ok(number) = u32::try_from(self.ends.len()) else {
            self.overflown = true;
            return u32::MAX;
        };
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.same_hash.push(self.by_hash.insert(hash, number));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back_and_their_order_is_that_of_their_numbers_once_sorted() {
        let sets: Vec<Labels> = [
            vec![(&b"job"[..], &b"b"[..])],
            vec![(b"", b""), (b"job", b"a")],
            vec![(b"job", b"b"), (b"z", b"job")],
            vec![],
            vec![(b"job", b"\xff\x00")],
        ]
        .into_iter()
        .map(Labels::from_iter)
        .collect();
        let mut symbols = Symbols::default();
        let mut pairs: Vec<_> = sets.iter().map(|labels| symbols.number(labels)).collect();
        for (pairs, labels) in pairs.iter().zip(&sets) {
            assert_eq!(symbols.labels(pairs), *labels);
            assert!(sets.iter().all(|other| symbols.are(pairs, other) == (other == labels)));
        }
        let sorted = symbols.sort(pairs.iter_mut());
        assert_eq!(sorted, [&b""[..], b"a", b"b", b"job", b"z", b"\xff\x00"]);
        for (a, a_labels) in pairs.iter().zip(&sets) {
            for (b, b_labels) in pairs.iter().zip(&sets) {
                assert_eq!(a.cmp(b), a_labels.cmp(b_labels));
            }
        }
    }
}
