//! A whole block, handed out in pieces and at once: the same is read of it, errors included.
//!
//! The input is 8 bytes that say how the pieces are cut, then `meta.json`, `index`, `tombstones` and two segments, each
//! behind its length of 4 bytes; what is missing at the end is not there.
#![no_main]

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use tsdb_reader::samples::{FloatColumns, HistogramColumns};
use tsdb_reader::source::{BlockFile, MemorySource, Source};
use tsdb_reader::{Block, BlockMeta, Chunk, Chunks, Error, Series, SeriesRef, parse_selector};

/// What a block is read under whose own `meta.json` does not parse.
const META: &str = r#"{"ulid":"01HF0000000000000000000001","minTime":0,"maxTime":7200000,"version":1}"#;

/// Series and chunks compared of one block.
const MOST: usize = 200;

/// Answers with bytes of their own, put together from pieces of any size.
#[derive(Debug)]
struct Pieces {
    whole: MemorySource,
    cuts: u64,
}

impl Source for Pieces {
    fn location(&self) -> String {
        self.whole.location()
    }

    fn size(&self, file: BlockFile) -> io::Result<u64> {
        self.whole.size(file)
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        self.whole.segments()
    }

    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let size = self.whole.size(file)?;
        let mut answers = Vec::new();
        for range in ranges {
            let (mut at, end) = (range.start.min(size), range.end.min(size));
            let (mut answer, mut cuts) = (BytesMut::new(), self.cuts ^ range.start);
            while at < end {
                cuts = cuts.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let until = end.min(at + 1 + (cuts >> 33) % (1 + self.cuts % 5000));
                for piece in self.whole.read(file, &[at..until])? {
                    answer.extend_from_slice(&piece);
                }
                at = until;
            }
            answers.push(answer.freeze());
        }
        Ok(answers)
    }
}

fn text(value: &dyn Debug) -> String {
    format!("{value:?}")
}

fn read_chunk(chunk: &Chunk) -> String {
    let (mut floats, mut histograms) = (FloatColumns::default(), HistogramColumns::default());
    let decoded = match chunk.encoding().holds_histograms() {
        true => chunk.append_histograms_to(&mut histograms),
        false => chunk.append_to(&mut floats),
    };
    let values: Vec<u64> = floats.values.iter().map(|value| value.to_bits()).collect();
    text(&(chunk, chunk.num_samples(), decoded, floats.times_ms, floats.start_times_ms, values))
        + &text(&(histograms.times_ms, histograms.counts, histograms.buckets))
}

/// All that can be read of a block, as text.
fn read(source: &Arc<dyn Source>) -> Result<Vec<String>, Error> {
    let block = Block::open(Arc::clone(source))?;
    let index = block.index();
    let mut found = vec![text(block.meta()), text(index.toc()), text(&index.layout())];
    found.push(text(&block.tombstones()));
    found.push(text(&index.symbols().map(|symbols| symbols.iter().map(|at| text(&at)).collect::<Vec<_>>())));
    for selector in ["{__name__=~\".+\"}", "{job!=\"\"}", "up"] {
        let matchers = parse_selector(selector).expect("a selector");
        found.push(text(&index.select(&matchers)));
    }
    let offsets: Vec<_> = match index.postings_table() {
        Ok(table) => table.entries().map(|entry| entry.offset).take(MOST).collect(),
        Err(error) => return Ok([found, vec![text(&error)]].concat()),
    };
    let lists: Vec<_> = offsets.iter().map(|offset| index.read_postings(*offset)).collect();
    let many = index.read_postings_many(&offsets);
    match lists.iter().find_map(|list| list.as_ref().err()) {
        // Which one is told of is another matter: lengths are read first of many.
        Some(_) => assert!(many.is_err()),
        None => {
            let listed = |list: &tsdb_reader::index::Postings| list.clone().collect::<Vec<SeriesRef>>();
            let lists: Vec<_> = lists.iter().flatten().map(listed).collect();
            assert_eq!(lists, many.expect("each can be read").iter().map(listed).collect::<Vec<_>>());
        }
    }
    found.push(text(&lists));
    let chunks = Chunks::open(Arc::clone(source))?;
    let mut refs = Vec::new();
    for series in index.scan_series().into_iter().flatten().take(MOST) {
        found.push(text(&series));
        if let Ok(series) = series {
            let mut again = Series::new();
            index.series(series.series_ref, &mut again).expect("what was scanned can be read");
            assert_eq!(again, series);
            refs.extend(series.chunks.iter().map(|chunk| chunk.chunk_ref).take(MOST));
        }
    }
    refs.truncate(MOST);
    let (mut at_once, mut one_by_one) = (Vec::new(), Vec::new());
    chunks.read(&refs, &mut at_once);
    refs.iter().for_each(|chunk_ref| chunks.read(&[*chunk_ref], &mut one_by_one));
    let as_text = |read: &Result<Chunk, Error>| read.as_ref().map_or_else(|error| text(error), read_chunk);
    let at_once: Vec<String> = at_once.iter().map(as_text).collect();
    assert_eq!(at_once, one_by_one.iter().map(as_text).collect::<Vec<_>>());
    found.extend(at_once);
    for position in 0..2 {
        found.extend(chunks.scan_segment(position).take(MOST).map(|item| text(&item)));
    }
    Ok(found)
}

fuzz_target!(|input: &[u8]| {
    let Some((cuts, mut rest)) = input.split_first_chunk::<8>() else { return };
    let mut whole = MemorySource::new();
    let files = [
        BlockFile::Meta,
        BlockFile::Index,
        BlockFile::Tombstones,
        BlockFile::Segment(1),
        BlockFile::Segment(2),
    ];
    for file in files {
        let Some((len, after)) = rest.split_first_chunk::<4>() else { break };
        let (bytes, after) = after.split_at(after.len().min(u32::from_be_bytes(*len) as usize));
        whole = whole.with(file, Bytes::copy_from_slice(bytes));
        rest = after;
    }
    if whole.files.get(&BlockFile::Meta).is_none_or(|meta| BlockMeta::parse(meta).is_err()) {
        whole = whole.with(BlockFile::Meta, META);
    }
    let pieces: Arc<dyn Source> = Arc::new(Pieces { whole: whole.clone(), cuts: u64::from_be_bytes(*cuts) });
    let whole: Arc<dyn Source> = Arc::new(whole);
    assert_eq!(text(&read(&pieces)), text(&read(&whole)));
});
