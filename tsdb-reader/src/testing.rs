//! What the unit tests share: the vectors in `tests/vectors/`, which the reference implementation made.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::source::{BlockFile, MemorySource};

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub fn vector(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A file of a vector with whole files; zeros cut off its end are put back.
pub fn file(entry: &Value) -> Vec<u8> {
    let mut bytes = unhex(entry["hex"].as_str().unwrap());
    bytes.resize(usize::try_from(entry["size"].as_u64().unwrap()).unwrap(), 0);
    bytes
}

pub fn block_file(vector_name: &str, path: &str) -> Vec<u8> {
    file(&vector(vector_name)["files"][path])
}

pub fn block(vector_name: &str) -> MemorySource {
    let vector = vector(vector_name);
    let files = vector["files"].as_object().unwrap().iter().map(|(path, entry)| {
        let name = match path.as_str() {
            "meta.json" => BlockFile::Meta,
            "index" => BlockFile::Index,
            "tombstones" => BlockFile::Tombstones,
            segment => BlockFile::Segment(segment.strip_prefix("chunks/").unwrap().parse().unwrap()),
        };
        (name, Bytes::from(file(entry)))
    });
    MemorySource { files: files.collect::<BTreeMap<_, _>>() }
}

pub fn index_only(bytes: impl Into<Bytes>) -> Arc<MemorySource> {
    Arc::new(MemorySource::new().with(BlockFile::Index, bytes))
}

pub struct Malformed {
    pub name: String,
    pub bytes: Vec<u8>,
    pub text: String,
    pub accept: bool,
}

pub fn malformed(file: &str) -> Vec<Malformed> {
    let vector = vector("malformed.json");
    let cases = vector["cases"].as_array().unwrap().iter().filter(|case| case["file"] == file);
    cases
        .map(|case| Malformed {
            name: case["name"].as_str().unwrap().to_owned(),
            bytes: unhex(case["hex"].as_str().unwrap_or_default()),
            text: case["text"].as_str().unwrap_or_default().to_owned(),
            accept: case["recommended"] == "accept",
        })
        .collect()
}

pub struct MalformedChunk {
    pub name: String,
    pub bytes: Vec<u8>,
    pub go_error: String,
    pub accept: bool,
}

pub fn malformed_chunks(encoding: u64) -> Vec<MalformedChunk> {
    let vector = vector("malformed.json");
    let cases = vector["cases"].as_array().unwrap().iter();
    cases
        .filter(|case| case["file"] == "chunk data" && case["encoding"] == encoding)
        .map(|case| MalformedChunk {
            name: case["name"].as_str().unwrap().to_owned(),
            bytes: unhex(case["hex"].as_str().unwrap()),
            go_error: case["go_error"].as_str().unwrap().to_owned(),
            accept: case["recommended"] == "accept",
        })
        .collect()
}
