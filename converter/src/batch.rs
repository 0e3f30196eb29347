//! Batches: rows as Arrow record batches, for programs that embed the converter.
//!
//! ```text
//! SampleRows ──► RecordBatch   metric, labels…   Dictionary(Int32, Utf8): one key per row, one text per series
//!                              series_id         Int64
//!                              times             Timestamp(ms, UTC)
//!                              value             Float64, null = stale marker
//! ```
//! Fields, order and meaning are those of tables `samples` and `histograms`; texts are dictionaries here, since rows of
//! a series share them. Sinks do not go this way: they write runs of series straight from the rows.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    ArrayRef, DictionaryArray, ListArray, PrimitiveArray, RecordBatch, StringArray, StructArray,
    new_null_array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use foldhash::fast::FixedState;
use tsdb_reader::Labels;
use tsdb_reader::samples::{FloatColumns, HistogramColumns, HistogramRow, is_stale_nan};

use crate::columns::{LabelColumnsError, label_columns};
use crate::downsample::{Aggregate, AggregateColumns};
use crate::resolution::Resolution;
use crate::rows::{SampleRows, SeriesRows, Windows};
use crate::schema::{FieldType, Table, TableSchema};
use crate::sink::{OutputOptions, labels_json};
use crate::text::histogram::hint_name;

/// Why rows could not become a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The promoted labels cannot become columns.
    #[error(transparent)]
    LabelColumns(#[from] LabelColumnsError),
    /// More than an Arrow array of 32-bit offsets can hold.
    #[error("rows do not fit one record batch: pass fewer series at once")]
    Arrow(#[from] ArrowError),
}

/// Makes record batches of table `samples`, or of `histograms`.
///
/// ```
/// use arrow_array::cast::AsArray;
/// use arrow_array::types::Float64Type;
/// use tsdb_converter::batch::BatchBuilder;
/// use tsdb_converter::rows::{SampleRows, SeriesExtent, SeriesRows};
/// use tsdb_converter::sink::OutputOptions;
/// use tsdb_reader::Labels;
///
/// let mut rows = SampleRows::default();
/// rows.columns.times_ms.extend([0, 15_000]);
/// rows.columns.values.extend([1.0, 0.5]);
/// let labels = Labels::from_iter([(&b"__name__"[..], &b"up"[..]), (b"job", b"node")]);
/// let extent = SeriesExtent::of(&rows.columns.times_ms);
/// rows.series.push(SeriesRows { end: 2, ..SeriesRows::new(labels, 42, extent) });
///
/// let options = OutputOptions { label_columns: vec!["job".into()], ..OutputOptions::default() };
/// let batch = BatchBuilder::new(&options)?.batch(&rows)?;
/// assert_eq!(batch.num_rows(), 2);
/// assert_eq!(batch["value"].as_primitive::<Float64Type>().values(), &[1.0, 0.5]);
/// assert_eq!(batch.schema().field(1).name(), "job");
/// # Ok::<(), tsdb_converter::batch::BatchError>(())
/// ```
#[derive(Debug)]
pub struct BatchBuilder {
    table: Table,
    schema: SchemaRef,
    columns: Vec<Column>,
}

/// Where a column of the batch comes from.
#[derive(Debug)]
enum Column {
    Metric,
    Label(Vec<u8>),
    LabelsJson,
    SeriesId,
    Timestamp,
    Value,
    StartTimestamp,
    ResolutionMs,
    WindowCount,
    Aggregate(Aggregate),
    Count,
    Sum,
    HistogramSchema,
    ZeroThreshold,
    ZeroCount,
    CounterResetHint,
    Buckets,
}

impl BatchBuilder {
    /// A builder of table `samples`; layout and promoted labels are taken from the options.
    pub fn new(options: &OutputOptions) -> Result<Self, BatchError> {
        Self::of_table(Table::Samples(Resolution::RAW), options)
    }

    /// A builder of table `histograms`.
    pub fn histograms(options: &OutputOptions) -> Result<Self, BatchError> {
        Self::of_table(Table::Histograms(Resolution::RAW), options)
    }

    /// A builder of any table of samples or histograms, such as the windows of a resolution.
    pub fn of_table(table: Table, options: &OutputOptions) -> Result<Self, BatchError> {
        let mut labels = label_columns(&options.label_columns)?.into_iter();
        let described = TableSchema::new(table, options)?;
        let is_window = matches!(table, Table::Samples(resolution) if !resolution.is_raw());
        let columns = described.fields.iter().map(|field| match field.name.as_str() {
            "metric" => Column::Metric,
            "labels" => Column::LabelsJson,
            "series_id" => Column::SeriesId,
            "timestamp" => Column::Timestamp,
            "value" => Column::Value,
            "start_timestamp" => Column::StartTimestamp,
            "resolution_ms" => Column::ResolutionMs,
            "count" if is_window => Column::WindowCount,
            "samples" => Column::WindowCount,
            name if is_window && name.parse::<Aggregate>().is_ok() => {
                Column::Aggregate(name.parse().unwrap_or(Aggregate::Sum))
            }
            "count" => Column::Count,
            "sum" => Column::Sum,
            "histogram_schema" => Column::HistogramSchema,
            "zero_threshold" => Column::ZeroThreshold,
            "zero_count" => Column::ZeroCount,
            "counter_reset_hint" => Column::CounterResetHint,
            "buckets" => Column::Buckets,
            // No label has the name of a column; what is left are the promoted ones, in order.
            _ => Column::Label(labels.next().map(|column| column.label.into_bytes()).unwrap_or_default()),
        });
        let columns = columns.collect();
        let arrow = described.arrow();
        let fields = arrow.fields().iter().zip(&described.fields).map(|(field, described)| {
            let field = field.as_ref().clone();
            match described.kind {
                FieldType::String | FieldType::Json => field.with_data_type(dictionary_type()),
                _ => field,
            }
        });
        Ok(Self { table, schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns })
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// All rows of the table as one batch.
    pub fn batch(&self, rows: &SampleRows) -> Result<RecordBatch, BatchError> {
        let none = (FloatColumns::default(), HistogramColumns::default(), Windows::default());
        let (no_floats, no_histograms, no_windows) = &none;
        let of = |resolution| rows.windows.get(&resolution).unwrap_or(no_windows);
        let mut table = Rows {
            series: Vec::new(),
            resolution: Resolution::RAW,
            times_ms: &[],
            floats: no_floats,
            histograms: no_histograms,
            aggregates: &no_windows.floats,
            counts: &[],
        };
        let named = |(at, range): (usize, Range<usize>)| Some((rows.series.get(at)?, range.len()));
        match self.table {
            Table::Samples(resolution) => {
                table.series = rows.floats_of(resolution).filter_map(named).collect();
                table.resolution = resolution;
                if resolution.is_raw() {
                    (table.times_ms, table.floats) = (&rows.columns.times_ms, &rows.columns);
                } else {
                    table.aggregates = &of(resolution).floats;
                    (table.times_ms, table.counts) = (&table.aggregates.times_ms, &table.aggregates.counts);
                }
            }
            Table::Histograms(resolution) => {
                table.series = rows.histograms_of(resolution).filter_map(named).collect();
                table.resolution = resolution;
                table.histograms = match resolution.is_raw() {
                    true => &rows.histograms,
                    false => &of(resolution).histograms,
                };
                table.counts = &of(resolution).histogram_samples;
                table.times_ms = &table.histograms.times_ms;
            }
            Table::Series => {}
        }
        let fields = self.schema.fields().iter();
        let arrays =
            fields.zip(&self.columns).map(|(field, column)| array(column, &table, field.data_type()));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), arrays.collect::<Result<_, _>>()?)?)
    }
}

/// Rows of one table.
struct Rows<'a> {
    /// Series with the number of their rows.
    series: Vec<(&'a SeriesRows, usize)>,
    resolution: Resolution,
    times_ms: &'a [i64],
    floats: &'a FloatColumns,
    histograms: &'a HistogramColumns,
    aggregates: &'a AggregateColumns,
    /// Samples of each window.
    counts: &'a [i64],
}

impl Rows<'_> {
    /// Not more than there are times; 0 for unknown.
    fn starts_ms(&self) -> &[i64] {
        match self.floats.start_times_ms.as_slice() {
            [] => &self.histograms.start_times_ms,
            starts_ms => starts_ms,
        }
    }
}

fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn array(column: &Column, rows: &Rows<'_>, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    match column {
        Column::Metric => texts(rows, |labels| labels.metric().map(lossy)),
        Column::Label(name) => texts(rows, |labels| labels.get(name).map(lossy)),
        Column::LabelsJson => texts(rows, |labels| Some(labels_json(labels))),
        Column::SeriesId => {
            let series = rows.series.iter();
            let ids = series.flat_map(|(series, rows)| std::iter::repeat_n(series.series_id, *rows));
            Ok(Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(ids)))
        }
        Column::Timestamp => {
            let times = PrimitiveArray::<TimestampMillisecondType>::from(rows.times_ms.to_vec());
            Ok(Arc::new(times.with_timezone("UTC")))
        }
        Column::Value => Ok(nullable(&rows.floats.values)),
        Column::Aggregate(aggregate) => Ok(nullable(rows.aggregates.column(*aggregate))),
        Column::ResolutionMs => {
            let widths = std::iter::repeat_n(rows.resolution.ms(), rows.times_ms.len());
            Ok(Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(widths)))
        }
        Column::WindowCount => Ok(Arc::new(PrimitiveArray::<Int64Type>::from(rows.counts.to_vec()))),
        Column::StartTimestamp => {
            let starts_ms = rows.starts_ms();
            let known = starts_ms.iter().map(|&start_ms| (start_ms != 0).then_some(start_ms));
            let unknown = std::iter::repeat_n(None, rows.times_ms.len().saturating_sub(starts_ms.len()));
            let starts = known.chain(unknown).collect::<PrimitiveArray<TimestampMillisecondType>>();
            Ok(Arc::new(starts.with_timezone("UTC")))
        }
        Column::Count => Ok(doubles(rows, |row| row.as_f64(row.count))),
        Column::Sum => Ok(doubles(rows, |row| row.sum)),
        Column::ZeroThreshold => Ok(doubles(rows, |row| row.layout.zero_threshold)),
        Column::ZeroCount => Ok(doubles(rows, |row| row.as_f64(row.zero_count))),
        Column::HistogramSchema => {
            let schemas = values_of(rows.histograms, |row| i64::from(row.layout.schema));
            Ok(Arc::new(schemas.collect::<PrimitiveArray<Int64Type>>()))
        }
        Column::CounterResetHint => {
            let hints = values_of(rows.histograms, |row| hint_name(row.hint));
            Ok(Arc::new(hints.collect::<DictionaryArray<Int32Type>>()))
        }
        Column::Buckets => buckets(rows.histograms, kind),
    }
}

/// Doubles; null for stale markers.
fn nullable(values: &[f64]) -> ArrayRef {
    let values = values.iter().map(|&value| (!is_stale_nan(value)).then_some(value));
    Arc::new(values.collect::<PrimitiveArray<Float64Type>>())
}

/// What histograms say; null for stale markers.
fn values_of<'a, T>(
    histograms: &'a HistogramColumns,
    value: impl Fn(&HistogramRow<'_>) -> T + 'a,
) -> impl Iterator<Item = Option<T>> + 'a {
    let rows = (0..histograms.len()).map_while(|row| histograms.row(row));
    rows.map(move |row| (!row.is_stale()).then(|| value(&row)))
}

fn doubles(rows: &Rows<'_>, value: impl Fn(&HistogramRow<'_>) -> f64) -> ArrayRef {
    Arc::new(values_of(rows.histograms, value).collect::<PrimitiveArray<Float64Type>>())
}

/// The buckets of histograms, as lists of the type `kind`.
fn buckets(histograms: &HistogramColumns, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    let DataType::List(element) = kind else { return Ok(new_null_array(kind, histograms.len())) };
    let DataType::Struct(fields) = element.data_type() else {
        return Ok(new_null_array(kind, histograms.len()));
    };
    if i32::try_from(histograms.buckets.len()).is_err() {
        return Err(ArrowError::OffsetOverflowError(histograms.buckets.len()));
    }
    let (mut lower, mut upper, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for row in (0..histograms.len()).map_while(|row| histograms.row(row)) {
        for bucket in row.buckets_ascending() {
            lower.push(bucket.0);
            upper.push(bucket.1);
            counts.push(row.as_f64(bucket.2));
        }
    }
    let columns = [lower, upper, counts]
        .map(|column| -> ArrayRef { Arc::new(PrimitiveArray::<Float64Type>::from(column)) });
    let lens = (0..histograms.len()).map(|row| histograms.bucket_range(row).len());
    let elements = StructArray::try_new(fields.clone(), columns.into(), None)?;
    let list =
        ListArray::try_new(Arc::clone(element), OffsetBuffer::from_lengths(lens), Arc::new(elements), None)?;
    Ok(Arc::new(list))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A dictionary array of a text per series.
fn texts(rows: &Rows<'_>, text: impl Fn(&Labels) -> Option<String>) -> Result<ArrayRef, ArrowError> {
    let mut keys: HashMap<String, i32, FixedState> = HashMap::default();
    let mut of_rows = Vec::with_capacity(rows.times_ms.len());
    for &(series, count) in rows.series.iter().filter(|(_, count)| *count > 0) {
        let key = match text(&series.labels) {
            Some(text) => {
                let next = i32::try_from(keys.len()).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
                Some(*keys.entry(text).or_insert(next))
            }
            None => None,
        };
        of_rows.extend(std::iter::repeat_n(key, count));
    }
    let mut values: Vec<_> = keys.into_iter().collect();
    values.sort_unstable_by_key(|&(_, key)| key);
    let bytes: usize = values.iter().map(|(text, _)| text.len()).sum();
    if i32::try_from(bytes).is_err() {
        return Err(ArrowError::OffsetOverflowError(bytes));
    }
    let values = StringArray::from_iter_values(values.into_iter().map(|(text, _)| text));
    let keys = of_rows.into_iter().collect::<PrimitiveArray<Int32Type>>();
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values))?))
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use tsdb_reader::samples::{CounterResetHint, HistogramKind, HistogramLayout, STALE_NAN_BITS, Span};

    use super::*;
    use crate::rows::SeriesExtent;
    use crate::sink::Layout;

    fn rows() -> SampleRows {
        let mut rows = SampleRows::default();
        rows.columns.times_ms = vec![-1, 0, 5];
        rows.columns.values =
            vec![-0.0, f64::from_bits(STALE_NAN_BITS), f64::from_bits(0x7ff8_0000_0000_beef)];
        let series = |pairs: &[(&[u8], &[u8])], series_id, end| SeriesRows {
            end,
            ..SeriesRows::new(pairs.iter().copied().collect(), series_id, SeriesExtent::NONE)
        };
        rows.series.push(series(&[(b"Job", b"x\xff")], -1, 2));
        rows.series.push(series(&[(b"__name__", b"up"), (b"a", b"\"")], 7, 3));
        rows
    }

    fn batch(rows: &SampleRows) -> RecordBatch {
        let options = OutputOptions {
            layout: Layout::Flat,
            label_columns: vec!["Job".into()],
            ..OutputOptions::default()
        };
        BatchBuilder::new(&options).unwrap().batch(rows).unwrap()
    }

    fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
        let array = batch[column].as_dictionary::<Int32Type>();
        let texts = array.downcast_dict::<StringArray>().unwrap();
        texts.into_iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn texts_are_dictionaries_and_null_where_the_label_is_missing() {
        let batch = batch(&rows());
        let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names.join(" "), "metric lx__job labels series_id timestamp value start_timestamp");
        assert_eq!(texts(&batch, "metric"), [None, None, Some("up".into())]);
        assert_eq!(texts(&batch, "lx__job"), [Some("x\u{fffd}".into()), Some("x\u{fffd}".into()), None]);
        assert_eq!(texts(&batch, "labels")[2], Some(r#"{"a":"\""}"#.into()));
    }

    #[test]
    fn numbers_keep_their_bits_and_stale_markers_become_null() {
        let batch = batch(&rows());
        let values = batch["value"].as_primitive::<Float64Type>();
        assert_eq!(values.value(0).to_bits(), (-0.0f64).to_bits());
        assert!(values.is_null(1));
        assert_eq!(values.value(2).to_bits(), 0x7ff8_0000_0000_beef);
        assert_eq!(batch["series_id"].as_primitive::<Int64Type>().values(), &[-1, -1, 7]);
        assert_eq!(batch["start_timestamp"].null_count(), 3);
        let mut rows = rows();
        rows.columns.start_times_ms = vec![0, 3, -4];
        let starts = self::batch(&rows)["start_timestamp"].as_primitive::<TimestampMillisecondType>().clone();
        assert_eq!(starts.iter().collect::<Vec<_>>(), [None, Some(3), Some(-4)]);
    }

    #[test]
    fn histograms_are_rows_with_lists_of_buckets_and_stale_markers_null() {
        let layout = Arc::new(HistogramLayout {
            positive_spans: vec![Span { offset: 0, length: 2 }],
            ..HistogramLayout::default()
        });
        let row = |timestamp_ms, sum, buckets| HistogramRow {
            timestamp_ms,
            start_timestamp_ms: 0,
            sum,
            count: 3,
            zero_count: 0,
            kind: HistogramKind::Integer,
            hint: CounterResetHint::Gauge,
            layout: &layout,
            buckets,
        };
        let mut rows = rows();
        rows.histograms.push(row(9, 1.5, &[1, 2]));
        rows.histograms.push(row(10, f64::from_bits(STALE_NAN_BITS), &[]));
        rows.series[1].histograms_end = 2;
        let options = OutputOptions::default();
        let batch = BatchBuilder::histograms(&options).unwrap().batch(&rows).unwrap();
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(texts(&batch, "metric"), [Some("up".into()), Some("up".into())]);
        assert_eq!(texts(&batch, "counter_reset_hint"), [Some("gauge".into()), None]);
        assert_eq!(
            batch["count"].as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
            [Some(3.0), None]
        );
        let lists = batch["buckets"].as_list::<i32>();
        assert_eq!((lists.value(0).len(), lists.value(1).len(), lists.null_count()), (2, 0, 0));
        let upper = lists.value(0).as_struct().column_by_name("upper").unwrap().clone();
        assert_eq!(upper.as_primitive::<Float64Type>().values(), &[1.0, 2.0]);
        let schema = TableSchema::new(Table::Histograms(Resolution::RAW), &options).unwrap().arrow();
        assert_eq!(batch["buckets"].data_type(), schema.field_with_name("buckets").unwrap().data_type());
    }

    #[test]
    fn no_rows_are_an_empty_batch() {
        assert_eq!(batch(&SampleRows::default()).num_rows(), 0);
    }
}
