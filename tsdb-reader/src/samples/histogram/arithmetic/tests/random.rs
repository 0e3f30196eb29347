use proptest::prelude::*;

use super::*;

fn spans(custom: bool) -> impl Strategy<Value = Vec<Span>> {
    let first = if custom { 0..3i32 } else { -40..40 };
    (first, prop::collection::vec((0..4i32, 0..5u32), 0..4)).prop_map(|(first, spans)| {
        let spans = spans.into_iter().enumerate();
        spans.map(|(at, (offset, length))| span(if at == 0 { first } else { offset }, length)).collect()
    })
}

fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (0..20u32).prop_map(f64::from),
        2 => (-4..4i32).prop_map(|power| 2f64.powi(power)),
        1 => any::<f64>(),
        1 => prop::sample::select(vec![-0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324, f64::MAX]),
    ]
}

fn layouts(custom: bool) -> impl Strategy<Value = HistogramLayout> {
    let bounds = prop::collection::btree_set(-9..9i32, 0..16);
    (-9..9i32, doubles(), spans(custom), spans(custom), bounds).prop_map(
        move |(schema, zero_threshold, positive_spans, negative_spans, bounds)| {
            if custom {
                let custom_bounds = bounds.into_iter().map(f64::from).collect();
                let schema = CUSTOM_BUCKETS_SCHEMA;
                return HistogramLayout {
                    schema,
                    positive_spans,
                    custom_bounds,
                    ..HistogramLayout::default()
                };
            }
            HistogramLayout { schema, zero_threshold, positive_spans, negative_spans, custom_bounds: vec![] }
        },
    )
}

/// Histograms of `layout`, good and odd.
fn of_layout(layout: HistogramLayout) -> impl Strategy<Value = Histogram> {
    let buckets = usize::try_from(layout.positive_buckets() + layout.negative_buckets()).unwrap();
    let counts = prop::collection::vec(doubles(), buckets);
    (counts, doubles(), doubles(), 0..4usize).prop_map(move |(counts, zero_count, sum, hint)| {
        let zero_count = if layout.schema == CUSTOM_BUCKETS_SCHEMA { 0.0 } else { zero_count };
        Histogram { sum, hint: HINTS[hint], ..histogram(layout.clone(), zero_count, &counts) }
    })
}

fn histograms() -> impl Strategy<Value = Histogram> {
    prop_oneof![3 => layouts(false), 1 => layouts(true)].prop_flat_map(of_layout)
}

fn with_same_buckets() -> impl Strategy<Value = (Histogram, Histogram)> {
    layouts(false).prop_flat_map(|layout| (of_layout(layout.clone()), of_layout(layout)))
}

proptest! {
    #[test]
    fn any_histograms_are_calculated_with_or_refused(a in histograms(), b in histograms(), schema in -60..60i32) {
        let (mut ours, mut theirs) = (FloatHistogram::new(), FloatHistogram::new());
        if ours.set(&a.as_row()).is_ok() && theirs.set(&b.as_row()).is_ok() {
            ours.detect_reset(&theirs);
            let buckets = ours.buckets().len() + theirs.buckets().len();
            let mixed = ours.is_custom() != theirs.is_custom();
            prop_assert_eq!(ours.add(&theirs).is_err(), mixed);
            prop_assert_eq!(ours.sub(&theirs).is_err(), mixed);
            prop_assert!(ours.buckets().len() <= buckets);
            content(&ours);
            let _ = ours.reduce_resolution(schema);
            content(&ours);
        }
        let mut window = HistogramWindow::new(1);
        for histogram in [&a, &b, &a] {
            let _ = window.push(&histogram.as_row());
        }
    }

    #[test]
    fn the_short_way_for_same_buckets_gives_what_the_long_one_does((a, b) in with_same_buckets()) {
        let (mut short, mut theirs) = (FloatHistogram::new(), FloatHistogram::new());
        if short.set(&a.as_row()).is_ok() && theirs.set(&b.as_row()).is_ok() {
            if short.zero_count >= theirs.zero_count {
                prop_assert_eq!(short.fell_bucket_by_bucket(&theirs), short.fell_when_reduced(&theirs));
            }
            for sign in [1.0, -1.0] {
                let mut long = short.clone();
                short.combine_bucket_by_bucket(&theirs, sign);
                short.zero_count += theirs.zero_count * sign;
                long.combine_with_others(&theirs, sign);
                prop_assert_eq!(content(&short), content(&long));
            }
        }
    }
}
