//! Reading all series front to back, without postings.
//!
//! Series are stored in label order, so a scan yields them so, and in ascending order of their references. It reads
//! the section forward in windows, which a store with high latency likes, and keeps one window in memory.
//!
//! From version 2, entries begin at multiples of 16; a zero where an entry's length is expected is padding. A scan
//! follows the lengths of the entries, which no checksum covers, so it is over after the first error. The series
//! behind a broken one are reached through [`Index::all_postings`].

use bytes::Bytes;

use super::reader::Index;
use super::series::Series;
use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind, Error};
use crate::limits;
use crate::source::BlockFile;

/// All series of an index in file order.
#[derive(Debug)]
pub struct SeriesScan<'a> {
    index: &'a Index,
    /// Where the next entry is looked for.
    at: u64,
    end: u64,
    window: Bytes,
    window_start: u64,
    window_len: u64,
}

impl<'a> SeriesScan<'a> {
    pub(super) fn new(index: &'a Index, start: u64, end: u64) -> Self {
        Self::with_window(index, start, end, limits::SERIES_SCAN_BYTES)
    }

    fn with_window(index: &'a Index, start: u64, end: u64, window_len: u64) -> Self {
        Self { index, at: start, end, window: Bytes::new(), window_start: start, window_len }
    }

    /// Reads the next series into `series`. False at the end, and after an error.
    pub fn read_next(&mut self, series: &mut Series) -> Result<bool, Error> {
        let read = self.try_read_next(series);
        if !matches!(read, Ok(true)) {
            self.at = self.end;
        }
        read
    }

    fn try_read_next(&mut self, series: &mut Series) -> Result<bool, Error> {
        let layout = self.index.layout();
        loop {
            self.at = layout.align(self.at);
            if self.at >= self.end {
                return Ok(false);
            }
            let entry = self.bytes_at(self.at, 1)?;
            if entry.first() != Some(&0) {
                break;
            }
            self.at += 1; // Padding: on to the next place where an entry may begin.
        }
        // Ten bytes for the length, if there are as many.
        let head = self.bytes_at(self.at, 10)?;
        let mut cursor = Cursor::new(&head, self.at);
        let in_index = |error: DecodeError| error.in_file(BlockFile::Index);
        let len = cursor.uvarint("series length").map_err(in_index)?;
        let whole = (cursor.offset() - self.at).saturating_add(len).saturating_add(4);
        if whole > self.end - self.at {
            let (offset, needed) = (cursor.offset(), len.saturating_add(4));
            let kind = DecodeErrorKind::Truncated { field: "series", needed, left: self.end - offset };
            return Err(in_index(DecodeError { offset, kind }));
        }
        let entry = self.bytes_at(self.at, whole)?;
        series.clear();
        series.series_ref = layout.series_ref(self.at);
        self.index.decode_entry(&entry, self.at, series)?;
        self.at += whole;
        Ok(true)
    }

    /// Up to `len` bytes at `at`, fewer at the end of the section.
    fn bytes_at(&mut self, at: u64, len: u64) -> Result<Bytes, Error> {
        let end = at.saturating_add(len).min(self.end);
        let window_end = self.window_start + self.window.len() as u64;
        if at < self.window_start || end > window_end {
            let until = at.saturating_add(len.max(self.window_len)).min(self.end);
            self.window = self.index.read(at..until)?;
            self.window_start = at;
        }
        let start = usize::try_from(at - self.window_start).unwrap_or(usize::MAX).min(self.window.len());
        let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(self.window.len() - start);
        Ok(self.window.slice(start..start + len))
    }
}

impl Iterator for SeriesScan<'_> {
    type Item = Result<Series, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut series = Series::new();
        self.read_next(&mut series).map(|read| read.then_some(series)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::LayoutHint;
    use super::*;
    use crate::testing;

    #[test]
    fn window_of_any_size_gives_the_same_series() {
        let bytes = testing::block_file("block_rich.json", "index");
        let index = Index::open(testing::index_only(bytes), LayoutHint::VersionByte).unwrap();
        let (start, end) = (index.toc().series, index.toc().series_end());
        let all: Vec<Series> = index.scan_series().unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len(), 77);
        for window_len in [1, 7, 16, 64, 100, 1000] {
            let scan = SeriesScan::with_window(&index, start, end, window_len);
            assert!(scan.map(Result::unwrap).eq(all.iter().cloned()), "window of {window_len}");
        }
    }
}
