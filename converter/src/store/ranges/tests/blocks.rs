//! Blocks in a bucket become the same files as blocks at hand, and of the bucket no more is fetched than it takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use tsdb_reader::Labels;
use tsdb_reader::index::Index;
use tsdb_reader::samples::FloatSample;
use tsdb_reader::source::LocalSource;

use super::*;
use crate::build::BlockBuilder;
use crate::convert::{RunOptions, UnitsWork, dest_plan, plan_found, run_units};
use crate::dest::{Dest, Opened};
use crate::discover::{Choice, ReadOptions, discover_tree};
use crate::metadata::{KnownMetadata, Metadata};
use crate::options::ConvertOptions;
use crate::pipeline::Progress;
use crate::plan::Ledger;
use crate::sink::Encoder;
use crate::store::Stores;
use crate::tree::{Entry, Tree};

/// A tree that is one block.
#[derive(Debug)]
struct OneBlock(Arc<dyn Source>);

impl Tree for OneBlock {
    fn location(&self, _: &Path) -> String {
        "block".to_owned()
    }

    fn entries(&self, _: &Path) -> io::Result<Vec<Entry>> {
        Ok(Vec::new())
    }

    fn has(&self, path: &Path) -> bool {
        path == Path::new("meta.json")
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Bytes> {
        match path.to_str() {
            Some("meta.json") => {
                Ok(self.0.read(BlockFile::Meta, std::slice::from_ref(&(0..limit)))?.remove(0))
            }
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn block(&self, _: &Path) -> io::Result<Arc<dyn Source>> {
        Ok(Arc::clone(&self.0))
    }

    fn incomplete(&self, _: &Path) -> Option<String> {
        None
    }
}

/// What a conversion leaves: files, and findings of units by name.
type Left = (BTreeMap<PathBuf, Vec<u8>>, Vec<String>);

fn convert(source: Arc<dyn Source>, options: &ConvertOptions, threads: usize) -> Left {
    let root = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "." }).unwrap();
    let found = discover_tree(Arc::new(OneBlock(source)), &ReadOptions::default()).unwrap();
    let metadata = KnownMetadata { kept: Metadata::default(), given: Vec::new() };
    let planned = plan_found(found, options, None, Ledger::default(), metadata).unwrap();
    let Opened { dest, .. } = Dest::open(&root.path().into(), options).unwrap();
    dest.write_plan(&dest_plan(&planned, options)).unwrap();
    let resolutions = options.downsampling.resolutions();
    let encoder = Encoder::with_resolutions(options.output.clone(), resolutions).unwrap();
    let run = RunOptions {
        threads,
        memory_limit: 512 << 20,
        temp_dir: std::env::temp_dir(),
        strict: false,
        include_head: false,
        stores: Stores::default(),
        choice: Choice::default(),
    };
    let slices_in_flight = 2 * threads + 1;
    let work =
        UnitsWork { dest: &dest, planned: &planned, options, run: &run, encoder: &encoder, slices_in_flight };
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let done = run_units(&work, &planned.units, &BTreeMap::new(), &progress, &stop).unwrap();
    let (mut files, mut findings) = (BTreeMap::new(), Vec::new());
    findings.extend(planned.findings.list.iter().map(|finding| finding.name.to_string()));
    for record in done.records {
        findings.extend(record.findings.list.iter().map(|finding| finding.name.to_string()));
        for file in record.files {
            files.insert(PathBuf::from(&file.path), std::fs::read(root.path().join(&file.path)).unwrap());
        }
    }
    (files, findings)
}

/// A block of so many metrics with so many series each, whose values do not compress.
fn synthetic(metrics: u64, series: u64, samples: i64) -> MemorySource {
    let mut builder = BlockBuilder::new(std::env::temp_dir(), 1 << 30);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for metric in 0..metrics {
        for number in 0..series {
            let (metric, instance) = (format!("metric_{metric:03}"), format!("10.0.0.{number:04}:9100"));
            let pairs = [("__name__", metric.as_str()), ("instance", &instance), ("job", "node")];
            let labels: Labels =
                pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            let id = builder.add_series(labels);
            for sample in 0..samples {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let timestamp_ms = 1_795_132_800_000 + sample * 15_000;
                let value = (random % 1_000_000) as f64 / 7.0;
                builder.push_float(id, FloatSample { timestamp_ms, value, start_timestamp_ms: 0 }).unwrap();
            }
        }
    }
    builder
        .finish(|_| "01HF0000000000000000000009".parse().unwrap())
        .unwrap()
        .unwrap()
        .source
        .as_ref()
        .clone()
}

struct Far {
    _runtime: Runtime,
    store: Arc<TestStore>,
    ranges: Ranges,
    source: Arc<dyn Source>,
}

fn far(files: &MemorySource, options: RangeOptions) -> Far {
    let runtime = runtime();
    let ranges = Ranges::new(runtime.handle().clone(), options);
    let store = TestStore::new(Duration::ZERO);
    let source = Arc::new(runtime.block_on(store.block(&ranges, "b", files)));
    Far { _runtime: runtime, store, ranges, source }
}

/// The files of a fixture, in memory.
fn fixture(name: &str) -> MemorySource {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/blocks").join(name);
    let folder = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).find(|at| at.is_dir());
    let local = LocalSource::with_positioned_reads(&folder.unwrap_or(root)).unwrap();
    let segments = local.segments().unwrap().into_iter().map(BlockFile::Segment);
    let mut files = MemorySource::new();
    for file in [BlockFile::Meta, INDEX, BlockFile::Tombstones].into_iter().chain(segments) {
        if let Ok(size) = local.size(file) {
            let bytes = local.read(file, std::slice::from_ref(&(0..size))).unwrap().remove(0);
            files.files.insert(file, bytes);
        }
    }
    files
}

#[test]
fn blocks_in_a_bucket_become_the_same_files_whatever_the_budget_and_the_threads() {
    let changed = ConvertOptions {
        labels: crate::relabel::LabelOptions {
            add: [("cluster".to_owned(), "a".to_owned())].into(),
            ..crate::relabel::LabelOptions::default()
        },
        ..ConvertOptions::default()
    };
    let names = ["histograms", "index_v1", "labels_before_name", "many_segments", "no_metric_name"];
    for files in names.map(fixture).into_iter().chain([synthetic(7, 40, 300)]) {
        for options in [ConvertOptions::default(), changed.clone()] {
            let near = convert(Arc::new(files.clone()), &options, 2);
            assert!(!near.0.is_empty());
            for (budget, threads) in [(0, 1), (20_000, 3), (1 << 20, 8), (64 << 20, 1)] {
                let far = far(&files, RangeOptions::within(budget));
                assert_eq!(
                    convert(far.source, &options, threads),
                    near,
                    "budget {budget}, {threads} threads"
                );
            }
        }
    }
}

/// Bytes and requests that `asked` has beside the symbols and the table of postings.
fn beyond_header(asked: &[(String, Range<u64>)], index: &Index) -> (u64, usize) {
    let toc = index.toc();
    let header = [toc.symbols..toc.series, toc.postings_table..index.size_bytes()];
    let (mut bytes, mut requests) = (0, 0);
    for (path, range) in asked {
        let overlap = |part: &Range<u64>| range.end.min(part.end).saturating_sub(range.start.max(part.start));
        let of_header = if path.ends_with("index") { header.iter().map(overlap).sum() } else { 0 };
        let beyond = range.end - range.start - of_header;
        bytes += beyond;
        requests += usize::from(beyond > 0);
    }
    (bytes, requests)
}

#[test]
fn one_metric_takes_a_twentieth_of_a_block_and_the_whole_block_little_more_than_its_size() {
    let files = synthetic(100, 200, 120);
    let index = Index::open(Arc::new(files.clone())).unwrap();
    let size: u64 = files.files.values().map(|bytes| bytes.len() as u64).sum();
    let all = [("index".to_owned(), 0..index.size_bytes())];
    let header = index.size_bytes() - beyond_header(&all, &index).0;
    for (selectors, threads) in [(vec![], 1), (vec![], 4), (vec!["metric_050".to_owned()], 2)] {
        let is_whole = selectors.is_empty();
        let options = ConvertOptions { selectors, ..ConvertOptions::default() };
        let Far { store, ranges, source, _runtime } = far(&files, RangeOptions::within(16 << 20));
        let (_, findings) = convert(source, &options, threads);
        assert_eq!(findings, Vec::<String>::new());
        let counts = ranges.counts();
        let (bytes, requests) = beyond_header(&store.take_asked(), &index);
        println!(
            "{}: {} requests, {} of {size} bytes; beyond the index header {requests} and {bytes} of {}",
            if is_whole { "whole block" } else { "one metric of a hundred" },
            counts.requests,
            counts.bytes,
            size - header,
        );
        if is_whole {
            assert!(counts.bytes * 10 <= size * 12);
        } else {
            assert!(bytes * 20 <= size - header && requests <= 50);
        }
    }
}

#[test]
fn a_series_in_the_list_of_another_metric_is_named_when_it_is_read() {
    let mut files = synthetic(2, 3, 10);
    let source: Arc<dyn Source> = Arc::new(files.clone());
    let index = Index::open(Arc::clone(&source)).unwrap();
    let table = index.postings_table().unwrap();
    let lists: Vec<_> = ["metric_000", "metric_001"]
        .iter()
        .map(|name| table.find(b"__name__", name.as_bytes()).unwrap())
        .collect();
    let mut bytes = files.files[&INDEX].to_vec();
    // The last series of the first metric and the first one of the second change their places, 4 bytes each.
    let place = |list: usize, number: u64| usize::try_from(lists[list].0 + 8 + 4 * number).unwrap();
    for at in 0..4 {
        bytes.swap(place(0, 2) + at, place(1, 0) + at);
    }
    for list in 0..2 {
        let (start, end) = (place(list, 0) - 4, place(list, 3));
        let checksum = tsdb_reader::checksum::crc32c(&bytes[start..end]);
        bytes[end..end + 4].copy_from_slice(&checksum.to_be_bytes());
    }
    files.files.insert(INDEX, bytes.into());
    let near = convert(Arc::new(files.clone()), &ConvertOptions::default(), 1);
    assert_eq!(near.1, ["postings-wrong"]);
    let far = far(&files, RangeOptions::within(1 << 20));
    let (_, findings) = convert(far.source, &ConvertOptions::default(), 1);
    assert!(!findings.is_empty() && findings.iter().all(|name| name == "postings-wrong"), "{findings:?}");
}
