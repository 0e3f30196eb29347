use proptest::prelude::*;

use super::*;

/// Samples of one layout, as they come in practice and as they do not. Counts are bits of either kind.
fn samples(float: bool) -> impl Strategy<Value = Vec<Sample>> {
    let spans = || prop::collection::vec((0..5i32, 0..6u32), 0..4);
    let schema = prop_oneof![4 => -4..9i32, 1 => -9..9i32, 1 => Just(CUSTOM_BUCKETS_SCHEMA)];
    // The writer knows only one zero.
    let any_double = || any::<u64>().prop_map(|bits| if bits << 1 == 0 { 0.0 } else { f64::from_bits(bits) });
    let bound = prop_oneof![(0..50_000u32).prop_map(|n| f64::from(n) / 1000.0), any_double()];
    let threshold =
        prop_oneof![Just(0.0), Just(1e-3), (-243..10i32).prop_map(|power| 2f64.powi(power)), any_double()];
    let layout = (schema, threshold, spans(), spans(), -9..9i32, prop::collection::vec(bound, 0..6))
        .prop_map(|(schema, zero_threshold, positive, negative, first, custom_bounds)| {
            let spans = |spans: Vec<(i32, u32)>| {
                let spans = spans.into_iter().enumerate();
                spans
                    .map(|(at, (offset, length))| Span {
                        offset: if at == 0 { first } else { offset },
                        length,
                    })
                    .collect()
            };
            HistogramLayout {
                schema,
                zero_threshold,
                positive_spans: spans(positive),
                negative_spans: spans(negative),
                custom_bounds: if schema == CUSTOM_BUCKETS_SCHEMA { custom_bounds } else { vec![] },
            }
        });
    let growth = prop_oneof![8 => 0..9u64, 4 => 0..900u64, 1 => any::<u64>()];
    let step = prop_oneof![8 => Just(15_000i64), 4 => 14_990..15_010i64, 1 => any::<i64>()];
    let sum = prop_oneof![4 => any::<u32>().prop_map(|n| f64::from(n).to_bits()), 1 => any::<u64>(), 1 => Just(STALE_NAN_BITS)];
    let start = prop_oneof![9 => Just(None), 1 => any::<i64>().prop_map(Some), 2 => (-9_000..9_000i64).prop_map(Some)];
    let row = (step, sum, start, prop::collection::vec(growth, 1..12));
    (layout, prop::collection::vec(row, 0..150), any::<i64>()).prop_map(move |(layout, rows, t0)| {
        let buckets = |count: u64| usize::try_from(count).unwrap();
        let (positive, negative) = (buckets(layout.positive_buckets()), buckets(layout.negative_buckets()));
        let (mut timestamp_ms, mut start_timestamp_ms) = (t0 >> 20, 0);
        let mut counts = vec![0u64; positive + negative + 2];
        let samples = rows.into_iter().enumerate().map(|(index, (step, sum, start, growth))| {
            timestamp_ms = step.wrapping_add(timestamp_ms);
            start_timestamp_ms = start.unwrap_or(start_timestamp_ms);
            for (count, growth) in counts.iter_mut().zip(growth.iter().cycle()) {
                *count = count.wrapping_add(*growth);
            }
            let value = |count: &u64| if float { (*count as f64 / 4.0).to_bits() } else { *count };
            let values: Vec<_> = counts.iter().map(value).collect();
            Sample {
                timestamp_ms,
                start_timestamp_ms,
                hint: if index == 0 { CounterResetHint::Unknown } else { CounterResetHint::NotReset },
                sum,
                count: values[0],
                zero_count: values[1],
                layout: layout.clone(),
                positive: values[2..2 + positive].to_vec(),
                negative: values[2 + positive..].to_vec(),
            }
        });
        samples.collect()
    })
}

/// What is read of what was written: stale markers keep their times, and start times their place.
fn read_back(encoding: Encoding, samples: &[Sample]) -> Vec<Sample> {
    let read = samples.iter().map(|sample| {
        let start_timestamp_ms = if form(encoding).starts { sample.start_timestamp_ms } else { 0 };
        if sample.sum != STALE_NAN_BITS {
            return Sample { start_timestamp_ms, ..sample.clone() };
        }
        Sample {
            start_timestamp_ms,
            timestamp_ms: sample.timestamp_ms,
            hint: CounterResetHint::Unknown,
            sum: sample.sum,
            count: 0,
            zero_count: 0,
            layout: HistogramLayout::default(),
            positive: vec![],
            negative: vec![],
        }
    });
    read.collect()
}

proptest! {
    #[test]
    fn any_histograms_round_trip(integers in samples(false), floats in samples(true)) {
        for encoding in ENCODINGS {
            let samples = if form(encoding).float { &floats } else { &integers };
            let data = encode(encoding, CounterResetHint::NotReset, samples);
            prop_assert_eq!(decode(encoding, &data), (read_back(encoding, samples), None));
        }
    }

    #[test]
    fn any_histograms_cut_anywhere_give_a_prefix_and_an_error(
        integers in samples(false),
        floats in samples(true),
        at in any::<prop::sample::Index>(),
    ) {
        for encoding in ENCODINGS {
            let samples = if form(encoding).float { &floats } else { &integers };
            let data = encode(encoding, CounterResetHint::NotReset, samples);
            let (found, error) = decode(encoding, &data[..at.index(data.len())]);
            prop_assert!(error.is_some());
            prop_assert!(read_back(encoding, samples).starts_with(&found));
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(data in prop::collection::vec(any::<u8>(), 0..400)) {
        for encoding in ENCODINGS {
            let mut columns = HistogramColumns::default();
            let _ = chunk(encoding, &data).append_histograms_to(&mut columns);
            prop_assert!(bytes_of(&columns) <= 4096 + 200 * data.len());
            decode(encoding, &data);
        }
    }
}
