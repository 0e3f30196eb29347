//! Replay: the checkpoint and the write-ahead log, record by record, as a server reads them on start.
//!
//! ```text
//! series       labels that are new: a series. Known labels: one number more for their series, whose samples so far
//!              are in blocks; what counts is the head chunks of the new number
//! samples      after the last one kept of their series, and not before the end of the newest block
//! tombstones   an interval of a series; all of time: the series ends here, its samples are in a block
//! ```
//! A server logs what it is given before it looks at the order, so that the log has samples that it refused, and those
//! that came late: these are in another log ([`super::late`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use tsdb_reader::head::record::{SampleEntry, TombstoneEntry};
use tsdb_reader::head::{HeadSeriesRef, RawRecord, Record};
use tsdb_reader::samples::{
    CounterResetHint, FloatSample, HistogramKind, HistogramLayout, HistogramRow, is_stale_nan,
};
use tsdb_reader::{DecodeError, Labels};

use super::Builders;
use super::account::{Dropped, HeadAccount};
use super::chunks::MappedChunks;
use super::late::Unwritten;
use super::series::{LastKind, SeriesTable};
use crate::build::{BuildError, SeriesId};
use crate::metadata::MetricMetadata;

/// A head while its logs are replayed.
pub(super) struct Replay<'a> {
    pub min_valid_time_ms: i64,
    pub mapped: &'a MappedChunks,
    pub builders: &'a mut Builders,
    pub account: &'a mut HeadAccount,
    pub series: SeriesTable,
    /// The newest metadata of each series.
    pub metadata: BTreeMap<SeriesId, MetricMetadata>,
    /// Late samples of series with a marker that does not hold what it says.
    pub unwritten: HashMap<SeriesId, Unwritten, FixedState>,
    labels: Labels,
}

/// A sample of either kind.
#[derive(Clone, Copy)]
enum Sample<'a> {
    Float(FloatSample),
    Histogram(HistogramRow<'a>),
}

impl<'a> Replay<'a> {
    /// A head without samples.
    pub(super) fn new(
        min_valid_time_ms: i64,
        mapped: &'a MappedChunks,
        builders: &'a mut Builders,
        account: &'a mut HeadAccount,
    ) -> Self {
        Self {
            min_valid_time_ms,
            mapped,
            builders,
            account,
            series: SeriesTable::default(),
            metadata: BTreeMap::new(),
            unwritten: HashMap::default(),
            labels: Labels::new(),
        }
    }

    /// Applies a record. Of one that cannot be decoded to its end nothing is applied, as in a server.
    pub(super) fn apply(&mut self, record: &RawRecord<'_>) -> Result<Result<(), DecodeError>, BuildError> {
        self.account.records += 1;
        if let Err(error) = check(record.payload) {
            return Ok(Err(error));
        }
        let Ok(opened) = Record::open(record.payload) else { return Ok(Ok(())) };
        match opened {
            Record::Series(mut entries) => {
                let mut labels = std::mem::take(&mut self.labels);
                while let Ok(Some(series_ref)) = entries.read_next(&mut labels) {
                    self.enter(series_ref, &mut labels)?;
                }
                self.labels = labels;
            }
            Record::Samples(entries) => {
                for entry in entries.flatten() {
                    let SampleEntry { series_ref, timestamp_ms, start_timestamp_ms, value } = entry;
                    let sample = FloatSample { timestamp_ms, start_timestamp_ms, value };
                    self.push(series_ref, Sample::Float(sample))?;
                }
            }
            Record::Histograms(mut entries) => {
                while let Ok(Some((series_ref, row))) = entries.read_next() {
                    self.push(series_ref, Sample::Histogram(row))?;
                }
                self.account.log.read += entries.skipped();
                self.account.log.drop(Dropped::Undecodable, entries.skipped());
            }
            Record::Tombstones(entries) => {
                entries.flatten().for_each(|entry| self.delete(entry));
            }
            Record::Metadata(entries) => {
                for entry in entries.flatten() {
                    // Of series that are not in the head nothing needs to be known.
                    let Ok(series) = self.series.find(entry.series_ref) else { continue };
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let metadata = MetricMetadata {
                        metric_type: entry.metric_type.as_str().to_owned(),
                        unit: text(entry.unit),
                        help: text(entry.help),
                    };
                    self.metadata.insert(series.in_order, metadata);
                }
            }
            Record::Exemplars(mut entries) => {
                while let Ok(Some(_)) = entries.read_next(&mut self.labels) {
                    self.account.exemplars += 1;
                }
            }
            Record::Unknown(_) => self.account.unknown_records += 1,
            Record::Markers(_) | Record::Empty => {}
        }
        Ok(Ok(()))
    }

    /// Enters a series. The samples that it had are in blocks, but for those in head chunks under its new number.
    pub(super) fn enter(&mut self, series_ref: HeadSeriesRef, labels: &mut Labels) -> Result<(), BuildError> {
        if !labels.is_sorted() {
            labels.sort();
        }
        let builder = &mut self.builders.in_order;
        let Some(series) = self.series.enter(series_ref, labels, builder) else { return Ok(()) };
        self.account.log.take_back(Dropped::SeriesEnded, series.from_log);
        self.account.chunks.drop(Dropped::SeriesEnded, series.from_snapshot);
        builder.forget(series.in_order);
        series.begin(series_ref);
        for chunk in self.mapped.in_order(series_ref) {
            builder.attach(series.in_order, chunk)?;
            series.note_chunk(chunk.meta.max_time_ms, chunk.encoding);
        }
        Ok(())
    }

    fn push(&mut self, series_ref: HeadSeriesRef, sample: Sample<'_>) -> Result<(), BuildError> {
        let log = &mut self.account.log;
        log.read += 1;
        let time_ms = match &sample {
            Sample::Float(sample) => sample.timestamp_ms,
            Sample::Histogram(row) => row.timestamp_ms,
        };
        if time_ms < self.min_valid_time_ms {
            log.drop(Dropped::InBlocks, 1);
            return Ok(());
        }
        let series = match self.series.find(series_ref) {
            Ok(series) => series,
            Err(why) => {
                log.drop(why, 1);
                return Ok(());
            }
        };
        if series.last_chunk_ms.is_some_and(|last| time_ms <= last) {
            log.drop(Dropped::InHeadChunks, 1);
            return Ok(());
        }
        if series.last_ms.is_some_and(|last| time_ms <= last) {
            log.drop(Dropped::NotInOrder, 1);
            return Ok(());
        }
        let no_buckets = Arc::default();
        let sample = match (sample, series.last_kind) {
            // A scrape that fails ends all series the same way, whatever they held.
            (Sample::Float(stale), LastKind::Histogram(kind)) if is_stale_nan(stale.value) => {
                Sample::Histogram(stale_histogram(stale, kind, &no_buckets))
            }
            (sample, _) => sample,
        };
        match sample {
            Sample::Float(sample) => {
                self.builders.in_order.push_float(series.in_order, sample)?;
                series.last_kind = LastKind::Float;
            }
            Sample::Histogram(row) => {
                self.builders.in_order.push_histogram(series.in_order, row)?;
                series.last_kind = LastKind::Histogram(row.kind);
            }
        }
        series.last_ms = Some(time_ms);
        series.from_log += 1;
        log.kept += 1;
        Ok(())
    }

    /// Counts the samples of head chunks, once the last record is applied.
    pub(super) fn count_chunks(&mut self) {
        let account = &mut self.account.chunks;
        account.kept += self.series.iter_mut().map(|series| series.from_snapshot).sum::<u64>();
        for (series_ref, samples) in self.mapped.samples() {
            match self.series.find(series_ref) {
                Ok(series) if series.chunks_of == series_ref => account.kept += samples,
                _ => account.drop(Dropped::SeriesGone, samples),
            }
        }
    }

    pub(super) fn delete(&mut self, entry: TombstoneEntry) {
        // A series that the log does not know has nothing to delete.
        let Ok(series) = self.series.find(entry.series_ref) else { return };
        if entry.ends_series() {
            series.ended = true;
            self.account.log.take_back(Dropped::SeriesEnded, series.from_log);
            self.account.chunks.drop(Dropped::SeriesEnded, series.from_snapshot);
            self.builders.in_order.forget(series.in_order);
        } else if entry.interval.max_time_ms >= self.min_valid_time_ms {
            self.builders.in_order.delete(series.in_order, entry.interval);
        }
    }
}

/// Decodes all entries of a record. They are decoded once more to be applied: a record may have 256 MiB, and its entries
/// are three times as large in memory.
pub(super) fn check(payload: &[u8]) -> Result<(), DecodeError> {
    let mut labels = Labels::new();
    match Record::open(payload)? {
        Record::Series(mut entries) => while entries.read_next(&mut labels)?.is_some() {},
        Record::Samples(mut entries) => entries.try_for_each(|entry| entry.map(drop))?,
        Record::Histograms(mut entries) => while entries.read_next()?.is_some() {},
        Record::Tombstones(mut entries) => entries.try_for_each(|entry| entry.map(drop))?,
        Record::Markers(mut entries) => entries.try_for_each(|entry| entry.map(drop))?,
        Record::Metadata(mut entries) => entries.try_for_each(|entry| entry.map(drop))?,
        Record::Exemplars(mut entries) => while entries.read_next(&mut labels)?.is_some() {},
        Record::Unknown(_) | Record::Empty => {}
    }
    Ok(())
}

fn stale_histogram(
    stale: FloatSample,
    kind: HistogramKind,
    layout: &Arc<HistogramLayout>,
) -> HistogramRow<'_> {
    HistogramRow {
        timestamp_ms: stale.timestamp_ms,
        start_timestamp_ms: stale.start_timestamp_ms,
        sum: stale.value,
        count: 0,
        zero_count: 0,
        kind,
        hint: CounterResetHint::Unknown,
        layout,
        buckets: &[],
    }
}
