//! Last values of windows, against the values that the windows were made of.

use proptest::prelude::*;
use tsdb_reader::samples::CounterChain;

use super::*;

/// A chunk of windows of these values, each 10 ms long, as Thanos makes it.
fn found(windows: &[Vec<f64>], with_last: bool) -> Vec<Option<f64>> {
    let mut counter = FloatColumns::default();
    let mut push = |time_ms: i64, value: f64| {
        counter.times_ms.push(time_ms);
        counter.values.push(value);
    };
    let mut columns = samples::AggregateColumns::default();
    let first = windows.first().and_then(|window| window.first()).copied().unwrap();
    let (mut total, mut last) = (first, first);
    push(0, first);
    for (end_ms, window) in (9..).step_by(10).zip(windows) {
        for &value in window {
            total += if value >= last { value - last } else { value };
            last = value;
        }
        push(end_ms, total);
        let extreme = |most: fn(f64, f64) -> f64| window.iter().copied().reduce(most);
        columns.push(samples::AggregateRow {
            end_ms,
            count: window.len() as u64,
            sum: Some(window.iter().sum()),
            min: extreme(f64::min),
            max: extreme(f64::max),
        });
    }
    if with_last {
        push(columns.ends_ms.last().copied().unwrap(), last);
    }
    let (mut chain, mut totals) = (CounterChain::default(), CounterColumns::default());
    chain.append(&counter, &mut totals);
    last_values(&totals, &columns, chain.last_raw())
}

#[test]
fn without_a_reset_every_last_value_is_told() {
    let windows = [vec![0.5, 0.7], vec![0.7, 0.9, 1.3], vec![1.3], vec![7.1, 8.2]];
    assert_eq!(found(&windows, true), [Some(0.7), Some(1.3), Some(1.3), Some(8.2)]);
    assert_eq!(found(&windows, false), [Some(0.7), Some(1.3), Some(1.3), Some(8.2)]);
}

#[test]
fn values_are_told_but_for_windows_between_resets() {
    let windows =
        [vec![8.0, 9.0], vec![10.0, 15.0], vec![17.0, 3.0], vec![4.0, 6.0], vec![6.5, 2.0], vec![9.0, 10.0]];
    let expected = [Some(9.0), Some(15.0), None, None, Some(2.0), Some(10.0)];
    assert_eq!(found(&windows, true), expected);
    let from_zero = [vec![0.0, 1.0], vec![2.0, 5.0], vec![6.0, 1.0], vec![9.0, 2.0]];
    assert_eq!(found(&from_zero, true), [Some(1.0), Some(5.0), None, Some(2.0)]);
    // A reset on the border of two windows.
    let windows = [vec![8.0, 9.0], vec![10.0, 15.0], vec![3.0, 4.0], vec![5.0, 6.0]];
    assert_eq!(found(&windows, true), [Some(9.0), Some(15.0), Some(4.0), Some(6.0)]);
    // One that ends at 0 looks like none.
    let windows = [vec![0.0, 9.0, 0.0], vec![0.0, 12.0, 0.0], vec![3.0, 4.0]];
    assert_eq!(found(&windows, true), [None, None, Some(4.0)]);
}

proptest! {
    #[test]
    fn what_is_told_is_so(windows in windows(), with_last in any::<bool>()) {
        for (window, value) in windows.iter().zip(found(&windows, with_last)) {
            let last = window.last().copied().unwrap();
            prop_assert!(value.is_none_or(|value| (value - last).abs() <= 1e-9), "{last} {value:?}: {windows:?}");
        }
    }
}

/// Steps of a counter: resets to a value, or what it grows by; in tenths, so that sums are rounded.
fn windows() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let step = (prop_oneof![4 => Just(false), 1 => Just(true)], 0..6u32);
    let windows = prop::collection::vec(prop::collection::vec(step, 1..5), 1..8);
    windows.prop_map(|windows| {
        let mut value = 0;
        let mut take = |(is_reset, by): (bool, u32)| {
            value = if is_reset { by.min(value) } else { value + by };
            f64::from(value) / 10.0
        };
        windows.into_iter().map(|steps| steps.into_iter().map(&mut take).collect()).collect()
    })
}
