//! `fixtures`: the pinned reference implementation writes blocks and expected samples.

use crate::run::{Done, command, root, run};

/// Writes `fixtures/blocks`, `broken`, `buckets`, `datadirs`, `thanos`, `thanos_broken` and `expected` again. The snapshot of a running server stays as it is.
pub fn regenerate() -> Done {
    go(&["run", ".", "--out", ".."])
}

/// Writes the benchmark block of 24 million samples.
pub fn large(folder: &str) -> Done {
    let folder = std::path::absolute(folder).map_err(|error| format!("{folder}: {error}"))?;
    go(&["run", ".", "--large", &folder.to_string_lossy()])
}

/// Runs Go in the generator's folder.
pub fn go(args: &[&str]) -> Done {
    run(command("go", args).current_dir(root().join("fixtures/generate")))
}

/// What git has of the fixtures is what the generator wrote.
pub fn verify_checksums() -> Done {
    run(&mut command("python3", &["fixtures/verify.py"]))
}
