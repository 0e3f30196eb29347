//! The fold against the rule, sample by sample.

use proptest::prelude::*;

use super::*;
use crate::downsample::{Aggregate, AggregateRow};

/// The rule as it is written, one sample after the other.
fn by_the_rule(
    samples: &FloatColumns,
    start_ms: i64,
    resolution: Resolution,
    steps: Option<Steps>,
) -> (Folded, AggregateColumns) {
    let (mut folded, mut windows) = (Folded::default(), AggregateColumns::default());
    let mut before: Option<(i64, f64)> = None;
    let mut open: Option<AggregateRow> = None;
    for (at, (&time_ms, &value)) in samples.times_ms.iter().zip(&samples.values).enumerate() {
        let is_context = time_ms < start_ms;
        if value.is_nan() {
            folded.left_out += u64::from(!is_context);
            continue;
        }
        let start_time_ms = samples.start_times_ms.get(at).copied().unwrap_or(0);
        let step = steps.map(|steps| step_of(before, (time_ms, value), start_time_ms, steps));
        before = Some((time_ms, value));
        if is_context {
            continue;
        }
        if folded.samples == 0 {
            folded.min_time_ms = time_ms;
        }
        folded.samples += 1;
        folded.max_time_ms = time_ms;
        let window_ms = resolution.window_start(time_ms);
        match &mut open {
            Some(row) if row.time_ms == window_ms => add(row, value, step),
            _ => {
                let increase = step.unwrap_or(AggregateColumns::NULL);
                let values = [0.0 + value, value, value, value, value, increase];
                let begun = AggregateRow { time_ms: window_ms, count: 1, values };
                if let Some(done) = open.replace(begun) {
                    windows.push(&done);
                }
            }
        }
    }
    if let Some(done) = open {
        windows.push(&done);
    }
    folded.rows = windows.len() as u64;
    (folded, windows)
}

fn add(row: &mut AggregateRow, value: f64, step: Option<f64>) {
    let [sum, min, max, _, last, increase] = &mut row.values;
    row.count += 1;
    *sum += value;
    if value < *min {
        *min = value;
    }
    if value > *max {
        *max = value;
    }
    *last = value;
    if let Some(step) = step {
        *increase += step;
    }
}

fn step_of(
    before: Option<(i64, f64)>,
    (time_ms, value): (i64, f64),
    start_time_ms: i64,
    steps: Steps,
) -> f64 {
    let near = before.filter(|&(at, _)| time_ms.saturating_sub(at) <= steps.lookback_ms);
    let from_ms = near.map_or(time_ms.saturating_sub(steps.lookback_ms), |(at, _)| at);
    if start_time_ms != 0 && from_ms < start_time_ms && start_time_ms <= time_ms {
        return value;
    }
    match near {
        None => 0.0,
        Some((_, before)) if value == before => 0.0,
        Some((_, before)) if value > before => value - before,
        Some(_) => value,
    }
}

/// Bits of all columns.
fn bits(windows: &AggregateColumns) -> Vec<Vec<u64>> {
    let whole = |column: &[i64]| column.iter().map(|value| value.cast_unsigned()).collect();
    let values =
        Aggregate::ALL.map(|aggregate| windows.column(aggregate).iter().map(|v| v.to_bits()).collect());
    [whole(&windows.times_ms), whole(&windows.counts)].into_iter().chain(values).collect()
}

fn assert_same(samples: &FloatColumns, start_ms: i64, resolution: Resolution, steps: Option<Steps>) {
    let (expected, expected_windows) = by_the_rule(samples, start_ms, resolution, steps);
    let mut windows = AggregateColumns::default();
    let folded = fold(samples, &[], start_ms, resolution, steps, &mut windows);
    assert_eq!((folded, bits(&windows)), (expected, bits(&expected_windows)));
    fold(samples, &[], start_ms, resolution, steps, &mut windows);
    assert_eq!(windows.len(), 2 * expected_windows.len(), "windows go behind those that are there");
}

/// Gaps between samples: of a scrape, with jitter, long ones.
fn gap_ms() -> impl Strategy<Value = i64> {
    prop_oneof![20 => Just(15_000i64), 10 => 14_990..15_010i64, 2 => 1..600_000i64, 1 => 3_500_000..3_700_000i64]
}

/// Values that equal, rise, fall, are no numbers or not finite, and both zeros.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        20 => (0..50i32).prop_map(f64::from),
        10 => -1e3..1e3f64,
        5 => Just(0.0),
        5 => Just(-0.0),
        1 => any::<f64>(),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ]
}

#[derive(Debug, Clone, Copy)]
enum StartTimes {
    None,
    Same,
    Any,
}

fn series() -> impl Strategy<Value = FloatColumns> {
    let nan = prop_oneof![3 => Just(0), 1 => Just(20)];
    let start_times = prop_oneof![Just(StartTimes::None), Just(StartTimes::Same), Just(StartTimes::Any)];
    let samples = prop::collection::vec((gap_ms(), value(), 0..100u32, 0..100_000i64), 0..400);
    (samples, nan, start_times, -5_000_000..5_000_000i64).prop_map(
        |(samples, nan, start_times, mut time_ms)| {
            let mut columns = FloatColumns::default();
            let same_ms = time_ms + 40_000;
            for (gap_ms, value, is_nan, ago_ms) in samples {
                time_ms += gap_ms;
                columns.times_ms.push(time_ms);
                columns.values.push(if is_nan < nan { AggregateColumns::NULL } else { value });
                columns.start_times_ms.extend(match start_times {
                    StartTimes::None => None,
                    StartTimes::Same => Some(same_ms),
                    StartTimes::Any => Some(if ago_ms % 3 == 0 { 0 } else { time_ms - ago_ms + 50_000 }),
                });
            }
            columns
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_those_of_the_rule_bit_for_bit(
        samples in series(),
        skipped in 0..50usize,
        width_ms in prop_oneof![Just(300_000i64), Just(3_600_000), Just(15_000), Just(1), 1..10_000_000i64],
        lookback_ms in prop_oneof![3 => Just(None), 3 => Just(Some(3_600_000i64)), 1 => (1..4_000_000i64).prop_map(Some), 1 => Just(Some(i64::MAX))],
    ) {
        let start_ms = samples.times_ms.get(skipped).copied().unwrap_or(i64::MIN);
        let resolution = Resolution::windows(width_ms).unwrap();
        assert_same(&samples, start_ms, resolution, lookback_ms.map(|lookback_ms| Steps { lookback_ms }));
    }
}

#[test]
fn of_zeros_the_first_is_the_extreme() {
    for values in [
        [1.0, 2.0, 0.0, 3.0, 4.0, 5.0, -0.0, 1.0, 0.0],
        [1.0, 2.0, 3.0, 3.0, 4.0, 5.0, -0.0, 0.0, 0.0],
        [-1.0, -2.0, -3.0, -0.0, -4.0, 0.0, -5.0, -1.0, -0.0],
    ] {
        let samples =
            FloatColumns { times_ms: (0..9).collect(), values: values.to_vec(), ..FloatColumns::default() };
        assert_same(&samples, i64::MIN, Resolution::windows(300_000).unwrap(), None);
    }
}

#[test]
fn times_at_both_ends_of_their_range_have_windows() {
    let times_ms = vec![i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX];
    let samples = FloatColumns { times_ms, values: vec![1.0; 6], ..FloatColumns::default() };
    for width_ms in [1, 7, 300_000, i64::MAX] {
        for start_ms in [i64::MIN, 0, i64::MAX] {
            let steps = Some(Steps { lookback_ms: 3_600_000 });
            assert_same(&samples, start_ms, Resolution::windows(width_ms).unwrap(), steps);
        }
    }
    assert_same(&samples, i64::MIN, Resolution::RAW, None);
}

#[test]
fn series_of_nothing_but_nan_or_context_have_no_window() {
    let five_minutes = Resolution::windows(300_000).unwrap();
    for values in [vec![], vec![AggregateColumns::NULL; 3], vec![1.0; 3]] {
        let times_ms = (0..3).take(values.len()).collect();
        let samples = FloatColumns { times_ms, values, ..FloatColumns::default() };
        assert_same(&samples, 3, five_minutes, Some(Steps { lookback_ms: 10 }));
    }
}
