//! Downsampling: the samples of a series become one row per window.
//!
//! ```text
//! samples      │ · · · · · │ · ·   · · │           │ · · ·     one time line, see `merge`
//! windows      ├── row ────┼── row ────┼── none ───┼── row     aligned to the epoch, named by their start
//! ```
//! Stale markers and NaN are no part of any window. What a window says:
//!
//! | aggregate | of the samples v₁ … vₖ in time order |
//! |---|---|
//! | count | k |
//! | sum | ((0 + v₁) + v₂) + … |
//! | min, max | the smallest, the largest |
//! | first, last | v₁, vₖ |
//! | increase | the sum of the steps that end in the window, for counters |
//!
//! A *step* leads from a sample to the next one, in whatever windows they are. It adds the difference, or the later
//! value after a reset; so increases add up over any windows, partitions and runs.
//!
//! Aggregates of downsampled blocks become the same windows, but for first and last, which are not known.

mod aggregates;
mod fold;
mod histograms;
mod options;
mod policy;
mod rule_file;
mod thanos;

pub use aggregates::{Aggregate, AggregateColumns, AggregateRow, AggregateSet};
pub use fold::{Folded, Known, Steps, fold, step};
pub use histograms::{FoldedHistograms, HistogramFold};
pub use options::{DownsampleOptions, Rule, RuleAction, Tier};
pub use policy::{Policy, PolicyError, Treatment};
pub use rule_file::{RuleFileError, parse_rules, read_rules};
pub use thanos::{
    AggregateHistograms, Aggregates, Combined, Follows, HistogramPart, Increases, WindowPart, last_values,
};
