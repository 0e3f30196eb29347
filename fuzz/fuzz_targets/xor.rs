//! XOR chunk data: the iterator and the columns give the same samples, and end with the same error.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tsdb_reader::samples::FloatColumns;
use tsdb_reader::{Chunk, Encoding};

fuzz_target!(|bytes: &[u8]| {
    let chunk = Chunk::new(Encoding::Xor, Bytes::copy_from_slice(bytes), 1, 0);
    let mut columns = FloatColumns::default();
    let appended = chunk.append_to(&mut columns);
    let Ok(floats) = chunk.floats() else {
        assert!(appended.is_err() && columns.is_empty());
        return;
    };
    let mut count = 0;
    let mut failed = None;
    for sample in floats {
        match sample {
            Ok(sample) => {
                assert_eq!(sample.timestamp_ms, columns.times_ms[count]);
                assert_eq!(sample.value.to_bits(), columns.values[count].to_bits());
                let start_time_ms = columns.start_times_ms.get(count).copied().unwrap_or_default();
                assert_eq!(sample.start_timestamp_ms, start_time_ms);
                count += 1;
            }
            Err(error) => failed = Some(error),
        }
    }
    assert_eq!((columns.len(), appended.err()), (count, failed));
});
