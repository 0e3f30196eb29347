//! Verify finds what is wrong, and nothing else.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{fixture_names, fixtures, scratch};
use tsdb_converter::discover::{ReadOptions, every_block};
use tsdb_converter::finding::{Finding, Severity};
use tsdb_converter::verify::names::is_name;
use tsdb_converter::verify::verify;
use tsdb_reader::Block;
use tsdb_reader::checksum::crc32c;
use tsdb_reader::index::PostingsOffset;
use tsdb_reader::source::LocalSource;

fn broken(folder: &Path) -> Vec<Finding> {
    let discovery = every_block(&[folder.to_owned()], &ReadOptions::default()).unwrap();
    let mut findings = discovery.findings;
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
        let blocks = every_block(std::slice::from_ref(&folder), &ReadOptions::default())
            .map_or_else(|_| Vec::new(), |at| at.blocks);
        for found in blocks {
            verify(&found.block, &found.location, &mut |finding| {
                assert!(is_name(&finding.name), "{finding:?}");
            });
        }
    }
}
