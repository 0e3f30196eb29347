//! Records of Loki: its log has the same segments, and types of records with the same numbers.
//!
//! ```text
//! 1 series       tenant str, 1 u8, { fingerprint u64, labels uvarint, { name str, value str } … } …
//! 2, 4, 5 lines  tenant str, base time i64 in nanoseconds,
//!                { fingerprint u64, counter i64 unless 2, lines uvarint,
//!                  { t - base varint, line str, in 5: pairs uvarint, { name str, value str } … } … } …
//! 3 checkpoint   a message of protocol buffers: field 1 the tenant, field 2 the fingerprint, labels, chunks …
//! ```
//! Only asked of records that are none of Prometheus. Recognised is what reads as the above to the last byte.
//! Defined in Loki's `pkg/ingester/wal/encoding.go` and `pkg/ingester/checkpoint.proto`.

use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::labels::Labels;

use super::series::SeriesEntries;

/// True when `payload` reads as a record of Loki from end to end.
pub fn is_record(payload: &[u8]) -> bool {
    let mut cursor = Cursor::new(payload, 0);
    reads(&mut cursor).is_ok_and(|known| known && cursor.is_empty())
}

/// What to say of a log with such a record.
pub fn refused() -> DecodeError {
    let kind = DecodeErrorKind::Foreign {
        found: "a write-ahead log of Loki",
        advice: "it holds log lines, no samples; name the data directory of a Prometheus",
    };
    DecodeError { offset: 0, kind }
}

fn reads(cursor: &mut Cursor<'_>) -> Result<bool, DecodeError> {
    match cursor.u8("record type")? {
        1 => Ok(reads_tenant(cursor)? && cursor.u8("series record type")? == 1 && reads_series(cursor)?),
        kind @ (2 | 4 | 5) => Ok(reads_tenant(cursor)? && reads_lines(cursor, kind)?),
        3 => reads_checkpoint(cursor),
        _ => Ok(false),
    }
}

fn reads_tenant(cursor: &mut Cursor<'_>) -> Result<bool, DecodeError> {
    let tenant = cursor.str("tenant")?;
    Ok(!tenant.is_empty() && tenant.iter().all(u8::is_ascii_graphic))
}

fn reads_series(cursor: &mut Cursor<'_>) -> Result<bool, DecodeError> {
    let len = cursor.rest().len() as u64;
    let mut series = SeriesEntries::new(Cursor::new(cursor.bytes("series", len)?, cursor.offset()));
    let mut labels = Labels::new();
    while series.read_next(&mut labels)?.is_some() {}
    Ok(true)
}

fn reads_lines(cursor: &mut Cursor<'_>, kind: u8) -> Result<bool, DecodeError> {
    cursor.u64("base time")?;
    while !cursor.is_empty() {
        cursor.u64("fingerprint")?;
        if kind > 2 {
            cursor.u64("counter")?;
        }
        for _ in 0..cursor.uvarint("lines")? {
            cursor.varint("line time")?;
            cursor.str("line")?;
            if kind == 5 {
                for _ in 0..cursor.uvarint("pairs")? {
                    cursor.str("name")?;
                    cursor.str("value")?;
                }
            }
        }
    }
    Ok(true)
}

fn reads_checkpoint(cursor: &mut Cursor<'_>) -> Result<bool, DecodeError> {
    const TENANT: u8 = 1 << 3 | 2;
    const FINGERPRINT: u8 = 2 << 3;
    let begins = cursor.u8("field")? == TENANT && reads_tenant(cursor)? && cursor.u8("field")? == FINGERPRINT;
    if !begins {
        return Ok(false);
    }
    cursor.uvarint("fingerprint")?;
    while !cursor.is_empty() {
        match cursor.uvarint("field")? & 0b111 {
            0 => cursor.uvarint("number").map(|_| ())?,
            1 => cursor.u64("number").map(|_| ())?,
            2 => cursor.str("bytes").map(|_| ())?,
            5 => cursor.u32("number").map(|_| ())?,
            _ => return Ok(false),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::head::RawRecord;
    use crate::testing::{unhex, vector};

    /// A stream of Loki and a line in it, as its ingester logs them.
    fn records() -> Vec<Vec<u8>> {
        let tenant = b"\x04fake";
        let fingerprint = [0xd1, 0x5e, 0, 0x7a, 9, 0x80, 0xff, 3];
        let base = 1_700_000_000_000_000_000u64.to_be_bytes();
        let line = b"\x01\x00\x05hello";
        vec![
            [&b"\x01"[..], tenant, b"\x01", &fingerprint, b"\x01\x03app\x03foo"].concat(),
            [&b"\x02"[..], tenant, &base, &fingerprint, line].concat(),
            [&b"\x04"[..], tenant, &base, &fingerprint, &[0; 8], line].concat(),
            [&b"\x05"[..], tenant, &base, &fingerprint, &[0; 8], line, b"\x01\x01k\x01v"].concat(),
            [&b"\x03\x0a"[..], tenant, b"\x10\xff\xff\x03\x1a\x06\x0a\x01a\x12\x01b"].concat(),
        ]
    }

    #[test]
    fn records_of_loki_are_recognised_and_the_error_says_so() {
        for payload in records() {
            assert!(is_record(&payload), "{payload:x?}");
            for cut in 0..payload.len() {
                // Some shorter ones are whole records too, with fewer entries; none may panic.
                let _any_answer = is_record(&payload[..cut]);
            }
            let record = RawRecord { offset: 7, payload: &payload };
            let error = record.error("wal/00000000", DecodeError::invalid(1, "series ref", 0, "another one"));
            let Error::DecodeRecord { offset: 7, source, .. } = error else { panic!("{error}") };
            assert!(source.is_foreign(), "{source}");
        }
    }

    #[test]
    fn records_of_prometheus_are_not_taken_for_those_of_loki() {
        let vectors = vector("wal_records.json");
        for case in vectors["cases"].as_array().unwrap() {
            let payload = unhex(case["hex"].as_str().unwrap());
            for cut in 0..=payload.len() {
                assert!(!is_record(&payload[..cut]), "{} cut to {cut}", case["name"]);
            }
        }
    }
}
