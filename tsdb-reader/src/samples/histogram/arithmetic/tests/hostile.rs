use super::*;

fn error_of(histogram: &Histogram) -> ArithmeticError {
    FloatHistogram::new().set(&histogram.as_row()).unwrap_err()
}

#[test]
fn histograms_that_break_what_sums_rest_on_are_refused_by_name() {
    let exponential = HistogramLayout::default;
    let swallowing = || HistogramLayout { zero_threshold: f64::INFINITY, ..HistogramLayout::default() };
    let custom = || HistogramLayout {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_bounds: vec![1.0, 2.0],
        ..HistogramLayout::default()
    };
    let buckets = |positive_spans: &[Span], layout| HistogramLayout {
        positive_spans: positive_spans.to_vec(),
        ..layout
    };
    let cases = [
        (HistogramLayout { schema: 9, ..exponential() }, "the schema is not one"),
        (HistogramLayout { schema: -10, ..exponential() }, "the schema is not one"),
        (HistogramLayout { zero_threshold: f64::NAN, ..exponential() }, "its zero threshold is NaN"),
        (HistogramLayout { custom_bounds: vec![1.0], ..exponential() }, "there are custom bounds"),
        (buckets(&[span(5, 0), span(-1, 0)], exponential()), "a span has a negative offset"),
        (buckets(&[span(i32::MAX, 0), span(2, 0)], exponential()), "its bucket index 2147483648"),
        (buckets(&[span(i32::MIN, 1)], exponential()), "its bucket index -2147483648"),
        (buckets(&[span(0, u32::MAX), span(0, u32::MAX)], exponential()), "its bucket index 4294967294"),
        (buckets(&[span(0, 2)], exponential()), "another number of buckets"),
        (buckets(&[span(1, 1 << 31)], swallowing()), "its bucket index 2147483648"),
        (buckets(&[span(1, (1 << 31) - 1)], swallowing()), "another number of buckets"),
        (buckets(&[span(-1, 1)], custom()), "a span has a negative offset"),
        (buckets(&[span(2, 2)], custom()), "too few custom bounds"),
        (HistogramLayout { custom_bounds: vec![1.0, 1.0], ..custom() }, "not above the one before it"),
        (HistogramLayout { custom_bounds: vec![f64::NAN], ..custom() }, "a custom bound is NaN"),
        (HistogramLayout { zero_threshold: 1.0, ..custom() }, "there is a zero bucket"),
        (HistogramLayout { negative_spans: vec![span(0, 1)], ..custom() }, "there are negative buckets"),
    ];
    for (layout, message) in cases {
        let error = error_of(&histogram(layout, 0.0, &[1.0])).to_string();
        assert!(
            error.starts_with("the histogram cannot be added up: ") && error.contains(message),
            "{error}"
        );
    }
    let zero_count = error_of(&histogram(custom(), 1.0, &[]));
    assert_eq!(zero_count, ArithmeticError::Rule(HistogramRule::NoZeroBucket));
}

#[test]
fn a_refused_histogram_changes_nothing() {
    let layout = HistogramLayout { positive_spans: vec![span(0, 1)], ..HistogramLayout::default() };
    let mut kept = taken(&histogram(layout.clone(), 1.0, &[2.0]));
    let before = content(&kept);
    assert!(kept.set(&histogram(layout, 1.0, &[2.0, 3.0]).as_row()).is_err());
    assert!(kept.reduce_resolution(0).is_err());
    assert!(kept.reduce_resolution(-10).is_err());
    assert_eq!(content(&kept), before);
}

#[test]
fn buckets_at_both_ends_of_all_indexes_stay_apart() {
    let at = |offset| {
        let layout = HistogramLayout { positive_spans: vec![span(offset, 1)], ..HistogramLayout::default() };
        taken(&histogram(layout, 0.0, &[1.0]))
    };
    let mut sum = at(i32::MIN + 1);
    sum.add(&at(i32::MAX)).unwrap();
    let indexes: Vec<_> = indexes(&sum.layout().positive_spans).collect();
    assert_eq!((indexes, sum.buckets()), (vec![i32::MIN + 1, i32::MAX], [1.0, 1.0].as_slice()));
    sum.add(&at(i32::MAX)).unwrap();
    assert_eq!(sum.buckets(), [1.0, 2.0]);
}

#[test]
fn spans_without_buckets_are_as_if_not_there() {
    let layout = |positive_spans: &[Span]| HistogramLayout {
        positive_spans: positive_spans.to_vec(),
        ..HistogramLayout::default()
    };
    let cut = taken(&histogram(
        layout(&[span(3, 0), span(2, 1), span(0, 1), span(1, 0), span(0, 1)]),
        0.0,
        &[1.0; 3],
    ));
    let whole = taken(&histogram(layout(&[span(5, 2), span(1, 1)]), 0.0, &[1.0; 3]));
    assert_eq!(content(&cut), content(&whole));
    assert!(cut.same_buckets(&whole));
}
