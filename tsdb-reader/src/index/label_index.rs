//! Label indices: the values of each label name, and the table of where they lie.
//!
//! ```text
//! label index  ┌─────────┬─────────────┬───────────┬────────────────┬───┬────────────┐
//!              │ len u32 │ names 1 u32 │ count u32 │ symbol ref u32 │ … │ crc32c u32 │   len = 8 + 4 · count
//!              └─────────┴─────────────┴───────────┴────────────────┴───┴────────────┘
//! table        ┌─────────┬───────────┬─────────────────────────────────────────┬────────────┐
//!              │ len u32 │ count u32 │ { 1 uvarint, name str, offset uvarint } │ crc32c u32 │
//!              └─────────┴───────────┴─────────────────────────────────────────┴────────────┘
//!                the checksums cover the `len` bytes behind `len`
//! ```
//! Written up to Prometheus 3.6. Nothing is read by them, here or there: the postings offset table has all they say.
//! They are decoded to be compared with it.
//!
//! Checked on open: the checksum, that counts agree with lengths, that all entries decode, that no name occurs twice.
//! Defined in Prometheus' `tsdb/docs/format/index.md` up to version 3.6, sections Label Index and Label Offset Table.

use bytes::Bytes;

use super::symbols::{SymbolRef, Symbols};
use crate::cursor::Cursor;
use crate::error::DecodeError;

const REF_LEN: usize = 4;
/// The key count, an empty string, an offset.
const LEAST_ENTRY_LEN: u64 = 3;

/// Where the label indices of an index lie.
#[derive(Debug)]
pub struct LabelIndexTable {
    /// The section from `count` to the last entry.
    body: Bytes,
    /// Where in `body` the entries begin, in the order of their names.
    places: Vec<u32>,
}

/// One label name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelIndexEntry<'a> {
    /// The name.
    pub name: &'a [u8],
    /// File offset of its label index.
    pub offset: u64,
}

impl LabelIndexTable {
    /// Opens the section whose checksum was verified; `offset` is the file offset of `body`.
    pub(super) fn open(body: Bytes, offset: u64) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(&body, offset);
        let count = cursor.u32("label index table count")?;
        let needed = u64::from(count) * LEAST_ENTRY_LEN;
        if needed > cursor.rest().len() as u64 {
            return Err(cursor.truncated("label index table", needed));
        }
        let mut places = Vec::with_capacity(count as usize);
        for _ in 0..count {
            // A section's length is a u32, so its places are too.
            let place = u32::try_from(cursor.offset() - offset);
            places.push(place.map_err(|_| cursor.truncated("label index table", 0))?);
            decode_entry(&mut cursor)?;
        }
        end_of_section(&cursor, "bytes behind the label index table")?;
        let name = |at: &u32| entry_at(&body, *at).map(|entry| entry.name);
        places.sort_by(|a, b| name(a).cmp(&name(b)));
        for (a, b) in places.iter().zip(places.iter().skip(1)) {
            if name(a) == name(b) {
                let found = entry_at(&body, *b).map_or(0, |entry| entry.offset);
                let at = offset + u64::from(*b);
                let expected = "each label name once";
                return Err(DecodeError::invalid(at, "label index table entry", found, expected));
            }
        }
        Ok(Self { body, places })
    }

    /// All entries, by name.
    pub fn entries(&self) -> impl Iterator<Item = LabelIndexEntry<'_>> + '_ {
        self.places.iter().filter_map(|at| entry_at(&self.body, *at))
    }
}

/// The entry at a place that was decoded on open.
fn entry_at(body: &[u8], at: u32) -> Option<LabelIndexEntry<'_>> {
    decode_entry(&mut Cursor::new(body.get(at as usize..)?, 0)).ok()
}

fn decode_entry<'a>(cursor: &mut Cursor<'a>) -> Result<LabelIndexEntry<'a>, DecodeError> {
    let at = cursor.offset();
    let keys = cursor.uvarint("label index table key count")?;
    if keys != 1 {
        return Err(DecodeError::invalid(at, "label index table key count", keys, "1"));
    }
    let name = cursor.str("label index table name")?;
    Ok(LabelIndexEntry { name, offset: cursor.uvarint("label index table offset")? })
}

fn end_of_section(cursor: &Cursor<'_>, field: &'static str) -> Result<(), DecodeError> {
    match cursor.rest().len() as u64 {
        0 => Ok(()),
        left => Err(DecodeError::invalid(cursor.offset(), field, left, "0")),
    }
}

/// The values of one label name.
#[derive(Debug, Clone)]
pub struct LabelIndex {
    /// References to symbols, 4 bytes each.
    refs: Bytes,
    /// File offset of `refs`.
    offset: u64,
}

impl LabelIndex {
    /// Opens the section whose checksum was verified; `offset` is the file offset of `body`.
    pub(super) fn open(body: &Bytes, offset: u64) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(body, offset);
        let names = cursor.u32("names of a label index")?;
        if names != 1 {
            return Err(DecodeError::invalid(offset, "names of a label index", names.into(), "1"));
        }
        let at = cursor.offset();
        let count = cursor.u32("values of a label index")?;
        let refs = body.slice(body.len() - cursor.rest().len()..);
        if u64::from(count) * REF_LEN as u64 != refs.len() as u64 {
            let expected = "as many references as the label index has";
            return Err(DecodeError::invalid(at, "values of a label index", count.into(), expected));
        }
        Ok(Self { refs, offset: cursor.offset() })
    }

    /// The values in file order, which are to ascend.
    pub fn values<'a>(&'a self, symbols: &'a Symbols) -> impl Iterator<Item = Result<&'a [u8], DecodeError>> {
        self.refs.chunks_exact(REF_LEN).zip((self.offset..).step_by(REF_LEN)).map(|(bytes, at)| {
            let symbol = bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes).into());
            symbols.get(SymbolRef(symbol)).ok_or_else(|| {
                DecodeError::invalid(at, "label index symbol", symbol, "a symbol of this index")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::*;

    fn table(entries: &[(&str, u8)]) -> Bytes {
        let mut body = u32::try_from(entries.len()).unwrap().to_be_bytes().to_vec();
        for (name, offset) in entries {
            body.extend([1, u8::try_from(name.len()).unwrap()]);
            body.extend_from_slice(name.as_bytes());
            body.push(*offset);
        }
        body.into()
    }

    fn label_index(refs: &[u32]) -> Bytes {
        let mut body = [1, u32::try_from(refs.len()).unwrap()].map(u32::to_be_bytes).concat();
        body.extend(refs.iter().flat_map(|symbol| symbol.to_be_bytes()));
        body.into()
    }

    fn symbols() -> Symbols {
        Symbols::open(Bytes::from_static(b"\0\0\0\x03\x01a\x01b\x03job"), 9, Layout::V2, None).unwrap()
    }

    #[test]
    fn table_in_any_order_comes_out_by_name() {
        let table = LabelIndexTable::open(table(&[("job", 60), ("__name__", 40)]), 9).unwrap();
        let entries: Vec<_> = table.entries().map(|entry| (entry.name, entry.offset)).collect();
        assert_eq!(entries, [(&b"__name__"[..], 40), (b"job", 60)]);
    }

    #[test]
    fn table_with_a_name_twice_or_two_keys_or_too_many_bytes_is_an_error() {
        let error = |body| LabelIndexTable::open(body, 9).unwrap_err().to_string();
        assert_eq!(
            error(table(&[("a", 40), ("a", 60)])),
            "label index table entry is 60, expected each label name once at offset 0x11"
        );
        let mut wrong = table(&[("a", 40)]).to_vec();
        wrong.push(0);
        assert_eq!(
            error(wrong.clone().into()),
            "bytes behind the label index table is 1, expected 0 at offset 0x11"
        );
        wrong[4] = 2;
        assert_eq!(error(wrong.into()), "label index table key count is 2, expected 1 at offset 0xd");
    }

    #[test]
    fn values_are_looked_up_and_unknown_ones_named() {
        let index = LabelIndex::open(&label_index(&[0, 1, 3]), 9).unwrap();
        let values: Vec<_> = index.values(&symbols()).map(|value| value.map(<[u8]>::to_vec)).collect();
        assert_eq!(values[..2], [Ok(b"a".to_vec()), Ok(b"b".to_vec())]);
        assert_eq!(
            values[2].as_ref().unwrap_err().to_string(),
            "label index symbol is 3, expected a symbol of this index at offset 0x19"
        );
    }

    #[test]
    fn truncation_at_every_length_and_counts_that_are_too_large_are_errors() {
        let (table, index) = (table(&[("__name__", 40), ("job", 60)]), label_index(&[0, 1]));
        for cut in 0..table.len() {
            assert!(LabelIndexTable::open(table.slice(..cut), 9).is_err());
        }
        for cut in 0..index.len() {
            assert!(LabelIndex::open(&index.slice(..cut), 9).is_err());
        }
        for body in [[0xff; 8], [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]] {
            assert!(LabelIndexTable::open(Bytes::copy_from_slice(&body), 9).is_err());
            assert!(LabelIndex::open(&Bytes::copy_from_slice(&body), 9).is_err());
        }
    }
}
