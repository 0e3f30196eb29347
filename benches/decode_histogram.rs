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
use std::sync::Arc;

use tsdb_reader::samples::{HistogramColumns, HistogramDecoder};
use tsdb_reader::source::Source;
use tsdb_reader::{Chunk, ChunkRef, Chunks};

use encode_histogram::{Form, Layout, Sample, histograms};
use resident::{Options, Resident, print, timed};

#[expect(dead_code, reason = "what writes floats")]
#[path = "../tsdb-reader/src/samples/tests/encode.rs"]
mod encode;
#[path = "../tsdb-reader/src/samples/tests/encode_histogram.rs"]
mod encode_histogram;
mod resident;

/// Chunks of the shape that scrapes have.
fn made_up() -> Resident {
    const SERIES: u64 = 1_000;
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) % bound
    };
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

#[expect(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a bench prints, and sums whole values"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    let source = match options.block {
        Some(dir) => Resident::open(dir)?,
        None => made_up(),
    };
    let source = Arc::new(source);
    let chunks = Chunks::open(Arc::clone(&source) as Arc<dyn Source>)?;
    let mut refs = Vec::new();
    for position in 0..u32::try_from(source.segments.len())? {
        for item in chunks.scan_segment(position) {
            refs.push(item?.0);
        }
    }
    let mut columns = HistogramColumns::default();
    let mut decoder = HistogramDecoder::default();
    let mut found: Vec<Result<Chunk, tsdb_reader::Error>> = Vec::new();
    // Twelve chunks at a time, as a series of two hours has.
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
        for refs in refs.chunks(12) {
            read(refs, &mut found);
            black_box(&found);
        }
        Ok(())
    })?;
    let (mut samples, mut buckets, mut checksum) = (0, 0, 0u64);
    let together = timed(options.passes, || {
        (samples, buckets) = (0, 0);
        for refs in refs.chunks(12) {
            read(refs, &mut found);
            columns.clear();
            for chunk in &found {
                decoder.append(chunk.as_ref().map_err(ToString::to_string)?, &mut columns)?;
            }
            samples += columns.len();
            buckets += columns.buckets.len();
            black_box(&columns);
        }
        Ok(())
    })?;
    let ascending = timed(options.passes, || {
        let mut bounds = Vec::new();
        for refs in refs.chunks(12) {
            read(refs, &mut found);
            columns.clear();
            for chunk in found.iter().flatten() {
                decoder.append(chunk, &mut columns)?;
            }
            for layout in &columns.layouts {
                layout.ascending_bounds(&mut bounds);
                black_box(&bounds);
            }
            for row in (0..columns.len()).filter_map(|row| columns.row(row)) {
                black_box(row.counts_ascending().fold(0u64, u64::wrapping_add));
            }
        }
        Ok(())
    })?;
    let one_by_one = timed(options.passes, || {
        checksum = 0;
        for refs in refs.chunks(12) {
            read(refs, &mut found);
            for chunk in found.iter().flatten() {
                for histogram in chunk.histograms()? {
                    let histogram = histogram?;
                    // As the reference timer sums them, to be compared with its figure.
                    let whole = histogram.as_row().as_f64(histogram.count) as i64;
                    checksum = checksum.wrapping_add((histogram.timestamp_ms ^ whole).cast_unsigned());
                }
            }
        }
        Ok(())
    })?;

    println!(
        "{}: {} chunks, {samples} histograms, {:.1} buckets each, {} bytes, sum {checksum}",
        source.location(),
        refs.len(),
        buckets as f64 / samples as f64,
        source.size(),
    );
    let rows = [
        ("crc of the files", crc),
        ("chunk entries", entries),
        ("HistogramDecoder", together),
        ("with bounds, ascending", ascending),
        ("iterator", one_by_one),
    ];
    print(&source, samples, options.reference_ns, &rows)
}
