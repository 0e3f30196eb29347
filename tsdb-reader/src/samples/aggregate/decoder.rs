//! From aggregate chunks to columns: the five aggregates are joined by their times.
//!
//! Those of a sound chunk are the same, with two exceptions. An aggregate may be absent or without any sample. And
//! Thanos loses the histograms before one whose zero threshold is another, though their windows are counted.

use super::super::{FloatColumns, FloatDecoder, HistogramColumns, HistogramDecoder};
use super::{Aggregate, AggregateChunk, AggregateColumns, CounterChain, CounterColumns};
use crate::chunks::Chunk;
use crate::error::{DecodeError, DecodeErrorKind};

/// Whole numbers up to here have a double of their own.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// Decodes aggregate chunks into columns. One of them serves many chunks: it owns the memory that decoding needs.
#[derive(Debug, Clone, Default)]
pub struct AggregateDecoder {
    floats: FloatDecoder,
    histograms: HistogramDecoder,
    counts: FloatColumns,
    values: FloatColumns,
}

impl AggregateDecoder {
    /// Appends the windows of `chunk` with all but its counter. A window of histograms has no sum here. After an error
    /// the columns are as before.
    pub fn append(
        &mut self,
        chunk: &AggregateChunk,
        columns: &mut AggregateColumns,
    ) -> Result<(), DecodeError> {
        let before = columns.len();
        let appended = self.append_rows(chunk, columns);
        if appended.is_err() {
            columns.truncate(before);
        }
        appended
    }

    /// Goes through the counter of `chunk`, when it holds floats, and appends the totals. Says how many samples were left
    /// out because they are no numbers or are earlier than the one before.
    ///
    /// After an error chain and columns are as before; where a chunk is missing, a new chain begins.
    pub fn append_counter(
        &mut self,
        chunk: &AggregateChunk,
        chain: &mut CounterChain,
        columns: &mut CounterColumns,
    ) -> Result<u64, DecodeError> {
        self.read_values(chunk.get(Aggregate::Counter))?;
        Ok(chain.append(&self.values, columns))
    }

    /// Appends the sums or the counters of `chunk`, when it holds histograms, and to `counts` how many samples each of
    /// them is of. Says how many windows have no histogram. After an error all is as before.
    pub fn append_histograms(
        &mut self,
        chunk: &AggregateChunk,
        aggregate: Aggregate,
        histograms: &mut HistogramColumns,
        counts: &mut Vec<u64>,
    ) -> Result<u64, DecodeError> {
        let before = (histograms.len(), counts.len());
        let appended = self.append_counted(chunk, aggregate, histograms, counts);
        if appended.is_err() {
            histograms.truncate(before.0);
            counts.truncate(before.1);
        }
        appended
    }

    fn append_rows(
        &mut self,
        chunk: &AggregateChunk,
        columns: &mut AggregateColumns,
    ) -> Result<(), DecodeError> {
        self.append_counts(chunk, &mut columns.counts)?;
        columns.ends_ms.extend(&self.counts.times_ms);
        let rows = columns.ends_ms.len();
        for (aggregate, column) in [
            (Aggregate::Sum, &mut columns.sums),
            (Aggregate::Min, &mut columns.mins),
            (Aggregate::Max, &mut columns.maxs),
        ] {
            let entry = chunk.get(aggregate).filter(|_| !chunk.holds_histograms());
            self.read_values(entry)?;
            if let Some(entry) = entry.filter(|_| !self.values.is_empty()) {
                self.compare_times(aggregate, entry)?;
            }
            column.extend(self.values.values.iter().map(|value| Some(*value)));
            column.resize(rows, None);
        }
        Ok(())
    }

    fn append_counted(
        &mut self,
        chunk: &AggregateChunk,
        aggregate: Aggregate,
        histograms: &mut HistogramColumns,
        counts: &mut Vec<u64>,
    ) -> Result<u64, DecodeError> {
        let mut found = Vec::new();
        self.append_counts(chunk, &mut found)?;
        let mut windows = self.counts.times_ms.iter().zip(found);
        let mut without = 0;
        if let Some(entry) = chunk.get(aggregate) {
            let first = histograms.len();
            self.histograms.append(entry, histograms)?;
            for &time_ms in histograms.times_ms.iter().skip(first) {
                let count = loop {
                    match windows.next() {
                        Some((&window_ms, count)) if window_ms == time_ms => break count,
                        Some(_) => without += 1,
                        None => return Err(other_time(aggregate, entry, time_ms)),
                    }
                };
                counts.push(count);
            }
        }
        Ok(without + windows.len() as u64)
    }

    /// Reads the count of `chunk`: its times ascend, and its values are appended as whole numbers.
    fn append_counts(&mut self, chunk: &AggregateChunk, into: &mut Vec<u64>) -> Result<(), DecodeError> {
        let Some(entry) = chunk.get(Aggregate::Count) else {
            self.counts.clear();
            return Ok(());
        };
        read(&mut self.floats, entry, &mut self.counts)?;
        let fields = Aggregate::Count.fields();
        let times_ms = &self.counts.times_ms;
        if let Some((_, &found)) = times_ms.iter().zip(times_ms.iter().skip(1)).find(|(a, b)| a >= b) {
            let expected = "one after that before it";
            let kind = DecodeErrorKind::InvalidSigned { field: fields.time, found, expected };
            return Err(DecodeError { offset: entry.offset(), kind });
        }
        for &value in &self.counts.values {
            if !(0.0..=MAX_COUNT).contains(&value) || value.fract() != 0.0 {
                let (field, bits) = ("value in count aggregate", value.to_bits());
                let expected = "a whole number from 0 to 2^53";
                let kind = DecodeErrorKind::InvalidFloat { field, bits, expected };
                return Err(DecodeError { offset: entry.offset(), kind });
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
            into.push(value as u64);
        }
        Ok(())
    }

    /// Reads the samples of `entry`, none without it.
    fn read_values(&mut self, entry: Option<&Chunk>) -> Result<(), DecodeError> {
        match entry {
            Some(entry) => read(&mut self.floats, entry, &mut self.values),
            None => {
                self.values.clear();
                Ok(())
            }
        }
    }

    /// Demands that the values that were read have the times of the counts.
    fn compare_times(&self, aggregate: Aggregate, entry: &Chunk) -> Result<(), DecodeError> {
        let (counts_ms, times_ms) = (&self.counts.times_ms, &self.values.times_ms);
        if counts_ms.len() != times_ms.len() {
            let field = aggregate.fields().samples;
            let expected = "as many as of the count aggregate";
            return Err(DecodeError::invalid(entry.offset(), field, times_ms.len() as u64, expected));
        }
        match counts_ms.iter().zip(times_ms).find(|(a, b)| a != b) {
            Some((_, &time_ms)) => Err(other_time(aggregate, entry, time_ms)),
            None => Ok(()),
        }
    }
}

fn read(decoder: &mut FloatDecoder, entry: &Chunk, into: &mut FloatColumns) -> Result<(), DecodeError> {
    into.clear();
    decoder.append([entry], into).map_err(|(_, error)| error)
}

fn other_time(aggregate: Aggregate, entry: &Chunk, found: i64) -> DecodeError {
    let expected = "a time of the count aggregate";
    let kind = DecodeErrorKind::InvalidSigned { field: aggregate.fields().time, found, expected };
    DecodeError { offset: entry.offset(), kind }
}
