//! Histogram chunks as they grow: of integers or doubles, with start timestamps or without.
//!
//! ```text
//! without   count u16 │ header 2 bits, 0 │ layout │ histogram │ histogram │ …
//! with      header 2 bits, count 14 bits │ K, C   │ layout │ histogram, [ST] │ …
//! integers  t │ count │ zero count │ sum │ buckets     changes of the deltas as varbits, the sum as XOR
//! doubles   t │ count │ zero count │ sum │ buckets     each as XOR
//! ```
//! All histograms of a chunk have one layout, and there is no reset among them. The header tells what is known of a
//! reset before the first one. The reference rewrites an open chunk when buckets are added; here a new one begins.
//! Defined in Prometheus' `tsdb/chunkenc/{histogram,float_histogram,histogram_meta}*.go`.

use std::sync::Arc;

use tsdb_reader::Encoding;
use tsdb_reader::samples::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, HistogramKind, HistogramLayout, HistogramRow, STALE_NAN_BITS,
    Span,
};

use super::bits::{BitWriter, StartTimes, XorValue};

/// A histogram chunk that is not finished.
#[derive(Debug, Clone)]
pub(super) struct HistogramChunk {
    out: BitWriter,
    hint: CounterResetHint,
    layout: Arc<HistogramLayout>,
    count: u16,
    first_ms: i64,
    time_ms: i64,
    delta_ms: i64,
    sum: XorValue,
    counts: Counts,
    /// There in the encodings 5 and 6.
    starts: Option<StartTimes>,
}

/// Count, zero count and buckets of the histogram written last.
#[derive(Debug, Clone)]
enum Counts {
    /// Of the buckets their differences to the bucket before, as they are written.
    Integer {
        count: Integer,
        zero_count: Integer,
        buckets: Vec<Integer>,
    },
    Float {
        count: XorValue,
        zero_count: XorValue,
        buckets: Vec<XorValue>,
    },
}

/// An integer that is written as the change of its delta.
#[derive(Debug, Clone, Copy, Default)]
struct Integer {
    value: i64,
    delta: i64,
}

/// What is to be done with a histogram behind a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The chunk takes it.
    Push,
    /// A new chunk begins, of which this is known.
    Cut(CounterResetHint),
}

impl HistogramChunk {
    /// A chunk of one histogram. `hint` tells of a reset before it.
    pub(super) fn new(row: HistogramRow<'_>, hint: CounterResetHint) -> Self {
        let layout = if row.is_stale() { Arc::default() } else { Arc::clone(row.layout) };
        let mut chunk = Self {
            out: BitWriter::new(&[0; 3]),
            hint,
            count: 1,
            first_ms: row.timestamp_ms,
            time_ms: row.timestamp_ms,
            delta_ms: 0,
            sum: XorValue::new(row.sum.to_bits()),
            counts: Counts::first(&layout, row),
            starts: (row.start_timestamp_ms != 0).then(StartTimes::default),
            layout,
        };
        let out = &mut chunk.out;
        write_layout(out, &chunk.layout);
        out.varbit_int(row.timestamp_ms);
        chunk.counts.write_first(out, chunk.sum);
        if let Some(starts) = &mut chunk.starts {
            starts.write(out, 0, row.timestamp_ms, row.start_timestamp_ms);
        }
        chunk
    }

    /// Samples so far.
    pub(super) fn len(&self) -> u16 {
        self.count
    }

    /// Times of the first and the last sample.
    pub(super) fn times_ms(&self) -> (i64, i64) {
        (self.first_ms, self.time_ms)
    }

    /// What is known of a reset before a histogram that would fit, but for the size of the chunk.
    pub(super) fn hint_behind(&self) -> CounterResetHint {
        match self.hint {
            CounterResetHint::Gauge => CounterResetHint::Gauge,
            _ => CounterResetHint::NotReset,
        }
    }

    /// Where `row` goes, by the rules of the reference.
    pub(super) fn next(&self, row: HistogramRow<'_>) -> Next {
        if row.kind != self.counts.kind() {
            return Next::Cut(row.hint);
        }
        if row.hint == CounterResetHint::Reset {
            return Next::Cut(CounterResetHint::Reset);
        }
        let takes_start = self.starts.is_some() || row.start_timestamp_ms == 0;
        if row.is_stale() {
            return if takes_start { Next::Push } else { Next::Cut(row.hint) };
        }
        let is_gauge = row.hint == CounterResetHint::Gauge;
        if self.sum.value == STALE_NAN_BITS || is_gauge != (self.hint == CounterResetHint::Gauge) {
            return Next::Cut(row.hint);
        }
        let hint = match is_gauge {
            true => CounterResetHint::Gauge,
            false => self.counts.reset_before(&self.layout, row),
        };
        let same_layout = Arc::ptr_eq(&self.layout, row.layout) || self.layout == *row.layout;
        let no_reset = matches!(hint, CounterResetHint::Gauge | CounterResetHint::NotReset);
        if takes_start && same_layout && no_reset { Next::Push } else { Next::Cut(hint) }
    }

    /// Appends a histogram for which [`HistogramChunk::next`] said so.
    pub(super) fn push(&mut self, row: HistogramRow<'_>) {
        let delta_ms = row.timestamp_ms.wrapping_sub(self.time_ms);
        let previous_ms = self.time_ms;
        let out = &mut self.out;
        out.varbit_int(delta_ms.wrapping_sub(self.delta_ms));
        self.counts.write_next(out, row, |out| self.sum.next(out, row.sum.to_bits()));
        if let Some(starts) = &mut self.starts {
            starts.write(out, self.count.into(), previous_ms, row.start_timestamp_ms);
        }
        (self.time_ms, self.delta_ms) = (row.timestamp_ms, delta_ms);
        self.count = self.count.wrapping_add(1);
    }

    /// Encoding and data.
    pub(super) fn finish(&mut self) -> (Encoding, &[u8]) {
        let flags: u8 = match self.hint {
            CounterResetHint::Unknown => 0b00,
            CounterResetHint::NotReset => 0b01,
            CounterResetHint::Reset => 0b10,
            CounterResetHint::Gauge => 0b11,
        } << 6;
        let [high, low] = self.count.to_be_bytes();
        match &self.starts {
            None => self.out.set_header(&[high, low, flags]),
            Some(starts) => self.out.set_header(&[high | flags, low, starts.header()]),
        }
        let encoding = match (self.counts.kind(), &self.starts) {
            (HistogramKind::Integer, None) => Encoding::Histogram,
            (HistogramKind::Float, None) => Encoding::FloatHistogram,
            (HistogramKind::Integer, Some(_)) => Encoding::HistogramSt,
            (HistogramKind::Float, Some(_)) => Encoding::FloatHistogramSt,
        };
        (encoding, self.out.bytes())
    }
}

/// True when a histogram has as many buckets as its spans say; a stale marker has none that count.
pub(super) fn is_consistent(row: HistogramRow<'_>) -> bool {
    let buckets = row.buckets.len() as u64;
    row.is_stale()
        || buckets_of(&row.layout.positive_spans) + buckets_of(&row.layout.negative_spans) == buckets
}

fn buckets_of(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

impl Integer {
    fn write(&mut self, out: &mut BitWriter, value: i64) {
        let delta = value.wrapping_sub(self.value);
        out.varbit_int(delta.wrapping_sub(self.delta));
        *self = Self { value, delta };
    }
}

impl Counts {
    fn kind(&self) -> HistogramKind {
        match self {
            Self::Integer { .. } => HistogramKind::Integer,
            Self::Float { .. } => HistogramKind::Float,
        }
    }

    /// Those of the first histogram, not written yet.
    fn first(layout: &HistogramLayout, row: HistogramRow<'_>) -> Self {
        let (count, zero_count, buckets) =
            if row.is_stale() { (0, 0, [].as_slice()) } else { (row.count, row.zero_count, row.buckets) };
        match row.kind {
            HistogramKind::Integer => {
                let integer = |value| Integer { value, delta: 0 };
                Self::Integer {
                    count: integer(count.cast_signed()),
                    zero_count: integer(zero_count.cast_signed()),
                    buckets: differences(layout, buckets).map(integer).collect(),
                }
            }
            HistogramKind::Float => Self::Float {
                count: XorValue::new(count),
                zero_count: XorValue::new(zero_count),
                buckets: buckets.iter().copied().map(XorValue::new).collect(),
            },
        }
    }

    fn write_first(&self, out: &mut BitWriter, sum: XorValue) {
        match self {
            Self::Integer { count, zero_count, buckets } => {
                out.varbit_uint(count.value.cast_unsigned());
                out.varbit_uint(zero_count.value.cast_unsigned());
                out.bits(sum.value, 64);
                buckets.iter().for_each(|bucket| out.varbit_int(bucket.value));
            }
            Self::Float { count, zero_count, buckets } => {
                out.bits(count.value, 64);
                out.bits(zero_count.value, 64);
                out.bits(sum.value, 64);
                buckets.iter().for_each(|bucket| out.bits(bucket.value, 64));
            }
        }
    }

    fn write_next(&mut self, out: &mut BitWriter, row: HistogramRow<'_>, sum: impl FnOnce(&mut BitWriter)) {
        let layout = row.layout;
        match self {
            // The counts of a stale marker mean nothing, and behind it come only others.
            Self::Integer { .. } if row.is_stale() => {
                out.bits(0, 2);
                sum(out);
            }
            Self::Float { count, zero_count, .. } if row.is_stale() => {
                count.next(out, 0);
                zero_count.next(out, 0);
                sum(out);
            }
            Self::Integer { count, zero_count, buckets } => {
                count.write(out, row.count.cast_signed());
                zero_count.write(out, row.zero_count.cast_signed());
                sum(out);
                for (bucket, value) in buckets.iter_mut().zip(differences(layout, row.buckets)) {
                    bucket.write(out, value);
                }
            }
            Self::Float { count, zero_count, buckets } => {
                count.next(out, row.count);
                zero_count.next(out, row.zero_count);
                sum(out);
                for (bucket, &value) in buckets.iter_mut().zip(row.buckets) {
                    bucket.next(out, value);
                }
            }
        }
    }

    /// What is known of a reset between these counts, which have `layout`, and a counter's next histogram.
    fn reset_before(&self, layout: &HistogramLayout, row: HistogramRow<'_>) -> CounterResetHint {
        let last = self.absolute(layout);
        let fell = |before: u64, after: u64| match row.kind {
            HistogramKind::Integer => after < before,
            HistogramKind::Float => f64::from_bits(after) < f64::from_bits(before),
        };
        let next = row.layout;
        if fell(last.count, row.count) {
            return CounterResetHint::Reset;
        }
        if next.schema != layout.schema || next.zero_threshold != layout.zero_threshold {
            return CounterResetHint::Unknown;
        }
        let (before_positive, before_negative) = sides(layout, &last.buckets);
        let (after_positive, after_negative) = sides(next, row.buckets);
        let reset = next.custom_bounds != layout.custom_bounds
            || fell(last.zero_count, row.zero_count)
            || any_fell(
                (&layout.positive_spans, before_positive),
                (&next.positive_spans, after_positive),
                fell,
            )
            || any_fell(
                (&layout.negative_spans, before_negative),
                (&next.negative_spans, after_negative),
                fell,
            );
        if reset { CounterResetHint::Reset } else { CounterResetHint::NotReset }
    }

    fn absolute(&self, layout: &HistogramLayout) -> Absolute {
        match self {
            Self::Integer { count, zero_count, buckets } => {
                let positive = usize::try_from(buckets_of(&layout.positive_spans)).unwrap_or(usize::MAX);
                let mut sum = 0i64;
                let absolute = buckets.iter().enumerate().map(|(at, bucket)| {
                    // Each side starts from 0.
                    sum = if at == positive { bucket.value } else { sum.wrapping_add(bucket.value) };
                    sum.cast_unsigned()
                });
                Absolute {
                    buckets: absolute.collect(),
                    count: count.value.cast_unsigned(),
                    zero_count: zero_count.value.cast_unsigned(),
                }
            }
            Self::Float { count, zero_count, buckets } => Absolute {
                count: count.value,
                zero_count: zero_count.value,
                buckets: buckets.iter().map(|bucket| bucket.value).collect(),
            },
        }
    }
}

/// Counts as a histogram has them.
struct Absolute {
    count: u64,
    zero_count: u64,
    buckets: Vec<u64>,
}

/// Positive and negative buckets.
fn sides<'a>(layout: &HistogramLayout, buckets: &'a [u64]) -> (&'a [u64], &'a [u64]) {
    let positive = usize::try_from(buckets_of(&layout.positive_spans)).unwrap_or(usize::MAX);
    buckets.split_at(positive.min(buckets.len()))
}

/// Differences of absolute counts to the bucket before, each side from 0.
fn differences(layout: &HistogramLayout, buckets: &[u64]) -> impl Iterator<Item = i64> {
    let (positive, negative) = sides(layout, buckets);
    let of_side = |side: &[u64]| {
        let mut before = 0;
        let differences = side.iter().map(|&count| {
            let difference = count.wrapping_sub(before).cast_signed();
            before = count;
            difference
        });
        differences.collect::<Vec<_>>()
    };
    of_side(positive).into_iter().chain(of_side(negative))
}

/// True when a bucket has less than before, or one that was not empty is gone.
fn any_fell(before: (&[Span], &[u64]), after: (&[Span], &[u64]), fell: impl Fn(u64, u64) -> bool) -> bool {
    let mut after = indexed(after.0, after.1).peekable();
    for (index, count) in indexed(before.0, before.1) {
        while after.next_if(|&(at, _)| at < index).is_some() {}
        // A bucket that is not there has the count 0, in bits of either kind.
        let now = after.peek().filter(|&&(at, _)| at == index).map_or(0, |&(_, count)| count);
        if fell(count, now) {
            return true;
        }
    }
    false
}

/// Buckets with their indexes.
fn indexed<'a>(spans: &'a [Span], buckets: &'a [u64]) -> impl Iterator<Item = (i64, u64)> + 'a {
    let mut next = 0i64;
    let indexes = spans.iter().flat_map(move |span| {
        let start = next.wrapping_add(span.offset.into());
        next = start.wrapping_add(span.length.into());
        start..next
    });
    indexes.zip(buckets.iter().copied())
}

fn write_layout(out: &mut BitWriter, layout: &HistogramLayout) {
    write_zero_threshold(out, layout.zero_threshold);
    out.varbit_int(layout.schema.into());
    for spans in [&layout.positive_spans, &layout.negative_spans] {
        out.varbit_uint(spans.len() as u64);
        for span in spans {
            out.varbit_uint(span.length.into());
            out.varbit_int(span.offset.into());
        }
    }
    if layout.schema == CUSTOM_BUCKETS_SCHEMA {
        out.varbit_uint(layout.custom_bounds.len() as u64);
        layout.custom_bounds.iter().for_each(|&bound| write_custom_bound(out, bound));
    }
}

/// One byte for 0 and the usual powers of two, nine for others.
fn write_zero_threshold(out: &mut BitWriter, threshold: f64) {
    /// The exponent of an f64 is this much above the byte that stands for it.
    const EXPONENT_ABOVE: u64 = 779;
    let bits = threshold.to_bits();
    let exponent = bits >> 52; // The sign counts as a huge exponent.
    match exponent.checked_sub(EXPONENT_ABOVE) {
        _ if bits == 0 => out.bits(0, 8),
        Some(byte @ 1..=254) if bits << 12 == 0 => out.bits(byte, 8),
        _ => {
            out.bits(255, 8);
            out.bits(bits, 64);
        }
    }
}

/// Thousandths as a varbit, others whole behind a 0 bit.
fn write_custom_bound(out: &mut BitWriter, bound: f64) {
    const MOST_THOUSANDTHS: f64 = 33_554_430.0;
    let thousandths = (bound * 1000.0).round();
    if (0.0..=MOST_THOUSANDTHS).contains(&thousandths) && (thousandths / 1000.0).to_bits() == bound.to_bits()
    {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 25 bits")]
        return out.varbit_uint(thousandths as u64 + 1);
    }
    out.bits(0, 1);
    out.bits(bound.to_bits(), 64);
}
