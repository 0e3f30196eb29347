//! Decodes every native histogram of a block: CPU time per histogram, beside the reference and plain reading.
//!
//! ```text
//! cargo bench -p benches --bench decode_histogram -- [--block DIR] [--reference-ns NS] [--passes N]
//! ```
//! Without `--block` (or `PROMBLOCK_BENCH_BLOCK`) the chunks are made up: latencies in 40 buckets, scraped every 15 s.
//! `--reference-ns` (or `PROMBLOCK_REFERENCE_NS`) is what the reference implementation needs per histogram on the same
//! block, measured in the same run.

use std::error::Error;
use std::hint::black_box;

use tsdb_reader::samples::{HistogramColumns, HistogramDecoder};
use tsdb_reader::source::Source;
use tsdb_reader::{Chunk, DecodeError};

use encode_histogram::{Form, Layout, Sample, histograms};
use resident::{Options, Reading, Resident, print, random, timed};

#[expect(dead_code, reason = "what writes floats")]
#[path = "../tsdb-reader/src/samples/tests/encode.rs"]
mod encode;
#[path = "../tsdb-reader/src/samples/tests/encode_histogram.rs"]
mod encode_histogram;
mod resident;

/// Chunks of the shape that scrapes have.
fn made_up() -> Resident {
    const SERIES: u64 = 1_000;
    let mut below = random();
    let layout = Layout { schema: 3, spans: [vec![(-40, 24), (2, 16)], vec![]], ..Layout::default() };
    let form = Form { float: false, starts: false };
    let mut chunks = Vec::new();
    for series in 0..SERIES {
        let busy = 1 + series % 97;
        let mut sample = Sample { time_ms: 1_768_464_000_000, ..Sample::default() };
        let [positive, _] = &mut sample.buckets;
        positive.resize(40, 0);
        for _ in 0..10 {
            let mut samples = Vec::new();
            for _ in 0..48 {
                sample.time_ms += 15_000;
                let mut sum = f64::from_bits(sample.sum);
                let [positive, _] = &mut sample.buckets;
                for bucket in positive {
                    let more = below(busy) * below(2) * below(2);
                    *bucket += more;
                    sample.count += more;
                    sum += more as f64 / 1024.0;
                }
                sample.sum = sum.to_bits();
                samples.push(sample.clone());
            }
            chunks.push((2, histograms(form, 0, &layout, &samples)));
        }
    }
    Resident::made_up(format!("{SERIES} made-up series"), chunks)
}

/// Times and counts as the reference timer sums them, to be compared with its figure.
#[expect(clippy::cast_possible_truncation, reason = "sums whole values")]
fn sum_of(chunk: &Chunk) -> Result<u64, DecodeError> {
    let mut sum = 0u64;
    for histogram in chunk.histograms()? {
        let histogram = histogram?;
        let whole = histogram.as_row().as_f64(histogram.count) as i64;
        sum = sum.wrapping_add((histogram.timestamp_ms ^ whole).cast_unsigned());
    }
    Ok(sum)
}

#[expect(clippy::print_stdout, reason = "a bench prints")]
fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    let source = match options.block {
        Some(dir) => Resident::open(dir)?,
        None => made_up(),
    };
    // Twelve chunks at a time, as a series of two hours has.
    let reading = Reading::of(source, 12)?;
    let mut columns = HistogramColumns::default();
    let mut decoder = HistogramDecoder::default();

    let [crc, entries] = reading.plain(options.passes)?;
    let (mut samples, mut buckets, mut checksum) = (0, 0, 0u64);
    let together = timed(options.passes, || {
        (samples, buckets) = (0, 0);
        reading.each_series(|chunks| {
            columns.clear();
            for chunk in chunks {
                decoder.append(chunk, &mut columns)?;
            }
            samples += columns.len();
            buckets += columns.buckets.len();
            black_box(&columns);
            Ok(())
        })
    })?;
    let mut bounds = Vec::new();
    let ascending = timed(options.passes, || {
        reading.each_series(|chunks| {
            columns.clear();
            for chunk in chunks {
                decoder.append(chunk, &mut columns)?;
            }
            for layout in &columns.layouts {
                layout.ascending_bounds(&mut bounds);
                black_box(&bounds);
            }
            for row in (0..columns.len()).filter_map(|row| columns.row(row)) {
                black_box(row.counts_ascending().fold(0u64, u64::wrapping_add));
            }
            Ok(())
        })
    })?;
    let one_by_one = timed(options.passes, || {
        checksum = 0;
        reading.each_series(|chunks| {
            for chunk in chunks {
                checksum = checksum.wrapping_add(sum_of(chunk)?);
            }
            Ok(())
        })
    })?;

    let source = &reading.source;
    println!(
        "{}: {} chunks, {samples} histograms, {:.1} buckets each, {} bytes, sum {checksum}",
        source.location(),
        reading.len(),
        buckets as f64 / samples as f64,
        source.size(),
    );
    let rows = [
        crc,
        entries,
        ("HistogramDecoder", together),
        ("with bounds, ascending", ascending),
        ("iterator", one_by_one),
    ];
    print(source, samples, options.reference_ns, &rows)
}
