//! Table `histograms`, and those of its windows: a row group of one slice, or of a part of it.
//!
//! ```text
//! column                          pages made from              bigquery       compact
//! metric, labels, series_id       runs of series               dictionary     dictionary
//! timestamp, start_timestamp      rows                         PLAIN          DELTA_BINARY_PACKED
//! count, sum, zero_…              rows, stale marker = null    PLAIN          BYTE_STREAM_SPLIT
//! histogram_schema, …_hint        rows, stale marker = null    dictionary     dictionary
//! buckets: lower, upper           elements                     dictionary     dictionary
//! buckets: count                  elements                     PLAIN          BYTE_STREAM_SPLIT
//! ```
//! The histograms of a chunk share their bounds, so places of bounds in the dictionary are looked up once per layout.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use tsdb_reader::samples::{HistogramColumns, HistogramRow};

use super::group::{GroupWriter, ListValues};
use super::runs::RunType;
use crate::sink::SinkError;
use crate::text::histogram::hint_name;

/// Largest dictionary of bounds, in values.
const MAX_DICTIONARY_LEN: usize = 4 << 20;

/// Writes the columns of a row group from `count` on.
pub(super) fn write(writer: &mut GroupWriter<'_>, columns: &HistogramColumns) -> Result<(), SinkError> {
    let doubles =
        |field: fn(&HistogramRow<'_>) -> f64| -> Vec<f64> { rows(columns).map(|row| field(&row)).collect() };
    // A stale marker is one by its sum.
    let sums = &columns.sums;
    writer.doubles(&doubles(|row| row.as_f64(row.count)), sums)?;
    writer.doubles(sums, sums)?;
    let schemas: Vec<[u8; 8]> =
        columns.layouts.iter().map(|layout| i64::from(layout.schema).to_le_bytes()).collect();
    writer.row_column(
        RunType::Int64,
        rows(columns).zip(&columns.layout_of).map(|(row, &layout)| match row.is_stale() {
            true => None,
            false => schemas.get(usize::try_from(layout).ok()?).map(<[u8; 8]>::as_slice),
        }),
    )?;
    writer.doubles(&doubles(|row| row.layout.zero_threshold), sums)?;
    writer.doubles(&doubles(|row| row.as_f64(row.zero_count)), sums)?;
    writer.row_column(
        RunType::ByteArray,
        rows(columns).map(|row| (!row.is_stale()).then(|| hint_name(row.hint).as_bytes())),
    )?;
    buckets(writer, columns)
}

fn rows(columns: &HistogramColumns) -> impl Iterator<Item = HistogramRow<'_>> {
    (0..columns.len()).map_while(|row| columns.row(row))
}

/// Bounds of some buckets as places in a dictionary.
#[derive(Debug, Default)]
struct Keys {
    lower: Vec<u32>,
    upper: Vec<u32>,
}

impl Keys {
    fn lower(&self) -> &[u32] {
        &self.lower
    }

    fn upper(&self) -> &[u32] {
        &self.upper
    }
}

/// The columns of the buckets.
fn buckets(writer: &mut GroupWriter<'_>, columns: &HistogramColumns) -> Result<(), SinkError> {
    let mut dictionary = Dictionary::default();
    let mut bounds = Vec::new();
    let keys_of_layouts: Vec<Keys> = columns
        .layouts
        .iter()
        .map(|layout| {
            layout.ascending_bounds(&mut bounds);
            Keys {
                lower: bounds.iter().map(|&(lower, _)| dictionary.key(lower)).collect(),
                upper: bounds.iter().map(|&(_, upper)| dictionary.key(upper)).collect(),
            }
        })
        .collect();
    let lens: Vec<u32> =
        rows(columns).map(|row| u32::try_from(row.buckets.len()).unwrap_or(u32::MAX)).collect();
    for side in [Keys::lower as fn(&Keys) -> &[u32], Keys::upper] {
        let mut keys = Vec::with_capacity(columns.buckets.len());
        for (row, &layout) in rows(columns).zip(&columns.layout_of) {
            let of_layout = usize::try_from(layout).ok().and_then(|layout| keys_of_layouts.get(layout));
            let of_layout = of_layout.map(side).unwrap_or_default();
            // A stale marker has no buckets, whatever its layout.
            keys.extend(of_layout.iter().take(row.buckets.len()));
        }
        dictionary.write(writer, &lens, &keys)?;
    }
    let mut counts = Vec::with_capacity(columns.buckets.len());
    for row in rows(columns) {
        counts.extend(row.counts_ascending().map(|count| row.as_f64(count)));
    }
    writer.list_column(&lens, &ListValues::Doubles(&counts))
}

/// Different bounds, told apart by their bits.
#[derive(Debug, Default)]
struct Dictionary {
    values: Vec<f64>,
    keys: HashMap<u64, u32, FixedState>,
}

impl Dictionary {
    /// The place of a bound.
    fn key(&mut self, bound: f64) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        *self.keys.entry(bound.to_bits()).or_insert_with(|| {
            self.values.push(bound);
            next
        })
    }

    /// Writes a column of bounds, as they are where they hardly repeat.
    fn write(&self, writer: &mut GroupWriter<'_>, lens: &[u32], keys: &[u32]) -> Result<(), SinkError> {
        let repeats = self.values.len() * 2 <= keys.len() && self.values.len() <= MAX_DICTIONARY_LEN;
        if repeats && !self.values.is_empty() {
            return writer.list_column(lens, &ListValues::Keys { keys, dictionary: &self.values });
        }
        let value = |&key: &u32| self.values.get(usize::try_from(key).ok()?).copied();
        let values: Vec<f64> = keys.iter().map(|key| value(key).unwrap_or_default()).collect();
        writer.list_column(lens, &ListValues::Doubles(&values))
    }
}
