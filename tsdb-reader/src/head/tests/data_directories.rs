//! Whole data directories: every sample that the reference answers from the head is in one of its files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::records::histogram;
use super::{DATA_DIRECTORIES, bits, head_files, number, read_all};
use crate::chunks::Chunk;
use crate::head::files::MemoryFiles;
use crate::head::{HeadChunks, HeadFiles, HeadListing, HeadSeriesRef, Record, SnapshotRecord};
use crate::labels::Labels;
use crate::samples::{FloatColumns, HistogramColumns, HistogramDecoder};
use crate::testing::vector;

/// Samples as text, by labels and time. Files of a head hold some of them twice, and rejected ones too.
type Samples = BTreeMap<(Labels, i64), BTreeSet<String>>;

#[derive(Default)]
struct Head {
    labels: BTreeMap<HeadSeriesRef, Labels>,
    samples: Samples,
}

impl Head {
    fn add(&mut self, series_ref: HeadSeriesRef, time_ms: i64, sample: String) {
        if let Some(labels) = self.labels.get(&series_ref) {
            self.samples.entry((labels.clone(), time_ms)).or_default().insert(sample);
        }
    }

    fn add_record(&mut self, payload: &[u8]) {
        match Record::open(payload).unwrap() {
            Record::Series(mut series) => {
                let mut labels = Labels::new();
                while let Some(series_ref) = series.read_next(&mut labels).unwrap() {
                    self.labels.insert(series_ref, labels.clone());
                }
            }
            Record::Samples(samples) => {
                for sample in samples {
                    let sample = sample.unwrap();
                    let text = float(sample.value.to_bits(), sample.start_timestamp_ms);
                    self.add(sample.series_ref, sample.timestamp_ms, text);
                }
            }
            Record::Histograms(mut histograms) => {
                while let Some((series_ref, row)) = histograms.read_next().unwrap() {
                    self.add(series_ref, row.timestamp_ms, without_hint(histogram(&row)));
                }
                assert_eq!(histograms.skipped(), 0);
            }
            _ => {}
        }
    }

    fn add_chunk(&mut self, series_ref: HeadSeriesRef, span: (i64, i64), chunk: &Chunk) {
        let mut floats = FloatColumns::default();
        let mut histograms = HistogramColumns::default();
        if chunk.floats().is_ok() {
            chunk.append_to(&mut floats).unwrap();
        } else {
            HistogramDecoder::default().append(chunk, &mut histograms).unwrap();
        }
        let times = if floats.is_empty() { &histograms.times_ms } else { &floats.times_ms };
        assert_eq!((times.first(), times.last()), (Some(&span.0), Some(&span.1)));
        for (at, &time_ms) in floats.times_ms.iter().enumerate() {
            let start_ms = floats.start_times_ms.get(at).copied().unwrap_or(0);
            self.add(series_ref, time_ms, float(floats.values[at].to_bits(), start_ms));
        }
        for at in 0..histograms.len() {
            let row = histograms.row(at).unwrap();
            self.add(series_ref, row.timestamp_ms, without_hint(histogram(&row)));
        }
    }
}

fn float(bits: u64, start_ms: i64) -> String {
    format!("{bits:#018x} st={start_ms}")
}

/// Hints depend on what a reader has seen before.
fn without_hint(mut histogram: Value) -> String {
    histogram["hint"] = Value::Null;
    histogram.to_string()
}

/// What the reference answered for times from `min_time_ms` on.
fn expected(vector: &Value, min_time_ms: i64) -> Vec<((Labels, i64), String)> {
    let mut all = Vec::new();
    for series in vector["expected_series"].as_array().unwrap() {
        let pairs: Vec<_> =
            series["labels"].as_array().unwrap().iter().map(|pair| (&pair[0], &pair[1])).collect();
        let text = |value: &'_ Value| value.as_str().unwrap().as_bytes().to_vec();
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        let labels: Labels = pairs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        for sample in series["samples"].as_array().unwrap() {
            let time_ms = number(&sample["t"]);
            let text = match &sample["v"] {
                Value::Null => without_hint(super::records::picked(sample)),
                value => float(bits(value), sample["st"].as_i64().unwrap_or(0)),
            };
            if time_ms >= min_time_ms {
                all.push(((labels.clone(), time_ms), text));
            }
        }
    }
    all
}

#[test]
fn every_sample_of_the_head_is_in_a_file_of_the_head() {
    for name in DATA_DIRECTORIES {
        let vector = vector(name);
        let files = MemoryFiles { files: head_files(name) };
        let listing = HeadListing::read(&files).unwrap();
        assert_eq!(listing.checkpoints.last().unwrap().number, 3);
        let mut head = Head::default();
        for segment in listing.checkpoint_segments.iter().chain(&listing.wal).chain(&listing.wbl) {
            let (records, error) = read_all(&files.read(&segment.path).unwrap());
            assert_eq!(error, None, "{name} {}", segment.path);
            records.iter().for_each(|(_, payload)| head.add_record(payload));
        }
        for file in &listing.head_chunks {
            for chunk in HeadChunks::open(files.read(&file.path).unwrap(), file.number, false).unwrap() {
                let chunk = chunk.unwrap();
                head.add_chunk(chunk.series_ref, (chunk.min_time_ms, chunk.max_time_ms), &chunk.chunk);
            }
        }
        let min_valid_ms = 1_700_013_600_000;
        let expected = expected(&vector, min_valid_ms);
        assert!(expected.len() > 800, "{}", expected.len());
        for (place, sample) in expected {
            let found = head.samples.get(&place);
            assert!(
                found.is_some_and(|found| found.contains(&sample)),
                "{name} {place:?} {sample}: {found:?}"
            );
        }
    }
}

#[test]
fn open_chunks_of_a_snapshot_are_those_of_the_log() {
    let files = head_files("datadir_memsnap.json");
    let (records, error) = read_all(&files["chunk_snapshot.000007.0000032768/00000000"]);
    assert_eq!(error, None);
    let mut snapshot = Head::default();
    let (mut tombstones, mut exemplars) = (0, 0);
    for (_, payload) in records {
        match SnapshotRecord::open(&payload).unwrap() {
            SnapshotRecord::Series(series) => {
                let mut labels = Labels::new();
                let (series_ref, open) = series.decode(&mut labels).unwrap();
                snapshot.labels.insert(series_ref, labels);
                if let Some(open) = open {
                    let span = (open.min_time_ms, open.max_time_ms);
                    snapshot.add_chunk(series_ref, span, &open.to_chunk());
                }
            }
            SnapshotRecord::Tombstones(all) => tombstones += all.map(Result::unwrap).count(),
            SnapshotRecord::Exemplars(mut all) => {
                while all.read_next(&mut Labels::new()).unwrap().is_some() {
                    exemplars += 1;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let mut log = Head { labels: snapshot.labels.clone(), ..Head::default() };
    for (_, bytes) in files.iter().filter(|(path, _)| path.starts_with("wal/")) {
        read_all(bytes).0.iter().for_each(|(_, payload)| log.add_record(payload));
    }
    assert!(snapshot.labels.len() > 7);
    assert!(snapshot.samples.len() > 100, "{}", snapshot.samples.len());
    for (place, samples) in &snapshot.samples {
        let found = log.samples.get(place);
        assert!(found.is_some_and(|found| found.is_superset(samples)), "{place:?} {samples:?}: {found:?}");
    }
    assert_eq!((tombstones, exemplars), (1, 5));
}
