//! What histograms become, sample by sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use tsdb_reader::chunks::Chunks;
use tsdb_reader::index::Series;
use tsdb_reader::samples::{CounterResetHint, FloatColumns, HistogramKind, Span, is_stale_nan};
use tsdb_reader::{Block, Ulid};

use super::*;

fn layout(
    schema: i32,
    zero_threshold: f64,
    positive: &[(i32, u32)],
    negative: &[(i32, u32)],
) -> HistogramLayout {
    let spans =
        |spans: &[(i32, u32)]| spans.iter().map(|&(offset, length)| Span { offset, length }).collect();
    HistogramLayout {
        schema,
        zero_threshold,
        positive_spans: spans(positive),
        negative_spans: spans(negative),
        custom_bounds: Vec::new(),
    }
}

fn custom(bounds: &[f64], spans: &[(i32, u32)]) -> HistogramLayout {
    HistogramLayout { custom_bounds: bounds.to_vec(), ..layout(CUSTOM_BUCKETS_SCHEMA, 0.0, spans, &[]) }
}

/// A histogram at `time_ms` with these counts; the sum is half the count.
fn push(
    columns: &mut HistogramColumns,
    time_ms: i64,
    layout: &HistogramLayout,
    zero_count: u64,
    buckets: &[u64],
) {
    let count = buckets.iter().fold(zero_count, |sum, &at| sum.wrapping_add(at));
    columns.push(HistogramRow {
        timestamp_ms: time_ms,
        start_timestamp_ms: 0,
        sum: count as f64 / 2.0,
        count,
        zero_count,
        kind: HistogramKind::Integer,
        hint: CounterResetHint::Unknown,
        layout: &Arc::new(layout.clone()),
        buckets,
    });
}

fn push_stale(columns: &mut HistogramColumns, time_ms: i64) {
    push(columns, time_ms, &layout(0, 0.0, &[], &[]), 0, &[]);
    *columns.sums.last_mut().unwrap() = f64::from_bits(STALE_NAN_BITS);
}

/// `name{le}` and its samples: time and value, a stale marker as `stale`. How many bounds a pass has is all the same.
fn unroll(columns: &HistogramColumns, wants: impl Fn(&[u8]) -> bool) -> BTreeMap<String, String> {
    let whole = unroll_in_passes(columns, &wants, usize::MAX);
    for bounds_at_once in 1..4 {
        assert_eq!(unroll_in_passes(columns, &wants, bounds_at_once), whole);
    }
    whole
}

fn unroll_in_passes(
    columns: &HistogramColumns,
    wants: &impl Fn(&[u8]) -> bool,
    bounds_at_once: usize,
) -> BTreeMap<String, String> {
    let labels = Labels::from_iter([(METRIC_NAME, &b"m"[..]), (b"job", b"a"), (b"path", b"/")]);
    let mut bounds = Bounds::default();
    bounds.add(columns, i64::MIN);
    let mut builder = BlockBuilder::new(std::env::temp_dir(), 1 << 20);
    for pass in bounds.in_order().chunks(bounds_at_once) {
        if let Some(unrolling) = Unrolling::new(&labels, pass, wants, &mut builder) {
            unrolling.push(columns, &mut builder).unwrap();
            unrolling.finish(&mut builder).unwrap();
        }
    }
    let Some(built) = builder.finish(|_| Ulid::from_bytes([0; 16])).unwrap() else { return BTreeMap::new() };
    let block = Block::open(built.source).unwrap();
    let chunks = Chunks::open(block.source().clone()).unwrap();
    let (mut all, mut series) = (BTreeMap::new(), Series::new());
    for series_ref in block.index().all_postings().unwrap() {
        block.index().series(series_ref, &mut series).unwrap();
        assert!(series.labels.is_sorted());
        assert_eq!(series.labels.get(b"path"), Some(&b"/"[..]));
        let (mut read, mut samples) = (Vec::new(), FloatColumns::default());
        chunks.read(&series.chunks.iter().map(|chunk| chunk.chunk_ref).collect::<Vec<_>>(), &mut read);
        for chunk in read {
            chunk.unwrap().append_to(&mut samples).unwrap();
        }
        let text = |(time_ms, value): (&i64, &f64)| match is_stale_nan(*value) {
            true => format!("{time_ms}:stale"),
            false => format!("{time_ms}:{value}"),
        };
        let samples: Vec<_> = samples.times_ms.iter().zip(&samples.values).map(text).collect();
        let text =
            |name: &[u8]| String::from_utf8_lossy(series.labels.get(name).unwrap_or_default()).into_owned();
        all.insert(format!("{} {}", text(METRIC_NAME), text(BUCKET_LABEL)), samples.join(" "));
    }
    all
}

fn check(columns: &HistogramColumns, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|&(name, at)| (name.to_owned(), at.to_owned())).collect();
    assert_eq!(unroll(columns, |_| true), expected);
}

#[test]
fn exponential_buckets_end_at_every_bound_that_is_ever_populated() {
    let layout = layout(0, 0.25, &[(0, 3)], &[(0, 2)]);
    let mut columns = HistogramColumns::default();
    // Positive (0.5,1] (1,2] (2,4], negative [-1,-0.5) [-2,-1).
    push(&mut columns, 10, &layout, 0, &[1, 0, 0, 5, 0]);
    push(&mut columns, 20, &layout, 2, &[1, 0, 3, 5, 0]);
    check(
        &columns,
        &[
            ("m_bucket +Inf", "10:6 20:11"),
            ("m_bucket -0.5", "10:5 20:5"),
            ("m_bucket 0.25", "10:5 20:7"),
            ("m_bucket 1.0", "10:6 20:8"),
            ("m_bucket 4.0", "10:6 20:11"),
            ("m_count ", "10:6 20:11"),
            ("m_sum ", "10:3 20:5.5"),
        ],
    );
}

#[test]
fn a_coarser_resolution_counts_from_its_own_bounds_on() {
    let mut columns = HistogramColumns::default();
    push(&mut columns, 10, &layout(0, 0.0, &[(1, 2)], &[]), 0, &[1, 2]); // (1,2] (2,4]
    push(&mut columns, 20, &layout(-1, 0.0, &[(1, 1)], &[]), 0, &[4]); // (1,4]
    check(
        &columns,
        &[
            ("m_bucket +Inf", "10:3 20:4"),
            ("m_bucket 2.0", "10:1 20:0"),
            ("m_bucket 4.0", "10:3 20:4"),
            ("m_count ", "10:3 20:4"),
            ("m_sum ", "10:1.5 20:2"),
        ],
    );
}

#[test]
fn a_histogram_without_observations_has_the_infinite_bucket_alone() {
    let mut columns = HistogramColumns::default();
    push(&mut columns, 10, &layout(3, 0.001, &[], &[]), 0, &[]);
    check(&columns, &[("m_bucket +Inf", "10:0"), ("m_count ", "10:0"), ("m_sum ", "10:0")]);
}

#[test]
fn custom_buckets_have_all_their_bounds_and_no_others() {
    let mut columns = HistogramColumns::default();
    // Bounds 0.1, 1, 5: the second bucket is left out between spans.
    push(&mut columns, 10, &custom(&[0.1, 1.0, 5.0], &[(0, 1), (1, 2)]), 0, &[2, 3, 4]);
    push(&mut columns, 20, &custom(&[0.1, 2.0], &[(0, 3)]), 0, &[1, 1, 1]);
    check(
        &columns,
        &[
            ("m_bucket +Inf", "10:9 20:3"),
            ("m_bucket 0.1", "10:2 20:1"),
            ("m_bucket 1.0", "10:2"),
            ("m_bucket 2.0", "20:2"),
            ("m_bucket 5.0", "10:5"),
            ("m_count ", "10:9 20:3"),
            ("m_sum ", "10:4.5 20:1.5"),
        ],
    );
}

#[test]
fn buckets_that_exceed_an_integer_together_do_not_wrap() {
    const HUGE: u64 = 1 << 63;
    let two = "10:18446744073709552000";
    let infinite = |layout: &HistogramLayout| {
        let mut columns = HistogramColumns::default();
        push(&mut columns, 10, layout, 0, &[HUGE, HUGE, 5000]);
        unroll(&columns, |name| name == b"m_bucket")
    };
    let found = infinite(&layout(0, 0.0, &[(0, 3)], &[]));
    // The count is what the histogram says it is, wrapped or not.
    assert_eq!(found["m_bucket +Inf"], "10:5000");
    assert_eq!((&*found["m_bucket 1.0"], &*found["m_bucket 2.0"]), ("10:9223372036854776000", two));
    let found = infinite(&custom(&[1.0, 2.0], &[(0, 3)]));
    assert_eq!((&*found["m_bucket 2.0"], &*found["m_bucket +Inf"]), (two, "10:18446744073709556000"));
}

#[test]
fn a_stale_marker_ends_every_series() {
    let mut columns = HistogramColumns::default();
    push(&mut columns, 10, &layout(0, 0.0, &[(1, 1)], &[]), 0, &[1]);
    push_stale(&mut columns, 20);
    let ends = "10:1 20:stale";
    check(
        &columns,
        &[("m_bucket +Inf", ends), ("m_bucket 2.0", ends), ("m_count ", ends), ("m_sum ", "10:0.5 20:stale")],
    );
}

#[test]
fn both_zeros_are_one_bound_and_bounds_are_written_as_upstream_writes_them() {
    let le = |bound| String::from_utf8(UpperBound::new(bound).le()).unwrap();
    assert_eq!(le(-0.0), "0.0");
    assert_eq!(le(1.0), "1.0");
    assert_eq!(le(-1.0), "-1.0");
    assert_eq!(le(0.1), "0.1");
    assert_eq!(le(1e6), "1e+06");
    assert_eq!(le(1.7976931348623157e308), "1.7976931348623157e+308");
    assert_eq!(le(f64::INFINITY), "+Inf");
    assert_eq!(le(f64::NEG_INFINITY), "-Inf");
    assert_eq!(UpperBound::new(-0.0), UpperBound::new(0.0));
}

#[test]
fn only_wanted_metrics_come_out() {
    let mut columns = HistogramColumns::default();
    push(&mut columns, 10, &layout(0, 0.0, &[(1, 1)], &[]), 0, &[1]);
    let names = |wants: &dyn Fn(&[u8]) -> bool| unroll(&columns, wants).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&|name| name == b"m_sum"), ["m_sum "]);
    assert_eq!(names(&|name| name < &b"m_c"[..]), ["m_bucket +Inf", "m_bucket 2.0"]);
    assert_eq!(
        super::names(b"m").map(|name| String::from_utf8(name).unwrap()),
        ["m_bucket", "m_count", "m_sum"]
    );
}
