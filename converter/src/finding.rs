//! Findings: what a person should know about the input.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong with the data.
    Note,
    /// Normal in a live place, not read.
    Skipped,
    /// Corrupt or unreadable: data is missing from the output.
    Broken,
}

/// Something a person should know about the input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name, for scripts: `partial-block`, `chunk-checksum`, …
    pub name: String,
    /// Where: a folder, or a block's ULID and file.
    pub place: String,
    /// What was found, and what to do if something can be done.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(severity: Severity, name: &str, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, name: name.into(), place: place.into(), message: message.into() }
    }
}

/// Findings of one unit, bounded: a block that is broken throughout does not fill the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The first ones.
    pub list: Vec<Finding>,
    /// How many more there were.
    pub more: u64,
}

impl Findings {
    /// Findings kept of one unit.
    const KEPT: usize = 100;

    /// Adds a finding, or counts it when there are many.
    pub fn push(&mut self, finding: Finding) {
        if self.list.len() < Self::KEPT {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Adds all of `other`.
    pub fn append(&mut self, other: Self) {
        self.more += other.more;
        for finding in other.list {
            self.push(finding);
        }
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
