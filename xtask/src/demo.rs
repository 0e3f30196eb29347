//! `demo`: the first thing to try.

use std::fs;

use crate::check::snapshot;
use crate::run::{Done, cargo, command, python, run, say, target};

/// Converts the shipped snapshot with a release build and queries the result with DuckDB.
pub fn demo() -> Done {
    cargo(&["build", "--release", "--package", "promblock"])?;
    let python = python()?;
    let out = target().join("demo");
    if out.exists() {
        fs::remove_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    }
    let promblock = target().join("release/promblock");
    let out = out.to_string_lossy().into_owned();
    let snapshot = snapshot()?;
    run(&mut command(promblock, &["convert", &snapshot, "--to", &out]))?;
    say("\nThe same, seen by DuckDB:");
    run(&mut command(python, &["cli/tests/readers/demo.py", &out]))
}
