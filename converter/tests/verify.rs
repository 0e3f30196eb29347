//! Verify finds what is wrong, and nothing else.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{fixture_names, fixtures, scratch};
use tsdb_converter::discover::every_block;
use tsdb_converter::finding::{Finding, Severity};
use tsdb_converter::verify::verify;
use tsdb_reader::Block;
use tsdb_reader::checksum::crc32c;
use tsdb_reader::index::PostingsOffset;
use tsdb_reader::source::LocalSource;

fn broken(folder: &Path) -> Vec<Finding> {
    let discovery = every_block(&[folder.to_owned()]).unwrap();
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
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].name, "postings-mismatch");
    assert!(found[0].message.contains("http_requests_total"), "{}", found[0].message);
    assert!(found[0].message.contains("others than those"), "{}", found[0].message);
}

#[test]
fn a_list_of_all_series_that_leaves_one_out_is_found() {
    let folder = scratch();
    let block = copy("xor_basic", folder.path());
    let (all, one) = {
        let opened = open(&block);
        let table = opened.index().postings_table().unwrap();
        let one =
            table.entries().find(|entry| opened.index().postings_len(entry.offset).unwrap() == 1).unwrap();
        (table.find(b"", b"").unwrap(), one.offset)
    };
    // The list of one series, for that of all: its references ascend, but lead elsewhere.
    patch_list(&block, all, |refs| {
        let last = refs.len() - 4;
        refs[last + 3] += 1;
    });
    let found = broken(folder.path());
    assert!(found.iter().any(|finding| finding.message.contains("all series")), "{found:#?} {one:?}");
}
