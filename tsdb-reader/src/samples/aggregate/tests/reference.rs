use super::*;

#[test]
fn chunks_of_thanos_decode_bit_for_bit() {
    for case in cases() {
        let aggregates = chunk(&case.data).aggregates().unwrap();
        assert_eq!(aggregates.holds_histograms(), case.holds_histograms());
        let count = case.floats(Aggregate::Count).map_or(0, |samples| samples.len());
        assert_eq!(aggregates.num_samples(), u32::try_from(count).unwrap(), "{}", case.name);
        for aggregate in Aggregate::ALL {
            let entry = aggregates.get(aggregate);
            if entry.is_some_and(|entry| entry.encoding().holds_histograms()) {
                compare_histograms(entry.unwrap(), &case.aggregates[aggregate.name()], &case.name);
            } else {
                let found = entry.map(|entry| floats(entry).unwrap());
                assert_eq!(found, case.floats(aggregate), "{aggregate} of {}", case.name);
            }
        }
    }
}

fn compare_histograms(chunk: &Chunk, expected: &Value, name: &str) {
    let mut columns = HistogramColumns::default();
    chunk.append_histograms_to(&mut columns).unwrap();
    let expected = expected["samples"].as_array().unwrap();
    assert_eq!(columns.len(), expected.len());
    for (row, expected) in expected.iter().enumerate() {
        let found = columns.row(row).unwrap();
        assert_eq!(Some(found.timestamp_ms), expected["t"].as_i64());
        let counts = (found.count, found.zero_count, found.sum.to_bits());
        assert_eq!(
            counts,
            (bits(&expected["count"]), bits(&expected["zero_count"]), bits(&expected["sum"])),
            "{name}"
        );
        assert_eq!(Some(i64::from(found.layout.schema)), expected["schema"].as_i64());
        let sides = [&expected["positive_counts"], &expected["negative_counts"]];
        let buckets: Vec<_> = sides.into_iter().flat_map(|side| side.as_array().unwrap()).map(bits).collect();
        assert_eq!(found.buckets, buckets, "{name}");
    }
}

#[test]
fn the_test_encoder_writes_the_bytes_of_thanos() {
    for case in cases().iter().filter(|case| !case.holds_histograms()) {
        let entries = Aggregate::ALL.map(|aggregate| xor(&case.floats(aggregate)?));
        assert_eq!(encode(&entries), case.data, "{}", case.name);
    }
}

#[test]
fn windows_of_thanos_have_all_that_their_aggregates_say() {
    // This one has values for windows that its count does not have.
    let sound = |case: &Case| !case.holds_histograms() && !case.name.contains("empty_xor");
    for case in cases().into_iter().filter(sound) {
        let (rows, _) = decode(&case.data).unwrap();
        let times = |samples: Option<Vec<Sample>>| -> Vec<i64> {
            samples.unwrap_or_default().iter().map(|sample| sample.0).collect()
        };
        assert_eq!(rows.ends_ms, times(case.floats(Aggregate::Count)), "{}", case.name);
        let counts: Vec<_> = rows.counts.iter().map(|count| (*count as f64).to_bits()).collect();
        let columns = [
            (Aggregate::Count, counts.into_iter().map(Some).collect::<Vec<_>>()),
            (Aggregate::Sum, rows.sums.iter().map(|value| value.map(f64::to_bits)).collect()),
            (Aggregate::Min, rows.mins.iter().map(|value| value.map(f64::to_bits)).collect()),
            (Aggregate::Max, rows.maxs.iter().map(|value| value.map(f64::to_bits)).collect()),
        ];
        for (aggregate, found) in columns {
            let expected: Vec<_> = match case.floats(aggregate) {
                Some(samples) => samples.iter().map(|sample| Some(sample.1)).collect(),
                None => vec![None; rows.len()],
            };
            assert_eq!(found, expected, "{aggregate} of {}", case.name);
        }
    }
}

#[test]
fn histograms_of_thanos_have_the_counts_of_their_windows() {
    let mut seen = 0;
    for case in cases().iter().filter(|case| case.holds_histograms()) {
        let aggregates = chunk(&case.data).aggregates().unwrap();
        let mut decoder = AggregateDecoder::default();
        for aggregate in [Aggregate::Sum, Aggregate::Counter] {
            let (mut histograms, mut counts) = (HistogramColumns::default(), Vec::new());
            let without = decoder.append_histograms(&aggregates, aggregate, &mut histograms, &mut counts);
            assert_eq!(without, Ok(0));
            let counted = histograms.times_ms.iter().zip(&counts);
            let found: Vec<_> =
                counted.map(|(time_ms, count)| (*time_ms, (*count as f64).to_bits())).collect();
            assert_eq!(Some(found), case.floats(Aggregate::Count));
        }
        let mut rows = AggregateColumns::default();
        decoder.append(&aggregates, &mut rows).unwrap();
        assert!(!rows.is_empty() && rows.sums.iter().all(Option::is_none));
        assert!(decode(&case.data).is_ok());
        seen += 1;
    }
    assert!(seen >= 6);
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn windows_combined_to_an_hour_are_those_of_thanos() {
    let mut seen = 0;
    for (fine, coarse) in series("res_5m").into_iter().zip(series("res_1h")) {
        // Floats and histograms in turn are no one chunk.
        let [coarse] = &coarse.chunks[..] else { continue };
        if coarse.holds_histograms() {
            continue;
        }
        let mut decoder = AggregateDecoder::default();
        let mut at_once = AggregateColumns::default();
        let mut by_chunk = AggregateColumns::default();
        for case in &fine.chunks {
            let mut rows = AggregateColumns::default();
            let aggregates = chunk(&case.data).aggregates().unwrap();
            decoder.append(&aggregates, &mut at_once).unwrap();
            decoder.append(&aggregates, &mut rows).unwrap();
            rows.combine_into(HOUR_MS, &mut by_chunk);
        }
        let mut found = AggregateColumns::default();
        at_once.combine_into(HOUR_MS, &mut found);
        let (expected, _) = decode(&coarse.data).unwrap();
        for found in [found, by_chunk] {
            assert_eq!(found.counts, expected.counts, "{}", fine.name);
            assert_eq!(
                (&found.sums, &found.mins, &found.maxs),
                (&expected.sums, &expected.mins, &expected.maxs)
            );
            let starts = |rows: &AggregateColumns| -> Vec<_> {
                (0..rows.len()).map(|row| rows.row(row).unwrap().window_start_ms(HOUR_MS)).collect()
            };
            assert_eq!(starts(&found), starts(&expected));
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn counter_chain_is_that_of_thanos_bit_for_bit() {
    let series: Vec<_> = ["res_5m", "res_1h"].into_iter().flat_map(series).collect();
    let file = vector("thanos_counters.json");
    let expected = file["series"].as_array().unwrap();
    for expected in expected {
        let name = format!("{} {}", expected["block"].as_str().unwrap(), expected["name"].as_str().unwrap());
        let chunks = &series.iter().find(|series| series.name == name).unwrap().chunks;
        let (mut chain, mut columns) = (CounterChain::default(), CounterColumns::default());
        let (mut decoder, mut left_out) = (AggregateDecoder::default(), 0);
        for number in expected["chunks"].as_array().unwrap() {
            let case = &chunks[usize::try_from(number.as_u64().unwrap()).unwrap()];
            let aggregates = chunk(&case.data).aggregates().unwrap();
            left_out += decoder.append_counter(&aggregates, &mut chain, &mut columns).unwrap();
        }
        let found: Vec<_> =
            columns.times_ms.iter().copied().zip(columns.totals.iter().map(|at| at.to_bits())).collect();
        let samples = expected["samples"].as_array().unwrap().iter();
        let samples: Vec<_> = samples.map(|sample| (sample[0].as_i64().unwrap(), bits(&sample[1]))).collect();
        assert_eq!(found, samples, "{} of {name}", expected["order"]);
        assert_eq!(left_out > 0, expected["order"] == "each_twice" && samples.len() > 1);

        let mut total = columns.totals[0];
        for (at, increase) in columns.totals.iter().zip(&columns.increases) {
            total += increase;
            assert_eq!(total.to_bits(), at.to_bits());
        }
    }
    assert!(expected.len() > 30, "{}", expected.len());
}
