//! Every series of a block: its labels, its place in label order, its chunks.

use tsdb_reader::index::{ChunkMeta, Index, Series};
use tsdb_reader::source::BlockFile;
use tsdb_reader::{Error, Labels, SeriesRef};

use super::Checker;
use super::chunks::ChunkReader;

/// What a walk over all series found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pub series: u64,
    pub chunks: u64,
    pub samples: u64,
    pub floats: u64,
    pub histograms: u64,
    /// Some series or chunks could not be read, so that counts are too low.
    pub is_partial: bool,
    /// Some series could not be read.
    pub has_unreadable_series: bool,
}

impl Checker<'_> {
    /// Checks every series that can be read.
    pub(super) fn series(&mut self, index: &Index) -> Found {
        let mut found = Found::default();
        let mut chunks = match ChunkReader::open(self.source) {
            Ok(chunks) => Some(chunks),
            Err(error) => {
                self.error("segment", BlockFile::Segment(1), &error);
                None
            }
        };
        let mut last: Option<(Labels, SeriesRef)> = None;
        walk(index, &mut |read| {
            let series = match read {
                Ok(series) => series,
                Err(error) => {
                    (found.is_partial, found.has_unreadable_series) = (true, true);
                    return self.error("series", BlockFile::Index, &error);
                }
            };
            found.series += 1;
            self.order(series, &mut last);
            self.chunk_order(series);
            match &mut chunks {
                Some(chunks) => chunks.check(self, series, &mut found),
                None => found.is_partial |= !series.chunks.is_empty(),
            }
        });
        self.verified.series = found.series;
        (self.verified.chunks, self.verified.samples) = (found.chunks, found.samples);
        if let Some(chunks) = chunks {
            chunks.end(self, !found.has_unreadable_series);
        }
        found
    }

    fn order(&mut self, series: &Series, last: &mut Option<(Labels, SeriesRef)>) {
        let place = self.place(series);
        if series.labels_were_unsorted {
            let twice = series.labels.iter().zip(series.labels.iter().skip(1)).any(|((a, _), (b, _))| a == b);
            let (name, what) = match twice {
                true => ("series-duplicate-label", "a label name occurs twice in"),
                false => ("series-unsorted-labels", "label names are out of order in"),
            };
            self.broken(name, BlockFile::Index, format!("{what} {place}"));
        }
        if let Some((name, _)) =
            series.labels.iter().find(|(name, value)| name.is_empty() || value.is_empty())
        {
            let what = if name.is_empty() { "a label name" } else { "a label value" };
            let message = format!("{what} is empty, which is as if the label were not there, in {place}");
            self.note("series-empty-label", BlockFile::Index, message);
        }
        let Some((labels, before)) = last else {
            *last = Some((series.labels.clone(), series.series_ref));
            return;
        };
        if *labels == series.labels {
            let message = format!("{place} has the same labels as series {before}");
            self.broken("series-duplicate", BlockFile::Index, message);
        } else if *labels > series.labels {
            let message = format!("{place} comes after series {before}, which is greater in label order");
            self.broken("series-out-of-order", BlockFile::Index, message);
        }
        labels.clone_from(&series.labels);
        *before = series.series_ref;
    }

    fn chunk_order(&mut self, series: &Series) {
        for chunk in &series.chunks {
            if chunk.min_time_ms > chunk.max_time_ms {
                let message = format!("{} ends before it begins, in {}", name(chunk), self.place(series));
                self.broken("chunk-times-reversed", BlockFile::Index, message);
            }
        }
        for pair in series.chunks.windows(2) {
            let [a, b] = pair else { continue };
            if b.min_time_ms > a.max_time_ms {
                continue;
            }
            let (finding, how) = match (a.chunk_ref == b.chunk_ref, b.min_time_ms < a.min_time_ms) {
                (true, _) => ("chunk-twice", "is listed twice"),
                (_, true) => ("chunks-out-of-order", "begins before the one listed before it"),
                _ => ("chunks-overlap", "begins before the one before it ends"),
            };
            self.broken(finding, BlockFile::Index, format!("{} {how}, in {}", name(b), self.place(series)));
        }
    }

    /// A series for people: its reference, offset and labels.
    pub(super) fn place(&self, series: &Series) -> String {
        let alignment = self.index.map_or(1, |index| index.layout().series_alignment());
        let offset = series.series_ref.0.saturating_mul(alignment);
        format!("series {} at offset {offset:#x} {}", series.series_ref, series.labels)
    }
}

/// A chunk for people.
pub(super) fn name(chunk: &ChunkMeta) -> String {
    format!("chunk {} (times {} to {})", chunk.chunk_ref, chunk.min_time_ms, chunk.max_time_ms)
}

/// Reads all series front to back. Behind one that cannot be read, on with those that the list of all series names.
pub(super) fn walk(index: &Index, each: &mut dyn FnMut(Result<&Series, Error>)) {
    let mut series = Series::new();
    let mut last = None;
    let broken = match index.scan_series() {
        Err(error) => Some(error),
        Ok(mut scan) => loop {
            match scan.read_next(&mut series) {
                Ok(true) => {
                    last = Some(series.series_ref);
                    each(Ok(&series));
                }
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        },
    };
    let Some(error) = broken else { return };
    let Ok(all) = index.all_postings() else { return each(Err(error)) };
    let mut named = false;
    for series_ref in all.filter(|&at| last.is_none_or(|last| at > last)) {
        match index.series(series_ref, &mut series) {
            Ok(()) => each(Ok(&series)),
            Err(error) => {
                named = true;
                each(Err(error));
            }
        }
    }
    if !named {
        each(Err(error));
    }
}
