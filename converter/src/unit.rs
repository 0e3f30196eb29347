//! A unit at work: its series cut into slices, and a slice turned into encoded rows.
//!
//! A *slice* is a run of consecutive series of a unit, the grain of parallel work. Where slices are cut depends on
//! the blocks alone, never on threads or memory.

use crate::blocks::OpenBlock;
use crate::finding::Findings;
use crate::identities::SeriesIdentity;
use crate::merge::{Merger, Wanted};
use crate::rows::{SampleRows, SeriesRows};
use crate::series::{MergedSeries, SeriesError, SeriesMerge};
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

/// Rows that a slice of this format is cut at, about: a Parquet row group, or as much text as is held at once.
pub fn rows_per_slice(format: Format) -> u64 {
    match format {
        Format::Parquet => 1 << 19,
        Format::Ndjson => 1 << 16,
    }
}

/// Cuts the next slice off `merge`, about `rows` long; none at the end.
///
/// The rows of a chunk are taken to be as many as chunks of its block hold on average: to know better, the chunks
/// would have to be read here.
pub fn next_slice<K>(
    index: usize,
    merge: &mut SeriesMerge<'_, K>,
    blocks: &[OpenBlock],
    rows: u64,
) -> Result<Option<Slice>, SeriesError>
where
    K: FnMut(&OpenBlock, &tsdb_reader::index::ChunkMeta) -> bool,
{
    let (mut series, mut expected) = (Vec::new(), 0);
    while expected < rows && series.len() < SERIES_PER_SLICE {
        let Some(next) = merge.next()? else { break };
        for member in &next.members {
            let per_chunk = blocks.get(member.block).map_or(1, OpenBlock::samples_per_chunk);
            expected += member.chunks.len() as u64 * per_chunk;
        }
        series.push(next);
    }
    Ok((!series.is_empty()).then_some(Slice { index, series }))
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
    blocks: &[OpenBlock],
    wanted: Wanted,
    encoder: &Encoder,
    rows: &mut SampleRows,
) -> Result<EncodedSlice, SinkError> {
    let mut merger = Merger::new(blocks, wanted);
    let mut done = EncodedSlice::default();
    let mut merged_series = 0;
    // Chunks may hold more than the average: then the slice is encoded in parts.
    let rows_per_part = 2 * rows_per_slice(encoder.options().format);
    rows.clear();
    for series in slice.series {
        let samples = merger.append(&series.members, &mut rows.columns);
        if samples == 0 {
            continue;
        }
        merged_series += series.merged;
        let identity = SeriesIdentity::new(&series.labels, samples as u64);
        done.identities.push(identity);
        rows.series.push(SeriesRows {
            labels: series.labels,
            series_id: identity.series_id,
            end: rows.columns.len(),
        });
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
