//! Changes: whether a server was at work on a data directory while it was read.
//!
//! ```text
//! a server that compacts   writes a block ─► cuts head chunks ─► writes a checkpoint ─► removes segments of the log
//! who reads meanwhile      lists blocks, reads head chunks, then the log: a sample may be in none of what it saw
//! ```
//! So a directory is listed before anything is read and once more at the end. Files that only came behind the last
//! ones are no change: a log grows, and what is in its new segments is newer than the view that was taken.
//! Of a directory whose head is not read only the blocks are listed, and new ones beside all the old are no change: a
//! compaction writes its block before it removes those that it was made of.

use std::collections::BTreeSet;
use std::path::Path;

use tsdb_reader::Ulid;
use tsdb_reader::head::HeadListing;
use tsdb_reader::head::files::NumberedFile;

use super::files::TreeFiles;
use crate::tree::Tree;

/// Names told of one change.
const NAMED: usize = 3;

/// The names in a data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    blocks: BTreeSet<String>,
    head: Option<HeadListing>,
}

impl Listing {
    /// Lists a data directory. What cannot be listed is named by who reads it.
    pub fn of(files: &TreeFiles) -> Self {
        Self {
            head: Some(HeadListing::read(files).unwrap_or_default()),
            ..Self::of_blocks(files.0.as_ref(), Path::new(""))
        }
    }

    /// Lists the blocks in a folder of a tree alone.
    pub fn of_blocks(tree: &dyn Tree, folder: &Path) -> Self {
        let entries = tree.entries(folder).unwrap_or_default();
        Self::of_names(entries.iter().map(|entry| entry.name.as_path()))
    }

    /// The blocks among these folders.
    pub fn of_names<'p>(folders: impl IntoIterator<Item = &'p Path>) -> Self {
        let names = folders.into_iter().filter_map(|folder| folder.file_name()?.to_str());
        let blocks = names.filter(|name| name.parse::<Ulid>().is_ok()).map(str::to_owned).collect();
        Self { blocks, head: None }
    }

    /// What is different `now` in a way that samples may have been missed, as a clause; none when nothing is.
    pub fn change(&self, now: &Self) -> Option<String> {
        let lists = |listing: &HeadListing| {
            [&listing.wal, &listing.wbl, &listing.head_chunks, &listing.checkpoint_segments]
                .map(|list| paths(list))
        };
        let checkpoints = |listing: &HeadListing| paths(&listing.checkpoints);
        let mut gone: Vec<String> = self.blocks.difference(&now.blocks).cloned().collect();
        let mut new: Vec<String> = now.blocks.difference(&self.blocks).cloned().collect();
        match (&self.head, &now.head) {
            (Some(head), Some(head_now)) => {
                for (before, after) in lists(head).iter().zip(&lists(head_now)) {
                    gone.extend(before.difference(after).cloned());
                }
                new.extend(checkpoints(head_now).difference(&checkpoints(head)).cloned());
            }
            _ if gone.is_empty() => return None,
            _ => {}
        }
        let clauses = [clause(&new, "appeared"), clause(&gone, "vanished")];
        let clauses: Vec<String> = clauses.into_iter().flatten().collect();
        (!clauses.is_empty()).then(|| clauses.join(", "))
    }
}

fn paths(files: &[NumberedFile]) -> BTreeSet<String> {
    files.iter().map(|file| file.path.clone()).collect()
}

/// `a, b and 3 more vanished`.
fn clause(names: &[String], verb: &str) -> Option<String> {
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => None,
        all if all > NAMED => Some(format!("{named} and {} more {verb}", all - NAMED)),
        _ => Some(format!("{named} {verb}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(blocks: &str, checkpoints: &str, wal: &str) -> Listing {
        let names = |folder: &str, names: &str| -> Vec<NumberedFile> {
            let file = |name: &str| NumberedFile { number: 0, path: format!("{folder}{name}") };
            names.split_whitespace().map(file).collect()
        };
        let (checkpoints, wal) = (names("wal/checkpoint.", checkpoints), names("wal/", wal));
        let head = HeadListing { wal, checkpoints, ..HeadListing::default() };
        Listing { head: Some(head), ..of_blocks(blocks) }
    }

    fn of_blocks(blocks: &str) -> Listing {
        Listing { blocks: blocks.split_whitespace().map(str::to_owned).collect(), head: None }
    }

    #[test]
    fn where_the_head_is_not_read_only_blocks_that_go_are_a_change() {
        for before in [of_blocks("A B"), listing("A B", "3", "4")] {
            let change = |now: &str| before.change(&of_blocks(now));
            assert_eq!(change("A B"), None);
            assert_eq!(change("A B C"), None);
            assert_eq!(change("B C").unwrap(), "C appeared, A vanished");
            assert_eq!(change("").unwrap(), "A, B vanished");
        }
    }

    #[test]
    fn blocks_that_come_or_go_checkpoints_that_come_and_segments_that_go_are_changes() {
        let before = listing("A B", "3", "4 5 6 7 8");
        let change = |now: &Listing| before.change(now);
        assert_eq!(change(&before), None);
        assert_eq!(change(&listing("A B", "3", "4 5 6 7 8 9 10")), None);
        assert_eq!(change(&listing("A B C", "3", "4 5 6 7 8")).unwrap(), "C appeared");
        assert_eq!(change(&listing("A C", "3", "4 5 6 7 8")).unwrap(), "C appeared, B vanished");
        assert_eq!(
            change(&listing("A B", "3 5", "6 7 8")).unwrap(),
            "wal/checkpoint.5 appeared, wal/4, wal/5 vanished"
        );
        let gone = "wal/4, wal/5, wal/6 and 2 more vanished";
        assert_eq!(change(&listing("A B", "3", "")).unwrap(), gone);
    }
}
