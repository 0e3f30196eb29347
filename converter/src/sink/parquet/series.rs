//! Table `series`: one row per series of a slice, gathered into row groups over slices.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, ListArray, PrimitiveArray, StringArray, StructArray, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use tsdb_reader::Labels;
use tsdb_reader::labels::METRIC_NAME;

use super::strings::Strings;
use crate::columns::LabelColumn;
use crate::metadata::Metadata;
use crate::rows::SeriesRows;
use crate::sink::SinkError;
use crate::sink::labels::push_labels;

/// Rows of a row group of table `series`, at least, but for the last one of a file.
const GROUP_ROWS: usize = 32 << 10;

/// The series of one slice as columns.
#[derive(Debug, Default)]
pub(super) struct SeriesColumns {
    pub(super) series_id: Vec<i64>,
    pub(super) metric: Strings,
    pub(super) promoted: Vec<Strings>,
    pub(super) labels: Strings,
    pair_names: Strings,
    pair_values: Strings,
    pair_ends: Vec<usize>,
    min_times_ms: Vec<i64>,
    max_times_ms: Vec<i64>,
    samples: Vec<i64>,
    types: Strings,
    units: Strings,
    helps: Strings,
    /// Where type, unit and help are found.
    pub(super) metadata: Arc<Metadata>,
    /// Names and values that were not UTF-8.
    pub(super) replaced_utf8: u64,
    /// A metric was not UTF-8, so that rows may not ascend by what stands for it.
    metric_replaced: bool,
}

impl SeriesColumns {
    pub(super) fn new(label_columns: &[LabelColumn]) -> Self {
        Self { promoted: vec![Strings::default(); label_columns.len()], ..Self::default() }
    }

    /// Number of series.
    pub(super) fn len(&self) -> usize {
        self.series_id.len()
    }

    /// Adds a series.
    pub(super) fn push(&mut self, series: &SeriesRows, label_columns: &[LabelColumn]) {
        let SeriesRows { labels, extent, .. } = series;
        self.series_id.push(series.series_id);
        self.metric_replaced |= self.metric.push(labels.metric());
        for (strings, column) in self.promoted.iter_mut().zip(label_columns) {
            strings.push(labels.get(column.label.as_bytes()));
        }
        self.replaced_utf8 += self.labels.push_with(true, |bytes| push_labels(bytes, labels));
        self.push_pairs(labels);
        self.min_times_ms.push(extent.min_time_ms);
        self.max_times_ms.push(extent.max_time_ms);
        self.samples.push(i64::try_from(extent.samples).unwrap_or(i64::MAX));
        let known = self.metadata.of_series(labels);
        self.types.push(known.metric_type.or(series.assumed_type()));
        self.units.push(known.unit);
        self.helps.push(known.help);
    }

    fn push_pairs(&mut self, labels: &Labels) {
        let mut pairs = self.pair_ends.last().copied().unwrap_or_default();
        for (name, value) in labels.iter().filter(|&(name, _)| name != METRIC_NAME) {
            self.pair_names.push(Some(name));
            self.pair_values.push(Some(value));
            pairs += 1;
        }
        self.pair_ends.push(pairs);
    }

    /// True when rows ascend by column `metric`.
    pub(super) fn is_sorted(&self) -> bool {
        !self.metric_replaced
    }

    /// Some of the series as arrays in the order of the table's fields.
    fn to_batch(&self, schema: &Schema, rows: Range<usize>) -> Result<SeriesBatch, SinkError> {
        let times = |times_ms: &[i64]| -> ArrayRef {
            let times_ms = times_ms.get(rows.clone()).unwrap_or_default();
            Arc::new(PrimitiveArray::<TimestampMillisecondType>::from(times_ms.to_vec()).with_timezone("UTC"))
        };
        let integers = |values: &[i64]| -> ArrayRef {
            let values = values.get(rows.clone()).unwrap_or_default();
            Arc::new(PrimitiveArray::<Int64Type>::from(values.to_vec()))
        };
        let texts = |column: &str, strings: &Strings| -> Result<ArrayRef, SinkError> {
            Ok(Arc::new(strings.to_arrow(column, rows.clone())?))
        };
        let mut promoted = self.promoted.iter();
        let mut arrays = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            arrays.push(match field.name().as_str() {
                "series_id" => integers(&self.series_id),
                "metric" => texts("metric", &self.metric)?,
                "labels" => texts("labels", &self.labels)?,
                "label_pairs" => self.pairs(field.data_type(), rows.clone())?,
                "min_timestamp" => times(&self.min_times_ms),
                "max_timestamp" => times(&self.max_times_ms),
                "samples" => integers(&self.samples),
                "type" => texts("type", &self.types)?,
                "unit" => texts("unit", &self.units)?,
                "help" => texts("help", &self.helps)?,
                // No label has the name of a column; what is left are the promoted ones, in order.
                name => match promoted.next() {
                    Some(strings) => texts(name, strings)?,
                    None => new_null_array(field.data_type(), rows.len()),
                },
            });
        }
        let min_times_ms = self.min_times_ms.get(rows.clone()).unwrap_or_default();
        let max_times_ms = self.max_times_ms.get(rows.clone()).unwrap_or_default();
        Ok(SeriesBatch {
            arrays,
            rows: rows.len(),
            sorted: self.is_sorted(),
            min_time_ms: min_times_ms.iter().copied().min().unwrap_or(i64::MAX),
            max_time_ms: max_times_ms.iter().copied().max().unwrap_or(i64::MIN),
        })
    }

    fn pairs(&self, list: &DataType, rows: Range<usize>) -> Result<ArrayRef, SinkError> {
        let DataType::List(element) = list else {
            return Ok(new_null_array(list, rows.len()));
        };
        let DataType::Struct(fields) = element.data_type() else {
            return Ok(new_null_array(list, rows.len()));
        };
        let start = match rows.start.checked_sub(1) {
            Some(before) => self.pair_ends.get(before).copied().unwrap_or_default(),
            None => 0,
        };
        let ends = self.pair_ends.get(rows).unwrap_or_default();
        let end = ends.last().copied().unwrap_or(start);
        let names: StringArray = self.pair_names.to_arrow("label_pairs", start..end)?;
        let values: StringArray = self.pair_values.to_arrow("label_pairs", start..end)?;
        let offsets = std::iter::once(start).chain(ends.iter().copied());
        let offsets =
            offsets.map(|offset| i32::try_from(offset - start).unwrap_or(i32::MAX)).collect::<Vec<_>>();
        let list = StructArray::try_new(fields.clone(), vec![Arc::new(names), Arc::new(values)], None)
            .and_then(|pairs| {
                ListArray::try_new(
                    Arc::clone(element),
                    OffsetBuffer::new(offsets.into()),
                    Arc::new(pairs),
                    None,
                )
            })
            .map_err(|error| SinkError::Encode { source: error.into() })?;
        Ok(Arc::new(list))
    }
}

/// Some series, not encoded yet.
#[derive(Debug)]
pub(super) struct SeriesBatch {
    arrays: Vec<ArrayRef>,
    rows: usize,
    sorted: bool,
    min_time_ms: i64,
    max_time_ms: i64,
}

/// A row group of table `series`.
#[derive(Debug)]
pub(super) struct SeriesGroup {
    pub(super) columns: Vec<ArrowColumnChunk>,
    pub(super) sorted: bool,
    pub(super) rows: u64,
    pub(super) min_time_ms: i64,
    pub(super) max_time_ms: i64,
}

/// Series of one slice: whole row groups, and what is to be joined with the next slices.
#[derive(Debug)]
pub(super) struct EncodedSeries {
    pub(super) groups: Vec<SeriesGroup>,
    pub(super) rest: SeriesBatch,
}

impl EncodedSeries {
    pub(super) fn memory_size(&self) -> usize {
        let groups = self.groups.iter().flat_map(|group| &group.columns);
        groups
            .map(|column| usize::try_from(column.close().bytes_written).unwrap_or(usize::MAX))
            .sum::<usize>()
            + self.rest.memory_size()
    }
}

impl SeriesBatch {
    fn memory_size(&self) -> usize {
        self.arrays.iter().map(|array| array.get_array_memory_size()).sum()
    }
}

/// Encodes table `series` through the library's column writers: what is per series is not worth more.
pub(super) struct SeriesEncoder {
    pub(super) schema: SchemaRef,
    pub(super) factory: ArrowRowGroupWriterFactory,
}

impl SeriesEncoder {
    /// Row groups of all series but the last few, which are left for the next slice.
    pub(super) fn encode(&self, columns: &SeriesColumns) -> Result<EncodedSeries, SinkError> {
        let whole = columns.len() / GROUP_ROWS * GROUP_ROWS;
        let groups = (0..whole).step_by(GROUP_ROWS).map(|start| {
            let batch = columns.to_batch(&self.schema, start..start + GROUP_ROWS)?;
            self.group(&[batch])
        });
        Ok(EncodedSeries {
            groups: groups.collect::<Result<_, _>>()?,
            rest: columns.to_batch(&self.schema, whole..columns.len())?,
        })
    }

    /// One row group.
    fn group(&self, batches: &[SeriesBatch]) -> Result<SeriesGroup, SinkError> {
        let mut writers = self.factory.create_column_writers(0)?;
        for batch in batches {
            let mut leaf_writers = writers.iter_mut();
            for (field, array) in self.schema.fields().iter().zip(&batch.arrays) {
                // One writer per leaf, in the order of the leaves.
                for (leaf, writer) in compute_leaves(field, array)?.iter().zip(leaf_writers.by_ref()) {
                    writer.write(leaf)?;
                }
            }
        }
        let columns = writers.into_iter().map(|writer| writer.close()).collect::<Result<_, _>>()?;
        Ok(SeriesGroup {
            columns,
            sorted: batches.iter().all(|batch| batch.sorted),
            rows: batches.iter().map(|batch| batch.rows as u64).sum(),
            min_time_ms: batches.iter().map(|batch| batch.min_time_ms).min().unwrap_or(i64::MAX),
            max_time_ms: batches.iter().map(|batch| batch.max_time_ms).max().unwrap_or(i64::MIN),
        })
    }
}

/// Series of the slices so far that make no row group yet.
#[derive(Debug, Default)]
pub(super) struct PendingSeries {
    batches: Vec<SeriesBatch>,
    rows: usize,
}

impl PendingSeries {
    /// Adds the series of a slice and returns the row groups that are now whole.
    pub(super) fn append(
        &mut self,
        series: EncodedSeries,
        encoder: &SeriesEncoder,
    ) -> Result<Vec<SeriesGroup>, SinkError> {
        let mut groups = Vec::new();
        if !series.groups.is_empty() {
            groups.extend(self.flush(encoder)?);
            groups.extend(series.groups);
        }
        self.rows += series.rest.rows;
        if series.rest.rows > 0 {
            self.batches.push(series.rest);
        }
        if self.rows >= GROUP_ROWS {
            groups.extend(self.flush(encoder)?);
        }
        Ok(groups)
    }

    /// The row group of what is left.
    pub(super) fn flush(&mut self, encoder: &SeriesEncoder) -> Result<Option<SeriesGroup>, SinkError> {
        let batches = std::mem::take(&mut self.batches);
        self.rows = 0;
        if batches.is_empty() { Ok(None) } else { encoder.group(&batches).map(Some) }
    }

    /// Bytes it holds.
    pub(super) fn memory_size(&self) -> usize {
        self.batches.iter().map(SeriesBatch::memory_size).sum()
    }
}
