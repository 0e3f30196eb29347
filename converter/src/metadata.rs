//! Metadata of metrics: type, unit and help text, from wherever they are known.
//!
//! ```text
//! __type__, __unit__ labels of a series ─────────────┐ first
//! --metadata FILE ────────┐ last word                ├─► type, unit, help of a row of table `series`, field by field
//! write-ahead log ────────┼─► what DEST keeps ───────┘
//! what DEST kept before ──┘    of a metric
//! ```
//! A metadata file is what Prometheus answers to `GET /api/v1/metadata` or `GET /api/v1/targets/metadata`:
//!
//! ```text
//! {"status":"success","data":{"up":[{"type":"gauge","help":"…","unit":""}, …], …}}       or just what `data` is
//! {"status":"success","data":[{"target":{…},"metric":"up","type":"gauge","help":"…","unit":""}, …]}
//! ```
//! Targets may disagree about a metric, in a file and in a log: the entry that says most is taken, of those the first
//! by its text, and that is noted. DEST keeps what a run learns, and takes from the next what that knows, which is noted
//! where it changes: a run without file or log loses nothing, and units that are converted elsewhere find it there.
//!
//! Series that are parts of a metric, such as `_bucket` of a histogram, take what is known of the metric without the
//! suffix, when nothing is known of their own name. Which suffixes a type has is defined by `isSeriesPartOfFamily` in
//! Prometheus' `scrape/scrape.go`; gauge histograms that were scraped as protobuf end as other histograms do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tsdb_reader::Labels;

use crate::finding::{Finding, Findings, Severity};

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
#[serde(try_from = "Value")]
pub struct MetricMetadata {
    /// `counter`, `gauge`, `histogram`, …; `unknown` is not known.
    #[serde(rename = "type")]
    pub metric_type: String,
    /// The unit, without the metric's name.
    pub unit: String,
    /// The help text.
    pub help: String,
}

/// The fields of [`MetricMetadata`], as they are called.
const FIELDS: [&str; 3] = ["type", "unit", "help"];

impl MetricMetadata {
    /// The fields in order; none for those that are not known.
    fn fields(&self) -> [Option<&str>; 3] {
        let known = |text| Some(text).filter(|text: &&str| !text.is_empty());
        [known(&self.metric_type).filter(|name| *name != UNKNOWN), known(&self.unit), known(&self.help)]
    }

    /// How many fields are known.
    fn known(&self) -> usize {
        self.fields().iter().flatten().count()
    }

    /// True when series with `suffix` behind the metric's name are parts of the metric.
    fn has_parts(&self, suffix: &str) -> bool {
        let suffixes: &[&str] = match self.metric_type.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "gaugehistogram" => &["_bucket", "_sum", "_count", "_gsum", "_gcount"],
            "summary" => &["_sum", "_count"],
            "info" => &["_info"],
            _ => &[],
        };
        suffixes.contains(&suffix)
    }

    /// One entry of a metadata file.
    fn parse(entry: &Value) -> Result<Self, String> {
        let Value::Object(fields) = entry else {
            return Err(instead(entry, "an object with type, unit and help"));
        };
        let text = |key| match fields.get(key) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(format!("key {key}: {}", instead(other, "a string"))),
        };
        let [metric_type, unit, help] = FIELDS.map(text);
        Ok(Self { metric_type: metric_type?, unit: unit?, help: help? })
    }

    /// Of `entries` the one that says most, of those the first.
    fn choose(entries: &BTreeSet<Self>) -> Option<&Self> {
        entries.iter().rev().max_by_key(|entry| entry.known())
    }
}

impl TryFrom<Value> for MetricMetadata {
    type Error = String;

    fn try_from(entry: Value) -> Result<Self, String> {
        Self::parse(&entry)
    }
}

/// What is there instead of what is `expected`.
fn instead(found: &Value, expected: &str) -> String {
    let found = match found {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("the text {:?}", shortened(text)),
        other => other.to_string(),
    };
    format!("found {found}, expected {expected}")
}

/// The beginning of a text, for messages.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
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

/// Metadata of metrics, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    by_metric: BTreeMap<Vec<u8>, MetricMetadata>,
}

/// What a run may know of metrics before it reads any log.
#[derive(Debug, Clone, Default)]
pub struct KnownMetadata {
    /// What DEST keeps.
    pub kept: Metadata,
    /// What files say, by their paths. What a later one knows wins.
    pub given: Vec<(String, Metadata)>,
}

impl KnownMetadata {
    /// Everything, with what logs say, by their data directories. Files have the last word.
    pub fn with_logged(self, logged: Vec<(String, Metadata)>, findings: &mut Findings) -> Metadata {
        let Self { kept: mut known, given } = self;
        known.update(logged.into_iter().chain(given).collect(), findings);
        known
    }
}

impl Metadata {
    /// Sets what is known of a metric; what was known before is returned.
    pub fn set_metric(&mut self, metric: &[u8], metadata: MetricMetadata) -> Option<MetricMetadata> {
        self.by_metric.insert(metric.to_vec(), metadata)
    }

    /// Reads metadata files; what is in each, by its path.
    pub fn read(files: &[PathBuf], findings: &mut Findings) -> Result<Vec<(String, Self)>, MetadataError> {
        let mut all = Vec::new();
        for path in files {
            let read = |source| MetadataError::Read { path: path.clone(), source };
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
                .map_err(read)?;
            if bytes.len() as u64 > FILE_BYTES {
                return Err(read(io::Error::from(io::ErrorKind::FileTooLarge)));
            }
            all.push((path.display().to_string(), Self::parse(path, &bytes, findings)?));
        }
        Ok(all)
    }

    /// Parses the metadata file `path`; what its entries disagree about is noted.
    pub fn parse(path: &Path, bytes: &[u8], findings: &mut Findings) -> Result<Self, MetadataError> {
        let parsed = serde_json::from_slice::<Value>(bytes);
        let json = parsed.map_err(|source| MetadataError::Parse { path: path.to_owned(), source })?;
        let entries =
            entries(&json).map_err(|message| MetadataError::Shape { path: path.to_owned(), message })?;
        let entries = entries.into_iter().map(|(metric, of)| (metric.as_bytes().to_vec(), of));
        Ok(Self::of_entries(entries, &path.display().to_string(), findings))
    }

    /// Of the entries of each metric, which come from `place`, one; where they disagree, that is noted.
    pub fn of_entries(
        entries: impl IntoIterator<Item = (Vec<u8>, BTreeSet<MetricMetadata>)>,
        place: &str,
        findings: &mut Findings,
    ) -> Self {
        let mut all = Self::default();
        for (metric, entries) in entries {
            let Some(taken) = MetricMetadata::choose(&entries) else { continue };
            if entries.len() > 1 {
                let name = String::from_utf8_lossy(&metric);
                let message = format!("{} different entries for metric {name}; one is taken", entries.len());
                findings.push(Finding::new(Severity::Note, "metadata-conflict", place, message));
            }
            all.by_metric.insert(metric, taken.clone());
        }
        all
    }

    /// Takes what `sources` know, each by its place; what a later one knows wins. Of each it is noted what changes by
    /// it, and in what it differs from a source before it.
    pub fn update(&mut self, sources: Vec<(String, Self)>, findings: &mut Findings) {
        let mut newer: BTreeMap<&[u8], Taken<'_>> = BTreeMap::new();
        let mut notes = Notes::default();
        let place = |at: usize| sources.get(at).map_or("", |(place, _)| place.as_str());
        for (at, (_, source)) in sources.iter().enumerate() {
            for (metric, metadata) in source.metrics() {
                let taken = newer.entry(metric).or_default();
                for ((taken, field), name) in taken.iter_mut().zip(metadata.fields()).zip(FIELDS) {
                    let Some(field) = field else { continue };
                    if let Some((other, of)) = taken.replace((field, at)).filter(|(other, _)| *other != field)
                    {
                        let there = format!("{:?} in {}", shortened(other), place(of));
                        notes.add(place(at), "metadata-conflict", name, metric, field, &there);
                    }
                }
            }
        }
        for (metric, fields) in newer.into_iter().filter(|(_, fields)| fields.iter().any(Option::is_some)) {
            let of_metric = self.by_metric.entry(metric.to_vec()).or_default();
            let before = of_metric.clone();
            let MetricMetadata { metric_type, unit, help } = of_metric;
            let kept = [metric_type, unit, help].into_iter().zip(before.fields());
            for (((kept, before), field), name) in kept.zip(fields).zip(FIELDS) {
                let Some((field, at)) = field else { continue };
                if let Some(before) = before.filter(|before| *before != field) {
                    let before = format!("{:?} before", shortened(before));
                    notes.add(place(at), "metadata-changed", name, metric, field, &before);
                }
                field.clone_into(kept);
            }
        }
        notes.tell(findings);
    }

    /// What is known of metrics, by name.
    pub fn metrics(&self) -> impl Iterator<Item = (&[u8], &MetricMetadata)> {
        self.by_metric.iter().map(|(metric, metadata)| (metric.as_slice(), metadata))
    }

    /// What is known of the metric `name`, by its own name or that of the metric it is a part of.
    pub fn of_metric(&self, name: &[u8]) -> Option<&MetricMetadata> {
        let own = self.by_metric.get(name).filter(|own| own.known() > 0);
        own.or_else(|| {
            let at = name.iter().rposition(|&byte| byte == b'_')?;
            let (base, suffix) = name.split_at_checked(at)?;
            let suffix = std::str::from_utf8(suffix).ok()?;
            self.by_metric.get(base).filter(|whole| whole.has_parts(suffix))
        })
    }

    /// What is known of a series.
    pub fn of_series<'a>(&'a self, labels: &'a Labels) -> Known<'a> {
        let of_metric = labels.metric().and_then(|metric| self.of_metric(metric));
        let fields = of_metric.map(MetricMetadata::fields).unwrap_or_default();
        let [metric_type, unit, help] = fields.map(|field| field.map(str::as_bytes));
        Known {
            metric_type: labels.get(TYPE_LABEL).or(metric_type),
            unit: labels.get(UNIT_LABEL).or(unit),
            help,
        }
    }
}

/// The fields of a metric that are known, each with the position of the source that it is taken from.
type Taken<'a> = [Option<(&'a str, usize)>; 3];

/// What is to be said of sources that disagree, by place and name of the finding.
#[derive(Default)]
struct Notes<'a> {
    all: BTreeMap<(&'a str, &'static str), Note<'a>>,
}

/// What is said of the first metric, and which metrics are concerned.
struct Note<'a> {
    first: String,
    metrics: BTreeSet<&'a [u8]>,
}

impl<'a> Notes<'a> {
    fn add(
        &mut self,
        place: &'a str,
        name: &'static str,
        field: &str,
        metric: &'a [u8],
        taken: &str,
        other: &str,
    ) {
        let note = self.all.entry((place, name)).or_insert_with(|| {
            let metric = String::from_utf8_lossy(metric);
            let first = format!("{field} of {metric} is {:?}, and was {other}", shortened(taken));
            Note { first, metrics: BTreeSet::new() }
        });
        note.metrics.insert(metric);
    }

    fn tell(self, findings: &mut Findings) {
        for ((place, name), Note { first, metrics }) in self.all {
            let message = match metrics.len() {
                1 => first,
                2 => format!("{first}; of 1 metric more something differs"),
                all => format!("{first}; of {} metrics more something differs", all - 1),
            };
            findings.push(Finding::new(Severity::Note, name, place, message));
        }
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
        let parsed = MetricMetadata::parse(entry).map_err(|error| format!("metric {metric}: {error}"))?;
        entries.entry(metric).or_default().insert(parsed);
        Ok::<(), String>(())
    };
    match data {
        Value::Object(metrics) => {
            for (metric, of_metric) in metrics {
                let Value::Array(list) = of_metric else {
                    return Err(format!("metric {metric}: {}", instead(of_metric, "a list of entries")));
                };
                list.iter().try_for_each(|entry| add(metric, entry))?;
            }
        }
        Value::Array(list) => {
            for (at, entry) in list.iter().enumerate() {
                let metric = match entry {
                    Value::Object(entry) => entry.get("metric").unwrap_or(&Value::Null),
                    other => {
                        return Err(format!(
                            "entry {at}: {}",
                            instead(other, "an object that names a metric")
                        ));
                    }
                };
                match metric {
                    Value::String(metric) => add(metric, entry)?,
                    other => return Err(format!("entry {at}, key metric: {}", instead(other, "a string"))),
                }
            }
        }
        other => return Err(instead(other, "an object with metrics, or a list of entries of targets")),
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
        Ok(Self { by_metric })
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

    #[test]
    fn labels_come_first_then_what_is_known_of_the_metric() {
        let mut all = Metadata::default();
        let plain = labels(&[("__name__", "up"), ("job", "a")]);
        let typed = labels(&[("__name__", "up"), ("__type__", "info")]);
        assert_eq!(all.of_series(&plain), known("", "", ""));
        assert_eq!(all.of_series(&typed), known("info", "", ""));
        all.set_metric(b"up", metadata("gauge", "seconds", "given"));
        assert_eq!(all.of_series(&plain), known("gauge", "seconds", "given"));
        assert_eq!(all.of_series(&typed), known("info", "seconds", "given"));
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
            (
                "7",
                "--metadata m.json: found 7, expected an object with metrics, or a list of entries of targets; give",
            ),
            (r#"{"up":{}}"#, "m.json: metric up: found an object, expected a list of entries;"),
            (
                r#"{"up":[["gauge","","Up."]]}"#,
                "up: found a list, expected an object with type, unit and help;",
            ),
            (r#"{"up":[{"type":7}]}"#, "metric up: key type: found 7, expected a string;"),
            (r#"[{"metric":"up","help":[]}]"#, "metric up: key help: found a list, expected a string;"),
            (r#"[{"type":"gauge"}]"#, "entry 0, key metric: found null, expected a string;"),
            (r#"[["up"]]"#, "entry 0: found a list, expected an object that names a metric;"),
            (r#"{"status":"success"}"#, "found null, expected an object with metrics"),
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

    fn update(known: &mut Metadata, sources: Vec<(String, Metadata)>) -> Vec<String> {
        let mut findings = Findings::default();
        known.update(sources, &mut findings);
        let tell = |at: Finding| format!("{} {}: {}", at.name, at.place, at.message);
        findings.list.into_iter().map(tell).collect()
    }

    #[test]
    fn newer_metadata_wins_where_it_knows_something_and_its_place_is_named() {
        let mut known = Metadata::default();
        known.set_metric(b"up", metadata("gauge", "seconds", "old"));
        known.set_metric(b"same", metadata("gauge", "", ""));
        let mut newer = Metadata::default();
        newer.set_metric(b"up", metadata("unknown", "", "new"));
        newer.set_metric(b"same", metadata("gauge", "", "help"));
        newer.set_metric(b"other", metadata("counter", "", ""));
        newer.set_metric(b"nothing", metadata("unknown", "", ""));
        let told = update(&mut known, vec![("m.json".to_owned(), newer.clone())]);
        assert_eq!(told, [r#"metadata-changed m.json: help of up is "new", and was "old" before"#]);
        assert_eq!(known.of_metric(b"up"), Some(&metadata("gauge", "seconds", "new")));
        assert_eq!(known.of_metric(b"same"), Some(&metadata("gauge", "", "help")));
        assert_eq!(known.of_metric(b"other"), Some(&metadata("counter", "", "")));
        assert_eq!(known.metrics().count(), 3);
        assert!(update(&mut known, vec![("m.json".to_owned(), newer)]).is_empty());
        let json = serde_json::to_string(&known).unwrap();
        assert_eq!(serde_json::from_str::<Metadata>(&json).unwrap(), known);
        assert!(serde_json::from_str::<Metadata>(r#"{"up":["gauge","","Up."]}"#).is_err());
    }

    #[test]
    fn a_file_has_the_last_word_over_a_log_and_both_over_what_was_kept() {
        let one = |metric_type, help| {
            let mut all = Metadata::default();
            all.set_metric(b"up", metadata(metric_type, "", help));
            all.set_metric(b"down", metadata(metric_type, "", help));
            all
        };
        let all = KnownMetadata {
            kept: one("gauge", "kept"),
            given: vec![("m.json".to_owned(), one("", "given"))],
        };
        let mut findings = Findings::default();
        let known = all.with_logged(vec![("data".to_owned(), one("counter", "logged"))], &mut findings);
        assert_eq!(known.of_metric(b"up"), Some(&metadata("counter", "", "given")));
        let told: Vec<_> =
            findings.list.iter().map(|at| format!("{} {}: {}", at.name, at.place, at.message)).collect();
        let more = "; of 1 metric more something differs";
        assert_eq!(
            told,
            [
                format!(r#"metadata-changed data: type of down is "counter", and was "gauge" before{more}"#),
                format!(r#"metadata-changed m.json: help of down is "given", and was "kept" before{more}"#),
                format!(
                    r#"metadata-conflict m.json: help of down is "given", and was "logged" in data{more}"#
                ),
            ]
        );
    }

    #[test]
    fn parts_of_a_metric_take_what_is_known_of_the_whole() {
        let mut all = Metadata::default();
        for (metric, metric_type) in [
            ("h", "histogram"),
            ("g", "gaugehistogram"),
            ("s", "summary"),
            ("c", "counter"),
            ("i", "info"),
            ("u", "unknown"),
        ] {
            all.set_metric(metric.as_bytes(), metadata(metric_type, "", metric));
        }
        all.set_metric(b"h_count", metadata("gauge", "", "own"));
        all.set_metric(b"h_sum", metadata("unknown", "", ""));
        let help = |name: &str| all.of_metric(name.as_bytes()).map_or("", |of| of.help.as_str());
        for (name, expected) in [
            ("h_bucket", "h"),
            ("h_count", "own"),
            ("h_sum", "h"),
            ("h_total", ""),
            ("g_gcount", "g"),
            ("g_sum", "g"),
            ("s_sum", "s"),
            ("s_bucket", ""),
            ("c_total", "c"),
            ("c_count", ""),
            ("i_info", "i"),
            ("u_total", ""),
            ("_sum", ""),
            ("h", "h"),
        ] {
            assert_eq!(help(name), expected, "{name}");
        }
    }
}
