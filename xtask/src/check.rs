//! `check`: everything that must hold.

use crate::run::{Done, cargo, command, python, root, run, target};
use crate::{fixtures, fuzz};

/// Cheap and telling first.
pub fn check() -> Done {
    fixtures::verify_checksums()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
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
    run(&mut command(python, &["cli/tests/readers/readers.py", &promblock, &fixtures]))
}
