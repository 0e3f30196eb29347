//! Report: what a run read, wrote, skipped and lost, and whether it adds up.

use serde::Serialize;

use crate::archive::Unpacked;
use crate::dest::{BlockRecord, UnitRecord};
use crate::finding::{Finding, Findings, Severity};
use crate::head::account::HeadAccount;
use crate::schema::Table;
use crate::store::StoreReport;
use crate::tally::Tally;

/// How many units ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UnitCounts {
    /// Converted by this run.
    pub done: u64,
    /// Done by an earlier run, nothing changed since.
    pub skipped: u64,
    /// Kept as published: the input holds less now.
    pub frozen: u64,
}

/// Rows and bytes of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableCounts {
    /// The table.
    pub table: String,
    /// Its files.
    pub files: u64,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub size_bytes: u64,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// All series and all of time were asked for.
    pub reads_all: bool,
    /// All units that the blocks have, not just some of them.
    pub all_units: bool,
}

/// The reconciliation of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What became of every sample of the units of this run, skipped ones included.
    pub samples: Tally,
    /// True when every sample read has its term, in every unit and in all of them together, and the files have the
    /// rows that were written.
    pub adds_up: bool,
    /// Units.
    pub units: UnitCounts,
    /// What the units of this run hold.
    pub tables: Vec<TableCounts>,
    /// Blocks.
    pub blocks: Vec<BlockRecord>,
    /// What was unpacked of archives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unpacked: Vec<Unpacked>,
    /// What was asked of stores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<StoreReport>,
    /// What was found.
    pub findings: Findings,
    /// What was read of heads, and became blocks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<HeadAccount>,
}

impl Report {
    /// Sums up `units`, which are those of `scope`.
    pub fn new(
        units: &[UnitRecord],
        mut blocks: Vec<BlockRecord>,
        mut findings: Findings,
        counts: UnitCounts,
        scope: Scope,
    ) -> Self {
        let mut samples = Tally::default();
        let mut tables: Vec<TableCounts> = Vec::new();
        for unit in units {
            samples.add(&unit.tally);
            findings.append(unit.findings.clone());
            if unit.tally.steps_lost > 0 {
                let message = format!(
                    "of {} series of histograms the one before the partition, which the first step begins at, is gone; \
                     the step is missing from the increase until its block is back",
                    unit.tally.steps_lost
                );
                findings.push(Finding::new(Severity::Note, "steps-lost", &unit.unit, message));
            }
            for file in &unit.files {
                let at = tables.iter().position(|at| at.table == file.table).unwrap_or_else(|| {
                    tables.push(TableCounts { table: file.table.clone(), ..TableCounts::default() });
                    tables.len() - 1
                });
                if let Some(table) = tables.get_mut(at) {
                    table.files += 1;
                    table.rows += file.rows;
                    table.size_bytes += file.size_bytes;
                }
            }
        }
        for block in &mut blocks {
            block.read = samples.read_by_block.get(&block.ulid).copied().unwrap_or_default();
        }
        if scope.reads_all && scope.all_units && counts.skipped + counts.frozen == 0 {
            // A meta.json without counts states none.
            for block in blocks.iter().filter(|block| block.samples != 0 && block.read != block.samples) {
                let message = format!(
                    "meta.json states {} samples, the chunks read hold {}",
                    block.samples, block.read
                );
                let place = format!("{} ({})", block.ulid, block.location);
                findings.push(Finding::new(Severity::Note, "meta-count", place, message));
            }
        }
        if !scope.reads_all && samples.read == 0 && units.iter().all(|unit| unit.tally.taken_over == 0) {
            let message =
                "no samples were selected; look at --match, --min-time, --max-time and the blocks' times";
            findings.push(Finding::new(Severity::Note, "nothing-selected", "SOURCE", message));
        }
        // Units of different runs may have read the same time from different blocks.
        let handed_over = samples.handed_over == samples.taken_over
            || !scope.all_units
            || counts.skipped + counts.frozen > 0;
        let adds_up =
            handed_over && units.iter().all(|unit| unit.tally.difference() == 0 && has_its_rows(unit));
        Self {
            samples,
            adds_up,
            units: counts,
            tables,
            blocks,
            unpacked: Vec::new(),
            stores: Vec::new(),
            findings,
            heads: Vec::new(),
        }
    }

    /// The same with what was read of heads, which must add up as well.
    #[must_use]
    pub fn with_heads(self, heads: Vec<HeadAccount>) -> Self {
        let adds_up = self.adds_up && heads.iter().all(HeadAccount::adds_up);
        Self { heads, adds_up, ..self }
    }

    /// True when something is missing from the output.
    pub fn has_losses(&self) -> bool {
        let broken = self.findings.list.iter().any(|finding| finding.severity == Severity::Broken);
        broken
            || self.samples.lost_samples() > 0
            || self.heads.iter().any(|head| head.lost() > 0)
            || self.samples.unreadable_chunks > 0
            || !self.adds_up
    }

    /// Exit code of the run: 0 all done, 1 done with losses that the report names.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.has_losses())
    }
}

/// True when the files of `unit` have as many rows of samples as were written.
fn has_its_rows(unit: &UnitRecord) -> bool {
    let of_samples = unit.files.iter().filter(|file| file.table != Table::Series.name());
    of_samples.map(|file| file.rows).sum::<u64>()
        == unit.tally.written + unit.tally.written_classic + unit.tally.windows
}
