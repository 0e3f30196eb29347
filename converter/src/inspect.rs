//! Inspect: what blocks hold, counted from their bytes.
//!
//! Metrics are visited in order over all blocks at once, and so are label names; only the biggest of each are kept,
//! so that memory does not grow with their number.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;

use serde::Serialize;
use tsdb_reader::index::Series;
use tsdb_reader::source::BlockFile;
use tsdb_reader::{Block, Encoding, Error};

use crate::archive::Unpacked;
use crate::blocks::OpenBlock;
use crate::convert::{ConvertError, open_blocks, parse_selectors};
use crate::discover::{ReadOptions, discover};
use crate::finding::{Finding, Findings, Severity};
use crate::options::ConvertOptions;

/// Chunks and samples, and the bytes of their data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Chunks.
    pub chunks: u64,
    /// Samples, by the headers of the chunks.
    pub samples: u64,
    /// Bytes of the chunks' data.
    pub chunk_bytes: u64,
}

impl Volume {
    fn add(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.samples += other.samples;
        self.chunk_bytes += other.chunk_bytes;
    }
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockInfo {
    /// Its ULID.
    pub ulid: String,
    /// Where it is.
    pub location: String,
    /// First millisecond, by meta.json.
    pub min_time_ms: i64,
    /// First millisecond after it, by meta.json.
    pub max_time_ms: i64,
    /// Compaction level.
    pub level: i64,
    /// Milliseconds between samples of a downsampled block; 0 for raw samples.
    pub resolution_ms: i64,
    /// Labels of all its series.
    pub external_labels: BTreeMap<String, String>,
    /// Series, by meta.json.
    pub series: u64,
    /// Chunks, by meta.json.
    pub chunks: u64,
    /// Samples, by meta.json.
    pub samples: u64,
    /// Series with something deleted.
    pub series_with_tombstones: u64,
    /// Version of its index.
    pub index_version: u8,
    /// Size of all its files.
    pub size_bytes: u64,
}

/// Chunks of one encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EncodingInfo {
    /// The byte in the file.
    pub encoding: u8,
    /// Its name.
    pub name: &'static str,
    /// How much of it there is.
    #[serde(flatten)]
    pub volume: Volume,
}

/// One metric, over all blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetricInfo {
    /// Its name; none for series without one.
    pub metric: Option<String>,
    /// Series; one that is in several blocks counts in each.
    pub series: u64,
    /// How much of it there is.
    #[serde(flatten)]
    pub volume: Volume,
}

/// One label name, over all blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelInfo {
    /// The name.
    pub name: String,
    /// Different values.
    pub values: u64,
    /// Series that have it; one that is in several blocks counts in each.
    pub series: u64,
}

/// What blocks hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The blocks that are read, by time.
    pub blocks: Vec<BlockInfo>,
    /// All that was selected.
    pub total: Volume,
    /// Series selected; one that is in several blocks counts in each.
    pub series: u64,
    /// By encoding.
    pub encodings: Vec<EncodingInfo>,
    /// How many metrics there are.
    pub metrics: u64,
    /// Metrics with the most samples.
    pub top_by_samples: Vec<MetricInfo>,
    /// Metrics with the most bytes.
    pub top_by_bytes: Vec<MetricInfo>,
    /// How many label names there are.
    pub labels: u64,
    /// Labels with the most values, of whole blocks whatever is selected.
    pub top_labels: Vec<LabelInfo>,
    /// What was unpacked of archives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unpacked: Vec<Unpacked>,
    /// What could not be read, and blocks that are not.
    pub findings: Findings,
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct InspectOptions {
    /// Blocks, or folders of blocks.
    pub sources: Vec<PathBuf>,
    /// How they are read.
    pub read: ReadOptions,
    /// Series selectors, ORed; all series without any.
    pub selectors: Vec<String>,
    /// Metrics and labels to keep.
    pub top: usize,
}

/// Looks at the blocks of `options`.
pub fn inspect(options: &InspectOptions) -> Result<Inspection, ConvertError> {
    let selectors = parse_selectors(&options.selectors)?;
    let discovery = discover(&options.sources, &options.read)?;
    let mut findings = Findings::default();
    for finding in discovery.findings {
        findings.push(finding);
    }
    let blocks = open_blocks(discovery.blocks, &ConvertOptions::default(), &selectors, &mut findings);
    let mut inspector = Inspector {
        blocks: &blocks,
        top: options.top,
        total: Volume::default(),
        series: 0,
        encodings: BTreeMap::new(),
        findings,
    };
    let (metrics, top_by_samples, top_by_bytes) = inspector.metrics();
    let (labels, top_labels) = inspector.labels();
    let Inspector { total, series, encodings, findings, .. } = inspector;
    let encoding = |(encoding, volume): (u8, Volume)| EncodingInfo {
        encoding,
        name: Encoding::from_byte(encoding).name(),
        volume,
    };
    Ok(Inspection {
        blocks: blocks.iter().map(block_info).collect(),
        total,
        series,
        encodings: encodings.into_iter().map(encoding).collect(),
        metrics,
        top_by_samples,
        top_by_bytes,
        labels,
        top_labels,
        unpacked: discovery.unpacked,
        findings,
    })
}

fn block_info(block: &OpenBlock) -> BlockInfo {
    let meta = block.block.meta();
    BlockInfo {
        ulid: meta.ulid.to_string(),
        location: block.location.clone(),
        min_time_ms: meta.min_time_ms,
        max_time_ms: meta.max_time_ms,
        level: meta.compaction.level,
        resolution_ms: meta.resolution_ms(),
        external_labels: meta
            .external_labels()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        series: meta.stats.num_series,
        chunks: meta.stats.num_chunks,
        samples: meta.stats.num_samples,
        series_with_tombstones: block.tombstones.iter().count() as u64,
        index_version: block.block.index().version(),
        size_bytes: size_bytes(&block.block),
    }
}

fn size_bytes(block: &Block) -> u64 {
    let source = block.source();
    let segments = source.segments().unwrap_or_default().into_iter().map(BlockFile::Segment);
    let files = [BlockFile::Meta, BlockFile::Index, BlockFile::Tombstones].into_iter().chain(segments);
    // A file that is not there takes no room.
    files.filter_map(|file| source.size(file).ok()).sum()
}

struct Inspector<'a> {
    blocks: &'a [OpenBlock],
    top: usize,
    total: Volume,
    series: u64,
    encodings: BTreeMap<u8, Volume>,
    findings: Findings,
}

impl Inspector<'_> {
    fn broken(&mut self, block: &OpenBlock, name: &str, error: &Error) {
        self.findings.push(Finding::new(Severity::Broken, name, block.name(), block.describe(error)));
    }

    /// Visits every metric of all blocks, series without one first.
    fn metrics(&mut self) -> (u64, Vec<MetricInfo>, Vec<MetricInfo>) {
        let blocks = self.blocks;
        let mut metrics = 0;
        let (mut by_samples, mut by_bytes) = (Top::new(self.top), Top::new(self.top));
        let mut visit = |this: &mut Self, metric: Option<&[u8]>, runs: &[(usize, usize)]| {
            let mut info = MetricInfo {
                metric: metric.map(|name| String::from_utf8_lossy(name).into_owned()),
                series: 0,
                volume: Volume::default(),
            };
            for &(at, run) in runs {
                if let Some(block) = blocks.get(at) {
                    this.run(block, run, &mut info);
                }
            }
            if info.series > 0 {
                metrics += u64::from(metric.is_some());
                this.series += info.series;
                this.total.add(info.volume);
                by_samples.push(info.volume.samples, info.clone());
                by_bytes.push(info.volume.chunk_bytes, info);
            }
        };
        let nameless: Vec<_> = (0..blocks.len()).map(|at| (at, 0)).collect();
        visit(self, None, &nameless);
        let next = |at: usize, position: usize| {
            let metric = blocks.get(at)?.metrics.get(position)?;
            Some(Reverse((metric.metric.as_slice(), at, position)))
        };
        let mut heads: BinaryHeap<_> = (0..blocks.len()).filter_map(|at| next(at, 0)).collect();
        let mut runs = Vec::new();
        while let Some(Reverse((metric, at, position))) = heads.pop() {
            runs.clear();
            runs.push((at, position + 1));
            heads.extend(next(at, position + 1));
            while let Some(&Reverse((same, at, position))) = heads.peek()
                && same == metric
            {
                heads.pop();
                runs.push((at, position + 1));
                heads.extend(next(at, position + 1));
            }
            visit(self, Some(metric), &runs);
        }
        (metrics, by_samples.into_sorted(), by_bytes.into_sorted())
    }

    /// Adds the series of one run of a block.
    fn run(&mut self, block: &OpenBlock, run: usize, info: &mut MetricInfo) {
        let refs = match block.run_refs(run) {
            Ok(refs) => refs,
            Err(error) => return self.broken(block, "unreadable-postings", &error),
        };
        let (mut series, mut read) = (Series::default(), Vec::new());
        for series_ref in refs {
            if let Err(error) = block.block.index().series(series_ref, &mut series) {
                self.broken(block, "unreadable-series", &error);
                continue;
            }
            info.series += 1;
            let chunk_refs: Vec<_> = series.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
            read.clear();
            block.chunks.read(&chunk_refs, &mut read);
            for chunk in read.drain(..) {
                let counted = chunk.and_then(|chunk| match chunk.num_samples() {
                    Ok(samples) => Ok((chunk, samples)),
                    Err(error) => Err(error.in_file(chunk.file())),
                });
                match counted {
                    Ok((chunk, samples)) => {
                        let chunk_bytes = chunk.data().len() as u64;
                        let volume = Volume { chunks: 1, samples: samples.into(), chunk_bytes };
                        info.volume.add(volume);
                        self.encodings.entry(chunk.encoding().as_byte()).or_default().add(volume);
                    }
                    Err(error) => self.broken(block, "unreadable-chunk", &error),
                }
            }
        }
    }

    /// Visits every label name of all blocks, values merged.
    fn labels(&mut self) -> (u64, Vec<LabelInfo>) {
        let blocks = self.blocks;
        let mut names = std::collections::BTreeSet::new();
        for block in blocks {
            match block.block.index().label_names() {
                Ok(of_block) => names.extend(of_block.map(<[u8]>::to_vec)),
                Err(error) => self.broken(block, "unreadable-labels", &error),
            }
        }
        let mut top = Top::new(self.top);
        for name in &names {
            let (values, series) = self.label(name);
            top.push(values, LabelInfo { name: String::from_utf8_lossy(name).into_owned(), values, series });
        }
        (names.len() as u64, top.into_sorted())
    }

    fn label(&mut self, name: &[u8]) -> (u64, u64) {
        let blocks = self.blocks;
        let (mut values, mut series) = (0, 0);
        let mut of_blocks = Vec::new();
        for block in blocks {
            // A table that cannot be read was named with the label names.
            let Ok(of_block) = block.block.index().label_values(name) else { continue };
            let mut offsets = Vec::new();
            for (_, offset) in of_block.clone() {
                offsets.push(offset);
                if offsets.len() == POSTINGS_AT_ONCE {
                    series += self.series_in(block, &offsets);
                    offsets.clear();
                }
            }
            series += self.series_in(block, &offsets);
            of_blocks.push(of_block);
        }
        let mut heads = BinaryHeap::new();
        for (at, of_block) in of_blocks.iter_mut().enumerate() {
            heads.extend(of_block.next().map(|(value, _)| Reverse((value, at))));
        }
        let mut last = None;
        while let Some(Reverse((value, at))) = heads.pop() {
            values += u64::from(last != Some(value));
            last = Some(value);
            if let Some((value, _)) = of_blocks.get_mut(at).and_then(Iterator::next) {
                heads.push(Reverse((value, at)));
            }
        }
        (values, series)
    }

    fn series_in(&mut self, block: &OpenBlock, offsets: &[tsdb_reader::index::PostingsOffset]) -> u64 {
        match block.block.index().postings_lens(offsets) {
            Ok(lens) => lens.into_iter().map(u64::from).sum(),
            Err(error) => {
                self.broken(block, "unreadable-postings", &error);
                0
            }
        }
    }
}

/// Postings lists asked for together.
const POSTINGS_AT_ONCE: usize = 4096;

/// The biggest of many; of equal ones the first.
struct Top<T> {
    most: usize,
    kept: Vec<(u64, T)>,
}

impl<T> Top<T> {
    fn new(most: usize) -> Self {
        Self { most, kept: Vec::new() }
    }

    fn push(&mut self, size: u64, value: T) {
        self.kept.push((size, value));
        if self.kept.len() >= 2 * self.most + 64 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.kept.sort_by_key(|&(size, _)| Reverse(size));
        self.kept.truncate(self.most);
    }

    fn into_sorted(mut self) -> Vec<T> {
        self.cut();
        self.kept.into_iter().map(|(_, value)| value).collect()
    }
}
