//! A unit at work: its series cut into slices, and a slice turned into encoded rows.
//!
//! A *slice* is a run of consecutive series of a unit, the grain of parallel work. Where slices are cut depends on
//! the blocks alone, never on threads or memory.

use tsdb_reader::index::ChunkMeta;

use crate::blocks::{OpenBlock, SliceBlocks};
use crate::finding::Findings;
use crate::identities::SeriesIdentity;
use crate::merge::{Merger, Wanted};
use crate::rows::{SampleRows, SeriesRows, histograms_weight};
use crate::series::{Member, MergedSeries, SeriesError, SeriesMerge};
use crate::sink::{EncodedRows, Encoder, Format, SinkError};
use crate::tally::Tally;

/// Series of a slice at most: their labels are held while it is encoded.
const SERIES_PER_SLICE: usize = 1 << 16;

/// Consecutive series of a unit.
#[derive(Debug)]
pub struct Slice {
    /// Position in its unit.
    pub index: usize,
    /// Series in output order.
    pub series: Vec<MergedSeries>,
}

/// Bytes of chunks that weigh as much as a row: floats take less, but for random ones.
const CHUNK_BYTES_PER_ROW: u64 = 4;

/// Rows that a slice of this format is cut at, about: a Parquet row group, or as much text as is held at once.
pub fn rows_per_slice(format: Format) -> u64 {
    match format {
        Format::Parquet => 1 << 19,
        Format::Ndjson => 1 << 16,
    }
}

/// Buckets of histograms that go to the sink together, about: a Parquet row group, or as much text as is held at once.
pub fn buckets_per_part(format: Format) -> usize {
    match format {
        Format::Parquet => 1 << 20,
        Format::Ndjson => 1 << 17,
    }
}

/// Cuts the next slice off `merge`, about `rows` long; none at the end.
///
/// The rows of a chunk are taken to be as many as chunks of its block hold on average: to know better, the chunks
/// would have to be read here. Where a block has histograms, rows may be large: there the bytes of chunks count, too.
pub fn next_slice<K>(
    index: usize,
    merge: &mut SeriesMerge<'_, K>,
    blocks: SliceBlocks<'_>,
    rows: u64,
) -> Result<Option<Slice>, SeriesError>
where
    K: FnMut(&OpenBlock, &ChunkMeta) -> bool,
{
    let (mut series, mut expected) = (Vec::new(), 0);
    while expected < rows && series.len() < SERIES_PER_SLICE {
        let Some(next) = merge.next()? else { break };
        expected += next.members.iter().map(|member| weight(member, blocks)).sum::<u64>();
        series.push(next);
    }
    Ok((!series.is_empty()).then_some(Slice { index, series }))
}

/// What a series of one block weighs, in rows.
fn weight(member: &Member, blocks: SliceBlocks<'_>) -> u64 {
    let Some(block) = blocks.get(member.block) else { return member.chunks.len() as u64 };
    let rows = member.chunks.len() as u64 * block.samples_per_chunk();
    let stats = &block.block.meta().stats;
    // Before Prometheus 3.6 the kinds were not told apart.
    if stats.num_histogram_samples == 0 && stats.num_float_samples == stats.num_samples {
        return rows;
    }
    rows.max(chunk_bytes(&member.chunks) / CHUNK_BYTES_PER_ROW)
}

/// Size of the chunks, by where they begin; the last one of a segment is taken to be like the others.
fn chunk_bytes(chunks: &[ChunkMeta]) -> u64 {
    let (mut bytes, mut known) = (0, 0);
    for pair in chunks.windows(2) {
        let [ChunkMeta { chunk_ref, .. }, ChunkMeta { chunk_ref: next, .. }] = pair else { continue };
        if chunk_ref.segment_position() == next.segment_position() && chunk_ref < next {
            bytes += next.offset() - chunk_ref.offset();
            known += 1;
        }
    }
    let mean = bytes.checked_div(known).unwrap_or(0);
    bytes + mean.saturating_mul(chunks.len() as u64 - known)
}

/// A slice, encoded.
#[derive(Debug, Default)]
pub struct EncodedSlice {
    /// Rows of all tables, in order.
    pub encoded: Vec<EncodedRows>,
    /// What became of its samples.
    pub tally: Tally,
    /// What could not be read.
    pub findings: Findings,
    /// Of each series with rows.
    pub identities: Vec<SeriesIdentity>,
}

/// Merges and encodes a slice.
pub fn encode_slice(
    slice: Slice,
    blocks: SliceBlocks<'_>,
    wanted: Wanted,
    encoder: &Encoder,
    rows: &mut SampleRows,
) -> Result<EncodedSlice, SinkError> {
    let mut merger = Merger::new(blocks, wanted);
    let mut done = EncodedSlice::default();
    let mut merged_series = 0;
    // Chunks may hold more than the average: then the slice is encoded in parts.
    let rows_per_part = 2 * rows_per_slice(encoder.options().format);
    let buckets_per_part = buckets_per_part(encoder.options().format);
    rows.clear();
    for series in slice.series {
        let before = merger.unrolled();
        let appended = merger.append(&series.members, &mut rows.columns);
        if series.labels.metric().is_none() {
            merger.lose_unrolled(merger.unrolled() - before);
        }
        if appended.rows() == 0 {
            continue;
        }
        merged_series += series.merged;
        let identity = SeriesIdentity::new(&series.labels, appended.rows());
        done.identities.push(identity);
        rows.series.push(SeriesRows {
            labels: series.labels,
            series_id: identity.series_id,
            end: rows.columns.len(),
            histograms: appended.histograms,
        });
        // Where histograms are cut depends on what they hold alone, be it in the middle of a series.
        loop {
            let more = merger.append_histograms(&mut rows.histograms, buckets_per_part);
            if let Some(series) = rows.series.last_mut() {
                series.histograms.end = rows.histograms.len();
            }
            if histograms_weight(&rows.histograms) >= buckets_per_part {
                done.encoded.push(encoder.encode_histograms(rows)?);
                rows.clear_histograms();
            }
            if !more {
                break;
            }
        }
        if rows.len() as u64 >= rows_per_part {
            done.encoded.push(encoder.encode(rows)?);
            rows.clear();
        }
    }
    if !rows.is_empty() {
        done.encoded.push(encoder.encode(rows)?);
        rows.clear();
    }
    (done.tally, done.findings) = merger.finish();
    done.tally.merged_series = merged_series;
    Ok(done)
}
