//! `check`: everything that must hold.

use std::fs;

use crate::run::{Done, azurite, cargo, command, python, root, run, target};
use crate::{fixtures, fuzz};

/// Cheap and telling first.
pub fn check() -> Done {
    fixtures::verify_checksums()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    azurite()?;
    cargo(&["test", "--workspace"])?;
    readers()?;
    let mut doc = command(env!("CARGO"), &["doc", "--workspace", "--no-deps", "--document-private-items"]);
    run(doc.env("RUSTDOCFLAGS", "--deny warnings"))?;
    fuzz::fuzz(5)
}

/// Outputs are opened by other people's software: DuckDB, pyarrow, Polars.
fn readers() -> Done {
    let python = python()?;
    let promblock = target().join("debug/promblock").to_string_lossy().into_owned();
    let fixtures = root().join("fixtures").to_string_lossy().into_owned();
    run(&mut command(&python, &["cli/tests/readers/readers.py", &promblock, &fixtures]))?;
    let snapshot = snapshot()?;
    run(&mut command(&python, &["cli/tests/readers/windows.py", &promblock, &snapshot]))?;
    // The SQL of the BigQuery kit, on the snapshot.
    for flags in [
        &["--layout", "star"][..],
        &["--layout", "flat"],
        &["--format", "ndjson", "--partition-by", "hour"],
        &["--resolution", "5m", "--label-columns", "job"],
        &["--resolution", "1m", "--layout", "flat", "--format", "ndjson"],
    ] {
        let dest = target().join("check");
        if dest.exists() {
            fs::remove_dir_all(&dest).map_err(|error| format!("{}: {error}", dest.display()))?;
        }
        let dest = dest.to_string_lossy().into_owned();
        run(command(&promblock, &["convert", "--quiet", &snapshot, "--to", &dest]).args(flags))?;
        run(&mut command(&python, &["converter/tests/bigquery/duckdb_views.py", &dest]))?;
    }
    run(&mut command(&python, &["converter/tests/bigquery/downsampling_page.py", "docs/downsampling.md"]))
}

/// The folder of the snapshot that is shipped.
pub fn snapshot() -> Done<String> {
    let mut entries = fs::read_dir(root().join("fixtures/snapshot")).map_err(|error| error.to_string())?;
    let snapshot =
        entries.find_map(|entry| entry.ok().map(|entry| entry.path()).filter(|path| path.is_dir()));
    snapshot
        .map(|path| path.to_string_lossy().into_owned())
        .ok_or_else(|| "fixtures/snapshot is empty".into())
}
