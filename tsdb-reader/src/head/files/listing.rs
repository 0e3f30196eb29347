//! The names of a head's files.
//!
//! ```text
//! wal/00000012   wbl/00000000   chunks_head/000001     a number, of any width; others are not looked at
//! wal/checkpoint.00000011/00000000                     covers the segments up to 11; older ones have six digits
//! chunk_snapshot.000007.0000032768/00000000            covers segment 7 up to that offset, and all before it
//! ```
//! A name that ends in `.tmp` was never finished. Files are sorted by number, which is not the order of their names
//! once a number outgrows its width.

use crate::error::Error;

use super::HeadFiles;

/// A file or folder with a number for a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumberedFile {
    /// The number.
    pub number: u64,
    /// Where it is, relative to the data directory.
    pub path: String,
}

/// A folder with a snapshot of open chunks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotFolder {
    /// The last segment of the write-ahead log that it covers.
    pub segment: u64,
    /// Offset in that segment up to which it does.
    pub offset: u64,
    /// Where it is, relative to the data directory.
    pub path: String,
}

/// What a data directory has of a head. All lists ascend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadListing {
    /// Segments of the write-ahead log, those that a checkpoint covers too.
    pub wal: Vec<NumberedFile>,
    /// Checkpoints of the write-ahead log. Only the last one counts.
    pub checkpoints: Vec<NumberedFile>,
    /// Segments of the last checkpoint.
    pub checkpoint_segments: Vec<NumberedFile>,
    /// Segments of the log of out-of-order samples.
    pub wbl: Vec<NumberedFile>,
    /// Files of head chunks.
    pub head_chunks: Vec<NumberedFile>,
    /// Snapshots of open chunks. Only the last one counts.
    pub snapshots: Vec<SnapshotFolder>,
    /// Segments of the last snapshot.
    pub snapshot_segments: Vec<NumberedFile>,
}

impl HeadListing {
    /// Lists the folders of a head. Those that are not there are empty.
    pub fn read(files: &dyn HeadFiles) -> Result<Self, Error> {
        let list = |folder: &str| {
            files.list(folder).map_err(|source| {
                let path = if folder.is_empty() { ".".to_owned() } else { folder.to_owned() };
                Error::ReadHead { path, source }
            })
        };
        let names = list("wal")?;
        let checkpoints = checkpoints("wal", &names);
        let checkpoint_segments = match checkpoints.last() {
            Some(last) => numbered(&last.path, &list(&last.path)?),
            None => Vec::new(),
        };
        let snapshots = snapshots(&list("")?);
        let snapshot_segments = match snapshots.last() {
            Some(last) => numbered(&last.path, &list(&last.path)?),
            None => Vec::new(),
        };
        Ok(Self {
            wal: numbered("wal", &names),
            checkpoints,
            checkpoint_segments,
            wbl: numbered("wbl", &list("wbl")?),
            head_chunks: numbered("chunks_head", &list("chunks_head")?),
            snapshots,
            snapshot_segments,
        })
    }

    /// True without any file that holds samples.
    pub fn is_empty(&self) -> bool {
        [&self.wal, &self.checkpoint_segments, &self.wbl, &self.head_chunks, &self.snapshot_segments]
            .iter()
            .all(|files| files.is_empty())
    }
}

/// Of the `names` in `folder` those that are numbers.
pub fn numbered(folder: &str, names: &[String]) -> Vec<NumberedFile> {
    sorted(names, |name| Some(NumberedFile { number: number(name)?, path: format!("{folder}/{name}") }))
}

/// Of the `names` in `folder` those of finished checkpoints.
pub fn checkpoints(folder: &str, names: &[String]) -> Vec<NumberedFile> {
    sorted(names, |name| {
        let number = number(name.strip_prefix("checkpoint.")?)?;
        Some(NumberedFile { number, path: format!("{folder}/{name}") })
    })
}

/// Of the `names` in a data directory those of finished snapshots of open chunks.
pub fn snapshots(names: &[String]) -> Vec<SnapshotFolder> {
    sorted(names, |name| {
        let (segment, offset) = name.strip_prefix("chunk_snapshot.")?.split_once('.')?;
        Some(SnapshotFolder { segment: number(segment)?, offset: number(offset)?, path: name.to_owned() })
    })
}

/// Neighbours that do not follow each other: a file between them is missing, or both have the same number.
pub fn breaks(files: &[NumberedFile]) -> impl Iterator<Item = (&NumberedFile, &NumberedFile)> {
    files.iter().zip(files.iter().skip(1)).filter(|(a, b)| a.number.checked_add(1) != Some(b.number))
}

fn sorted<T: Ord>(names: &[String], parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let mut found: Vec<_> = names.iter().filter_map(|name| parse(name)).collect();
    found.sort();
    found
}

/// Digits alone; `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::files::MemoryFiles;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn paths(files: &[NumberedFile]) -> Vec<&str> {
        files.iter().map(|file| &file.path[..]).collect()
    }

    #[test]
    fn segments_are_sorted_by_number_whatever_their_width() {
        let names = names(&["100000000", "99999999", "000002", "series_state.json", "+3", "-1", "", "3.tmp"]);
        let files = numbered("wal", &names);
        assert_eq!(paths(&files), ["wal/000002", "wal/99999999", "wal/100000000"]);
    }

    #[test]
    fn gaps_and_twins_are_named() {
        let files = numbered("wal", &names(&["0", "1", "3", "00000003", "4", "18446744073709551615"]));
        let breaks: Vec<_> = breaks(&files).map(|(a, b)| (&a.path[..], &b.path[..])).collect();
        assert_eq!(
            breaks,
            [("wal/1", "wal/00000003"), ("wal/00000003", "wal/3"), ("wal/4", "wal/18446744073709551615")]
        );
    }

    #[test]
    fn last_checkpoint_is_that_of_the_highest_number_and_finished() {
        let names =
            names(&["checkpoint.000012", "checkpoint.00000009", "checkpoint.00000013.tmp", "00000013"]);
        assert_eq!(paths(&checkpoints("wal", &names)), ["wal/checkpoint.00000009", "wal/checkpoint.000012"]);
    }

    #[test]
    fn snapshots_are_sorted_by_segment_then_offset() {
        let names = names(&[
            "chunk_snapshot.000007.0000032768",
            "chunk_snapshot.000007.0000000005",
            "chunk_snapshot.000010.0000000001",
            "chunk_snapshot.000011.0000000001.tmp",
            "chunk_snapshot.000012",
            "wal",
        ]);
        let found: Vec<_> = snapshots(&names).iter().map(|one| (one.segment, one.offset)).collect();
        assert_eq!(found, [(7, 5), (7, 32768), (10, 1)]);
    }

    #[test]
    fn listing_has_every_folder_of_a_head() {
        let files = [
            "wal/00000004",
            "wal/checkpoint.00000003/00000000",
            "wal/checkpoint.00000002/00000000",
            "wbl/00000007",
            "chunks_head/000005",
            "chunks_head/000004",
            "chunk_snapshot.000007.0000032768/00000000",
            "01HF0000000000000000000001/meta.json",
        ];
        let files = files.iter().fold(MemoryFiles::new(), |files, &path| files.with(path, ""));
        let listing = HeadListing::read(&files).unwrap();
        assert_eq!(paths(&listing.wal), ["wal/00000004"]);
        assert_eq!(paths(&listing.checkpoint_segments), ["wal/checkpoint.00000003/00000000"]);
        assert_eq!(paths(&listing.wbl), ["wbl/00000007"]);
        assert_eq!(paths(&listing.head_chunks), ["chunks_head/000004", "chunks_head/000005"]);
        assert_eq!(paths(&listing.snapshot_segments), ["chunk_snapshot.000007.0000032768/00000000"]);
        assert!(!listing.is_empty());
        assert!(HeadListing::read(&MemoryFiles::new()).unwrap().is_empty());
    }
}
