//! Decodes every float sample of a block: CPU time per sample, beside the reference and plain reading.
//!
//! ```text
//! cargo bench -p benches --bench decode_xor -- [--block DIR] [--reference-ns NS] [--passes N]
//! ```
//! Without `--block` (or `PROMBLOCK_BENCH_BLOCK`) the chunks are made up: scrapes every 15 s, some late by
//! milliseconds; counters, gauges of three decimals, constants. `--reference-ns` (or `PROMBLOCK_REFERENCE_NS`) is
//! what the reference implementation needs per sample on the same block, measured in the same run.

use std::env;
use std::error::Error;
use std::fmt;
use std::fs;
use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tsdb_reader::samples::{FloatColumns, FloatDecoder};
use tsdb_reader::source::{BlockFile, Source};
use tsdb_reader::{Chunk, ChunkRef, Chunks};

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

struct Options {
    block: Option<PathBuf>,
    reference_ns: Option<f64>,
    passes: usize,
}

impl Options {
    fn from_args() -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            block: env::var_os("PROMBLOCK_BENCH_BLOCK").map(PathBuf::from),
            reference_ns: env::var("PROMBLOCK_REFERENCE_NS").ok().map(|ns| ns.parse()).transpose()?,
            passes: 7,
        };
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--block" => options.block = Some(value()?.into()),
                "--reference-ns" => options.reference_ns = Some(value()?.parse()?),
                "--passes" => options.passes = value()?.parse()?,
                "--bench" => {}
                _ => return Err(format!("unknown argument {arg}").into()),
            }
        }
        Ok(options)
    }
}

/// The segments of a block, whole in memory: what a memory map is, without the first page faults.
struct Resident {
    name: String,
    segments: Vec<(u32, Bytes)>,
}

impl fmt::Debug for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Source for Resident {
    fn location(&self) -> String {
        self.name.clone()
    }

    fn size(&self, file: BlockFile) -> io::Result<u64> {
        Ok(self.file(file)?.len() as u64)
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        Ok(self.segments.iter().map(|(number, _)| *number).collect())
    }

    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let bytes = self.file(file)?;
        let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        Ok(ranges.iter().map(|range| bytes.slice(cut(range.start)..cut(range.end))).collect())
    }
}

impl Resident {
    fn file(&self, file: BlockFile) -> io::Result<&Bytes> {
        let found = self.segments.iter().find(|(number, _)| BlockFile::Segment(*number) == file);
        found.map(|(_, bytes)| bytes).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open(dir: PathBuf) -> Result<Self, Box<dyn Error>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir.join("chunks"))? {
            let entry = entry?;
            let number = entry.file_name().to_string_lossy().parse()?;
            segments.push((number, fs::read(entry.path())?.into()));
        }
        Ok(Self { name: dir.display().to_string(), segments })
    }

    fn made_up(encoding: Floats) -> Self {
        const SERIES: u64 = 5_000;
        let mut bytes = vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
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
                let (encoding, data) = match encoding {
                    Floats::Xor => (1, encode::xor(&samples)),
                    Floats::Xor2 => (4, encode::xor2(&samples)),
                };
                push_entry(&mut bytes, encoding, &data);
            }
        }
        Self { name: format!("{SERIES} made-up series"), segments: vec![(1, bytes.into())] }
    }
}

fn push_entry(bytes: &mut Vec<u8>, encoding: u8, data: &[u8]) {
    let mut len = data.len();
    while len >= 0x80 {
        bytes.extend((len & 0x7f | 0x80).to_le_bytes().first());
        len >>= 7;
    }
    bytes.extend(len.to_le_bytes().first());
    let start = bytes.len();
    bytes.push(encoding);
    bytes.extend_from_slice(data);
    let crc = crc32c::crc32c(bytes.get(start..).unwrap_or_default());
    bytes.extend_from_slice(&crc.to_be_bytes());
}

/// CPU time of this thread in seconds, to the nanosecond.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: f64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(ns / 1e9)
}

/// Least and most seconds of `passes` runs.
fn timed(
    passes: usize,
    mut run: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(f64, f64), Box<dyn Error>> {
    let (mut least, mut most) = (f64::MAX, 0.0f64);
    for _ in 0..passes {
        let start = cpu_seconds()?;
        run()?;
        let seconds = cpu_seconds()? - start;
        (least, most) = (least.min(seconds), most.max(seconds));
    }
    Ok((least, most))
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
        None => Resident::made_up(encoding),
    };
    let source = Arc::new(source);
    let chunks = Chunks::open(Arc::clone(&source) as Arc<dyn Source>)?;
    let mut refs = Vec::new();
    for position in 0..u32::try_from(source.segments.len())? {
        for item in chunks.scan_segment(position) {
            refs.push(item?.0);
        }
    }
    let size: usize = source.segments.iter().map(|(_, bytes)| bytes.len()).sum();

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
    println!("{:<26}{:>9} {:>9} {:>7} {:>10} {:>9}", "", "ns/sample", "most", "GB/s", "reference", "crc");
    let rows = [
        ("crc of the files", crc),
        ("chunk entries", entries),
        ("chunk by chunk", columns_time),
        ("FloatDecoder", together),
        ("iterator", one_by_one),
    ];
    for (name, (least, most)) in rows {
        let ns = least * 1e9 / samples as f64;
        let reference =
            options.reference_ns.map_or_else(|| "-".to_owned(), |reference| format!("{:.3}", ns / reference));
        println!(
            "{name:<26}{ns:>9.3} {:>9.3} {:>7.2} {reference:>9}x {:>8.1}x",
            most * 1e9 / samples as f64,
            size as f64 / least / 1e9,
            least / crc.0,
        );
    }
    Ok(())
}
