//! Arguments: what the command line may say. Each command turns its part into the options of the library once.

pub mod values;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use tsdb_converter::anatomy::Part;
use tsdb_converter::convert::RunOptions;
use tsdb_converter::discover::{Choice, ReadOptions, STANDARD_INPUT};
use tsdb_converter::downsample::{DownsampleOptions, Tier, read_rules};
use tsdb_converter::error::error_chain;
use tsdb_converter::options::{ConvertOptions, Histograms, StaleMarkers};
use tsdb_converter::relabel::{LabelOptions, TENANT};
use tsdb_converter::resolution::Resolution;
use tsdb_converter::sink::{Compression, Format, Layout, OutputOptions, Profile};
use tsdb_converter::store::Stores;
use tsdb_converter::store::config::{open_config, open_config_file};
use tsdb_converter::store::location::Environment;
use tsdb_converter::time::PartitionBy;

use values::{
    Secret, Selector, Shards, Width, choice, delay, label, lookback, selector, shards, size_bytes, tier,
    time_ms, window,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str = "\
Exit codes: 0 all done; 1 done, with losses or broken input that the report names; 2 failed or misused, nothing new \
is published; 130 and 143 stopped by SIGINT and SIGTERM.";

/// Prometheus TSDB blocks to Parquet or NDJSON that BigQuery loads as it is.
#[derive(Debug, Parser)]
#[command(name = "promblock", version, styles = STYLES, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to talk.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// How to talk; for every command.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Messages")]
pub struct TalkArgs {
    /// Say nothing but errors on standard error, and show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on standard error
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Form of the messages on standard error
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Form of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Convert blocks to Parquet or NDJSON
    Convert(Box<ConvertArgs>),
    /// Show what blocks hold: series, samples, encodings, the biggest metrics and labels
    Inspect(InspectArgs),
    /// Check every checksum, order, reference, count and time of blocks
    Verify(VerifyArgs),
    /// Print samples as text
    Dump(DumpArgs),
    /// Print the schema of the output tables for the options given
    Schema(SchemaArgs),
    /// List the units of work of a conversion, one JSON line each, to spread them over machines
    Plan(Box<PlanArgs>),
    /// Publish a conversion whose units were converted with `convert --unit`
    Commit(CommitArgs),
    /// Print a completion script
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// Where blocks are.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// A block folder (meta.json, index, chunks), or a folder of blocks: snapshot, data directory, bucket on disk;
    /// or a .tar, .tar.gz or .tar.zst of one, - for standard input;
    /// or a prefix of a bucket: s3://BUCKET/PREFIX, gs://, az://, https://, file:///
    #[arg(
        value_name = "SOURCE",
        required_unless_present_any = ["objstore_config_file", "objstore_config"],
        value_hint = ValueHint::AnyPath
    )]
    sources: Vec<PathBuf>,
    /// Thanos' bucket configuration, a YAML file: each SOURCE is a prefix in that bucket, none means all of it
    #[arg(long = "objstore.config-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    objstore_config_file: Option<PathBuf>,
    /// The same as YAML; who may list processes sees the keys in it
    #[arg(long = "objstore.config", value_name = "YAML", conflicts_with = "objstore_config_file")]
    objstore_config: Option<Secret>,
    /// Read the heads of data directories too: the newest hours, which are in no block yet
    #[arg(long)]
    pub include_head: bool,
}

/// Which blocks of it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which blocks")]
pub struct ChoiceArgs {
    /// Only the blocks of this tenant: a folder in SOURCE, as in a bucket of Mimir or Cortex; repeatable
    #[arg(long = "tenant", value_name = "NAME")]
    pub tenants: Vec<String>,
    /// Only blocks whose external labels this selector matches: {cluster="eu",replica=~"a|b"}; repeatable, blocks of any
    /// of them
    #[arg(long = "block-label", value_name = "SELECTOR", value_parser = selector)]
    pub block_labels: Vec<Selector>,
    /// Blocks marked for deletion are read until their mark is older than this [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = delay)]
    pub ignore_deletion_marks_delay: Option<Duration>,
    /// Blocks are read once they are older than this, results of compaction at once [default: 30m for blocks that were
    /// uploaded to a bucket, 0s for others]
    #[arg(long, value_name = "TIME", value_parser = delay)]
    pub consistency_delay: Option<Duration>,
}

impl ChoiceArgs {
    /// As the library takes them.
    pub fn choice(&self) -> Choice {
        let defaults = Choice::default();
        Choice {
            tenants: self.tenants.iter().cloned().collect(),
            block_labels: self.block_labels.iter().map(|Selector(matchers)| matchers.clone()).collect(),
            deletion_marks_delay: self.ignore_deletion_marks_delay.unwrap_or(defaults.deletion_marks_delay),
            consistency_delay: self.consistency_delay,
            ..defaults
        }
    }
}

/// Why standard input will not do as SOURCE of some commands.
pub const READ_TWICE: &str =
    "cannot take standard input: a plan and each of its units read SOURCE again; give the archive as a file";

impl SourceArgs {
    /// Each SOURCE; of a configured bucket all, unless some are given.
    pub fn sources(&self) -> Vec<PathBuf> {
        if self.sources.is_empty() { vec![PathBuf::new()] } else { self.sources.clone() }
    }

    /// True when one of them is standard input.
    pub fn reads_standard_input(&self) -> bool {
        self.sources.iter().any(|source| source.as_os_str() == STANDARD_INPUT)
    }

    /// The stores that they may lie in.
    pub fn stores(&self) -> Result<Stores, String> {
        let configured = match (&self.objstore_config_file, &self.objstore_config) {
            (Some(file), _) => open_config_file(file),
            (None, Some(Secret(text))) => open_config("--objstore.config", text, Environment::of_process()),
            (None, None) => return Ok(Stores::default()),
        };
        configured.map(Stores::configured).map_err(|error| error_chain(&error))
    }
}

/// Which samples.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which samples")]
pub struct SelectArgs {
    /// Only series that this PromQL selector matches; repeatable, series of any of them
    #[arg(long = "match", value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// Only samples from this time on: RFC 3339, or milliseconds since the epoch
    #[arg(long, value_name = "TIME", value_parser = time_ms, allow_hyphen_values = true)]
    pub min_time: Option<i64>,
    /// Only samples before this time
    #[arg(long, value_name = "TIME", value_parser = time_ms, allow_hyphen_values = true)]
    pub max_time: Option<i64>,
}

impl SelectArgs {
    fn is_given(&self) -> bool {
        !self.selectors.is_empty() || self.min_time.is_some() || self.max_time.is_some()
    }
}

/// What files look like.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// File format
    #[arg(long, value_name = "FORMAT", value_parser = choice::<Format>(FORMATS), hide_possible_values = false)]
    pub format: Option<Format>,
    /// Where labels stand
    #[arg(long, value_name = "LAYOUT", value_parser = choice::<Layout>(LAYOUTS))]
    pub layout: Option<Layout>,
    /// Parquet encodings
    #[arg(long, value_name = "PROFILE", value_parser = choice::<Profile>(PROFILES))]
    pub profile: Option<Profile>,
    /// Compression: zstd, snappy or none for Parquet; gzip, zstd or none for NDJSON
    #[arg(long, value_name = "CODEC", value_parser = choice::<Compression>(COMPRESSIONS))]
    pub compression: Option<Compression>,
    /// Level of the compression [default: 1]
    #[arg(long, value_name = "LEVEL")]
    pub compression_level: Option<i32>,
    /// Labels that get a column of their own
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// Size at which a file ends, as stored [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = size_bytes)]
    pub target_file_size: Option<u64>,
}

const FORMATS: &[(&str, &str)] =
    &[("parquet", "Apache Parquet (default)"), ("ndjson", "One JSON object per line")];
const LAYOUTS: &[(&str, &str)] = &[
    ("star", "In table series, joined by series_id: five times fewer bytes per query (default)"),
    ("flat", "In every row as well: no join"),
];
const PROFILES: &[(&str, &str)] = &[
    ("bigquery", "PLAIN and dictionary: safe everywhere (default)"),
    ("compact", "DELTA_BINARY_PACKED and BYTE_STREAM_SPLIT: smaller and faster"),
];
const COMPRESSIONS: &[(&str, &str)] = &[
    ("zstd", "Zstandard (default of Parquet)"),
    ("snappy", "Snappy, Parquet only"),
    ("gzip", "Gzip, NDJSON only (default there)"),
    ("none", "None"),
];
const PARTITIONS: &[(&str, &str)] = &[
    ("day", "dt=2026-11-20 (default)"),
    ("hour", "dt=2026-11-20T05"),
    ("month", "dt=2026-11"),
    ("none", "No partitions"),
];
const HISTOGRAMS: &[(&str, &str)] = &[
    ("nested", "Rows of table histograms (default)"),
    ("classic", "Series _bucket, _count and _sum in table samples"),
    ("both", "Both; the classic series are counted apart"),
];
const STALE_MARKERS: &[(&str, &str)] =
    &[("keep", "Rows with a null value (default)"), ("drop", "No rows; counted in the report")];

impl OutputArgs {
    fn is_given(&self) -> bool {
        let Self { format, layout, profile, compression, compression_level, label_columns, target_file_size } =
            self;
        format.is_some()
            || layout.is_some()
            || profile.is_some()
            || compression.is_some()
            || compression_level.is_some()
            || !label_columns.is_empty()
            || target_file_size.is_some()
    }

    /// As the library takes them.
    pub fn options(&self) -> OutputOptions {
        let defaults = OutputOptions::new(self.format.unwrap_or_default());
        OutputOptions {
            layout: self.layout.unwrap_or_default(),
            profile: self.profile.unwrap_or_default(),
            compression: self.compression.unwrap_or(defaults.compression),
            compression_level: self.compression_level,
            label_columns: self.label_columns.clone(),
            target_file_size_bytes: self.target_file_size.unwrap_or(defaults.target_file_size_bytes),
            ..defaults
        }
    }
}

/// How rows are cut and labels changed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Labels and partitions")]
pub struct ShapeArgs {
    /// Labels that tell replicas of one series apart, of a block or of a series: they are removed, and of the replicas
    /// one at a time is followed, as Thanos does
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub replica_label: Vec<String>,
    /// Labels to remove
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', conflicts_with = "keep_labels")]
    pub drop_labels: Vec<String>,
    /// Labels to keep, besides the metric name
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub keep_labels: Vec<String>,
    /// A label to add to every series; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    pub add_label: Vec<(String, String)>,
    /// The label that a tenant becomes [default: tenant]
    #[arg(long, value_name = "NAME")]
    pub tenant_label: Option<String>,
    /// Write series that become equal through dropped or kept labels as one
    #[arg(long)]
    pub allow_merge: bool,
    /// Type, unit and help of metrics: what GET /api/v1/metadata answers, as a file; repeatable. DEST keeps it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metadata: Vec<PathBuf>,
    /// What to do with stale markers
    #[arg(long, value_name = "WHAT", value_parser = choice::<StaleMarkers>(STALE_MARKERS))]
    pub stale_markers: Option<StaleMarkers>,
    /// What native histograms become
    #[arg(long, value_name = "WHAT", value_parser = choice::<Histograms>(HISTOGRAMS))]
    pub histograms: Option<Histograms>,
    /// How output is cut by time (UTC)
    #[arg(long, value_name = "BY", value_parser = choice::<PartitionBy>(PARTITIONS))]
    pub partition_by: Option<PartitionBy>,
    /// Shards of each partition: a number, or auto for as many as fill a target file each [default: auto]
    #[arg(long, value_name = "N", value_parser = shards)]
    pub shards: Option<Shards>,
}

impl ShapeArgs {
    fn is_given(&self) -> bool {
        let Self {
            replica_label,
            drop_labels,
            keep_labels,
            add_label,
            tenant_label,
            allow_merge,
            metadata,
            stale_markers,
            histograms,
            partition_by,
            shards,
        } = self;
        let labels = [replica_label, drop_labels, keep_labels];
        !(metadata.is_empty() && labels.iter().all(|names| names.is_empty()) && add_label.is_empty())
            || tenant_label.is_some()
            || *allow_merge
            || stale_markers.is_some()
            || histograms.is_some()
            || partition_by.is_some()
            || shards.is_some()
    }
}

/// Which windows samples are aggregated in.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Downsampling")]
pub struct DownsampleArgs {
    /// One row per series and window of this width: 5m, 1h, 1d; raw for every sample; as-is to keep the aggregates of
    /// Thanos' downsampled blocks beside raw samples [default: raw]
    #[arg(long, value_name = "WIDTH", conflicts_with = "tier")]
    pub resolution: Option<Width>,
    /// Resolutions by age of the partition: 0d=raw,40d=5m,1y=1h
    #[arg(long, value_name = "AGE=WIDTH,…", value_delimiter = ',', value_parser = tier)]
    pub tier: Vec<Tier>,
    /// The time that ages are counted from: RFC 3339, or milliseconds since the epoch [default: the newest block's end]
    #[arg(long, value_name = "TIME", value_parser = time_ms, requires = "tier", allow_hyphen_values = true)]
    pub now: Option<i64>,
    /// Rules in YAML: for the series that a selector matches another resolution, fewer aggregates, or no rows
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub rule: Option<PathBuf>,
    /// Longest time between two samples that adds to an increase [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = lookback)]
    pub lookback: Option<i64>,
    /// Series that are counters though neither metadata nor their names say so; repeatable
    #[arg(long, value_name = "SELECTOR")]
    pub counter: Vec<String>,
}

impl DownsampleArgs {
    fn is_given(&self) -> bool {
        let Self { resolution, tier, now, rule, lookback, counter } = self;
        resolution.is_some()
            || !tier.is_empty()
            || now.is_some()
            || rule.is_some()
            || lookback.is_some()
            || !counter.is_empty()
    }

    /// As the library takes them.
    fn options(&self) -> Result<DownsampleOptions, String> {
        let mut tiers = self.tier.clone();
        tiers.sort_by_key(|tier| tier.min_age_ms);
        if tiers.windows(2).any(|pair| matches!(pair, [a, b] if a.min_age_ms == b.min_age_ms)) {
            return Err("--tier names an age twice; leave one of them out".to_owned());
        }
        if let Some(Width::Of(resolution)) = self.resolution
            && !resolution.is_raw()
        {
            tiers = vec![Tier { min_age_ms: 0, resolution }];
        }
        let defaults = DownsampleOptions::default();
        let rules = self.rule.as_deref().map(read_rules).transpose().map_err(|error| error_chain(&error))?;
        Ok(DownsampleOptions {
            tiers,
            as_is: self.resolution == Some(Width::AsIs),
            rules: rules.unwrap_or_default(),
            lookback_ms: self.lookback.unwrap_or(defaults.lookback_ms),
            counters: self.counter.clone(),
            now_ms: self.now,
            ..defaults
        })
    }
}

/// All that shapes the output of a conversion.
#[derive(Debug, clap::Args)]
pub struct ShapingArgs {
    /// Which samples.
    #[command(flatten)]
    pub select: SelectArgs,
    /// What files look like.
    #[command(flatten)]
    pub output: OutputArgs,
    /// How rows are cut and labels changed.
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Which windows samples are aggregated in.
    #[command(flatten)]
    pub downsample: DownsampleArgs,
}

impl ShapingArgs {
    /// True when any of the flags is there.
    pub fn is_given(&self) -> bool {
        self.select.is_given()
            || self.output.is_given()
            || self.shape.is_given()
            || self.downsample.is_given()
    }

    /// As the library takes them.
    pub fn options(&self) -> Result<ConvertOptions, String> {
        let shape = &self.shape;
        Ok(ConvertOptions {
            output: self.output.options(),
            partition_by: shape.partition_by.unwrap_or_default(),
            shards: shape.shards.and_then(|Shards(number)| number),
            labels: LabelOptions {
                replica: shape.replica_label.iter().cloned().collect(),
                drop: shape.drop_labels.iter().cloned().collect(),
                keep: shape.keep_labels.iter().cloned().collect(),
                add: shape.add_label.iter().cloned().collect::<BTreeMap<_, _>>(),
                // The default is as good as nothing said.
                tenant: shape.tenant_label.clone().filter(|name| name != TENANT),
            },
            allow_merge: shape.allow_merge,
            selectors: self.select.selectors.clone(),
            min_time_ms: self.select.min_time,
            max_time_ms: self.select.max_time,
            stale_markers: shape.stale_markers.unwrap_or_default(),
            histograms: shape.histograms.unwrap_or_default(),
            downsampling: self.downsample.options()?,
            metadata: shape.metadata.clone(),
        })
    }
}

/// What a run may use.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Resources")]
pub struct ResourceArgs {
    /// Memory to use at most, besides pages of mapped files
    #[arg(long, value_name = "SIZE", value_parser = size_bytes, default_value = "512MiB")]
    pub memory_limit: u64,
    /// Folder for what does not fit [default: the system's]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub temp_dir: Option<PathBuf>,
}

impl ResourceArgs {
    /// The folder for what does not fit.
    pub fn temp_dir(&self) -> PathBuf {
        self.temp_dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// How SOURCE is read.
    pub fn read(&self, source: &SourceArgs, choice: Choice) -> Result<ReadOptions, String> {
        let read = ReadOptions::new(self.memory_limit, self.temp_dir());
        Ok(ReadOptions { include_head: source.include_head, stores: source.stores()?, choice, ..read })
    }
}

const CONVERT_EXAMPLES: &str = "\
Examples:
  promblock convert /var/lib/prometheus/data --to out
  promblock convert snapshot/ --to out --match '{job=\"node\"}' --min-time 2026-11-01T00:00:00Z
  promblock convert s3://bucket/prefix --to out --match up
  promblock convert blocks/ --to out --format ndjson --layout flat --label-columns job,instance

A rerun converts only what is new or has changed. DEST/_promblock/manifest.json lists what is published.";

/// `promblock convert`
#[derive(Debug, clap::Args)]
#[command(after_help = CONVERT_EXAMPLES)]
pub struct ConvertArgs {
    /// Where blocks are.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Which blocks of it.
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// DEST: a new folder, an empty one, or one of an earlier conversion with the same options; or such a prefix of a bucket: s3://, gs://, az://
    #[arg(long, value_name = "DEST", value_hint = ValueHint::DirPath)]
    pub to: PathBuf,
    /// What shapes the output.
    #[command(flatten)]
    pub shaping: ShapingArgs,
    /// What the run may use.
    #[command(flatten)]
    pub resources: ResourceArgs,
    /// Workers [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Resources")]
    pub threads: Option<NonZeroUsize>,
    /// Verify every block first, and write nothing if anything is broken
    #[arg(long)]
    pub strict: bool,
    /// Print what would be done, with estimated rows and bytes
    #[arg(long, conflicts_with = "unit")]
    pub dry_run: bool,
    /// Convert just the units in FILE: lines of `promblock plan`, made for this DEST, which has the options
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub unit: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl ConvertArgs {
    /// Options that do not shape the output.
    pub fn run_options(&self) -> Result<RunOptions, String> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(RunOptions {
            threads: self.threads.map_or_else(cores, NonZeroUsize::get),
            memory_limit: self.resources.memory_limit,
            temp_dir: self.resources.temp_dir(),
            strict: self.strict,
            include_head: self.source.include_head,
            stores: self.source.stores()?,
            choice: self.choice.choice(),
        })
    }
}

/// `promblock inspect`
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// Where blocks are.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Which blocks of it.
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Only series that this PromQL selector matches; repeatable, series of any of them
    #[arg(long = "match", value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// What the run may use.
    #[command(flatten)]
    pub resources: ResourceArgs,
    /// Metrics and labels to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Show the bytes of one structure beside their meaning, of a single block: index.toc, index.symbols,
    /// index.series:REF, index.postings, index.postings:NAME=VALUE, index.table, chunk:REF, tombstones
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["selectors", "top"])]
    pub bytes: Option<Part>,
    /// Draw the one series that --match selects as SVG: its samples behind the windows made of them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["bytes", "top", "json"])]
    pub plot: Option<PathBuf>,
    /// Width of the windows drawn: 5m, 1h, 1d [default: 5m]
    #[arg(long, value_name = "WIDTH", value_parser = window, requires = "plot")]
    pub resolution: Option<Resolution>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `promblock verify`
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::commands::verify::names())]
pub struct VerifyArgs {
    /// Where blocks are.
    #[command(flatten)]
    pub source: SourceArgs,
    /// What the run may use.
    #[command(flatten)]
    pub resources: ResourceArgs,
    /// Print each finding as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// Forms of `promblock dump`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DumpForm {
    /// As promtool tsdb dump prints it: {labels} value timestamp-in-ms
    Prom,
    /// OpenMetrics text, without stale markers; timestamps in seconds
    Openmetrics,
    /// One JSON object per sample
    Ndjson,
}

const DUMP_EXAMPLES: &str = "\
Examples:
  promblock dump data/ --match up | head
  promblock dump data/01JX0000000000000000000000 --format ndjson --min-time 2026-11-20T00:00:00Z";

/// `promblock dump`
#[derive(Debug, clap::Args)]
#[command(after_help = DUMP_EXAMPLES)]
pub struct DumpArgs {
    /// Where blocks are.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Which blocks of it.
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Form of the lines
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = DumpForm::Prom)]
    pub format: DumpForm,
    /// Which samples.
    #[command(flatten)]
    pub select: SelectArgs,
    /// What the run may use.
    #[command(flatten)]
    pub resources: ResourceArgs,
}

/// Forms of `promblock schema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaForm {
    /// Schema file of bq load and bq mk
    Bigquery,
    /// CREATE TABLE statements of BigQuery
    Ddl,
    /// Field names and types of Arrow, which are those of the Parquet files
    Arrow,
}

/// `promblock schema`
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// Form
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t = SchemaForm::Bigquery)]
    pub form: SchemaForm,
    /// Only this table: samples, histograms or series
    #[arg(long, value_name = "TABLE", value_parser = ["samples", "histograms", "series"])]
    pub table: Option<String>,
    /// The tables of this resolution: raw, 5m, 1h, …
    #[arg(long, value_name = "WIDTH")]
    pub resolution: Option<Resolution>,
    /// What files look like.
    #[command(flatten)]
    pub output: OutputArgs,
}

const PLAN_EXAMPLES: &str = "\
Examples:
  promblock plan blocks/ --to out > plan.ndjson
  tail -n +2 plan.ndjson | split -n l/4 - units.
  promblock convert blocks/ --to out --unit units.aa       (each on a machine of its own)
  promblock commit out --plan plan.ndjson

The first line describes the plan, each other line is a unit; weight is about the samples it reads.";

/// `promblock plan`
#[derive(Debug, clap::Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub struct PlanArgs {
    /// Where blocks are.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Which blocks of it.
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// DEST, which the plan is made for; options and shards are recorded there
    #[arg(long, value_name = "DEST", value_hint = ValueHint::DirPath)]
    pub to: PathBuf,
    /// What shapes the output.
    #[command(flatten)]
    pub shaping: ShapingArgs,
    /// What the run may use.
    #[command(flatten)]
    pub resources: ResourceArgs,
}

/// `promblock commit`
#[derive(Debug, clap::Args)]
pub struct CommitArgs {
    /// DEST that the units were converted to
    #[arg(value_name = "DEST", value_hint = ValueHint::DirPath)]
    pub dest: PathBuf,
    /// What `promblock plan` printed
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plan: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}
