//! Late samples: the log of samples that came out of order, and the head chunks that hold such.
//!
//! When the open chunk of late samples of a series is full it is written to `chunks_head/`, and a *marker* goes into
//! the log: what came before it is in that chunk. A marker for a chunk that is not there any more says nothing, and
//! the samples before it stay. Late samples know no end of the newest block: they may be of any time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tsdb_reader::head::record::SampleEntry;
use tsdb_reader::head::{HeadSeriesRef, RawRecord, Record};
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
            Record::Markers(entries) => {
                for marker in entries.flatten() {
                    if marker.chunk_ref > self.mapped.last {
                        continue;
                    }
                    if let Ok(series) = self.series.find(marker.series_ref) {
                        let late = std::mem::take(&mut series.late);
                        self.account.late_log.take_back(Dropped::InHeadChunks, late.len() as u64);
                    }
                }
            }
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

    /// Gives all late samples to their builder, those of a series in time order.
    pub(super) fn finish_late(&mut self) -> Result<(), BuildError> {
        for series in self.series.iter_mut() {
            let mut chunks: Vec<&LateChunk> = self.mapped.late(series.chunks_of).iter().collect();
            let mut samples = std::mem::take(&mut series.late);
            if chunks.is_empty() && samples.is_empty() {
                continue;
            }
            let labels = self.builders.in_order.labels(series.in_order);
            let late = &mut self.builders.late;
            let id = late.add_series(labels.cloned().unwrap_or_default());
            for interval in self.builders.in_order.deleted(series.in_order) {
                late.delete(id, *interval);
            }
            chunks.sort_by_key(|chunk| chunk.min_time_ms);
            if overlap(&chunks, &samples) {
                let account = &mut self.account.chunks;
                for chunk in chunks.drain(..) {
                    let chunk = self.mapped.late_chunk(chunk);
                    let promised = chunk.num_samples().map_or(0, u64::from);
                    let (decoded, added) = decode_into(&chunk, &mut samples);
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
        }
        Ok(())
    }
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

/// Decodes a chunk among samples that are there already; says how many there were, and how many are new.
fn decode_into(chunk: &Chunk, samples: &mut BTreeMap<i64, LateSample>) -> (u64, u64) {
    let (mut floats, mut histograms) = (FloatColumns::default(), HistogramColumns::default());
    decode(chunk, &mut floats, &mut histograms);
    let before = samples.len();
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
