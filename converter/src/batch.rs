//! Batches: rows as Arrow record batches, for programs that embed the converter.
//!
//! ```text
//! SampleRows ──► RecordBatch   metric, labels…   Dictionary(Int32, Utf8): one key per row, one text per series
//!                              series_id         Int64
//!                              times             Timestamp(ms, UTC)
//!                              value             Float64, null = stale marker
//! ```
//! Fields, order and meaning are those of table `samples`; texts are dictionaries here, since rows of a series share
//! them. Sinks do not go this way: they write runs of series straight from the rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use foldhash::fast::FixedState;
use tsdb_reader::Labels;
use tsdb_reader::samples::is_stale_nan;

use crate::columns::{LabelColumnsError, label_columns};
use crate::rows::SampleRows;
use crate::schema::{FieldType, Table, TableSchema};
use crate::sink::{OutputOptions, labels_json};

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

/// Makes record batches of table `samples`.
///
/// ```
/// use arrow_array::cast::AsArray;
/// use arrow_array::types::Float64Type;
/// use tsdb_converter::batch::BatchBuilder;
/// use tsdb_converter::rows::{SampleRows, SeriesRows};
/// use tsdb_converter::sink::OutputOptions;
/// use tsdb_reader::Labels;
///
/// let mut rows = SampleRows::default();
/// rows.columns.times_ms.extend([0, 15_000]);
/// rows.columns.values.extend([1.0, 0.5]);
/// let labels = Labels::from_iter([(&b"__name__"[..], &b"up"[..]), (b"job", b"node")]);
/// rows.series.push(SeriesRows { labels, series_id: 42, end: 2 });
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
}

impl BatchBuilder {
    /// A builder; layout and promoted labels are taken from the options.
    pub fn new(options: &OutputOptions) -> Result<Self, BatchError> {
        let mut labels = label_columns(&options.label_columns)?.into_iter();
        let table = TableSchema::new(Table::Samples, options)?;
        let columns = table.fields.iter().map(|field| match field.name.as_str() {
            "metric" => Column::Metric,
            "labels" => Column::LabelsJson,
            "series_id" => Column::SeriesId,
            "timestamp" => Column::Timestamp,
            "value" => Column::Value,
            "start_timestamp" => Column::StartTimestamp,
            // No label has the name of a column; what is left are the promoted ones, in order.
            _ => Column::Label(labels.next().map(|column| column.label.into_bytes()).unwrap_or_default()),
        });
        let columns = columns.collect();
        let arrow = table.arrow();
        let fields = arrow.fields().iter().zip(&table.fields).map(|(field, described)| {
            let field = field.as_ref().clone();
            match described.kind {
                FieldType::String | FieldType::Json => field.with_data_type(dictionary_type()),
                _ => field,
            }
        });
        Ok(Self { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns })
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// All rows as one batch.
    pub fn batch(&self, rows: &SampleRows) -> Result<RecordBatch, BatchError> {
        let arrays = self.columns.iter().map(|column| array(column, rows));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), arrays.collect::<Result<_, _>>()?)?)
    }
}

fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn array(column: &Column, rows: &SampleRows) -> Result<ArrayRef, ArrowError> {
    let columns = &rows.columns;
    match column {
        Column::Metric => texts(rows, |labels| labels.metric().map(lossy)),
        Column::Label(name) => texts(rows, |labels| labels.get(name).map(lossy)),
        Column::LabelsJson => texts(rows, |labels| Some(labels_json(labels))),
        Column::SeriesId => {
            let ids =
                rows.iter().flat_map(|(series, range)| std::iter::repeat_n(series.series_id, range.len()));
            Ok(Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(ids)))
        }
        Column::Timestamp => {
            let times = PrimitiveArray::<TimestampMillisecondType>::from(columns.times_ms.clone());
            Ok(Arc::new(times.with_timezone("UTC")))
        }
        Column::Value => {
            let values = columns.values.iter().map(|&value| (!is_stale_nan(value)).then_some(value));
            Ok(Arc::new(values.collect::<PrimitiveArray<Float64Type>>()))
        }
        Column::StartTimestamp => {
            let known = columns.start_times_ms.iter().map(|&start_ms| (start_ms != 0).then_some(start_ms));
            let unknown = std::iter::repeat_n(None, rows.len() - columns.start_times_ms.len());
            let starts = known.chain(unknown).collect::<PrimitiveArray<TimestampMillisecondType>>();
            Ok(Arc::new(starts.with_timezone("UTC")))
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A dictionary array of a text per series.
fn texts(rows: &SampleRows, text: impl Fn(&Labels) -> Option<String>) -> Result<ArrayRef, ArrowError> {
    let mut keys: HashMap<String, i32, FixedState> = HashMap::default();
    let mut of_rows = Vec::with_capacity(rows.len());
    for (series, range) in rows.iter() {
        let key = match text(&series.labels) {
            Some(text) => {
                let next = i32::try_from(keys.len()).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
                Some(*keys.entry(text).or_insert(next))
            }
            None => None,
        };
        of_rows.extend(std::iter::repeat_n(key, range.len()));
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
    use tsdb_reader::samples::STALE_NAN_BITS;

    use super::*;
    use crate::rows::SeriesRows;
    use crate::sink::Layout;

    fn rows() -> SampleRows {
        let mut rows = SampleRows::default();
        rows.columns.times_ms = vec![-1, 0, 5];
        rows.columns.values =
            vec![-0.0, f64::from_bits(STALE_NAN_BITS), f64::from_bits(0x7ff8_0000_0000_beef)];
        let series = |pairs: &[(&[u8], &[u8])], series_id, end| SeriesRows {
            labels: pairs.iter().copied().collect(),
            series_id,
            end,
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
    fn no_rows_are_an_empty_batch() {
        assert_eq!(batch(&SampleRows::default()).num_rows(), 0);
    }
}
