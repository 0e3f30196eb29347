//! Parts: the chunks of a series that can be decoded, each counted once.
//!
//! A chunk that straddles partitions is read by several units; the one that owns it counts what its header promises,
//! and what of that cannot be had.

use tsdb_reader::chunks::{Chunk, Encoding};
use tsdb_reader::index::ChunkMeta;
use tsdb_reader::samples::FloatColumns;
use tsdb_reader::tombstones::Interval;
use tsdb_reader::{DecodeError, DecodeErrorKind, Error};

use super::{Merger, Take};
use crate::blocks::OpenBlock;
use crate::finding::{Finding, Severity};
use crate::series::Member;
use crate::tally::Loss;

/// The chunks of a series that are taken, in the order of its members.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Position of the member, and of the chunk among those of the member.
    pub(super) places: Vec<(usize, usize)>,
    /// What was read for each place.
    pub(super) chunks: Vec<Result<Chunk, Error>>,
}

/// A chunk with what decides about its samples.
pub(super) struct Part<'a> {
    pub(super) block: &'a OpenBlock,
    pub(super) meta: &'a ChunkMeta,
    pub(super) deleted: &'a [Interval],
    pub(super) chunk: &'a Chunk,
    /// Position of the member it is of, and its own among the member's chunks.
    pub(super) place: (usize, usize),
    /// Which of the replicas of the series it is of.
    pub(super) replica: u32,
    /// Of a classic series that stands for native histograms.
    pub(super) is_classic: bool,
    /// All of it lies before the unit.
    pub(super) is_context: bool,
}

impl Part<'_> {
    pub(super) fn holds_histograms(&self) -> bool {
        self.chunk.encoding().holds_histograms()
    }
}

impl<'a> Merger<'a> {
    /// The chunks that can be decoded, each counted once by the unit that owns it.
    pub(super) fn parts<'r>(&mut self, members: &'r [Member], reads: &'r Reads) -> Vec<Part<'r>>
    where
        'a: 'r,
    {
        let mut parts = Vec::with_capacity(reads.chunks.len());
        let mut reads = reads.places.iter().zip(&reads.chunks).peekable();
        for (member_at, member) in members.iter().enumerate() {
            let Some(block) = self.blocks.get(member.block) else { continue };
            let deleted = block.tombstones.intervals(member.series_ref);
            while let Some((&place, read)) = reads.next_if(|((of, _), _)| *of == member_at) {
                let Some(meta) = member.chunks.get(place.1) else { continue };
                match read {
                    Ok(chunk) => {
                        if self.count_header(member.block, block, meta, chunk) {
                            let is_classic = self.blocks.is_own(member.block);
                            let is_context = self.is_context(block, meta);
                            let replica = member.replica;
                            let part =
                                Part { block, meta, deleted, chunk, place, replica, is_classic, is_context };
                            parts.push(part);
                        }
                    }
                    Err(error) if self.owns(block, meta) => {
                        self.tally.unreadable_chunks += 1;
                        self.broken(block, error);
                    }
                    Err(_) => {}
                }
            }
        }
        parts
    }

    /// True for a chunk that is read for the lookback alone.
    fn is_context(&self, block: &OpenBlock, meta: &ChunkMeta) -> bool {
        self.wanted.lookback_ms > 0 && !block.is_of_unit(meta, self.wanted.bounds, self.wanted.asked)
    }

    /// Whether the chunk is wanted of the series at hand. What there is of the unit's own block is always.
    pub(super) fn takes(&self, at: usize, block: &OpenBlock, meta: &ChunkMeta) -> bool {
        self.take.has_context() || self.blocks.is_own(at) || !self.is_context(block, meta)
    }

    pub(super) fn owns(&self, block: &OpenBlock, meta: &ChunkMeta) -> bool {
        let owner = block.planned.get(block.owner(meta));
        owner.is_none_or(|owner| *owner == self.wanted.bounds) && !self.is_context(block, meta)
    }

    /// Counts what the header promises; true when the chunk is to be decoded.
    fn count_header(&mut self, at: usize, block: &OpenBlock, meta: &ChunkMeta, chunk: &Chunk) -> bool {
        if self.blocks.is_own(at) {
            return true; // The histograms it comes from are counted.
        }
        let owns = self.owns(block, meta);
        let count = match chunk.num_samples() {
            Ok(count) => u64::from(count),
            Err(error) => {
                if owns {
                    self.tally.unreadable_chunks += 1;
                    self.broken(block, &error.in_file(chunk.file()));
                }
                return false;
            }
        };
        if owns {
            self.tally.chunks += 1;
            self.tally.read += count;
            if let Some(read) = self.read_by_block.get_mut(at) {
                *read += count;
            }
        }
        let Some(loss) = self.unusable(block, chunk.encoding()) else { return true };
        // What a rule drops is counted by headers, whatever it is.
        if owns && self.take != Take::Nothing {
            self.tally.lose(loss, count);
        }
        false
    }

    /// The loss that chunks of this encoding are for the series at hand.
    fn unusable(&self, block: &OpenBlock, encoding: Encoding) -> Option<Loss> {
        let loss = unsupported(encoding);
        match self.take {
            Take::Windows { resolution, .. } if loss == Some(Loss::EncodingAggregate) => {
                let own_ms = block.resolution_ms();
                loss.filter(|_| own_ms == 0 || resolution.ms() % own_ms != 0)
            }
            _ => loss,
        }
    }

    pub(super) fn broken(&mut self, block: &OpenBlock, error: &Error) {
        let finding = Finding::new(Severity::Broken, error_name(error), block.name(), block.describe(error));
        self.findings.push(finding);
    }

    /// Decodes one chunk to the end of `columns`; samples after an error are counted as lost. True without error.
    pub(super) fn decode(&mut self, part: &Part<'_>, columns: &mut FloatColumns) -> bool {
        let start = columns.len();
        let Err(error) = part.chunk.append_to(columns) else { return true };
        self.lose_rest(part, columns.len() - start, error);
        false
    }

    /// Counts as lost what `part` promises beyond the samples decoded before an error.
    pub(super) fn lose_rest(&mut self, part: &Part<'_>, decoded: usize, error: DecodeError) {
        if self.owns(part.block, part.meta) {
            let promised = part.chunk.num_samples().map_or(0, u64::from);
            self.tally.lose(Loss::UndecodableChunk, promised.saturating_sub(decoded as u64));
            self.broken(part.block, &error.in_file(part.chunk.file()));
        }
    }
}

/// The loss that an encoding without a decoder is.
fn unsupported(encoding: Encoding) -> Option<Loss> {
    match encoding {
        Encoding::Xor
        | Encoding::Xor2
        | Encoding::Histogram
        | Encoding::FloatHistogram
        | Encoding::HistogramSt
        | Encoding::FloatHistogramSt => None,
        Encoding::Aggregate => Some(Loss::EncodingAggregate),
        _ => Some(Loss::EncodingUnknown),
    }
}

/// The stable name of what is wrong with a chunk.
fn error_name(error: &Error) -> &'static str {
    match error {
        Error::Decode { source, .. } => match source.kind {
            DecodeErrorKind::Checksum { .. } => "chunk-checksum",
            DecodeErrorKind::Truncated { .. } => "chunk-truncated",
            _ => "chunk-invalid",
        },
        Error::NoSegment { .. } | Error::SegmentGap { .. } => "missing-segment",
        _ => "unreadable-chunk",
    }
}
