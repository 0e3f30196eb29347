//! What the sinks write, read back by independent readers of the formats.

mod files;
mod ndjson;
mod parquet;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tsdb_reader::Labels;
use tsdb_reader::samples::STALE_NAN_BITS;
use xxhash_rust::xxh64::xxh64;

use super::*;
use crate::rows::{SeriesExtent, SeriesRows};
use crate::schema::Table;

/// A sample: time, value, start time (0 = unknown).
type Sample = (i64, f64, i64);

/// Adds a series; `pairs` are sorted.
fn push_series(rows: &mut SampleRows, pairs: &[(&[u8], &[u8])], samples: &[Sample]) {
    let labels: Labels = pairs.iter().copied().collect();
    let series_id = xxh64(labels.to_string().as_bytes(), 0).cast_signed();
    for &(time_ms, value, start_ms) in samples {
        if start_ms != 0 && rows.columns.start_times_ms.is_empty() {
            rows.columns.start_times_ms = vec![0; rows.columns.times_ms.len()];
        }
        rows.columns.times_ms.push(time_ms);
        rows.columns.values.push(value);
        if start_ms != 0 || !rows.columns.start_times_ms.is_empty() {
            rows.columns.start_times_ms.push(start_ms);
        }
    }
    let times_ms: Vec<i64> = samples.iter().map(|&(time_ms, ..)| time_ms).collect();
    let extent = SeriesExtent::of(&times_ms);
    rows.series.push(SeriesRows { end: rows.columns.len(), ..SeriesRows::new(labels, series_id, extent) });
}

/// Series with everything that is special about values, times and labels.
fn special_rows() -> SampleRows {
    let mut rows = SampleRows::default();
    let stale = f64::from_bits(STALE_NAN_BITS);
    push_series(&mut rows, &[(b"job", b"no metric")], &[(-1, 1.5, 0), (0, -0.0, 0), (1, stale, 0)]);
    push_series(&mut rows, &[(b"__name__", b"alone")], &[(1_000, f64::NAN, 0)]);
    let nasty: &[(&[u8], &[u8])] = &[
        (b"__name__", b"up"),
        (b"__type__", b"gauge"),
        (b"__unit__", b"seconds"),
        (b"job", b"quote\" backslash\\ newline\n nul\0"),
        (b"k8s.io/app", "\u{e9}\u{10ffff}".as_bytes()),
        (b"z\xff", b"\xfe\xfd"),
    ];
    push_series(
        &mut rows,
        nasty,
        &[
            (-62_135_596_800_000, f64::INFINITY, -5),
            (15_000, f64::NEG_INFINITY, 0),
            (30_001, f64::from_bits(0x7ff8_dead_beef_0001), 14_999),
            (30_002, f64::from_bits(0xfff0_0000_0000_0001), 14_999),
            (45_000, stale, 0),
            (45_001, f64::MIN_POSITIVE / 3.0, 0),
            (253_402_300_799_999, f64::MAX, 1),
        ],
    );
    rows
}

/// `series` series of `samples` samples each, as scraped every 15 s with some jitter.
fn scraped_rows(series: usize, samples: usize) -> SampleRows {
    let mut rows = SampleRows::default();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for at in 0..series {
        let metric = format!("metric_{:04}", at / 100);
        let instance = format!("10.0.{}.{}:9100", at / 256 % 256, at % 256);
        let samples: Vec<Sample> = (0..samples)
            .map(|i| {
                let time_ms = 1_795_132_800_000 + i as i64 * 15_000 + (next() % 7) as i64;
                let value = if at % 3 == 0 { (i * at) as f64 } else { f64::from_bits(next()) };
                let stale = next() % 997 == 0;
                (time_ms, if stale { f64::from_bits(STALE_NAN_BITS) } else { value }, 0)
            })
            .collect();
        let pairs: &[(&[u8], &[u8])] = &[
            (b"__name__", metric.as_bytes()),
            (b"instance", instance.as_bytes()),
            (b"job", if at % 2 == 0 { b"node" } else { b"other" }),
        ];
        push_series(&mut rows, pairs, &samples);
    }
    rows
}

/// A destination with the files of some slices.
struct Written {
    dest: TempDir,
    parts: Vec<Part>,
    replaced_utf8: u64,
}

impl Written {
    fn paths(&self, table: &str) -> Vec<PathBuf> {
        let parts = self.parts.iter().filter(|part| part.table == table);
        parts.map(|part| self.dest.path().join(&part.path)).collect()
    }

    fn only_path(&self, table: &str) -> PathBuf {
        let mut paths = self.paths(table);
        assert_eq!(paths.len(), 1);
        paths.remove(0)
    }
}

fn write(options: &OutputOptions, slices: &[SampleRows]) -> Written {
    let dest = tempfile::tempdir().unwrap();
    let encoder = Encoder::new(options.clone()).unwrap();
    let mut tables =
        TableWriters::new(&encoder, dest.path(), "dt=2026-11-20", "part-2026-11-20-0000-1a2b3c4d");
    let mut replaced_utf8 = 0;
    for slice in slices {
        let encoded = encoder.encode(slice).unwrap();
        assert_eq!(encoded.rows_of(Table::RAW[0]), slice.len() as u64);
        assert!(encoded.memory_size() > 0);
        replaced_utf8 += encoded.replaced_utf8();
        tables.append(encoded).unwrap();
    }
    let parts = tables.finish().unwrap().into_iter().map(|file| file.publish().unwrap()).collect();
    Written { dest, parts, replaced_utf8 }
}

/// All files below a folder: path relative to it, and bytes.
fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files.extend(
                files_below(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

/// Every combination of options that changes how bytes come about.
fn all_options() -> Vec<OutputOptions> {
    let mut all = Vec::new();
    for (format, compressions) in [
        (Format::Parquet, [Compression::Zstd, Compression::Snappy, Compression::None]),
        (Format::Ndjson, [Compression::Gzip, Compression::Zstd, Compression::None]),
    ] {
        for compression in compressions {
            for layout in [Layout::Star, Layout::Flat] {
                for profile in [Profile::Bigquery, Profile::Compact] {
                    all.push(OutputOptions {
                        layout,
                        profile,
                        compression,
                        label_columns: vec!["job".into(), "k8s.io/app".into()],
                        ..OutputOptions::new(format)
                    });
                }
            }
        }
    }
    all
}
