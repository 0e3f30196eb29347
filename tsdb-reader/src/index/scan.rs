//! Reading all series front to back, without postings.
//!
//! Series are stored in label order, so a scan yields them so, and in ascending order of their references. It reads
//! the section forward in windows, which a store with high latency likes, and keeps one window in memory.
//!
//! From version 2, entries begin at multiples of 16; a zero where an entry's length is expected is padding. A scan
//! follows the lengths of the entries, which no checksum covers, so it is over after the first error. The series
//! behind a broken one are reached through [`Index::all_postings`].

use std::ops::Range;

use bytes::Bytes;

use super::reader::Index;
use super::series::Series;
use crate::checksum;
use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind, Error};
use crate::limits;
use crate::source::BlockFile;

/// The longest uvarint.
const LENGTH_LEN: u64 = 10;
const CHECKSUM_LEN: u64 = 4;

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

/// Where an entry of the series section lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPlace {
    /// From its length to its checksum, padding left out.
    pub range: Range<u64>,
    /// Whether its checksum is right.
    pub checksum: Result<(), DecodeError>,
}

fn check_entry(bytes: &[u8], offset: u64) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(bytes, offset);
    let len = cursor.uvarint("series length")?;
    let covered = cursor.take("series", len)?;
    checksum::verify(&mut cursor, "series", covered).map(|_| ())
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
        let Some(whole) = self.reach_next()? else { return Ok(false) };
        series.clear();
        series.series_ref = self.index.layout().series_ref(self.at);
        self.index.decode_entry(self.window(whole), self.at, series)?;
        self.at += whole;
        Ok(true)
    }

    /// Goes on to the next entry without decoding it: where it lies, and whether its checksum is right. None at the
    /// end, and after an error, which a wrong checksum is not.
    pub fn next_place(&mut self) -> Result<Option<EntryPlace>, Error> {
        let place = self.reach_next().map(|whole| {
            whole.map(|whole| {
                let checksum = check_entry(self.window(whole), self.at);
                let range = self.at..self.at + whole;
                self.at = range.end;
                EntryPlace { range, checksum }
            })
        });
        if !matches!(place, Ok(Some(_))) {
            self.at = self.end;
        }
        place
    }

    /// Makes the window hold the next entry, at which the scan then stands; its length in all.
    fn reach_next(&mut self) -> Result<Option<u64>, Error> {
        let layout = self.index.layout();
        loop {
            self.at = layout.align(self.at);
            if self.at >= self.end {
                return Ok(None);
            }
            self.reach(1)?;
            if self.window(1).first() != Some(&0) {
                break;
            }
            self.at += 1; // Padding: on to the next place where an entry may begin.
        }
        self.reach(LENGTH_LEN)?;
        let mut cursor = Cursor::new(self.window(LENGTH_LEN), self.at);
        let in_index = |error: DecodeError| error.in_file(BlockFile::Index);
        let len = cursor.uvarint("series length").map_err(in_index)?;
        let after_len = cursor.offset();
        let whole = (after_len - self.at).saturating_add(len).saturating_add(CHECKSUM_LEN);
        if whole > self.end - self.at {
            let needed = len.saturating_add(CHECKSUM_LEN);
            let kind = DecodeErrorKind::Truncated { field: "series", needed, left: self.end - after_len };
            return Err(in_index(DecodeError { offset: after_len, kind }));
        }
        self.reach(whole)?;
        Ok(Some(whole))
    }

    /// Makes the window hold the next `len` bytes, or as many as the section has.
    fn reach(&mut self, len: u64) -> Result<(), Error> {
        let end = self.at.saturating_add(len).min(self.end);
        if self.at < self.window_start || end > self.window_start + self.window.len() as u64 {
            let until = self.at.saturating_add(len.max(self.window_len)).min(self.end);
            self.window = self.index.read(self.at..until)?;
            self.window_start = self.at;
        }
        Ok(())
    }

    /// The next `len` bytes; fewer at the end of the section, and when the file was cut since it was opened.
    fn window(&self, len: u64) -> &[u8] {
        let start = usize::try_from(self.at - self.window_start).unwrap_or(usize::MAX);
        let rest = self.window.get(start..).unwrap_or_default();
        usize::try_from(len).ok().and_then(|len| rest.get(..len)).unwrap_or(rest)
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
    use super::*;
    use crate::testing;

    #[test]
    fn window_of_any_size_gives_the_same_series() {
        let bytes = testing::block_file("block_rich.json", "index");
        let index = Index::open(testing::index_only(bytes)).unwrap();
        let (start, end) = (index.toc().series, index.toc().series_end());
        let all: Vec<Series> = index.scan_series().unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len(), 77);
        for window_len in [1, 7, 16, 64, 100, 1000] {
            let scan = SeriesScan::with_window(&index, start, end, window_len);
            assert!(scan.map(Result::unwrap).eq(all.iter().cloned()), "window of {window_len}");
        }
    }

    #[test]
    fn places_are_those_of_the_series_and_checksums_are_looked_at() {
        let mut bytes = testing::block_file("block_rich.json", "index");
        let index = Index::open(testing::index_only(bytes.clone())).unwrap();
        let refs: Vec<_> = index.scan_series().unwrap().map(|series| series.unwrap().series_ref).collect();
        let third = refs[2].0 * 16;
        bytes[usize::try_from(third).unwrap() + 3] ^= 1;
        let index = Index::open(testing::index_only(bytes)).unwrap();
        let mut scan = index.scan_places().unwrap();
        let mut places = Vec::new();
        while let Some(place) = scan.next_place().unwrap() {
            assert_eq!(place.checksum.is_err(), place.range.start == third);
            places.push(place.range.start / 16);
        }
        assert!(places.into_iter().eq(refs.into_iter().map(|at| at.0)));
    }
}
