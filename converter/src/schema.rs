//! Schema: the output tables, described once for every format and loader.
//!
//! ```text
//!               ┌─► arrow()            embedders, Parquet
//! TableSchema ──┼─► bigquery_json()    bq load, bq mk
//!               └─► ddl_columns()      CREATE TABLE
//! ```
//! The order of fields is part of the contract: every file of a table has the same names, order and modes. All
//! fields are nullable or repeated, none is required, since loaders refuse to append what differs in that.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Fields, Schema, TimeUnit};
use serde_json::{Map, Value};

use crate::columns::{LabelColumnsError, label_columns};
use crate::downsample::Aggregate;
use crate::resolution::Resolution;
use crate::sink::{Format, Layout, OutputOptions};

/// A table of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// One row per float sample, or per series and window of a resolution.
    Samples(Resolution),
    /// One row per native histogram, or per series and window.
    Histograms(Resolution),
    /// One row per series and partition.
    Series,
}

impl Table {
    /// The tables of raw samples.
    pub const RAW: [Self; 3] =
        [Self::Samples(Resolution::RAW), Self::Histograms(Resolution::RAW), Self::Series];

    /// The tables of these resolutions, in the order of their names' meaning: samples, histograms, series.
    pub fn of(resolutions: impl IntoIterator<Item = Resolution>) -> Vec<Self> {
        let resolutions: BTreeSet<_> = resolutions.into_iter().collect();
        let samples = resolutions.iter().map(|&resolution| Self::Samples(resolution));
        let histograms = resolutions.iter().map(|&resolution| Self::Histograms(resolution));
        samples.chain(histograms).chain([Self::Series]).collect()
    }

    /// Its name: the folder of its files, and the table to load them into: `samples`, `samples_5m`.
    pub fn name(self) -> String {
        let (name, resolution) = match self {
            Self::Samples(resolution) => ("samples", resolution),
            Self::Histograms(resolution) => ("histograms", resolution),
            Self::Series => ("series", Resolution::RAW),
        };
        if resolution.is_raw() { name.to_owned() } else { format!("{name}_{resolution}") }
    }

    /// The table of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        if name == "series" {
            return Some(Self::Series);
        }
        let (kind, resolution) = match name.split_once('_') {
            // Raw samples have no resolution in their name.
            Some((_, "raw")) => return None,
            Some((kind, resolution)) => (kind, resolution.parse().ok()?),
            None => (name, Resolution::RAW),
        };
        let table = match kind {
            "samples" => Self::Samples(resolution),
            "histograms" => Self::Histograms(resolution),
            _ => return None,
        };
        (table.name() == name).then_some(table)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// UTF-8 text.
    String,
    /// A signed integer.
    Int64,
    /// A double.
    Float64,
    /// Milliseconds since the epoch, UTC.
    Timestamp,
    /// A JSON object, where the format can carry one.
    Json,
    /// Fields of its own.
    Record(Vec<Field>),
}

/// A field of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: FieldType,
    /// A list of that; otherwise it is nullable.
    pub repeated: bool,
    /// One sentence for the reader of the table.
    pub description: String,
}

impl Field {
    fn new(name: &str, kind: FieldType, description: &str) -> Self {
        Self { name: name.to_owned(), kind, repeated: false, description: description.to_owned() }
    }

    fn list(name: &str, fields: Vec<Self>, description: &str) -> Self {
        Self { repeated: true, ..Self::new(name, FieldType::Record(fields), description) }
    }
}

/// The fields of a table under some options.
///
/// ```
/// use tsdb_converter::schema::{Table, TableSchema};
/// use tsdb_converter::sink::OutputOptions;
///
/// let samples = TableSchema::new(Table::RAW[0], &OutputOptions::default())?;
/// let names: Vec<&str> = samples.fields.iter().map(|field| field.name.as_str()).collect();
/// assert_eq!(names, ["metric", "series_id", "timestamp", "value", "start_timestamp"]);
/// # Ok::<(), tsdb_converter::columns::LabelColumnsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Name of the table.
    pub name: String,
    /// Its fields in order.
    pub fields: Vec<Field>,
}

impl TableSchema {
    /// Describes a table.
    pub fn new(table: Table, options: &OutputOptions) -> Result<Self, LabelColumnsError> {
        let parts = Parts::new(options)?;
        let fields = match table {
            Table::Samples(Resolution::RAW) => parts.samples(),
            Table::Samples(_) => parts.windows(),
            Table::Histograms(resolution) => parts.histograms(resolution),
            Table::Series => parts.series(),
        };
        Ok(Self { name: table.name(), fields })
    }

    /// As an Arrow schema, which is that of the Parquet files too.
    pub fn arrow(&self) -> Schema {
        Schema::new(self.fields.iter().map(arrow_field).collect::<Fields>())
    }

    /// As the schema file of `bq load` and `bq mk`.
    pub fn bigquery_json(&self) -> Value {
        Value::Array(self.fields.iter().map(bigquery_field).collect())
    }

    /// As the columns of a `CREATE TABLE` statement, without the parentheses around them.
    pub fn ddl_columns(&self) -> String {
        let mut text = String::new();
        for field in &self.fields {
            let comma = if text.is_empty() { "" } else { ",\n" };
            // A description holds neither quote nor backslash except those of a label's name.
            let description = Value::from(field.description.as_str());
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{comma}  `{}` {} OPTIONS(description={description})",
                field.name,
                ddl_type(field)
            );
        }
        text
    }
}

/// What the tables have in common.
struct Parts {
    identity: Vec<Field>,
    labels: Option<Field>,
    promoted: Vec<Field>,
    json: FieldType,
}

impl Parts {
    fn new(options: &OutputOptions) -> Result<Self, LabelColumnsError> {
        let columns = label_columns(&options.label_columns)?;
        let promoted = columns.iter().map(|column| {
            Field::new(&column.column, FieldType::String, &format!("Label {:?} of the series.", column.label))
        });
        let json = match options.format {
            Format::Parquet => FieldType::String,
            Format::Ndjson => FieldType::Json,
        };
        let labels = match options.layout {
            Layout::Star => None,
            Layout::Flat => Some(labels_field(&json)),
        };
        Ok(Self { identity: vec![metric()], labels, promoted: promoted.collect(), json })
    }

    /// Metric, promoted labels, labels where the layout has them, series_id.
    fn of_row(&self) -> Vec<Field> {
        let mut fields = self.identity.clone();
        fields.extend(self.promoted.iter().chain(&self.labels).cloned());
        fields.push(series_id());
        fields
    }

    fn samples(&self) -> Vec<Field> {
        let mut fields = self.of_row();
        fields.push(timestamp());
        fields.push(Field::new(
            "value",
            FieldType::Float64,
            "The value; null is a stale marker: the series ended.",
        ));
        fields.push(start_timestamp());
        fields
    }

    fn windows(&self) -> Vec<Field> {
        let mut fields = self.of_row();
        fields.extend(window());
        fields.push(Field::new("count", FieldType::Int64, "Samples in the window."));
        fields.extend(Aggregate::ALL.map(|aggregate| {
            let description = match aggregate {
                Aggregate::Sum => "Sum of the samples.",
                Aggregate::Min => "The smallest sample.",
                Aggregate::Max => "The largest sample.",
                Aggregate::First => "The first sample; null where it is not known.",
                Aggregate::Last => "The last sample; null where it is not known.",
                Aggregate::Increase => {
                    "By how much the counter has grown, resets included; null unless a counter."
                }
            };
            Field::new(aggregate.name(), FieldType::Float64, description)
        }));
        fields
    }

    fn histograms(&self, resolution: Resolution) -> Vec<Field> {
        let float = |name, description| Field::new(name, FieldType::Float64, description);
        let mut fields = self.of_row();
        if resolution.is_raw() {
            fields.extend([timestamp(), start_timestamp()]);
        } else {
            fields.extend(window());
            fields.push(Field::new(
                "samples",
                FieldType::Int64,
                "Histograms in the window; the rest is their increase, of gauges their sum.",
            ));
        }
        fields.extend([
            float("count", "Number of observations; null is a stale marker."),
            float("sum", "Sum of observations; null is a stale marker."),
            Field::new(
                "histogram_schema",
                FieldType::Int64,
                "Resolution of the buckets; -53 is custom bounds.",
            ),
            float("zero_threshold", "Width of the zero bucket."),
            float("zero_count", "Observations in the zero bucket."),
            Field::new("counter_reset_hint", FieldType::String, "One of unknown, reset, not_reset, gauge."),
            Field::list(
                "buckets",
                vec![
                    float("lower", "Lower bound."),
                    float("upper", "Upper bound."),
                    float("count", "Observations in this bucket alone."),
                ],
                "Buckets in ascending order, without the zero bucket.",
            ),
        ]);
        fields
    }

    fn series(&self) -> Vec<Field> {
        let text = |name, description| Field::new(name, FieldType::String, description);
        let time = |name, description| Field::new(name, FieldType::Timestamp, description);
        let mut fields = vec![series_id()];
        fields.extend(self.identity.iter().chain(&self.promoted).cloned());
        fields.extend([
            labels_field(&self.json),
            Field::list(
                "label_pairs",
                vec![text("name", "Name of the label."), text("value", "Value of the label.")],
                "All labels but the metric name, sorted by name.",
            ),
            time("min_timestamp", "Time of the series' first sample in this partition."),
            time("max_timestamp", "Time of the series' last sample in this partition."),
            Field::new("samples", FieldType::Int64, "Samples of the series in this partition."),
            text("type", "Type of the metric, where known."),
            text("unit", "Unit of the metric, where known."),
            text("help", "Help text of the metric, where known."),
        ]);
        fields
    }
}

fn metric() -> Field {
    Field::new("metric", FieldType::String, "Name of the metric; null when the series has none.")
}

fn series_id() -> Field {
    Field::new("series_id", FieldType::Int64, "Stable hash of the labels; joins with table series.")
}

fn timestamp() -> Field {
    Field::new("timestamp", FieldType::Timestamp, "Time of the sample, exact to the millisecond.")
}

fn window() -> [Field; 2] {
    [
        Field::new("timestamp", FieldType::Timestamp, "Start of the window."),
        Field::new("resolution_ms", FieldType::Int64, "Width of the window in milliseconds."),
    ]
}

fn start_timestamp() -> Field {
    Field::new("start_timestamp", FieldType::Timestamp, "When the counter began, where known.")
}

fn labels_field(json: &FieldType) -> Field {
    Field::new("labels", json.clone(), "JSON object of all labels but the metric name, keys sorted.")
}

fn arrow_field(field: &Field) -> ArrowField {
    let kind = match &field.kind {
        FieldType::String | FieldType::Json => DataType::Utf8,
        FieldType::Int64 => DataType::Int64,
        FieldType::Float64 => DataType::Float64,
        FieldType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        FieldType::Record(fields) => DataType::Struct(fields.iter().map(arrow_field).collect()),
    };
    let kind = match field.repeated {
        // `element` is the name of the Parquet specification; loaders infer lists by it.
        true => DataType::List(Arc::new(ArrowField::new("element", kind, true))),
        false => kind,
    };
    ArrowField::new(&field.name, kind, true)
}

fn bigquery_field(field: &Field) -> Value {
    let kind = match &field.kind {
        FieldType::String => "STRING",
        FieldType::Int64 => "INTEGER",
        FieldType::Float64 => "FLOAT",
        FieldType::Timestamp => "TIMESTAMP",
        FieldType::Json => "JSON",
        FieldType::Record(_) => "RECORD",
    };
    let mut object = Map::new();
    object.insert("name".to_owned(), field.name.as_str().into());
    object.insert("type".to_owned(), kind.into());
    object.insert("mode".to_owned(), if field.repeated { "REPEATED" } else { "NULLABLE" }.into());
    object.insert("description".to_owned(), field.description.as_str().into());
    if let FieldType::Record(fields) = &field.kind {
        object.insert("fields".to_owned(), fields.iter().map(bigquery_field).collect());
    }
    Value::Object(object)
}

fn ddl_type(field: &Field) -> String {
    let kind = match &field.kind {
        FieldType::String => "STRING".to_owned(),
        FieldType::Int64 => "INT64".to_owned(),
        FieldType::Float64 => "FLOAT64".to_owned(),
        FieldType::Timestamp => "TIMESTAMP".to_owned(),
        FieldType::Json => "JSON".to_owned(),
        FieldType::Record(fields) => {
            let fields: Vec<_> = fields.iter().map(|f| format!("`{}` {}", f.name, ddl_type(f))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
    };
    if field.repeated { format!("ARRAY<{kind}>") } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(table: Table, options: &OutputOptions) -> TableSchema {
        TableSchema::new(table, options).unwrap()
    }

    fn names(table: Table, options: &OutputOptions) -> String {
        let names: Vec<_> = schema(table, options).fields.into_iter().map(|field| field.name).collect();
        names.join(" ")
    }

    fn flat() -> OutputOptions {
        OutputOptions {
            layout: Layout::Flat,
            label_columns: vec!["job".into(), "type".into()],
            ..OutputOptions::default()
        }
    }

    #[test]
    fn fields_stand_in_the_order_of_the_contract() {
        let star = OutputOptions::default();
        assert_eq!(
            names(Table::Samples(Resolution::RAW), &star),
            "metric series_id timestamp value start_timestamp"
        );
        assert_eq!(
            names(Table::Samples(Resolution::RAW), &flat()),
            "metric job l_type labels series_id timestamp value start_timestamp"
        );
        assert_eq!(
            names(Table::Histograms(Resolution::RAW), &flat()),
            "metric job l_type labels series_id timestamp start_timestamp count sum histogram_schema \
             zero_threshold zero_count counter_reset_hint buckets"
        );
        assert_eq!(
            names(Table::Series, &flat()),
            "series_id metric job l_type labels label_pairs min_timestamp max_timestamp samples type unit help"
        );
    }

    #[test]
    fn bigquery_schema_requires_nothing_and_nests_lists() {
        let json = schema(Table::Series, &OutputOptions::default()).bigquery_json();
        let modes: Vec<_> =
            json.as_array().unwrap().iter().map(|field| field["mode"].as_str().unwrap()).collect();
        assert!(modes.iter().all(|&mode| mode == "NULLABLE" || mode == "REPEATED"));
        assert_eq!(json[0]["name"], "series_id");
        assert_eq!(json[0]["type"], "INTEGER");
        assert_eq!(json[2]["type"], "STRING");
        assert_eq!(json[3]["mode"], "REPEATED");
        assert_eq!(json[3]["fields"][1]["name"], "value");
        assert_eq!(json[4]["type"], "TIMESTAMP");
        assert_eq!(schema(Table::Samples(Resolution::RAW), &flat()).bigquery_json()[6]["type"], "FLOAT");
    }

    #[test]
    fn labels_are_json_only_where_the_format_carries_it() {
        let options = OutputOptions { layout: Layout::Flat, ..OutputOptions::new(Format::Ndjson) };
        assert_eq!(schema(Table::Samples(Resolution::RAW), &options).bigquery_json()[1]["type"], "JSON");
        assert!(schema(Table::Samples(Resolution::RAW), &options).ddl_columns().contains("`labels` JSON"));
        assert!(schema(Table::Samples(Resolution::RAW), &flat()).ddl_columns().contains("`labels` STRING"));
    }

    #[test]
    fn ddl_spells_nested_types_and_quotes_descriptions() {
        let ddl = schema(Table::Histograms(Resolution::RAW), &OutputOptions::default()).ddl_columns();
        assert!(ddl.contains("`buckets` ARRAY<STRUCT<`lower` FLOAT64, `upper` FLOAT64, `count` FLOAT64>>"));
        let options = OutputOptions { label_columns: vec!["a\"b".into()], ..OutputOptions::default() };
        let ddl = schema(Table::Samples(Resolution::RAW), &options).ddl_columns();
        assert!(ddl.contains(r#"OPTIONS(description="Label \"a\\\"b\" of the series.")"#), "{ddl}");
        assert!(!ddl.trim_end().ends_with(','));
    }

    #[test]
    fn arrow_fields_are_nullable_to_the_leaves() {
        fn all_nullable(field: &ArrowField) -> bool {
            field.is_nullable()
                && match field.data_type() {
                    DataType::List(element) => all_nullable(element),
                    DataType::Struct(fields) => fields.iter().all(|field| all_nullable(field)),
                    _ => true,
                }
        }
        for table in Table::RAW {
            let arrow = schema(table, &flat()).arrow();
            assert!(arrow.fields().iter().all(|field| all_nullable(field)));
        }
    }
}
