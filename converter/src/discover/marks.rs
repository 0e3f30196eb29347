//! Marks: blocks and tenants that someone will delete.
//!
//! ```text
//! <ULID>/deletion-mark.json                     {"id": ULID, "version": 1, "deletion_time": seconds since 1970, …}
//! markers/<ULID>-deletion-mark.json             the same once more, beside the blocks of a tenant: Mimir, Cortex
//! markers/tenant-deletion-mark.json             {"deletion_time": seconds, …}
//! __markers__/<tenant>/tenant-deletion-mark.json          the same, in the root: Cortex
//! ```
//! Checked: that a mark is JSON with a time, and of its block. One that is not may be half uploaded, and does not count.
//! Other marks (`no-compact-mark.json`, …) are for compactors and say nothing to who reads.
//! Defined in Thanos' `pkg/block/metadata/markers.go`, Mimir's and Cortex' `pkg/storage/tsdb`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tsdb_reader::Ulid;

use super::choice::Choice;
use crate::finding::{Finding, Severity};
use crate::tree::Tree;

/// The file that marks a block for deletion, in its folder.
pub(super) const DELETION_MARK: &str = "deletion-mark.json";

/// The folder of all marks of a tenant.
pub(super) const MARKERS: &str = "markers";

/// The folder of marks of all tenants, in the root.
pub(super) const GLOBAL_MARKERS: &str = "__markers__";

/// The file that marks a tenant.
const TENANT_MARK: &str = "tenant-deletion-mark.json";

/// Largest mark that is looked into.
const MARK_BYTES: u64 = 1 << 20;

/// The marks that lie together in one folder beside blocks.
#[derive(Debug, Default)]
pub(super) struct Markers {
    folder: PathBuf,
    blocks: BTreeSet<Ulid>,
    has_tenant: bool,
}

impl Markers {
    /// Lists the marks beside the blocks in `folder`.
    pub(super) fn list(tree: &dyn Tree, folder: &Path) -> io::Result<Self> {
        let folder = folder.join(MARKERS);
        let entries = tree.entries(&folder)?;
        let names = || entries.iter().filter_map(|entry| entry.name.to_str());
        let block = |name: &str| name.strip_suffix(DELETION_MARK)?.strip_suffix('-')?.parse().ok();
        let has_tenant = names().any(|name| name == TENANT_MARK);
        Ok(Self { blocks: names().filter_map(block).collect(), has_tenant, folder })
    }

    /// Where marks of `block`, which lies in `folder`, may be.
    pub(super) fn of_block(&self, folder: &Path, block: Ulid) -> impl Iterator<Item = PathBuf> {
        let global =
            self.blocks.contains(&block).then(|| self.folder.join(format!("{block}-{DELETION_MARK}")));
        [folder.join(DELETION_MARK)].into_iter().chain(global)
    }

    /// Where marks of the tenant may be; `global` is the folder of marks of all tenants, if it has one of this tenant.
    pub(super) fn of_tenant(&self, global: Option<PathBuf>) -> impl Iterator<Item = PathBuf> {
        let own = self.has_tenant.then(|| self.folder.join(TENANT_MARK));
        own.into_iter().chain(global.map(|folder| folder.join(TENANT_MARK)))
    }
}

/// How long the oldest of the marks at `paths` has been there, if any counts; one that does not is told.
pub(super) fn oldest(
    tree: &dyn Tree,
    paths: impl Iterator<Item = PathBuf>,
    block: Option<Ulid>,
    choice: &Choice,
    findings: &mut Vec<Finding>,
) -> Option<Duration> {
    let mut oldest = None;
    for path in paths {
        match age(tree, &path, block, choice) {
            Ok(age) => oldest = oldest.max(age),
            Err(why) => {
                let of = if block.is_some() { "block" } else { "tenant" };
                let message = format!("{why}; the {of} is read as if there was no mark");
                findings.push(Finding::new(Severity::Note, "deletion-mark", tree.location(&path), message));
            }
        }
    }
    oldest
}

/// How long a mark has been there; or why it does not count.
fn age(
    tree: &dyn Tree,
    path: &Path,
    block: Option<Ulid>,
    choice: &Choice,
) -> Result<Option<Duration>, String> {
    let mark = match tree.read(path, MARK_BYTES) {
        Ok(mark) => mark,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read it: {error}")),
    };
    let mark: serde_json::Value =
        serde_json::from_slice(&mark).map_err(|error| format!("it is no JSON: {error}"))?;
    if let (Some(block), Some(id)) = (block, mark.get("id"))
        && id.as_str().and_then(|id| id.parse().ok()) != Some(block)
    {
        return Err("its id is not that of this block".to_owned());
    }
    let seconds = mark.get("deletion_time").filter(|seconds| seconds.is_number());
    let seconds = seconds.ok_or("it has no deletion_time that is a number")?;
    let marked_at = seconds.as_u64().map(Duration::from_secs);
    let marked_at = marked_at.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    let marked_at = marked_at
        .ok_or_else(|| format!("deletion_time is {seconds}, expected whole seconds since the year 1970"))?;
    // A mark of the future has no age yet.
    Ok(Some(choice.since(marked_at).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::discover::{ReadOptions, discover};
    use crate::finding::{Finding, Severity};

    /// Findings and read blocks of a folder with one block, marked for deletion with `mark`.
    fn marked(mark: &[u8]) -> (Vec<Finding>, usize) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/broken/marked_long_ago");
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join(MARKED);
        fs::create_dir_all(to.join("chunks")).unwrap();
        for file in ["meta.json", "index", "chunks/000001"] {
            fs::copy(fixtures.join(MARKED).join(file), to.join(file)).unwrap();
        }
        fs::write(to.join(DELETION_MARK), mark).unwrap();
        let found = discover(&[dir.path().to_owned()], &ReadOptions::default()).unwrap();
        (found.findings, found.blocks.len())
    }

    /// The block of a fixture.
    const MARKED: &str = "01KDVDNAZ8ETBQ9VYVEJS4NVPX";

    #[test]
    fn a_deletion_mark_counts_when_it_can_be_read_and_is_of_this_block() {
        let mark = |id: &str, time: &str| format!(r#"{{"id":"{id}","deletion_time":{time}}}"#);
        let names = |mark: &str| {
            let (findings, blocks) = marked(mark.as_bytes());
            let names: Vec<_> = findings.into_iter().map(|finding| finding.name).collect();
            (names.join(" "), blocks)
        };
        assert_eq!(names(&mark(MARKED, "1700000000")), ("marked-block".to_owned(), 0));
        assert_eq!(names(r#"{"deletion_time":1700000000}"#), ("marked-block".to_owned(), 0));
        // Years from now.
        assert_eq!(names(&mark(MARKED, "17000000000")), (String::new(), 1));
        let other = "01KDVDNBYGZNZ50D2FX1T88PHW";
        for (mark, why) in [
            (String::new(), "it is no JSON: EOF"),
            ("{}".to_owned(), "it has no deletion_time"),
            ("[7]".to_owned(), "it has no deletion_time"),
            ("\0\0".to_owned(), "it is no JSON: expected value"),
            (mark(MARKED, "\"soon\""), "it has no deletion_time that is a number"),
            (mark(MARKED, "-1"), "deletion_time is -1, expected"),
            (mark(MARKED, "18446744073709551615"), "deletion_time is 18446744073709551615, expected"),
            (mark(other, "1700000000"), "its id is not that of this block"),
        ] {
            let (findings, blocks) = marked(mark.as_bytes());
            let [finding] = findings.as_slice() else { panic!("{mark}: {findings:?}") };
            assert_eq!(
                (finding.name.as_str(), finding.severity),
                ("deletion-mark", Severity::Note),
                "{mark}"
            );
            assert!(finding.message.starts_with(why), "{finding:?}");
            assert!(finding.place.ends_with(DELETION_MARK), "{finding:?}");
            assert_eq!(blocks, 1, "{mark}");
        }
    }
}
