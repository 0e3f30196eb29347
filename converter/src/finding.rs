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

/// What is skipped though no sample is missing for it: it has none that count yet or any more, or they are read elsewhere.
const WITHOUT_SAMPLES: [&str; 7] = [
    "chunk-snapshot",
    "downsampled-block",
    "empty-block",
    "repeated-block",
    "superseded-block",
    "temporary-block",
    "torn-head-chunk",
];

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

    /// True when samples may lie in what is skipped that are nowhere else.
    pub fn leaves_samples_out(&self) -> bool {
        self.severity == Severity::Skipped && !WITHOUT_SAMPLES.contains(&self.name.as_str())
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

    /// Adds a finding. Of many, the worse ones are kept and the others counted: what is broken is never
    /// pushed out by what is normal. The same thing found again, by another unit or chunk, is one finding.
    pub fn push(&mut self, finding: Finding) {
        if self.list.contains(&finding) {
            return;
        }
        if self.list.len() < Self::KEPT {
            self.list.push(finding);
            return;
        }
        self.more += 1;
        let mildest = self.list.iter().enumerate().rev().min_by_key(|(_, kept)| kept.severity);
        if let Some((at, _)) = mildest.filter(|(_, kept)| kept.severity < finding.severity) {
            self.list.remove(at);
            self.list.push(finding);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_kept_however_much_is_skipped() {
        let mut findings = Findings::default();
        for at in 0..500 {
            findings.push(Finding::new(Severity::Skipped, "superseded-block", at.to_string(), ""));
        }
        findings.push(Finding::new(Severity::Broken, "unreadable-block", "here", ""));
        findings.push(Finding::new(Severity::Note, "meta-count", "there", ""));
        assert_eq!((findings.list.len(), findings.more), (Findings::KEPT, 402));
        let broken: Vec<_> = findings.list.iter().filter(|at| at.severity == Severity::Broken).collect();
        assert_eq!(broken.len(), 1);
        assert_eq!(broken[0].place, "here");
        for at in 0..500 {
            findings.push(Finding::new(Severity::Broken, "chunk-checksum", at.to_string(), ""));
        }
        assert!(findings.list.iter().all(|at| at.severity == Severity::Broken));
        assert_eq!(findings.list.len() as u64 + findings.more, 1002);
    }
}
