//! The index of a built block, in version 2.
//!
//! ```text
//! ┌──────────────────────┬─────────┬────────┬────────────────┬───────────────────────┬─────┐
//! │ magic u32, version 2 │ symbols │ series │ postings lists │ postings offset table │ toc │
//! └──────────────────────┴─────────┴────────┴────────────────┴───────────────────────┴─────┘
//!   series entries begin at multiples of 16, postings lists at multiples of 4; each is followed by its checksum
//! ```
//! Defined in Prometheus' `tsdb/docs/format/index.md`.

use std::collections::BTreeMap;
use std::io;

use tsdb_reader::SeriesRef;
use tsdb_reader::checksum::crc32c;
use tsdb_reader::index::ChunkMeta;

use super::put::{put_str, put_uvarint, put_varint};
use super::spool::Spool;

const MAGIC: u32 = 0xbaaa_d700;
const VERSION: u8 = 2;
const SERIES_ALIGN: u64 = 16;
const POSTINGS_ALIGN: u64 = 4;

/// A series as the index has it.
pub(super) struct IndexSeries<'a> {
    /// Numbers of symbols.
    pub labels: &'a [(u32, u32)],
    pub chunks: &'a [ChunkMeta],
}

/// Writes the index of `series`, which are in label order, as `symbols` are in their own; returns the reference of
/// each.
pub(super) fn write(
    out: &mut Spool,
    symbols: &[&[u8]],
    series: &[IndexSeries<'_>],
) -> io::Result<Vec<SeriesRef>> {
    out.write(&MAGIC.to_be_bytes())?;
    out.write(&[VERSION])?;
    let mut toc = Toc { symbols: out.len(), ..Toc::default() };
    write_symbols(out, symbols)?;
    toc.series = out.len();
    let mut refs = Vec::with_capacity(series.len());
    let mut postings: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    let mut body = Vec::new();
    for at in series {
        pad(out, SERIES_ALIGN)?;
        let number = u32::try_from(out.len() / SERIES_ALIGN).map_err(|_| too_large("series"))?;
        refs.push(SeriesRef(number.into()));
        body.clear();
        put_uvarint(&mut body, at.labels.len() as u64);
        for &(name, value) in at.labels {
            put_uvarint(&mut body, name.into());
            put_uvarint(&mut body, value.into());
            postings.entry((name, value)).or_default().push(number);
        }
        put_chunks(&mut body, at.chunks);
        let mut len = Vec::new();
        put_uvarint(&mut len, body.len() as u64);
        out.write(&len)?;
        out.write(&body)?;
        out.write(&crc32c(&body).to_be_bytes())?;
    }
    toc.postings = out.len();
    let symbol = |number: u32| symbols.get(number as usize).copied().unwrap_or_default();
    let all: Vec<u32> = refs.iter().map(|SeriesRef(number)| u32::try_from(*number).unwrap_or(0)).collect();
    let count = u32::try_from(postings.len() + 1).map_err(|_| too_large("postings offset table"))?;
    let mut table = count.to_be_bytes().to_vec();
    let lists = postings.iter().map(|(&(name, value), list)| (symbol(name), symbol(value), list));
    for (name, value, list) in [(&b""[..], &b""[..], &all)].into_iter().chain(lists) {
        pad(out, POSTINGS_ALIGN)?;
        put_uvarint(&mut table, 2);
        put_str(&mut table, name);
        put_str(&mut table, value);
        put_uvarint(&mut table, out.len());
        let mut body = Vec::with_capacity(4 + list.len() * 4);
        body.extend_from_slice(&u32::try_from(list.len()).map_err(|_| too_large("postings"))?.to_be_bytes());
        list.iter().for_each(|number| body.extend_from_slice(&number.to_be_bytes()));
        write_section(out, &body, "postings")?;
    }
    toc.postings_table = out.len();
    write_section(out, &table, "postings offset table")?;
    toc.write(out)?;
    Ok(refs)
}

/// Writes all names and values.
fn write_symbols(out: &mut Spool, symbols: &[&[u8]]) -> io::Result<()> {
    let count = u32::try_from(symbols.len()).map_err(|_| too_large("symbols"))?;
    let mut body = count.to_be_bytes().to_vec();
    symbols.iter().for_each(|symbol| put_str(&mut body, symbol));
    write_section(out, &body, "symbols")
}

/// Times and references as differences, which wrap where chunks overlap.
fn put_chunks(body: &mut Vec<u8>, chunks: &[ChunkMeta]) {
    put_uvarint(body, chunks.len() as u64);
    let mut last: Option<&ChunkMeta> = None;
    for chunk in chunks {
        let span_ms = chunk.max_time_ms.wrapping_sub(chunk.min_time_ms).cast_unsigned();
        match last {
            None => {
                put_varint(body, chunk.min_time_ms);
                put_uvarint(body, span_ms);
                put_uvarint(body, chunk.chunk_ref.0);
            }
            Some(last) => {
                put_uvarint(body, chunk.min_time_ms.wrapping_sub(last.max_time_ms).cast_unsigned());
                put_uvarint(body, span_ms);
                put_varint(body, chunk.chunk_ref.0.wrapping_sub(last.chunk_ref.0).cast_signed());
            }
        }
        last = Some(chunk);
    }
}

/// A section with its length and checksum.
fn write_section(out: &mut Spool, body: &[u8], name: &'static str) -> io::Result<()> {
    let len = u32::try_from(body.len()).map_err(|_| too_large(name))?;
    out.write(&len.to_be_bytes())?;
    out.write(body)?;
    out.write(&crc32c(body).to_be_bytes())
}

fn pad(out: &mut Spool, align: u64) -> io::Result<()> {
    let zeros = [0; 16];
    let missing = usize::try_from(out.len().next_multiple_of(align) - out.len()).unwrap_or(0);
    out.write(zeros.get(..missing).unwrap_or_default())
}

pub(super) fn too_large(section: &'static str) -> io::Error {
    let message = format!("the {section} of an index in memory would exceed 32 bits; select fewer series");
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

#[derive(Default)]
struct Toc {
    symbols: u64,
    series: u64,
    postings: u64,
    postings_table: u64,
}

impl Toc {
    fn write(&self, out: &mut Spool) -> io::Result<()> {
        let mut bytes = Vec::new();
        // Label indices and their table, which nobody writes any more, are said to lie where their successors do.
        for at in [
            self.symbols,
            self.series,
            self.postings,
            self.postings_table,
            self.postings,
            self.postings_table,
        ] {
            bytes.extend_from_slice(&at.to_be_bytes());
        }
        out.write(&bytes)?;
        out.write(&crc32c(&bytes).to_be_bytes())
    }
}
