use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use super::*;

/// Segments in memory, and the ranges asked of them.
#[derive(Debug, Default)]
struct Segments {
    files: BTreeMap<u32, Bytes>,
    asked: Mutex<Vec<(u32, Vec<Range<u64>>)>>,
}

impl Source for Segments {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn size(&self, file: BlockFile) -> io::Result<u64> {
        match file {
            BlockFile::Segment(number) => Ok(self.files[&number].len() as u64),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        Ok(self.files.keys().copied().collect())
    }

    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let BlockFile::Segment(number) = file else { return Err(io::ErrorKind::NotFound.into()) };
        self.asked.lock().unwrap().push((number, ranges.to_vec()));
        let bytes = &self.files[&number];
        let cut = |at: u64| usize::try_from(at).unwrap().min(bytes.len());
        Ok(ranges.iter().map(|range| bytes.slice(cut(range.start)..cut(range.end))).collect())
    }
}

fn open(files: impl IntoIterator<Item = (u32, Vec<u8>)>) -> (Arc<Segments>, Chunks) {
    let files = files.into_iter().map(|(number, bytes)| (number, Bytes::from(bytes))).collect();
    let source = Arc::new(Segments { files, ..Segments::default() });
    let chunks = Chunks::open(Arc::clone(&source) as Arc<dyn Source>).unwrap();
    (source, chunks)
}

fn read(chunks: &Chunks, refs: &[ChunkRef]) -> Vec<Result<Chunk, String>> {
    let mut read = Vec::new();
    chunks.read(refs, &mut read);
    assert_eq!(read.len(), refs.len());
    read.into_iter().map(|result| result.map_err(|error| chain(&error))).collect()
}

fn chain(error: &Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// The messages of the refs that fail.
fn errors(chunks: &Chunks, refs: &[ChunkRef]) -> Vec<String> {
    read(chunks, refs).into_iter().filter_map(Result::err).collect()
}

/// A segment of chunks of these encodings and data, and their offsets.
fn segment(entries: &[(u8, &[u8])]) -> (Vec<u8>, Vec<u32>) {
    let (mut bytes, mut offsets) = (vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0], Vec::new());
    for (encoding, data) in entries {
        offsets.push(u32::try_from(bytes.len()).unwrap());
        let mut len = data.len();
        while len >= 0x80 {
            bytes.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
            len >>= 7;
        }
        bytes.push(u8::try_from(len).unwrap());
        let covered = [&[*encoding], *data].concat();
        bytes.extend_from_slice(&covered);
        bytes.extend_from_slice(&crc32c::crc32c(&covered).to_be_bytes());
    }
    (bytes, offsets)
}

fn refs(offsets: &[u32]) -> Vec<ChunkRef> {
    offsets.iter().map(|&offset| ChunkRef::new(0, offset)).collect()
}

fn unhex(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn rich_block() -> (Value, Vec<(u32, Vec<u8>)>) {
    let block: Value = serde_json::from_str(include_str!("../../tests/vectors/block_rich.json")).unwrap();
    let segments = (1..=3).map(|number| {
        let file = &block["files"][format!("chunks/{number:06}")];
        let mut bytes = unhex(&file["hex"]);
        bytes.resize(usize::try_from(file["size"].as_u64().unwrap()).unwrap(), 0);
        (number, bytes)
    });
    let segments = segments.collect();
    (block, segments)
}

#[test]
fn scan_and_refs_give_the_same_chunks_of_every_encoding() {
    let (_, files) = rich_block();
    let (_, chunks) = open(files);
    let mut seen = Vec::new();
    for position in 0..3 {
        for item in chunks.scan_segment(position) {
            seen.push(item.unwrap());
        }
    }
    let refs: Vec<_> = seen.iter().map(|(chunk_ref, _)| *chunk_ref).collect();
    assert!(refs.is_sorted() && refs.iter().any(|chunk_ref| chunk_ref.segment_position() == 2));
    for ((chunk_ref, scanned), found) in seen.iter().zip(read(&chunks, &refs)) {
        let found = found.unwrap();
        assert_eq!(found.data(), scanned.data());
        assert_eq!(found.encoding(), scanned.encoding());
        assert_eq!(u64::from(found.segment), chunk_ref.segment_position() + 1);
        assert!(scanned.num_samples().unwrap() > 0);
        let floats = matches!(scanned.encoding(), Encoding::Xor | Encoding::Xor2);
        match scanned.floats() {
            Ok(samples) => {
                let samples: Vec<_> = samples.map(Result::unwrap).collect();
                assert_eq!(samples.len(), usize::try_from(scanned.num_samples().unwrap()).unwrap());
                assert!(floats);
            }
            Err(error) => {
                assert!(matches!(error.kind, DecodeErrorKind::UnsupportedEncoding { .. }) && !floats);
            }
        }
    }
    for encoding in [Encoding::Xor, Encoding::Histogram, Encoding::FloatHistogram, Encoding::Xor2] {
        assert!(seen.iter().any(|(_, chunk)| chunk.encoding() == encoding), "{encoding}");
    }
}

#[test]
fn chunks_of_one_segment_are_asked_for_in_one_list() {
    let (_, files) = rich_block();
    let (source, chunks) = open(files);
    let refs: Vec<_> = chunks.scan_segment(0).map(|item| item.unwrap().0).collect();
    source.asked.lock().unwrap().clear();
    assert!(errors(&chunks, &refs).is_empty());
    assert!(errors(&chunks, &refs[..1]).is_empty());
    let asked = source.asked.lock().unwrap();
    let lists: Vec<_> = asked.iter().map(|(number, ranges)| (*number, ranges.len())).collect();
    // The header is read with the first list, and never again.
    assert_eq!(lists, [(1, refs.len() + 1), (1, 1)]);
    assert_eq!(asked[0].1[0], 0..8);
    assert_eq!(asked[0].1[1], refs[0].offset()..refs[1].offset());
    assert_eq!(asked[1].1[0], 8..8 + CHUNK_READ_AHEAD_BYTES);
}

#[test]
fn chunk_longer_than_guessed_is_read_a_second_time_at_its_length() {
    let long = vec![7; 10_000];
    let (bytes, offsets) = segment(&[(1, &long), (1, &[1, 2, 3]), (2, &long)]);
    let end = bytes.len() as u64;
    let (source, chunks) = open([(1, bytes)]);
    let refs = refs(&offsets);
    let found = read(&chunks, &[refs[0], refs[2]]);
    assert!(found.iter().all(|chunk| chunk.as_ref().unwrap().data() == &long));
    assert_eq!(found[1].as_ref().unwrap().encoding(), Encoding::Histogram);
    let (first, last) = (refs[0].offset(), refs[2].offset());
    let asked = source.asked.lock().unwrap();
    let last_guess = last..last + CHUNK_READ_AHEAD_BYTES;
    assert_eq!(asked[0].1, [0..8, first..last, last_guess], "a near ref is taken for the end");
    assert_eq!(asked[1].1, vec![last..end]);
    assert_eq!(asked.len(), 2);
}

#[test]
fn refs_in_any_order_and_twice_give_their_chunks() {
    let (bytes, offsets) = segment(&[(1, b"a"), (1, b""), (1, b"ccc")]);
    let (_, chunks) = open([(1, bytes)]);
    let all = refs(&offsets);
    let order = [2, 0, 0, 1, 2];
    let found = read(&chunks, &order.map(|place| all[place]));
    let found: Vec<_> = found.iter().map(|chunk| &chunk.as_ref().unwrap().data()[..]).collect();
    assert_eq!(found, [b"ccc".as_slice(), b"a", b"a", b"", b"ccc"]);
}

#[test]
fn malformed_segments_fail_where_the_reference_fails() {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors/malformed.json")).unwrap();
    let mut seen = 0;
    for case in file["cases"].as_array().unwrap() {
        if case["file"] != "chunks/000001" {
            continue;
        }
        let (_, chunks) = open([(1, unhex(&case["hex"]))]);
        let chunk_ref = ChunkRef(case["ref"].as_u64().unwrap());
        let decoded = read(&chunks, &[chunk_ref]).remove(0).and_then(|chunk| {
            let mut columns = FloatColumns::default();
            chunk.append_to(&mut columns).map_err(|error| error.to_string())
        });
        assert_eq!(decoded.is_err(), case["recommended"] == "error", "{} {decoded:?}", case["name"]);
        seen += 1;
    }
    assert!(seen >= 17);
}

#[test]
fn errors_name_file_field_and_offset() {
    let (good, offsets) = segment(&[(1, &[9; 40]), (9, b"new")]);
    let at = ChunkRef::new(0, offsets[0]);
    let message = |change: &dyn Fn(&mut Vec<u8>), chunk_ref| {
        let mut bytes = good.clone();
        change(&mut bytes);
        errors(&open([(1, bytes)]).1, &[chunk_ref]).remove(0)
    };
    assert_eq!(
        message(&|bytes| bytes[0] = 0, at),
        "cannot decode chunks/000001: segment magic is 0x00bd40dd, expected 0x85bd40dd at offset 0x0"
    );
    assert_eq!(
        message(&|bytes| bytes[4] = 2, at),
        "cannot decode chunks/000001: segment version is 2, expected 1 at offset 0x4"
    );
    assert_eq!(
        message(&|bytes| bytes.truncate(20), at),
        "cannot decode chunks/000001: chunk needs 41 bytes, 11 left at offset 0x9"
    );
    assert_eq!(
        message(&|bytes| bytes[9] ^= 4, at).replace(|c: char| c.is_ascii_hexdigit(), ""),
        "nnot o hunks/: hksum o hunk is x in th il, x ovr its yts t ost x"
    );
    assert_eq!(
        message(&|bytes| bytes.splice(8..13, [0xff; 5]).for_each(drop), at),
        "cannot decode chunks/000001: size of chunk length in bytes is 6, expected at most 5 at offset 0x8"
    );
    assert_eq!(
        message(&|bytes| bytes.clear(), at),
        "cannot decode chunks/000001: segment magic needs 4 bytes, 0 left at offset 0x0"
    );
    assert_eq!(
        message(&|_| (), ChunkRef(3)),
        "cannot decode chunks/000001: chunk offset is 3, expected at least 8, behind the segment header \
         at offset 0x3"
    );
    assert_eq!(
        message(&|_| (), ChunkRef::new(7, 8)),
        "chunk reference 0x700000008 names segment 7, the block has 1"
    );
    let (_, chunks) = open([(1, good.clone())]);
    let unknown = read(&chunks, &refs(&offsets[1..])).remove(0).unwrap();
    assert_eq!(unknown.encoding(), Encoding::Unknown(9));
    assert_eq!(
        unknown.floats().unwrap_err().to_string(),
        format!("chunk encoding 9 (unknown) is not supported at offset {:#x}", unknown.offset() - 1)
    );
    assert!(unknown.num_samples().is_err());
}

#[test]
fn from_a_missing_segment_on_every_ref_is_an_error() {
    let (bytes, _) = segment(&[(1, b"a")]);
    let (_, chunks) = open([(1, bytes.clone()), (3, bytes.clone()), (4, bytes)]);
    let found = read(&chunks, &[0, 1, 2, 3].map(|position| ChunkRef::new(position, 8)));
    assert!(found[0].is_ok());
    let gap = |at: usize| found[at].as_ref().unwrap_err().clone();
    assert_eq!(gap(1), "chunk reference 0x100000008 names segment 1, but chunks/000002 is missing");
    assert_eq!(gap(2), "chunk reference 0x200000008 names segment 2, but chunks/000002 is missing");
    assert!(found[3].is_err());
}

#[test]
fn one_broken_chunk_leaves_its_neighbours_readable() {
    let (mut bytes, offsets) = segment(&[(1, b"one"), (1, b"two"), (1, b"three")]);
    bytes[usize::try_from(offsets[1]).unwrap() + 3] ^= 1;
    let (_, chunks) = open([(1, bytes)]);
    let found = read(&chunks, &refs(&offsets));
    assert_eq!(found.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let scanned: Vec<_> = chunks.scan_segment(0).map(|item| item.is_ok()).collect();
    assert_eq!(scanned, [true, false, true]);
}

#[test]
fn scan_ends_at_a_tail_of_zeros_but_not_at_zeros_before_data() {
    let (good, _) = segment(&[(1, b"one"), (1, b"two")]);
    let scan = |bytes: Vec<u8>| -> Vec<bool> {
        open([(1, bytes)]).1.scan_segment(0).map(|item| item.is_ok()).collect()
    };
    for zeros in [0, 1, 5, 6, 3 << 20] {
        let mut bytes = good.clone();
        bytes.resize(good.len() + zeros, 0);
        assert_eq!(scan(bytes.clone()), [true, true], "{zeros} zeros");
        bytes.push(1);
        assert_eq!(scan(bytes).get(2), Some(&false), "{zeros} zeros, then a one");
    }
}

#[test]
fn scan_reads_chunks_across_its_windows() {
    let long = vec![1; 70_000];
    let entries: Vec<_> = (0..40).map(|_| (1, &long[..])).collect();
    let (bytes, offsets) = segment(&entries);
    let (_, chunks) = open([(1, bytes)]);
    let found: Vec<_> = chunks.scan_segment(0).map(|item| item.unwrap().0).collect();
    assert_eq!(found, refs(&offsets));
}

#[test]
fn segment_cut_anywhere_gives_the_chunks_before_the_cut() {
    let (bytes, offsets) = segment(&[(1, b"one"), (4, b"fourfour"), (2, b"")]);
    for cut in 0..bytes.len() {
        let (_, chunks) = open([(1, bytes[..cut].to_vec())]);
        let whole = offsets.iter().skip(1).filter(|&&end| usize::try_from(end).unwrap() <= cut).count();
        let found = read(&chunks, &refs(&offsets));
        assert_eq!(found.iter().take_while(|chunk| chunk.is_ok()).count(), whole, "cut at {cut}");
        let scanned = chunks.scan_segment(0).take_while(Result::is_ok).count();
        assert_eq!(scanned, whole, "cut at {cut}");
    }
}

#[test]
fn aggregate_chunk_counts_the_samples_of_its_count() {
    let file: Value = serde_json::from_str(include_str!("../../tests/vectors/aggr_chunks.json")).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let count = case["aggr"]["count"]["samples"].as_array().map_or(0, Vec::len);
        let hex = if case["hex"].is_null() { &case["aggr"]["hex"] } else { &case["hex"] };
        let chunk = Chunk::new(Encoding::Aggregate, unhex(hex).into(), 1, 10);
        assert_eq!(chunk.num_samples(), Ok(u32::try_from(count).unwrap()), "{}", case["name"]);
        assert!(matches!(chunk.floats().unwrap_err().kind, DecodeErrorKind::UnsupportedEncoding { .. }));
    }
    let st = Chunk::new(Encoding::HistogramSt, Bytes::from_static(&[0xc0, 5, 0]), 1, 10);
    assert_eq!(st.num_samples(), Ok(5));
}
