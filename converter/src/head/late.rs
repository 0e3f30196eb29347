//! Late samples: the log of samples that came out of order, and the head chunks that hold such.
//!
//! When the open chunk of late samples of a series is full it is written to `chunks_head/`, and a *marker* goes into
//! the log: what came before it is in that chunk.
//!
//! ```text
//! log        │ a b c │ marker 1 │ d e │ marker 2 │ f │          chunk 2: d e
//! server     chunk 2 is there, so all before marker 2 is in chunks          ► d e f
//! here       chunk 1 is not there, so a b c are in the log alone            ► a b c d e f
//! ```
//! A server that is killed may leave a marker whose chunk was never written, or that names none, for a compaction took
//! the samples before it. On start it compares markers with the last chunk there is alone, and forgets samples that
//! it answered before. Here a marker takes those samples back that its chunk holds, and no others; what a server
//! forgets is named. Late samples know no end of the newest block: they may be of any time.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use tsdb_reader::head::record::{MarkerEntries, SampleEntry};
use tsdb_reader::head::{HeadChunkRef, HeadSeriesRef, RawRecord, Record};
use tsdb_reader::samples::{CounterResetHint, FloatColumns, FloatSample, Histogram, HistogramColumns};
use tsdb_reader::{Chunk, DecodeError};

use super::account::Dropped;
use super::chunks::{LateChunk, decode, samples_of};
use super::replay::{Replay, check};
use super::series::LateSample;
use crate::build::BuildError;

impl Replay<'_> {
    /// Applies a record of the log of late samples.
    pub(super) fn apply_late(&mut self, record: &RawRecord<'_>) -> Result<(), DecodeError> {
        self.account.records += 1;
        check(record.payload)?;
        match Record::open(record.payload)? {
            Record::Samples(entries) => {
                for entry in entries.flatten() {
                    let SampleEntry { series_ref, timestamp_ms, start_timestamp_ms, value } = entry;
                    let sample = FloatSample { timestamp_ms, start_timestamp_ms, value };
                    self.insert_late(series_ref, timestamp_ms, || LateSample::Float(sample));
                }
            }
            Record::Histograms(mut entries) => {
                while let Ok(Some((series_ref, row))) = entries.read_next() {
                    self.insert_late(series_ref, row.timestamp_ms, || {
                        LateSample::Histogram(Box::new(row.into()))
                    });
                }
                self.account.late_log.read += entries.skipped();
                self.account.late_log.drop(Dropped::Undecodable, entries.skipped());
            }
            Record::Markers(entries) => self.apply_markers(entries),
            Record::Unknown(_) => self.account.unknown_records += 1,
            // A server logs none of these here, and passes over them.
            Record::Series(_)
            | Record::Tombstones(_)
            | Record::Exemplars(_)
            | Record::Metadata(_)
            | Record::Empty => {}
        }
        Ok(())
    }

    /// Of samples with one time the first stays.
    fn insert_late(&mut self, series_ref: HeadSeriesRef, time_ms: i64, sample: impl FnOnce() -> LateSample) {
        let account = &mut self.account.late_log;
        account.read += 1;
        let series = match self.series.find(series_ref) {
            Ok(series) => series,
            Err(why) => return account.drop(why, 1),
        };
        match series.late.entry(time_ms) {
            Entry::Occupied(_) => account.drop(Dropped::Duplicate, 1),
            Entry::Vacant(free) => {
                free.insert(sample());
                account.kept += 1;
            }
        }
    }

    /// Open samples that became several chunks have as many markers, one after the other.
    fn apply_markers(&mut self, entries: MarkerEntries<'_>) {
        let mut entries = entries.flatten().peekable();
        while let Some(first) = entries.next() {
            let series_ref = first.series_ref;
            self.take_back_late(series_ref, first.chunk_ref);
            let mut lowest = first.chunk_ref;
            while let Some(more) = entries.next_if(|more| more.series_ref == series_ref) {
                self.take_back_late(series_ref, more.chunk_ref);
                lowest = lowest.min(more.chunk_ref);
            }
            let Ok(series) = self.series.find(series_ref) else { continue };
            if series.late.is_empty() && !self.unwritten.contains_key(&series.in_order) {
                continue;
            }
            let unwritten = self.unwritten.entry(series.in_order).or_default();
            let late = std::mem::take(&mut series.late);
            self.account.late_log.take_back(Dropped::Duplicate, merge(&mut unwritten.kept, late));
            // To a server all chunks up to the last one are there.
            if lowest <= self.mapped.last {
                let kept = std::mem::take(&mut unwritten.kept);
                self.account.late_log.take_back(Dropped::Duplicate, merge(&mut unwritten.forgotten, kept));
            }
        }
    }

    /// Takes back the open samples of a series that a head chunk holds, if it was read.
    fn take_back_late(&mut self, series_ref: HeadSeriesRef, chunk_ref: HeadChunkRef) {
        let Ok(series) = self.series.find(series_ref) else { return };
        let Some(chunk) = self.mapped.late_at(series_ref, chunk_ref) else { return };
        if series.late.is_empty() {
            return;
        }
        let (mut floats, mut histograms) = (FloatColumns::default(), HistogramColumns::default());
        decode(&self.mapped.late_chunk(chunk), &mut floats, &mut histograms);
        let times_ms = floats.times_ms.iter().chain(&histograms.times_ms);
        let in_chunk = times_ms.filter(|time_ms| series.late.remove(time_ms).is_some()).count();
        self.account.late_log.take_back(Dropped::InHeadChunks, in_chunk as u64);
    }

    /// Gives all late samples to their builder, those of a series in time order.
    ///
    /// Returns how many there are that a server forgets, and of how many series.
    pub(super) fn finish_late(&mut self) -> Result<(u64, u64), BuildError> {
        let mut forgotten = (0, 0);
        for series in self.series.iter_mut() {
            let mut chunks: Vec<&LateChunk> = self.mapped.late(series.chunks_of).iter().collect();
            let Unwritten { forgotten: mut samples, kept } =
                self.unwritten.remove(&series.in_order).unwrap_or_default();
            let mut alone: BTreeSet<i64> = samples.keys().copied().collect();
            for newer in [kept, std::mem::take(&mut series.late)] {
                self.account.late_log.take_back(Dropped::Duplicate, merge(&mut samples, newer));
            }
            if chunks.is_empty() && samples.is_empty() {
                continue;
            }
            let labels = self.builders.in_order.labels(series.in_order).unwrap_or_default();
            let late = &mut self.builders.late;
            let id = late.add_series(&labels);
            for interval in self.builders.in_order.deleted(series.in_order) {
                late.delete(id, *interval);
            }
            chunks.sort_by_key(|chunk| chunk.min_time_ms);
            if overlap(&chunks, &samples) {
                let account = &mut self.account.chunks;
                for chunk in chunks.drain(..) {
                    let chunk = self.mapped.late_chunk(chunk);
                    let promised = chunk.num_samples().map_or(0, u64::from);
                    let (decoded, added) = decode_into(&chunk, &mut samples, &mut alone);
                    account.take_back(Dropped::Undecodable, promised.saturating_sub(decoded));
                    account.take_back(Dropped::Duplicate, decoded - added);
                }
            }
            for chunk in chunks {
                let times_ms = (chunk.min_time_ms, chunk.max_time_ms);
                let chunk = self.mapped.late_chunk(chunk);
                if let Some(stored) = late.store_chunk(chunk.encoding(), chunk.data(), times_ms)? {
                    late.attach(id, stored)?;
                }
            }
            for sample in samples.into_values() {
                match sample {
                    LateSample::Float(sample) => late.push_float(id, sample)?,
                    LateSample::Histogram(histogram) => late.push_histogram(id, histogram.as_row())?,
                }
            }
            forgotten.0 += alone.len() as u64;
            forgotten.1 += u64::from(!alone.is_empty());
        }
        Ok(forgotten)
    }
}

/// Late samples of a series behind which a marker stands whose chunk does not hold them.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// A server forgets them on start.
    forgotten: BTreeMap<i64, LateSample>,
    /// It keeps them so far.
    kept: BTreeMap<i64, LateSample>,
}

/// Adds newer samples; of those with one time the older stays. Returns how many did not.
fn merge(samples: &mut BTreeMap<i64, LateSample>, newer: BTreeMap<i64, LateSample>) -> u64 {
    let (before, added) = (samples.len(), newer.len());
    for (time_ms, sample) in newer {
        samples.entry(time_ms).or_insert(sample);
    }
    (before + added - samples.len()) as u64
}

/// True when chunks, which are sorted, or samples that are in none, share a span of time.
fn overlap(chunks: &[&LateChunk], samples: &BTreeMap<i64, LateSample>) -> bool {
    let pairs = chunks.iter().zip(chunks.iter().skip(1));
    pairs.clone().any(|(a, b)| a.max_time_ms >= b.min_time_ms)
        || chunks.iter().any(|chunk| {
            let [Some((first, _)), Some((last, _))] = [samples.first_key_value(), samples.last_key_value()]
            else {
                return false;
            };
            chunk.min_time_ms <= *last && *first <= chunk.max_time_ms
        })
}

/// Decodes a chunk among samples that are there already, and takes its times out of `alone`; says how many samples it
/// has, and how many are new.
fn decode_into(
    chunk: &Chunk,
    samples: &mut BTreeMap<i64, LateSample>,
    alone: &mut BTreeSet<i64>,
) -> (u64, u64) {
    let (mut floats, mut histograms) = (FloatColumns::default(), HistogramColumns::default());
    decode(chunk, &mut floats, &mut histograms);
    let before = samples.len();
    for time_ms in floats.times_ms.iter().chain(&histograms.times_ms) {
        alone.remove(time_ms);
    }
    for sample in samples_of(&floats) {
        samples.entry(sample.timestamp_ms).or_insert(LateSample::Float(sample));
    }
    for row in (0..histograms.len()).filter_map(|at| histograms.row(at)) {
        let mut histogram = Histogram::from(row);
        // The histogram before it may be another one now.
        if histogram.hint == CounterResetHint::NotReset {
            histogram.hint = CounterResetHint::Unknown;
        }
        samples.entry(row.timestamp_ms).or_insert_with(|| LateSample::Histogram(Box::new(histogram)));
    }
    ((floats.len() + histograms.len()) as u64, (samples.len() - before) as u64)
}
