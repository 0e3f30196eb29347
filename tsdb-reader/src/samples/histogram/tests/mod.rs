use serde_json::Value;

use super::super::STALE_NAN_BITS;
use super::super::tests::encode_histogram::{self, Form, histograms};
use super::*;
use crate::chunks::{Chunk, Encoding};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::testing::{malformed_chunks, unhex, vector};

mod damage;
mod random;
mod reference;

/// A histogram, floats as bits.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    timestamp_ms: i64,
    start_timestamp_ms: i64,
    hint: CounterResetHint,
    sum: u64,
    count: u64,
    zero_count: u64,
    layout: HistogramLayout,
    positive: Vec<u64>,
    negative: Vec<u64>,
}

fn sample_of(row: &HistogramRow<'_>) -> Sample {
    let positive = usize::try_from(row.layout.positive_buckets()).unwrap();
    assert_eq!(row.buckets.len() as u64, row.layout.positive_buckets() + row.layout.negative_buckets());
    let (positive, negative) = row.buckets.split_at(positive);
    Sample {
        timestamp_ms: row.timestamp_ms,
        start_timestamp_ms: row.start_timestamp_ms,
        hint: row.hint,
        sum: row.sum.to_bits(),
        count: row.count,
        zero_count: row.zero_count,
        layout: (**row.layout).clone(),
        positive: positive.to_vec(),
        negative: negative.to_vec(),
    }
}

fn chunk(encoding: Encoding, data: &[u8]) -> Chunk {
    Chunk::new(encoding, data.to_vec().into(), 1, 0x100)
}

/// The good samples and the error behind them, read both ways.
fn decode(encoding: Encoding, data: &[u8]) -> (Vec<Sample>, Option<DecodeError>) {
    let chunk = chunk(encoding, data);
    let mut columns = HistogramColumns::default();
    let error = chunk.append_histograms_to(&mut columns).err();
    let samples: Vec<_> = (0..columns.len()).map(|row| sample_of(&columns.row(row).unwrap())).collect();

    let mut opened = match chunk.histograms() {
        Ok(opened) => opened,
        Err(found) => {
            assert_eq!((samples.len(), Some(found)), (0, error.clone()));
            return (samples, error);
        }
    };
    let mut expected = samples.iter();
    let mut last = None;
    for histogram in opened.by_ref() {
        assert_eq!(last, None, "a histogram after an error");
        match histogram {
            Ok(histogram) => assert_eq!(Some(&sample_of(&histogram.as_row())), expected.next()),
            Err(found) => last = Some(found),
        }
    }
    assert!(opened.next().is_none());
    assert_eq!((expected.next(), &last), (None, &error));
    (samples, error)
}

/// A number, or a double as bits.
fn bits(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap())
}

fn list<T>(value: &Value, one: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(one).collect()
}

fn expected(sample: &Value) -> Sample {
    let spans = |key: &str| {
        list(&sample[key], |span| Span {
            offset: span[0].as_i64().unwrap().try_into().unwrap(),
            length: span[1].as_u64().unwrap().try_into().unwrap(),
        })
    };
    let hints = [
        CounterResetHint::Unknown,
        CounterResetHint::Reset,
        CounterResetHint::NotReset,
        CounterResetHint::Gauge,
    ];
    Sample {
        timestamp_ms: sample["t"].as_i64().unwrap(),
        start_timestamp_ms: sample["st"].as_i64().unwrap(),
        hint: hints[usize::try_from(sample["hint"].as_u64().unwrap()).unwrap()],
        sum: bits(&sample["sum"]),
        count: bits(&sample["count"]),
        zero_count: bits(&sample["zero_count"]),
        layout: HistogramLayout {
            schema: sample["schema"].as_i64().unwrap().try_into().unwrap(),
            zero_threshold: f64::from_bits(bits(&sample["zero_threshold"])),
            positive_spans: spans("positive_spans"),
            negative_spans: spans("negative_spans"),
            custom_bounds: list(&sample["custom_values"], |bound| f64::from_bits(bits(bound))),
        },
        positive: list(&sample["positive_counts"], bits),
        negative: list(&sample["negative_counts"], bits),
    }
}

/// Buckets as the reference counts them, in doubles whatever the encoding.
fn buckets(sample: &Value) -> Option<Vec<Bucket>> {
    sample.get("buckets")?.as_array()?;
    Some(list(&sample["buckets"], |bucket| Bucket {
        index: bucket["index"].as_i64().unwrap().try_into().unwrap(),
        lower: f64::from_bits(bits(&bucket["lower"])),
        upper: f64::from_bits(bits(&bucket["upper"])),
        lower_inclusive: bucket["lower_inclusive"].as_bool().unwrap(),
        upper_inclusive: bucket["upper_inclusive"].as_bool().unwrap(),
        count: bits(&bucket["count"]),
    }))
}

struct Case {
    name: String,
    encoding: Encoding,
    data: Vec<u8>,
    reset: CounterResetHint,
    samples: Vec<Sample>,
    /// Of each sample all buckets, trimmed; of some cases only.
    buckets: Vec<Option<Vec<Bucket>>>,
}

impl Case {
    fn new(case: &Value) -> Self {
        let encoding = Encoding::from_byte(case["encoding"].as_u64().unwrap().try_into().unwrap());
        Self {
            name: format!("{encoding} {}", case["name"]),
            encoding,
            data: unhex(case["hex"].as_str().unwrap()),
            reset: match case["counter_reset_header"].as_str().unwrap() {
                "0x00" => CounterResetHint::Unknown,
                "0x40" => CounterResetHint::NotReset,
                "0x80" => CounterResetHint::Reset,
                "0xc0" => CounterResetHint::Gauge,
                other => panic!("{other}"),
            },
            samples: list(&case["samples"], expected),
            buckets: list(&case["samples"], buckets),
        }
    }
}

/// Every histogram chunk the reference wrote.
fn cases() -> Vec<Case> {
    let files = [
        "chunks_histogram.json",
        "chunks_float_histogram.json",
        "chunks_histogram_st.json",
        "chunks_float_histogram_st.json",
        "chunks_varbit.json",
    ];
    let mut cases: Vec<_> = files.iter().flat_map(|file| list(&vector(file)["cases"], Case::new)).collect();
    for group in vector("chunks_histogram_cuts.json")["groups"].as_array().unwrap() {
        let chunks = group["chunks"].as_array().unwrap().iter();
        cases.extend(chunks.filter(|chunk| chunk["encoding"] != 1).map(Case::new));
    }
    assert!(cases.len() > 180);
    cases
}

fn form(encoding: Encoding) -> Form {
    Form {
        float: matches!(encoding, Encoding::FloatHistogram | Encoding::FloatHistogramSt),
        starts: matches!(encoding, Encoding::HistogramSt | Encoding::FloatHistogramSt),
    }
}

const ENCODINGS: [Encoding; 4] =
    [Encoding::Histogram, Encoding::FloatHistogram, Encoding::HistogramSt, Encoding::FloatHistogramSt];

fn encode(encoding: Encoding, reset: CounterResetHint, samples: &[Sample]) -> Vec<u8> {
    let spans = |spans: &[Span]| spans.iter().map(|span| (span.offset, span.length)).collect();
    let layout = samples.first().map(|sample| encode_histogram::Layout {
        schema: sample.layout.schema.into(),
        zero_threshold: sample.layout.zero_threshold,
        spans: [spans(&sample.layout.positive_spans), spans(&sample.layout.negative_spans)],
        custom_bounds: sample.layout.custom_bounds.clone(),
    });
    let samples: Vec<_> = samples
        .iter()
        .map(|sample| encode_histogram::Sample {
            time_ms: sample.timestamp_ms,
            start_time_ms: sample.start_timestamp_ms,
            count: sample.count,
            zero_count: sample.zero_count,
            sum: sample.sum,
            buckets: [sample.positive.clone(), sample.negative.clone()],
        })
        .collect();
    let reset = match reset {
        CounterResetHint::Unknown => 0,
        CounterResetHint::NotReset => 1,
        CounterResetHint::Reset => 2,
        CounterResetHint::Gauge => 3,
    };
    histograms(form(encoding), reset, &layout.unwrap_or_default(), &samples)
}

/// Memory that the columns hold.
fn bytes_of(columns: &HistogramColumns) -> usize {
    let layouts = columns.layouts.iter().map(|layout| {
        8 * (layout.positive_spans.capacity()
            + layout.negative_spans.capacity()
            + layout.custom_bounds.capacity())
    });
    8 * (columns.times_ms.capacity() * 6 + columns.buckets.capacity() + columns.layouts.capacity())
        + layouts.sum::<usize>()
}
