//! Chunks: the segment files and the checksummed entries in them.
//!
//! ```text
//! segment  ┌────────────────┬──────────────┬─────────┬───────┬───────┬───┐
//!          │ 0x85BD40DD u32 │ version 1 u8 │ 3 bytes │ chunk │ chunk │ … │   big-endian
//!          └────────────────┴──────────────┴─────────┴───────┴───────┴───┘
//! chunk    ┌─────────────┬─────────────┬──────────────────┬────────────┐
//!          │ len uvarint │ encoding u8 │ data `len` bytes │ crc32c u32 │   over encoding and data
//!          └─────────────┴─────────────┴──────────────────┴────────────┘
//! ```
//! A chunk ref counts segments by their place in the ascending list, not by name. With a gap in the names the two
//! part, so from the gap on every ref is an error rather than someone else's samples.
//! Checked: magic and version of a segment once, of each chunk that it lies within the file, and its checksum. Any
//! input may fail, none may panic; a chunk takes memory only as far as its segment reaches.
//! Defined in Prometheus' `tsdb/docs/format/chunks.md` and `tsdb/chunks/chunks.go`.

use std::fmt;
use std::io;
use std::iter;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::block::Segments;
use crate::checksum;
use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind, Error};
use crate::limits::CHUNK_READ_AHEAD_BYTES;
use crate::refs::ChunkRef;
use crate::samples::{
    AggregateChunk, CounterResetHint, FloatColumns, FloatSamples, HistogramColumns, HistogramDecoder,
    HistogramSamples, TracedSample, append_chunk, counter_reset_header, trace_aggregates, trace_floats,
    trace_histograms,
};
use crate::source::{BlockFile, Source};
use crate::trace::Trace;

const MAGIC: u32 = 0x85bd_40dd;
const VERSION: u8 = 1;
const HEADER_BYTES: u64 = 8;
/// A chunk without data: one byte of length, the encoding, the checksum. A length field, at most 5, fits too.
const SMALLEST_ENTRY_BYTES: usize = 6;
/// The longest length field of a chunk, here and among head chunks.
pub(crate) const LENGTH_BYTES: usize = 5;
const CRC_BYTES: u64 = checksum::BYTES as u64;
/// A next ref this near is taken for the end of a chunk; one further on may be that of another series.
const NEXT_REF_BYTES: u64 = 4 * CHUNK_READ_AHEAD_BYTES;
/// Bytes a scan asks for at once.
const SCAN_BYTES: u64 = 1 << 20;

/// How the data of a chunk is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// 1: floats.
    Xor,
    /// 2: native histograms with integer counts.
    Histogram,
    /// 3: native histograms with float counts.
    FloatHistogram,
    /// 4: floats, with start timestamps.
    Xor2,
    /// 5: histograms with start timestamps.
    HistogramSt,
    /// 6: float histograms with start timestamps.
    FloatHistogramSt,
    /// 0xff: five chunks of a Thanos downsampled block.
    Aggregate,
    /// A byte this version does not know.
    Unknown(u8),
}

impl Encoding {
    /// The encoding of a byte.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Xor,
            2 => Self::Histogram,
            3 => Self::FloatHistogram,
            4 => Self::Xor2,
            5 => Self::HistogramSt,
            6 => Self::FloatHistogramSt,
            0xff => Self::Aggregate,
            _ => Self::Unknown(byte),
        }
    }

    /// The byte in the file.
    pub fn as_byte(self) -> u8 {
        match self {
            Self::Xor => 1,
            Self::Histogram => 2,
            Self::FloatHistogram => 3,
            Self::Xor2 => 4,
            Self::HistogramSt => 5,
            Self::FloatHistogramSt => 6,
            Self::Aggregate => 0xff,
            Self::Unknown(byte) => byte,
        }
    }

    /// True for chunks of native histograms.
    pub fn holds_histograms(self) -> bool {
        matches!(self, Self::Histogram | Self::FloatHistogram | Self::HistogramSt | Self::FloatHistogramSt)
    }

    /// Its name in the field, or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xor => "XOR",
            Self::Histogram => "histogram",
            Self::FloatHistogram => "float histogram",
            Self::Xor2 => "XOR2",
            Self::HistogramSt => "histogram with start timestamps",
            Self::FloatHistogramSt => "float histogram with start timestamps",
            Self::Aggregate => "aggregate",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One chunk: a run of samples of one series, its checksum verified.
#[derive(Debug, Clone)]
pub struct Chunk {
    encoding: Encoding,
    segment: u32,
    offset: u64,
    data: Bytes,
}

impl Chunk {
    /// A chunk whose data stands at `offset` of segment number `segment`.
    pub fn new(encoding: Encoding, data: Bytes, segment: u32, offset: u64) -> Self {
        Self { encoding, segment, offset, data }
    }

    /// How its data is encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The bytes between encoding and checksum.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// File offset of the data.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The segment file it stands in.
    pub fn file(&self) -> BlockFile {
        BlockFile::Segment(self.segment)
    }

    /// Number of samples as the header says; nothing is decoded. Of an aggregate chunk that of its count.
    pub fn num_samples(&self) -> Result<u32, DecodeError> {
        const FIELD: &str = "number of samples";
        let mut cursor = Cursor::new(&self.data, self.offset);
        let count = match self.encoding {
            Encoding::Xor | Encoding::Xor2 | Encoding::Histogram | Encoding::FloatHistogram => {
                cursor.u16(FIELD)?
            }
            Encoding::HistogramSt | Encoding::FloatHistogramSt => cursor.u16(FIELD)? & 0x3fff,
            Encoding::Aggregate => return self.aggregates().map(|aggregates| aggregates.num_samples()),
            Encoding::Unknown(_) => return Err(self.unsupported()),
        };
        Ok(count.into())
    }

    /// Its samples one by one, when it holds floats.
    pub fn floats(&self) -> Result<FloatSamples<'_>, DecodeError> {
        FloatSamples::open(self)
    }

    /// Appends its samples, when it holds floats. Those before an error stay appended. For many chunks a
    /// [`FloatDecoder`](crate::samples::FloatDecoder) is faster.
    pub fn append_to(&self, columns: &mut FloatColumns) -> Result<(), DecodeError> {
        append_chunk(self, columns)
    }

    /// Its histograms one by one, when it holds some.
    pub fn histograms(&self) -> Result<HistogramSamples<'_>, DecodeError> {
        HistogramSamples::open(self)
    }

    /// Appends its histograms, when it holds some. Those before an error stay appended. For many chunks a
    /// [`HistogramDecoder`] is faster.
    pub fn append_histograms_to(&self, columns: &mut HistogramColumns) -> Result<(), DecodeError> {
        HistogramDecoder::default().append(self, columns)
    }

    /// Its aggregates, when it is a chunk of a Thanos downsampled block.
    pub fn aggregates(&self) -> Result<AggregateChunk, DecodeError> {
        AggregateChunk::open(self)
    }

    /// Decodes its samples one by one, noting every field in `trace`. `each` is called behind the header, and then
    /// with each sample; of an aggregate chunk so for each aggregate.
    pub fn trace_samples(
        &self,
        trace: &Trace,
        each: &mut dyn FnMut(Option<TracedSample>),
    ) -> Result<(), DecodeError> {
        match self.encoding {
            Encoding::Aggregate => trace_aggregates(self, trace, each),
            encoding if encoding.holds_histograms() => trace_histograms(self, trace, each),
            _ => trace_floats(self, trace, each),
        }
    }

    /// What the header of a histogram chunk says of a reset between the sample before the chunk and its first.
    ///
    /// It is true of the sample that the writer saw before. The hints of decoded histograms do not use it, for that
    /// sample may be gone, or another one may have come between.
    pub fn counter_reset_header(&self) -> Result<CounterResetHint, DecodeError> {
        counter_reset_header(self)
    }

    /// A chunk within the data of this one.
    pub(crate) fn inner(&self, encoding: Encoding, data: &[u8], offset: u64) -> Self {
        Self { encoding, segment: self.segment, offset, data: self.data.slice_ref(data) }
    }

    pub(crate) fn unsupported(&self) -> DecodeError {
        let kind = DecodeErrorKind::UnsupportedEncoding {
            encoding: self.encoding.as_byte(),
            name: self.encoding.name(),
        };
        DecodeError { offset: self.offset.saturating_sub(1), kind }
    }
}

/// The chunks of one block.
#[derive(Debug)]
pub struct Chunks {
    source: Arc<dyn Source>,
    segments: Segments,
    /// Of each segment, whether its header was found to be sound.
    headers_checked: Vec<AtomicBool>,
}

#[derive(Debug, Clone, Copy)]
struct Segment<'a> {
    number: u32,
    header_checked: &'a AtomicBool,
}

impl Chunks {
    /// The chunks of the block behind `source`. Lists the segments, reads none.
    pub fn open(source: Arc<dyn Source>) -> Result<Self, Error> {
        let segments = Segments::list(&*source)?;
        let headers_checked = segments.numbers().iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self { source, segments, headers_checked })
    }

    /// Its segments.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Reads the chunks at `refs` and appends one result for each, in order.
    ///
    /// Refs should ascend. The source is asked for one list of ranges per segment, and for a second one only when
    /// chunks turn out longer than guessed.
    pub fn read(&self, refs: &[ChunkRef], into: &mut Vec<Result<Chunk, Error>>) {
        into.reserve(refs.len());
        for refs in refs.chunk_by(|a, b| a.segment_position() == b.segment_position()) {
            match refs.first().map(|&first| self.segment(first)) {
                Some(Ok(segment)) => self.read_segment(segment, refs, into),
                _ => into.extend(refs.iter().filter_map(|&chunk_ref| self.segment(chunk_ref).err()).map(Err)),
            }
        }
    }

    /// Announces that the chunks at `refs`, ascending, will be read soon.
    pub fn prefetch(&self, refs: &[ChunkRef]) {
        for refs in refs.chunk_by(|a, b| a.segment_position() == b.segment_position()) {
            if let Some(Ok(segment)) = refs.first().map(|&first| self.segment(first)) {
                let check_header = !segment.header_checked.load(Ordering::Relaxed);
                self.source.prefetch(segment.file(), &asked(refs, check_header));
            }
        }
    }

    /// Waits until a far source has fetched the chunks at `refs`, ascending, all in few requests: read next, they cost
    /// none. What fails shows then.
    pub fn fetch(&self, refs: &[ChunkRef]) {
        for refs in refs.chunk_by(|a, b| a.segment_position() == b.segment_position()) {
            if let Some(Ok(segment)) = refs.first().map(|&first| self.segment(first)) {
                let check_header = !segment.header_checked.load(Ordering::Relaxed);
                let _shown_when_read = self.source.read(segment.file(), &asked(refs, check_header));
            }
        }
    }

    /// Reads one chunk; every field of its entry is noted in `trace`.
    pub fn read_traced(&self, chunk_ref: ChunkRef, trace: &Trace) -> Result<Chunk, Error> {
        let segment = self.segment(chunk_ref)?;
        let unreadable = |source| Error::Read { file: segment.file(), source };
        let offset = chunk_ref.offset();
        let piece = |end: u64| {
            let pieces = self.pieces(segment.file(), std::slice::from_ref(&(offset..end)));
            pieces.map(|pieces| pieces.into_iter().next().unwrap_or_default()).map_err(unreadable)
        };
        let size = self.source.size(segment.file()).map_err(unreadable)?.max(offset);
        let mut bytes = piece(size.min(offset + CHUNK_READ_AHEAD_BYTES))?;
        if let Err(Entry { reaches: Some(end), .. }) = decode_entry(&bytes, segment.number, offset, None) {
            bytes = piece(size.min(end))?;
        }
        let entry = decode_entry(&bytes, segment.number, offset, Some(trace));
        entry.map(|(chunk, _)| chunk).map_err(|entry| entry.error.in_file(segment.file()))
    }

    /// Reads the segment at `position` front to back, whatever the index says of it.
    ///
    /// After a wrong checksum the scan goes on behind that chunk; after any other error it is over. A tail of
    /// zeros, left by a writer that allocated ahead, is the end.
    pub fn scan_segment(&self, position: u32) -> SegmentScan<'_> {
        self.scan_range(position, 0..u64::MAX)
    }

    /// As [`Chunks::scan_segment`], of the bytes in `range` alone, as if the file ended with it. A range that begins
    /// behind the header begins with a chunk.
    pub fn scan_range(&self, position: u32, range: Range<u64>) -> SegmentScan<'_> {
        let pending = self.segment(ChunkRef::new(position, 0)).map(|segment| segment.number);
        SegmentScan {
            chunks: self,
            position,
            pending: Some(pending),
            number: 0,
            at: range.start,
            end: range.end,
            start: 0,
            window: Bytes::new(),
        }
    }

    /// As [`Chunks::scan_segment`], of the segment with this number in its name, also behind a gap.
    pub fn scan_number(&self, number: u32) -> SegmentScan<'_> {
        let position = number.saturating_sub(1);
        SegmentScan { position, pending: Some(Ok(number)), ..self.scan_segment(position) }
    }

    fn segment(&self, chunk_ref: ChunkRef) -> Result<Segment<'_>, Error> {
        let number = self.segments.number(chunk_ref)?;
        let position = usize::try_from(chunk_ref.segment_position()).unwrap_or(usize::MAX);
        match self.headers_checked.get(position) {
            Some(header_checked) => Ok(Segment { number, header_checked }),
            None => Err(self.segments.none_at(chunk_ref)),
        }
    }

    /// Reads `refs`, all of them in `segment`.
    fn read_segment(&self, segment: Segment<'_>, refs: &[ChunkRef], into: &mut Vec<Result<Chunk, Error>>) {
        let check_header = !segment.header_checked.load(Ordering::Relaxed);
        let ranges = asked(refs, check_header);

        let mut pieces = match self.pieces(segment.file(), &ranges) {
            Ok(pieces) => pieces.into_iter(),
            Err(error) => return into.extend(refs.iter().map(|_| Err(segment.unreadable(&error)))),
        };
        if check_header {
            if let Err(error) = decode_header(&pieces.next().unwrap_or_default()) {
                return into.extend(refs.iter().map(|_| Err(error.clone().in_file(segment.file()))));
            }
            segment.header_checked.store(true, Ordering::Relaxed);
        }

        // Places in `into` of chunks that reach past their piece, and the ranges they do fill.
        let mut longer = Vec::new();
        for ((chunk_ref, piece), asked) in
            refs.iter().zip(pieces).zip(ranges.iter().skip(check_header.into()))
        {
            let offset = chunk_ref.offset();
            let entry = decode_entry(&piece, segment.number, offset, None);
            if let Err(Entry { reaches: Some(end), .. }) = entry
                && piece.len() as u64 == asked.end - asked.start
            {
                longer.push((into.len(), offset..end));
            }
            into.push(entry.map(|(chunk, _)| chunk).map_err(|entry| entry.error.in_file(segment.file())));
        }
        if !longer.is_empty() {
            self.read_longer(segment, longer, into);
        }
    }

    /// Replaces the results of chunks that a first guess cut, as far as the file holds them.
    fn read_longer(
        &self,
        segment: Segment<'_>,
        mut longer: Vec<(usize, Range<u64>)>,
        into: &mut [Result<Chunk, Error>],
    ) {
        let file = segment.file();
        let read = self.source.size(file).and_then(|size| {
            for (place, range) in longer.iter().filter(|(_, range)| range.end > size) {
                // Cut by the file, not by the guess: in its data, or in the checksum behind it.
                if let Some(Err(Error::Decode { source: DecodeError { offset, kind }, .. })) =
                    into.get_mut(*place)
                    && let DecodeErrorKind::Truncated { needed, left, .. } = kind
                {
                    let checksum = range.end.saturating_sub(CRC_BYTES);
                    if checksum <= size {
                        (*offset, *needed) = (checksum, CRC_BYTES);
                    }
                    *left = size.saturating_sub(*offset);
                }
            }
            longer.retain(|(_, range)| range.end <= size);
            let ranges: Vec<_> = longer.iter().map(|(_, range)| range.clone()).collect();
            self.pieces(file, &ranges)
        });
        let results: Vec<_> = match read {
            Ok(pieces) => iter::zip(&longer, pieces)
                .map(|((_, range), piece)| match decode_entry(&piece, segment.number, range.start, None) {
                    Ok((chunk, _)) => Ok(chunk),
                    Err(entry) => Err(entry.error.in_file(file)),
                })
                .collect(),
            Err(error) => longer.iter().map(|_| Err(segment.unreadable(&error))).collect(),
        };
        for ((place, _), result) in iter::zip(longer, results) {
            if let Some(slot) = into.get_mut(place) {
                *slot = result;
            }
        }
    }

    /// One piece for each of `ranges`.
    fn pieces(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let pieces = self.source.read(file, ranges)?;
        if pieces.len() != ranges.len() {
            return Err(io::Error::other("the source answered fewer or more ranges than asked"));
        }
        Ok(pieces)
    }
}

impl Segment<'_> {
    fn file(&self) -> BlockFile {
        BlockFile::Segment(self.number)
    }

    /// The error of one chunk, when `error` hit them all.
    fn unreadable(&self, error: &io::Error) -> Error {
        Error::Read { file: self.file(), source: io::Error::new(error.kind(), error.to_string()) }
    }
}

/// Every chunk of one segment with its ref, front to back.
#[derive(Debug)]
pub struct SegmentScan<'a> {
    chunks: &'a Chunks,
    position: u32,
    /// What opening the segment gave, until the header is read.
    pending: Option<Result<u32, Error>>,
    number: u32,
    /// File offset of the next chunk; `u64::MAX` when the scan is over.
    at: u64,
    /// Nothing is read from here on.
    end: u64,
    /// File offset of `window`.
    start: u64,
    window: Bytes,
}

impl Iterator for SegmentScan<'_> {
    type Item = Result<(ChunkRef, Chunk), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        if !matches!(item, Some(Ok(_))) && !matches!(&item, Some(Err(error)) if is_checksum(error)) {
            self.at = u64::MAX;
        }
        item
    }
}

impl SegmentScan<'_> {
    fn advance(&mut self) -> Result<Option<(ChunkRef, Chunk)>, Error> {
        if let Some(number) = self.pending.take() {
            self.number = number?;
            if self.at < HEADER_BYTES {
                self.at = 0;
                self.fetch(SCAN_BYTES)?;
                decode_header(&self.window).map_err(|error| error.in_file(self.file()))?;
                self.at = HEADER_BYTES;
            } else {
                self.start = self.at;
            }
        }
        if self.at == u64::MAX || self.is_at_end()? {
            return Ok(None);
        }
        let chunk_ref = match u32::try_from(self.at) {
            Ok(offset) => ChunkRef::new(self.position, offset),
            Err(_) => {
                let expected = "below 4 GiB, for refs to reach it";
                return Err(
                    DecodeError::invalid(self.at, "chunk offset", self.at, expected).in_file(self.file())
                );
            }
        };
        let mut entry = decode_entry(&self.rest(), self.number, self.at, None);
        let window_end = self.start + self.window.len() as u64;
        if let Err(Entry { reaches: Some(end), .. }) = entry
            && end > window_end
        {
            self.fetch(SCAN_BYTES.max(end - self.at))?;
            entry = decode_entry(&self.rest(), self.number, self.at, None);
        }
        match entry {
            Ok((chunk, end)) => {
                self.at = end;
                Ok(Some((chunk_ref, chunk)))
            }
            Err(Entry { error, reaches }) => {
                self.at = reaches.unwrap_or(u64::MAX);
                Err(error.in_file(self.file()))
            }
        }
    }

    /// True at the end of the file, or when only zeros follow. Zeros with something behind them are an error.
    fn is_at_end(&mut self) -> Result<bool, Error> {
        let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        if self.rest().len() < SMALLEST_ENTRY_BYTES {
            self.fetch(SCAN_BYTES)?;
        }
        let mut rest = self.rest();
        if !is_zero(rest.get(..SMALLEST_ENTRY_BYTES).unwrap_or(&rest)) {
            return Ok(false);
        }
        let at = self.at;
        while is_zero(&rest) {
            if rest.is_empty() {
                return Ok(true);
            }
            self.at += rest.len() as u64;
            self.fetch(SCAN_BYTES)?;
            rest = self.rest();
        }
        let expected = "a chunk, or zeros to the end of the file";
        Err(DecodeError::invalid(at, "chunk entry", 0, expected).in_file(self.file()))
    }

    /// Makes `window` the next `bytes` bytes, or what the file still holds of them.
    fn fetch(&mut self, bytes: u64) -> Result<(), Error> {
        let unreadable = |source| Error::Read { file: BlockFile::Segment(self.number), source };
        let size = self.chunks.source.size(self.file()).map_err(unreadable)?;
        let range = self.at..self.at.saturating_add(bytes).min(size).min(self.end);
        let mut pieces = Vec::new();
        if !range.is_empty() {
            pieces = self.chunks.pieces(self.file(), &[range]).map_err(unreadable)?;
        }
        (self.start, self.window) = (self.at, pieces.pop().unwrap_or_default());
        Ok(())
    }

    fn rest(&self) -> Bytes {
        let skip = usize::try_from(self.at - self.start).unwrap_or(usize::MAX);
        self.window.slice(skip.min(self.window.len())..)
    }

    fn file(&self) -> BlockFile {
        BlockFile::Segment(self.number)
    }
}

fn is_checksum(error: &Error) -> bool {
    matches!(error, Error::Decode { source: DecodeError { kind: DecodeErrorKind::Checksum { .. }, .. }, .. })
}

/// The bytes to ask for chunks of one segment, and before them for its header, if that is to be checked.
fn asked(refs: &[ChunkRef], check_header: bool) -> Vec<Range<u64>> {
    let header = check_header.then_some(0..HEADER_BYTES);
    let nexts = refs.iter().skip(1).map(|next| Some(next.offset())).chain([None]);
    let guesses = iter::zip(refs, nexts).map(|(chunk_ref, next)| guess(chunk_ref.offset(), next));
    header.into_iter().chain(guesses).collect()
}

/// The bytes to ask for a chunk at `offset`, when the next one wanted stands at `next`.
fn guess(offset: u64, next: Option<u64>) -> Range<u64> {
    let near = offset + SMALLEST_ENTRY_BYTES as u64..=offset + NEXT_REF_BYTES;
    let end = next.filter(|next| near.contains(next)).unwrap_or(offset + CHUNK_READ_AHEAD_BYTES);
    offset..end
}

fn decode_header(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(bytes, 0);
    cursor.magic("segment magic", MAGIC)?;
    let version = cursor.u8("segment version")?;
    if version != VERSION {
        return Err(DecodeError::invalid(4, "segment version", version.into(), "1"));
    }
    cursor.array::<3>("segment header padding").map(|_| ())
}

/// An entry that is wrong or not all there.
struct Entry {
    error: DecodeError,
    /// File offset of its end, when its length is known.
    reaches: Option<u64>,
}

/// The chunk that `bytes` begins with, and the file offset of its end.
fn decode_entry(
    bytes: &Bytes,
    segment: u32,
    offset: u64,
    trace: Option<&Trace>,
) -> Result<(Chunk, u64), Entry> {
    const LENGTH: &str = "chunk length";
    let lost = |error| Entry { error, reaches: None };
    if offset < HEADER_BYTES {
        let expected = "at least 8, behind the segment header";
        return Err(lost(DecodeError::invalid(offset, "chunk offset", offset, expected)));
    }
    let (len, mut cursor) = match **bytes {
        // Most lengths take one byte or two; a call and its error cost more than all the rest.
        [len @ ..0x80, ref rest @ ..] if trace.is_none() => (u64::from(len), Cursor::new(rest, offset + 1)),
        [low, high @ ..0x80, ref rest @ ..] if trace.is_none() => {
            (u64::from(low & 0x7f) | u64::from(high) << 7, Cursor::new(rest, offset + 2))
        }
        _ => {
            // Whatever stands behind five bytes, so that it does not matter how much was read.
            let head = bytes.get(..LENGTH_BYTES).unwrap_or_default();
            if !head.is_empty() && head.iter().all(|byte| *byte >= 0x80) {
                let field = "size of chunk length in bytes";
                return Err(lost(DecodeError::invalid(offset, field, 6, "at most 5")));
            }
            let mut cursor = Cursor::new(bytes, offset).traced(trace);
            (cursor.uvarint(LENGTH).map_err(lost)?, cursor)
        }
    };
    let start = cursor.offset();
    // At most 35 bits of length, so nothing overflows from here on.
    let end = start + 1 + len + CRC_BYTES;
    let found = |error| Entry { error, reaches: Some(end) };
    let mut entry = cursor.clone();
    let covered = cursor.take("chunk", 1 + len).map_err(found)?;
    entry.u8("chunk encoding").map_err(found)?;
    checksum::verify(&mut cursor, "chunk", covered).map_err(found)?;
    let (encoding, data) = covered.split_first().unwrap_or((&0, &[]));
    let chunk = Chunk::new(Encoding::from_byte(*encoding), bytes.slice_ref(data), segment, start + 1);
    Ok((chunk, end))
}

#[cfg(test)]
mod tests;
