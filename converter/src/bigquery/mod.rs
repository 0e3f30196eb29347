//! BigQuery kit: what it takes to load a DEST as it is, made anew by every run.
//!
//! ```text
//! DEST/_promblock/bigquery/
//!   README.txt            how to load, in three lines
//!   <table>.schema.json   schema files of bq
//!   tables.sql            CREATE TABLE, partitioned and clustered
//!   views.sql             star joined back to flat, all series, single labels, averages and rates of windows
//!   tables.tsv files.tsv  what load.sh goes by: tables, and published files by partition with a fingerprint
//!   load.sh               loads what is new or has changed
//!   loaded.tsv pending/   not ours: written by load.sh, which remembers in them what it has loaded
//! ```
//! A pure function from what is published: the same input gives the same bytes, and nothing is read or written
//! here. `load.sh` is the same for every DEST but for two lines, so what it does is in `files.tsv`.
//!
//! Choices that are BigQuery's more than ours:
//! - Samples and histograms demand a filter on `timestamp`, since a query without one reads every partition;
//!   `series` does not, for it is small and is searched by label.
//! - Clustering takes four columns: metric, the first two promoted labels, series_id.
//! - `series` comes first wherever tables are listed: samples never arrive before the series they belong to.
//! - A partition that has changed its tier leaves the table of its old resolution after it has come to that of the
//!   new one, so that a query over both never misses it. What DEST has no more at any resolution only `--prune` removes.

mod sql;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use xxhash_rust::xxh64::Xxh64;

use crate::dest::UnitRecord;
use crate::schema::{Field, Table, TableSchema};
use crate::sink::{Compression, Format, OutputOptions};
use crate::time::PartitionBy;

const LOAD: &str = include_str!("load.sh");
const LOAD_NOTHING: &str = include_str!("load_nothing.sh");

/// A published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedFile<'a> {
    /// The table it belongs to.
    pub table: &'a str,
    /// The value of the hive key `dt`, or `all`.
    pub partition: &'a str,
    /// Path relative to DEST.
    pub path: &'a str,
    /// Rows.
    pub rows: u64,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Checksum of the file, as the manifest has it.
    pub checksum: &'a str,
}

/// The files of committed units, as the kit wants them.
pub fn published_files(units: &[UnitRecord]) -> Vec<PublishedFile<'_>> {
    let mut published = Vec::new();
    for unit in units {
        published.extend(unit.files.iter().map(|file| PublishedFile {
            table: &file.table,
            partition: &unit.partition.key,
            path: &file.path,
            rows: file.rows,
            size_bytes: file.size_bytes,
            checksum: &file.crc32c,
        }));
    }
    published
}

/// What a kit is made from.
#[derive(Debug, Clone, Copy)]
pub struct KitInput<'a> {
    /// Every table that DEST can hold; one without files is created empty, so that the views find it.
    pub tables: &'a [TableSchema],
    /// Format, layout, compression and promoted labels.
    pub output: &'a OutputOptions,
    /// How output is cut by time.
    pub partition_by: PartitionBy,
    /// URL of DEST when it is an object store; a folder is found from where the kit lies.
    pub dest_url: Option<&'a str>,
    /// The published files, in any order.
    pub files: &'a [PublishedFile<'a>],
}

/// A file of the kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KitFile {
    /// Its name in the kit's folder.
    pub name: String,
    /// True for scripts.
    pub executable: bool,
    /// Its contents.
    pub contents: Vec<u8>,
}

impl KitFile {
    fn text(name: impl Into<String>, contents: String) -> Self {
        Self { name: name.into(), executable: false, contents: contents.into_bytes() }
    }
}

/// Makes the kit.
///
/// ```
/// use tsdb_converter::bigquery::{KitInput, PublishedFile, kit};
/// use tsdb_converter::schema::{Table, TableSchema};
/// use tsdb_converter::sink::OutputOptions;
/// use tsdb_converter::time::PartitionBy;
///
/// let output = OutputOptions::default();
/// let samples = TableSchema::new(Table::RAW[0], &output)?;
/// let file = PublishedFile {
///     table: "samples",
///     partition: "2026-11-20",
///     path: "samples/dt=2026-11-20/part-2026-11-20-0000-1f0c9a77-0000.parquet",
///     rows: 240,
///     size_bytes: 3179,
///     checksum: "5b1ca0d2",
/// };
/// let files = kit(&KitInput {
///     tables: &[samples],
///     output: &output,
///     partition_by: PartitionBy::Day,
///     dest_url: None,
///     files: &[file],
/// });
/// assert!(files.iter().any(|file| file.name == "load.sh" && file.executable));
/// # Ok::<(), tsdb_converter::columns::LabelColumnsError>(())
/// ```
pub fn kit(input: &KitInput<'_>) -> Vec<KitFile> {
    let mut tables: Vec<&TableSchema> = input.tables.iter().collect();
    tables.sort_by_key(|table| table.name != Table::Series.name());
    let mut files = vec![
        KitFile::text("README.txt", readme(input)),
        KitFile::text("tables.tsv", tables_tsv(&tables)),
        KitFile::text("files.tsv", files_tsv(input, &tables)),
        KitFile::text("tables.sql", sql::tables(&tables, input.partition_by)),
        KitFile::text("views.sql", sql::views(&tables, input.output.layout, input.partition_by)),
        KitFile { executable: true, ..KitFile::text("load.sh", load_sh(input)) },
    ];
    for table in tables {
        let json = serde_json::to_string_pretty(&table.bigquery_json()).unwrap_or_default();
        files.push(KitFile::text(format!("{}.schema.json", table.name), json + "\n"));
    }
    files
}

/// True when BigQuery can load what the options write.
fn can_load(output: &OutputOptions) -> bool {
    output.format == Format::Parquet || output.compression != Compression::Zstd
}

fn load_sh(input: &KitInput<'_>) -> String {
    if !can_load(input.output) {
        return LOAD_NOTHING.to_owned();
    }
    let flags = match input.output.format {
        Format::Parquet => "--source_format=PARQUET --parquet_enable_list_inference",
        Format::Ndjson => "--source_format=NEWLINE_DELIMITED_JSON",
    };
    // In single quotes only a single quote means something.
    let dest_url = input.dest_url.unwrap_or_default().replace('\'', r"'\''");
    LOAD.replace("@LOAD_FLAGS@", flags).replace("@DEST_URL@", &dest_url)
}

fn readme(input: &KitInput<'_>) -> String {
    let how = match can_load(input.output) {
        true => {
            "Make a dataset: bq --location=LOCATION mk -d DATASET\n\
                 Load, and again after every conversion: ./load.sh DATASET gs://BUCKET/STAGING (no staging for a DEST on GCS)\n\
                 Query samples with a filter on timestamp; views.sql shows the views and how labels are read.\n"
        }
        false => {
            "BigQuery cannot load NDJSON compressed with zstd: there is no load command here.\n\
                  Convert with --compression gzip or none, or with --format parquet, to another DEST.\n"
        }
    };
    let copy = input.dest_url.map_or_else(String::new, copy_first);
    format!(
        "{copy}{how}\nThis folder is written anew by every conversion, but for loaded.tsv and pending/: keep those, by them \
         load.sh\nknows what each dataset has. ./load.sh --help tells more, ./load.sh --dry-run prints the commands.\n"
    )
}

/// How the kit of a DEST in an object store comes to a disk, where it runs.
fn copy_first(dest_url: &str) -> String {
    let command = match dest_url.split_once("://") {
        Some(("gs", _)) => "gcloud storage rsync",
        Some(("s3", _)) => "aws s3 sync",
        _ => "by the tools of the store:",
    };
    format!(
        "Copy this folder to a disk, and again over that copy after every conversion:\n  \
         {command} {dest_url}/_promblock/bigquery kit\nIn the copy, run load.sh by: bash load.sh\n\n"
    )
}

/// The columns by which a table is clustered.
fn clustering(table: &TableSchema) -> Vec<&str> {
    const MOST: usize = 4;
    let mut columns = vec!["metric"];
    if table.name != Table::Series.name() {
        columns.extend(promoted(table).iter().take(MOST - 2).map(|field| field.name.as_str()));
    }
    columns.push("series_id");
    columns
}

/// Fields of promoted labels: those between `metric` and what follows the identity of a series.
fn promoted(table: &TableSchema) -> &[Field] {
    let after_metric = table.fields.iter().position(|field| field.name == "metric").map_or(0, |at| at + 1);
    let rest = table.fields.get(after_metric..).unwrap_or_default();
    let end = rest.iter().position(|field| field.name == "labels" || field.name == "series_id");
    rest.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn tables_tsv(tables: &[&TableSchema]) -> String {
    let mut tsv = String::from("table\tclustering\n");
    for table in tables {
        // Writing to a string cannot fail.
        let _ = writeln!(tsv, "{}\t{}", table.name, clustering(table).join(","));
    }
    tsv
}

fn files_tsv(input: &KitInput<'_>, tables: &[&TableSchema]) -> String {
    let mut tsv = String::from("table\tpartition\tdecorator\tfingerprint\tpath\trows\tbytes\n");
    for table in tables {
        let mut partitions: BTreeMap<&str, Vec<&PublishedFile<'_>>> = BTreeMap::new();
        for file in input.files.iter().filter(|file| file.table == table.name) {
            partitions.entry(file.partition).or_default().push(file);
        }
        for (partition, mut files) in partitions {
            files.sort_by_key(|file| file.path);
            let (decorator, fingerprint) = (decorator(partition, input.partition_by), fingerprint(&files));
            for PublishedFile { path, rows, size_bytes, .. } in files {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    tsv,
                    "{}\t{partition}\t{decorator}\t{fingerprint}\t{path}\t{rows}\t{size_bytes}",
                    table.name
                );
            }
        }
    }
    tsv
}

/// What BigQuery calls a partition: `2026-11-20T05` is `2026112005`. A table without partitions has `-`.
fn decorator(partition: &str, partition_by: PartitionBy) -> String {
    match partition_by {
        PartitionBy::None => "-".to_owned(),
        PartitionBy::Day | PartitionBy::Hour | PartitionBy::Month => partition.replace(['-', 'T'], ""),
    }
}

/// Hash of what a partition consists of. The checksums are in it: a file may change and keep its name, when a unit
/// with losses is done again and more can be read.
fn fingerprint(files: &[&PublishedFile<'_>]) -> String {
    let mut hash = Xxh64::new(0);
    for file in files {
        for part in [file.path, &file.size_bytes.to_string(), file.checksum] {
            hash.update(part.as_bytes());
            hash.update(&[0xff]);
        }
    }
    format!("{:016x}", hash.digest())
}

/// A string literal of BigQuery's SQL.
fn sql_string(text: &str) -> String {
    // The escapes of JSON strings are among those of GoogleSQL.
    Value::from(text).to_string()
}
