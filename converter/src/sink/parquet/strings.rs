//! A column of texts that lie in one buffer.

use std::borrow::Cow;
use std::ops::Range;

use arrow_array::StringArray;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};

use crate::sink::SinkError;

/// Texts or nulls.
#[derive(Debug, Clone, Default)]
pub(super) struct Strings {
    /// All of it UTF-8.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    defined: Vec<bool>,
}

impl Strings {
    /// Appends a text, bytes that are not UTF-8 as U+FFFD; or null. Returns true if there were such bytes.
    pub(super) fn push(&mut self, text: Option<&[u8]>) -> bool {
        self.push_with(text.is_some(), |bytes| {
            let text = String::from_utf8_lossy(text.unwrap_or_default());
            bytes.extend_from_slice(text.as_bytes());
            matches!(text, Cow::Owned(_))
        })
    }

    /// Appends what `write` adds to the buffer, which has to be UTF-8. Returns what that returns.
    pub(super) fn push_with<T>(&mut self, defined: bool, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let result = write(&mut self.bytes);
        self.ends.push(self.bytes.len());
        self.defined.push(defined);
        result
    }

    /// One text.
    pub(super) fn get(&self, at: usize) -> Option<&[u8]> {
        if !*self.defined.get(at)? {
            return None;
        }
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start..*self.ends.get(at)?)
    }

    /// A range of the texts as an Arrow array.
    pub(super) fn to_arrow(&self, column: &str, rows: Range<usize>) -> Result<StringArray, SinkError> {
        let start = match rows.start.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or_default(),
            None => 0,
        };
        let ends = self.ends.get(rows.clone()).unwrap_or_default();
        let end = ends.last().copied().unwrap_or(start);
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        if i32::try_from(bytes.len()).is_err() {
            return Err(SinkError::PageTooLarge { column: column.to_owned(), size_bytes: bytes.len() });
        }
        // Every end fits, since the last one does.
        let offsets = std::iter::once(start).chain(ends.iter().copied());
        let offsets =
            offsets.map(|offset| i32::try_from(offset - start).unwrap_or(i32::MAX)).collect::<Vec<_>>();
        let defined = self.defined.get(rows).unwrap_or_default();
        let nulls = defined.contains(&false).then(|| NullBuffer::from(defined.to_owned()));
        let array = StringArray::try_new(OffsetBuffer::new(offsets.into()), Buffer::from(bytes), nulls);
        array.map_err(|error| SinkError::Encode { source: error.into() })
    }
}
