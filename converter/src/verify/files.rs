//! Files and folders that a block on disk has besides its own.

use std::fs;
use std::path::Path;

use crate::finding::{Finding, Severity};

/// What belongs to a block, Thanos', Mimir's and Cortex' files included.
const OWN: &[&str] = &[
    "meta.json",
    "index",
    "tombstones",
    "chunks",
    "deletion-mark.json",
    "no-compact-mark.json",
    "no-downsample-mark.json",
    "index-header",
    "sparse-index-header",
    "visit-mark.json",
];

/// One finding for each entry of the folder of a block, and of its `chunks`, that is none of its own.
pub fn foreign_files(folder: &Path, tell: &mut dyn FnMut(Finding)) {
    let is_segment = |name: &str| name.len() >= 6 && name.bytes().all(|byte| byte.is_ascii_digit());
    for (folder, is_own) in [
        (folder.to_owned(), &(|name: &str| OWN.contains(&name)) as &dyn Fn(&str) -> bool),
        (folder.join("chunks"), &is_segment),
    ] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        for name in names.iter().filter(|name| !is_own(name)) {
            let place = folder.join(name).display().to_string();
            let message = "none of the block's files; left over, or put there by something else";
            tell(Finding::new(Severity::Note, "foreign-file", place, message));
        }
    }
}
