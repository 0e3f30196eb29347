//! Anatomy: the bytes of one structure of a block beside their meaning.
//!
//! ```text
//! offset  @byte.bit  bits   field              value
//!   0x1a  @16        9875   timestamp delta    15000
//!   0x1c  @18.0      0      value control      0
//!                           = sample 1         time 1700000015000 (2023-11-14T22:13:35Z), value 1.0
//! ```
//! All fields are those that the reader's own decoders took ([`Trace`]), in order of their place, up to the one that
//! failed. A wrong checksum is shown and does not end it. `@byte.bit` is the place in the data of a chunk.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use tsdb_reader::index::Series;
use tsdb_reader::samples::{Histogram, HistogramKind, TracedSample, is_stale_nan};
use tsdb_reader::source::{BlockFile, Source};
use tsdb_reader::trace::{Field, FieldValue, Trace};
use tsdb_reader::{ChunkRef, Chunks, Encoding, Error, Index, SeriesRef, Tombstones, limits};

use crate::discover::{DiscoverError, NEVER, ReadOptions, open_tree};
use crate::error::error_chain;
use crate::finding::Finding;
use crate::time::display_time;

/// Fields of one structure that are shown; the others are counted.
const FIELDS: usize = 1 << 18;

/// Bytes of a field that are shown.
const BYTES_SHOWN: u64 = 32;

/// A structure of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Head and table of contents of the index.
    Toc,
    /// The symbol table.
    Symbols,
    /// A series entry.
    Series(SeriesRef),
    /// A postings list, by its label pair; of two empty strings that of all series.
    Postings(String, String),
    /// The postings offset table.
    Table,
    /// A chunk down to its samples.
    Chunk(ChunkRef),
    /// The tombstones file.
    Tombstones,
}

impl Part {
    /// How parts are named.
    pub const NAMES: &str = "index.toc, index.symbols, index.series:REF, index.postings, \
        index.postings:NAME=VALUE, index.table, chunk:REF, tombstones";
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (part, of) = text.split_once(':').map_or((text, None), |(part, of)| (part, Some(of)));
        let number = |of: &str| match of.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => of.parse(),
        };
        match (part, of) {
            ("index.toc", None) => Ok(Self::Toc),
            ("index.symbols", None) => Ok(Self::Symbols),
            ("index.table", None) => Ok(Self::Table),
            ("tombstones", None) => Ok(Self::Tombstones),
            ("index.postings", None) => Ok(Self::Postings(String::new(), String::new())),
            ("index.postings", Some(of)) => match of.split_once('=') {
                Some((name, value)) => Ok(Self::Postings(name.to_owned(), value.to_owned())),
                None => Err(format!("{of} is no label pair; give NAME=VALUE")),
            },
            ("index.series" | "chunk", Some(of)) => match number(of) {
                Ok(found) if part == "chunk" => Ok(Self::Chunk(ChunkRef(found))),
                Ok(found) => Ok(Self::Series(SeriesRef(found))),
                Err(_) => Err(format!("{of} is no reference; give a number, or one in hex behind 0x")),
            },
            _ => Err(format!("give one of {}", Self::NAMES)),
        }
    }
}

/// Something to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// File offset of the byte it begins in; none for what is made of the fields before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Place in the data of a chunk, as `byte.bit`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// Its bytes in hex, or its bits where it does not begin and end with a byte.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bits: String,
    /// Name of the field.
    pub field: String,
    /// What it holds, and what that means.
    pub value: String,
}

/// Why there is no block to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnatomyError {
    /// SOURCE cannot be used.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// There is none in SOURCE, or there are several.
    #[error(
        "{location} has {found} blocks, and the bytes of a single one are shown; give its folder, or an archive of it"
    )]
    NotOneBlock {
        /// SOURCE.
        location: String,
        /// How many there are.
        found: usize,
    },
}

/// The block that a SOURCE means: it, or the only one in it. Nothing of the block need be sound.
pub fn single_block(
    source: &Path,
    read: &ReadOptions,
    findings: &mut Vec<Finding>,
) -> Result<Arc<dyn Source>, AnatomyError> {
    let unreadable = |error| DiscoverError::Unreadable { path: source.to_owned(), source: error };
    let tree = open_tree(source, read, findings, &mut Vec::new(), &NEVER)?;
    let is_block = |folder: &Path| tree.has(&folder.join("index")) || tree.has(&folder.join("meta.json"));
    let root = Path::new("");
    if is_block(root) {
        return Ok(tree.block(root).map_err(unreadable)?);
    }
    let mut blocks = tree.entries(root).map_err(unreadable)?;
    blocks.retain(|entry| is_block(&entry.name));
    match blocks.as_slice() {
        [block] => Ok(tree.block(&block.name).map_err(unreadable)?),
        blocks => Err(AnatomyError::NotOneBlock { location: tree.location(root), found: blocks.len() }),
    }
}

/// Shows `part` of the block that `source` holds; false when something in it is wrong, which is shown as well.
pub fn show(source: &Arc<dyn Source>, part: &Part, each: &mut dyn FnMut(Row)) -> bool {
    let trace = Arc::new(Trace::new(FIELDS));
    let mut shown = Shown { source, each, file: BlockFile::Index, data: 0, is_sound: true };
    let result = match part {
        Part::Chunk(chunk_ref) => shown.chunk(*chunk_ref, &trace),
        Part::Tombstones => shown.tombstones(&trace),
        part => shown.index(part, &trace),
    };
    // What was read before the error.
    shown.fields(&trace, &mut |_| None);
    if let Err(error) = result {
        shown.error(&error_chain(&error));
    }
    shown.is_sound
}

struct Shown<'a> {
    source: &'a Arc<dyn Source>,
    each: &'a mut dyn FnMut(Row),
    file: BlockFile,
    /// Where the data of the chunk begins; 0 where there is none.
    data: u64,
    is_sound: bool,
}

impl Shown<'_> {
    fn index(&mut self, part: &Part, trace: &Arc<Trace>) -> Result<(), Error> {
        let index = Index::open_traced(Arc::clone(self.source), Arc::clone(trace))?;
        if *part == Part::Toc {
            return Ok(());
        }
        trace.take();
        match part {
            Part::Symbols => {
                let mut number = 0u64;
                let read = index.symbols().map(|_| ());
                self.fields(trace, &mut |field| {
                    number += u64::from(field.name == "symbol");
                    (field.name == "symbol").then(|| format!("symbol {}", number - 1))
                });
                read
            }
            Part::Table => index.postings_table().map(|_| ()),
            Part::Postings(name, value) => {
                let offset = index.postings_table()?.find(name.as_bytes(), value.as_bytes());
                trace.take();
                let Some(offset) = offset else {
                    self.error(&format!("the table of the index has no list for {name}={value}"));
                    return Ok(());
                };
                index.read_postings(offset).map(|_| ())
            }
            Part::Series(series_ref) => {
                let symbols = index.symbols()?;
                trace.take();
                let mut series = Series::new();
                let read = index.series(*series_ref, &mut series);
                let mut chunks = series.chunks.iter();
                self.fields(trace, &mut |field| match (field.name, &field.value) {
                    ("label name symbol" | "label value symbol", FieldValue::Unsigned(symbol)) => {
                        let text = symbols.lookup(tsdb_reader::index::SymbolRef(*symbol)).ok()?;
                        Some(format!("{:?}", String::from_utf8_lossy(text)))
                    }
                    ("chunk ref" | "chunk ref delta", _) => chunks.next().map(|chunk| {
                        let times = (display_time(chunk.min_time_ms), display_time(chunk.max_time_ms));
                        format!("chunk {}, {} to {}", chunk.chunk_ref, times.0, times.1)
                    }),
                    _ => None,
                });
                read
            }
            Part::Toc | Part::Chunk(_) | Part::Tombstones => Ok(()),
        }
    }

    fn tombstones(&mut self, trace: &Trace) -> Result<(), Error> {
        self.file = BlockFile::Tombstones;
        let unreadable = |source| Error::Read { file: BlockFile::Tombstones, source };
        let size = self.source.size(self.file).map_err(unreadable)?.min(limits::TOMBSTONES_BYTES);
        let file = self.source.read(self.file, std::slice::from_ref(&(0..size))).map_err(unreadable)?;
        let read = Tombstones::decode_traced(&file.into_iter().next().unwrap_or_default(), Some(trace));
        self.fields(trace, &mut |field| match (field.name, &field.value) {
            ("tombstone min time" | "tombstone max time", FieldValue::Signed(time_ms)) => {
                Some(display_time(*time_ms))
            }
            _ => None,
        });
        read.map(|_| ()).map_err(|error| error.in_file(BlockFile::Tombstones))
    }

    fn chunk(&mut self, chunk_ref: ChunkRef, trace: &Trace) -> Result<(), Error> {
        let chunks = Chunks::open(Arc::clone(self.source))?;
        self.file = BlockFile::Segment(chunks.segments().number(chunk_ref)?);
        let chunk = chunks.read_traced(chunk_ref, trace)?;
        let (fields, _) = trace.take();
        let (behind, before): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|field| matches!(field.value, FieldValue::Checksum { .. }));
        self.rows(before, &mut meaning);
        self.data = chunk.offset();
        let mut number = 0u64;
        let decoded = chunk.trace_samples(trace, &mut |sample| {
            self.fields(trace, &mut meaning);
            let Some(sample) = sample else {
                number = 0;
                return;
            };
            let row =
                Row { field: format!("= sample {number}"), value: display_sample(&sample), ..Row::default() };
            (self.each)(row);
            number += 1;
        });
        self.fields(trace, &mut meaning);
        if let Err(error) = &decoded {
            self.error(&error_chain(error));
        }
        self.data = 0;
        self.rows(behind, &mut |_| None);
        Ok(())
    }

    /// Shows what was noted since the last call.
    fn fields(&mut self, trace: &Trace, meaning: &mut dyn FnMut(&Field) -> Option<String>) {
        let (mut fields, more) = trace.take();
        // A checksum is read before what it covers.
        fields.sort_by_key(|field| (field.offset, field.bit));
        self.rows(fields, meaning);
        if more > 0 {
            let field = "…".to_owned();
            (self.each)(Row { field, value: format!("{more} fields more"), ..Row::default() });
        }
    }

    fn rows(&mut self, fields: Vec<Field>, meaning: &mut dyn FnMut(&Field) -> Option<String>) {
        for field in fields {
            let bytes = self.bytes_of(&field);
            let (value, is_sound) = display_value(&field, &bytes);
            self.is_sound &= is_sound;
            let value = match meaning(&field) {
                Some(meaning) => format!("{value}  {meaning}"),
                None => value,
            };
            let at = match field.offset.checked_sub(self.data).filter(|_| self.data > 0) {
                Some(byte) if field.bit == 0 && field.width.is_multiple_of(8) => format!("@{byte}"),
                Some(byte) => format!("@{byte}.{}", field.bit),
                None => String::new(),
            };
            let bits = display_bits(&field, &bytes);
            (self.each)(Row { offset: Some(field.offset), at, bits, field: field.name.to_owned(), value });
        }
    }

    /// The bytes in which a field lies; of a long one the first.
    fn bytes_of(&self, field: &Field) -> Vec<u8> {
        let len = (u64::from(field.bit) + field.width).div_ceil(8).min(limits::SERIES_READ_AHEAD_BYTES);
        let range: Range<u64> = field.offset..field.offset.saturating_add(len);
        let read = self.source.read(self.file, std::slice::from_ref(&range)).unwrap_or_default();
        read.first().map(|bytes| bytes.to_vec()).unwrap_or_default()
    }

    fn error(&mut self, text: &str) {
        self.is_sound = false;
        (self.each)(Row { field: "! error".to_owned(), value: text.to_owned(), ..Row::default() });
    }
}

/// What encodings and the fields of a new window say.
fn meaning(field: &Field) -> Option<String> {
    match (field.name, &field.value) {
        (name, FieldValue::Unsigned(byte)) if name.ends_with(" encoding") => {
            u8::try_from(*byte).ok().map(|byte| Encoding::from_byte(byte).name().to_owned())
        }
        ("new value window", FieldValue::Unsigned(bits)) => {
            let significant = (bits.wrapping_sub(1) & 63) + 1;
            Some(format!("{} leading, {significant} significant", bits >> 6))
        }
        _ => None,
    }
}

fn display_bits(field: &Field, bytes: &[u8]) -> String {
    let mut text = String::new();
    if field.bit == 0 && field.width.is_multiple_of(8) {
        for byte in bytes.iter().zip(0..BYTES_SHOWN).map(|(byte, _)| byte) {
            let _infallible = write!(text, "{byte:02x}");
        }
        if field.width > 8 * BYTES_SHOWN {
            text.push('…');
        }
        return text;
    }
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    for (bit, _) in bits.skip(field.bit.into()).zip(0..field.width) {
        text.push(if bit == 1 { '1' } else { '0' });
    }
    text
}

/// The value of a field, and false when it is a wrong checksum.
fn display_value(field: &Field, bytes: &[u8]) -> (String, bool) {
    match field.value {
        FieldValue::Unsigned(value) if field.name.ends_with("magic") => (format!("{value:#010x}"), true),
        FieldValue::Unsigned(value) if field.width == 64 && ["first value", "sum"].contains(&field.name) => {
            (display_float(f64::from_bits(value)), true)
        }
        FieldValue::Unsigned(value) => (value.to_string(), true),
        FieldValue::Signed(value) => (value.to_string(), true),
        FieldValue::Bytes => {
            // A string stands behind its length.
            let length = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
            let text = String::from_utf8_lossy(bytes.get(length..).unwrap_or_default());
            (format!("{text:?}"), true)
        }
        FieldValue::Checksum { stored, computed } if stored == computed => {
            (format!("{stored:#010x}, right"), true)
        }
        FieldValue::Checksum { stored, computed } => {
            (format!("{stored:#010x}, WRONG: {computed:#010x} over the bytes"), false)
        }
    }
}

fn display_float(value: f64) -> String {
    if is_stale_nan(value) {
        return "stale marker".to_owned();
    }
    if value.is_nan() { format!("NaN ({:#018x})", value.to_bits()) } else { format!("{value:?}") }
}

fn display_sample(sample: &TracedSample) -> String {
    let start = |start_ms: i64| match start_ms {
        0 => String::new(),
        start_ms => format!(", since {}", display_time(start_ms)),
    };
    match sample {
        TracedSample::Float(sample) => format!(
            "time {} ({}), value {}{}",
            sample.timestamp_ms,
            display_time(sample.timestamp_ms),
            display_float(sample.value),
            start(sample.start_timestamp_ms)
        ),
        TracedSample::Histogram(histogram) => format!(
            "time {} ({}), {}{}",
            histogram.timestamp_ms,
            display_time(histogram.timestamp_ms),
            display_histogram(histogram),
            start(histogram.start_timestamp_ms)
        ),
    }
}

fn display_histogram(histogram: &Histogram) -> String {
    if is_stale_nan(histogram.sum) {
        return "stale marker".to_owned();
    }
    let count = |bits: u64| match histogram.kind {
        HistogramKind::Integer => bits.to_string(),
        HistogramKind::Float => display_float(f64::from_bits(bits)),
    };
    let buckets: Vec<String> = histogram.buckets.iter().map(|bits| count(*bits)).collect();
    format!(
        "count {}, zero count {}, sum {}, buckets [{}]",
        count(histogram.count),
        count(histogram.zero_count),
        display_float(histogram.sum),
        buckets.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_by_file_structure_and_reference() {
        let part = |text: &str| text.parse::<Part>();
        assert_eq!(part("index.toc"), Ok(Part::Toc));
        assert_eq!(part("chunk:0x100000008"), Ok(Part::Chunk(ChunkRef::new(1, 8))));
        assert_eq!(part("index.series:3"), Ok(Part::Series(SeriesRef(3))));
        let pair = Part::Postings("a".to_owned(), "b=c".to_owned());
        assert_eq!(part("index.postings:a=b=c"), Ok(pair));
        for wrong in
            ["", "index", "index.toc:1", "chunk", "chunk:", "chunk:0x", "chunk:-1", "index.postings:a"]
        {
            assert!(part(wrong).is_err(), "{wrong}");
        }
    }
}
