//! Opening an index, and everything that is asked of one.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::label_index::{LabelIndex, LabelIndexTable};
use super::postings::{self, Postings, PostingsOffset};
use super::postings_table::{PostingsEntries, PostingsTable};
use super::scan::SeriesScan;
use super::series::{self, Series};
use super::symbols::Symbols;
use super::toc::Toc;
use crate::checksum;
use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind, Error};
use crate::limits;
use crate::once::OnceValue;
use crate::refs::SeriesRef;
use crate::source::{BlockFile, Source};
use crate::trace::Trace;

const MAGIC: u32 = 0xbaaa_d700;
const HEAD_LEN: u64 = 5;
const CHECKSUM_LEN: u64 = 4;
/// Postings lists asked of a source together.
const LISTS_AT_ONCE: usize = 512;
const SERIES_ALIGNMENT: u64 = 16;
/// A length, as much as it can say, and a checksum.
const MOST_SECTION_LEN: u64 = 4 + u32::MAX as u64 + CHECKSUM_LEN;

/// How the parts of an index name each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Symbols and series by file offset.
    V1,
    /// Symbols by number, series by file offset ÷ 16. Index versions 2 and 3.
    V2,
}

impl Layout {
    /// What the offset of a series entry is a multiple of.
    pub fn series_alignment(self) -> u64 {
        match self {
            Self::V1 => 1,
            Self::V2 => SERIES_ALIGNMENT,
        }
    }

    /// The first place at or after `offset` where a series entry may begin.
    pub(super) fn align(self, offset: u64) -> u64 {
        offset.next_multiple_of(self.series_alignment())
    }

    pub(super) fn series_ref(self, offset: u64) -> SeriesRef {
        match self {
            Self::V1 => SeriesRef(offset),
            Self::V2 => SeriesRef(offset / SERIES_ALIGNMENT),
        }
    }

    fn series_offset(self, series_ref: SeriesRef) -> Option<u64> {
        match self {
            Self::V1 => Some(series_ref.0),
            Self::V2 => series_ref.0.checked_mul(SERIES_ALIGNMENT),
        }
    }
}

/// The index of a block.
#[derive(Debug)]
pub struct Index {
    source: Arc<dyn Source>,
    version: u8,
    layout: Layout,
    toc: Toc,
    /// Where the table of contents begins: no section reaches past it.
    end: u64,
    symbols: OnceValue<Symbols>,
    postings_table: OnceValue<PostingsTable>,
    trace: Option<Arc<Trace>>,
}

impl Index {
    /// Opens the index of a block: reads its first 5 and its last 52 bytes.
    ///
    /// Under version byte 1, which Prometheus 2.1.0 wrote over bodies of version 2, the body itself tells which of
    /// the two it is: 1 byte more, and when that one does not tell, the list of all series.
    pub fn open(source: Arc<dyn Source>) -> Result<Self, Error> {
        Self::with_trace(source, None)
    }

    /// As [`Index::open`]; every field that is decoded, now and later, is noted in `trace`.
    pub fn open_traced(source: Arc<dyn Source>, trace: Arc<Trace>) -> Result<Self, Error> {
        Self::with_trace(source, Some(trace))
    }

    fn with_trace(source: Arc<dyn Source>, trace: Option<Arc<Trace>>) -> Result<Self, Error> {
        let in_index = |error: DecodeError| error.in_file(BlockFile::Index);
        let size = source.size(BlockFile::Index).map_err(read_error)?;
        let Some(end) = size.checked_sub(Toc::LEN).filter(|end| *end >= HEAD_LEN) else {
            let kind = DecodeErrorKind::Truncated {
                field: "index head and toc",
                needed: HEAD_LEN + Toc::LEN,
                left: size,
            };
            return Err(in_index(DecodeError { offset: 0, kind }));
        };
        if source.is_far() {
            // Two requests either way: the table of postings ends there, and the symbols begin.
            let ahead = limits::FAR_INDEX_ENDS_BYTES.min(size);
            source.prefetch(BlockFile::Index, &[0..ahead, size - ahead..size]);
        }
        let mut parts =
            source.read(BlockFile::Index, &[0..HEAD_LEN, end..size]).map_err(read_error)?.into_iter();
        let head = parts.next().unwrap_or_default();
        let version = decode_head(&head, trace.as_deref()).map_err(in_index)?;
        let toc = parts.next().unwrap_or_default();
        let toc = Toc::decode_traced(&toc, end, trace.as_deref()).map_err(in_index)?;
        Self::with_toc(source, version, toc, end, trace)
    }

    /// Opens an index past damage of its head and its table of contents, to see what else is wrong with it: all that
    /// is wrong with the two, and the index unless nothing tells where its sections lie. In that case the symbols are
    /// looked at too, for they come first.
    pub fn open_damaged(source: Arc<dyn Source>) -> (Option<Self>, Vec<Error>) {
        let first = match Self::open(Arc::clone(&source)) {
            Ok(index) => return (Some(index), Vec::new()),
            Err(error) => error,
        };
        let size = source.size(BlockFile::Index).unwrap_or_default();
        let Some(end) = size.checked_sub(Toc::LEN).filter(|end| *end >= HEAD_LEN) else {
            return (None, vec![first]);
        };
        let mut parts = match source.read(BlockFile::Index, &[0..HEAD_LEN, end..size]) {
            Ok(parts) => parts.into_iter(),
            Err(error) => return (None, vec![read_error(error)]),
        };
        let in_index = |error: DecodeError| error.in_file(BlockFile::Index);
        let head = parts.next().unwrap_or_default();
        let mut errors: Vec<_> = decode_head(&head, None).err().map(in_index).into_iter().collect();
        let (toc, wrong) = Toc::decode_damaged(&parts.next().unwrap_or_default(), end);
        errors.extend(wrong.into_iter().map(in_index));
        let version = head.get(4).copied().filter(|version| (1..=3).contains(version)).unwrap_or(1);
        let lost = Toc {
            symbols: HEAD_LEN,
            series: end,
            label_indices: end,
            label_indices_table: end,
            postings: end,
            postings_table: end,
        };
        match Self::with_toc(source, version, toc.unwrap_or(lost), end, None) {
            Ok(index) if toc.is_some() => return (Some(index), errors),
            Ok(index) => errors.extend(index.symbols().err()),
            Err(error) => errors.push(error),
        }
        (None, errors)
    }

    fn with_toc(
        source: Arc<dyn Source>,
        version: u8,
        toc: Toc,
        end: u64,
        trace: Option<Arc<Trace>>,
    ) -> Result<Self, Error> {
        let (symbols, postings_table) = (OnceValue::new(), OnceValue::new());
        let layout = Layout::V2;
        let mut index = Self { source, version, layout, toc, end, symbols, postings_table, trace };
        if version == 1 {
            index.layout = index.layout_of_body()?;
        }
        Ok(index)
    }

    /// The layout by where the first series lies: right behind the symbols in version 1, at a multiple of 16 from
    /// version 2 on.
    fn layout_of_body(&self) -> Result<Layout, Error> {
        let start = self.toc.series.min(self.end);
        if !start.is_multiple_of(SERIES_ALIGNMENT) {
            let first = self.read(start..self.end.min(start.saturating_add(1)))?;
            return Ok(if first.first() == Some(&0) { Layout::V2 } else { Layout::V1 });
        }
        // It lies there either way. The series is named by its offset, or by a 16th of it.
        let named = self.all_postings().ok().and_then(|mut all| all.next());
        Ok(if named == Some(Layout::V2.series_ref(start)) { Layout::V2 } else { Layout::V1 })
    }

    /// The same index with nothing of it opened yet: what it opens goes with it. Nothing is read.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            symbols: OnceValue::new(),
            postings_table: OnceValue::new(),
            trace: self.trace.clone(),
            ..*self
        }
    }

    /// True where every request takes long.
    pub fn is_far(&self) -> bool {
        self.source.is_far()
    }

    /// The version byte.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// How it is read.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Where its sections lie.
    pub fn toc(&self) -> &Toc {
        &self.toc
    }

    /// Size of the file in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.end + Toc::LEN
    }

    /// The symbol table, opened on first use.
    pub fn symbols(&self) -> Result<&Symbols, Error> {
        self.symbols.get_or_try_make(|| {
            self.prefetch_section(self.toc.symbols, self.toc.series);
            let (body, offset) = self.section("symbols", self.toc.symbols)?;
            Symbols::open(body, offset, self.layout, self.trace())
                .map_err(|error| error.in_file(BlockFile::Index))
        })
    }

    /// The postings offset table, opened on first use.
    pub fn postings_table(&self) -> Result<&PostingsTable, Error> {
        self.postings_table.get_or_try_make(|| {
            self.prefetch_section(self.toc.postings_table, self.end);
            let (body, offset) = self.section("postings table", self.toc.postings_table)?;
            PostingsTable::open(body, offset, self.trace()).map_err(|error| error.in_file(BlockFile::Index))
        })
    }

    /// All label names, ascending.
    pub fn label_names(&self) -> Result<LabelNames<'_>, Error> {
        let table = self.postings_table()?;
        Ok(LabelNames { table, last: None })
    }

    /// All values of one label, ascending, and where their postings lie. Reads the table as it goes.
    pub fn label_values(&self, name: &[u8]) -> Result<LabelValues<'_>, Error> {
        self.label_values_from(name, b"")
    }

    /// The values of one label from `start` on.
    pub fn label_values_from(&self, name: &[u8], start: &[u8]) -> Result<LabelValues<'_>, Error> {
        let entries = self.postings_table()?.entries_from(name, start);
        let name = entries.clone().next().map(|entry| entry.name).filter(|found| *found == name);
        Ok(LabelValues { entries, name })
    }

    /// References of the series that carry one label pair; none when no series does.
    pub fn postings(&self, name: &[u8], value: &[u8]) -> Result<Option<Postings>, Error> {
        self.postings_table()?.find(name, value).map(|offset| self.read_postings(offset)).transpose()
    }

    /// References of all series.
    pub fn all_postings(&self) -> Result<Postings, Error> {
        self.postings(b"", b"")?.ok_or_else(|| {
            let table = self.toc.postings_table;
            let expected = "an entry for all series";
            DecodeError::invalid(table, "postings table", 0, expected).in_file(BlockFile::Index)
        })
    }

    /// The postings list at `offset`.
    pub fn read_postings(&self, offset: PostingsOffset) -> Result<Postings, Error> {
        let (body, offset) = self.section("postings", offset.0)?;
        Postings::open(&body, offset, self.trace()).map_err(|error| error.in_file(BlockFile::Index))
    }

    /// Number of references in the list at `offset`, from its first 8 bytes: no checksum is verified.
    pub fn postings_len(&self, offset: PostingsOffset) -> Result<u32, Error> {
        let lens = self.postings_lens(&[offset])?;
        Ok(lens.first().copied().unwrap_or_default())
    }

    /// As [`Index::postings_len`] of many lists, asked of the source at once.
    pub fn postings_lens(&self, offsets: &[PostingsOffset]) -> Result<Vec<u32>, Error> {
        let mut lens = Vec::with_capacity(offsets.len());
        for offsets in offsets.chunks(LISTS_AT_ONCE) {
            let range = |at: &PostingsOffset| at.0.min(self.end)..at.0.saturating_add(8).min(self.end);
            let ranges: Vec<_> = offsets.iter().map(range).collect();
            let heads = self.source.read(BlockFile::Index, &ranges).map_err(read_error)?;
            for (head, at) in heads.iter().zip(offsets) {
                let mut cursor = Cursor::new(head, at.0);
                let mut decode = || {
                    let len = cursor.u32("postings length")?;
                    let count = cursor.u32("postings count")?;
                    postings::check_len(at.0 + 4, count, len.into()).map(|()| count)
                };
                lens.push(decode().map_err(|error| error.in_file(BlockFile::Index))?);
            }
        }
        Ok(lens)
    }

    /// The postings lists at many offsets, asked of the source together.
    pub fn read_postings_many(&self, offsets: &[PostingsOffset]) -> Result<Vec<Postings>, Error> {
        let in_index = |error: DecodeError| error.in_file(BlockFile::Index);
        let mut lists = Vec::with_capacity(offsets.len());
        for offsets in offsets.chunks(LISTS_AT_ONCE) {
            let mut ranges = Vec::with_capacity(offsets.len());
            for (at, count) in offsets.iter().zip(self.postings_lens(offsets)?) {
                let end = at.0 + 4 + postings::len_of(count) + CHECKSUM_LEN;
                if end > self.end {
                    let cursor = Cursor::new(&[], at.0);
                    return Err(in_index(cursor.truncated("postings", end - at.0)));
                }
                ranges.push(at.0..end);
            }
            let read = self.source.read(BlockFile::Index, &ranges).map_err(read_error)?;
            for (bytes, at) in read.iter().zip(offsets) {
                let list = checked_section(bytes, at.0, "postings", self.trace())
                    .and_then(|(body, offset)| Postings::open(&body, offset, self.trace()));
                lists.push(list.map_err(in_index)?);
            }
        }
        Ok(lists)
    }

    /// Announces that lists will be read soon, of each its place and its number of references.
    pub fn prefetch_postings(&self, lists: impl IntoIterator<Item = (PostingsOffset, u64)>) {
        let mut ranges = Ranges::default();
        for (PostingsOffset(at), count) in lists {
            let len = 8u64.saturating_add(count.saturating_mul(4)).saturating_add(CHECKSUM_LEN);
            // A list is read so far ahead before its length is known.
            ranges.push(at, len.max(limits::SECTION_READ_AHEAD_BYTES), self.end);
        }
        self.source.prefetch(BlockFile::Index, &ranges.0);
    }

    /// Announces that these series, ascending, will be read soon.
    pub fn prefetch_series(&self, refs: impl IntoIterator<Item = SeriesRef>) {
        let mut ranges = Ranges::default();
        for offset in refs.into_iter().filter_map(|at| self.layout.series_offset(at)) {
            ranges.push(offset, limits::SERIES_READ_AHEAD_BYTES, self.end);
        }
        self.source.prefetch(BlockFile::Index, &ranges.0);
    }

    /// Announces a section that lies between two places of the table of contents, if it may be one.
    fn prefetch_section(&self, start: u64, end: u64) {
        let end = end.min(self.end).min(start.saturating_add(MOST_SECTION_LEN));
        if self.is_far() && start < end {
            self.source.prefetch(BlockFile::Index, std::slice::from_ref(&(start..end)));
        }
    }

    /// Reads one series into `series`, whose memory is used again.
    pub fn series(&self, series_ref: SeriesRef, series: &mut Series) -> Result<(), Error> {
        series.clear();
        series.series_ref = series_ref;
        let (bytes, offset) = self.series_entry(series_ref)?;
        self.decode_entry(&bytes, offset, series)
    }

    /// Reads the entries of many series together, in few requests where each takes long. None is looked at yet.
    pub fn read_entries(&self, refs: impl IntoIterator<Item = SeriesRef>) -> Result<SeriesEntries, Error> {
        let mut offsets: Vec<_> =
            refs.into_iter().filter_map(|series_ref| self.layout.series_offset(series_ref)).collect();
        offsets.sort_unstable();
        let mut ranges = Ranges::default();
        for offset in offsets {
            ranges.push(offset, limits::SERIES_READ_AHEAD_BYTES, self.end);
        }
        let read = self.source.read(BlockFile::Index, &ranges.0).map_err(read_error)?;
        let starts = ranges.0.iter().map(|range| range.start);
        Ok(SeriesEntries { layout: self.layout, parts: starts.zip(read).collect() })
    }

    /// As [`Index::series`], of entries that were read before; what they lack is read now.
    pub fn series_in(
        &self,
        entries: &SeriesEntries,
        series_ref: SeriesRef,
        series: &mut Series,
    ) -> Result<(), Error> {
        let Some((bytes, offset)) = entries.at(series_ref).filter(|(bytes, offset)| is_whole(bytes, *offset))
        else {
            return self.series(series_ref, series);
        };
        series.clear();
        series.series_ref = series_ref;
        self.decode_entry(bytes, offset, series)
    }

    /// The value of one label of a series, as [`Series`] would have it; none without the label. Much faster than all
    /// of the series: nothing behind the label is looked at, and no checksum is verified.
    pub fn series_label(&self, series_ref: SeriesRef, name: &[u8]) -> Result<Option<&[u8]>, Error> {
        let (bytes, offset) = self.series_entry(series_ref)?;
        let symbols = self.symbols()?;
        let mut cursor = Cursor::new(&bytes, offset).traced(self.trace());
        let value = cursor.uvarint("series length").and_then(|_| series::decode_label(cursor, symbols, name));
        value.map_err(|error| error.in_file(BlockFile::Index))
    }

    /// Bytes that begin with the entry of a series, and their file offset.
    fn series_entry(&self, series_ref: SeriesRef) -> Result<(Bytes, u64), Error> {
        let offset = self.layout.series_offset(series_ref).filter(|at| (HEAD_LEN..self.end).contains(at));
        let Some(offset) = offset else {
            let expected = "the place of a series in this index";
            let error = DecodeError::invalid(self.toc.series, "series ref", series_ref.0, expected);
            return Err(error.in_file(BlockFile::Index));
        };
        let ahead = offset.saturating_add(limits::SERIES_READ_AHEAD_BYTES).min(self.end);
        let mut bytes = self.read(offset..ahead)?;
        let mut cursor = Cursor::new(&bytes, offset);
        let len = cursor.uvarint("series length").map_err(|error| error.in_file(BlockFile::Index))?;
        // All of this fits: an offset is below 2^63 for any file, and a length past the end is cut there.
        let end = cursor.offset().saturating_add(len).saturating_add(CHECKSUM_LEN).min(self.end);
        if end > ahead {
            bytes = self.read(offset..end)?;
        }
        Ok((bytes, offset))
    }

    /// The table of the label indices; none in an index without them, which is one of Prometheus 3.7 or later.
    pub fn label_index_table(&self) -> Result<Option<LabelIndexTable>, Error> {
        let at = self.toc.label_indices_table;
        if at == 0 || at == self.toc.postings_table {
            return Ok(None);
        }
        let (body, offset) = self.section("label index table", at)?;
        let table = LabelIndexTable::open(body, offset);
        table.map(Some).map_err(|error| error.in_file(BlockFile::Index))
    }

    /// The label index at `offset`.
    pub fn label_index(&self, offset: u64) -> Result<LabelIndex, Error> {
        if !(self.toc.label_indices..self.toc.postings).contains(&offset) {
            let expected = "an offset in the section of label indices";
            let error = DecodeError::invalid(offset, "label index", offset, expected);
            return Err(error.in_file(BlockFile::Index));
        }
        let (body, offset) = self.section("label index", offset)?;
        LabelIndex::open(&body, offset).map_err(|error| error.in_file(BlockFile::Index))
    }

    /// Where the section at `offset` lies, from its length to its checksum: that it fits is checked, and nothing else.
    pub fn section_place(&self, offset: u64) -> Result<Range<u64>, Error> {
        let bytes = self.read(offset.min(self.end)..offset.saturating_add(CHECKSUM_LEN).min(self.end))?;
        let mut cursor = Cursor::new(&bytes, offset);
        let place = cursor.u32("section").and_then(|len| {
            let needed = u64::from(len) + CHECKSUM_LEN;
            let left = self.end - cursor.offset();
            if needed > left {
                let kind = DecodeErrorKind::Truncated { field: "section", needed, left };
                return Err(DecodeError { offset: cursor.offset(), kind });
            }
            Ok(offset..cursor.offset() + needed)
        });
        place.map_err(|error| error.in_file(BlockFile::Index))
    }

    /// As [`Index::scan_series`], to learn where the entries lie without decoding them: no symbols are needed.
    pub fn scan_places(&self) -> Result<SeriesScan<'_>, Error> {
        let (start, end) = (self.toc.series, self.toc.series_end());
        if start < HEAD_LEN || end < start {
            let error = DecodeError::invalid(self.end, "toc series", start, "an offset before the postings");
            return Err(error.in_file(BlockFile::Index));
        }
        Ok(SeriesScan::new(self, start, end))
    }

    /// All series in file order, which is label order.
    pub fn scan_series(&self) -> Result<SeriesScan<'_>, Error> {
        let scan = self.scan_places()?;
        self.symbols()?;
        Ok(scan)
    }

    /// Decodes the entry that `bytes`, which stand at `offset`, begin with.
    pub(super) fn decode_entry(&self, bytes: &[u8], offset: u64, series: &mut Series) -> Result<(), Error> {
        let symbols = self.symbols()?;
        let mut decode = || {
            let mut cursor = Cursor::new(bytes, offset).traced(self.trace());
            let len = cursor.uvarint("series length")?;
            let mut body = cursor.clone();
            let covered = cursor.take("series", len)?;
            checksum::verify(&mut cursor, "series", covered)?;
            body.shorten(covered.len());
            series::decode_body(body, symbols, series)
        };
        decode().map_err(|error| error.in_file(BlockFile::Index))
    }

    /// The body of the section at `offset`, its checksum verified, and the file offset of that body.
    fn section(&self, field: &'static str, offset: u64) -> Result<(Bytes, u64), Error> {
        self.try_section(field, offset)?.map_err(|error| error.in_file(BlockFile::Index))
    }

    fn try_section(
        &self,
        field: &'static str,
        offset: u64,
    ) -> Result<Result<(Bytes, u64), DecodeError>, Error> {
        if !(HEAD_LEN..self.end).contains(&offset) {
            let expected = "an offset between the head and the toc";
            return Ok(Err(DecodeError::invalid(offset, field, offset, expected)));
        }
        let ahead = offset.saturating_add(limits::SECTION_READ_AHEAD_BYTES).min(self.end);
        let mut bytes = self.read(offset..ahead)?;
        let mut cursor = Cursor::new(&bytes, offset);
        let len = match cursor.u32(field) {
            Ok(len) => u64::from(len),
            Err(error) => return Ok(Err(error)),
        };
        let body_offset = cursor.offset();
        let end = body_offset + len + CHECKSUM_LEN;
        if end > self.end {
            let kind = DecodeErrorKind::Truncated {
                field,
                needed: len + CHECKSUM_LEN,
                left: self.end.saturating_sub(body_offset),
            };
            return Ok(Err(DecodeError { offset: body_offset, kind }));
        }
        if end > ahead {
            bytes = self.read(offset..end)?;
        }
        Ok(checked_section(&bytes, offset, field, self.trace()))
    }

    fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// Bytes of the file; fewer when it was cut since it was opened.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        let read = self.source.read(BlockFile::Index, std::slice::from_ref(&range)).map_err(read_error)?;
        Ok(read.into_iter().next().unwrap_or_default())
    }
}

/// Ranges to ask for, joined where they touch.
#[derive(Default)]
struct Ranges(Vec<Range<u64>>);

impl Ranges {
    fn push(&mut self, start: u64, len: u64, most: u64) {
        let range = start.min(most)..start.saturating_add(len).min(most);
        match self.0.last_mut() {
            Some(last) if (last.start..=last.end).contains(&range.start) => {
                last.end = last.end.max(range.end)
            }
            _ => self.0.push(range),
        }
    }
}

/// Entries of series that were read together.
#[derive(Debug)]
pub struct SeriesEntries {
    layout: Layout,
    /// File offsets, ascending, and what stands there.
    parts: Vec<(u64, Bytes)>,
}

impl SeriesEntries {
    /// True when at least the front of an entry was read.
    pub fn has(&self, series_ref: SeriesRef) -> bool {
        self.at(series_ref).is_some()
    }

    /// Bytes that begin with the entry of a series, and their file offset.
    fn at(&self, series_ref: SeriesRef) -> Option<(&[u8], u64)> {
        let offset = self.layout.series_offset(series_ref)?;
        let number = self.parts.partition_point(|(start, _)| *start <= offset).checked_sub(1)?;
        let (start, bytes) = self.parts.get(number)?;
        let bytes = bytes.get(usize::try_from(offset - start).ok()?..)?;
        (!bytes.is_empty()).then_some((bytes, offset))
    }
}

/// True when the entry that `bytes` begin with ends in them.
fn is_whole(bytes: &[u8], offset: u64) -> bool {
    let mut cursor = Cursor::new(bytes, offset);
    let len = cursor.uvarint("series length");
    len.is_ok_and(|len| len.saturating_add(CHECKSUM_LEN) <= cursor.rest().len() as u64)
}

/// Of a section that begins at `offset`: what lies between its length and its checksum, and where that begins.
fn checked_section(
    bytes: &Bytes,
    offset: u64,
    field: &'static str,
    trace: Option<&Trace>,
) -> Result<(Bytes, u64), DecodeError> {
    let mut cursor = Cursor::new(bytes, offset).traced(trace);
    let len = cursor.u32(field)?;
    let body_offset = cursor.offset();
    let start = bytes.len() - cursor.rest().len();
    let body = cursor.take(field, len.into())?;
    checksum::verify(&mut cursor, field, body)?;
    Ok((bytes.slice(start..start + body.len()), body_offset))
}

fn decode_head(head: &[u8], trace: Option<&Trace>) -> Result<u8, DecodeError> {
    let mut cursor = Cursor::new(head, 0).traced(trace);
    cursor.magic("index magic", MAGIC)?;
    match cursor.u8("index version")? {
        version @ 1..=3 => Ok(version),
        version => Err(DecodeError::invalid(4, "index version", version.into(), "1, 2 or 3")),
    }
}

fn read_error(source: std::io::Error) -> Error {
    Error::Read { file: BlockFile::Index, source }
}

/// The label names of an index, ascending.
#[derive(Debug, Clone)]
pub struct LabelNames<'a> {
    table: &'a PostingsTable,
    last: Option<&'a [u8]>,
}

impl<'a> Iterator for LabelNames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // The smallest name above the last one is that name and a zero byte. At first it is the zero byte alone,
        // which leaves out the empty name of the entry for all series.
        let mut above = self.last.unwrap_or_default().to_vec();
        above.push(0);
        let name = self.table.entries_from(&above, b"").next()?.name;
        self.last = Some(name);
        Some(name)
    }
}

/// The values of one label, ascending, and where their postings lie.
#[derive(Debug, Clone)]
pub struct LabelValues<'a> {
    entries: PostingsEntries<'a>,
    name: Option<&'a [u8]>,
}

impl<'a> Iterator for LabelValues<'a> {
    type Item = (&'a [u8], PostingsOffset);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next().filter(|entry| Some(entry.name) == self.name)?;
        Some((entry.value, entry.offset))
    }
}
