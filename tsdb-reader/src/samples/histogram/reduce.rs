//! Schemas finer than 8: the format knows them, but they are read as schema 8.
//!
//! ```text
//! schema 9   index  -1  0  1  2  3        index i of schema s falls into ((i − 1) >> (s − 8)) + 1 of schema 8
//! schema 8   index  ─0──┘  └─1─┘  2
//! ```
//! Defined in Prometheus' `model/histogram/generic.go`, `reduceResolution`.

use super::layout::invalid;
use super::{HistogramKind, HistogramLayout, Span};
use crate::error::DecodeError;

/// The finest schema that histograms are handed out in.
pub(crate) const FINEST_SCHEMA: i32 = 8;

/// Joins the buckets of a finer schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reduction {
    /// For each bucket whether it belongs to the same one as the bucket before it.
    joined: Vec<bool>,
}

impl Reduction {
    /// Makes `layout` one of [`FINEST_SCHEMA`]. Its spans lie `offset` bytes into the file, and describe no more
    /// buckets than there is data for.
    pub(crate) fn begin(&mut self, layout: &mut HistogramLayout, offset: u64) -> Result<(), DecodeError> {
        self.joined.clear();
        // Further than that no bit is left but the sign.
        let shift = layout.schema.saturating_sub(FINEST_SCHEMA).clamp(0, 31);
        for spans in [&mut layout.positive_spans, &mut layout.negative_spans] {
            *spans = self.reduce(spans, shift, offset)?;
        }
        layout.schema = FINEST_SCHEMA;
        Ok(())
    }

    fn reduce(&mut self, spans: &[Span], shift: i32, offset: u64) -> Result<Vec<Span>, DecodeError> {
        let mut reduced: Vec<Span> = Vec::new();
        let (mut index, mut last) = (0i32, None);
        for (at, span) in spans.iter().enumerate() {
            if at > 0 && span.offset < 0 {
                let expected = "0 or more where buckets are to be joined";
                return Err(invalid(offset, "span offset", span.offset.into(), expected));
            }
            index = index.wrapping_add(span.offset);
            for _ in 0..span.length {
                let target = (index.wrapping_sub(1) >> shift).wrapping_add(1);
                self.joined.push(last == Some(target));
                match (last, reduced.last_mut()) {
                    (Some(before), _) if before == target => {}
                    (Some(before), Some(span)) if before.wrapping_add(1) == target => span.length += 1,
                    (Some(before), _) => {
                        let offset = target.wrapping_sub(before).wrapping_sub(1);
                        reduced.push(Span { offset, length: 1 });
                    }
                    (None, _) => reduced.push(Span { offset: target, length: 1 }),
                }
                last = Some(target);
                index = index.wrapping_add(1);
            }
        }
        Ok(reduced)
    }

    /// Appends the counts of the joined buckets.
    pub(crate) fn join(&self, kind: HistogramKind, buckets: &[u64], into: &mut Vec<u64>) {
        for (count, joined) in buckets.iter().zip(&self.joined) {
            match into.last_mut() {
                Some(last) if *joined => *last = kind.add(*last, *count),
                _ => into.push(*count),
            }
        }
    }
}
