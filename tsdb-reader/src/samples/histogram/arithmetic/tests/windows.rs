use proptest::prelude::*;

use super::*;
use crate::samples::STALE_NAN_BITS;

const LOOKBACK_MS: i64 = 50;

/// Counters of one bucket.
fn counter(timestamp_ms: i64, count: f64) -> Histogram {
    let layout = HistogramLayout { positive_spans: vec![span(3, 1)], ..HistogramLayout::default() };
    Histogram { timestamp_ms, sum: 2.0 * count, ..histogram(layout, 0.0, &[count]) }
}

fn gauge(timestamp_ms: i64, count: f64) -> Histogram {
    Histogram { hint: CounterResetHint::Gauge, ..counter(timestamp_ms, count) }
}

fn stale(timestamp_ms: i64) -> Histogram {
    Histogram { sum: f64::from_bits(STALE_NAN_BITS), ..histogram(HistogramLayout::default(), 0.0, &[]) }
        .at(timestamp_ms)
}

impl Histogram {
    fn at(self, timestamp_ms: i64) -> Self {
        Self { timestamp_ms, ..self }
    }

    fn hinted(self, hint: CounterResetHint) -> Self {
        Self { hint, ..self }
    }

    fn started(self, start_timestamp_ms: i64) -> Self {
        Self { start_timestamp_ms, ..self }
    }
}

fn window_of(histograms: &[Histogram]) -> HistogramWindow {
    let mut window = HistogramWindow::new(LOOKBACK_MS);
    for histogram in histograms {
        window.push(&histogram.as_row()).unwrap();
    }
    window
}

/// Samples and count of the window.
fn counted(histograms: &[Histogram]) -> (u64, f64) {
    let window = window_of(histograms);
    (window.samples(), window.sum().map_or(f64::NAN, |sum| sum.count))
}

#[test]
fn the_windows_of_the_picture_add_up_as_it_says() {
    for (make, expected) in [(counter as fn(_, _) -> _, [6.0, 2.0]), (gauge, [19.0, 15.0])] {
        let mut window = HistogramWindow::new(LOOKBACK_MS);
        let mut sums = Vec::new();
        for (time, count) in [(0, 5.0), (10, 7.0), (20, 3.0), (30, 4.0), (40, 6.0), (100, 9.0)] {
            if time == 40 {
                sums.push(window.sum().unwrap().clone());
                window.begin_window();
                assert!(window.sum().is_none());
            }
            assert_eq!(window.push(&make(time, count).as_row()), Ok(Taken::Summed));
        }
        sums.push(window.sum().unwrap().clone());
        assert_eq!([sums[0].count, sums[1].count], expected);
        assert_eq!([sums[0].sum, sums[1].sum], expected.map(|count| 2.0 * count));
        assert_eq!([sums[0].buckets(), sums[1].buckets()], [[expected[0]], [expected[1]]]);
        assert_eq!(window.samples(), 2);
        window.begin_series();
        window.push(&counter(110, 5.0).as_row()).unwrap();
        assert_eq!(window.sum().unwrap().count, 0.0);
    }
}

#[test]
fn sums_of_gauges_say_gauge_and_increases_say_unknown() {
    let hint = |histograms: &[Histogram]| window_of(histograms).sum().unwrap().hint;
    assert_eq!(hint(&[gauge(0, 1.0)]), CounterResetHint::Gauge);
    for first in [CounterResetHint::Unknown, CounterResetHint::Reset] {
        let second = counter(10, 2.0).hinted(CounterResetHint::NotReset);
        assert_eq!(hint(&[counter(0, 1.0).hinted(first)]), CounterResetHint::Unknown);
        assert_eq!(hint(&[counter(0, 1.0).hinted(first), second]), CounterResetHint::Unknown);
    }
}

#[test]
fn a_start_timestamp_within_the_step_is_a_reset() {
    let second = |start| counted(&[counter(0, 5.0), counter(10, 9.0).started(start)]);
    assert_eq!(second(0), (2, 4.0));
    assert_eq!(second(-5), (2, 4.0));
    assert_eq!(second(1), (2, 9.0));
    assert_eq!(second(10), (2, 9.0));
    assert_eq!(second(11), (2, 4.0));
    let first = |start| counted(&[counter(100, 9.0).started(start)]);
    assert_eq!(
        [first(0), first(50), first(51), first(100), first(101)].map(|(_, count)| count),
        [0.0, 0.0, 9.0, 9.0, 0.0]
    );
    let late = |start| counted(&[counter(0, 5.0), counter(100, 9.0).started(start)]);
    assert_eq!([late(0), late(20), late(50), late(51)].map(|(_, count)| count), [0.0, 0.0, 0.0, 9.0]);
}

#[test]
fn stale_markers_and_nan_sums_are_left_out_and_their_resets_count() {
    let nan = |hint| Histogram { sum: f64::NAN, ..counter(10, 1.0).hinted(hint) };
    let mut window = HistogramWindow::new(LOOKBACK_MS);
    assert_eq!(window.push(&stale(0).as_row()), Ok(Taken::StaleMarker));
    assert_eq!(window.push(&nan(CounterResetHint::Unknown).as_row()), Ok(Taken::NanSum));
    assert_eq!((window.samples(), window.sum().is_none()), (0, true));

    assert_eq!(counted(&[counter(0, 5.0), stale(10), counter(20, 7.0)]), (2, 2.0));
    let not_reset = || counter(20, 7.0).hinted(CounterResetHint::NotReset);
    assert_eq!(counted(&[counter(0, 9.0), not_reset()]), (2, -2.0));
    assert_eq!(counted(&[counter(0, 9.0), nan(CounterResetHint::Unknown), not_reset()]), (2, 7.0));
    assert_eq!(counted(&[counter(0, 5.0), nan(CounterResetHint::Reset), not_reset()]), (2, 7.0));
    let refused = Histogram { buckets: vec![], ..counter(10, 1.0).hinted(CounterResetHint::Reset) };
    let mut window = window_of(&[counter(0, 5.0)]);
    assert_eq!(window.push(&refused.as_row()), Err(ArithmeticError::Rule(HistogramRule::BucketNumber)));
    window.push(&not_reset().as_row()).unwrap();
    assert_eq!((window.samples(), window.sum().unwrap().count), (2, 7.0));
}

#[test]
fn gauges_among_counters_and_custom_among_exponential_buckets_are_refused() {
    let mut window = window_of(&[counter(0, 5.0), counter(10, 6.0)]);
    assert_eq!(window.push(&gauge(20, 9.0).as_row()), Err(ArithmeticError::MixedKinds));
    assert_eq!(window.push(&counter(30, 7.0).as_row()), Ok(Taken::Summed));
    assert_eq!((window.samples(), window.sum().unwrap().count), (3, 1.0));

    let custom = |time, count| {
        let layout = HistogramLayout {
            schema: CUSTOM_BUCKETS_SCHEMA,
            positive_spans: vec![span(0, 1)],
            ..HistogramLayout::default()
        };
        histogram(layout, 0.0, &[count]).at(time)
    };
    assert_eq!(window.push(&custom(40, 3.0).as_row()), Err(ArithmeticError::MixedBuckets));
    assert_eq!((window.samples(), window.sum().unwrap().count), (3, 1.0));
    window.begin_window();
    window.push(&custom(50, 5.0).as_row()).unwrap();
    assert_eq!((window.samples(), window.sum().unwrap().count), (1, 2.0));
}

#[test]
fn other_custom_bounds_within_a_window_are_told() {
    let custom = |time, bounds: &[f64]| {
        let layout = HistogramLayout {
            schema: CUSTOM_BUCKETS_SCHEMA,
            positive_spans: vec![span(0, 3)],
            custom_bounds: bounds.to_vec(),
            ..HistogramLayout::default()
        };
        let count = f64::from(u32::try_from(time).unwrap());
        histogram(layout, 0.0, &[count; 3]).at(time)
    };
    let window = window_of(&[custom(10, &[1.0, 5.0]), custom(20, &[1.0, 5.0])]);
    assert!(!window.bounds_differ());
    let mut window = window_of(&[custom(10, &[1.0, 5.0]), custom(20, &[2.0, 5.0])]);
    assert!(window.bounds_differ());
    let sum = window.sum().unwrap();
    assert_eq!(
        (sum.buckets(), sum.layout().custom_bounds.as_slice()),
        ([20.0, 10.0].as_slice(), [5.0].as_slice())
    );
    window.begin_window();
    assert!(!window.bounds_differ());
}

#[test]
fn times_at_the_ends_of_all_times_are_taken() {
    let ends = [counter(i64::MIN, 5.0), counter(i64::MIN + 1, 7.0), counter(i64::MAX, 9.0).started(i64::MAX)];
    assert_eq!(counted(&ends), (3, 11.0));
}

/// What happens to a counter from one scrape to the next.
#[derive(Debug, Clone)]
enum Event {
    Grow(Vec<(i32, u8)>),
    Reset,
    CoarserSchema,
    StaleMarker,
    NanSum,
    Start,
}

/// A counter of one series, its counts whole numbers.
fn series() -> impl Strategy<Value = Vec<Histogram>> {
    let growth = prop::collection::vec((-6..6i32, 0..9u8), 0..5).prop_map(Event::Grow);
    let event = prop_oneof![
        8 => growth,
        1 => Just(Event::Reset),
        1 => Just(Event::CoarserSchema),
        1 => Just(Event::StaleMarker),
        1 => Just(Event::NanSum),
        1 => Just(Event::Start),
    ];
    let step = prop_oneof![6 => 1..20i64, 1 => 40..120i64];
    prop::collection::vec((step, event), 1..60).prop_map(|steps| {
        let (mut time, mut schema) = (0, 8);
        let mut counts = std::collections::BTreeMap::<i32, f64>::new();
        let mut histograms = Vec::new();
        for (step, event) in steps {
            time += step;
            let (mut start, mut sum) = (0, None);
            match event {
                Event::Grow(growth) => {
                    for (index, more) in growth {
                        *counts.entry(index).or_default() += f64::from(more);
                    }
                }
                Event::Reset => counts.clear(),
                Event::CoarserSchema => {
                    schema = (schema - 1).max(-4);
                    for (index, count) in std::mem::take(&mut counts) {
                        *counts.entry(sides::reduced_index(index, 1)).or_default() += count;
                    }
                }
                Event::StaleMarker => sum = Some(f64::from_bits(STALE_NAN_BITS)),
                Event::NanSum => sum = Some(f64::NAN),
                Event::Start => {
                    counts.values_mut().for_each(|count| *count += 1.0);
                    start = time;
                }
            }
            let mut layout = HistogramLayout { schema, ..HistogramLayout::default() };
            let mut spans = sides::SpanWriter::new(&mut layout.positive_spans);
            counts.keys().for_each(|index| spans.push((*index).into(), 1));
            let counts: Vec<_> = counts.values().copied().collect();
            let histogram = histogram(layout, 3.0, &counts).at(time).started(start);
            let sum = sum.unwrap_or(counts.iter().sum());
            histograms.push(Histogram { sum, ..histogram });
        }
        histograms
    })
}

/// Adds the sums of the windows that begin at `begins`; of each series only what reaches back by the lookback is read.
fn total(histograms: &[Histogram], begins: &[i64]) -> (u64, FloatHistogram) {
    let (mut samples, mut total) = (0, None::<FloatHistogram>);
    for (at, begin) in begins.iter().enumerate() {
        let end = begins.get(at + 1).copied().unwrap_or(i64::MAX);
        let mut window = HistogramWindow::new(LOOKBACK_MS);
        window.begin_series();
        for histogram in histograms.iter().filter(|histogram| histogram.timestamp_ms < *begin) {
            if histogram.timestamp_ms >= begin - LOOKBACK_MS {
                window.push(&histogram.as_row()).unwrap();
            }
        }
        window.begin_window();
        for histogram in histograms.iter().filter(|histogram| (*begin..end).contains(&histogram.timestamp_ms))
        {
            window.push(&histogram.as_row()).unwrap();
        }
        samples += window.samples();
        match (&mut total, window.sum()) {
            (Some(total), Some(sum)) => assert_eq!(total.add(sum), Ok(Reconciled::default())),
            (total, Some(sum)) => *total = Some(sum.clone()),
            (_, None) => {}
        }
    }
    (samples, total.unwrap_or_default())
}

proptest! {
    #[test]
    fn increases_of_small_windows_add_up_to_those_of_large_ones(
        histograms in series(),
        cuts in prop::collection::btree_set(1..1_500i64, 0..20),
    ) {
        let cuts: Vec<_> = [0].into_iter().chain(cuts).collect();
        let (samples, small) = total(&histograms, &cuts);
        let (all, large) = total(&histograms, &[0]);
        prop_assert_eq!(samples, all);
        let counted = |histogram: &FloatHistogram| {
            // A window to which nothing was added has the schema of its histogram nevertheless.
            let mut coarse = histogram.clone();
            let _ = coarse.reduce_resolution(-9);
            let mut content = content(&coarse);
            content.positive.retain(|(_, count)| f64::from_bits(*count) != 0.0);
            content
        };
        prop_assert_eq!(counted(&small), counted(&large));
    }
}
