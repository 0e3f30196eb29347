//! Trace: which bits a decoder took for which field.
//!
//! Decoders read through [`Cursor`](crate::cursor::Cursor) and bit streams. Given a trace, these note every field they
//! hand out: what is shown of some bytes is what the decoder itself made of them, up to the field that failed. A wrong
//! checksum is noted and does not end it.
//! At most as many fields are kept as asked for; the others are counted.

use std::mem;
use std::sync::{Mutex, PoisonError};

/// A field of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// File offset of the byte it begins in.
    pub offset: u64,
    /// Bits of that byte before it.
    pub bit: u8,
    /// Its width in bits.
    pub width: u64,
    /// What was read.
    pub value: FieldValue,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// A number.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// A string or a stretch of bytes, which are where the field is.
    Bytes,
    /// A checksum, and what it should be. What is traced is decoded whether or not the two are the same.
    Checksum {
        /// As the file says.
        stored: u32,
        /// As the bytes say.
        computed: u32,
    },
}

/// Notes fields. Shared by reference with what decodes.
#[derive(Debug)]
pub struct Trace {
    fields: Mutex<Fields>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Fields {
    kept: Vec<Field>,
    more: u64,
}

impl Trace {
    /// A trace that keeps the first `limit` fields.
    pub fn new(limit: usize) -> Self {
        Self { fields: Mutex::default(), limit }
    }

    /// The fields noted since the last call, and how many more there were.
    pub fn take(&self) -> (Vec<Field>, u64) {
        let fields = mem::take(&mut *self.fields.lock().unwrap_or_else(PoisonError::into_inner));
        (fields.kept, fields.more)
    }

    /// Notes a field that begins at bit `at` counted from `offset`, unless it has no bits.
    pub(crate) fn note(&self, name: &'static str, offset: u64, at: u64, width: u64, value: FieldValue) {
        if width == 0 {
            return;
        }
        let mut fields = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        if fields.kept.len() >= self.limit {
            fields.more += 1;
            return;
        }
        let bit = u8::try_from(at & 7).unwrap_or(0);
        fields.kept.push(Field { name, offset: offset.saturating_add(at >> 3), bit, width, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_past_the_limit_are_counted() {
        let trace = Trace::new(2);
        for at in 0..5 {
            trace.note("bit", 0x40, 7 + at, 1, FieldValue::Unsigned(1));
        }
        let (fields, more) = trace.take();
        let places: Vec<_> = fields.iter().map(|field| (field.offset, field.bit)).collect();
        assert_eq!((places, more), (vec![(0x40, 7), (0x41, 0)], 3));
        assert_eq!(trace.take(), (Vec::new(), 0));
    }
}
