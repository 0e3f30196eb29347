//! Aggregates: what chunks of a Thanos downsampled block hold of the samples of each window of time.
//!
//! ```text
//! data     ┌───────┬─────┬─────┬─────┬─────────┐
//!          │ count │ sum │ min │ max │ counter │                      five entries, always in this order
//!          └───────┴─────┴─────┴─────┴─────────┘
//! entry    ┌─────────────┬─────────────┬──────────────────┐
//!          │ len uvarint │ encoding u8 │ data `len` bytes │         or the one byte 0: absent
//!          └─────────────┴─────────────┴──────────────────┘
//!
//! raw      1 2 │ 5 6 │ 4 8          of a counter, in three windows; 4 comes after a reset
//! count    2     2     2            at the last millisecond of each window, or at the last sample before a cut
//! sum      3     11    12           min and max alike
//! counter  1     2     6     14  8  first raw value, then totals, then the last raw value at the last time again
//! ```
//! Of histograms, sum and counter are histograms, and the counter holds totals alone; min and max are absent.
//! Checked: that each entry lies within the data and nothing lies behind them, that floats are not mixed with histograms
//! and neither with aggregates; of rows, that all aggregates have the same times and counts are whole numbers. Any
//! input may fail, none may panic.
//! Defined in Thanos' `pkg/compact/downsample/{aggr,downsample}.go`.

mod chunk;
mod columns;
mod counter;
mod decoder;

pub(crate) use chunk::trace_aggregates;
pub use chunk::{Aggregate, AggregateChunk};
pub use columns::{AggregateColumns, AggregateRow};
pub use counter::{CounterChain, CounterColumns, CounterStep};
pub use decoder::AggregateDecoder;

#[cfg(test)]
mod tests;
