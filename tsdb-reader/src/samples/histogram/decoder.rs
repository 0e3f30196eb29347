//! Histograms of chunks: one decoder, read one by one or into columns.
//!
//! ```text
//! encodings 2, 3  ┌───────────┬──────────────┬────────┬────────┬──────────┬──────────┬───┬─────┐
//!                 │ count u16 │ R 2 │ 6 bits │        │        │          │          │   │     │
//! encodings 5, 6  ├─────┬─────┴───┬──────────┤ layout │ sample │ [ST₀]    │ sample   │ … │ pad │
//!                 │ R 2 │ 14 bits │ ST 8     │        │      0 │          │      1   │   │     │
//!                 └─────┴─────────┴──────────┴────────┴────────┴──────────┴──────────┴───┴─────┘
//!  R      = 10 reset before this chunk │ 01 none │ 00 unknown │ 11 the histograms are gauges
//!  sample = time varbit_int, a change of the delta from sample 1 on │ counts │ sum │ buckets, no stale marker has them
//! ```
//! Checked: that every sample lies within the data, that the spans do not promise more buckets than there are bits for,
//! and every window. What follows the last sample is ignored. Times and counts wrap, as in the reference. Any input may
//! fail, none may panic.
//!
//! A bucket whose count grows evenly takes one bit per sample, and 8 bytes in memory; a histogram without buckets takes
//! four bits, and about 60 bytes. So columns take at most about 130 times what a chunk does, and the decoder 200 times,
//! when the chunk was made for it.
//! Defined in Prometheus' `tsdb/docs/format/chunks.md` and `tsdb/chunkenc/{histogram,histogram_st}.go`.

use std::mem;
use std::sync::Arc;

use super::super::bits::Bits;
use super::super::window::ValueWindow;
use super::super::{TracedSample, is_stale_nan};
use super::float::FloatCounts;
use super::integer::IntegerCounts;
use super::reduce::{FINEST_SCHEMA, Reduction};
use super::start_time::StartTimes;
use super::{CounterResetHint, Histogram, HistogramColumns, HistogramKind, HistogramLayout};
use crate::chunks::{Chunk, Encoding};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::CHUNK_BUCKETS;
use crate::trace::Trace;

/// The field that [`Counts::read_next`] reads first.
pub(super) const TIME_CHANGE: &str = "change of timestamp delta";

/// How counts are stored: of a histogram all but its time and its sum.
pub(super) trait Counts {
    /// What they are.
    const KIND: HistogramKind;
    /// The least that a bucket takes in the first sample.
    const FIRST_BUCKET_BITS: u64;

    /// Reads count and zero count of the first sample; moves `at` past them.
    fn read_first(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<(), DecodeError>;

    /// Reads the buckets of the first sample.
    fn read_first_buckets(
        &mut self,
        bits: &Bits<'_>,
        at: &mut u64,
        buckets: usize,
    ) -> Result<(), DecodeError>;

    /// Reads the change of the timestamp delta, which it returns, count and zero count of a later sample.
    fn read_next(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<i64, DecodeError>;

    /// Reads the buckets of a later sample.
    fn read_next_buckets(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<(), DecodeError>;

    /// Number of observations, as bits.
    fn count(&self) -> u64;

    /// Observations in the zero bucket, as bits.
    fn zero_count(&self) -> u64;

    /// Appends the absolute counts, as bits, of the buckets that were read, once after each time; the first `positive`
    /// are those of the positive side.
    fn append_buckets(&mut self, first: bool, positive: usize, into: &mut Vec<u64>);
}

/// Decodes chunks into columns. One of them serves many chunks: it owns the memory that decoding needs.
#[derive(Debug, Clone, Default)]
pub struct HistogramDecoder {
    integer: IntegerCounts,
    float: FloatCounts,
    layouts: Layouts,
}

impl HistogramDecoder {
    /// Appends the histograms of `chunk`. Those before an error stay appended.
    pub fn append(&mut self, chunk: &Chunk, columns: &mut HistogramColumns) -> Result<(), DecodeError> {
        Samples::open(chunk)?.append_to(u32::MAX, self, columns)
    }
}

/// The histograms of a chunk, in order; over after the first error.
#[derive(Debug, Clone)]
pub struct HistogramSamples<'a> {
    samples: Samples<'a>,
    decoder: HistogramDecoder,
    /// The last one read.
    row: HistogramColumns,
}

impl<'a> HistogramSamples<'a> {
    pub(crate) fn open(chunk: &'a Chunk) -> Result<Self, DecodeError> {
        let (decoder, row) = (HistogramDecoder::default(), HistogramColumns::default());
        Ok(Self { samples: Samples::open(chunk)?, decoder, row })
    }
}

impl Iterator for HistogramSamples<'_> {
    type Item = Result<Histogram, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row.clear();
        let Err(error) = self.samples.append_to(1, &mut self.decoder, &mut self.row) else {
            return self.row.row(0).map(|row| Ok(row.into()));
        };
        Some(Err(error))
    }
}

/// Reads the histograms of a chunk one by one, every field of them noted.
pub(crate) fn trace_histograms(
    chunk: &Chunk,
    trace: &Trace,
    each: &mut dyn FnMut(Option<TracedSample>),
) -> Result<(), DecodeError> {
    let mut samples = Samples::over(chunk, Bits::traced(chunk.data(), chunk.offset(), trace))?;
    each(None);
    let (mut decoder, mut row) = (HistogramDecoder::default(), HistogramColumns::default());
    while samples.index < samples.count {
        row.clear();
        samples.append_to(1, &mut decoder, &mut row)?;
        each(row.row(0).map(|row| TracedSample::Histogram(row.into())));
    }
    Ok(())
}

/// What the header of `chunk` says of resets before it.
pub(crate) fn counter_reset_header(chunk: &Chunk) -> Result<CounterResetHint, DecodeError> {
    Samples::open(chunk).map(|samples| samples.reset)
}

/// Layouts of the chunk that is decoded.
#[derive(Debug, Clone, Default)]
struct Layouts {
    /// As it is handed out: of a schema that is not too fine.
    current: Arc<HistogramLayout>,
    /// Memory to read the next one.
    spare: HistogramLayout,
    /// That of stale markers.
    empty: Arc<HistogramLayout>,
    positive: usize,
    buckets: usize,
    reduction: Option<Reduction>,
    /// Buckets before their reduction.
    finer: Vec<u64>,
}

impl Layouts {
    /// Reads the layout of a chunk of `count` histograms; `bucket_bits` are the least that each bucket of the first one
    /// takes.
    fn read(
        &mut self,
        bits: &Bits<'_>,
        at: &mut u64,
        count: u32,
        bucket_bits: u64,
    ) -> Result<(), DecodeError> {
        let start = *at;
        self.spare.read(bits, at)?;
        let positive = self.spare.positive_buckets();
        let buckets = positive.saturating_add(self.spare.negative_buckets());
        bits.require(*at, buckets.saturating_mul(bucket_bits), "buckets")?;
        // A bucket that does not change takes a bit.
        let left = bits.end().saturating_sub(*at);
        let found = buckets.saturating_mul(count.into()).min(left.saturating_add(buckets));
        if found > CHUNK_BUCKETS {
            let field = "buckets of all histograms";
            let kind = DecodeErrorKind::Limit { field, found, limit: CHUNK_BUCKETS };
            return Err(DecodeError { offset: bits.place(start), kind });
        }
        self.positive = usize::try_from(positive).unwrap_or(usize::MAX);
        self.buckets = usize::try_from(buckets).unwrap_or(usize::MAX);
        self.reduction = None;
        if self.spare.schema > FINEST_SCHEMA {
            let reduction = self.reduction.insert(Reduction::default());
            reduction.begin(&mut self.spare, bits.place(start))?;
        }
        // Chunks of a series mostly have the same layout, and then share it.
        if *self.current != self.spare {
            self.current = Arc::new(mem::take(&mut self.spare));
        }
        Ok(())
    }

    /// Appends the counts of the buckets that were read, as the layout that is handed out has them.
    #[inline(always)]
    fn append_buckets<C: Counts>(&mut self, counts: &mut C, first: bool, into: &mut Vec<u64>) {
        match &self.reduction {
            None => counts.append_buckets(first, self.positive, into),
            Some(reduction) => {
                self.finer.clear();
                counts.append_buckets(first, self.positive, &mut self.finer);
                reduction.join(C::KIND, &self.finer, into);
            }
        }
    }
}

/// The samples of a chunk, and the state after the last one.
#[derive(Debug, Clone)]
struct Samples<'a> {
    bits: Bits<'a>,
    kind: HistogramKind,
    reset: CounterResetHint,
    count: u32,
    index: u32,
    at: u64,
    time_ms: i64,
    delta_ms: i64,
    start_times: StartTimes,
    start_time_ms: i64,
    sum: u64,
    sum_window: ValueWindow,
}

impl<'a> Samples<'a> {
    /// Reads the header.
    fn open(chunk: &'a Chunk) -> Result<Self, DecodeError> {
        Self::over(chunk, Bits::new(chunk.data(), chunk.offset()))
    }

    fn over(chunk: &Chunk, bits: Bits<'a>) -> Result<Self, DecodeError> {
        const COUNT: &str = "number of samples";
        const RESET: &str = "counter reset header";
        let (kind, has_start_times) = match chunk.encoding() {
            Encoding::Histogram => (HistogramKind::Integer, false),
            Encoding::FloatHistogram => (HistogramKind::Float, false),
            Encoding::HistogramSt => (HistogramKind::Integer, true),
            Encoding::FloatHistogramSt => (HistogramKind::Float, true),
            _ => return Err(chunk.unsupported()),
        };
        let mut at = 0;
        let (count, reset, start_times) = if has_start_times {
            let reset = bits.field(&mut at, 2, RESET)?;
            (bits.field(&mut at, 14, COUNT)?, reset, StartTimes::open(&bits, &mut at)?)
        } else {
            let count = bits.field(&mut at, 16, COUNT)?;
            let reset = bits.field(&mut at, 8, RESET)? >> 6;
            (count, reset, StartTimes::NONE)
        };
        let reset = match reset {
            0b10 => CounterResetHint::Reset,
            0b01 => CounterResetHint::NotReset,
            0b11 => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        };
        Ok(Self {
            bits,
            kind,
            reset,
            count: u32::try_from(count).unwrap_or(0),
            index: 0,
            at,
            time_ms: 0,
            delta_ms: 0,
            start_times,
            start_time_ms: 0,
            sum: 0,
            sum_window: ValueWindow::NONE,
        })
    }

    /// Appends the next `most` samples, or what there is of them. There are none after an error.
    fn append_to(
        &mut self,
        most: u32,
        decoder: &mut HistogramDecoder,
        columns: &mut HistogramColumns,
    ) -> Result<(), DecodeError> {
        let until = self.count.min(self.index.saturating_add(most));
        let HistogramDecoder { integer, float, layouts } = decoder;
        let appended = match self.kind {
            HistogramKind::Integer => self.append_counts(until, integer, layouts, columns),
            HistogramKind::Float => self.append_counts(until, float, layouts, columns),
        };
        if appended.is_err() {
            self.index = self.count; // What follows a broken sample is noise.
        }
        appended
    }

    fn append_counts<C: Counts>(
        &mut self,
        until: u32,
        counts: &mut C,
        layouts: &mut Layouts,
        columns: &mut HistogramColumns,
    ) -> Result<(), DecodeError> {
        let (first_row, first_index) = (columns.times_ms.len(), self.index);
        let mut decoded = Ok(());
        while self.index < until {
            decoded = self.next(counts, layouts);
            if decoded.is_err() {
                break;
            }
            let stale = is_stale_nan(f64::from_bits(self.sum));
            columns.times_ms.push(self.time_ms);
            columns.start_times_ms.push(self.start_time_ms);
            columns.sums.push(f64::from_bits(self.sum));
            columns.counts.push(if stale { 0 } else { counts.count() });
            columns.zero_counts.push(if stale { 0 } else { counts.zero_count() });
            let (first, before) = (self.index == 0, columns.buckets.len());
            if first || !stale {
                layouts.append_buckets(counts, first, &mut columns.buckets);
            }
            if stale {
                columns.buckets.truncate(before);
            }
            columns.bucket_ends.push(columns.buckets.len());
            self.index += 1;
        }
        self.describe_rows(first_row, first_index, C::KIND, layouts, columns);
        decoded
    }

    /// Completes the rows from `first_row` on, which begin with sample `first_index`, by what is the same for most of
    /// them.
    fn describe_rows(
        &self,
        first_row: usize,
        first_index: u32,
        kind: HistogramKind,
        layouts: &Layouts,
        columns: &mut HistogramColumns,
    ) {
        let sums = columns.sums.get(first_row..).unwrap_or_default();
        let stale = sums.iter().filter(|sum| is_stale_nan(**sum)).count();
        let (some_sound, some_stale) = (stale < sums.len(), stale > 0);
        // The layout of the chunk comes last, where the next chunk looks for it.
        let empty = if some_stale { columns.intern(&layouts.empty) } else { 0 };
        let current = if some_sound { columns.intern(&layouts.current) } else { 0 };
        let HistogramColumns { sums, kinds, hints, layout_of, .. } = columns;
        let later = match self.reset {
            CounterResetHint::Gauge => CounterResetHint::Gauge,
            _ => CounterResetHint::NotReset,
        };
        kinds.resize(sums.len(), kind);
        layout_of.resize(sums.len(), current);
        hints.resize(sums.len(), later);
        if first_index == 0
            && later == CounterResetHint::NotReset
            && let Some(hint) = hints.get_mut(first_row)
        {
            *hint = CounterResetHint::Unknown;
        }
        if some_stale {
            let rows = sums.iter().zip(layout_of).zip(hints).skip(first_row);
            for ((_, layout), hint) in rows.filter(|((sum, _), _)| is_stale_nan(**sum)) {
                (*layout, *hint) = (empty, CounterResetHint::Unknown);
            }
        }
    }

    /// Goes to sample `index`. After an error the state is none.
    #[inline(always)]
    fn next<C: Counts>(&mut self, counts: &mut C, layouts: &mut Layouts) -> Result<(), DecodeError> {
        let (bits, mut at, previous_ms) = (&self.bits, self.at, self.time_ms);
        if self.index == 0 {
            at = self.first(counts, layouts)?;
        } else {
            let dod_ms = counts.read_next(bits, &mut at)?;
            self.delta_ms = self.delta_ms.wrapping_add(dod_ms);
            self.time_ms = self.time_ms.wrapping_add(self.delta_ms);
            self.sum ^= self.sum_window.read_change(bits, &mut at)?;
            if !is_stale_nan(f64::from_bits(self.sum)) {
                counts.read_next_buckets(bits, &mut at)?;
            }
        }
        self.start_time_ms =
            self.start_times.read(&self.bits, &mut at, self.index, self.time_ms, previous_ms)?;
        self.at = at;
        Ok(())
    }

    /// Reads the layout and the first sample but for its start time; returns where they end.
    #[inline(never)]
    fn first<C: Counts>(&mut self, counts: &mut C, layouts: &mut Layouts) -> Result<u64, DecodeError> {
        let (bits, mut at) = (&self.bits, self.at);
        layouts.read(bits, &mut at, self.count, C::FIRST_BUCKET_BITS)?;
        self.time_ms = bits.varbit_int(&mut at, "first timestamp")?;
        counts.read_first(bits, &mut at)?;
        self.sum = bits.field(&mut at, 64, "sum")?;
        counts.read_first_buckets(bits, &mut at, layouts.buckets)?;
        Ok(at)
    }
}
