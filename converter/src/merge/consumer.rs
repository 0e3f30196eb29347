//! Consumers: what takes the time line of a series from the merge.
//!
//! ```text
//! for each series      floats appended ─► begin ─► histograms appended ─► portion ─► … ─► end
//!
//! With its context, a series begins with samples of before the unit, which are no rows.
//! ```

use tsdb_reader::samples::{FloatColumns, HistogramColumns};

use super::{Appended, Switch};
use crate::downsample::{Aggregates, Known};
use crate::series::MergedSeries;

/// Takes series one after the other, each with its samples of the unit: rows of tables, lines of text, what is made
/// of samples.
///
/// Floats come all at once, histograms in portions, for they may be large. Within a series each kind ascends by time,
/// and no time is in both. Samples are appended to columns of the consumer's own, which it may empty, or not, in any
/// of the calls: so rows of several series may stand together without being copied.
pub trait Consumer {
    /// Why no more can be taken.
    type Error;

    /// Where float samples are appended. Stale markers have their NaN bits; start timestamps are 0 where unknown, and
    /// not there at all when all are.
    fn floats(&mut self) -> &mut FloatColumns;

    /// Where histograms are appended. Hints are true of the histograms handed out, one after the other.
    fn histograms(&mut self) -> &mut HistogramColumns;

    /// Windows of the next series that come from downsampled blocks, to be taken away. They are there for those who ask
    /// for windows, see [`Take::Windows`](super::Take::Windows).
    fn aggregates(&mut self, _aggregates: &mut Aggregates) {}

    /// Steps of the next series that lead from one replica to another, to be taken away.
    fn switches(&mut self, _switches: &mut Vec<Switch>) {}

    /// A series with at least one sample. Its floats are the last `appended.samples` of the columns; its histograms
    /// are to come.
    fn begin(&mut self, series: &MergedSeries, appended: Appended) -> Result<(), Self::Error>;

    /// A series without a sample of the unit; `before` is the last float of before, where that is asked for.
    fn without_rows(&mut self, _series: &MergedSeries, _before: Option<Known>) {}

    /// Some more histograms have been appended, at least one. `more` says that others follow; they wait for less to
    /// be in the columns than makes a portion, or come one by one.
    fn portion(&mut self, more: bool) -> Result<(), Self::Error>;

    /// The series is complete; what its samples have become is counted.
    fn end(&mut self) -> Result<Became, Self::Error>;
}

/// What the samples of a series have become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// A row each.
    Rows,
    /// Rows of windows.
    Windows(Windows),
}

/// Samples that have become windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Windows {
    /// Rows.
    pub rows: u64,
    /// Of them, those of histograms.
    pub histograms: u64,
    /// Samples that are in no window.
    pub left_out: u64,
    /// Histograms that could not be added up with the others of their window.
    pub lost: u64,
}
