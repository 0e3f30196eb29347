//! The direct way: chunks that do not overlap are decoded one after the other, straight into the rows.

use tsdb_reader::samples::FloatColumns;

use super::Merger;
use super::keep::Terms;
use super::parts::Part;

impl Merger<'_> {
    /// The usual case, at full speed: sound chunks inside the unit, one after the other, nothing of them deleted.
    /// False when it is not that; what is in `columns` then is of no use.
    pub(super) fn append_inside(&mut self, parts: &[&Part<'_>], columns: &mut FloatColumns) -> bool {
        let bounds = self.wanted.bounds;
        let inside = |part: &&Part<'_>| {
            let meta = part.meta;
            let is_inside = bounds.contains(meta.min_time_ms)
                && bounds.contains(meta.max_time_ms)
                && self.is_writable(meta.min_time_ms);
            part.deleted.is_empty() && (is_inside || part.is_context)
        };
        if self.wanted.drop_stale || !parts.iter().all(inside) {
            return false;
        }
        let start = columns.len();
        if self.decoder.append(parts.iter().map(|part| part.chunk), columns).is_err() {
            return false;
        }
        // The index may have lied about times.
        let times_ms = columns.times_ms.get(start..).unwrap_or_default();
        let context: u64 = parts
            .iter()
            .filter(|part| part.is_context)
            .map(|part| part.chunk.num_samples().map_or(0, u64::from))
            .sum();
        let (before, of_unit) = times_ms.split_at(times_ms.partition_point(|&at| at < bounds.min_ms));
        let is_inside = before.len() as u64 == context
            && of_unit.first().is_none_or(|&at| self.is_writable(at))
            && of_unit.last().is_none_or(|&at| bounds.contains(at));
        is_inside && ascend(times_ms)
    }

    /// The direct way: decodes chunk after chunk into `columns`. None when timestamps do not ascend strictly;
    /// what is in `columns` then is of no use.
    pub(super) fn append_disjoint(
        &mut self,
        parts: &[&Part<'_>],
        columns: &mut FloatColumns,
    ) -> Option<Terms> {
        let overlap = |pair: &[&Part<'_>]| matches!(pair, [a, b] if a.meta.max_time_ms >= b.meta.min_time_ms);
        if parts.windows(2).any(overlap) {
            return None;
        }
        let mut terms = Terms::default();
        let (losses, findings) = (self.tally.lost.clone(), self.findings.clone());
        let mut last = None;
        for part in parts {
            let start = columns.len();
            self.decode(part, columns);
            let times_ms = columns.times_ms.get(start..).unwrap_or_default();
            let (Some(&first), Some(&end)) = (times_ms.first(), times_ms.last()) else { continue };
            if last.is_some_and(|last| last >= first) || !ascend(times_ms) {
                // The other way decodes again, and counts again.
                (self.tally.lost, self.findings) = (losses, findings);
                return None;
            }
            last = Some(end);
            let bounds = self.wanted.bounds;
            let inside = bounds.contains(first) && bounds.contains(end) && self.is_writable(first);
            let touched =
                part.deleted.iter().any(|gone| gone.min_time_ms <= end && first <= gone.max_time_ms);
            if !inside || touched || self.wanted.drop_stale {
                self.filter(part, columns, start, &mut terms);
            } else if !self.owns(part.block, part.meta) {
                terms.taken_over += times_ms.len() as u64;
            }
        }
        Some(terms)
    }
}

/// True when each time is greater than the one before. Written without an early exit, so that it runs wide.
fn ascend(times_ms: &[i64]) -> bool {
    let pairs = times_ms.iter().zip(times_ms.get(1..).unwrap_or_default());
    pairs.fold(true, |ascend, (before, after)| ascend & (before < after))
}
