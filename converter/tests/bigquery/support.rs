//! What the tests of the BigQuery kit share: kits of invented files, and a place where load.sh meets stand-ins for
//! bq and gcloud.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tsdb_converter::bigquery::{KitFile, KitInput, PublishedFile, kit};
use tsdb_converter::schema::{Table, TableSchema};
use tsdb_converter::sink::OutputOptions;
use tsdb_converter::time::PartitionBy;

/// A published file that owns its strings.
#[derive(Debug, Clone)]
pub struct File {
    pub table: &'static str,
    pub partition: String,
    pub path: String,
    pub checksum: String,
}

/// Options and files from which kits are made.
#[derive(Debug, Clone)]
pub struct Published {
    pub output: OutputOptions,
    pub partition_by: PartitionBy,
    pub dest_url: Option<String>,
    pub tables: Vec<Table>,
    pub files: Vec<File>,
}

impl Published {
    pub fn new(output: OutputOptions, partition_by: PartitionBy) -> Self {
        Self { output, partition_by, dest_url: None, tables: Table::RAW.to_vec(), files: Vec::new() }
    }

    /// `days` days from 2026-11-18 on, with a file of series and `files` files of samples each.
    pub fn days(days: i64, files: usize) -> Self {
        let mut published = Self::new(OutputOptions::default(), PartitionBy::Day);
        for day in 0..days {
            published.add(DAY_0_MS + day * DAY_MS, files);
        }
        published
    }

    /// Adds the files of the partition that holds `time_ms`.
    pub fn add(&mut self, time_ms: i64, files: usize) {
        let partition = self.partition_by.partition_of(time_ms).unwrap();
        for (table, files) in [("samples", files), ("series", 1)] {
            for part in 0..files {
                let fingerprint = "1f0c9a77";
                let name = format!("part-{}-0000-{fingerprint}-{part:04}", partition.key);
                let folder = Path::new(table).join(self.partition_by.folder(&partition));
                let path =
                    format!("{}/{name}.{}", folder.display(), self.output.extension()).replace("//", "/");
                let checksum = format!("{:08x}", time_ms / 1000 % 0xffff_ffff + part as i64);
                self.files.push(File { table, partition: partition.key.clone(), path, checksum });
            }
        }
    }

    /// With tables for raw samples and windows of 5 minutes and an hour.
    pub fn with_tiers(mut self) -> Self {
        self.tables = Table::of(["raw", "5m", "1h"].map(|resolution| resolution.parse().unwrap()));
        self
    }

    /// Puts the samples of a partition into another table, as a change of its tier does.
    pub fn change_tier(&mut self, partition: &str, table: &'static str) {
        self.change(partition);
        let of_samples = |file: &&mut File| file.partition == partition && file.table != "series";
        for file in self.files.iter_mut().filter(of_samples) {
            file.path = file.path.replace(&format!("{}/", file.table), &format!("{table}/"));
            file.table = table;
        }
    }

    /// Gives the files of a partition another fingerprint, as a redone unit has.
    pub fn change(&mut self, partition: &str) {
        for file in self.files.iter_mut().filter(|file| file.partition == partition) {
            file.path = file.path.replace("1f0c9a77", "2b33e0d1");
        }
    }

    /// The partitions of samples, in order.
    pub fn partitions(&self) -> Vec<String> {
        let mut partitions: Vec<String> = self.files.iter().map(|file| file.partition.clone()).collect();
        partitions.sort();
        partitions.dedup();
        partitions
    }

    pub fn kit(&self) -> Vec<KitFile> {
        let files: Vec<PublishedFile<'_>> = self
            .files
            .iter()
            .map(|file| PublishedFile {
                table: file.table,
                partition: &file.partition,
                path: &file.path,
                rows: 100,
                size_bytes: 4096,
                checksum: &file.checksum,
            })
            .collect();
        self.kit_of(&files)
    }

    /// The kit of these options with other files.
    pub fn kit_of(&self, files: &[PublishedFile<'_>]) -> Vec<KitFile> {
        let tables: Vec<TableSchema> =
            self.tables.iter().map(|&table| TableSchema::new(table, &self.output).unwrap()).collect();
        kit(&KitInput {
            tables: &tables,
            output: &self.output,
            partition_by: self.partition_by,
            dest_url: self.dest_url.as_deref(),
            files,
        })
    }
}

/// 2026-11-18T00:00:00Z.
pub const DAY_0_MS: i64 = 1_794_960_000_000;
pub const DAY_MS: i64 = 86_400_000;
pub const HOUR_MS: i64 = 3_600_000;

pub fn text(kit: &[KitFile], name: &str) -> String {
    let file =
        kit.iter().find(|file| file.name == name).unwrap_or_else(|| panic!("{name} is not in the kit"));
    String::from_utf8(file.contents.clone()).unwrap()
}

pub fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bigquery")
}

/// Compares with `tests/bigquery/<name>.expected`; with UPDATE=1 in the environment, writes it.
pub fn compare(name: &str, found: &str) {
    let path = assets().join(format!("{name}.expected"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} differs from {} (UPDATE=1 rewrites it):\n{found}", path.display());
}

/// How a run of load.sh ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Calls of bq and gcloud, and what was to be copied.
    pub calls: Vec<String>,
}

impl Run {
    /// The load jobs that were begun.
    pub fn loads(&self) -> Vec<&str> {
        let is_load = |call: &&String| call.starts_with("bq ") && call.contains(" load --");
        self.calls.iter().filter(is_load).map(String::as_str).collect()
    }

    /// For each load: target, and `replace` or `append`.
    pub fn targets(&self) -> Vec<String> {
        let target = |call: &&str| {
            let mode = if call.contains(" --replace") { "replace" } else { "append" };
            let call = call.replace("\\ ", "_");
            let words: Vec<&str> = call.split(' ').collect();
            format!("{mode} {}", words[words.len() - 3].replace('\\', ""))
        };
        self.loads().iter().map(target).collect()
    }

    /// As a transcript.
    pub fn transcript(&self, command: &str) -> String {
        let mut text = format!("$ {command}\n");
        for line in self.calls.iter().map(String::as_str).chain(self.stdout.lines()) {
            text += &format!("{line}\n");
        }
        for line in self.stderr.lines() {
            text += &format!("stderr: {line}\n");
        }
        text + &format!("exit {}\n\n", self.code)
    }
}

/// A DEST with a kit, and a project to load it into.
pub struct Project {
    folder: TempDir,
    dest: PathBuf,
}

impl Project {
    pub fn new(published: &Published) -> Self {
        Self::at("dest", published)
    }

    /// DEST has this name.
    pub fn at(name: &str, published: &Published) -> Self {
        let folder = TempDir::new().unwrap();
        let dest = folder.path().join(name);
        fs::create_dir_all(folder.path().join("stub")).unwrap();
        fs::create_dir_all(folder.path().join("tmp")).unwrap();
        let project = Self { folder, dest };
        project.publish(published);
        project
    }

    /// Writes the files and the kit, as a conversion does.
    pub fn publish(&self, published: &Published) {
        let kit_folder = self.kit_folder();
        fs::create_dir_all(&kit_folder).unwrap();
        for KitFile { name, executable, contents } in published.kit() {
            let path = kit_folder.join(name);
            fs::write(&path, contents).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
                .unwrap();
        }
        if published.dest_url.is_none() && published.files.len() < 100 {
            for file in &published.files {
                let path = self.dest.join(&file.path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &file.checksum).unwrap();
            }
        }
        fs::copy(kit_folder.join("files.tsv"), self.stub().join("files.tsv")).unwrap();
    }

    pub fn kit_folder(&self) -> PathBuf {
        self.dest.join("_promblock/bigquery")
    }

    pub fn stub(&self) -> PathBuf {
        self.folder.path().join("stub")
    }

    /// What happens to the next loads: ok, fail, lost or killed.
    pub fn next(&self, outcomes: &[&str]) {
        fs::write(self.stub().join("next"), outcomes.iter().map(|at| format!("{at}\n")).collect::<String>())
            .unwrap();
    }

    pub fn loaded_tsv(&self) -> String {
        fs::read_to_string(self.kit_folder().join("loaded.tsv")).unwrap_or_default()
    }

    /// Runs load.sh.
    pub fn load(&self, args: &[&str]) -> Run {
        self.load_with(&assets().join("stub"), args)
    }

    /// Runs load.sh with the executables of a folder before all others.
    pub fn load_with(&self, stubs: &Path, args: &[&str]) -> Run {
        self.load_in(&format!("{}:/usr/local/bin:/usr/bin:/bin", stubs.display()), args)
    }

    /// Runs load.sh with the executables of PATH alone.
    pub fn load_in(&self, path: &str, args: &[&str]) -> Run {
        let calls = self.stub().join("calls");
        let _ = fs::remove_file(&calls);
        // Not executed as it is: a file written a moment ago can still be busy when other threads fork.
        let output = Command::new("bash")
            .arg(self.kit_folder().join("load.sh"))
            .args(args)
            .current_dir(self.folder.path().join("tmp"))
            .env("PATH", path)
            .env("STUB", self.stub())
            .env("TMPDIR", self.folder.path().join("tmp"))
            .output()
            .unwrap();
        let place = self.dest.to_str().unwrap();
        let quoted: String = place.chars().flat_map(|c| quoted(c).chain([c])).collect();
        let readable = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(&quoted, "DEST").replace(place, "DEST")
        };
        Run {
            code: output.status.code().unwrap_or(-output.status.signal().unwrap_or(0)),
            stdout: readable(&output.stdout),
            stderr: readable(&output.stderr),
            calls: readable(&fs::read(calls).unwrap_or_default()).lines().map(str::to_owned).collect(),
        }
    }

    /// The paths' last parts that a table holds now, sorted.
    pub fn holds(&self, table: &str) -> Vec<String> {
        let uris = fs::read_to_string(self.stub().join(format!("tables/{table}.uris"))).unwrap_or_default();
        let mut names: Vec<String> =
            uris.lines().map(|uri| uri.rsplit('/').next().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// Asserts that the tables hold exactly the published files, each once.
    pub fn assert_loaded(&self, dataset: &str, published: &Published) {
        for table in published.tables.iter().map(|table| table.name()) {
            let files = published.files.iter().filter(|file| file.table == table);
            let mut expected: Vec<&str> = files.map(|file| file.path.rsplit('/').next().unwrap()).collect();
            expected.sort_unstable();
            assert_eq!(self.holds(&format!("{dataset}.{table}")), expected, "{table}");
        }
    }
}

/// What bash puts before a character when it prints it quoted.
fn quoted(c: char) -> impl Iterator<Item = char> {
    let plain = c.is_ascii_alphanumeric() || "/._-".contains(c);
    (!plain).then_some('\\').into_iter()
}
