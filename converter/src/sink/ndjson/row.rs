//! One row of a series, kept to be changed into the next one.
//!
//! ```text
//! {"metric":"up",…,"timestamp":"2026-11-20T00:00:15.000Z","value":1.0}
//! └── once per series ─────────┘└──── every row ───────┘          └─── tail: when the value changes
//! ```
//! Most values of most series are the value before them; such a row costs its time and one copy.

use tsdb_reader::samples::is_stale_nan;

use crate::text::number::push_f64;
use crate::text::time::{TIME_LEN, TimeWriter};

/// The row of a series that was written last.
#[derive(Debug, Default)]
pub(super) struct Row {
    bytes: Vec<u8>,
    time_at: usize,
    tail_at: usize,
    /// Bits of the value, and start time, that the tail was made from.
    tail_of: Option<(u64, i64)>,
}

impl Row {
    /// Begins a series: `write` writes its fields up to the time, each followed by a comma.
    pub(super) fn begin(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.clear();
        self.bytes.push(b'{');
        write(&mut self.bytes);
        self.bytes.extend_from_slice(b"\"timestamp\":\"");
        self.time_at = self.bytes.len();
        self.bytes.extend_from_slice(&[b' '; TIME_LEN]);
        self.bytes.extend_from_slice(b"\",\"value\":");
        self.tail_at = self.bytes.len();
        self.tail_of = None;
    }

    /// Length of a row without its value and what follows.
    pub(super) fn head_len(&self) -> usize {
        self.tail_at
    }

    /// Appends the row of a sample; start time 0 = unknown.
    #[inline]
    pub(super) fn push(
        &mut self,
        out: &mut Vec<u8>,
        times: &mut TimeWriter,
        time_ms: i64,
        value: f64,
        start_ms: i64,
    ) {
        if let Some(place) = self.bytes.get_mut(self.time_at..).and_then(<[u8]>::first_chunk_mut::<TIME_LEN>)
        {
            *place = times.text(time_ms);
        }
        let tail_of = Some((value.to_bits(), start_ms));
        if self.tail_of != tail_of {
            self.tail_of = tail_of;
            self.change_tail(times, value, start_ms);
        }
        out.extend_from_slice(&self.bytes);
    }

    fn change_tail(&mut self, times: &mut TimeWriter, value: f64, start_ms: i64) {
        let bytes = &mut self.bytes;
        bytes.truncate(self.tail_at);
        if is_stale_nan(value) {
            bytes.extend_from_slice(b"null");
        } else {
            push_f64(bytes, value);
        }
        if start_ms != 0 {
            bytes.extend_from_slice(b",\"start_timestamp\":\"");
            times.push(bytes, start_ms);
            bytes.push(b'"');
        }
        bytes.extend_from_slice(b"}\n");
    }
}
