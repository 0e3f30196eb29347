//! Head chunk files, sound and damaged.

use bytes::Bytes;

use super::number;
use crate::error::DecodeError;
use crate::head::files::{breaks, numbered};
use crate::head::{HeadChunk, HeadChunkRef, HeadChunks, HeadSeriesRef};
use crate::testing::{file, unhex, vector};

/// The chunks before the first error, and that error.
fn read(bytes: Vec<u8>) -> (Vec<HeadChunk>, Option<DecodeError>) {
    let mut found = Vec::new();
    match HeadChunks::open(Bytes::from(bytes), 1, true) {
        Err(error) => return (found, Some(error)),
        Ok(chunks) => {
            for chunk in chunks {
                match chunk {
                    Ok(chunk) => found.push(chunk),
                    Err(error) => return (found, Some(error)),
                }
            }
        }
    }
    (found, None)
}

#[test]
fn chunks_of_a_head_are_those_written() {
    let vector = vector("head_chunks.json");
    let files = vector["files"].as_object().unwrap().iter();
    let chunks = files.flat_map(|(name, entry)| {
        HeadChunks::open(Bytes::from(file(entry)), name.parse().unwrap(), false).unwrap()
    });
    let chunks: Vec<_> = chunks.collect::<Result<_, _>>().unwrap();
    let expected = vector["chunks"].as_array().unwrap();
    assert_eq!(chunks.len(), expected.len());
    for (found, expected) in chunks.iter().zip(expected) {
        let whole = |field: &str| expected[field].as_u64().unwrap();
        assert_eq!(found.chunk_ref, HeadChunkRef(whole("mmap_ref")));
        assert_eq!((found.chunk_ref.file(), found.chunk_ref.offset()), (whole("file"), whole("offset")));
        assert_eq!(found.series_ref, HeadSeriesRef(whole("series_ref")));
        assert_eq!(found.min_time_ms, number(&expected["mint"]));
        assert_eq!(found.max_time_ms, number(&expected["maxt"]));
        assert_eq!(found.out_of_order, expected["ooo"].as_bool().unwrap());
        assert_eq!(u64::from(found.chunk.encoding().as_byte()), whole("encoding"));
        assert_eq!(u64::from(found.chunk.num_samples().unwrap()), whole("num_samples"));
        assert_eq!(found.chunk.data()[..], unhex(expected["chunk_hex"].as_str().unwrap()));
    }
}

#[test]
fn damaged_head_chunks_are_refused_as_the_reference_does() {
    let vector = vector("malformed.json");
    let cases = vector["cases"].as_array().unwrap();
    let mut seen = 0;
    for case in cases.iter().filter(|case| case["file"] == "chunks_head/000001") {
        let name = case["name"].as_str().unwrap();
        let names: Vec<_> = case["file_names"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        let listed = numbered("chunks_head", &names);
        let gaps = breaks(&listed).count();
        let (found, error) = read(file(&case["content"]));
        let accept = case["recommended"] == "accept";
        assert_eq!(error.is_none() && gaps == 0, accept, "{name}: {error:?}");
        if gaps == 0 {
            assert_eq!(found.len() as u64, case["chunks_before"].as_u64().unwrap(), "{name}");
        }
        let torn = name.starts_with("truncated");
        assert_eq!(error.is_some_and(|error| error.is_torn()), torn, "{name}");
        seen += 1;
    }
    assert!(seen > 8);
}

#[test]
fn file_without_a_header_is_normal_as_the_newest_one_only() {
    for blank in [&b""[..], b"\x01\x30", b"\0\0\0\0", &[0; 4096]] {
        let open = |is_newest| HeadChunks::open(Bytes::copy_from_slice(blank), 3, is_newest);
        assert_eq!(open(true).unwrap().count(), 0);
        assert!(open(false).is_err());
    }
    assert!(HeadChunks::open(Bytes::new(), 1 << 32, true).is_err());
}

#[test]
fn scan_goes_on_behind_a_wrong_checksum() {
    let vector = vector("head_chunks.json");
    let mut bytes = file(&vector["files"]["000001"]);
    let whole = HeadChunks::open(Bytes::from(bytes.clone()), 1, false).unwrap().count();
    bytes[8 + 24 + 2] ^= 1;
    let chunks = HeadChunks::open(Bytes::from(bytes), 1, false).unwrap();
    let results: Vec<_> = chunks.map(|chunk| chunk.is_ok()).collect();
    assert_eq!(results.len(), whole);
    assert_eq!(results.iter().position(|ok| !ok), Some(0));
    assert!(results[1..].iter().all(|&ok| ok));
}

#[test]
fn bytes_behind_the_zeros_are_an_error() {
    let vector = vector("head_chunks.json");
    let mut bytes = file(&vector["files"]["000001"]);
    let last = bytes.len() - 1;
    bytes[last] = 1;
    let (found, error) = read(bytes);
    assert!(!found.is_empty());
    assert!(error.unwrap().to_string().contains("zeros to the end of the file"));
}

#[test]
fn scan_of_any_bytes_ends() {
    let vector = vector("head_chunks.json");
    let sound = unhex(vector["files"]["000001"]["hex"].as_str().unwrap());
    let (truth, _) = read(sound.clone());
    for cut in 0..sound.len() {
        let (found, error) = read(sound[..cut].to_vec());
        assert!(found.len() <= truth.len());
        for (found, truth) in found.iter().zip(&truth) {
            assert_eq!((found.chunk_ref, found.chunk.data()), (truth.chunk_ref, truth.chunk.data()));
        }
        // A few zeros at the end are no chunk, even when they are the beginning of one.
        let next = truth.get(found.len()).map(|next| usize::try_from(next.chunk_ref.offset()).unwrap());
        let rest = next.map(|start| &sound[start..cut.max(start)]);
        let is_end = rest.is_none_or(|rest| cut >= 8 && rest.iter().all(|&byte| byte == 0));
        assert_eq!(error.is_none(), is_end || cut < 4, "cut to {cut}: {error:?}");
    }
    for bit in 0..sound.len() * 8 {
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let chunks = HeadChunks::open(Bytes::from(bytes), 1, false);
        let found: Vec<_> = chunks.into_iter().flatten().filter_map(Result::ok).collect();
        // Padding of the header apart, every bit is covered by something.
        assert!(found.len() < truth.len() || (40..64).contains(&bit), "bit {bit}");
        for chunk in &found {
            let truth = truth.iter().find(|truth| truth.chunk_ref == chunk.chunk_ref).unwrap();
            assert_eq!(chunk.chunk.data(), truth.chunk.data(), "bit {bit}");
        }
    }
}
