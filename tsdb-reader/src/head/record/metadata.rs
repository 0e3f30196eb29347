//! Records of metadata, type 6, written when the server was told to.
//!
//! ```text
//! { ref uvarint, metric type u8, fields uvarint, { name str, value str } … } …      UNIT, HELP; others are passed over
//! ```

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::head::HeadSeriesRef;

use super::next_entry;

/// What kind of metric a series belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// 0, and every number not named here.
    Unknown,
    /// 1
    Counter,
    /// 2
    Gauge,
    /// 3
    Histogram,
    /// 4
    GaugeHistogram,
    /// 5
    Summary,
    /// 6
    Info,
    /// 7
    StateSet,
}

impl MetricType {
    /// The type of a byte.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Counter,
            2 => Self::Gauge,
            3 => Self::Histogram,
            4 => Self::GaugeHistogram,
            5 => Self::Summary,
            6 => Self::Info,
            7 => Self::StateSet,
            _ => Self::Unknown,
        }
    }

    /// Its name in the exposition formats.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// What is known of the metric of one series. Of several entries for a series the last one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataEntry<'a> {
    /// Whose metadata it is.
    pub series_ref: HeadSeriesRef,
    /// What kind of metric.
    pub metric_type: MetricType,
    /// The unit; empty when there is none.
    pub unit: &'a [u8],
    /// The help text; empty when there is none.
    pub help: &'a [u8],
}

/// The metadata of a record, in order. Over after the first error.
#[derive(Debug, Clone)]
pub struct MetadataEntries<'a> {
    cursor: Cursor<'a>,
}

impl<'a> MetadataEntries<'a> {
    pub(super) fn new(cursor: Cursor<'a>) -> Self {
        Self { cursor }
    }
}

impl<'a> Iterator for MetadataEntries<'a> {
    type Item = Result<MetadataEntry<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_entry(&mut self.cursor, decode)
    }
}

fn decode<'a>(cursor: &mut Cursor<'a>) -> Result<MetadataEntry<'a>, DecodeError> {
    let series_ref = HeadSeriesRef(cursor.uvarint("metadata series ref")?);
    let metric_type = MetricType::from_byte(cursor.u8("metric type")?);
    let mut entry = MetadataEntry { series_ref, metric_type, unit: &[], help: &[] };
    for _ in 0..cursor.uvarint("number of metadata fields")? {
        let name = cursor.str("metadata field name")?;
        let value = cursor.str("metadata field value")?;
        match name {
            b"UNIT" => entry.unit = value,
            b"HELP" => entry.help = value,
            _ => {}
        }
    }
    Ok(entry)
}
