//! How fast do samples become windows of 5 minutes? Without reading blocks and writing tables: decoding with and without
//! the fold, and the fold of columns in memory.
//!
//! ```text
//! cargo bench -p benches --bench downsample -- [--block DIR] [--reference-ns NS] [--passes N]
//! ```
//! As in `decode.rs`; here the reference is what Thanos' downsampling of the whole block needs per sample.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use tsdb_converter::downsample::{AggregateColumns, Steps, fold};
use tsdb_converter::resolution::Resolution;
use tsdb_reader::samples::{FloatColumns, FloatDecoder};
use tsdb_reader::source::Source;
use tsdb_reader::{Chunk, ChunkRef, Chunks};

use resident::{Options, Resident, print, timed};
use scrapes::{Floats, made_up};

mod resident;
mod scrapes;

/// Chunks of a series of two hours.
const CHUNKS: usize = 4;

/// Series whose columns are folded again and again: few enough to stay near the processor, as they do in a conversion.
const IN_MEMORY: usize = 100;

const STEPS: Steps = Steps { lookback_ms: 3_600_000 };

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    let source = Arc::new(match options.block {
        Some(dir) => Resident::open(dir)?,
        None => made_up(Floats::Xor),
    });
    let chunks = Chunks::open(Arc::clone(&source) as Arc<dyn Source>)?;
    let mut refs = Vec::new();
    for position in 0..u32::try_from(source.segments.len())? {
        for item in chunks.scan_segment(position) {
            refs.push(item?.0);
        }
    }
    let mut found: Vec<Result<Chunk, tsdb_reader::Error>> = Vec::new();
    let mut decoder = FloatDecoder::default();
    let mut decode = |refs: &[ChunkRef], columns: &mut FloatColumns| -> Result<(), Box<dyn Error>> {
        found.clear();
        chunks.read(refs, &mut found);
        columns.clear();
        Ok(decoder.append(found.iter().flatten(), columns).map_err(|(_, error)| error)?)
    };

    let mut in_memory = Vec::new();
    for refs in refs.chunks(CHUNKS).take(IN_MEMORY) {
        let mut columns = FloatColumns::default();
        decode(refs, &mut columns)?;
        in_memory.push(columns);
    }
    let mut columns = FloatColumns::default();
    let mut windows = AggregateColumns::default();
    let mut samples = 0;
    let crc = timed(options.passes, || {
        for (_, bytes) in &source.segments {
            black_box(crc32c::crc32c(bytes));
        }
        Ok(())
    })?;
    let decoded = timed(options.passes, || {
        samples = 0;
        for refs in refs.chunks(CHUNKS) {
            decode(refs, &mut columns)?;
            samples += columns.len();
            black_box(&columns);
        }
        Ok(())
    })?;
    let mut rows = vec![("crc of the files".to_owned(), crc), ("decode".to_owned(), decoded)];
    for (what, width, steps) in [
        ("gauges, 5m", "5m", None),
        ("counters, 5m", "5m", Some(STEPS)),
        ("gauges, 1h", "1h", None),
        ("counters, 1h", "1h", Some(STEPS)),
    ] {
        let resolution: Resolution = width.parse()?;
        let both = timed(options.passes, || {
            for refs in refs.chunks(CHUNKS) {
                decode(refs, &mut columns)?;
                windows.clear();
                black_box(fold(&columns, &[], i64::MIN, resolution, steps, &mut windows));
                black_box(&windows);
            }
            Ok(())
        })?;
        let alone = timed(options.passes, || {
            for columns in in_memory.iter().cycle().take(refs.len() / CHUNKS) {
                windows.clear();
                black_box(fold(columns, &[], i64::MIN, resolution, steps, &mut windows));
                black_box(&windows);
            }
            Ok(())
        })?;
        rows.extend([(format!("decode and fold, {what}"), both), (format!("fold alone, {what}"), alone)]);
    }
    println!("{}: {} chunks, {samples} samples", source.location(), refs.len());
    let rows: Vec<_> = rows.iter().map(|(name, time)| (name.as_str(), *time)).collect();
    print(&source, samples, options.reference_ns, &rows)
}
