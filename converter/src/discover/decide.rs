//! Decides which blocks are read: by their metas and marks first, so that only those are opened that are read.
//!
//! ```text
//! not asked for, too fresh ─► superseded ─► marked ─► downsampled ─► outside the time ─► empty ─► read: opened
//!                                  ▲                                                                  │
//!                                  └──── a block that cannot be opened gives its place back ──────────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tsdb_reader::{BlockMeta, Ulid};

use super::choice::Choice;
use super::heads::read_heads;
use super::listed::{Key, Listed, open_listed, superseded_in, unless_held_by};
use super::supersede::SourcesHeld;
use super::{DiscoverError, Discovery, Found, InSources, ReadOptions, marks, unless_stopped};
use crate::finding::{Finding, Severity};
use crate::resolution::display_duration;

/// What becomes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is read.
    Read,
    /// This one holds its samples.
    Superseded(Ulid),
    /// Its mark is old enough.
    Marked,
    /// Samples of this resolution are there instead.
    Downsampled(i64),
    /// It holds nothing of the time asked for.
    Outside,
    /// It holds nothing.
    Empty,
}

/// Decides which of the blocks are read, and opens those.
pub(super) fn choose(
    all: InSources,
    read: &ReadOptions,
    stop: &AtomicBool,
) -> Result<Discovery, DiscoverError> {
    let InSources { mut found, mut findings, mut broken, unpacked, directories } = all;
    leave_out(&mut found, &read.choice, &mut findings);
    let mut marked = BTreeMap::new();
    let mut opened: BTreeMap<Key, Found> = BTreeMap::new();
    let verdicts = loop {
        let verdicts = judge(&found, &read.choice, &mut marked, &mut findings);
        let left = found.len();
        let to_open = verdicts.iter().filter(|(_, verdict)| **verdict == Verdict::Read);
        for key in to_open.map(|(key, _)| key) {
            unless_stopped(stop)?;
            if !opened.contains_key(key)
                && let Some(block) = open_listed(key, &mut found, true, &mut broken)
            {
                opened.insert(key.clone(), block);
            }
        }
        if found.len() == left {
            break verdicts;
        }
    };
    findings.extend(broken.into_iter().map(|unreadable| unless_held_by(&found, unreadable)));
    let (mut blocks, heads) = read_heads(&directories, &found, &read.beside(&unpacked), &mut findings, stop)?;
    let mut outside = Vec::new();
    for (key, listed) in found {
        findings.extend(listed.repeated());
        let verdict = verdicts.get(&key).copied().unwrap_or(Verdict::Read);
        findings.extend(told(verdict, &listed, &read.choice));
        match verdict {
            Verdict::Read => blocks.extend(opened.remove(&key)),
            Verdict::Outside => outside.push(listed.meta),
            _ => {}
        }
    }
    blocks.sort_by_key(|found| (found.block.meta().min_time_ms, found.block.meta().ulid));
    Ok(Discovery { blocks, outside, findings, damaged: Vec::new(), unpacked, heads })
}

/// What is said of a block that is not read.
fn told(verdict: Verdict, listed: &Listed, choice: &Choice) -> Option<Finding> {
    let (name, message) = match verdict {
        Verdict::Read | Verdict::Outside => return None,
        Verdict::Superseded(by) => {
            ("superseded-block", format!("superseded by block {by}, which holds its samples"))
        }
        Verdict::Marked => {
            let delay = display(choice.deletion_marks_delay);
            ("marked-block", format!("marked for deletion more than {delay} ago"))
        }
        Verdict::Downsampled(0) => {
            ("downsampled-block", "downsampled, and the raw samples are there".to_owned())
        }
        Verdict::Downsampled(_) => {
            ("downsampled-block", "downsampled, and finer aggregates are there".to_owned())
        }
        Verdict::Empty => ("empty-block", "holds no samples".to_owned()),
    };
    Some(Finding::new(Severity::Skipped, name, listed.place.location.clone(), message))
}

fn display(delay: Duration) -> String {
    match delay.as_secs() {
        day if day == 24 * 3600 => "24 hours".to_owned(),
        _ => display_duration(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)),
    }
}

/// Takes out what is not asked for, and what counts as if it were not there yet: neither supersedes anything.
fn leave_out(found: &mut BTreeMap<Key, Listed>, choice: &Choice, findings: &mut Vec<Finding>) {
    let mut others = 0u64;
    found.retain(|_, listed| {
        if !choice.wants_labels(&listed.meta) {
            others += 1;
            return false;
        }
        let Some(delay) = choice.too_fresh_for(&listed.meta) else { return true };
        let message = format!(
            "younger than {}, so it may not be whole yet; a later run reads it, see --consistency-delay",
            display(delay)
        );
        let place = listed.place.location.clone();
        findings.push(Finding::new(Severity::Skipped, "fresh-block", place, message));
        false
    });
    if others > 0 {
        let blocks = if others == 1 { "block has" } else { "blocks have" };
        let message = format!("{others} {blocks} external labels that --block-label does not select");
        findings.push(Finding::new(Severity::Skipped, "unselected-block", "SOURCE", message));
    }
}

/// What becomes of each block, as far as metas and marks tell. Marks are read only of blocks that nothing else leaves
/// out, and are kept in `marked`.
fn judge(
    found: &BTreeMap<Key, Listed>,
    choice: &Choice,
    marked: &mut BTreeMap<Key, bool>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<Key, Verdict> {
    let mut verdicts: BTreeMap<Key, Verdict> =
        superseded_in(found).into_iter().map(|(key, by)| (key, Verdict::Superseded(by))).collect();
    let left: Vec<(&Key, &Listed)> = found.iter().filter(|(key, _)| !verdicts.contains_key(key)).collect();
    let in_time = left.iter().filter(|(_, listed)| choice.wants_time(&listed.meta));
    let unread: Vec<(&Key, &Listed)> =
        in_time.filter(|(key, _)| !marked.contains_key(key)).copied().collect();
    read_marks(&unread, choice, marked, findings);
    let is_marked = |key: &Key| marked.get(key).copied().unwrap_or_default();
    let unmarked = left.iter().filter(|(key, _)| !is_marked(key));
    let held = SourcesHeld::by(unmarked.map(|(_, listed)| &listed.meta));
    for (key, listed) in left {
        let verdict = if is_marked(key) {
            Verdict::Marked
        } else if let Some(resolution_ms) = held.finest(&listed.meta) {
            Verdict::Downsampled(resolution_ms)
        } else if !choice.wants_time(&listed.meta) {
            Verdict::Outside
        } else if is_empty(&listed.meta) {
            Verdict::Empty
        } else {
            Verdict::Read
        };
        verdicts.insert(key.clone(), verdict);
    }
    verdicts
}

/// Reads the marks of `blocks`, all of a tree together.
fn read_marks(
    blocks: &[(&Key, &Listed)],
    choice: &Choice,
    marked: &mut BTreeMap<Key, bool>,
    findings: &mut Vec<Finding>,
) {
    let mut rest = blocks.to_vec();
    while let Some((_, first)) = rest.first() {
        let tree = Arc::clone(&first.place.tree);
        let (of_tree, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|(_, listed)| Arc::ptr_eq(&listed.place.tree, &tree));
        let paths: Vec<_> = of_tree.iter().flat_map(|(_, listed)| listed.place.marks.clone()).collect();
        tree.warm(&paths);
        for (key, listed) in of_tree {
            let marks = listed.place.marks.iter().cloned();
            let age = marks::oldest(tree.as_ref(), marks, Some(listed.meta.ulid), choice, findings);
            marked.insert(key.clone(), age.is_some_and(|age| age > choice.deletion_marks_delay));
        }
        rest = others;
    }
}

/// `meta.json` says so, and states its counts at all.
fn is_empty(meta: &BlockMeta) -> bool {
    meta.stats.num_samples == 0
        && meta.stats.num_series == 0
        && meta.stats.num_chunks == 0
        && meta.compaction.deletable
}
