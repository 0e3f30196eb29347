use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tsdb_reader::checksum::crc32c;
use tsdb_reader::index::{ChunkMeta, Series};
use tsdb_reader::source::{BlockFile, MemorySource};
use tsdb_reader::{Block, ChunkRef};

use super::chunks::ChunkReader;
use super::{Checker, Finding, verify};

/// A fixture's only block, its index as `change` makes it.
fn block(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Block {
    let blocks = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/blocks")).join(name);
    let folder = fs::read_dir(blocks).unwrap().next().unwrap().unwrap().path();
    let read = |file: BlockFile| fs::read(folder.join(file.to_string())).unwrap();
    let mut index = read(BlockFile::Index);
    change(&mut index);
    let source = [BlockFile::Meta, BlockFile::Tombstones, BlockFile::Segment(1)]
        .into_iter()
        .fold(MemorySource::new().with(BlockFile::Index, index), |source, file| {
            source.with(file, read(file))
        });
    Block::open(Arc::new(source)).unwrap()
}

fn findings(block: &Block) -> Vec<Finding> {
    let mut findings = Vec::new();
    verify(block, "here", &mut |finding| findings.push(finding));
    findings
}

#[test]
fn lists_in_the_order_of_the_table_become_one_run_however_many_there_are() {
    let block = block("many_series", |_| {});
    let (index, tell) = (block.index(), &mut |finding: Finding| panic!("{finding:?}"));
    let mut checker = Checker::new(block.source(), "here", tell);
    let table = index.postings_table().unwrap();
    assert!(table.len() > 10);
    let lists_bytes = checker.places_of_lists(index, table);
    assert_eq!(checker.places.runs(), 1);
    assert!((1..index.size_bytes()).contains(&lists_bytes));
}

#[test]
fn a_label_index_that_many_names_share_is_found() {
    let sound = block("index_v2_legacy", |_| {});
    let toc = sound.index().toc();
    let (table, postings) = (toc.label_indices_table, toc.postings);
    let names: Vec<_> = {
        let labels = sound.index().label_index_table().unwrap().unwrap();
        labels.entries().map(|entry| (entry.name.to_vec(), entry.offset)).collect()
    };
    // The longest of them stands for all.
    let len = |offset: u64| sound.index().section_place(offset).map(|place| place.end - place.start).unwrap();
    let longest = names.iter().map(|(_, offset)| *offset).max_by_key(|offset| len(*offset)).unwrap();
    assert!(names.len() as u64 * len(longest) > postings - toc.label_indices);
    let shared = block("index_v2_legacy", |index| {
        let start = usize::try_from(table).unwrap();
        let end = start + 4 + u32::from_be_bytes(index[start..start + 4].try_into().unwrap()) as usize;
        let mut at = start + 8;
        while at < end {
            at += 2 + usize::from(index[at + 1]);
            let old = at;
            while index[at] >= 0x80 {
                at += 1;
            }
            at += 1;
            let mut rest = longest;
            for (place, byte) in index[old..at].iter_mut().enumerate() {
                let more = if old + place + 1 < at { 0x80 } else { 0 };
                *byte = u8::try_from(rest & 0x7f).unwrap() | more;
                rest >>= 7;
            }
            assert_eq!(rest, 0);
        }
        let checksum = crc32c(&index[start + 4..end]).to_be_bytes();
        index[end..end + 4].copy_from_slice(&checksum);
    });
    let found = findings(&shared);
    assert!(found.iter().any(|finding| finding.name == "legacy-label-index-overlap"), "{found:#?}");
}

#[test]
fn references_behind_the_last_segment_are_told_together() {
    let block = block("xor_basic", |_| {});
    let mut found = Vec::new();
    let tell = &mut |finding: Finding| found.push(finding);
    let mut checker = Checker::new(block.source(), "here", tell);
    let mut reader = ChunkReader::open(block.source()).unwrap();
    for position in [3, 1, 7_000_000] {
        let chunk_ref = ChunkRef::new(position, 8);
        let chunks = vec![ChunkMeta { min_time_ms: 0, max_time_ms: 0, chunk_ref }];
        let series = Series { chunks, ..Series::default() };
        reader.check(&mut checker, &series, &mut super::series::Found::default());
    }
    reader.end(&mut checker, false);
    let [finding] = <[Finding; 1]>::try_from(found).unwrap();
    assert_eq!(finding.name, "missing-segment");
    assert!(finding.message.ends_with("names segment 3, the block has 1; so 3 chunks cannot be read"));
}
