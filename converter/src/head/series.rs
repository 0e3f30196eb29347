//! The series of a head while its log is replayed.
//!
//! A series is known by a number, and by further ones when it was logged again under the same labels. What is known
//! of it besides its samples is little, for a head has millions of series.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use tsdb_reader::head::HeadSeriesRef;
use tsdb_reader::samples::{FloatSample, Histogram, HistogramKind};
use tsdb_reader::{Encoding, Labels};

use super::account::Dropped;
use crate::build::{BlockBuilder, SeriesId};
use crate::identities::series_id;

/// A sample that came late.
#[derive(Debug)]
pub(super) enum LateSample {
    Float(FloatSample),
    Histogram(Box<Histogram>),
}

/// What the last in-order sample of a series was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastKind {
    Float,
    Histogram(HistogramKind),
}

impl LastKind {
    /// Of the samples of a chunk.
    pub(super) fn of(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Histogram | Encoding::HistogramSt => Self::Histogram(HistogramKind::Integer),
            Encoding::FloatHistogram | Encoding::FloatHistogramSt => Self::Histogram(HistogramKind::Float),
            _ => Self::Float,
        }
    }
}

/// Where a series is in [`SeriesTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32);

/// One series.
#[derive(Debug)]
pub(super) struct HeadSeries {
    /// Its in-order samples.
    pub in_order: SeriesId,
    /// Late samples by time that are in no head chunk.
    pub late: BTreeMap<i64, LateSample>,
    /// The number under which it was logged last: its head chunks bear it.
    pub chunks_of: HeadSeriesRef,
    /// Time of the last chunk in `chunks_head/`.
    pub last_chunk_ms: Option<i64>,
    /// Time of the last in-order sample, those of head chunks included.
    pub last_ms: Option<i64>,
    pub last_kind: LastKind,
    /// Samples kept that came from the log.
    pub from_log: u64,
    /// Samples of the open chunk of a snapshot.
    pub from_snapshot: u64,
    /// It was ended by a tombstone: its numbers mean nothing any more.
    pub ended: bool,
    /// The next series whose labels have the same hash.
    next_of_hash: Option<Place>,
}

impl HeadSeries {
    /// Begins without samples, under a number.
    pub(super) fn begin(&mut self, series_ref: HeadSeriesRef) {
        self.chunks_of = series_ref;
        (self.last_chunk_ms, self.last_ms) = (None, None);
        (self.from_log, self.from_snapshot) = (0, 0);
    }

    /// Goes on behind a chunk.
    pub(super) fn note_chunk(&mut self, max_time_ms: i64, encoding: Encoding) {
        self.last_chunk_ms = Some(max_time_ms);
        self.last_ms = Some(max_time_ms);
        self.last_kind = LastKind::of(encoding);
    }
}

/// All series, by number and by labels.
#[derive(Debug, Default)]
pub(super) struct SeriesTable {
    all: Vec<HeadSeries>,
    by_ref: HashMap<HeadSeriesRef, Place, FixedState>,
    by_hash: HashMap<i64, Place, FixedState>,
}

impl SeriesTable {
    /// The series with this number; otherwise why its samples are dropped.
    pub(super) fn find(&mut self, series_ref: HeadSeriesRef) -> Result<&mut HeadSeries, Dropped> {
        let series = self.by_ref.get(&series_ref).and_then(|Place(at)| {
            let at = usize::try_from(*at).ok()?;
            self.all.get_mut(at)
        });
        match series {
            None => Err(Dropped::UnknownSeries),
            Some(series) if series.ended => Err(Dropped::SeriesEnded),
            Some(series) => Ok(series),
        }
    }

    /// The series with these labels, which has this number from now on; it is added when there is none.
    pub(super) fn enter(
        &mut self,
        series_ref: HeadSeriesRef,
        labels: &Labels,
        builder: &mut BlockBuilder,
    ) -> Option<&mut HeadSeries> {
        let hash = series_id(labels);
        let first = self.by_hash.get(&hash).copied();
        let mut next = first;
        while let Some(place) = next {
            let series = self.get(place)?;
            if !series.ended && builder.has_labels(series.in_order, labels) {
                break;
            }
            next = series.next_of_hash;
        }
        let place = match next {
            Some(place) => place,
            None => {
                let place = Place(u32::try_from(self.all.len()).ok()?);
                self.all.push(HeadSeries {
                    in_order: builder.add_series(labels),
                    late: BTreeMap::new(),
                    chunks_of: series_ref,
                    last_chunk_ms: None,
                    last_ms: None,
                    last_kind: LastKind::Float,
                    from_log: 0,
                    from_snapshot: 0,
                    ended: false,
                    next_of_hash: first,
                });
                self.by_hash.insert(hash, place);
                place
            }
        };
        self.by_ref.insert(series_ref, place);
        let Place(at) = place;
        self.all.get_mut(usize::try_from(at).ok()?)
    }

    fn get(&self, Place(at): Place) -> Option<&HeadSeries> {
        self.all.get(usize::try_from(at).ok()?)
    }

    /// All series, in the order in which they were logged first.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut HeadSeries> {
        self.all.iter_mut().filter(|series| !series.ended)
    }
}
