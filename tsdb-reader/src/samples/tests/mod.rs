use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::chunks::{Chunk, Encoding};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::testing::malformed_chunks;
use encode::Sample;

pub mod encode;
pub mod encode_histogram;

#[derive(Debug, Clone, Copy)]
enum Float {
    Xor,
    Xor2,
}

use Float::{Xor, Xor2};

impl Float {
    fn encode(self, samples: &[Sample]) -> Vec<u8> {
        match self {
            Xor => encode::xor(samples),
            Xor2 => encode::xor2(samples),
        }
    }

    fn chunk(self, data: &[u8]) -> Chunk {
        let encoding = match self {
            Xor => Encoding::Xor,
            Xor2 => Encoding::Xor2,
        };
        Chunk::new(encoding, data.to_vec().into(), 1, 0x100)
    }

    /// The good samples and the error behind them, read both ways.
    fn decode(self, data: &[u8]) -> (Vec<Sample>, Option<DecodeError>) {
        let chunk = self.chunk(data);
        let mut opened = match chunk.floats() {
            Ok(opened) => opened,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let (mut samples, mut error) = (Vec::new(), None);
        for sample in opened.by_ref() {
            assert_eq!(error, None, "a sample after an error");
            match sample {
                Ok(s) => samples.push((s.timestamp_ms, s.start_timestamp_ms, s.value.to_bits())),
                Err(found) => error = Some(found),
            }
        }

        let mut columns = FloatColumns::default();
        assert!(opened.next().is_none());
        assert_eq!(chunk.append_to(&mut columns).err(), error);
        assert_eq!(columns.values.len(), columns.len());
        if samples.iter().all(|sample| sample.1 == 0) {
            assert!(columns.start_times_ms.is_empty());
            columns.start_times_ms.resize(columns.len(), 0);
        }
        let times = columns.times_ms.into_iter().zip(columns.start_times_ms);
        let appended: Vec<_> =
            times.zip(columns.values).map(|((t, st), value)| (t, st, value.to_bits())).collect();
        assert_eq!(appended, samples);
        (samples, error)
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn bits(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Name, data and samples of every chunk the reference wrote.
fn vectors(encoding: Float) -> Vec<(String, Vec<u8>, Vec<Sample>)> {
    let text = match encoding {
        Xor => include_str!("../../../tests/vectors/chunks_xor.json"),
        Xor2 => include_str!("../../../tests/vectors/chunks_xor2.json"),
    };
    let file: Value = serde_json::from_str(text).unwrap();
    let cases = file["cases"].as_array().unwrap().iter().map(|case| {
        let samples = case["samples"].as_array().unwrap().iter();
        let samples = samples.map(|s| (s["t"].as_i64().unwrap(), s["st"].as_i64().unwrap(), bits(&s["v"])));
        (case["name"].to_string(), unhex(case["hex"].as_str().unwrap()), samples.collect())
    });
    cases.collect()
}

#[test]
fn chunks_of_the_reference_decode_bit_for_bit() {
    for encoding in [Xor, Xor2] {
        for (name, data, samples) in vectors(encoding) {
            assert_eq!(encoding.decode(&data), (samples, None), "{encoding:?} {name}");
        }
    }
}

#[test]
fn the_test_encoder_writes_the_bytes_of_the_reference() {
    for encoding in [Xor, Xor2] {
        for (name, data, samples) in vectors(encoding) {
            assert_eq!(encoding.encode(&samples), data, "{encoding:?} {name}");
        }
    }
}

#[test]
fn chunk_cut_anywhere_gives_a_prefix_and_an_error() {
    for encoding in [Xor, Xor2] {
        for (name, data, samples) in vectors(encoding) {
            for cut in 0..data.len() {
                let (found, error) = encoding.decode(&data[..cut]);
                assert!(error.is_some(), "{encoding:?} {name} cut at {cut}");
                assert!(samples.starts_with(&found), "{encoding:?} {name} cut at {cut}");
                // Only the header is cut without a sample to miss.
                assert!(found.len() < samples.len() || cut < 3);
            }
        }
    }
}

#[test]
fn chunk_with_any_flipped_bit_decodes_or_fails() {
    for encoding in [Xor, Xor2] {
        for (_, mut data, _) in vectors(encoding) {
            for bit in 0..data.len() * 8 {
                data[bit / 8] ^= 1 << (bit % 8);
                encoding.decode(&data);
                data[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
fn malformed_chunks_fail_after_as_many_samples_as_the_reference() {
    let mut seen = 0;
    for case in malformed_chunks(1) {
        let (samples, error) = Xor.decode(&case.bytes);
        assert!(error.is_some(), "{}", case.name);
        if let Some(rest) = case.go_error.strip_prefix("after ") {
            assert_eq!(samples.len().to_string(), rest.split(' ').next().unwrap(), "{}", case.name);
        }
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn errors_name_field_and_file_offset() {
    let samples: Vec<Sample> = (0..4i64).map(|i| (i * 1000, 0, (i * i).cast_unsigned() << 50)).collect();
    let message = |encoding: Float, data: &[u8]| encoding.decode(data).1.unwrap().to_string();
    let data = Xor.encode(&samples);
    assert_eq!(message(Xor, &data[..1]), "number of samples needs 2 bytes, 1 left at offset 0x100");
    assert_eq!(message(Xor, &data[..7]), "first value needs 8 bytes, 4 left at offset 0x103");
    assert_eq!(message(Xor, &data[..11]), "timestamp delta needs 1 bytes, 0 left at offset 0x10b");
    assert_eq!(message(Xor2, &[0, 1]), "start timestamp header needs 1 bytes, 0 left at offset 0x102");

    let two = |rest: &[u8]| [&[0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], rest].concat();
    assert_eq!(
        message(Xor, &two(&[0xff, 0xf8, 0, 0, 0, 0, 0, 0, 0, 0])),
        "leading and significant bits of a value is 94, expected at most 64 bits at offset 0x10c"
    );
    assert_eq!(
        message(Xor, &two(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        "value window is 0, expected a window before it is reused at offset 0x10c"
    );
    let overflow = [&[0, 1], [0xff; 10].as_slice()].concat();
    assert_eq!(message(Xor, &overflow), "first timestamp is a varint of more than 64 bits at offset 0x102");
}

#[test]
fn count_larger_than_the_data_fails_after_the_last_sample() {
    let samples: Vec<Sample> = (0..200).map(|i| (i * 1000, 0, 0)).collect();
    for encoding in [Xor, Xor2] {
        let mut data = encoding.encode(&samples[..100]);
        let (found, error) = {
            data[0] = 0xff;
            encoding.decode(&data)
        };
        // The zero bits of the padding read as samples, as they do in the reference.
        assert!((100..108).contains(&found.len()));
        assert_eq!(samples[..found.len()], found);
        assert!(matches!(error.unwrap().kind, DecodeErrorKind::Truncated { .. }));
    }
}

#[test]
fn bits_after_the_last_sample_are_ignored() {
    for encoding in [Xor, Xor2] {
        for (_, mut data, samples) in vectors(encoding) {
            data.extend([0xff; 40]);
            assert_eq!(encoding.decode(&data), (samples, None));
        }
    }
}

#[test]
fn start_times_are_padded_around_the_chunk_that_has_them() {
    let plain: Vec<Sample> = (0..3).map(|i| (i, 0, 7)).collect();
    let started: Vec<Sample> = (0..3).map(|i| (i, 5, 7)).collect();
    let mut columns = FloatColumns::default();
    let mut append = |data: &[u8], expected: &[i64]| {
        Xor2.chunk(data).append_to(&mut columns).unwrap();
        assert_eq!(columns.start_times_ms, expected);
    };
    append(&encode::xor2(&plain), &[]);
    append(&encode::xor2(&started), &[0, 0, 0, 5, 5, 5]);
    append(&encode::xor2(&plain), &[0, 0, 0, 5, 5, 5, 0, 0, 0]);
    Xor.chunk(&encode::xor(&plain)).append_to(&mut columns).unwrap();
    assert_eq!(columns.start_times_ms.len(), 12);
}

#[test]
fn huge_count_over_little_data_reserves_little() {
    let mut columns = FloatColumns::default();
    assert!(Xor.chunk(&[0xff; 4]).append_to(&mut columns).is_err());
    assert!(columns.times_ms.capacity() <= 64);
}

/// Steps of time and values as they come in practice, and as they do not.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let step = prop_oneof![
        8 => Just(15_000i64),
        4 => 14_990..15_010i64,
        1 => -600_000..600_000i64,
        1 => prop::sample::select(vec![8192, 8193, -8191, -8192, 65_536, 65_537, 524_288, 524_289, -524_288]),
        1 => any::<i64>(),
    ];
    let value = prop_oneof![
        4 => Just(None),
        4 => (0..100_000u32).prop_map(|n| Some(f64::from(n).to_bits())),
        2 => (0..100_000u32).prop_map(|n| Some((f64::from(n) / 1000.0).to_bits())),
        1 => Just(Some(STALE_NAN_BITS)),
        1 => any::<u64>().prop_map(Some),
    ];
    let start = prop_oneof![20 => Just(None), 1 => any::<i64>().prop_map(Some), 2 => (-9_000..9_000i64).prop_map(Some)];
    let any_start = any::<bool>();
    (prop::collection::vec((step, value, start), 0..300), any::<i64>(), any_start).prop_map(
        |(steps, t0, starts)| {
            let (mut t, mut st, mut bits) = (t0 >> 20, 0, 0);
            let samples = steps.into_iter().map(|(step, value, start)| {
                t = step.wrapping_add(t);
                bits = value.unwrap_or(bits);
                if starts {
                    st = start.unwrap_or(st);
                }
                (t, st, bits)
            });
            samples.collect()
        },
    )
}

/// Chunks appended together: all the samples before the first error, and its place.
fn decode_all(chunks: &[(Float, Vec<u8>)]) {
    let (mut expected, mut failure) = (Vec::new(), None);
    for (place, (encoding, data)) in chunks.iter().enumerate() {
        let (samples, error) = encoding.decode(data);
        expected.extend(samples);
        if let Some(error) = error {
            failure = Some((place, error));
            break;
        }
    }
    let chunks: Vec<_> = chunks.iter().map(|(encoding, data)| encoding.chunk(data)).collect();
    let mut columns = FloatColumns::default();
    assert_eq!(FloatDecoder::default().append(&chunks, &mut columns).err(), failure);
    if columns.start_times_ms.is_empty() {
        columns.start_times_ms.resize(columns.len(), 0);
    }
    let times = columns.times_ms.into_iter().zip(columns.start_times_ms);
    let found: Vec<_> = times.zip(columns.values).map(|((t, st), value)| (t, st, value.to_bits())).collect();
    assert_eq!(found, expected);
}

#[test]
fn any_two_chunks_together_give_what_each_gives_alone() {
    let all: Vec<_> = [Xor, Xor2]
        .into_iter()
        .flat_map(|encoding| vectors(encoding).into_iter().map(move |(_, data, _)| (encoding, data)))
        .collect();
    decode_all(&all);
    for first in &all {
        for second in &all {
            decode_all(&[first.clone(), second.clone()]);
            let cut = |chunk: &(Float, Vec<u8>)| (chunk.0, chunk.1[..chunk.1.len() - 1].to_vec());
            decode_all(&[cut(first), second.clone()]);
            decode_all(&[first.clone(), cut(second)]);
        }
    }
}

#[test]
fn chunks_that_hold_more_than_their_header_promises_give_what_it_promises() {
    let samples: Vec<Sample> = (0..9i64).map(|n| (1000 * n, 0, n.cast_unsigned() << 52)).collect();
    let mut all = Vec::new();
    for encoding in [Xor, Xor2] {
        for count in 0..6u8 {
            let mut data = encoding.encode(&samples);
            data[1] = count;
            assert_eq!(encoding.decode(&data), (samples[..count.into()].to_vec(), None));
            all.push((encoding, data));
        }
    }
    for first in &all {
        for second in &all {
            decode_all(&[first.clone(), second.clone()]);
        }
    }
}

proptest! {
    #[test]
    fn any_chunks_together_give_what_each_gives_alone(
        chunks in prop::collection::vec((any::<bool>(), samples(), 0..10u8, any::<prop::sample::Index>()), 1..6),
    ) {
        let chunks = chunks.into_iter().map(|(newer, samples, broken, at)| {
            let encoding = if newer { Xor2 } else { Xor };
            let mut data = encoding.encode(&samples);
            let at = at.index(data.len());
            match broken {
                0 => data.truncate(at),
                1 => data[at] ^= 0x10,
                _ => {}
            }
            (encoding, data)
        });
        decode_all(&chunks.collect::<Vec<_>>());
    }

    #[test]
    fn any_samples_round_trip(samples in samples()) {
        let plain: Vec<_> = samples.iter().map(|&(t, _, value)| (t, 0, value)).collect();
        prop_assert_eq!(Xor.decode(&Xor.encode(&samples)), (plain, None));
        prop_assert_eq!(Xor2.decode(&Xor2.encode(&samples)), (samples, None));
    }

    #[test]
    fn any_samples_cut_anywhere_give_a_prefix_and_an_error(samples in samples(), at in any::<prop::sample::Index>()) {
        for encoding in [Xor, Xor2] {
            let data = encoding.encode(&samples);
            let (found, error) = encoding.decode(&data[..at.index(data.len())]);
            prop_assert!(error.is_some());
            prop_assert!(found.iter().map(|s| (s.0, s.2)).eq(samples.iter().take(found.len()).map(|s| (s.0, s.2))));
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(data in prop::collection::vec(any::<u8>(), 0..400)) {
        for encoding in [Xor, Xor2] {
            let (samples, _) = encoding.decode(&data);
            prop_assert!(samples.len() <= data.len() * 8);
        }
    }
}
