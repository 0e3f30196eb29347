//! Postings offset table: where the postings list of each label pair lies.
//!
//! ```text
//! ┌─────────┬───────────┬────────────────────────────────────────────────────────────┬────────────┐
//! │ len u32 │ count u32 │ { 2 uvarint, name str, value str, list offset uvarint } *  │ crc32c u32 │
//! └─────────┴───────────┴────────────────────────────────────────────────────────────┴────────────┘
//!             the checksum covers the `len` bytes from `count` on; 2 is the number of strings
//! ```
//! From version 2 sorted by name, then value; the pair ("", "") comes first and stands for all series. In version 1
//! in any order. The table is not copied: of a sorted one, the place of every 32nd entry is kept, of another one
//! the places of all, sorted.
//!
//! Checked on open: the checksum, that all entries decode, that no pair occurs twice.
//! Defined in Prometheus' `tsdb/docs/format/index.md`, section Postings Offset Table.

use std::cmp::Ordering;

use bytes::Bytes;

use super::postings::PostingsOffset;
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::trace::Trace;

/// As in the reference: every 32nd entry is remembered.
const STRIDE: usize = 32;
/// The key count and two empty strings, and an offset.
const LEAST_ENTRY_LEN: u64 = 4;

/// The postings offset table of an index.
#[derive(Debug)]
pub struct PostingsTable {
    /// The section from `count` to the last entry.
    body: Bytes,
    order: Order,
    count: usize,
}

/// How entries are found in label order. Places are offsets in `body`.
#[derive(Debug)]
enum Order {
    /// The file is in label order: places of every [`STRIDE`]th entry, and where the last one ends.
    File { sampled: Vec<u32>, end: usize },
    /// It is not: places of all entries, in label order.
    Sorted(Vec<u32>),
}

/// One label pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostingsEntry<'a> {
    /// Label name.
    pub name: &'a [u8],
    /// Label value.
    pub value: &'a [u8],
    /// Where its postings list lies.
    pub offset: PostingsOffset,
}

impl PostingsTable {
    /// Opens the section whose checksum was verified; `offset` is the file offset of `body`.
    pub(super) fn open(body: Bytes, offset: u64, trace: Option<&Trace>) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(&body, offset).traced(trace);
        let count = cursor.u32("postings table count")?;
        let needed = u64::from(count) * LEAST_ENTRY_LEN;
        if needed > cursor.rest().len() as u64 {
            return Err(cursor.truncated("postings table", needed));
        }
        let count = count as usize;
        let mut sampled = Vec::with_capacity(count.div_ceil(STRIDE));
        let mut in_order = true;
        let mut last: Option<PostingsEntry<'_>> = None;
        for number in 0..count {
            if number % STRIDE == 0 {
                sampled.push(place(&cursor, offset)?);
            }
            let entry = decode_entry(&mut cursor)?;
            in_order &= last.is_none_or(|last| last.cmp_pair(entry.name, entry.value).is_lt());
            last = Some(entry);
        }
        let end = body.len() - cursor.rest().len();
        let order = if in_order { Order::File { sampled, end } } else { Self::sort(&body, offset, count)? };
        Ok(Self { body, order, count })
    }

    /// Sorts the places of the entries, which all decode. The entries themselves are not kept: they take more room
    /// than the table.
    fn sort(body: &Bytes, offset: u64, count: usize) -> Result<Order, DecodeError> {
        let mut cursor = Cursor::new(body, offset);
        cursor.u32("postings table count")?;
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            places.push(place(&cursor, offset)?);
            decode_entry(&mut cursor)?;
        }
        let pair = |at: &u32| {
            decode_at(body, *at as usize).map(|(entry, _)| (entry.name, entry.value, entry.offset.0))
        };
        places.sort_by(|a, b| pair(a).cmp(&pair(b)));
        for (a, b) in places.iter().zip(places.iter().skip(1)) {
            let (a, at) = (pair(a), offset + u64::from(*b));
            if let (Some((name, value, _)), Some((b_name, b_value, found))) = (a, pair(b))
                && (name, value) == (b_name, b_value)
            {
                return Err(DecodeError::invalid(at, "postings table entry", found, "each label pair once"));
            }
        }
        Ok(Order::Sorted(places))
    }

    /// Number of label pairs, the pair ("", "") included.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True without any entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True when the file has the pairs in label order, as it must from version 2 on.
    pub fn is_in_order(&self) -> bool {
        matches!(self.order, Order::File { .. })
    }

    /// Where the list of one label pair lies.
    pub fn find(&self, name: &[u8], value: &[u8]) -> Option<PostingsOffset> {
        let entry = self.entries_from(name, value).next()?;
        entry.cmp_pair(name, value).is_eq().then_some(entry.offset)
    }

    /// All entries in label order.
    pub fn entries(&self) -> PostingsEntries<'_> {
        let next = match self.order {
            Order::File { .. } => size_of::<u32>(),
            Order::Sorted(_) => 0,
        };
        PostingsEntries { table: self, next }
    }

    /// The entries in label order, from the first one that is this label pair or comes after it.
    pub fn entries_from(&self, name: &[u8], value: &[u8]) -> PostingsEntries<'_> {
        let before = |at: &u32| {
            let entry = decode_at(&self.body, *at as usize);
            entry.is_some_and(|(entry, _)| entry.cmp_pair(name, value).is_lt())
        };
        match &self.order {
            Order::Sorted(places) => PostingsEntries { table: self, next: places.partition_point(before) },
            Order::File { sampled, .. } => {
                let number = sampled.partition_point(before).saturating_sub(1);
                let next = sampled.get(number).map_or(self.body.len(), |at| *at as usize);
                let mut entries = PostingsEntries { table: self, next };
                loop {
                    let here = entries.next;
                    match entries.next() {
                        Some(entry) if entry.cmp_pair(name, value).is_lt() => {}
                        _ => return PostingsEntries { table: self, next: here },
                    }
                }
            }
        }
    }
}

impl PostingsEntry<'_> {
    fn cmp_pair(&self, name: &[u8], value: &[u8]) -> Ordering {
        (self.name, self.value).cmp(&(name, value))
    }
}

/// Entries of a postings offset table in label order. They were all decoded when the table was opened.
#[derive(Debug, Clone)]
pub struct PostingsEntries<'a> {
    table: &'a PostingsTable,
    /// The next entry's place in the file order, its number in ours.
    next: usize,
}

impl<'a> Iterator for PostingsEntries<'a> {
    type Item = PostingsEntry<'a>;

    fn next(&mut self) -> Option<PostingsEntry<'a>> {
        match &self.table.order {
            Order::File { end, .. } => {
                let at = Some(self.next).filter(|at| at < end)?;
                let (entry, after) = decode_at(&self.table.body, at)?;
                self.next = after;
                Some(entry)
            }
            Order::Sorted(places) => {
                let at = *places.get(self.next)?;
                self.next += 1;
                decode_at(&self.table.body, at as usize).map(|(entry, _)| entry)
            }
        }
    }
}

/// The entry at a place that was decoded on open, and the place after it.
fn decode_at(body: &[u8], at: usize) -> Option<(PostingsEntry<'_>, usize)> {
    let mut cursor = Cursor::new(body.get(at..)?, at as u64);
    let entry = decode_entry(&mut cursor).ok()?;
    Some((entry, body.len() - cursor.rest().len()))
}

fn decode_entry<'a>(cursor: &mut Cursor<'a>) -> Result<PostingsEntry<'a>, DecodeError> {
    let at = cursor.offset();
    let keys = cursor.uvarint("postings table key count")?;
    if keys != 2 {
        return Err(DecodeError::invalid(at, "postings table key count", keys, "2"));
    }
    Ok(PostingsEntry {
        name: cursor.str("postings table label name")?,
        value: cursor.str("postings table label value")?,
        offset: PostingsOffset(cursor.uvarint("postings table list offset")?),
    })
}

/// The cursor's place in the section; a section's length is a u32, so its places are too.
fn place(cursor: &Cursor<'_>, section: u64) -> Result<u32, DecodeError> {
    u32::try_from(cursor.offset() - section).map_err(|_| cursor.truncated("postings table", 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(pairs: &[(&str, &str)]) -> Bytes {
        let mut body = u32::try_from(pairs.len()).unwrap().to_be_bytes().to_vec();
        for (number, (name, value)) in pairs.iter().enumerate() {
            body.push(2);
            for text in [name, value] {
                body.push(u8::try_from(text.len()).unwrap());
                body.extend_from_slice(text.as_bytes());
            }
            body.push(u8::try_from(number % 128).unwrap());
        }
        body.into()
    }

    fn pairs(count: usize) -> Vec<(String, String)> {
        let pair = |number: usize| (format!("name{}", number / 70), format!("value{:03}", number % 70));
        (0..count).map(pair).collect()
    }

    fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn check_all(table: &PostingsTable, sorted: &[(&str, &str)]) {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        let all: Vec<_> = table.entries().map(|entry| (text(entry.name), text(entry.value))).collect();
        assert_eq!(all, sorted);
        for (number, (name, value)) in sorted.iter().enumerate() {
            assert!(table.find(name.as_bytes(), value.as_bytes()).is_some());
            let longer = format!("{value}x");
            assert_eq!(table.find(name.as_bytes(), longer.as_bytes()), None);
            assert_eq!(
                table.entries_from(name.as_bytes(), longer.as_bytes()).count(),
                sorted.len() - number - 1
            );
        }
        assert_eq!(table.entries_from(b"", b"").count(), sorted.len());
        assert_eq!(table.entries_from(b"zzz", b"").count(), 0);
    }

    #[test]
    fn every_pair_of_a_sorted_table_is_found_at_any_size() {
        for count in [0, 1, 2, 31, 32, 33, 64, 65, 200] {
            let pairs = pairs(count);
            let sorted = borrowed(&pairs);
            let table = PostingsTable::open(section(&sorted), 9, None).unwrap();
            assert!(table.is_in_order());
            assert_eq!(table.len(), count);
            check_all(&table, &sorted);
        }
    }

    #[test]
    fn table_of_version_1_in_any_order_comes_out_sorted() {
        let pairs = pairs(100);
        let sorted = borrowed(&pairs);
        let mut shuffled = sorted.clone();
        shuffled.reverse();
        shuffled.rotate_left(13);
        let table = PostingsTable::open(section(&shuffled), 9, None).unwrap();
        assert!(!table.is_in_order());
        check_all(&table, &sorted);
    }

    #[test]
    fn pair_that_occurs_twice_is_an_error() {
        let error = PostingsTable::open(section(&[("a", "b"), ("a", "b")]), 9, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "postings table entry is 1, expected each label pair once at offset 0x13"
        );
    }

    #[test]
    fn truncation_at_every_length_is_an_error() {
        let body = section(&[("", ""), ("__name__", "up"), ("job", "a")]);
        for cut in 0..body.len() {
            assert!(PostingsTable::open(body.slice(..cut), 9, None).is_err());
        }
    }

    #[test]
    fn entry_of_three_strings_is_an_error() {
        let mut body = section(&[("a", "b")]).to_vec();
        body[4] = 3;
        assert_eq!(
            PostingsTable::open(body.into(), 9, None).unwrap_err().to_string(),
            "postings table key count is 3, expected 2 at offset 0xd"
        );
    }
}
