//! Decodes every float sample of a block: CPU time per sample, beside the reference and plain reading.
//!
//! ```text
//! cargo bench -p benches --bench decode_xor -- [--block DIR] [--reference-ns NS] [--passes N]
//! ```
//! Without `--block` (or `PROMBLOCK_BENCH_BLOCK`) the chunks are made up, see `scrapes.rs`. `--reference-ns` (or
//! `PROMBLOCK_REFERENCE_NS`) is what the reference implementation needs per sample on the same block, measured in the
//! same run.

use std::error::Error;
use std::hint::black_box;

use tsdb_reader::samples::{FloatColumns, FloatDecoder};
use tsdb_reader::source::Source;

use super::resident::{Options, Reading, Resident, print, timed};
use super::scrapes::{Floats, made_up};

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
    // Four chunks at a time, as a series of two hours has.
    let reading = Reading::of(source, 4)?;
    let mut columns = FloatColumns::default();
    let mut decoder = FloatDecoder::default();

    let [crc, entries] = reading.plain(options.passes)?;
    let (mut samples, mut checksum) = (0, 0u64);
    let by_chunk = timed(options.passes, || {
        samples = 0;
        reading.each_series(|chunks| {
            columns.clear();
            for chunk in chunks {
                chunk.append_to(&mut columns)?;
            }
            samples += columns.len();
            black_box(&columns);
            Ok(())
        })
    })?;
    let together = timed(options.passes, || {
        reading.each_series(|chunks| {
            columns.clear();
            decoder.append(chunks, &mut columns).map_err(|(_, error)| error)?;
            black_box(&columns);
            Ok(())
        })
    })?;
    let one_by_one = timed(options.passes, || {
        checksum = 0;
        reading.each_series(|chunks| {
            for chunk in chunks {
                for sample in chunk.floats()? {
                    let sample = sample?;
                    // As the reference timer sums them, to be compared with its figure.
                    let whole = sample.value as i64;
                    checksum = checksum.wrapping_add((sample.timestamp_ms ^ whole).cast_unsigned());
                }
            }
            Ok(())
        })
    })?;

    let source = &reading.source;
    println!(
        "{}: {} chunks, {samples} samples, {} bytes, sum {checksum}",
        source.location(),
        reading.len(),
        source.size(),
    );
    let rows =
        [crc, entries, ("chunk by chunk", by_chunk), ("FloatDecoder", together), ("iterator", one_by_one)];
    print(source, samples, options.reference_ns, &rows)
}
