//! Metadata of metrics: type, unit and help text, from wherever they are known.
//!
//! ```text
//! series  ── __type__, __unit__ labels ─┐  first
//! metric  ── --metadata FILE ───────────┼─► type, unit, help of a row of table `series`, field by field
//! series  ── write-ahead log ───────────┘  last
//! ```
//! A metadata file is what Prometheus answers to `GET /api/v1/metadata` or `GET /api/v1/targets/metadata`:
//!
//! ```text
//! {"status":"success","data":{"up":[{"type":"gauge","help":"…","unit":""}, …], …}}       or just what `data` is
//! {"status":"success","data":[{"target":{…},"metric":"up","type":"gauge","help":"…","unit":""}, …]}
//! ```
//! Targets may disagree about a metric: the entry that says most is taken, of those the first by its text, and that is
//! noted. DEST keeps what was given for it, and takes from the next file what that knows: a run without the file loses
//! nothing, and units that are converted elsewhere find it there.
//!
//! The `_bucket`, `_sum` and `_count` series of a classic histogram or summary take what is known of the metric
//! without the suffix, when nothing is known of their own name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tsdb_reader::Labels;

use crate::finding::{Finding, Findings, Severity};
use crate::identities::series_id;

/// Largest metadata file that is read.
const FILE_BYTES: u64 = 64 << 20;

/// Label that carries the type of a metric.
const TYPE_LABEL: &[u8] = b"__type__";

/// Label that carries the unit of a metric.
const UNIT_LABEL: &[u8] = b"__unit__";

/// The type that Prometheus gives to metrics of which it knows none.
const UNKNOWN: &str = "unknown";

/// What is known of a metric besides its samples. An empty string is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetricMetadata {
    /// `counter`, `gauge`, `histogram`, …; `unknown` is not known.
    #[serde(rename = "type", default)]
    pub metric_type: String,
    /// The unit, without the metric's name.
    #[serde(default)]
    pub unit: String,
    /// The help text.
    #[serde(default)]
    pub help: String,
}

impl MetricMetadata {
    /// The fields in order; none for those that are not known.
    fn fields(&self) -> [Option<&str>; 3] {
        let known = |text| Some(text).filter(|text: &&str| !text.is_empty());
        [known(&self.metric_type).filter(|name| *name != UNKNOWN), known(&self.unit), known(&self.help)]
    }

    /// These fields, and those of `older` that are not known here.
    fn over(self, older: &Self) -> Self {
        let either = |new: Option<&str>, old: Option<&str>| new.or(old).unwrap_or_default().to_owned();
        let ([metric_type, unit, help], [old_type, old_unit, old_help]) = (self.fields(), older.fields());
        Self {
            metric_type: either(metric_type, old_type),
            unit: either(unit, old_unit),
            help: either(help, old_help),
        }
    }
}

/// Why a metadata file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// It cannot be read.
    #[error("cannot read --metadata {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no JSON.
    #[error("cannot parse --metadata {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is something else.
    #[error("--metadata {}: {message}; give what GET /api/v1/metadata answers", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// What is known of a series, each field by the best source that has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known<'a> {
    /// The type.
    pub metric_type: Option<&'a [u8]>,
    /// The unit.
    pub unit: Option<&'a [u8]>,
    /// The help text.
    pub help: Option<&'a [u8]>,
}

/// Metadata of metrics and of series.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// What was given for a metric, by its name.
    by_metric: BTreeMap<Vec<u8>, MetricMetadata>,
    /// What a series was last said to be, by its `series_id`: an index into `entries`.
    by_series: HashMap<i64, u32, FixedState>,
    /// Different metadata of series. Thousands of series share one.
    entries: Vec<MetricMetadata>,
    positions: BTreeMap<MetricMetadata, u32>,
}

impl Metadata {
    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.by_metric.is_empty() && self.by_series.is_empty()
    }

    /// Sets what is known of a metric; what was known before is returned.
    pub fn set_metric(&mut self, metric: &[u8], metadata: MetricMetadata) -> Option<MetricMetadata> {
        self.by_metric.insert(metric.to_vec(), metadata)
    }

    /// Reads metadata files. What a later one knows of a metric wins.
    pub fn read(files: &[PathBuf], findings: &mut Findings) -> Result<Self, MetadataError> {
        let mut all = Self::default();
        for path in files {
            let read = |source| MetadataError::Read { path: path.clone(), source };
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
                .map_err(read)?;
            if bytes.len() as u64 > FILE_BYTES {
                return Err(read(io::Error::from(io::ErrorKind::FileTooLarge)));
            }
            let of_file = Self::parse(path, &bytes, findings)?;
            all.update(of_file, &path.display().to_string(), findings);
        }
        Ok(all)
    }

    /// Parses the metadata file `path`; what its entries disagree about is noted.
    pub fn parse(path: &Path, bytes: &[u8], findings: &mut Findings) -> Result<Self, MetadataError> {
        let parsed = serde_json::from_slice::<Value>(bytes);
        let json = parsed.map_err(|source| MetadataError::Parse { path: path.to_owned(), source })?;
        let entries =
            entries(&json).map_err(|message| MetadataError::Shape { path: path.to_owned(), message })?;
        let mut all = Self::default();
        for (metric, entries) in entries {
            // The entry that says most, of those the first.
            let known = |of: &MetricMetadata| of.fields().iter().flatten().count();
            let Some(taken) = entries.iter().rev().max_by_key(|of| known(of)) else { continue };
            if entries.len() > 1 {
                let message =
                    format!("{} different entries for metric {metric}; one is taken", entries.len());
                let place = path.display().to_string();
                findings.push(Finding::new(Severity::Note, "metadata-conflict", place, message));
            }
            all.set_metric(metric.as_bytes(), taken.clone());
        }
        Ok(all)
    }

    /// Takes what `newer` knows of metrics, which came from `place`; what changes by that is noted.
    pub fn update(&mut self, newer: Self, place: &str, findings: &mut Findings) {
        for (metric, metadata) in newer.by_metric {
            let merged = match self.by_metric.get(&metric) {
                Some(older) => {
                    let merged = metadata.over(older);
                    let [now, before] = [merged.fields(), older.fields()];
                    if now.iter().zip(before).any(|(now, before)| before.is_some() && *now != before) {
                        let name = String::from_utf8_lossy(&metric);
                        let message = format!("metadata of {name} differs from what was known, and is taken");
                        findings.push(Finding::new(Severity::Note, "metadata-changed", place, message));
                    }
                    merged
                }
                None => metadata,
            };
            self.by_metric.insert(metric, merged);
        }
    }

    /// What is known of metrics, by name.
    pub fn metrics(&self) -> impl Iterator<Item = (&[u8], &MetricMetadata)> {
        self.by_metric.iter().map(|(metric, metadata)| (metric.as_slice(), metadata))
    }

    /// Sets what is known of the series with these labels, as they are after the labels pipeline. What is set last
    /// stays.
    pub fn set_series(&mut self, labels: &Labels, metadata: MetricMetadata) {
        let next = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let position = match self.positions.get(&metadata) {
            Some(&position) => position,
            None => {
                self.entries.push(metadata.clone());
                self.positions.insert(metadata, next);
                next
            }
        };
        self.by_series.insert(series_id(labels), position);
    }

    /// What is known of the metric `name`, by its own name or that of its histogram or summary.
    pub fn of_metric(&self, name: &[u8]) -> Option<&MetricMetadata> {
        self.by_metric.get(name).or_else(|| {
            let suffixes = [&b"_bucket"[..], b"_sum", b"_count"];
            let base = suffixes.into_iter().find_map(|suffix| name.strip_suffix(suffix))?;
            let has_parts = |of: &&MetricMetadata| match of.metric_type.as_str() {
                "histogram" | "gaugehistogram" => true,
                "summary" => !name.ends_with(b"_bucket"),
                _ => false,
            };
            self.by_metric.get(base).filter(has_parts)
        })
    }

    /// What is known of a series.
    pub fn of_series<'a>(&'a self, labels: &'a Labels, series_id: i64) -> Known<'a> {
        let mut known =
            Known { metric_type: labels.get(TYPE_LABEL), unit: labels.get(UNIT_LABEL), help: None };
        if self.is_empty() {
            return known;
        }
        let given = labels.metric().and_then(|metric| self.of_metric(metric));
        let of_series = self.by_series.get(&series_id);
        let logged = of_series.and_then(|&position| self.entries.get(usize::try_from(position).ok()?));
        for metadata in given.into_iter().chain(logged) {
            known.fill(metadata);
        }
        known
    }
}

impl<'a> Known<'a> {
    /// Takes from `metadata` what is not known yet.
    fn fill(&mut self, metadata: &'a MetricMetadata) {
        let [metric_type, unit, help] = metadata.fields().map(|field| field.map(str::as_bytes));
        self.metric_type = self.metric_type.or(metric_type);
        self.unit = self.unit.or(unit);
        self.help = self.help.or(help);
    }
}

/// The different entries of each metric in a metadata file.
fn entries(json: &Value) -> Result<BTreeMap<&str, BTreeSet<MetricMetadata>>, String> {
    let data = match json.get("status").and_then(Value::as_str) {
        None => json,
        Some("success") => json.get("data").unwrap_or(&Value::Null),
        Some(status) => {
            let error = json.get("error").and_then(Value::as_str).unwrap_or("nothing more");
            return Err(format!("the answer has status {status:?} and says {error:?}"));
        }
    };
    let mut entries: BTreeMap<&str, BTreeSet<MetricMetadata>> = BTreeMap::new();
    let mut add = |metric, entry: &Value| {
        let parsed =
            MetricMetadata::deserialize(entry).map_err(|error| format!("metric {metric}: {error}"))?;
        entries.entry(metric).or_default().insert(parsed);
        Ok::<(), String>(())
    };
    match data {
        Value::Object(metrics) => {
            for (metric, of_metric) in metrics {
                let Value::Array(list) = of_metric else {
                    return Err(format!("metric {metric} has no list of entries"));
                };
                list.iter().try_for_each(|entry| add(metric, entry))?;
            }
        }
        Value::Array(list) => {
            for entry in list {
                match entry.get("metric").and_then(Value::as_str) {
                    Some(metric) => add(metric, entry)?,
                    None => return Err("an entry names no metric".to_owned()),
                }
            }
        }
        _ => return Err("it holds neither metrics nor entries of targets".to_owned()),
    }
    Ok(entries)
}

/// What DEST keeps: metadata by metric.
impl Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metrics = self.metrics().map(|(metric, metadata)| (String::from_utf8_lossy(metric), metadata));
        serializer.collect_map(metrics)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let metrics = BTreeMap::<String, MetricMetadata>::deserialize(deserializer)?;
        let by_metric =
            metrics.into_iter().map(|(metric, metadata)| (metric.into_bytes(), metadata)).collect();
        Ok(Self { by_metric, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(metric_type: &str, unit: &str, help: &str) -> MetricMetadata {
        MetricMetadata { metric_type: metric_type.into(), unit: unit.into(), help: help.into() }
    }

    fn known<'a>(metric_type: &'a str, unit: &'a str, help: &'a str) -> Known<'a> {
        let text = |text: &'a str| (!text.is_empty()).then_some(text.as_bytes());
        Known { metric_type: text(metric_type), unit: text(unit), help: text(help) }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    fn of<'a>(all: &'a Metadata, labels: &'a Labels) -> Known<'a> {
        all.of_series(labels, series_id(labels))
    }

    #[test]
    fn labels_come_first_then_the_metric_then_the_series() {
        let mut all = Metadata::default();
        let plain = labels(&[("__name__", "up"), ("job", "a")]);
        let typed = labels(&[("__name__", "up"), ("__type__", "info")]);
        assert_eq!(of(&all, &plain), known("", "", ""));
        assert_eq!(of(&all, &typed), known("info", "", ""));
        all.set_series(&plain, metadata("counter", "seconds", "logged"));
        all.set_series(&typed, metadata("counter", "seconds", "logged"));
        assert_eq!(of(&all, &plain), known("counter", "seconds", "logged"));
        assert_eq!(of(&all, &typed), known("info", "seconds", "logged"));
        all.set_metric(b"up", metadata("gauge", "", "given"));
        assert_eq!(of(&all, &plain), known("gauge", "seconds", "given"));
        let other = labels(&[("__name__", "up"), ("job", "b")]);
        assert_eq!(of(&all, &other), known("gauge", "", "given"));
    }

    fn parse(json: &str) -> (Result<Metadata, MetadataError>, Vec<String>) {
        let mut findings = Findings::default();
        let parsed = Metadata::parse(Path::new("m.json"), json.as_bytes(), &mut findings);
        (parsed, findings.list.into_iter().map(|at| format!("{}: {}", at.name, at.message)).collect())
    }

    #[test]
    fn a_file_is_an_answer_or_its_data_by_metric_or_by_target() {
        let by_metric = r#"{"up":[{"type":"gauge","help":"Up.","unit":""}]}"#;
        let by_target = r#"[{"target":{"job":"a"},"metric":"up","type":"gauge","help":"Up."}]"#;
        for data in [by_metric, by_target] {
            for json in [data.to_owned(), format!(r#"{{"status":"success","data":{data}}}"#)] {
                let (parsed, findings) = parse(&json);
                assert_eq!(parsed.unwrap().of_metric(b"up"), Some(&metadata("gauge", "", "Up.")));
                assert!(findings.is_empty());
            }
        }
        for (json, expected) in [
            ("{", "cannot parse --metadata m.json"),
            ("7", "--metadata m.json: it holds neither metrics nor entries of targets; give"),
            (r#"{"up":{}}"#, "metric up has no list of entries"),
            (r#"{"up":[{"type":7}]}"#, "metric up: invalid type"),
            (r#"[{"type":"gauge"}]"#, "an entry names no metric"),
            (r#"{"status":"error","error":"gone"}"#, r#"has status "error" and says "gone""#),
        ] {
            let message = parse(json).0.unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn of_entries_that_disagree_the_one_that_says_most_is_taken_in_any_order() {
        let entries = [
            r#"{"type":"gauge","help":"","unit":""}"#,
            r#"{"type":"unknown","help":"b","unit":""}"#,
            r#"{"type":"gauge","help":"b","unit":""}"#,
            r#"{"type":"gauge","help":"a","unit":""}"#,
        ];
        for turn in 0..entries.len() {
            let mut entries = entries;
            entries.rotate_left(turn);
            let (parsed, findings) = parse(&format!(r#"{{"up":[{}]}}"#, entries.join(",")));
            assert_eq!(parsed.unwrap().of_metric(b"up"), Some(&metadata("gauge", "", "a")));
            assert_eq!(findings, ["metadata-conflict: 4 different entries for metric up; one is taken"]);
        }
    }

    #[test]
    fn newer_metadata_wins_where_it_knows_something() {
        let mut known = Metadata::default();
        known.set_metric(b"up", metadata("gauge", "seconds", "old"));
        known.set_metric(b"same", metadata("gauge", "", ""));
        let mut newer = Metadata::default();
        newer.set_metric(b"up", metadata("unknown", "", "new"));
        newer.set_metric(b"same", metadata("gauge", "", "help"));
        newer.set_metric(b"other", metadata("counter", "", ""));
        let mut findings = Findings::default();
        known.update(newer, "DEST", &mut findings);
        assert_eq!(known.of_metric(b"up"), Some(&metadata("gauge", "seconds", "new")));
        assert_eq!(known.of_metric(b"same"), Some(&metadata("gauge", "", "help")));
        assert_eq!(known.of_metric(b"other"), Some(&metadata("counter", "", "")));
        assert_eq!(findings.list.len(), 1);
        assert_eq!(findings.list[0].message, "metadata of up differs from what was known, and is taken");
        let json = serde_json::to_string(&known).unwrap();
        let again: Metadata = serde_json::from_str(&json).unwrap();
        assert!(again.metrics().eq(known.metrics()));
    }

    #[test]
    fn unknown_is_not_known() {
        let mut all = Metadata::default();
        let labels = labels(&[("__name__", "up")]);
        all.set_metric(b"up", metadata("unknown", "", ""));
        all.set_series(&labels, metadata("gauge", "", ""));
        assert_eq!(of(&all, &labels), known("gauge", "", ""));
    }

    #[test]
    fn parts_of_a_histogram_or_summary_take_what_is_known_of_the_whole() {
        let mut all = Metadata::default();
        all.set_metric(b"h", metadata("histogram", "", "h"));
        all.set_metric(b"s", metadata("summary", "", "s"));
        all.set_metric(b"c", metadata("counter", "", "c"));
        all.set_metric(b"h_count", metadata("gauge", "", "own"));
        let help = |name: &[u8]| all.of_metric(name).map(|of| of.help.as_str());
        assert_eq!(help(b"h_bucket"), Some("h"));
        assert_eq!(help(b"h_sum"), Some("h"));
        assert_eq!(help(b"h_count"), Some("own"));
        assert_eq!(help(b"s_sum"), Some("s"));
        assert_eq!(help(b"s_bucket"), None);
        assert_eq!(help(b"c_count"), None);
        assert_eq!(help(b"_sum"), None);
    }
}
