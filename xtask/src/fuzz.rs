//! `fuzz`: every target for a short time, seeded from the fixtures and from `fuzz/corpus/<target>`.

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
    let list = output(&mut command(env!("CARGO"), &["fuzz", "list"]))?;
    for name in list.lines() {
        // What is found goes into the first folder; the others are read alone.
        let found = target().join("fuzz-corpus").join(name);
        let kept = root().join("fuzz/corpus").join(name);
        let folders = [found, kept, seeds.join(name)];
        for folder in &folders {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let [found, kept, seeds] = folders.map(|folder| folder.to_string_lossy().into_owned());
        let time = format!("-max_total_time={seconds}");
        let max_len = format!("-max_len={MAX_LEN}");
        let args = ["fuzz", "run", "--sanitizer", "none", name, &found, &kept, &seeds, "--", &time, &max_len];
        let mut command = command(env!("CARGO"), &args);
        // cargo-fuzz passes flags that stable knows but does not admit.
        run(command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_PROFILE_RELEASE_LTO", "off"))?;
    }
    say(&format!("fuzz targets: {}, {seconds} s each", list.lines().count()));
    Ok(())
}

/// Input of a target at most.
const MAX_LEN: usize = 65536;

/// Targets that take the data of a chunk, by its encoding.
const CHUNK_TARGETS: [(u8, &str); 7] = [
    (1, "xor"),
    (2, "histogram"),
    (3, "float_histogram"),
    (4, "xor2"),
    (5, "histogram_st"),
    (6, "float_histogram_st"),
    (0xff, "aggregate"),
];

/// Seeds of one encoding that one block gives at most.
const CHUNKS_OF_A_BLOCK: usize = 8;

/// Whole files of fixtures and vectors, the chunks in them, whole blocks, and archives of them, by the target that takes
/// them.
fn write_seeds(seeds: &Path) -> Done {
    let mut blocks = Vec::new();
    for folder in ["blocks", "broken", "thanos", "thanos_broken"] {
        find_blocks(&root().join("fixtures").join(folder), &mut blocks)?;
    }
    let archives = seeds.join("tar");
    fs::create_dir_all(&archives).map_err(|error| format!("{}: {error}", archives.display()))?;
    for (at, block) in blocks.iter().enumerate() {
        let block_path = block.to_string_lossy();
        for (pack, suffix) in [("-cf", "tar"), ("-czf", "gz")] {
            let archive = archives.join(format!("{at:04}.{suffix}")).to_string_lossy().into_owned();
            run(&mut command("tar", &[pack, &archive, "-C", &block_path, "."]))?;
        }
        let mut whole = vec![u8::try_from(at % 256).unwrap_or(0); 8];
        for file in ["meta.json", "index", "tombstones", "chunks/000001", "chunks/000002"] {
            let bytes = fs::read(block.join(file)).unwrap_or_default();
            whole.extend(u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
            whole.extend(bytes);
        }
        if whole.len() <= MAX_LEN {
            write_seed(seeds, &["pieces"], &format!("{at:04}"), &whole)?;
        }
        for (file, targets) in [
            ("meta.json", &["meta"][..]),
            ("index", &["index", "postings"][..]),
            ("tombstones", &["tombstones"][..]),
            ("chunks/000001", &["chunk_entry"][..]),
        ] {
            let Ok(bytes) = fs::read(block.join(file)) else { continue };
            write_seed(seeds, targets, &format!("{at:04}"), &bytes)?;
            if file == "chunks/000001" {
                for (encoding, target) in CHUNK_TARGETS {
                    let chunks = chunks_of(&bytes).filter(|(found, _)| *found == encoding);
                    for (number, (_, data)) in chunks.take(CHUNKS_OF_A_BLOCK).enumerate() {
                        write_seed(seeds, &[target], &format!("{at:04}-{number}"), data)?;
                    }
                }
            }
        }
    }
    write_head_seeds(seeds, &root().join("fixtures/datadirs"), "datadirs")?;
    let vectors = root().join("tsdb-reader/tests/vectors");
    let records = ["wal_records", "wal_segments", "head_chunks", "datadir_memsnap", "datadir_st_xor2"];
    let aggregates = ["aggr_chunks", "thanos_downsample_edge"];
    for name in records.into_iter().chain(aggregates) {
        let path = vectors.join(format!("{name}.json"));
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for (at, (file, bytes)) in hex_files(&text).enumerate() {
            let targets = match file {
                _ if aggregates.contains(&name) => &["aggregate"][..],
                // Records by themselves have no name.
                "" => &["wal_record"],
                file => head_targets(name, file),
            };
            write_seed(seeds, targets, &format!("{name}-{at:04}"), &bytes)?;
        }
    }
    Ok(())
}

fn write_seed(seeds: &Path, targets: &[&str], name: &str, bytes: &[u8]) -> Done {
    for target in targets {
        let folder = seeds.join(target);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Files of all heads in `folder`.
fn write_head_seeds(seeds: &Path, folder: &Path, name: &str) -> Done {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = format!("{name}-{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            write_head_seeds(seeds, &path, &name)?;
        } else {
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            write_seed(seeds, head_targets("", &path.to_string_lossy()), &name, &bytes)?;
        }
    }
    Ok(())
}

/// The targets that take a file of a head, by its path.
fn head_targets(vector: &str, path: &str) -> &'static [&'static str] {
    if path.contains("chunk_snapshot.") {
        &["chunk_snapshot", "wal_segment"]
    } else if path.contains("chunks_head/") || vector == "head_chunks" {
        &["head_chunks"]
    } else if path.contains("wal/") || path.contains("wbl/") || vector == "wal_segments" {
        &["wal_segment"]
    } else {
        &[]
    }
}

/// The values of all fields `hex`, each with the name of the object it stands in, if that has one.
fn hex_files(json: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    json.match_indices("\"hex\":\"").filter_map(|(at, field)| {
        let (before, after) = json.split_at_checked(at)?;
        let (hex, _) = after.strip_prefix(field)?.split_once('"')?;
        let object = before.trim_end().strip_suffix('{').and_then(|before| before.strip_suffix("\":"));
        let name = object.and_then(|before| before.rsplit('"').next()).unwrap_or_default();
        let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or_default());
        let bytes: Option<Vec<_>> = digits.map(|digits| u8::from_str_radix(digits, 16).ok()).collect();
        Some((name, bytes?))
    })
}

/// Encoding and data of the chunks of a segment, up to the first that cannot be.
fn chunks_of(segment: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = segment.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            length |= usize::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if *byte < 0x80 {
                break;
            }
        }
        let (encoding, after) = rest.split_first()?;
        let (data, after) = after.split_at_checked(length)?;
        rest = after.get(4..)?; // The checksum.
        Some((*encoding, data))
    })
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
