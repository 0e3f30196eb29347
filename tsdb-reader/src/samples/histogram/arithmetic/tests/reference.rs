use std::path::Path;

use serde_json::Value;

use super::*;

/// What the reference makes of pairs of histograms.
fn pairs() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("fixtures/expected/histogram_arithmetic.ndjson")).unwrap();
    let pairs: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(pairs.len() > 300);
    pairs
}

/// A double by the hex digits of its bits, without the zeros at the end.
fn double(value: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(&format!("{:0<16}", value.as_str().unwrap()), 16).unwrap())
}

fn doubles(value: &Value) -> Vec<f64> {
    value.as_array().map(|list| list.iter().map(double).collect()).unwrap_or_default()
}

fn spans(value: &Value) -> Vec<Span> {
    let number = |value: &Value| value.as_i64().unwrap();
    let spans = value.as_array().into_iter().flatten();
    let spans =
        spans.map(|pair| span(number(&pair[0]).try_into().unwrap(), number(&pair[1]).try_into().unwrap()));
    spans.collect()
}

fn read(json: &Value) -> Histogram {
    let zero = doubles(&json["zero"]);
    Histogram {
        timestamp_ms: 0,
        start_timestamp_ms: 0,
        sum: double(&json["sum"]),
        count: double(&json["count"]).to_bits(),
        zero_count: zero[1].to_bits(),
        kind: HistogramKind::Float,
        hint: HINTS[usize::try_from(json["hint"].as_u64().unwrap_or(0)).unwrap()],
        layout: Arc::new(HistogramLayout {
            schema: json["schema"].as_i64().unwrap().try_into().unwrap(),
            zero_threshold: zero[0],
            positive_spans: spans(&json["positive"]),
            negative_spans: spans(&json["negative"]),
            custom_bounds: doubles(&json["bounds"]),
        }),
        buckets: floats(&doubles(&json["buckets"])),
    }
}

/// The content as the reference states it. It may hold negative spans of custom buckets no more than ours.
fn expected(json: &Value) -> Content {
    content(&taken(&read(json)))
}

#[test]
fn sums_and_differences_are_those_of_the_reference_bit_for_bit() {
    let (mut a, mut b, mut result) = (FloatHistogram::new(), FloatHistogram::new(), FloatHistogram::new());
    for pair in pairs() {
        a.set(&read(&pair["a"]).as_row()).unwrap();
        b.set(&read(&pair["b"]).as_row()).unwrap();
        for (key, operation) in
            [("add", FloatHistogram::add as fn(&mut _, &_) -> _), ("sub", FloatHistogram::sub as _)]
        {
            let name = format!("{key} {}", pair["name"]);
            result.copy_from(&a);
            let reconciled = operation(&mut result, &b);
            if pair[key].is_string() {
                assert_eq!(reconciled, Err(ArithmeticError::MixedBuckets), "{name}");
                assert_eq!(content(&result), content(&a), "{name}");
                continue;
            }
            assert_eq!(content(&result), expected(&pair[key]), "{name}");
            let flag = |flag: &str| pair[key].get(flag).is_some();
            let flags =
                Reconciled { hints_collide: flag("hints_collide"), bounds_differ: flag("bounds_differ") };
            assert_eq!(reconciled, Ok(flags), "{name}");
        }
        assert_eq!(content(&b), expected(&pair["b"]), "{}", pair["name"]);
    }
}

#[test]
fn resets_are_found_where_the_reference_finds_them() {
    let mut seen = [0; 2];
    for pair in pairs() {
        let [a, b] = ["a", "b"].map(|key| taken(&read(&pair[key])));
        assert_eq!(a.detect_reset(&b), pair["reset"] == true, "{}", pair["name"]);
        assert_eq!(b.detect_reset(&a), pair["reset_back"] == true, "{} back", pair["name"]);
        seen[usize::from(pair["reset"] == true)] += 1;
    }
    assert!(seen.iter().all(|seen| *seen > 80), "{seen:?}");
}

#[test]
fn reduced_histograms_are_those_of_the_reference_bit_for_bit() {
    let mut seen = 0;
    for pair in pairs().iter().filter(|pair| pair.get("reduced").is_some()) {
        let mut reduced = taken(&read(&pair["a"]));
        let expected = expected(&pair["reduced"]);
        reduced.reduce_resolution(expected.schema).unwrap();
        assert_eq!(content(&reduced), expected, "{}", pair["name"]);
        seen += 1;
    }
    assert!(seen > 150, "{seen}");
}

#[test]
fn a_histogram_goes_into_columns_and_back_as_it_is() {
    let mut columns = HistogramColumns::default();
    let pairs = pairs();
    for (time, pair) in (0..).zip(&pairs) {
        taken(&read(&pair["a"])).append_to(time, -time, &mut columns);
    }
    for (at, pair) in pairs.iter().enumerate() {
        let row = columns.row(at).unwrap();
        let time = i64::try_from(at).unwrap();
        assert_eq!((row.timestamp_ms, row.start_timestamp_ms), (time, -time));
        let mut back = FloatHistogram::new();
        back.set(&row).unwrap();
        assert_eq!(content(&back), expected(&pair["a"]), "{}", pair["name"]);
    }
}
