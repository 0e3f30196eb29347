//! Windows and steps by example, and what increases add up to.

use proptest::prelude::*;
use tsdb_reader::samples::STALE_NAN_BITS;

use super::*;

const HOUR: Steps = Steps { lookback_ms: 3_600_000 };

/// Time, value, start timestamp.
type Sample = (i64, f64, i64);

fn columns(samples: &[Sample]) -> FloatColumns {
    FloatColumns {
        times_ms: samples.iter().map(|at| at.0).collect(),
        values: samples.iter().map(|at| at.1).collect(),
        start_times_ms: samples.iter().map(|at| at.2).collect(),
    }
}

fn folded(
    samples: &[Sample],
    start_ms: i64,
    width: &str,
    steps: Option<Steps>,
) -> (AggregateColumns, Folded) {
    let mut windows = AggregateColumns::default();
    let folded = fold(&columns(samples), &[], start_ms, width.parse().unwrap(), steps, &mut windows);
    assert_eq!(folded.rows, windows.len() as u64);
    (windows, folded)
}

fn steps_of(samples: &[Sample]) -> Vec<f64> {
    folded(samples, i64::MIN, "1ms", Some(HOUR)).0.increases
}

#[test]
fn a_window_says_what_its_samples_are() {
    let stale = f64::from_bits(STALE_NAN_BITS);
    let samples = [(0, 2.0, 0), (1, f64::NAN, 0), (2, 5.0, 0), (3, stale, 0), (4, 1.0, 0), (60_000, 7.0, 0)];
    let (windows, folded) = folded(&samples, 0, "1m", None);
    assert_eq!((windows.times_ms, windows.counts), (vec![0, 60_000], vec![3, 1]));
    assert_eq!((windows.sums, windows.mins, windows.maxs), (vec![8.0, 7.0], vec![1.0, 7.0], vec![5.0, 7.0]));
    assert_eq!((windows.firsts, windows.lasts), (vec![2.0, 7.0], vec![1.0, 7.0]));
    assert!(windows.increases.iter().all(|increase| increase.to_bits() == STALE_NAN_BITS));
    assert_eq!((folded.samples, folded.left_out), (4, 2));
    assert_eq!((folded.min_time_ms, folded.max_time_ms), (0, 60_000));
}

#[test]
fn a_step_adds_what_the_counter_grew_by() {
    let hour = HOUR.lookback_ms;
    for (samples, expected) in [
        (vec![(0, 5.0, 0), (1, 9.0, 0), (2, 9.0, 0), (3, 4.0, 0)], vec![0.0, 4.0, 0.0, 4.0]),
        // NaN is no sample; the step leads over it.
        (vec![(0, 5.0, 0), (1, f64::NAN, 0), (2, 9.0, 0)], vec![0.0, 4.0]),
        (vec![(0, 5.0, 0), (hour, 9.0, 0), (2 * hour + 1, 30.0, 0)], vec![0.0, 4.0, 0.0]),
        // A start timestamp inside the step is a reset, also where the value has grown.
        (vec![(10, 5.0, 0), (20, 9.0, 10), (30, 19.0, 30), (40, 20.0, 41)], vec![0.0, 4.0, 19.0, 1.0]),
        // Of a first sample within the lookback, its beginning left out.
        (vec![(hour + 5, 7.0, 6)], vec![7.0]),
        (vec![(hour + 5, 7.0, 5)], vec![0.0]),
        // Infinity minus itself is no number.
        (vec![(0, f64::INFINITY, 0), (1, f64::INFINITY, 0), (2, 3.0, 0)], vec![0.0, 0.0, 3.0]),
    ] {
        assert_eq!(steps_of(&samples), expected, "{samples:?}");
    }
}

#[test]
fn times_at_the_ends_of_the_range_are_folded() {
    let samples = [(i64::MIN, 1.0, 0), (0, 2.0, i64::MIN), (i64::MAX, 3.0, i64::MAX)];
    for start_ms in [i64::MIN, 0, i64::MAX] {
        let (windows, _) = folded(&samples, start_ms, "5m", Some(Steps { lookback_ms: i64::MAX }));
        assert_eq!(windows.len(), samples.iter().filter(|at| at.0 >= start_ms).count());
    }
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let value = prop_oneof![9 => (0u16..500).prop_map(f64::from), 1 => Just(f64::NAN)];
    let gap = prop_oneof![8 => 1i64..600_000, 1 => 3_600_000i64..=3_600_001, 1 => 3_600_000i64..90_000_000];
    let started = prop_oneof![3 => Just(None), 1 => (0i64..7_200_000).prop_map(Some)];
    prop::collection::vec((gap, value, started), 0..80).prop_map(|steps| {
        let mut time_ms = -40_000_000;
        let sample = |(gap_ms, value, started): (i64, f64, Option<i64>)| {
            time_ms += gap_ms;
            (time_ms, value, started.map_or(0, |ago_ms| time_ms - ago_ms))
        };
        steps.into_iter().map(sample).collect()
    })
}

proptest! {
    #[test]
    fn increases_of_any_windows_add_up_to_the_steps(samples in samples()) {
        let total: f64 = steps_of(&samples).iter().sum();
        for width in ["5m", "7m", "1h", "1d", "1y"] {
            let (windows, _) = folded(&samples, i64::MIN, width, Some(HOUR));
            prop_assert_eq!(windows.increases.iter().sum::<f64>(), total, "{}", width);
        }
    }

    #[test]
    fn windows_are_the_same_when_reading_begins_a_lookback_before(samples in samples(), border in -100i64..200) {
        let start_ms = border * 3_600_000;
        let (whole, all) = folded(&samples, i64::MIN, "1h", Some(HOUR));
        let (mut joined, head) = folded(
            &samples.iter().copied().filter(|at| at.0 < start_ms).collect::<Vec<_>>(),
            i64::MIN, "1h", Some(HOUR),
        );
        let near: Vec<_> =
            samples.iter().copied().filter(|at| at.0 >= start_ms - HOUR.lookback_ms).collect();
        let resolution = "1h".parse().unwrap();
        let tail = fold(&columns(&near), &[], start_ms, resolution, Some(HOUR), &mut joined);
        prop_assert_eq!(joined, whole);
        prop_assert_eq!(head.samples + tail.samples, all.samples);
        prop_assert_eq!(head.left_out + tail.left_out, all.left_out);
    }
}
