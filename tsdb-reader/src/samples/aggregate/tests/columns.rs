use proptest::prelude::*;

use super::*;

#[test]
fn coarser_window_knows_only_what_all_of_its_windows_know() {
    let row = |end_ms, min| AggregateRow { end_ms, count: 1, sum: Some(0.5), min, max: Some(-0.0) };
    let mut rows = AggregateColumns::default();
    rows.push(row(-1, Some(1.0)));
    rows.push(row(4, Some(f64::NAN)));
    rows.push(row(9, Some(3.0)));
    rows.push(row(12, None));
    rows.push(row(17, Some(4.0)));
    let mut coarser = AggregateColumns::default();
    rows.combine_into(10, &mut coarser);
    assert_eq!(coarser.ends_ms, [-1, 9, 17]);
    assert_eq!(coarser.counts, [1, 2, 2]);
    assert_eq!(coarser.sums, [Some(0.5), Some(1.0), Some(1.0)]);
    assert_eq!(coarser.mins, [Some(1.0), Some(3.0), None]);
    let start = |row: usize| coarser.row(row).unwrap().window_start_ms(10);
    assert_eq!([start(0), start(1), start(2)], [-10, 0, 10]);
    assert_eq!(coarser.row(3), None);

    let (first, last) = (row(i64::MIN, None), row(i64::MAX, None));
    for resolution_ms in [i64::MIN, -1, 0, 1, i64::MAX] {
        let mut coarser = AggregateColumns::default();
        [first, last].into_iter().for_each(|row| coarser.push(row));
        let mut again = AggregateColumns::default();
        coarser.combine_into(resolution_ms, &mut again);
        assert_eq!(again.len(), 2);
    }
}

#[test]
fn counter_is_followed_through_resets_within_and_between_chunks() {
    let mut chain = CounterChain::default();
    let mut step = |time_ms, value| chain.step(time_ms, value);
    let total = |total, increase| CounterStep::Total { total, increase };
    assert_eq!(step(5, f64::NAN), CounterStep::NotANumber);
    assert_eq!(step(0, 1.0), total(1.0, 0.0));
    assert_eq!(step(299, 2.0), total(2.0, 1.0));
    assert_eq!(step(599, 9.0), total(9.0, 7.0));
    assert_eq!(step(599, 5.0), CounterStep::LastRaw);
    // The next chunk: 4 is less than the last raw value, though also less than the last total.
    assert_eq!(step(650, 4.0), total(13.0, 4.0));
    assert_eq!(step(640, 100.0), CounterStep::Earlier);
    assert_eq!(step(899, 8.0), total(17.0, 4.0));
    assert_eq!(step(899, 3.0), CounterStep::LastRaw);
    assert_eq!(step(900, 7.0), total(21.0, 4.0));
    assert_eq!(step(901, f64::INFINITY), total(f64::INFINITY, f64::INFINITY));
    assert!(matches!(step(902, f64::INFINITY), CounterStep::Total { total, .. } if total.is_nan()));
    assert!(matches!(step(903, 4.0), CounterStep::Total { total, increase: 4.0 } if total.is_nan()));
}

#[test]
fn samples_that_a_chain_leaves_out_are_counted() {
    let samples = [(10, 1.0), (5, 9.0), (20, f64::NAN), (20, 3.0), (20, 3.0)];
    let samples: Vec<_> = samples.map(|(time_ms, value): (i64, f64)| (time_ms, value.to_bits())).to_vec();
    let entries = [None, None, None, None, xor(&samples)];
    let aggregates = chunk(&encode(&entries)).aggregates().unwrap();
    let (mut chain, mut columns) = (CounterChain::default(), CounterColumns::default());
    assert_eq!(AggregateDecoder::default().append_counter(&aggregates, &mut chain, &mut columns), Ok(2));
    assert_eq!(
        (columns.times_ms, columns.totals, columns.increases),
        (vec![10, 20], vec![1.0, 3.0], vec![0.0, 2.0])
    );
}

/// Windows of all kinds, in order of time.
fn windows() -> impl Strategy<Value = Vec<(i64, u32, [u64; 3])>> {
    let steps = prop::collection::vec((1..10_000_000i64, any::<u32>(), any::<[u64; 3]>()), 0..200);
    (any::<i32>(), steps).prop_map(|(start, steps)| {
        let mut time_ms = i64::from(start);
        let windows = steps.into_iter().map(|(step, count, values)| {
            time_ms += step;
            (time_ms, count, values)
        });
        windows.collect()
    })
}

proptest! {
    #[test]
    fn any_windows_round_trip(windows in windows(), present in any::<[bool; 3]>()) {
        let column = |at: usize| -> Vec<Sample> { windows.iter().map(|w| (w.0, w.2[at])).collect() };
        let counts: Vec<_> = windows.iter().map(|w| (w.0, f64::from(w.1).to_bits())).collect();
        let entry = |at: usize| present[at].then(|| xor(&column(at))).flatten();
        let data = encode(&[xor(&counts), entry(0), entry(1), entry(2), None]);
        let (rows, counter) = decode(&data).unwrap();
        prop_assert!(counter.is_empty());
        prop_assert!(rows.ends_ms.iter().eq(windows.iter().map(|w| &w.0)));
        prop_assert!(rows.counts.iter().copied().eq(windows.iter().map(|w| u64::from(w.1))));
        for (at, found) in [&rows.sums, &rows.mins, &rows.maxs].into_iter().enumerate() {
            let found: Vec<_> = found.iter().map(|value| value.map(f64::to_bits)).collect();
            let expected: Vec<_> = windows.iter().map(|w| present[at].then_some(w.2[at])).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
