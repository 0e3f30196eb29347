//! Keeping: which samples are rows of the unit, and what becomes of the others.

use tsdb_reader::samples::{FloatColumns, is_stale_nan};

use super::parts::Part;
use super::{Appended, Merger, Take, Windows};
use crate::series::MergedSeries;
use crate::tally::{Loss, RuleTally};
use crate::time::TimeBounds;

/// Terms of one series, entered into the tally when the series is done: the direct way may be given up.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Terms {
    pub(super) taken_over: u64,
    handed_over: u64,
    tombstoned: u64,
    outside_time_range: u64,
    stale_dropped: u64,
    out_of_range: u64,
    outside_block: u64,
    /// Of aggregates: something finer covers them.
    superseded: u64,
    /// Of aggregates: something finer covers a part of their window.
    mixed: u64,
    /// Of aggregates: windows without samples.
    left_out: u64,
    /// Of the rows, those of classic series that stand for native histograms.
    pub(super) classic: u64,
}

/// A window of an aggregate chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Time in the chunk.
    pub(super) end_ms: i64,
    /// Its bounds.
    pub(super) bounds: TimeBounds,
    /// Samples in it.
    pub(super) count: u64,
    /// What finer there is.
    pub(super) finer: FinerThere,
}

/// What of a series is finer than a window of aggregates.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FinerThere {
    /// It holds all that the window does, or stands for it.
    pub(super) holds: bool,
    /// It holds the same samples.
    pub(super) is_same: bool,
    /// It lies inside.
    pub(super) inside: bool,
    /// It lies in the unit's window.
    pub(super) in_whole: bool,
}

/// A part with what its samples are asked by.
pub(super) struct Judge<'p> {
    part: &'p Part<'p>,
    owns: bool,
    /// The partitions that the chunk overlaps.
    planned: &'p [TimeBounds],
}

impl Judge<'_> {
    fn is_deleted(&self, time_ms: i64) -> bool {
        // Intervals are merged and ascend.
        let next = self.part.deleted.partition_point(|gone| gone.max_time_ms < time_ms);
        self.part.deleted.get(next).is_some_and(|gone| gone.min_time_ms <= time_ms)
    }

    fn is_partly_deleted(&self, bounds: TimeBounds) -> bool {
        self.part.deleted.iter().any(|gone| bounds.overlaps(gone.min_time_ms, gone.max_time_ms))
    }
}

impl Merger<'_> {
    pub(super) fn judge<'p>(&self, part: &'p Part<'p>) -> Judge<'p> {
        let planned = part.block.planned.get(part.block.planned_for(part.meta)).unwrap_or_default();
        Judge { part, owns: self.owns(part.block, part.meta), planned }
    }

    /// True for a sample of this unit, or of the context that is wanted, that is not deleted; counts any that is no
    /// row.
    pub(super) fn keeps(&self, judge: &Judge<'_>, time_ms: i64, is_stale: bool, terms: &mut Terms) -> bool {
        if !self.wanted.bounds.contains(time_ms) {
            self.count_outside(judge, time_ms, terms);
            return self.take.has_context()
                && time_ms < self.wanted.bounds.min_ms
                && !judge.is_deleted(time_ms);
        }
        if judge.part.is_context {
            return false; // The index lies about the chunk's times; its owner counts it.
        }
        terms.taken_over += u64::from(!judge.owns);
        if judge.is_deleted(time_ms) {
            terms.tombstoned += 1;
            return false;
        }
        if !self.is_writable(time_ms) {
            terms.out_of_range += 1;
            return false;
        }
        let dropped = self.wanted.drop_stale && is_stale;
        terms.stale_dropped += u64::from(dropped);
        !dropped
    }

    /// False for a sample of the unit whose window begins before any row can.
    pub(super) fn is_writable(&self, time_ms: i64) -> bool {
        match self.take {
            Take::Windows { resolution, .. } => {
                self.wanted.writable.contains(resolution.window_start(time_ms))
            }
            _ => true,
        }
    }

    /// True for a window of an aggregate chunk that is a part of one of this unit; counts any that is none.
    pub(super) fn keeps_window(&self, judge: &Judge<'_>, window: &Window, terms: &mut Terms) -> bool {
        let Window { end_ms, bounds, .. } = *window;
        if !self.wanted.bounds.contains(end_ms) {
            self.count_outside(judge, end_ms, terms);
            return false;
        }
        if judge.part.is_context {
            return false; // The index lies about the chunk's times; its owner counts it.
        }
        terms.taken_over += u64::from(!judge.owns);
        let asked = self.wanted.asked;
        let term = if judge.is_partly_deleted(bounds) {
            &mut terms.tombstoned
        } else if !asked.contains(bounds.min_ms) || !asked.contains(bounds.max_ms) {
            &mut terms.outside_time_range
        } else if !self.is_writable(end_ms) {
            &mut terms.out_of_range
        } else if window.finer.holds {
            &mut terms.superseded
        } else if window.finer.inside || window.finer.in_whole {
            &mut terms.mixed
        } else if window.count == 0 {
            &mut terms.left_out
        } else {
            return true;
        };
        *term += 1;
        false
    }

    /// Counts a sample that is no row of this unit, unless somebody else does.
    fn count_outside(&self, judge: &Judge<'_>, time_ms: i64, terms: &mut Terms) {
        if judge.owns && !judge.part.is_classic {
            *(if judge.planned.iter().any(|bounds| bounds.contains(time_ms)) {
                &mut terms.handed_over
            } else if !self.wanted.asked.contains(time_ms) {
                &mut terms.outside_time_range
            } else if !self.wanted.writable.contains(time_ms) {
                &mut terms.out_of_range
            } else {
                &mut terms.outside_block
            }) += 1;
        }
    }

    /// Keeps, from row `start` on, the samples of this unit that are not deleted; counts the others.
    pub(super) fn filter(
        &self,
        part: &Part<'_>,
        columns: &mut FloatColumns,
        start: usize,
        terms: &mut Terms,
    ) {
        let judge = self.judge(part);
        let mut to = start;
        for from in start..columns.len() {
            let (Some(&time_ms), Some(&value)) = (columns.times_ms.get(from), columns.values.get(from))
            else {
                break;
            };
            if self.keeps(&judge, time_ms, is_stale_nan(value), terms) {
                move_row(columns, from, to);
                to += 1;
            }
        }
        truncate(columns, to);
    }

    pub(super) fn enter(&mut self, terms: Terms) {
        let tally = &mut self.tally;
        tally.taken_over += terms.taken_over;
        tally.handed_over += terms.handed_over;
        tally.tombstoned += terms.tombstoned;
        tally.outside_time_range += terms.outside_time_range;
        tally.stale_dropped += terms.stale_dropped;
        tally.lose(Loss::TimestampOutOfRange, terms.out_of_range);
        tally.lose(Loss::OutsideBlockRange, terms.outside_block);
        tally.superseded += terms.superseded;
        tally.lose(Loss::MixedWindow, terms.mixed);
        tally.left_out += terms.left_out;
    }

    /// Counts the samples of a series as rows.
    pub(super) fn count_rows(&mut self, appended: Appended) {
        let tally = &mut self.tally;
        tally.written += appended.rows() - appended.classic;
        tally.written_histograms += appended.histograms.samples;
        tally.written_classic += appended.classic;
        tally.series += 1;
    }

    /// Counts the samples of a series as aggregated.
    pub(super) fn count_windows(&mut self, appended: Appended, windows: Windows) {
        let tally = &mut self.tally;
        // What is derived from histograms is no sample of its own.
        let stored = appended.rows() - appended.classic + appended.aggregate_histograms;
        let lost = windows.lost.min(stored);
        let left_out = windows.left_out.min(stored - lost);
        tally.lose(Loss::NotAddable, lost);
        tally.left_out += left_out;
        tally.aggregated += stored - lost - left_out;
        tally.windows += windows.rows;
        tally.histogram_windows += windows.histograms;
        tally.series += u64::from(windows.rows > 0);
    }

    /// Samples and rows counted so far, for what a rule does.
    pub fn counted(&self) -> RuleTally {
        let tally = &self.tally;
        RuleTally {
            series: tally.series,
            samples: tally.written
                + tally.unrolled
                + tally.aggregated
                + tally.left_out
                + tally.dropped_by_rule,
            rows: tally.written + tally.written_classic + tally.windows,
        }
    }

    /// Counts the samples of a series that a rule drops, by the headers of its chunks.
    pub(super) fn drop_series(&mut self, series: &MergedSeries) {
        self.take = Take::Nothing;
        let before = self.tally.read;
        let reads = self.read(series);
        let _not_decoded = self.parts(&series.members, &reads);
        self.reads = reads;
        self.tally.dropped_by_rule += self.tally.read - before;
    }
}

fn move_row(columns: &mut FloatColumns, from: usize, to: usize) {
    columns.times_ms.swap(from, to);
    columns.values.swap(from, to);
    if from < columns.start_times_ms.len() {
        columns.start_times_ms.swap(from, to);
    }
}

pub(super) fn truncate(columns: &mut FloatColumns, len: usize) {
    columns.times_ms.truncate(len);
    columns.values.truncate(len);
    columns.start_times_ms.truncate(len);
}
