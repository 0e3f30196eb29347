//! `fuzz`: every target for a short time, seeded from the fixtures.

use std::fs;
use std::path::Path;

use crate::run::{Done, cargo, command, output, root, run, say, target};

/// Runs each target for `seconds`, always from the same random seed: a check that fails once fails again. Works on a
/// stable toolchain.
pub fn fuzz(seconds: u64) -> Done {
    if output(&mut command(env!("CARGO"), &["fuzz", "--version"])).is_err() {
        cargo(&["install", "cargo-fuzz", "--locked", "--version", "0.13.2"])?;
    }
    let seeds = target().join("fuzz-seeds");
    write_seeds(&seeds)?;
    let seeds = seeds.to_string_lossy().into_owned();
    let list = output(&mut command(env!("CARGO"), &["fuzz", "list"]))?;
    for name in list.lines() {
        let corpus = target().join("fuzz-corpus").join(name);
        fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        let (corpus, seeds) = (corpus.to_string_lossy().into_owned(), format!("{seeds}/{name}"));
        fs::create_dir_all(&seeds).map_err(|error| format!("{seeds}: {error}"))?;
        let time = format!("-max_total_time={seconds}");
        let args =
            ["fuzz", "run", "--sanitizer", "none", name, &corpus, &seeds, "--", &time, "-max_len=65536"];
        let mut command = command(env!("CARGO"), &args);
        // cargo-fuzz passes flags that stable knows but does not admit.
        run(command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_PROFILE_RELEASE_LTO", "off"))?;
    }
    say(&format!("fuzz targets: {}, {seconds} s each", list.lines().count()));
    Ok(())
}

/// Whole files of all fixture blocks, by the target that takes them.
fn write_seeds(seeds: &Path) -> Done {
    let mut blocks = Vec::new();
    for folder in ["blocks", "broken"] {
        find_blocks(&root().join("fixtures").join(folder), &mut blocks)?;
    }
    for (at, block) in blocks.iter().enumerate() {
        for (file, targets) in [
            ("meta.json", &["meta"][..]),
            ("index", &["index", "postings"][..]),
            ("tombstones", &["tombstones"][..]),
            ("chunks/000001", &["chunk_entry", "xor", "xor2"][..]),
        ] {
            let Ok(bytes) = fs::read(block.join(file)) else { continue };
            for target in targets {
                let folder = seeds.join(target);
                fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
                let path = folder.join(format!("{at:04}"));
                fs::write(&path, &bytes).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
    }
    Ok(())
}

fn find_blocks(folder: &Path, blocks: &mut Vec<std::path::PathBuf>) -> Done {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.join("meta.json").exists() || path.join("index").exists() {
            blocks.push(path);
        } else if path.is_dir() {
            find_blocks(&path, blocks)?;
        }
    }
    blocks.sort();
    Ok(())
}
