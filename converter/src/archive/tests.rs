//! Archives of fixtures, good and bad ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::testing::{Tar, gzip, header, zstd};
use super::*;
use crate::convert::{RunOptions, convert};
use crate::discover::{Choice, DiscoverError, Discovery, discover, discover_until};
use crate::error::error_chain;
use crate::options::ConvertOptions;
use crate::pipeline::Progress;
use crate::store::Stores;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// The ULIDs of the blocks in a fixture.
fn ulids(name: &str) -> Vec<String> {
    let entries = fs::read_dir(fixture(name)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.parse::<tsdb_reader::Ulid>().is_ok());
    names.sort();
    names
}

/// What is found in an archive, which is read as a stream too, and must give the same.
fn look(archive: &[u8]) -> Result<Discovery, DiscoverError> {
    let dir = scratch();
    let path = dir.path().join("x.tar");
    fs::write(&path, archive).unwrap();
    let all = look_at(&path, 64 << 20);
    fs::create_dir(dir.path().join("packed")).unwrap();
    let path = dir.path().join("packed/x.tar");
    fs::write(&path, gzip(archive)).unwrap();
    let streamed = look_at(&path, 0);
    match (&all, &streamed) {
        (Ok(all), Ok(streamed)) => {
            assert_eq!(places(all), places(streamed));
            assert_eq!(told(all), told(streamed));
        }
        (Err(_), Err(_)) => {}
        _ => panic!("{all:?} as a file, {streamed:?} as a stream"),
    }
    all
}

fn look_at(path: &Path, unpack_limit: u64) -> Result<Discovery, DiscoverError> {
    let read = ReadOptions::new(0, path.parent().unwrap().to_owned());
    let options = ReadOptions { unpack_limit, ..read };
    discover(&[path.to_owned()], &options)
}

/// Severity, name and place of each finding, the place from the archive on.
fn told(discovery: &Discovery) -> Vec<String> {
    let tell = |at: &Finding| {
        let place = at.place.rsplit_once("x.tar").unwrap().1;
        format!("{:?} {}{place}", at.severity, at.name)
    };
    discovery.findings.iter().map(tell).collect()
}

fn places(discovery: &Discovery) -> Vec<&str> {
    discovery.blocks.iter().map(|at| at.location.rsplit_once("x.tar").unwrap().1).collect()
}

/// Data files that a conversion of `source` writes, and how it ends.
fn converted(source: &Path, memory_limit: u64) -> (Vec<(String, Vec<u8>)>, u8) {
    let dest = scratch();
    let options = ConvertOptions::default();
    let run = RunOptions {
        threads: 2,
        memory_limit,
        temp_dir: dest.path().to_owned(),
        strict: false,
        include_head: true,
        stores: Stores::default(),
        choice: Choice::default(),
    };
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let out = dest.path().join("out");
    let report = convert(&[source.to_owned()], &out, &options, &run, &progress, &stop).unwrap();
    let mut files = Vec::new();
    let manifest: crate::dest::Manifest =
        serde_json::from_slice(&fs::read(out.join("_promblock/manifest.json")).unwrap()).unwrap();
    for file in manifest.units.iter().flat_map(|unit| &unit.files) {
        files.push((file.path.clone(), fs::read(out.join(&file.path)).unwrap()));
    }
    (files, report.exit_code())
}

#[test]
fn an_archive_converts_to_the_bytes_of_its_folder_however_it_is_packed() {
    for name in ["overlap_tombstones", "superseded", "midnight", "many_segments", "external_labels"] {
        let folder = fixture("blocks").join(name);
        let tar = Tar::default().folder("./data").tree("./data", &folder).end();
        let dir = scratch();
        let expected = converted(&folder, 512 << 20);
        assert!(!expected.0.is_empty());
        for (file, bytes) in [
            ("x.tar", tar.clone()),
            ("x.tar.gz", gzip(&tar)),
            ("x.tar.zst", zstd(&tar)),
            // Content decides, not the name.
            ("zstd.tar.gz", zstd(&tar)),
        ] {
            let path = dir.path().join(file);
            fs::write(&path, bytes).unwrap();
            // The smaller limit leaves no memory for what is unpacked.
            for memory_limit in [512 << 20, 120 << 20] {
                assert!(converted(&path, memory_limit) == expected, "{name} as {file}");
            }
        }
    }
}

#[test]
fn a_head_in_an_archive_converts_to_the_bytes_of_its_folder() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../tsdb-reader/tests/vectors");
    for name in ["datadir_plain", "datadir_memsnap"] {
        let dir = scratch();
        let folder = dir.path().join("data");
        let json = fs::read(format!("{vectors}/{name}.json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        for (path, file) in json["files"].as_object().unwrap() {
            let hex = file["hex"].as_str().unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
            let mut bytes: Vec<u8> = (0..hex.len() / 2).map(byte).collect();
            bytes.resize(usize::try_from(file["size"].as_u64().unwrap()).unwrap(), 0);
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let expected = converted(&folder, 512 << 20);
        assert!(!expected.0.is_empty());
        let tar = Tar::default().tree("x/data", &folder).end();
        for (file, bytes) in [("x.tar", tar.clone()), ("x.tgz", gzip(&tar))] {
            let path = dir.path().join(file);
            fs::write(&path, bytes).unwrap();
            assert!(converted(&path, 512 << 20) == expected, "{name} as {file}");
        }
    }
}

#[test]
fn blocks_are_found_at_any_depth() {
    let folder = fixture("blocks/overlap_three");
    let names = ulids("blocks/overlap_three");
    let expected = |prefix: &str| {
        let mut places: Vec<String> = names.iter().map(|name| format!(":{prefix}{name}")).collect();
        places.sort();
        places
    };
    for (root, prefix) in [
        (".", ""),
        ("data", "data/"),
        ("./snapshots/2026", "snapshots/2026/"),
        ("/var/lib/data", "var/lib/data/"),
    ] {
        let tar = Tar::default().member("./wal/00000000", b'0', b"w").tree(root, &folder).end();
        let found = look(&tar).unwrap();
        let mut found: Vec<_> = places(&found).into_iter().map(str::to_owned).collect();
        found.sort();
        assert_eq!(found, expected(prefix));
    }
}

#[test]
fn a_block_folder_may_be_the_archive_itself_or_have_any_name() {
    let [name] = <[String; 1]>::try_from(ulids("blocks/xor_basic")).unwrap();
    let folder = fixture("blocks/xor_basic").join(&name);
    let itself = look(&Tar::default().folder(".").tree(".", &folder).end()).unwrap();
    assert_eq!(places(&itself), [""]);
    let named = look(&Tar::default().tree("a/my block", &folder).end()).unwrap();
    assert_eq!(places(&named), [":a/my block"]);
}

#[test]
fn the_topmost_folder_of_blocks_is_read_and_the_others_are_named() {
    let (data, other) = (fixture("blocks/xor_basic"), fixture("blocks/midnight"));
    let tar =
        Tar::default().tree("old/backups/a", &other).tree("data", &data).tree("data/snapshots/b", &data);
    let found = look(&tar.end()).unwrap();
    assert_eq!(found.blocks.len(), 1);
    let expected = ["Skipped folder-of-blocks:old/backups/a", "Skipped folder-of-blocks:data/snapshots"]
        .map(str::to_owned);
    assert_eq!(told(&found), expected);
    let tenants = Tar::default().tree("tenants/a", &data).tree("tenants/b", &other).end();
    let message = crate::error::error_chain(&look(&tenants).unwrap_err());
    let expected = "several folders in it hold blocks: tenants/a, tenants/b; make an archive of one of them";
    assert!(message.ends_with(expected), "{message}");
}

/// A head, as names and bytes of its files.
fn head_files() -> Vec<(String, Vec<u8>)> {
    let folder = fixture("datadirs/head_plain/data");
    let mut files = Vec::new();
    for part in ["wal", "wbl", "chunks_head"] {
        let Ok(entries) = fs::read_dir(folder.join(part)) else { continue };
        for entry in entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file()) {
            let name = format!("{part}/{}", entry.file_name().to_str().unwrap());
            files.push((name, fs::read(entry.path()).unwrap()));
        }
    }
    files.sort();
    assert!(files.iter().any(|(name, _)| name.starts_with("wal/")));
    files
}

fn with_head(tar: Tar, folder: &str) -> Tar {
    head_files().into_iter().fold(tar, |tar, (name, bytes)| tar.file(&format!("{folder}/{name}"), &bytes))
}

/// What is found in an archive with its head, as a file and as a stream.
fn look_for_head(archive: &[u8]) -> [Result<Discovery, DiscoverError>; 2] {
    let dir = scratch();
    let path = dir.path().join("x.tar");
    [archive.to_vec(), gzip(archive)].map(|bytes| {
        fs::write(&path, bytes).unwrap();
        let read = ReadOptions { include_head: true, ..ReadOptions::new(256 << 20, dir.path().to_owned()) };
        discover(std::slice::from_ref(&path), &read)
    })
}

#[test]
fn a_head_apart_from_the_blocks_is_read_named_or_refused() {
    let blocks = fixture("blocks/xor_basic");
    let snapshot = with_head(Tar::default(), "data").tree("data/snapshots/s", &blocks).end();
    assert_eq!(told(&look(&snapshot).unwrap()), ["Skipped head:data"]);
    for found in look_for_head(&snapshot) {
        let found = found.unwrap();
        assert!(found.blocks.iter().all(|block| block.is_head));
        assert_eq!(told(&found), ["Skipped folder-of-blocks:data/snapshots"]);
    }
    let apart = with_head(Tar::default().tree("a", &blocks), "b").end();
    assert_eq!(told(&look(&apart).unwrap()), ["Skipped head:b"]);
    for refused in look_for_head(&apart) {
        let message = crate::error::error_chain(&refused.unwrap_err());
        let expected = "several folders in it hold blocks or heads: a, b; make an archive of one of them";
        assert!(message.ends_with(expected), "{message}");
    }
    let both = with_head(with_head(Tar::default().tree("a", &blocks), "a"), "a/b/c/old").end();
    for found in look_for_head(&both) {
        let found = found.unwrap();
        assert_eq!(found.heads.accounts.len(), 1);
        assert_eq!(told(&found), ["Skipped head:a/b/c/old"]);
    }
    let deep = Tar::default()
        .tree("a", &blocks)
        .tree("a/b/c/d", &blocks)
        .tree("e/no-ulid", &blocks.join(&ulids("blocks/xor_basic")[0]));
    let expected = ["Skipped folder-of-blocks:a/b/c/d", "Skipped foreign-name:e/no-ulid"];
    assert_eq!(told(&look(&deep.end()).unwrap()), expected);
}

#[test]
fn links_to_parts_of_a_head_and_to_blocks_are_followed_within_the_archive() {
    let [name] = <[String; 1]>::try_from(ulids("blocks/xor_basic")).unwrap();
    let blocks = fixture("blocks/xor_basic");
    let straight = with_head(Tar::default().tree("d", &blocks), "d").end();
    let expected = look_for_head(&straight).map(|found| samples(&found.unwrap()));
    let files = with_head(Tar::default().tree("moved/blocks/b", &blocks.join(&name)), "moved");
    let linked = Tar::default()
        .link("d/wal", b'2', "../moved/wal")
        .link("d/wbl", b'2', "/moved/wbl")
        .link("d/chunks_head", b'2', "./x/../../moved/chunks_head")
        .link(&format!("d/{name}"), b'2', "../moved/blocks/b");
    for found in look_for_head(&Tar { bytes: [linked.bytes, files.bytes].concat() }.end()) {
        let found = found.unwrap();
        assert_eq!([samples(&found), samples(&found)], expected);
        assert_eq!(told(&found), Vec::<String>::new());
    }
}

/// Samples of the blocks found, by their metas.
fn samples(found: &Discovery) -> Vec<u64> {
    found.blocks.iter().map(|found| found.block.meta().stats.num_samples).collect()
}

#[test]
fn links_that_lead_nowhere_are_named() {
    let [name] = <[String; 1]>::try_from(ulids("blocks/xor_basic")).unwrap();
    let folder = fixture("blocks/xor_basic");
    for target in ["/mnt/wal", "../../../wal", "wal", "."] {
        let tar = Tar::default().tree("d", &folder).link("d/wal", b'2', target).end();
        assert_eq!(told(&look(&tar).unwrap()), ["Skipped head:d"]);
        for found in look_for_head(&tar) {
            let found = found.unwrap();
            assert_eq!(told(&found), ["Broken unreadable-head:d"]);
            let message = &found.findings[0].message;
            assert!(message.contains(&format!("it is a link to {target}, which leads nowhere")), "{message}");
        }
    }
    let checkpoint = with_head(Tar::default().tree("d", &folder), "d");
    let checkpoint = checkpoint.link("d/wal/checkpoint.00000000", b'2', "gone").end();
    for found in look_for_head(&checkpoint) {
        assert_eq!(told(&found.unwrap()), ["Broken unreadable-head:d"]);
    }
    let block = folder.join(&name);
    let meta = fs::read(block.join("meta.json")).unwrap();
    let chunks = Tar::default()
        .file(&format!("d/{name}/meta.json"), &meta)
        .file(&format!("d/{name}/index"), &fs::read(block.join("index")).unwrap())
        .link(&format!("d/{name}/chunks"), b'2', "/elsewhere");
    let found = look(&chunks.end()).unwrap();
    assert_eq!(told(&found), [format!("Broken unreadable-block:d/{name}")]);
    assert!(found.findings[0].message.starts_with("cannot read chunks: it is a link to /elsewhere, which"));
    let index = Tar::default().tree("d", &folder).link(&format!("d/{name}/index"), b'2', "nowhere");
    let found = look(&index.end()).unwrap();
    let message = &found.findings[0].message;
    assert!(message.starts_with("cannot read index: it is a link that leads nowhere"), "{message}");
}

#[test]
fn reading_ends_when_asked_to_stop() {
    let tar = Tar::default().tree("d", &fixture("blocks/overlap_three")).end();
    let dir = scratch();
    let path = dir.path().join("x.tar");
    for bytes in [tar.clone(), gzip(&tar)] {
        fs::write(&path, bytes).unwrap();
        let read = ReadOptions::new(64 << 20, dir.path().to_owned());
        let stopped = discover_until(std::slice::from_ref(&path), &read, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(DiscoverError::Stopped)), "{stopped:?}");
    }
}

#[test]
fn hard_links_resolve_to_what_was_there() {
    let [name] = <[String; 1]>::try_from(ulids("blocks/xor_basic")).unwrap();
    let folder = fixture("blocks/xor_basic");
    let mut tar = Tar::default().tree("data/snapshots/s", &folder).folder(&format!("data/{name}"));
    for file in ["meta.json", "index", "chunks/000001", "tombstones"] {
        tar = tar.link(&format!("data/{name}/{file}"), b'1', &format!("./data/snapshots/s/{name}/{file}"));
    }
    let found = look(&tar.clone().end()).unwrap();
    assert_eq!(places(&found), [format!(":data/{name}")]);
    // What takes the place of the target later does not change the link; a link to nothing breaks its block.
    let changed = tar.clone().file(&format!("data/snapshots/s/{name}/index"), b"");
    assert_eq!(look(&changed.end()).unwrap().blocks.len(), 1);
    let dangling = tar.link(&format!("data/{name}/index"), b'1', "nowhere").end();
    let found = look(&dangling).unwrap();
    assert_eq!(found.blocks.len(), 0);
    let message = &found.findings.iter().find(|at| at.severity == Severity::Broken).unwrap().message;
    assert!(message.starts_with("cannot read index: it is a hard link to a file"), "{message}");
}

#[test]
fn the_last_of_several_members_with_one_name_wins() {
    let [name] = <[String; 1]>::try_from(ulids("blocks/xor_basic")).unwrap();
    let folder = fixture("blocks/xor_basic");
    let broken = Tar::default().tree("d", &folder).file(&format!("d/{name}/index"), b"broken").end();
    assert_eq!(told(&look(&broken).unwrap()), [format!("Broken unreadable-block:d/{name}")]);
    let mended = Tar::default().file(&format!("d/{name}/index"), b"broken").tree("d", &folder).end();
    assert_eq!(look(&mended).unwrap().blocks.len(), 1);
}

#[test]
fn links_sparse_files_and_names_that_lead_out_are_named() {
    let [name] = <[String; 1]>::try_from(ulids("blocks/xor_basic")).unwrap();
    let folder = fixture("blocks/xor_basic");
    let other = "01HF0000000000000000000001";
    let tar = Tar::default()
        .tree("d", &folder)
        .link(&format!("d/{other}"), b'2', "/elsewhere")
        .file("../../etc/index", b"x")
        .end();
    let expected = ["Broken archive-name".to_owned(), format!("Broken unreadable-block:d/{other}")];
    assert_eq!(told(&look(&tar).unwrap()), expected);

    let index = format!("d/{name}/index");
    let sparse = Tar::default().tree("d", &folder).member(&index, b'S', b"pieces").end();
    let records = [record("GNU.sparse.major", "1"), record("GNU.sparse.name", &index)].concat();
    let posix = Tar::default().tree("d", &folder).member("x", b'x', &records).file("d/other", b"pieces");
    for tar in [sparse, posix.end()] {
        let found = look(&tar).unwrap();
        let message = &found.findings[0].message;
        assert!(message.contains("make the archive without --sparse"), "{message}");
    }
}

/// A POSIX record.
fn record(key: &str, value: &str) -> Vec<u8> {
    let text = format!(" {key}={value}\n");
    let len = (1..6).map(|digits| text.len() + digits).find(|len| len.to_string().len() + text.len() == *len);
    format!("{}{text}", len.unwrap()).into_bytes()
}

#[test]
fn long_names_and_sizes_come_from_either_extension() {
    let [name] = <[String; 1]>::try_from(ulids("blocks/xor_basic")).unwrap();
    let folder = fixture("blocks/xor_basic").join(&name);
    let deep = format!("{}/{name}", "a-folder-with-a-long-name/".repeat(9).trim_end_matches('/'));
    let gnu = look(&Tar::default().tree(&deep, &folder).end()).unwrap();
    assert_eq!(places(&gnu), [format!(":{deep}")]);

    let mut posix = Tar::default();
    for file in ["meta.json", "index", "chunks/000001", "tombstones"] {
        let bytes = fs::read(folder.join(file)).unwrap();
        let size = bytes.len().to_string();
        let records = [record("path", &format!("{deep}/{file}")), record("size", &size)].concat();
        posix = posix.member("PaxHeader", b'x', &records);
        // The size in the header is another one: the record's is the one that counts.
        let at = posix.bytes.len();
        posix = posix.file("short", &bytes);
        posix.bytes[at..at + BLOCK_BYTES].copy_from_slice(&header("short", b'0', 0));
    }
    assert_eq!(places(&look(&posix.end()).unwrap()), [format!(":{deep}")]);
}

#[test]
fn archives_that_are_joined_are_read_to_the_last() {
    let (a, b) = (fixture("blocks/xor_basic"), fixture("blocks/midnight"));
    let (a, b) = (Tar::default().tree("d", &a).end(), Tar::default().tree("d", &b).end());
    let joined = [a.clone(), b.clone()].concat();
    assert_eq!(look(&joined).unwrap().blocks.len(), 1 + ulids("blocks/midnight").len());
    let dir = scratch();
    let path = dir.path().join("x.tar");
    // Members of gzip and frames of zstd may be joined as well.
    for packed in [[gzip(&a), gzip(&b)].concat(), [zstd(&a), zstd(&b)].concat()] {
        fs::write(&path, packed).unwrap();
        assert_eq!(look_at(&path, 1 << 20).unwrap().blocks.len(), 1 + ulids("blocks/midnight").len());
    }
    let trailing = [a, vec![b'x'; 700]].concat();
    assert_eq!(told(&look(&trailing).unwrap()), ["Note archive-trailing-bytes"]);
}

#[test]
fn an_archive_cut_anywhere_gives_the_blocks_before_and_names_the_cut() {
    let folder = fixture("blocks/overlap_three");
    let names = ulids("blocks/overlap_three");
    let whole = Tar::default().tree("d", &folder).end();
    let mut counts = std::collections::BTreeSet::new();
    for len in (0..whole.len() - 1024).step_by(311) {
        match look(&whole[..len]) {
            Ok(found) => {
                let cut = told(&found).iter().filter(|at| *at == "Broken archive-cut").count();
                assert_eq!(cut, 1, "cut at {len}");
                counts.insert(found.blocks.len());
                for at in &found.blocks {
                    // A block that is read is whole but for segments that are missed when they are read.
                    assert!(at.block.tombstones().is_ok());
                }
            }
            Err(error) => {
                let message = crate::error::error_chain(&error);
                let expected = ["is empty", "no tar archive", "archive ends early", "no end mark"];
                assert!(expected.iter().any(|at| message.contains(at)), "cut at {len}: {message}");
            }
        }
    }
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), (0..=names.len()).collect::<Vec<_>>());
}

#[test]
fn zeros_behind_a_packed_archive_are_its_padding_and_anything_else_is_named() {
    let packed = gzip(&Tar::default().tree("data", &fixture("blocks/xor_basic")).end());
    let dir = scratch();
    let path = dir.path().join("x.tar");
    let told_behind = |tail: &[u8]| {
        fs::write(&path, [&packed[..], tail].concat()).unwrap();
        let found = look_at(&path, 64 << 20).unwrap();
        assert_eq!(found.blocks.len(), ulids("blocks/xor_basic").len());
        told(&found)
    };
    assert_eq!(told_behind(&[0; 7000]), Vec::<String>::new());
    assert_eq!(told_behind(b"rubbish of some length"), ["Broken archive-cut"]);
}

#[test]
fn an_archive_of_which_nothing_is_read_says_why() {
    let why = |archive: &[u8]| error_chain(&look(archive).unwrap_err());
    let outside = Tar::default().file("../meta.json", b"{}").file("../index", b"x").end();
    let told = why(&outside);
    assert!(told.ends_with("; ../meta.json and 1 more leads out of the archive and is not read"), "{told}");
    let noise: Vec<u8> = (0u32..5000).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let whole = gzip(&Tar::default().file("data/other", &noise).end());
    let dir = scratch();
    let path = dir.path().join("x.tar.gz");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let told = error_chain(&look_at(&path, 64 << 20).unwrap_err());
    assert!(told.contains("; the archive ends early, before any file of a block"), "{told}");
}

#[test]
fn a_broken_header_ends_the_archive() {
    let folder = fixture("blocks/overlap_three");
    let names = ulids("blocks/overlap_three");
    let first = Tar::default().tree("d", &folder);
    let mut broken = first.clone();
    broken.bytes.extend_from_slice(&[b'x'; BLOCK_BYTES]);
    let found = look(&broken.tree("e", &folder).end()).unwrap();
    assert_eq!(found.blocks.len(), names.len());
    let cut = found.findings.iter().find(|at| at.name == "archive-cut").unwrap();
    let expected = format!("at offset {:#x}, and what follows is not read", first.bytes.len() + 148);
    assert!(cut.message.contains(&expected), "{}", cut.message);
}

#[test]
fn claimed_sizes_take_no_memory() {
    let claims = |kind: u8, name: &str| {
        let mut tar = Tar::default().tree("d", &fixture("blocks/xor_basic"));
        tar.bytes.extend_from_slice(&header(name, kind, u64::MAX >> 1));
        tar.bytes.extend_from_slice(b"little");
        tar.bytes
    };
    for kind in [b'0', b'L', b'K', b'x', b'g', b'S', b'D'] {
        let dir = scratch();
        let path = dir.path().join("x.tar");
        for bytes in [claims(kind, "other"), claims(kind, "other/index")] {
            fs::write(&path, &bytes).unwrap();
            assert_eq!(look_at(&path, 1 << 20).unwrap().blocks.len(), 1, "kind {kind}");
            fs::write(&path, gzip(&bytes)).unwrap();
            match look_at(&path, 1 << 20) {
                Ok(found) => assert_eq!(found.blocks.len(), 1, "kind {kind}"),
                // As large as no disk is.
                Err(error) => assert!(crate::error::error_chain(&error).contains("are free there")),
            }
        }
    }
}

#[test]
fn what_is_no_archive_is_refused_with_what_it_is() {
    for (bytes, expected) in [
        (&b""[..], "it is empty; give"),
        (b"hello", "it is a file, and no tar archive; give"),
        (b"\xfd7zXZ\0", "it is packed with xz; unpack it with `xz -d` first; give"),
        (b"PK\x03\x04", "it is a zip archive; give"),
        (&gzip(b"hello")[..], "no block in SOURCE"),
        (&gzip(&[b'x'; 600])[..], "it is packed, but no tar archive inside; give"),
        (&[0; 1024], "no block in SOURCE"),
    ] {
        let dir = scratch();
        let path = dir.path().join("x.tar");
        fs::write(&path, bytes).unwrap();
        let message = crate::error::error_chain(&look_at(&path, 1 << 20).unwrap_err());
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let whole = Tar::default().tree("d", &fixture("blocks/overlap_equal")).end();
    let dir = scratch();
    let path = dir.path().join("x.tar");
    for packed in [whole.clone(), gzip(&whole), zstd(&whole)] {
        for at in (0..packed.len()).step_by(packed.len() / 150 + 1) {
            let mut bytes = packed.clone();
            bytes[at] ^= 0x55;
            fs::write(&path, bytes).unwrap();
            let _whatever = look_at(&path, 1 << 20);
        }
    }
}
