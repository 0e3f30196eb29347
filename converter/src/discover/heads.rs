//! Heads: the newest hours of data directories, which are in no block yet.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use tsdb_reader::head::HeadFiles;
use tsdb_reader::{Block, Ulid};

use super::{
    ATTEMPTS, CHANGED, Directory, DiscoverError, Found, HEAD_NOT_READ, Heads, Key, Listed, ReadOptions,
    unless_stopped,
};
use crate::finding::{Finding, Severity};
use crate::head::changes::Listing;
use crate::head::files::TreeFiles;
use crate::head::{HeadOptions, read_head};

/// Reads the heads of data directories, each behind its own blocks; names directories that changed meanwhile.
pub(super) fn read_heads(
    directories: &[Directory],
    found: &BTreeMap<Key, Listed>,
    read: &ReadOptions,
    findings: &mut Vec<Finding>,
    stop: &AtomicBool,
) -> Result<(Vec<Found>, Heads), DiscoverError> {
    let mut blocks: BTreeMap<Ulid, Found> = BTreeMap::new();
    let mut heads = Heads::default();
    for Directory { tree, folder, blocks: own, has_head, listed } in directories {
        let location = tree.location(folder);
        let changed = |now: &Listing| {
            let change = listed.change(now)?;
            let message = format!(
                "{change} while it was read, each of {ATTEMPTS} times: samples may be in none of what was read; \
                 take a snapshot of it, or stop the server, and read that"
            );
            Some(Finding::new(Severity::Broken, CHANGED, location.clone(), message))
        };
        if !has_head || !read.include_head {
            findings.extend(changed(&Listing::of_blocks(tree.as_ref(), folder)));
            if *has_head {
                findings.push(Finding::new(Severity::Skipped, "head", location, HEAD_NOT_READ));
            }
            continue;
        }
        let metas = own.iter().filter_map(|key| found.get(key)).map(|listed| &listed.meta);
        let in_order = metas.filter(|meta| !meta.compaction.says_nothing_about_head());
        let options = HeadOptions {
            min_valid_time_ms: in_order.map(|meta| meta.max_time_ms).max().unwrap_or(i64::MIN),
            temp_dir: &read.temp_dir,
            budget_bytes: usize::try_from(read.unpack_limit / 2).unwrap_or(usize::MAX),
        };
        let files = UntilStopped { files: TreeFiles(Arc::clone(tree)), stop };
        let head = read_head(&files, &options)
            .map_err(|source| DiscoverError::Head { location: location.clone(), source })?;
        unless_stopped(stop)?;
        findings.extend(head.findings);
        findings.extend(changed(&Listing::of(&files.files)));
        heads.accounts.push(head.account);
        heads.metadata.push((location.clone(), head.metadata));
        for (built, name) in [(head.in_order, "head"), (head.late, "head-out-of-order")] {
            let Some(built) = built else { continue };
            let location = format!("{location}/{name}");
            if let Some(first) = blocks.get(&built.ulid) {
                let message = format!("the same samples as {}, read once", first.location);
                findings.push(Finding::new(Severity::Skipped, "repeated-block", location, message));
                continue;
            }
            heads.memory_bytes += built.memory_bytes;
            let block = Block::open(built.source)
                .map_err(|source| DiscoverError::BuiltHead { location: location.clone(), source })?;
            blocks.insert(built.ulid, Found { location, block, is_head: true, metrics: None });
        }
    }
    Ok((blocks.into_values().collect(), heads))
}

/// The files of a head, until asked to stop. What was read until then is of no use.
#[derive(Debug)]
struct UntilStopped<'a> {
    files: TreeFiles,
    stop: &'a AtomicBool,
}

impl HeadFiles for UntilStopped<'_> {
    fn location(&self) -> String {
        self.files.location()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.files.list(folder)
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        unless_stopped(self.stop).map_err(io::Error::other)?;
        self.files.read(path)
    }
}
