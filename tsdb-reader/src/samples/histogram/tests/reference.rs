use super::*;

#[test]
fn chunks_of_the_reference_decode_bit_for_bit() {
    for case in cases() {
        assert_eq!(decode(case.encoding, &case.data), (case.samples, None), "{}", case.name);
        let chunk = chunk(case.encoding, &case.data);
        assert_eq!(chunk.counter_reset_header(), Ok(case.reset), "{}", case.name);
    }
}

#[test]
fn bounds_of_the_reference_bit_for_bit() {
    let mut seen = 0;
    for schema in vector("bucket_bounds.json")["schemas"].as_array().unwrap() {
        let layout = HistogramLayout {
            schema: schema["schema"].as_i64().unwrap().try_into().unwrap(),
            ..HistogramLayout::default()
        };
        for bound in schema["upper_bounds"].as_array().unwrap() {
            let index = bound[0].as_i64().unwrap().try_into().unwrap();
            assert_eq!(layout.upper_bound(index).to_bits(), bits(&bound[1]), "{} {index}", layout.schema);
            seen += 1;
        }
    }
    assert_eq!(seen, 2601);
}

#[test]
fn buckets_of_the_reference_bit_for_bit() {
    let mut seen = 0;
    for case in cases() {
        let chunk = chunk(case.encoding, &case.data);
        let histograms = chunk.histograms().unwrap().map(Result::unwrap);
        for (histogram, expected) in histograms.zip(&case.buckets) {
            let Some(expected) = expected else { continue };
            let row = histogram.as_row();
            let found: Vec<_> = row
                .all_buckets_trimmed()
                .map(|bucket| Bucket { count: row.as_f64(bucket.count).to_bits(), ..bucket })
                .collect();
            assert_eq!(found, *expected, "{}", case.name);
            seen += 1;
        }
    }
    assert!(seen > 70, "{seen}");
}

#[test]
fn ascending_bounds_are_those_of_the_buckets() {
    for case in cases() {
        for histogram in chunk(case.encoding, &case.data).histograms().unwrap() {
            let histogram = histogram.unwrap();
            let row = histogram.as_row();
            let mut bounds = Vec::new();
            row.layout.ascending_bounds(&mut bounds);
            let joined: Vec<_> = bounds
                .iter()
                .zip(row.counts_ascending())
                .map(|((lower, upper), count)| (*lower, *upper, count))
                .collect();
            assert_eq!(joined, row.buckets_ascending().collect::<Vec<_>>(), "{}", case.name);
            assert_eq!(bounds.len(), row.buckets.len());
            assert!(joined.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{}", case.name);
        }
    }
}

#[test]
fn the_test_encoder_writes_the_bytes_of_the_reference() {
    for case in cases() {
        assert_eq!(encode(case.encoding, case.reset, &case.samples), case.data, "{}", case.name);
    }
}

#[test]
fn schemas_beyond_the_known_are_reduced_or_taken_as_the_reference_does() {
    let odd = vector("histograms_odd.json");
    for case in list(&odd["chunks"], Case::new) {
        assert_eq!(decode(case.encoding, &case.data), (case.samples, None), "{}", case.name);
    }
    for schema in odd["schemas"].as_array().unwrap() {
        let layout = HistogramLayout {
            schema: schema["schema"].as_i64().unwrap().try_into().unwrap(),
            ..HistogramLayout::default()
        };
        for bound in schema["upper_bounds"].as_array().unwrap() {
            let index = bound[0].as_i64().unwrap().try_into().unwrap();
            assert_eq!(layout.upper_bound(index).to_bits(), bits(&bound[1]), "{} {index}", layout.schema);
        }
    }
}

#[test]
fn rules_are_broken_where_the_reference_finds_so() {
    let mut seen = std::collections::BTreeSet::new();
    for case in vector("histograms_odd.json")["rules"].as_array().unwrap() {
        let (kind, json) = match case.get("integer") {
            Some(json) => (HistogramKind::Integer, json),
            None => (HistogramKind::Float, &case["float"]),
        };
        let sample = expected(json);
        let histogram = Histogram {
            timestamp_ms: 0,
            start_timestamp_ms: 0,
            sum: f64::from_bits(sample.sum),
            count: sample.count,
            zero_count: sample.zero_count,
            kind,
            hint: sample.hint,
            layout: sample.layout.into(),
            buckets: [sample.positive, sample.negative].concat(),
        };
        let broken: Vec<_> = histogram.as_row().broken_rules().into_iter().map(HistogramRule::name).collect();
        let rule = case["rule"].as_str().unwrap();
        let expected = if case["error"] == "" { vec![] } else { vec![rule] };
        assert_eq!(broken, expected, "{case}");
        seen.extend(broken);
    }
    assert_eq!(seen.len(), 11);
}

#[test]
fn chunks_with_one_layout_share_it() {
    let mut decoder = HistogramDecoder::default();
    let mut columns = HistogramColumns::default();
    let cases = cases();
    let case = cases.iter().find(|case| case.name.contains("nhcb_odd")).unwrap();
    for _ in 0..3 {
        decoder.append(&chunk(case.encoding, &case.data), &mut columns).unwrap();
        chunk(case.encoding, &case.data).append_histograms_to(&mut columns).unwrap();
    }
    assert_eq!((columns.len(), columns.layouts.len()), (6 * case.samples.len(), 1));
}

#[test]
fn layouts_are_equal_bit_by_bit() {
    let layout = |bound: f64, zero_threshold: f64| HistogramLayout {
        schema: CUSTOM_BUCKETS_SCHEMA,
        zero_threshold,
        custom_bounds: vec![bound],
        ..HistogramLayout::default()
    };
    assert_eq!(layout(f64::NAN, f64::NAN), layout(f64::NAN, f64::NAN));
    assert_ne!(layout(f64::NAN, 0.0), layout(-f64::NAN, 0.0));
    assert_ne!(layout(0.0, 0.0), layout(0.0, -0.0));
}
