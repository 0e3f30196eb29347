//! Chunks of a slice that are far away: fetched in portions, each while the one before it is merged.

use std::collections::BTreeMap;
use std::ops::Range;

use tsdb_reader::ChunkRef;

use super::{Slice, chunk_bytes};
use crate::blocks::SliceBlocks;

/// Bytes of chunks that are fetched together, about.
const PORTION_BYTES: u64 = 4 << 20;

/// Announces the far chunks of a slice, and fetches them portion by portion.
pub(super) struct FarChunks<'s> {
    slice: &'s Slice,
    blocks: SliceBlocks<'s>,
    /// Series of the portions that are still to come, ascending.
    portions: std::iter::Peekable<std::vec::IntoIter<Range<usize>>>,
}

/// Announces all far chunks of a slice; how many bytes they are, about.
pub fn announce_chunks(slice: &Slice, blocks: SliceBlocks<'_>) -> u64 {
    for (at, refs) in far_refs(slice, blocks, 0..slice.series.len()) {
        if let Some(block) = blocks.get(at) {
            block.chunks.prefetch(&refs);
        }
    }
    (0..slice.series.len()).map(|at| far_bytes(slice, blocks, at)).sum()
}

impl<'s> FarChunks<'s> {
    /// None when no chunk of the slice is far.
    pub(super) fn new(slice: &'s Slice, blocks: SliceBlocks<'s>) -> Option<Self> {
        if !blocks.any_far() {
            return None;
        }
        let (mut portions, mut from, mut bytes) = (Vec::new(), 0, 0);
        for at in 0..slice.series.len() {
            bytes += far_bytes(slice, blocks, at);
            if bytes >= PORTION_BYTES || at + 1 == slice.series.len() {
                portions.push(from..at + 1);
                (from, bytes) = (at + 1, 0);
            }
        }
        Some(Self { slice, blocks, portions: portions.into_iter().peekable() })
    }

    /// The series at a position is merged next.
    pub(super) fn reach(&mut self, at: usize) {
        let Some(now) = self.portions.next_if(|portion| portion.start <= at) else { return };
        let (slice, blocks) = (self.slice, self.blocks);
        let now = far_refs(slice, blocks, now);
        let next = self.portions.peek().map(|next| far_refs(slice, blocks, next.clone())).unwrap_or_default();
        for (at, refs) in now.iter().chain(&next) {
            if let Some(block) = blocks.get(*at) {
                block.chunks.prefetch(refs);
            }
        }
        for (at, refs) in now {
            if let Some(block) = blocks.get(at) {
                block.chunks.fetch(&refs);
            }
        }
    }
}

/// Far chunks of some series of a slice by position of the block, ascending.
fn far_refs(slice: &Slice, blocks: SliceBlocks<'_>, series: Range<usize>) -> BTreeMap<usize, Vec<ChunkRef>> {
    let mut refs: BTreeMap<usize, Vec<ChunkRef>> = BTreeMap::new();
    for (series, _) in slice.series.get(series).unwrap_or_default() {
        for member in &series.members {
            if blocks.get(member.block).is_some_and(|block| block.is_far()) {
                let chunks = member.chunks.iter().map(|chunk| chunk.chunk_ref);
                refs.entry(member.block).or_default().extend(chunks);
            }
        }
    }
    refs.values_mut().for_each(|refs| refs.sort_unstable());
    refs
}

fn far_bytes(slice: &Slice, blocks: SliceBlocks<'_>, at: usize) -> u64 {
    /// Of a chunk whose size nothing tells.
    const CHUNK_BYTES: u64 = 256;
    let Some((series, _)) = slice.series.get(at) else { return 0 };
    let far = series.members.iter().filter(|at| blocks.get(at.block).is_some_and(|block| block.is_far()));
    far.map(|member| chunk_bytes(&member.chunks).max(member.chunks.len() as u64 * CHUNK_BYTES)).sum()
}
