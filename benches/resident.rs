//! What the decoding benches share: the options, a block in memory, the reading of its chunks, the table.

use std::env;
use std::error::Error;
use std::fmt;
use std::fs;
use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use benches::cpu_seconds;
use bytes::Bytes;
use tsdb_reader::source::{BlockFile, Source};
use tsdb_reader::{Chunk, ChunkRef, Chunks};

/// What a bench was asked for.
pub struct Options {
    /// The block to decode, rather than one made up.
    pub block: Option<PathBuf>,
    /// What the reference needs per sample of it.
    pub reference_ns: Option<f64>,
    /// Runs of each measurement.
    pub passes: usize,
}

impl Options {
    /// From the command line, and the environment.
    pub fn from_args() -> Result<Self, Box<dyn Error>> {
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
pub struct Resident {
    /// What it is called in the table.
    pub name: String,
    /// Its segments by their numbers.
    pub segments: Vec<(u32, Bytes)>,
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

    /// Reads the segments of the block in `dir`.
    pub fn open(dir: PathBuf) -> Result<Self, Box<dyn Error>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir.join("chunks"))? {
            let entry = entry?;
            let number = entry.file_name().to_string_lossy().parse()?;
            segments.push((number, fs::read(entry.path())?.into()));
        }
        Ok(Self { name: dir.display().to_string(), segments })
    }

    /// A segment of `chunks`, each its encoding and its data.
    pub fn made_up(name: String, chunks: impl IntoIterator<Item = (u8, Vec<u8>)>) -> Self {
        let mut bytes = vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
        for (encoding, data) in chunks {
            push_entry(&mut bytes, encoding, &data);
        }
        Self { name, segments: vec![(1, bytes.into())] }
    }

    /// Bytes of all segments.
    pub fn size(&self) -> usize {
        self.segments.iter().map(|(_, bytes)| bytes.len()).sum()
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

/// What was measured, and the least and most seconds it took.
pub type Figure<'a> = (&'a str, (f64, f64));

/// Numbers below a bound, in an order of no pattern.
pub fn random() -> impl FnMut(u64) -> u64 {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    move |bound| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) % bound
    }
}

/// The chunks of a block, some at a time, as of a series.
#[allow(dead_code, reason = "not every bench reads so")]
pub struct Reading {
    /// The block.
    pub source: Arc<Resident>,
    chunks: Chunks,
    refs: Vec<ChunkRef>,
    at_once: usize,
}

#[allow(dead_code, reason = "not every bench reads so")]
impl Reading {
    /// Of all chunks of `source`, `at_once` at a time.
    pub fn of(source: Resident, at_once: usize) -> Result<Self, Box<dyn Error>> {
        let source = Arc::new(source);
        let chunks = Chunks::open(Arc::clone(&source) as Arc<dyn Source>)?;
        let mut refs = Vec::new();
        for position in 0..u32::try_from(source.segments.len())? {
            for item in chunks.scan_segment(position) {
                refs.push(item?.0);
            }
        }
        Ok(Self { source, chunks, refs, at_once })
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.refs.len()
    }

    /// Hands out the chunks of each series.
    pub fn each_series(
        &self,
        mut work: impl FnMut(&[Chunk]) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let (mut found, mut series) = (Vec::new(), Vec::new());
        for refs in self.refs.chunks(self.at_once) {
            self.chunks.read(refs, &mut found);
            series.clear();
            for chunk in found.drain(..) {
                series.push(chunk?);
            }
            work(&series)?;
        }
        Ok(())
    }

    /// What it takes to read without decoding: the checksums alone, and the entries of the chunks.
    pub fn plain(&self, passes: usize) -> Result<[Figure<'static>; 2], Box<dyn Error>> {
        let crc = timed(passes, || {
            for (_, bytes) in &self.source.segments {
                black_box(crc32c::crc32c(bytes));
            }
            Ok(())
        })?;
        let entries = timed(passes, || {
            self.each_series(|chunks| {
                black_box(chunks);
                Ok(())
            })
        })?;
        Ok([("crc of the files", crc), ("chunk entries", entries)])
    }
}

/// Least and most seconds of `passes` runs.
pub fn timed(
    passes: usize,
    mut run: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(f64, f64), Box<dyn Error>> {
    let (mut least, mut most) = (f64::MAX, 0.0f64);
    for _ in 0..passes {
        let start = cpu_seconds();
        run()?;
        let seconds = cpu_seconds() - start;
        (least, most) = (least.min(seconds), most.max(seconds));
    }
    Ok((least, most))
}

/// Prints a row of figures for each measurement, beside the reference and the checksum of the same bytes.
#[expect(clippy::print_stdout, reason = "a bench prints")]
pub fn print(
    source: &Resident,
    samples: usize,
    reference_ns: Option<f64>,
    rows: &[Figure<'_>],
) -> Result<(), Box<dyn Error>> {
    let (_, crc) = *rows.first().ok_or("no row")?;
    println!("{:<34}{:>9} {:>9} {:>7} {:>10} {:>9}", "", "ns/sample", "most", "GB/s", "reference", "crc");
    for (name, (least, most)) in rows {
        let ns = least * 1e9 / samples as f64;
        let reference =
            reference_ns.map_or_else(|| "-".to_owned(), |reference| format!("{:.3}", ns / reference));
        println!(
            "{name:<34}{ns:>9.3} {:>9.3} {:>7.2} {reference:>9}x {:>8.1}x",
            most * 1e9 / samples as f64,
            source.size() as f64 / least / 1e9,
            least / crc.0,
        );
    }
    Ok(())
}
