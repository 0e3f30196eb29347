//! Layout: the head of the bit stream of a histogram chunk, which all its histograms share.
//!
//! ```text
//! ┌────────────────┬────────────────┬────────────────┬────────────────┬─────────────────┐
//! │ zero threshold │ schema         │ positive spans │ negative spans │ [custom bounds] │
//! └────────────────┴────────────────┴────────────────┴────────────────┴─────────────────┘
//!  zero threshold = 0 8 bits │ 255 8 bits, 64 bits │ b 8 bits: 2^(b − 244)
//!  schema         = varbit_int
//!  spans          = n varbit_uint, n × (length varbit_uint, offset varbit_int)
//!  custom bounds  = n varbit_uint, n × (y + 1 varbit_uint: y / 1000 │ 0 1 bit, 64 bits)      schema −53 only
//! ```
//! Checked: that the schema is known, that bucket indexes fit 32 bits, and that spans and bounds lie within the data.
//! Offsets that go back, and bounds that do not ascend, are read as they are, as the reference does.
//! Defined in Prometheus' `tsdb/chunkenc/histogram_meta.go`.

use std::iter::zip;

use super::super::bits::Bits;
use super::{CUSTOM_BUCKETS_SCHEMA, HistogramLayout, Span};
use crate::error::{DecodeError, DecodeErrorKind};

/// Bits of the shortest span: a length of 0 and an offset of 0.
const SPAN_BITS: u64 = 2;
/// Bits of the shortest custom bound.
const BOUND_BITS: u64 = 5;

impl HistogramLayout {
    /// Number of buckets of the positive spans.
    pub fn positive_buckets(&self) -> u64 {
        buckets(&self.positive_spans)
    }

    /// Number of buckets of the negative spans.
    pub fn negative_buckets(&self) -> u64 {
        buckets(&self.negative_spans)
    }

    /// Reads the layout at `at`, which moves past it, over what `self` held. After an error that is nothing of use.
    pub(super) fn read(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<(), DecodeError> {
        self.zero_threshold = match bits.field(at, 8, "zero threshold")? {
            0 => 0.0,
            255 => f64::from_bits(bits.field(at, 64, "zero threshold")?),
            power => f64::from_bits((power + 1023 - 244) << 52),
        };
        self.schema = read_schema(bits, at)?;
        read_spans(bits, at, &mut self.positive_spans)?;
        read_spans(bits, at, &mut self.negative_spans)?;
        self.custom_bounds.clear();
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            const NAME: &str = "custom bounds";
            let count = bits.varbit_uint(at, NAME)?;
            bits.require(*at, count.saturating_mul(BOUND_BITS), NAME)?;
            for _ in 0..count {
                self.custom_bounds.push(read_bound(bits, at)?);
            }
        }
        Ok(())
    }
}

impl Span {
    /// The index behind its last bucket, when `index` is that behind the span before it. An index that does not fit
    /// 32 bits is the error.
    pub(crate) fn end(self, index: i64) -> Result<i64, i64> {
        let first = index.saturating_add(self.offset.into());
        let end = first.saturating_add(self.length.into());
        // The lower bound of a bucket is that of the index before it, so the least index is not a bucket's.
        if first <= i32::MIN.into() {
            return Err(first);
        }
        if end - 1 > i32::MAX.into() { Err(end - 1) } else { Ok(end) }
    }
}

/// True for the schemas that Prometheus knows, those it hands out as coarser ones too.
pub(crate) fn is_known_schema(schema: i32) -> bool {
    schema == CUSTOM_BUCKETS_SCHEMA || (-9..=52).contains(&schema)
}

impl PartialEq for HistogramLayout {
    fn eq(&self, other: &Self) -> bool {
        let bounds = zip(&self.custom_bounds, &other.custom_bounds);
        self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && self.custom_bounds.len() == other.custom_bounds.len()
            && bounds.map(|(a, b)| (a.to_bits(), b.to_bits())).all(|(a, b)| a == b)
    }
}

impl Eq for HistogramLayout {}

fn buckets(spans: &[Span]) -> u64 {
    spans.iter().fold(0, |sum, span| sum.saturating_add(span.length.into()))
}

fn read_schema(bits: &Bits<'_>, at: &mut u64) -> Result<i32, DecodeError> {
    const FIELD: &str = "histogram schema";
    let start = *at;
    let found = bits.varbit_int(at, FIELD)?;
    match i32::try_from(found) {
        Ok(schema) if is_known_schema(schema) => Ok(schema),
        _ => Err(invalid(bits.place(start), FIELD, found, "-9 to 52, or -53 for custom buckets")),
    }
}

fn read_spans(bits: &Bits<'_>, at: &mut u64, spans: &mut Vec<Span>) -> Result<(), DecodeError> {
    const SPANS: &str = "spans";
    const INDEX: &str = "bucket index of a span";
    spans.clear();
    let count = bits.varbit_uint(at, SPANS)?;
    bits.require(*at, count.saturating_mul(SPAN_BITS), SPANS)?;
    let mut index = 0i64;
    for _ in 0..count {
        let start = *at;
        let length = bits.varbit_uint(at, "span length")?;
        let offset = bits.varbit_int(at, "span offset")?;
        let expected = "32 bits";
        let Ok(length) = u32::try_from(length) else {
            return Err(DecodeError::invalid(bits.place(start), "span length", length, expected));
        };
        let Ok(offset) = i32::try_from(offset) else {
            return Err(invalid(bits.place(start), "span offset", offset, expected));
        };
        let span = Span { offset, length };
        index = span.end(index).map_err(|found| invalid(bits.place(start), INDEX, found, expected))?;
        spans.push(span);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "as the reference does")]
fn read_bound(bits: &Bits<'_>, at: &mut u64) -> Result<f64, DecodeError> {
    const NAME: &str = "custom bound";
    Ok(match bits.varbit_uint(at, NAME)? {
        0 => f64::from_bits(bits.field(at, 64, NAME)?),
        thousandths => (thousandths - 1) as f64 / 1000.0,
    })
}

pub(crate) fn invalid(offset: u64, field: &'static str, found: i64, expected: &'static str) -> DecodeError {
    DecodeError { offset, kind: DecodeErrorKind::InvalidSigned { field, found, expected } }
}
