//! Names of findings: stable, for scripts.
//!
//! Where a part can fail in several ways, the name is that of the part and the way: `symbols-checksum`.

use tsdb_reader::DecodeErrorKind;
use tsdb_reader::samples::HistogramRule;

/// Parts of a block whose bytes the reader may refuse, which is how a finding's name begins.
pub const PARTS: &[(&str, &str)] = &[
    ("chunk", "a chunk of a segment file"),
    ("index", "the head of the index, or all of it"),
    ("legacy-label-index", "a label index, by which nothing is read"),
    ("legacy-label-table", "the table of the label indices, by which nothing is read"),
    ("meta", "meta.json"),
    ("postings", "a postings list"),
    ("postings-table", "the postings offset table"),
    ("segment", "the head of a segment file, so all of its chunks"),
    ("series", "a series entry of the index"),
    ("symbols", "the symbol table"),
    ("toc", "the table of contents of the index"),
    ("tombstones", "the tombstones file"),
];

/// What is wrong with a part, which is how the name ends.
pub const WAYS: &[(&str, &str)] = &[
    ("checksum", "the checksum does not match the bytes"),
    ("encoding", "encoded in a way that this version does not know"),
    ("invalid", "a field holds what it must not hold"),
    ("too-large", "a length asks for more than the reader gives"),
    ("truncated", "the bytes end inside a field"),
    ("unreadable", "the file cannot be read"),
];

/// All other findings of a block, by name, but for the rules that histograms break ([`HistogramRule::name`]).
pub const NAMES: &[(&str, &str)] = &[
    ("bytes-between-chunks", "bytes of a segment belong to no chunk"),
    ("chunk-empty", "a chunk has no sample"),
    ("chunk-not-decoded", "the samples of chunks of this encoding are not looked at"),
    ("chunk-shared", "two series name one chunk, or overlapping bytes"),
    ("chunk-times-reversed", "by the index a chunk ends before it begins"),
    ("chunk-times-wrong", "the index gives other times than the chunk's samples have"),
    ("chunk-twice", "a series lists a chunk twice"),
    ("chunk-unreferenced", "no series names a chunk"),
    ("chunks-out-of-order", "a chunk begins before the one listed before it"),
    ("chunks-overlap", "a chunk begins before the one before it ends"),
    (
        "chunks-unaccounted",
        "references are so far from file order that unnamed and shared chunks were not looked for",
    ),
    ("foreign-file", "a file or folder in the block that is none of its own"),
    ("index-gap", "bytes of the index belong to nothing"),
    ("index-padding", "padding of the index is not zero"),
    ("index-unaccounted", "parts of the index lie so far from their order that gaps were not looked for"),
    ("legacy-label-index-missing", "a label name has no label index, by which nothing is read"),
    ("legacy-label-index-overlap", "label indices, by which nothing is read, share bytes"),
    ("legacy-label-index-out-of-order", "a label index, by which nothing is read, is out of order"),
    (
        "legacy-label-index-values",
        "a label index, by which nothing is read, has other values than the postings",
    ),
    ("meta-count", "meta.json states another count"),
    ("meta-time-range", "the block's time range ends before it begins"),
    ("meta-ulid", "meta.json states another ULID than the folder is named by"),
    ("missing-segment", "chunk references name a segment that is not there"),
    ("postings-missing", "a label pair of a series has no postings list"),
    ("postings-missing-series", "a series is missing from the list of one of its label pairs"),
    ("postings-overlap", "postings lists share bytes"),
    ("postings-table-out-of-order", "label pairs of the postings offset table are not in order"),
    ("postings-unknown-series", "a postings list names what is no series"),
    ("postings-wrong-series", "a postings list names a series without that label pair"),
    ("samples-out-of-order", "samples of a chunk are not after the one before"),
    ("samples-outside-block", "samples are outside the block's time range"),
    ("segment-gap", "a segment is missing though later ones are there"),
    ("segment-padding", "reserved bytes in the head of a segment are not zero"),
    ("series-duplicate", "two series have the same labels"),
    ("series-duplicate-label", "a series has a label name twice"),
    ("series-empty-label", "a label name or value of a series is empty"),
    ("series-out-of-order", "a series comes after one that is greater in label order"),
    ("series-unsorted-labels", "label names of a series are out of order"),
    ("symbols-duplicate", "a symbol stands twice in the table"),
    ("symbols-out-of-order", "a symbol comes after one that is greater"),
    ("toc-wrong", "the table of contents puts a section elsewhere than it lies"),
    ("tombstone-inverted", "a deleted interval ends before it begins"),
    ("tombstone-without-series", "an interval is deleted of what is no series"),
];

/// The end of a finding's name.
pub(super) fn way(kind: &DecodeErrorKind) -> &'static str {
    match kind {
        DecodeErrorKind::Checksum { .. } => "checksum",
        DecodeErrorKind::Truncated { .. } => "truncated",
        DecodeErrorKind::UnsupportedEncoding { .. } => "encoding",
        DecodeErrorKind::Limit { .. } => "too-large",
        _ => "invalid",
    }
}

/// True for a name that a finding of a block may have.
pub fn is_name(name: &str) -> bool {
    let composed = |(part, way): (&str, &str)| {
        PARTS.iter().any(|(known, _)| *known == part) && WAYS.iter().any(|(known, _)| *known == way)
    };
    NAMES.iter().any(|(known, _)| *known == name)
        || HistogramRule::ALL.iter().any(|rule| rule.name() == name)
        || name.rsplit_once('-').is_some_and(composed)
        || name.strip_suffix("-too-large").is_some_and(|part| composed((part, "too-large")))
}
