use std::sync::Arc;

use super::super::bounds::indexes;
use super::super::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, HistogramColumns, HistogramKind, HistogramLayout,
    HistogramRule, Span,
};
use super::*;

mod hostile;
mod random;
mod reference;
mod windows;

const HINTS: [CounterResetHint; 4] =
    [CounterResetHint::Unknown, CounterResetHint::Reset, CounterResetHint::NotReset, CounterResetHint::Gauge];

fn span(offset: i32, length: u32) -> Span {
    Span { offset, length }
}

fn floats(counts: &[f64]) -> Vec<u64> {
    counts.iter().map(|count| count.to_bits()).collect()
}

/// A histogram of float counts at time 0.
fn histogram(layout: HistogramLayout, zero_count: f64, counts: &[f64]) -> Histogram {
    Histogram {
        timestamp_ms: 0,
        start_timestamp_ms: 0,
        sum: 1.0,
        count: (zero_count + counts.iter().sum::<f64>()).to_bits(),
        zero_count: zero_count.to_bits(),
        kind: HistogramKind::Float,
        hint: CounterResetHint::Unknown,
        layout: layout.into(),
        buckets: floats(counts),
    }
}

fn taken(histogram: &Histogram) -> FloatHistogram {
    let mut taken = FloatHistogram::new();
    taken.set(&histogram.as_row()).unwrap();
    taken
}

/// What a histogram holds, however its spans are cut: doubles as bits, NaNs all the same.
#[derive(Debug, PartialEq)]
struct Content {
    schema: i32,
    hint: CounterResetHint,
    zero: [u64; 2],
    count: u64,
    sum: u64,
    positive: Vec<(i32, u64)>,
    negative: Vec<(i32, u64)>,
    bounds: Vec<u64>,
}

fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

fn content(histogram: &FloatHistogram) -> Content {
    let layout = histogram.layout();
    for spans in [&layout.positive_spans, &layout.negative_spans] {
        assert!(spans.iter().all(|span| span.length > 0) && spans.iter().skip(1).all(|span| span.offset > 0));
    }
    let side = |spans: &[Span], counts: &[f64]| {
        indexes(spans).zip(counts.iter().map(|count| bits(*count))).collect()
    };
    let buckets = layout.positive_buckets() + layout.negative_buckets();
    assert_eq!(histogram.buckets().len() as u64, buckets);
    let (positive, negative) =
        histogram.buckets().split_at(usize::try_from(layout.positive_buckets()).unwrap());
    Content {
        schema: layout.schema,
        hint: histogram.hint,
        zero: [bits(layout.zero_threshold), bits(histogram.zero_count)],
        count: bits(histogram.count),
        sum: bits(histogram.sum),
        positive: side(&layout.positive_spans, positive),
        negative: side(&layout.negative_spans, negative),
        bounds: layout.custom_bounds.iter().map(|bound| bits(*bound)).collect(),
    }
}
