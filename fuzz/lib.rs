//! What several fuzz targets share.

use bytes::Bytes;
use tsdb_reader::samples::{FloatColumns, FloatDecoder};
use tsdb_reader::{Chunk, Encoding};

/// Reads `data` one by one, into columns, and along with a copy of itself, and demands the same of each.
pub fn decode_floats(encoding: Encoding, data: &[u8]) {
    let chunk = Chunk::new(encoding, Bytes::copy_from_slice(data), 1, 10);
    let mut columns = FloatColumns::default();
    let appended = chunk.append_to(&mut columns);
    let mut samples = 0;
    let mut error = None;
    match chunk.floats() {
        Ok(floats) => {
            for sample in floats {
                match sample {
                    Ok(sample) => {
                        assert_eq!(sample.timestamp_ms, columns.times_ms[samples]);
                        assert_eq!(sample.value.to_bits(), columns.values[samples].to_bits());
                        let start_time_ms = columns.start_times_ms.get(samples).copied().unwrap_or(0);
                        assert_eq!(sample.start_timestamp_ms, start_time_ms);
                        samples += 1;
                    }
                    Err(found) => error = Some(found),
                }
            }
        }
        Err(found) => error = Some(found),
    }
    assert_eq!(samples, columns.len());
    assert_eq!(error, appended.clone().err());

    let mut twice = FloatColumns::default();
    let both = FloatDecoder::default().append([&chunk, &chunk], &mut twice);
    assert_eq!(both, appended.map_err(|error| (0, error)));
    let copies = if error.is_some() { 1 } else { 2 };
    assert_eq!(twice.times_ms, columns.times_ms.repeat(copies));
    assert_eq!(twice.start_times_ms, columns.start_times_ms.repeat(copies));
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&twice.values), bits(&columns.values).repeat(copies));
}
