//! Decodes every float sample of a block: CPU time per sample, beside the reference and plain reading.
//!
//! ```text
//! cargo bench -p benches --bench decode_xor -- [--block DIR] [--reference-ns NS] [--passes N]
//! ```
//! Without `--block` (or `PROMBLOCK_BENCH_BLOCK`) the chunks are made up: scrapes every 15 s, some late by
//! milliseconds; counters, gauges of three decimals, constants. `--reference-ns` (or `PROMBLOCK_REFERENCE_NS`) is
//! what the reference implementation needs per sample on the same block, measured in the same run.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use tsdb_reader::samples::{FloatColumns, FloatDecoder};
use tsdb_reader::source::Source;
use tsdb_reader::{Chunk, ChunkRef, Chunks};

use super::resident::{Options, Resident, print, timed};

#[path = "../tsdb-reader/src/samples/tests/encode.rs"]
mod encode;

/// Which encoding a bench is about.
#[derive(Clone, Copy)]
#[expect(dead_code, reason = "each bench is about one of them")]
pub enum Floats {
    /// Encoding 1.
    Xor,
    /// Encoding 4.
    Xor2,
}

/// Chunks of the shape that scrapes have.
fn made_up(encoding: Floats) -> Resident {
    const SERIES: u64 = 5_000;
    let mut chunks = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) % bound
    };
    for series in 0..SERIES {
        let busy = 1 + series % 97;
        let (mut scrape_ms, mut counter) = (1_768_464_000_000i64, below(1_000_000));
        for _ in 0..4 {
            let mut samples = Vec::new();
            for _ in 0..120 {
                let late_ms = if below(5) == 0 { i64::try_from(below(7)).unwrap_or(0) } else { 0 };
                counter += below(busy);
                // Counts are small, so that they are exact.
                let value = match series % 8 {
                    0 => 1.0,
                    1 | 2 => (10_000.0 + below(busy * 10) as f64) / 1000.0,
                    _ => counter as f64,
                };
                samples.push((scrape_ms + late_ms, 0, value.to_bits()));
                scrape_ms += 15_000;
            }
            chunks.push(match encoding {
                Floats::Xor => (1, encode::xor(&samples)),
                Floats::Xor2 => (4, encode::xor2(&samples)),
            });
        }
    }
    Resident::made_up(format!("{SERIES} made-up series"), chunks)
}

/// Runs the bench and prints its figures.
#[expect(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a bench prints, and sums whole values"
)]
pub fn main(encoding: Floats) -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    let source = match options.block {
        Some(dir) => Resident::open(dir)?,
        None => made_up(encoding),
    };
    let source = Arc::new(source);
    let chunks = Chunks::open(Arc::clone(&source) as Arc<dyn Source>)?;
    let mut refs = Vec::new();
    for position in 0..u32::try_from(source.segments.len())? {
        for item in chunks.scan_segment(position) {
            refs.push(item?.0);
        }
    }
    let size = source.size();

    let mut columns = FloatColumns::default();
    let mut decoder = FloatDecoder::default();
    let mut found: Vec<Result<Chunk, tsdb_reader::Error>> = Vec::new();
    // Four chunks at a time, as a series of two hours has.
    let read = |refs: &[ChunkRef], found: &mut Vec<_>| {
        found.clear();
        chunks.read(refs, found);
    };

    let crc = timed(options.passes, || {
        for (_, bytes) in &source.segments {
            black_box(crc32c::crc32c(bytes));
        }
        Ok(())
    })?;
    let entries = timed(options.passes, || {
        for refs in refs.chunks(4) {
            read(refs, &mut found);
            black_box(&found);
        }
        Ok(())
    })?;
    let mut samples = 0;
    let columns_time = timed(options.passes, || {
        samples = 0;
        for refs in refs.chunks(4) {
            read(refs, &mut found);
            columns.clear();
            for chunk in &found {
                let chunk = chunk.as_ref().map_err(ToString::to_string)?;
                chunk.append_to(&mut columns)?;
            }
            samples += columns.len();
            black_box(&columns);
        }
        Ok(())
    })?;
    let mut checksum = 0u64;
    let together = timed(options.passes, || {
        for refs in refs.chunks(4) {
            read(refs, &mut found);
            columns.clear();
            decoder.append(found.iter().flatten(), &mut columns).map_err(|(_, error)| error)?;
            black_box(&columns);
        }
        Ok(())
    })?;
    let one_by_one = timed(options.passes, || {
        checksum = 0;
        for refs in refs.chunks(4) {
            read(refs, &mut found);
            for chunk in found.iter().flatten() {
                for sample in chunk.floats()? {
                    let sample = sample?;
                    // As the reference timer sums them, to be compared with its figure.
                    let whole = sample.value as i64;
                    checksum = checksum.wrapping_add((sample.timestamp_ms ^ whole).cast_unsigned());
                }
            }
        }
        Ok(())
    })?;

    println!("{}: {} chunks, {samples} samples, {size} bytes, sum {checksum}", source.location(), refs.len());
    let rows = [
        ("crc of the files", crc),
        ("chunk entries", entries),
        ("chunk by chunk", columns_time),
        ("FloatDecoder", together),
        ("iterator", one_by_one),
    ];
    print(&source, samples, options.reference_ns, &rows)
}
