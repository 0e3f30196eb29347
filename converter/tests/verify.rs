//! Verify finds what is wrong, and nothing else.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{fixture_names, fixtures, scratch};
use tsdb_converter::discover::{ReadOptions, every_block};
use tsdb_converter::finding::{Finding, Severity};
use tsdb_converter::verify::names::is_name;
use tsdb_converter::verify::{verify, verify_damaged};
use tsdb_reader::checksum::crc32c;
use tsdb_reader::index::PostingsOffset;
use tsdb_reader::source::{BlockFile, LocalSource, MemorySource, Source};
use tsdb_reader::{Block, BlockMeta};

fn broken(folder: &Path) -> Vec<Finding> {
    let discovery = every_block(&[folder.to_owned()], &ReadOptions::default()).unwrap();
    let mut findings = discovery.findings;
    for damaged in discovery.damaged {
        verify_damaged(&damaged.source, &damaged.location, &mut |finding| findings.push(finding));
    }
    for found in discovery.blocks {
        verify(&found.block, &found.location, &mut |finding| findings.push(finding));
    }
    findings.retain(|finding| finding.severity == Severity::Broken);
    findings
}

/// A copy of the block of a fixture that has one, and its index.
fn copy(name: &str, to: &Path) -> PathBuf {
    let from = fs::read_dir(fixtures().join("blocks").join(name)).unwrap().next().unwrap().unwrap().path();
    let block = to.join(from.file_name().unwrap());
    fs::create_dir_all(block.join("chunks")).unwrap();
    for file in ["meta.json", "index", "tombstones", "chunks/000001"] {
        fs::copy(from.join(file), block.join(file)).unwrap();
    }
    block
}

fn open(folder: &Path) -> Block {
    Block::open(Arc::new(LocalSource::open(folder).unwrap())).unwrap()
}

/// Overwrites the references of a postings list, and makes its checksum right.
fn patch_list(folder: &Path, offset: PostingsOffset, change: impl Fn(&mut [u8])) {
    let path = folder.join("index");
    let mut index = fs::read(&path).unwrap();
    let start = usize::try_from(offset.0).unwrap();
    let len = u32::from_be_bytes(index[start..start + 4].try_into().unwrap()) as usize;
    let body = &mut index[start + 4..start + 4 + len];
    change(&mut body[4..]);
    let checksum = crc32c(body).to_be_bytes();
    index[start + 4 + len..start + 8 + len].copy_from_slice(&checksum);
    fs::write(&path, index).unwrap();
}

#[test]
fn sound_blocks_have_nothing_broken() {
    for name in fixture_names() {
        assert_eq!(broken(&fixtures().join("blocks").join(&name)), [], "{name}");
    }
}

#[test]
fn a_list_that_names_another_series_is_found() {
    let folder = scratch();
    let block = copy("xor_basic", folder.path());
    let (offset, other) = {
        let opened = open(&block);
        let offset =
            opened.index().postings_table().unwrap().find(b"__name__", b"http_requests_total").unwrap();
        let listed: Vec<_> = opened.index().read_postings(offset).unwrap().collect();
        let other = opened.index().all_postings().unwrap().filter(|at| !listed.contains(at)).last().unwrap();
        (offset, u32::try_from(other.0).unwrap())
    };
    patch_list(&block, offset, |refs| {
        let last = refs.len() - 4;
        refs[last..].copy_from_slice(&other.to_be_bytes());
    });
    let found = broken(folder.path());
    let names: Vec<_> = found.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(names, ["postings-missing-series", "postings-wrong-series"], "{found:#?}");
    for finding in found {
        assert!(finding.message.contains("http_requests_total"), "{}", finding.message);
    }
}

#[test]
fn a_list_of_all_series_that_names_none_is_found() {
    let folder = scratch();
    let block = copy("xor_basic", folder.path());
    let all = open(&block).index().postings_table().unwrap().find(b"", b"").unwrap();
    patch_list(&block, all, |refs| {
        let last = refs.len() - 4;
        refs[last + 3] += 1;
    });
    let found = broken(folder.path());
    let names: Vec<_> = found.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(names, ["postings-missing-series", "postings-unknown-series"], "{found:#?}");
    assert!(found.iter().all(|finding| finding.message.contains("for all series")), "{found:#?}");
}

#[test]
fn of_many_findings_of_one_name_the_first_are_told_and_the_others_counted() {
    let folder = scratch();
    let block = copy("many_series", folder.path());
    let all = open(&block).index().postings_table().unwrap().find(b"", b"").unwrap();
    patch_list(&block, all, |refs| {
        for (number, list) in (0u32..).zip(refs.chunks_exact_mut(4)) {
            list.copy_from_slice(&(1_000_000 + number).to_be_bytes());
        }
    });
    let opened = open(&block);
    let mut told = Vec::new();
    let verified = verify(&opened, "here", &mut |finding| told.push(finding));
    let unknown: Vec<_> = told.iter().filter(|finding| finding.name == "postings-unknown-series").collect();
    assert_eq!((unknown.len(), verified.findings, verified.broken), (101, 802, 802));
    assert_eq!(unknown.last().unwrap().message, "and 301 more like the 100 told before");
}

#[test]
fn every_finding_of_a_block_has_a_documented_name() {
    for folder in fs::read_dir(fixtures().join("broken")).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(discovery) = every_block(std::slice::from_ref(&folder), &ReadOptions::default()) else {
            continue;
        };
        let check = &mut |finding: Finding| assert!(is_name(&finding.name), "{finding:?}");
        for found in discovery.blocks {
            verify(&found.block, &found.location, check);
        }
        for damaged in discovery.damaged {
            verify_damaged(&damaged.source, &damaged.location, check);
        }
    }
}

/// The files of a fixture's only block, and its ULID.
fn files_of(name: &str) -> (String, BTreeMap<BlockFile, Vec<u8>>) {
    let block = fs::read_dir(fixtures().join("blocks").join(name)).unwrap().next().unwrap().unwrap().path();
    let mut files = BTreeMap::new();
    for file in [BlockFile::Meta, BlockFile::Index, BlockFile::Tombstones, BlockFile::Segment(1)] {
        files.insert(file, fs::read(block.join(file.to_string())).unwrap());
    }
    assert!(!block.join("chunks/000002").exists(), "{name} has more than this test looks at");
    (block.file_name().unwrap().to_str().unwrap().to_owned(), files)
}

/// All that verify says of these files, whether they can be opened or not.
fn findings_of(location: &str, files: &BTreeMap<BlockFile, Vec<u8>>) -> Vec<Finding> {
    let source =
        files.iter().fold(MemorySource::new(), |source, (&file, bytes)| source.with(file, bytes.clone()));
    let source: Arc<dyn Source> = Arc::new(source);
    let mut findings = Vec::new();
    let tell = &mut |finding: Finding| findings.push(finding);
    match Block::open(Arc::clone(&source)) {
        Ok(block) => verify(&block, location, tell),
        Err(_) => verify_damaged(&source, location, tell),
    };
    findings
}

/// What `file` may become by a flipped bit of each of these, without verify noticing: offset and bytes.
fn unnoticed(name: &str, file: BlockFile, bits: impl Fn(usize) -> Range<u32>) -> Vec<(usize, Vec<u8>)> {
    let (location, mut files) = files_of(name);
    let sound = findings_of(&location, &files);
    let bytes = files[&file].clone();
    let mut unnoticed = Vec::new();
    for at in 0..bytes.len() {
        for bit in bits(at) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            files.insert(file, flipped.clone());
            if findings_of(&location, &files) == sound {
                unnoticed.push((at, flipped));
            }
        }
    }
    unnoticed
}

/// One of the layout of today, the others with label indices, by number and by offset, and one interval deleted.
const FLIPPED: [&str; 3] = ["special_values", "index_v2_legacy", "index_v1"];

#[test]
fn every_flipped_bit_of_an_index_is_noticed_but_those_between_its_versions_2_and_3() {
    for name in FLIPPED {
        for (at, index) in unnoticed(name, BlockFile::Index, |_| 0..8) {
            assert_eq!(
                (at, index[at]),
                (4, 3),
                "{name}: both are read alike, and 3 is what nobody writes yet"
            );
        }
    }
}

#[test]
fn every_flipped_byte_of_segments_and_tombstones_is_noticed() {
    for name in FLIPPED {
        for file in [BlockFile::Segment(1), BlockFile::Tombstones] {
            let one = |at: usize| at as u32 % 8..at as u32 % 8 + 1;
            assert_eq!(unnoticed(name, file, one), [], "{name} {file}");
        }
    }
}

/// Whitespace, letters of another case in a ULID, and what no other file knows: a wider range of times, counts under
/// another name, how the block came to be.
#[test]
fn every_flipped_bit_of_meta_is_noticed_but_where_nothing_contradicts_it() {
    for name in FLIPPED {
        let sound = BlockMeta::parse(&files_of(name).1[&BlockFile::Meta]).unwrap();
        for (at, meta) in unnoticed(name, BlockFile::Meta, |_| 0..8) {
            let context = format!("{name} at {at}: {}", String::from_utf8_lossy(&meta));
            let meta = BlockMeta::parse(&meta).unwrap();
            assert_eq!(meta.ulid, sound.ulid, "{context}");
            assert!(meta.min_time_ms <= sound.min_time_ms, "{context}");
            assert!(meta.max_time_ms >= sound.max_time_ms, "{context}");
            assert_eq!(meta.resolution_ms(), sound.resolution_ms(), "{context}");
            let counts = |meta: &BlockMeta| {
                let stats = &meta.stats;
                let samples = [stats.num_samples, stats.num_float_samples, stats.num_histogram_samples];
                [samples, [stats.num_series, stats.num_chunks, stats.num_tombstones]].concat()
            };
            for (count, sound) in counts(&meta).into_iter().zip(counts(&sound)) {
                assert!([0, sound].contains(&count), "{context}");
            }
        }
    }
}

#[test]
fn every_file_that_is_cut_short_is_noticed() {
    for name in FLIPPED {
        let (location, sound) = files_of(name);
        let expected = findings_of(&location, &sound);
        for (&file, bytes) in &sound {
            for len in 0..bytes.len() {
                let mut cut = sound.clone();
                cut.insert(file, bytes[..len].to_vec());
                assert_ne!(findings_of(&location, &cut), expected, "{name} {file} cut to {len}");
            }
        }
    }
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn damage_in_several_places_and_sections_anywhere_are_told_without_a_panic() {
    let mut numbers = Numbers(1);
    for name in FLIPPED {
        let (location, sound) = files_of(name);
        let expected = findings_of(&location, &sound);
        for _ in 0..1500 {
            let mut files = sound.clone();
            for bytes in files.values_mut() {
                for _ in 0..numbers.below(4) {
                    let at = numbers.below(bytes.len());
                    bytes[at] = numbers.below(256) as u8;
                }
            }
            findings_of(&location, &files);

            // A table of contents that says something else, its checksum right.
            let mut index = sound[&BlockFile::Index].clone();
            let toc = index.len() - 52;
            for section in 0..6 {
                if numbers.below(2) == 0 {
                    let offset = numbers.below(toc + 9) as u64;
                    index[toc + 8 * section..][..8].copy_from_slice(&offset.to_be_bytes());
                }
            }
            let checksum = crc32c(&index[toc..toc + 48]).to_be_bytes();
            index[toc + 48..].copy_from_slice(&checksum);
            let is_changed = index != sound[&BlockFile::Index];
            let files = BTreeMap::from_iter(sound.clone().into_iter().chain([(BlockFile::Index, index)]));
            assert_eq!(findings_of(&location, &files) != expected, is_changed, "{name}");
        }
    }
}
