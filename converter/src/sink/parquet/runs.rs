//! Run columns: what all rows of a series share.
//!
//! ```text
//! series      │ up{job="a"} │ up{job="b"} │ go_info{…} │
//! metric      │ 0 × 7 rows                │ 1 × 2 rows │      runs of keys, values by key
//! series_id   │ 0 × 3 rows  │ 1 × 4 rows  │ 2 × 2 rows │
//! ```
//! A chunk is a dictionary and runs of its indices, or PLAIN where values hardly repeat. Either way the work is per
//! run but for the bytes of PLAIN.

use std::cmp::Ordering;
use std::collections::HashMap;

use foldhash::fast::FixedState;
use parquet::basic::Encoding;

use super::PAGE_ROWS;
use super::column::{Bounds, ColumnChunkWriter, DataPage};
use super::encodings::{RunWriter, index_bit_width, push_levels, push_plain_bytes};
use crate::sink::SinkError;

/// Largest dictionary page: readers hold it whole in memory.
const MAX_DICTIONARY_SIZE: usize = 32 << 20;

/// A page of PLAIN values ends once it is that large.
const PAGE_SIZE: usize = 1 << 20;

/// Longest bound in statistics and page index.
const MAX_BOUND_LEN: usize = 64;

/// Physical type of a run column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunType {
    /// Texts.
    ByteArray,
    /// Integers, given as 8 bytes little-endian.
    Int64,
}

/// Rows with the same value.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Index of the value; `None` for null.
    key: Option<u32>,
    rows: u32,
}

/// A column as runs.
pub(super) struct RunColumn<'v> {
    kind: RunType,
    values: Vec<&'v [u8]>,
    runs: Vec<Run>,
    keys: HashMap<&'v [u8], u32, FixedState>,
    plain_size: usize,
    dictionary_size: usize,
}

impl<'v> RunColumn<'v> {
    pub(super) fn new(kind: RunType) -> Self {
        Self {
            kind,
            values: Vec::new(),
            runs: Vec::new(),
            keys: HashMap::with_hasher(FixedState::default()),
            plain_size: 0,
            dictionary_size: 0,
        }
    }

    /// Adds rows of a value that may have occurred before.
    pub(super) fn push(&mut self, value: Option<&'v [u8]>, rows: u32) {
        let Some(bytes) = value else { return self.push_run(None, rows) };
        let last = self.runs.last().and_then(|run| run.key);
        if let Some(key) = last
            && self.values.get(key as usize) == Some(&bytes)
        {
            return self.push_key(key, bytes, rows);
        }
        match self.keys.get(bytes) {
            Some(&key) => self.push_key(key, bytes, rows),
            None => {
                let key = self.add_value(bytes);
                self.keys.insert(bytes, key);
                self.push_key(key, bytes, rows);
            }
        }
    }

    /// Adds rows of a value that occurs nowhere else.
    pub(super) fn push_unique(&mut self, value: &'v [u8], rows: u32) {
        let key = self.add_value(value);
        self.push_key(key, value, rows);
    }

    fn add_value(&mut self, value: &'v [u8]) -> u32 {
        // A row group has fewer than 2^32 rows.
        let key = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value);
        self.dictionary_size += self.size_of_value(value);
        key
    }

    fn push_key(&mut self, key: u32, value: &[u8], rows: u32) {
        self.plain_size += self.size_of_value(value) * rows as usize;
        self.push_run(Some(key), rows);
    }

    fn push_run(&mut self, key: Option<u32>, rows: u32) {
        match self.runs.last_mut() {
            Some(run) if run.key == key => run.rows += rows,
            _ => self.runs.push(Run { key, rows }),
        }
    }

    fn size_of_value(&self, value: &[u8]) -> usize {
        match self.kind {
            RunType::ByteArray => 4 + value.len(),
            RunType::Int64 => value.len(),
        }
    }

    fn push_value(&self, out: &mut Vec<u8>, value: &[u8]) {
        match self.kind {
            RunType::ByteArray => push_plain_bytes(out, value),
            RunType::Int64 => out.extend_from_slice(value),
        }
    }

    fn value(&self, key: u32) -> &'v [u8] {
        self.values.get(key as usize).copied().unwrap_or_default()
    }

    /// Smallest and largest value of the column.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        self.bounds_of(self.values.iter().copied())
    }

    fn bounds_of(&self, mut values: impl Iterator<Item = &'v [u8]>) -> Option<Bounds> {
        let first = values.next()?;
        let (min, max) = values.fold((first, first), |(min, max), value| {
            let less = self.compare(value, min) == Ordering::Less;
            let greater = self.compare(value, max) == Ordering::Greater;
            (if less { value } else { min }, if greater { value } else { max })
        });
        Some(Bounds { min: lower_bound(min).to_owned(), max: upper_bound(max) })
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        match (self.kind, <[u8; 8]>::try_from(a), <[u8; 8]>::try_from(b)) {
            (RunType::Int64, Ok(a), Ok(b)) => i64::from_le_bytes(a).cmp(&i64::from_le_bytes(b)),
            _ => a.cmp(b),
        }
    }

    /// Writes the column's pages; their bounds only for an indexed column.
    pub(super) fn write(
        &self,
        writer: &mut ColumnChunkWriter<'_>,
        body: &mut Vec<u8>,
        indexed: bool,
    ) -> Result<(), SinkError> {
        let repeats = self.dictionary_size * 2 <= self.plain_size;
        let dictionary = repeats && self.dictionary_size <= MAX_DICTIONARY_SIZE && !self.values.is_empty();
        if dictionary {
            body.clear();
            body.reserve(self.dictionary_size);
            self.values.iter().for_each(|value| self.push_value(body, value));
            writer.dictionary(body, u32::try_from(self.values.len()).unwrap_or(u32::MAX))?;
        }
        let mut pages = Pages { column: self, runs: self.runs.iter(), left: None, dictionary };
        while let Some(page) = pages.next_page() {
            body.clear();
            push_levels(body, page.iter().map(|run| (run.key.is_some(), u64::from(run.rows))));
            if dictionary {
                self.push_indices(body, &page);
            } else {
                self.push_values(body, &page);
            }
            let sum = |runs: &mut dyn Iterator<Item = &Run>| runs.map(|run| run.rows).sum();
            let rows = sum(&mut page.iter());
            writer.data_page(DataPage {
                body,
                rows,
                entries: rows,
                nulls: sum(&mut page.iter().filter(|run| run.key.is_none())),
                encoding: if dictionary { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN },
                bounds: match indexed {
                    true => self.bounds_of(page.iter().filter_map(|run| run.key).map(|key| self.value(key))),
                    false => None,
                },
            })?;
        }
        Ok(())
    }

    fn push_indices(&self, body: &mut Vec<u8>, page: &[Run]) {
        let width = index_bit_width(self.values.len());
        body.extend(width.to_le_bytes().first());
        let mut indices = RunWriter::new(width);
        for run in page {
            if let Some(key) = run.key {
                indices.push(body, key, u64::from(run.rows));
            }
        }
        indices.flush(body);
    }

    fn push_values(&self, body: &mut Vec<u8>, page: &[Run]) {
        for run in page {
            if let Some(key) = run.key {
                let value = self.value(key);
                for _ in 0..run.rows {
                    self.push_value(body, value);
                }
            }
        }
    }
}

/// Cuts runs into pages.
struct Pages<'a, 'v> {
    column: &'a RunColumn<'v>,
    runs: std::slice::Iter<'a, Run>,
    /// What the page before left of a run.
    left: Option<Run>,
    dictionary: bool,
}

impl Pages<'_, '_> {
    fn next_page(&mut self) -> Option<Vec<Run>> {
        let mut page = Vec::new();
        let (mut rows, mut size) = (0, 0);
        while rows < PAGE_ROWS && size < PAGE_SIZE {
            let Some(run) = self.left.take().or_else(|| self.runs.next().copied()) else { break };
            let value_size = match run.key {
                Some(key) if !self.dictionary => self.column.size_of_value(self.column.value(key)),
                _ => 0,
            };
            // The row that reaches the size is the last one.
            let fit_by_size = match value_size {
                0 => u32::MAX,
                _ => u32::try_from((PAGE_SIZE - size).div_ceil(value_size)).unwrap_or(u32::MAX),
            };
            let taken = run.rows.min(PAGE_ROWS - rows).min(fit_by_size);
            page.push(Run { key: run.key, rows: taken });
            rows += taken;
            size += value_size * taken as usize;
            if taken < run.rows {
                self.left = Some(Run { key: run.key, rows: run.rows - taken });
            }
        }
        (!page.is_empty()).then_some(page)
    }
}

/// A beginning of the value, which is not greater.
fn lower_bound(value: &[u8]) -> &[u8] {
    truncated(value).unwrap_or(value)
}

/// A short text that is not smaller, where there is one.
fn upper_bound(value: &[u8]) -> Vec<u8> {
    let Some(start) = truncated(value) else { return value.to_owned() };
    let mut bound = start.to_owned();
    bound.extend_from_slice("\u{10ffff}".as_bytes());
    if bound.as_slice() > value { bound } else { value.to_owned() }
}

/// The first characters of a text that is too long for a bound.
fn truncated(value: &[u8]) -> Option<&[u8]> {
    if value.len() <= MAX_BOUND_LEN {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let end = (0..=MAX_BOUND_LEN).rev().find(|&end| text.is_char_boundary(end))?;
    value.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_long_texts_are_short_and_hold() {
        let long = "é".repeat(100);
        let (lower, upper) = (lower_bound(long.as_bytes()), upper_bound(long.as_bytes()));
        assert!(lower <= long.as_bytes() && upper.as_slice() >= long.as_bytes());
        assert!(lower.len() <= 64 && upper.len() <= 68);
        assert!(std::str::from_utf8(&upper).is_ok());
        let highest = "\u{10ffff}".repeat(20);
        assert_eq!(upper_bound(highest.as_bytes()), highest.as_bytes());
        assert_eq!(upper_bound(b"up"), b"up");
    }
}
