//! The other way: of all samples of a series the ones to keep are chosen, one for each timestamp, first within each
//! replica.

use tsdb_reader::samples::{FloatColumns, is_stale_nan};

use super::Merger;
use super::histograms::digest;
use super::keep::Terms;
use super::parts::Part;
use super::replicas::are_replicas;

/// A sample with what decides between it and others of the same time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) time_ms: i64,
    /// Bits of a value, or what stands for a histogram: equal for equal ones.
    pub(super) bits: u64,
    /// Of a value; of a histogram it stays in its chunk.
    pub(super) start_time_ms: i64,
    pub(super) rank: u32,
    /// Of the series, as [`Member`](crate::series::Member) has it.
    pub(super) replica: u32,
    /// Position of its chunk among the parts.
    pub(super) part: u32,
    /// Position in its chunk, of a histogram.
    pub(super) row: u32,
    pub(super) is_histogram: bool,
    pub(super) is_classic: bool,
    pub(super) is_stale: bool,
    /// Of a chunk that ends in an error: padding bits before it may have passed for samples.
    pub(super) doubtful: bool,
}

impl Candidate {
    /// Of equal times the one to keep comes first; equal ones keep the order of the index. What is stored goes before
    /// what stands for something else, and that has no order to keep but its own.
    pub(super) fn preference(&self) -> impl Ord + use<> {
        let by_age = std::cmp::Reverse(self.rank);
        let derived = self.is_classic.then_some((self.bits, self.start_time_ms));
        (self.time_ms, self.doubtful, self.is_classic, self.is_stale, by_age, !self.is_histogram, derived)
    }
}

impl Merger<'_> {
    /// The other way: decodes all chunks, sorts their samples and drops duplicates.
    pub(super) fn append_merged(&mut self, parts: &[Part<'_>], columns: &mut FloatColumns) -> Terms {
        let mut terms = Terms::default();
        let mut candidates = std::mem::take(&mut self.candidates);
        let mut scratch = std::mem::take(&mut self.scratch);
        candidates.clear();
        for (part, at) in parts.iter().zip(0..) {
            if part.holds_histograms() {
                self.add_histograms(part, at, &mut candidates, &mut terms);
                continue;
            }
            scratch.clear();
            let doubtful = !self.decode(part, &mut scratch);
            self.filter(part, &mut scratch, 0, &mut terms);
            let starts = scratch.start_times_ms.iter().copied().chain(std::iter::repeat(0));
            for ((&time_ms, &value), start_time_ms) in
                scratch.times_ms.iter().zip(&scratch.values).zip(starts)
            {
                candidates.push(Candidate {
                    time_ms,
                    bits: value.to_bits(),
                    start_time_ms,
                    rank: part.block.rank,
                    replica: part.replica,
                    part: at,
                    row: 0,
                    is_histogram: false,
                    is_classic: part.is_classic,
                    is_stale: is_stale_nan(value),
                    doubtful,
                });
            }
        }
        if are_replicas(parts) {
            self.choose_replicas(&mut candidates);
        }
        candidates.sort_by_key(Candidate::preference);
        let mut kept: Option<Candidate> = None;
        for candidate in &candidates {
            match kept {
                Some(kept) if kept.time_ms == candidate.time_ms && self.displaces(&kept, candidate) => {
                    self.count_duplicate(&kept, candidate);
                }
                _ => {
                    let is_row = candidate.time_ms >= self.wanted.bounds.min_ms;
                    terms.classic += u64::from(candidate.is_classic && is_row);
                    if candidate.is_histogram {
                        let follows = kept.is_some_and(|kept| self.follows(parts, &kept, candidate));
                        self.histograms.choose(candidate, follows, is_row);
                    } else {
                        push(columns, candidate);
                    }
                    kept = Some(*candidate);
                }
            }
        }
        (self.candidates, self.scratch) = (candidates, scratch);
        terms
    }

    /// Counts `candidate`, which has the time of `kept`. What lies before the unit is counted there.
    pub(super) fn count_duplicate(&mut self, kept: &Candidate, candidate: &Candidate) {
        if candidate.time_ms < self.wanted.bounds.min_ms {
            return;
        }
        if candidate.is_classic {
            self.tally.duplicate_classic += 1;
        } else {
            self.tally.duplicates += 1;
            self.tally.conflicts += u64::from(kept.bits != candidate.bits);
        }
    }

    /// True unless `candidate` is derived and `kept`, of the same time, a histogram that is no row itself: its place
    /// is free.
    fn displaces(&self, kept: &Candidate, candidate: &Candidate) -> bool {
        !candidate.is_classic || !kept.is_histogram || self.wanted.nested
    }

    /// Adds the histograms of `part`, which is number `at`, that belong to this unit and are not deleted.
    fn add_histograms(
        &mut self,
        part: &Part<'_>,
        at: u32,
        candidates: &mut Vec<Candidate>,
        terms: &mut Terms,
    ) {
        let (columns, error) = self.histograms.decode(at, part.chunk);
        let doubtful = error.is_some();
        if let Some(error) = error {
            self.lose_rest(part, columns.len(), error);
        }
        let judge = self.judge(part);
        for row in (0..columns.len()).map_while(|row| columns.row(row)).zip(0..) {
            let (histogram, row) = row;
            let is_stale = histogram.is_stale();
            if self.keeps(&judge, histogram.timestamp_ms, is_stale, terms) {
                candidates.push(Candidate {
                    time_ms: histogram.timestamp_ms,
                    bits: digest(&histogram),
                    start_time_ms: 0,
                    rank: part.block.rank,
                    replica: part.replica,
                    part: at,
                    row,
                    is_histogram: true,
                    is_classic: false,
                    is_stale,
                    doubtful,
                });
            }
        }
        self.histograms.hold(at, columns);
    }

    /// True when nothing stood between histogram `candidate` and `kept`, the sample kept before it, when the block
    /// was written: then what the block says of resets between the two is true of the rows as well.
    fn follows(&self, parts: &[Part<'_>], kept: &Candidate, candidate: &Candidate) -> bool {
        if kept.part == candidate.part {
            return kept.row.checked_add(1) == Some(candidate.row);
        }
        let place = |at: &Candidate| {
            let part = parts.get(usize::try_from(at.part).ok()?)?;
            Some(part.place)
        };
        let (Some((member, chunk)), Some((next_member, next_chunk))) = (place(kept), place(candidate)) else {
            return false;
        };
        let is_last = kept.is_histogram && !kept.doubtful && self.histograms.is_last(kept.part, kept.row);
        is_last && candidate.row == 0 && member == next_member && chunk + 1 == next_chunk
    }
}

fn push(columns: &mut FloatColumns, sample: &Candidate) {
    columns.times_ms.push(sample.time_ms);
    columns.values.push(f64::from_bits(sample.bits));
    if !columns.start_times_ms.is_empty() || sample.start_time_ms != 0 {
        columns.start_times_ms.resize(columns.times_ms.len() - 1, 0);
        columns.start_times_ms.push(sample.start_time_ms);
    }
}
