//! A histogram to calculate with: it owns its buckets, as doubles.
//!
//! ```text
//! layout   schema 3, spans (-2, 2) (1, 1) │ (0, 1)        shared; no span is empty, and none touches the next
//! buckets  4 7 1 │ 2                                      of the positive spans, then of the negative ones
//! ```

use std::iter::zip;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::super::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, HistogramColumns, HistogramLayout};
use super::super::{HistogramKind, HistogramRow, HistogramRule, Span};
use super::ArithmeticError;
use super::sides::{Side, SpanWriter, runs, swallowed};

/// A histogram with counts as doubles. One of them can take many histograms after each other, and keeps its memory.
///
/// Integer counts are exact up to 2^53.
#[derive(Debug, Clone, Default)]
pub struct FloatHistogram {
    /// What is known of resets since the histogram before.
    pub hint: CounterResetHint,
    /// Number of observations.
    pub count: f64,
    /// Sum of observations.
    pub sum: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    shape: Shape,
    buckets: Vec<f64>,
    known: Known,
    draft: Draft,
}

/// Which buckets there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    layout: Arc<HistogramLayout>,
    /// Number of positive buckets.
    positive: usize,
    /// How many of the first positive and negative ones lie within the zero bucket.
    pub(super) swallowed: [usize; 2],
}

/// The layout of the last row, checked.
#[derive(Debug, Clone, Default)]
struct Known {
    of_row: Arc<HistogramLayout>,
    /// Of the same with as few spans as can be.
    shape: Shape,
    buckets: usize,
}

/// Buckets in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) layout: HistogramLayout,
    pub(super) buckets: Vec<f64>,
}

impl FloatHistogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the histogram `row`, its timestamps apart. After an error nothing has changed.
    pub fn set(&mut self, row: &HistogramRow<'_>) -> Result<(), ArithmeticError> {
        if !Arc::ptr_eq(&self.known.of_row, row.layout) {
            self.known = Known::new(row.layout, row.buckets.len())?;
        }
        if self.known.buckets != row.buckets.len() {
            return Err(ArithmeticError::Rule(HistogramRule::BucketNumber));
        }
        let zero_count = row.as_f64(row.zero_count);
        if row.layout.schema == CUSTOM_BUCKETS_SCHEMA && zero_count != 0.0 {
            return Err(ArithmeticError::Rule(HistogramRule::NoZeroBucket));
        }
        self.hint = row.hint;
        self.count = row.as_f64(row.count);
        self.sum = row.sum;
        self.zero_count = zero_count;
        self.shape.follow(&self.known.shape);
        self.buckets.clear();
        match row.kind {
            HistogramKind::Integer => self.buckets.extend(row.buckets.iter().map(|count| integer(*count))),
            HistogramKind::Float => self.buckets.extend(row.buckets.iter().map(|bits| f64::from_bits(*bits))),
        }
        Ok(())
    }

    /// Takes over what `other` holds.
    pub fn copy_from(&mut self, other: &Self) {
        self.hint = other.hint;
        self.count = other.count;
        self.sum = other.sum;
        self.zero_count = other.zero_count;
        self.shape.follow(&other.shape);
        self.buckets.clone_from(&other.buckets);
    }

    /// Becomes a histogram of the buckets of `other` that has counted nothing.
    pub fn set_zero_of(&mut self, other: &Self) {
        self.hint = CounterResetHint::Unknown;
        (self.count, self.sum, self.zero_count) = (0.0, 0.0, 0.0);
        self.shape.follow(&other.shape);
        self.buckets.clear();
        self.buckets.resize(other.buckets.len(), 0.0);
    }

    /// Appends the histogram as a row of float counts.
    pub fn append_to(&self, timestamp_ms: i64, start_timestamp_ms: i64, columns: &mut HistogramColumns) {
        columns.push(HistogramRow {
            timestamp_ms,
            start_timestamp_ms,
            sum: self.sum,
            count: self.count.to_bits(),
            zero_count: self.zero_count.to_bits(),
            kind: HistogramKind::Float,
            hint: self.hint,
            layout: self.layout(),
            buckets: &[],
        });
        columns.buckets.extend(self.buckets.iter().map(|count| count.to_bits()));
        if let Some(end) = columns.bucket_ends.last_mut() {
            *end = columns.buckets.len();
        }
    }

    /// Which buckets there are.
    pub fn layout(&self) -> &Arc<HistogramLayout> {
        &self.shape.layout
    }

    /// Absolute counts: of the positive spans, then of the negative ones.
    pub fn buckets(&self) -> &[f64] {
        &self.buckets
    }

    pub(super) fn buckets_mut(&mut self) -> &mut [f64] {
        &mut self.buckets
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn is_custom(&self) -> bool {
        self.layout().schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// True when every bucket of either is one of the other, in the same place.
    pub(super) fn same_buckets(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.layout(), other.layout()) || self.layout() == other.layout()
    }

    /// The positive and the negative buckets.
    pub(super) fn sides(&self) -> [Side<'_>; 2] {
        let counts = self.buckets.split_at_checked(self.shape.positive);
        let (positive, negative) = counts.unwrap_or((&self.buckets, &[]));
        [
            Side::new(&self.layout().positive_spans, positive),
            Side::new(&self.layout().negative_spans, negative),
        ]
    }

    /// Where the positive and the negative buckets lie, but for the first ones of each.
    pub(super) fn ranges(&self, but: [usize; 2]) -> [Range<usize>; 2] {
        let [but_positive, but_negative] = but;
        let positive = self.shape.positive;
        [but_positive..positive, positive.saturating_add(but_negative)..self.buckets.len()]
    }

    /// Buckets in the making: none as yet, of the schema, zero threshold and custom bounds of this histogram.
    pub(super) fn begin_draft(&mut self) -> Draft {
        let mut draft = mem::take(&mut self.draft);
        let (layout, own) = (&mut draft.layout, self.layout());
        layout.schema = own.schema;
        layout.zero_threshold = own.zero_threshold;
        layout.positive_spans.clear();
        layout.negative_spans.clear();
        layout.custom_bounds.clone_from(&own.custom_bounds);
        draft.buckets.clear();
        draft
    }

    /// Takes over the buckets of `draft`. A layout equal to this histogram's or to that of `other` is shared.
    pub(super) fn adopt(&mut self, mut draft: Draft, other: Option<&Shape>) {
        if *self.shape.layout != draft.layout {
            self.shape = match other {
                Some(other) if *other.layout == draft.layout => other.clone(),
                _ => Shape::new(Arc::new(mem::take(&mut draft.layout))),
            };
        }
        mem::swap(&mut self.buckets, &mut draft.buckets);
        self.draft = draft;
    }
}

impl Shape {
    fn new(layout: Arc<HistogramLayout>) -> Self {
        let positive = usize::try_from(layout.positive_buckets()).unwrap_or(usize::MAX);
        let within = |spans| swallowed(spans, layout.schema, layout.zero_threshold);
        let swallowed = [within(&layout.positive_spans), within(&layout.negative_spans)];
        Self { layout, positive, swallowed }
    }

    /// Becomes the same as `other`, at no cost when it is already.
    fn follow(&mut self, other: &Self) {
        if !Arc::ptr_eq(&self.layout, &other.layout) {
            *self = other.clone();
        }
    }
}

impl Draft {
    /// Adds the positive buckets, and the negative ones if there are.
    pub(super) fn fill(&mut self, sides: impl IntoIterator<Item: Iterator<Item = (i32, f64)>>) {
        let spans = [&mut self.layout.positive_spans, &mut self.layout.negative_spans];
        for (side, spans) in zip(sides, spans) {
            let mut spans = SpanWriter::new(spans);
            for (index, count) in side {
                spans.push(index.into(), 1);
                self.buckets.push(count);
            }
        }
    }
}

impl Known {
    /// Checks `layout`, on which all arithmetic rests, of a row with so many `buckets`.
    fn new(layout: &Arc<HistogramLayout>, buckets: usize) -> Result<Self, ArithmeticError> {
        // Schemas below -4 are read as they are.
        let reserved =
            |rule: &HistogramRule| *rule == HistogramRule::Schema && (-9..-4).contains(&layout.schema);
        if let Some(rule) = layout.broken_rules().into_iter().find(|rule| !reserved(rule)) {
            return Err(ArithmeticError::Rule(rule));
        }
        if layout.zero_threshold.is_nan() {
            return Err(ArithmeticError::ZeroThreshold);
        }
        for spans in [&layout.positive_spans, &layout.negative_spans] {
            spans.iter().try_fold(0, |index, span| span.end(index)).map_err(ArithmeticError::BucketIndex)?;
        }
        if layout.positive_buckets().saturating_add(layout.negative_buckets()) != buckets as u64 {
            return Err(ArithmeticError::Rule(HistogramRule::BucketNumber));
        }
        Ok(Self { of_row: Arc::clone(layout), shape: Shape::new(fewest_spans(layout)), buckets })
    }
}

/// The layout with as few spans as can be.
fn fewest_spans(layout: &Arc<HistogramLayout>) -> Arc<HistogramLayout> {
    let is_one_of_few = |(at, span): (usize, &Span)| span.length > 0 && (at == 0 || span.offset > 0);
    let sides = [&layout.positive_spans, &layout.negative_spans];
    if sides.iter().all(|spans| spans.iter().enumerate().all(is_one_of_few)) {
        return Arc::clone(layout);
    }
    let mut fewer = HistogramLayout::clone(layout);
    for (spans, fewer) in zip(sides, [&mut fewer.positive_spans, &mut fewer.negative_spans]) {
        let mut writer = SpanWriter::new(fewer);
        for run in runs(spans, 0) {
            let length = run.end.saturating_sub(run.start);
            writer.push(run.start, usize::try_from(length).unwrap_or(usize::MAX));
        }
    }
    Arc::new(fewer)
}

#[expect(clippy::cast_precision_loss, reason = "said at the type")]
fn integer(count: u64) -> f64 {
    count as f64
}
