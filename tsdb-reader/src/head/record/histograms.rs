//! Records of native histograms, types 7 to 10, 12 and 13.
//!
//! ```text
//! types 7 to 10    base ref u64, base time i64, { place, histogram } …
//! types 12, 13     { place, histogram } …                                        place: see `deltas`
//! histogram        counter reset hint u8, schema varint, zero threshold f64,
//!                  zero count, count, sum f64                                    uvarints, or f64 of float histograms
//!                  twice { spans uvarint, { offset varint, length uvarint } … }  positive, negative; offset first
//!                  twice { buckets uvarint, { bucket } … }                       varint, the difference to the bucket
//!                                                                                before, or f64, the count itself
//!                  of schema -53: { bounds uvarint, { f64 } … }
//! ```
//! Checked: that there are as many buckets as the spans say, and that their indexes fit 32 bits. Custom buckets may
//! come in every type. Schemas finer than 8 come out as schema 8; a histogram of a schema that is not known is passed
//! over, as the reference does, and counted.

use std::sync::Arc;

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::head::HeadSeriesRef;
use crate::samples::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FINEST_SCHEMA, HistogramKind, HistogramLayout, HistogramRow,
    Reduction, Span, invalid, is_known_schema,
};

use super::deltas::{Deltas, Place};

/// The histograms of a record, in order. Over after the first error.
#[derive(Debug)]
pub struct HistogramEntries<'a> {
    cursor: Cursor<'a>,
    deltas: Deltas,
    fields: Box<HistogramFields>,
    skipped: u64,
}

impl<'a> HistogramEntries<'a> {
    pub(super) fn to_base(mut cursor: Cursor<'a>, kind: HistogramKind) -> Result<Self, DecodeError> {
        let deltas = Deltas::to_base(&mut cursor)?;
        Ok(Self { cursor, deltas, fields: Box::new(HistogramFields::new(kind)), skipped: 0 })
    }

    pub(super) fn to_previous(cursor: Cursor<'a>, kind: HistogramKind) -> Self {
        Self {
            cursor,
            deltas: Deltas::to_previous(),
            fields: Box::new(HistogramFields::new(kind)),
            skipped: 0,
        }
    }

    /// The next histogram and whose it is; none at the end.
    pub fn read_next(&mut self) -> Result<Option<(HeadSeriesRef, HistogramRow<'_>)>, DecodeError> {
        match self.decode() {
            Ok(Some(place)) => Ok(Some((place.series_ref, self.fields.row(place)))),
            other => {
                self.cursor = Cursor::new(&[], self.cursor.offset());
                other.map(|_| None)
            }
        }
    }

    /// Histograms passed over so far, because their schema is not known.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn decode(&mut self) -> Result<Option<Place>, DecodeError> {
        while !self.cursor.is_empty() {
            let place = self.deltas.next(&mut self.cursor)?;
            if self.fields.decode(&mut self.cursor)? {
                return Ok(Some(place));
            }
            self.skipped += 1;
        }
        Ok(None)
    }
}

/// Decodes one histogram after the other into the same memory.
#[derive(Debug)]
pub struct HistogramFields {
    kind: HistogramKind,
    hint: CounterResetHint,
    zero_count: u64,
    count: u64,
    sum: f64,
    /// Of the last histogram. Shared with those who kept it; another one takes its place when it differs.
    layout: Arc<HistogramLayout>,
    next_layout: HistogramLayout,
    buckets: Vec<u64>,
    reduction: Reduction,
}

impl HistogramFields {
    pub fn new(kind: HistogramKind) -> Self {
        Self {
            kind,
            hint: CounterResetHint::Unknown,
            zero_count: 0,
            count: 0,
            sum: 0.0,
            layout: Arc::default(),
            next_layout: HistogramLayout::default(),
            buckets: Vec::new(),
            reduction: Reduction::default(),
        }
    }

    fn row(&self, place: Place) -> HistogramRow<'_> {
        HistogramRow {
            timestamp_ms: place.timestamp_ms,
            start_timestamp_ms: place.start_timestamp_ms,
            sum: self.sum,
            count: self.count,
            zero_count: self.zero_count,
            kind: self.kind,
            hint: self.hint,
            layout: &self.layout,
            buckets: &self.buckets,
        }
    }

    /// Reads a histogram; false when its schema is not known.
    pub fn decode(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, DecodeError> {
        let start = cursor.offset();
        self.hint = match cursor.u8("counter reset hint")? {
            1 => CounterResetHint::Reset,
            2 => CounterResetHint::NotReset,
            3 => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        };
        let layout = &mut self.next_layout;
        layout.schema = low_i32(cursor.varint("histogram schema")?);
        layout.zero_threshold = f64::from_bits(cursor.u64("zero threshold")?);
        self.zero_count = count(cursor, self.kind, "zero count")?;
        self.count = count(cursor, self.kind, "histogram count")?;
        self.sum = f64::from_bits(cursor.u64("histogram sum")?);
        decode_spans(cursor, "positive spans", &mut layout.positive_spans)?;
        decode_spans(cursor, "negative spans", &mut layout.negative_spans)?;
        self.buckets.clear();
        let positive = decode_buckets(cursor, self.kind, "positive buckets", &mut self.buckets)?;
        let negative = decode_buckets(cursor, self.kind, "negative buckets", &mut self.buckets)?;
        layout.custom_bounds.clear();
        if layout.schema == CUSTOM_BUCKETS_SCHEMA {
            for _ in 0..length(cursor, "custom bounds", 8)? {
                layout.custom_bounds.push(f64::from_bits(cursor.u64("custom bound")?));
            }
        }

        if !is_known_schema(layout.schema) {
            return Ok(false);
        }
        check_spans(&layout.positive_spans, "number of positive buckets", positive, start)?;
        check_spans(&layout.negative_spans, "number of negative buckets", negative, start)?;
        if (FINEST_SCHEMA + 1..=52).contains(&layout.schema) {
            self.reduction.begin(layout, start)?;
            let fine = std::mem::take(&mut self.buckets);
            self.reduction.join(self.kind, &fine, &mut self.buckets);
        }
        if *self.layout != *layout {
            self.layout = Arc::new(layout.clone());
        }
        Ok(true)
    }
}

/// The reference cuts these fields to 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "said so")]
fn low_i32(value: i64) -> i32 {
    value as i32
}

fn count(cursor: &mut Cursor<'_>, kind: HistogramKind, field: &'static str) -> Result<u64, DecodeError> {
    match kind {
        HistogramKind::Integer => cursor.uvarint(field),
        HistogramKind::Float => cursor.u64(field),
    }
}

/// A number of things that take at least `least_bytes` each.
fn length(cursor: &mut Cursor<'_>, field: &'static str, least_bytes: u64) -> Result<u64, DecodeError> {
    let length = cursor.uvarint(field)?;
    let needed = length.saturating_mul(least_bytes);
    if needed > cursor.rest().len() as u64 { Err(cursor.truncated(field, needed)) } else { Ok(length) }
}

fn decode_spans(
    cursor: &mut Cursor<'_>,
    field: &'static str,
    spans: &mut Vec<Span>,
) -> Result<(), DecodeError> {
    spans.clear();
    for _ in 0..length(cursor, field, 2)? {
        let offset = low_i32(cursor.varint("span offset")?);
        let length = low_i32(cursor.uvarint("span length")?.cast_signed()).cast_unsigned();
        spans.push(Span { offset, length });
    }
    Ok(())
}

/// Appends counts of buckets, and says how many.
fn decode_buckets(
    cursor: &mut Cursor<'_>,
    kind: HistogramKind,
    field: &'static str,
    buckets: &mut Vec<u64>,
) -> Result<u64, DecodeError> {
    match kind {
        HistogramKind::Integer => {
            let number = length(cursor, field, 1)?;
            let mut count = 0u64;
            for _ in 0..number {
                count = count.wrapping_add_signed(cursor.varint("bucket")?);
                buckets.push(count);
            }
            Ok(number)
        }
        HistogramKind::Float => {
            let number = length(cursor, field, 8)?;
            for _ in 0..number {
                buckets.push(cursor.u64("bucket")?);
            }
            Ok(number)
        }
    }
}

/// That the spans of one side are those of `found` buckets.
fn check_spans(spans: &[Span], field: &'static str, found: u64, offset: u64) -> Result<(), DecodeError> {
    let expected = spans.iter().fold(0u64, |sum, span| sum.saturating_add(span.length.into()));
    if found != expected {
        return Err(DecodeError::invalid(offset, field, found, "as many as its spans say"));
    }
    let mut index = 0;
    for span in spans {
        let out_of_range = |found| invalid(offset, "bucket index of a span", found, "32 bits");
        index = span.end(index).map_err(out_of_range)?;
    }
    Ok(())
}
