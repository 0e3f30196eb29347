//! Plan: the units of work of a run.
//!
//! ```text
//!              shard 0      shard 1      shard 2        a shard: a contiguous range of metrics,
//! 2026-11-19 │ unit       │ unit       │ unit       │   chosen once per DEST
//! 2026-11-20 │ unit       │ unit       │ unit       │   a unit reads every block that overlaps its partition
//! ```
//! Units are independent and idempotent. A unit's *fingerprint* covers all that shapes its bytes: the options,
//! the shards, and what it reads. The same fingerprint means the same content, so that a rerun skips it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tsdb_reader::{BlockMeta, Ulid};
use xxhash_rust::xxh64::Xxh64;

use crate::blocks::OpenBlock;
use crate::classic;
use crate::coverage::enter_finer;
use crate::merge::context_start;
use crate::metadata::Metadata;
use crate::options::{ConvertOptions, Histograms};
use crate::resolution::Resolution;
use crate::sink::{Compression, FORMAT_VERSION, Format};
use crate::time::{Partition, TimeBounds};

/// Units per shard and partition are named with four digits.
const MAX_SHARDS: usize = 9999;

/// A contiguous range of metrics; series without a metric come first of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Position among the shards.
    pub index: usize,
    /// First metric inside; none = from the start.
    pub from: Option<Vec<u8>>,
    /// First metric no longer inside; none = to the end.
    pub to: Option<Vec<u8>>,
}

impl Shard {
    /// The one that holds all series.
    pub const ALL: Self = Self { index: 0, from: None, to: None };

    /// True when the shard has the series of `metric`.
    pub fn contains(&self, metric: &[u8]) -> bool {
        let is_before = |bound: &Option<Vec<u8>>| bound.as_deref().is_some_and(|bound| metric < bound);
        !is_before(&self.from) && (self.to.is_none() || is_before(&self.to))
    }

    /// The shards between `bounds`, which ascend.
    pub fn between(bounds: &[String]) -> Vec<Self> {
        let mut from = None;
        let mut shards = Vec::new();
        for bound in bounds {
            let to = Some(unescape(bound));
            shards.push(Self { index: shards.len(), from: std::mem::replace(&mut from, to.clone()), to });
        }
        shards.push(Self { index: shards.len(), from, to: None });
        shards
    }
}

/// Bytes as a JSON string that gives them back: UTF-8 as it is, but for `%` and what is no UTF-8.
fn escape(bytes: &[u8]) -> String {
    let mut escaped = String::new();
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            escaped.push_str(&format!("%{byte:02x}"));
        }
    }
    escaped
}

fn unescape(escaped: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = escaped;
    while let Some((head, tail)) = rest.split_once('%') {
        bytes.extend_from_slice(head.as_bytes());
        match tail.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.push(b'%'),
        }
        rest = tail.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// What a level-1 source is known to cover: the range of the smallest block seen with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRange {
    /// First millisecond.
    pub min_time_ms: i64,
    /// First millisecond after it.
    pub max_time_ms: i64,
    /// Of a set of sources: the samples of the first block seen with exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
}

/// Level-1 sources and what they cover, kept in the manifest: so that compaction alone changes no fingerprint.
/// Beside them, sets of sources and how many samples they were first seen with: another number is another content.
pub type Ledger = BTreeMap<String, SourceRange>;

/// Enters the sources of `blocks`, and of those that are `outside` the time asked for, into `ledger`; the smaller range
/// stays.
pub fn enter_sources(ledger: &mut Ledger, blocks: &[OpenBlock], outside: &[BlockMeta]) {
    // The next head is another one: what is known of this one is of no use.
    let blocks = blocks.iter().filter(|block| !block.is_head).map(|block| block.block.meta());
    for meta in blocks.chain(outside) {
        let range =
            SourceRange { min_time_ms: meta.min_time_ms, max_time_ms: meta.max_time_ms, samples: None };
        let samples = Some(meta.stats.num_samples);
        ledger.entry(source_set(meta)).or_insert(SourceRange { samples, ..range });
        let length = |range: &SourceRange| i128::from(range.max_time_ms) - i128::from(range.min_time_ms);
        for source in sources(meta) {
            let known = ledger.entry(source).or_insert(range);
            if length(&range) < length(known) {
                *known = range;
            }
        }
    }
}

/// A block without sources stands for itself.
fn sources(meta: &BlockMeta) -> Vec<String> {
    match meta.compaction.sources.as_slice() {
        [] => vec![meta.ulid.to_string()],
        sources => sources.iter().map(Ulid::to_string).collect(),
    }
}

/// Names the sources of a block as a set. Blocks with other external labels or of another resolution, such as the
/// parts that a compactor splits a block into, have other sets.
fn source_set(meta: &BlockMeta) -> String {
    let labels: BTreeMap<_, _> = meta.external_labels().collect();
    let sources: BTreeSet<_> = sources(meta).into_iter().collect();
    let mut hash = Xxh64::new(0);
    hash.update(format!("{labels:?} {} {sources:?}", meta.resolution_ms()).as_bytes());
    format!("set-{:016x}", hash.digest())
}

/// One time partition of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name: partition and shard.
    pub unit: String,
    /// The partition.
    pub partition: Partition,
    /// Position of the shard.
    pub shard: usize,
    /// Hash of all that shapes its bytes, 16 hex digits.
    pub fingerprint: String,
    /// Samples it will read, about; by the counts in meta.json.
    pub weight: u64,
    /// ULIDs of the blocks it reads.
    pub blocks: Vec<String>,
    /// Resolution of its tier.
    #[serde(default, skip_serializing_if = "Resolution::is_default")]
    pub resolution: Resolution,
    /// It reads what came before its partition, within the lookback.
    #[serde(skip)]
    pub looks_back: bool,
    /// It reads the head of a data directory, so that a rerun does it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_head: bool,
    /// Positions of these blocks among those opened.
    #[serde(skip)]
    pub members: Vec<usize>,
}

impl Unit {
    /// What its file names begin with.
    pub fn file_prefix(&self) -> String {
        let fp8 = self.fingerprint.get(..8).unwrap_or(&self.fingerprint);
        format!("part-{}-{fp8}", self.unit)
    }
}

/// Shard bounds for a new DEST: metrics at which a shard ends and the next begins.
///
/// Without a number asked for: as many as give each unit at least one target file.
pub fn shard_bounds(blocks: &[OpenBlock], partitions: usize, options: &ConvertOptions) -> Vec<String> {
    let mut series: BTreeMap<&[u8], u64> = BTreeMap::new();
    for block in blocks {
        for metric in &block.metrics {
            *series.entry(&metric.metric).or_default() += metric.series;
        }
    }
    let samples: u64 = blocks.iter().map(|block| block.block.meta().stats.num_samples).sum();
    let bytes = samples.saturating_mul(bytes_per_sample(options));
    let files = bytes / options.output.target_file_size_bytes.max(1) / (partitions.max(1) as u64);
    let auto = usize::try_from(files).unwrap_or(usize::MAX);
    let shards = options.shards.unwrap_or(auto).clamp(1, MAX_SHARDS) as u128;
    let total: u128 = series.values().map(|&count| u128::from(count)).sum();
    let (mut bounds, mut before) = (Vec::new(), 0u128);
    for (metric, count) in series {
        // A shard ends before the metric with which it would hold more than its share.
        if before * shards >= total * (bounds.len() as u128 + 1) && total > 0 {
            bounds.push(escape(metric));
        }
        before += u128::from(count);
    }
    bounds.truncate(usize::try_from(shards).unwrap_or(MAX_SHARDS) - 1);
    bounds
}

/// Bytes that a sample takes as stored, about.
pub fn bytes_per_sample(options: &ConvertOptions) -> u64 {
    match (options.output.format, options.output.compression) {
        (Format::Parquet, Compression::None) => 16,
        (Format::Parquet, _) => 3,
        (Format::Ndjson, Compression::None) => 150,
        (Format::Ndjson, _) => 12,
    }
}

/// Plans each block's partitions, and the units over all of them.
pub fn units(
    blocks: &mut [OpenBlock],
    partitions: &[BTreeSet<Partition>],
    asked: TimeBounds,
    bounds: &[String],
    ledger: &Ledger,
    metadata: &Metadata,
    options: &ConvertOptions,
) -> Vec<Unit> {
    let mut by_partition: BTreeMap<&Partition, Vec<usize>> = BTreeMap::new();
    for (at, (block, partitions)) in blocks.iter_mut().zip(partitions).enumerate() {
        block.planned =
            partitions.iter().filter_map(|partition| partition.bounds().intersection(asked)).collect();
        for partition in partitions {
            by_partition.entry(partition).or_default().push(at);
        }
    }
    enter_finer(blocks);
    let now_ms = options.downsampling.now_ms.unwrap_or_else(|| newest_end(blocks, &[]));
    let lookback_ms = options.downsampling.lookback_ms;
    let has_replicas = !options.labels.replica.is_empty();
    let context_ms = |start_ms: i64| context_start(start_ms, lookback_ms, has_replicas);
    let shards = Shard::between(bounds);
    let mut units = Vec::new();
    let mut described: BTreeMap<(usize, Vec<usize>), Option<u64>> = BTreeMap::new();
    // The same for every shard.
    let mut looking_back: BTreeMap<&Partition, (TimeBounds, Vec<usize>)> = BTreeMap::new();
    // A shard's consecutive partitions stand together: one worker finds its part of each index warm.
    for shard in &shards {
        for (partition, members) in &by_partition {
            let unit = format!("{}-{:04}", partition.key, shard.index);
            let age_ms = now_ms.saturating_sub(partition.last_ms).saturating_sub(1).max(0);
            let tier = || options.downsampling.resolution_at(age_ms);
            let resolution = options.downsampling.planned.get(&unit).copied().unwrap_or_else(tier);
            let looks_back = options.downsampling.makes_windows(resolution);
            let (reads, members) = match looks_back {
                true => looking_back
                    .entry(partition)
                    .or_insert_with(|| look_back(blocks, partition, members, asked, context_ms))
                    .clone(),
                false => (partition.bounds(), members.clone()),
            };
            let read = || members.iter().filter_map(|&at| blocks.get(at));
            let described = described.entry((shard.index, members.clone()));
            let described =
                *described.or_insert_with(|| described_by(read(), shard, metadata, options.histograms));
            units.push(Unit {
                unit,
                partition: (*partition).clone(),
                shard: shard.index,
                fingerprint: fingerprint(
                    read(),
                    (partition, reads, resolution),
                    shard,
                    ledger,
                    described,
                    options,
                ),
                weight: read().map(|block| weight(block, partition, shard, asked)).sum(),
                blocks: read().map(|block| block.ulid().to_string()).collect(),
                reads_head: read().any(|block| block.is_head),
                resolution,
                looks_back,
                members,
            });
        }
    }
    units
}

/// What a unit reads that looks back: its times, and besides `members` the blocks that the lookback reaches.
fn look_back(
    blocks: &[OpenBlock],
    partition: &Partition,
    members: &[usize],
    asked: TimeBounds,
    context_ms: impl Fn(i64) -> i64,
) -> (TimeBounds, Vec<usize>) {
    let TimeBounds { min_ms, max_ms } = partition.bounds();
    let start_ms = min_ms.max(asked.min_ms);
    let context_ms = context_ms(start_ms);
    let is_before = |block: &OpenBlock| {
        let meta = block.block.meta();
        meta.min_time_ms < start_ms && context_ms < meta.max_time_ms
    };
    let is_read = |at: &usize| members.binary_search(at).is_ok() || blocks.get(*at).is_some_and(is_before);
    (TimeBounds { min_ms: min_ms.min(context_ms), max_ms }, (0..blocks.len()).filter(is_read).collect())
}

/// The end of the newest block, be it outside the time asked for.
pub fn newest_end(blocks: &[OpenBlock], outside: &[BlockMeta]) -> i64 {
    let metas = blocks.iter().map(|block| block.block.meta()).chain(outside);
    let ends = metas.map(|meta| meta.max_time_ms);
    ends.filter(|&end_ms| end_ms <= TimeBounds::ROWS.max_ms).max().unwrap_or(i64::MIN)
}

/// Samples of a block that fall to one partition of one shard, about: as if all series had as many, evenly spread.
fn weight(block: &OpenBlock, partition: &Partition, shard: &Shard, asked: TimeBounds) -> u64 {
    if !block.planned.iter().any(|bounds| bounds.overlaps(partition.start_ms, partition.last_ms)) {
        return 0; // It is read for the lookback alone.
    }
    let (from, to) = block.runs_of(shard);
    let all: u64 = block.metrics.iter().map(|metric| metric.series).sum();
    let metrics = block.metrics.get(from.saturating_sub(1)..to.saturating_sub(1)).unwrap_or_default();
    let inside: u64 = metrics.iter().map(|metric| metric.series).sum();
    let meta = block.block.meta();
    let range = block.stated();
    let asked_ms = range.intersection(asked).map_or(0, TimeBounds::length_ms);
    let samples = u128::from(meta.stats.num_samples);
    let in_time = (samples * asked_ms).checked_div(range.length_ms()).unwrap_or(samples);
    let per_partition = in_time / (block.planned.len().max(1) as u128);
    let (selected, series) = block.selected_of();
    let of_shard = per_partition * u128::from(inside) / u128::from(all.max(1));
    u64::try_from(of_shard * u128::from(selected) / u128::from(series.max(1))).unwrap_or(u64::MAX)
}

/// Hash of what a unit reads and of the options that shape what it writes.
fn fingerprint<'a>(
    blocks: impl Iterator<Item = &'a OpenBlock>,
    (partition, reads, resolution): (&Partition, TimeBounds, Resolution),
    shard: &Shard,
    ledger: &Ledger,
    described: Option<u64>,
    options: &ConvertOptions,
) -> String {
    let mut parts = BTreeSet::new();
    let blocks: Vec<&OpenBlock> = blocks.collect();
    let mut sets: BTreeMap<String, usize> = BTreeMap::new();
    for block in &blocks {
        *sets.entry(source_set(block.block.meta())).or_default() += 1;
    }
    for block in blocks {
        // Blocks with the same sources are parts of one (split by series) or copies: the sources do not tell them apart.
        if sets.get(&source_set(block.block.meta())).is_some_and(|&count| count > 1) {
            parts.insert(format!("one of several {}", block.ulid()));
        }
        for source in sources(block.block.meta()) {
            let range = ledger.get(&source);
            let inside = range
                .is_none_or(|range| reads.overlaps(range.min_time_ms, range.max_time_ms.saturating_sub(1)));
            if inside {
                // Of the same sources raw samples say more than windows.
                parts.insert(match block.resolution_ms() {
                    0 => format!("source {source}"),
                    resolution_ms => format!("source {source} in windows of {resolution_ms}"),
                });
            }
        }
        let samples = block.block.meta().stats.num_samples;
        let known = ledger.get(&source_set(block.block.meta())).and_then(|set| set.samples);
        if known.is_some_and(|known| known != samples) {
            parts.insert(format!("samples {} {samples}", block.ulid()));
        }
        if let Some(checksum) = block.tombstones.checksum().filter(|_| !block.tombstones.is_empty()) {
            parts.insert(format!("tombstones {} {checksum:08x}", block.ulid()));
        }
        let thanos = block.block.meta().thanos.as_ref();
        for (at, rewrite) in
            thanos.map(|thanos| thanos.rewrites.as_slice()).unwrap_or_default().iter().enumerate()
        {
            parts.insert(format!(
                "rewrite {} {at} {}",
                block.ulid(),
                serde_json::to_string(rewrite).unwrap_or_default()
            ));
        }
    }
    let mut hash = Xxh64::new(0);
    let mut part = |part: &str| {
        hash.update(part.as_bytes());
        hash.update(&[0xff]);
    };
    part(&format!("format {FORMAT_VERSION}"));
    part(&options.shaping_json());
    part(&format!("partition {} {}", partition.start_ms, partition.last_ms));
    part(&format!("shard {:?} {:?}", shard.from, shard.to));
    if !resolution.is_raw() {
        part(&format!("resolution {resolution}"));
    }
    if let Some(described) = described {
        part(&format!("metadata {described:016x}"));
    }
    for line in &parts {
        part(line);
    }
    format!("{:016x}", hash.digest())
}

/// Hash of what is known of the metrics that a unit has: metadata of others does not change its rows.
fn described_by<'a>(
    blocks: impl Iterator<Item = &'a OpenBlock>,
    shard: &Shard,
    metadata: &Metadata,
    histograms: Histograms,
) -> Option<u64> {
    metadata.metrics().next()?;
    let mut metrics: BTreeSet<Cow<'_, [u8]>> = BTreeSet::new();
    for block in blocks {
        let (from, to) = block.runs_of(shard);
        let of_shard = block.metrics.get(from.saturating_sub(1)..to.saturating_sub(1)).unwrap_or_default();
        metrics.extend(of_shard.iter().map(|metric| Cow::Borrowed(metric.metric.as_slice())));
        if histograms.are_classic() {
            // Any metric may have histograms, and what they become may lie in another shard than they do.
            let names = block.metrics.iter().flat_map(|metric| classic::names(&metric.metric));
            metrics.extend(names.filter(|name| shard.contains(name)).map(Cow::Owned));
        }
    }
    let mut known =
        metrics.iter().filter_map(|metric| Some((metric, metadata.of_metric(metric)?))).peekable();
    known.peek()?;
    let mut hash = Xxh64::new(0);
    for (metric, metadata) in known {
        for field in
            [metric, metadata.metric_type.as_bytes(), metadata.unit.as_bytes(), metadata.help.as_bytes()]
        {
            hash.update(&(field.len() as u64).to_le_bytes());
            hash.update(field);
        }
    }
    Some(hash.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_all_metrics_without_overlap() {
        let shards = Shard::between(&["b".into(), "m%00%".into()]);
        assert_eq!(shards.len(), 3);
        assert_eq!((&shards[0].from, &shards[2].to), (&None, &None));
        for pair in shards.windows(2) {
            assert_eq!(pair[0].to, pair[1].from);
        }
        assert_eq!(Shard::between(&[]), [Shard::ALL]);
    }

    #[test]
    fn shard_bounds_survive_json_whatever_their_bytes() {
        for bytes in [&b"up"[..], b"a%b%25", b"\xff\x00\xfe%", "µ%41".as_bytes(), b"%"] {
            assert_eq!(unescape(&escape(bytes)), bytes);
        }
    }
}
