//! Labels: the sorted name/value pairs that are a series' identity.
//!
//! Names and values are bytes: the storage layer of Prometheus validates nothing. All pairs lie in one buffer,
//! so that a cleared [`Labels`] is filled again without allocating.
//!
//! Order is label order: pair by pair, the name first, then the value, byte by byte; a label set that is a
//! prefix of another one is the smaller.

use std::cmp::Ordering;
use std::fmt;

/// The name of the label that holds the metric name.
pub const METRIC_NAME: &[u8] = b"__name__";

/// A label set.
#[derive(Clone, Default)]
pub struct Labels {
    bytes: Vec<u8>,
    /// End of the name and end of the value in `bytes`, per pair.
    ends: Vec<(u32, u32)>,
}

impl Labels {
    /// No labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes all pairs, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without any pair.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Appends a pair. The caller keeps the order, or calls [`Labels::sort`] afterwards.
    ///
    /// Pairs beyond 4 GiB in all are cut off; no series entry of an index can be that long.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        let name_end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(value);
        let value_end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.ends.push((name_end, value_end));
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone + '_ {
        let mut start = 0usize;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let (name_end, value_end) = (name_end as usize, value_end as usize);
            let pair = (
                self.bytes.get(start..name_end).unwrap_or_default(),
                self.bytes.get(name_end..value_end).unwrap_or_default(),
            );
            start = value_end;
            pair
        })
    }

    /// The value of `name`, if it is there.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|&(at, _)| at == name).map(|(_, value)| value)
    }

    /// The metric name, if there is one.
    pub fn metric(&self) -> Option<&[u8]> {
        self.get(METRIC_NAME)
    }

    /// True when names ascend and none occurs twice.
    pub fn is_sorted(&self) -> bool {
        self.iter().zip(self.iter().skip(1)).all(|((a, _), (b, _))| a < b)
    }

    /// Sorts the pairs by name. Pairs of the same name keep their order.
    pub fn sort(&mut self) {
        let mut sorted =
            Self { bytes: Vec::with_capacity(self.bytes.len()), ends: Vec::with_capacity(self.len()) };
        let mut pairs: Vec<_> = self.iter().collect();
        pairs.sort_by_key(|&(name, _)| name);
        for (name, value) in pairs {
            sorted.push(name, value);
        }
        *self = sorted;
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(pairs: I) -> Self {
        let mut labels = Self::new();
        for (name, value) in pairs {
            labels.push(name, value);
        }
        labels
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.ends == other.ends && self.bytes == other.bytes
    }
}

impl Eq for Labels {}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

/// As Prometheus prints a label set, for messages: `{__name__="up", job="a"}`.
///
/// ```
/// let labels = tsdb_reader::Labels::from_iter([(&b"__name__"[..], &b"up"[..]), (b"job", b"a")]);
/// assert_eq!(labels.to_string(), r#"{__name__="up", job="a"}"#);
/// ```
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}={:?}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    #[test]
    fn order_is_by_pairs_and_a_prefix_is_smaller() {
        let ordered = [
            labels(&[]),
            labels(&[("A", "z")]),
            labels(&[("__name__", "up")]),
            labels(&[("__name__", "up"), ("job", "a")]),
            labels(&[("__name__", "up"), ("job", "b")]),
            labels(&[("__name__", "up2")]),
            labels(&[("a", "")]),
        ];
        assert!(ordered.is_sorted());
    }

    #[test]
    fn sorting_keeps_every_pair() {
        let mut unsorted = labels(&[("job", "a"), ("__name__", "up"), ("A", "1")]);
        assert!(!unsorted.is_sorted());
        unsorted.sort();
        assert_eq!(unsorted, labels(&[("A", "1"), ("__name__", "up"), ("job", "a")]));
        assert_eq!(unsorted.metric(), Some(&b"up"[..]));
    }
}
