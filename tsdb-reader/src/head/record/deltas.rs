//! What entries of samples begin with: a ref, a time, and a start timestamp, as differences.
//!
//! ```text
//! to the base (types 2, 4, 7 to 10)        base ref u64, base time i64, then per entry
//!                                          ref - base varint, t - base varint
//! to the entry before (types 11 to 13)     first entry: ref varint, t varint, st varint
//!                                          others: ref - ref before varint, t - first t varint, marker u8
//!                                          marker 0: st = 0 · 1: st as before · else varint follows: st - first st
//! ```
//! All arithmetic wraps, as the reference's does.

use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::head::HeadSeriesRef;

/// Whose sample, and when.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub series_ref: HeadSeriesRef,
    pub timestamp_ms: i64,
    pub start_timestamp_ms: i64,
}

/// Decodes the places of one record, in order.
#[derive(Debug, Clone)]
pub enum Deltas {
    ToBase { series_ref: u64, timestamp_ms: i64 },
    ToPrevious(Option<Seen>),
}

/// Entries decoded so far.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    first_ms: i64,
    first_start_ms: i64,
    previous_ref: u64,
    previous_start_ms: i64,
}

impl Deltas {
    /// Reads the base. A record without entries has none.
    pub fn to_base(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        if cursor.is_empty() {
            return Ok(Self::ToBase { series_ref: 0, timestamp_ms: 0 });
        }
        let series_ref = cursor.u64("base ref")?;
        let timestamp_ms = cursor.u64("base time")?.cast_signed();
        Ok(Self::ToBase { series_ref, timestamp_ms })
    }

    pub fn to_previous() -> Self {
        Self::ToPrevious(None)
    }

    #[inline]
    pub fn next(&mut self, cursor: &mut Cursor<'_>) -> Result<Place, DecodeError> {
        match self {
            Self::ToBase { series_ref, timestamp_ms } => Ok(Place {
                series_ref: HeadSeriesRef(series_ref.wrapping_add_signed(cursor.varint("series ref")?)),
                timestamp_ms: timestamp_ms.wrapping_add(cursor.varint("sample time")?),
                start_timestamp_ms: 0,
            }),
            Self::ToPrevious(seen @ None) => {
                let previous_ref = cursor.varint("series ref")?.cast_unsigned();
                let first_ms = cursor.varint("sample time")?;
                let first_start_ms = cursor.varint("start timestamp")?;
                let previous_start_ms = first_start_ms;
                *seen = Some(Seen { first_ms, first_start_ms, previous_ref, previous_start_ms });
                Ok(Place {
                    series_ref: HeadSeriesRef(previous_ref),
                    timestamp_ms: first_ms,
                    start_timestamp_ms: first_start_ms,
                })
            }
            Self::ToPrevious(Some(seen)) => {
                seen.previous_ref = seen.previous_ref.wrapping_add_signed(cursor.varint("series ref")?);
                let timestamp_ms = seen.first_ms.wrapping_add(cursor.varint("sample time")?);
                match cursor.u8("start timestamp marker")? {
                    0 => seen.previous_start_ms = 0,
                    1 => {}
                    _ => {
                        let delta = cursor.varint("start timestamp")?;
                        seen.previous_start_ms = seen.first_start_ms.wrapping_add(delta);
                    }
                }
                Ok(Place {
                    series_ref: HeadSeriesRef(seen.previous_ref),
                    timestamp_ms,
                    start_timestamp_ms: seen.previous_start_ms,
                })
            }
        }
    }
}
