use super::*;
use crate::samples::tests::encode::BitWriter;

#[test]
fn chunk_cut_anywhere_gives_a_prefix_and_an_error() {
    for case in cases() {
        for cut in 0..case.data.len() {
            let (found, error) = decode(case.encoding, &case.data[..cut]);
            assert!(error.is_some(), "{} cut at {cut}", case.name);
            assert!(case.samples.starts_with(&found), "{} cut at {cut}", case.name);
        }
    }
}

#[test]
fn chunk_with_any_flipped_bit_decodes_or_fails() {
    for mut case in cases() {
        for bit in 0..case.data.len() * 8 {
            case.data[bit / 8] ^= 1 << (bit % 8);
            decode(case.encoding, &case.data);
            case.data[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn malformed_chunks_fail_or_are_fine_as_the_format_says() {
    let mut seen = 0;
    for case in malformed_chunks(2) {
        let (samples, error) = decode(Encoding::Histogram, &case.bytes);
        assert_eq!(error.is_none(), case.accept, "{}", case.name);
        if let Some(rest) = case.go_error.strip_prefix("after ") {
            assert_eq!(samples.len().to_string(), rest.split(' ').next().unwrap(), "{}", case.name);
        }
        seen += 1;
    }
    assert_eq!(seen, 14);
}

#[test]
fn chunk_without_samples_needs_no_layout() {
    for encoding in ENCODINGS {
        assert_eq!(decode(encoding, &[0, 0, 0]), (vec![], None));
        let error = decode(encoding, &[0, 0]).1.unwrap();
        assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }));
    }
}

#[test]
fn chunks_of_other_encodings_are_no_histograms() {
    for encoding in [Encoding::Xor, Encoding::Xor2, Encoding::Aggregate, Encoding::Unknown(9)] {
        assert!(!encoding.holds_histograms());
        let error = decode(encoding, &[0, 1, 0]).1.unwrap();
        assert!(matches!(error.kind, DecodeErrorKind::UnsupportedEncoding { .. }));
    }
}

/// A writer of layouts that are not to be.
fn written(fields: &[(u64, u32)]) -> Vec<u8> {
    let mut out = BitWriter::default();
    out.bits(1, 16);
    out.bits(0, 8);
    for &(value, width) in fields {
        out.bits(value, width);
    }
    out.bytes
}

#[test]
fn errors_name_field_and_file_offset() {
    let message =
        |fields: &[(u64, u32)]| decode(Encoding::Histogram, &written(fields)).1.unwrap().to_string();
    let schema = [(0, 8), (0b1110, 4), (53, 9)];
    assert_eq!(
        message(&schema),
        "histogram schema is 53, expected -9 to 52, or -53 for custom buckets at offset 0x104"
    );
    assert_eq!(message(&[(0, 8), (0xff, 8)]), "histogram schema needs 8 bytes, 0 left at offset 0x105");
    let head = [(0, 8), (0, 1)];
    let with = |rest: &[(u64, u32)]| message(&[&head, rest].concat());
    assert_eq!(
        with(&[(0xff, 8), (u64::MAX, 64), (0, 7)]),
        "spans needs 2305843009213693952 bytes, 1 left at offset 0x10d"
    );
    let span = |length: (u64, u32), offset: (u64, u32)| {
        with(&[(0b10, 2), (1, 3), (0xfe, 8), length, (0xfe, 8), offset, (0, 64)])
    };
    let expected = "expected 32 bits at offset 0x104";
    assert_eq!(span((1 << 32, 56), (0, 56)), format!("span length is 4294967296, {expected}"));
    assert_eq!(span((1, 56), (1 << 31, 56)), format!("span offset is 2147483648, {expected}"));
    let index = |index: i64| format!("bucket index of a span is {index}, {expected}");
    assert_eq!(span((1, 56), (-(1i64 << 31) as u64, 56)), index(-(1 << 31)));
    assert_eq!(span((2, 56), ((1 << 31) - 1, 56)), index(1 << 31));
    assert_eq!(span((1000, 56), (5, 56)), "buckets needs 126 bytes, 9 left at offset 0x114");
}

#[test]
fn windows_that_cannot_be_are_errors() {
    let sample = |index: i64| Sample {
        timestamp_ms: index,
        start_timestamp_ms: 0,
        hint: CounterResetHint::Unknown,
        sum: 0,
        count: 0,
        zero_count: 0,
        layout: HistogramLayout::default(),
        positive: vec![],
        negative: vec![],
    };
    for encoding in ENCODINGS {
        // The window of the sum is among the last bits: behind it come six zeros at most, and no buckets.
        let sound = encode(encoding, CounterResetHint::Unknown, &[sample(0), sample(1)]);
        let mut failures = Vec::new();
        for bit in 0..16 {
            let mut data = sound.clone();
            data.extend([0xff; 12]);
            let at = (sound.len() - 2) * 8 + bit;
            data[at / 8] |= 0x80 >> (at % 8);
            failures.extend(decode(encoding, &data).1.map(|error| error.to_string()));
        }
        let found = |text: &str| failures.iter().any(|failure| failure.contains(text));
        assert!(found("value window is 0, expected a window before it is reused"), "{failures:?}");
    }
}

#[test]
fn huge_promises_over_little_data_reserve_little() {
    for encoding in ENCODINGS {
        for byte in [0xff, 0x3f, 0xfe] {
            let mut columns = HistogramColumns::default();
            let data = [byte; 64];
            assert!(chunk(encoding, &data).append_histograms_to(&mut columns).is_err());
            assert!(bytes_of(&columns) < 4096);
        }
    }
}

#[test]
fn memory_stays_in_proportion_to_the_data() {
    // Stale markers and others in turn, four bits each, buckets that never change.
    for buckets in [0u64, 1, 500] {
        let layout = HistogramLayout {
            positive_spans: vec![Span { offset: 0, length: u32::try_from(buckets).unwrap() }],
            ..HistogramLayout::default()
        };
        let sample = |index: i64| Sample {
            timestamp_ms: 0,
            start_timestamp_ms: 0,
            hint: CounterResetHint::Unknown,
            sum: if index % 2 == 1 { STALE_NAN_BITS } else { 0 },
            count: 0,
            zero_count: 0,
            layout: layout.clone(),
            positive: vec![0; usize::try_from(buckets).unwrap()],
            negative: vec![],
        };
        let samples: Vec<_> = (0..5000).map(sample).collect();
        for encoding in ENCODINGS {
            let data = encode(encoding, CounterResetHint::Gauge, &samples);
            let mut columns = HistogramColumns::default();
            chunk(encoding, &data).append_histograms_to(&mut columns).unwrap();
            assert_eq!((columns.len(), columns.layouts.len()), (5000, 2));
            assert!(bytes_of(&columns) < 200 * data.len(), "{}", bytes_of(&columns) / data.len());
        }
    }
}

#[test]
fn megabytes_of_buckets_that_never_change_are_refused_before_they_take_gigabytes() {
    // 65,535 histograms without zero threshold, schema 0, one span of 300 buckets from 0 on; from there on zeros.
    let layout = "0".to_owned() + "10001" + "1110" + "100101100" + "0" + "0";
    let mut data = vec![0xff, 0xff, 0, 0];
    for byte in format!("{layout:0<24}").as_bytes().chunks(8) {
        data.push(byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit == b'1')));
    }
    let decode = |data: &[u8]| {
        let mut columns = HistogramColumns::default();
        (chunk(Encoding::Histogram, data).append_histograms_to(&mut columns), columns.len())
    };
    data.resize(1 << 20, 0);
    let (error, decoded) = decode(&data);
    assert!(matches!(error.unwrap_err().kind, DecodeErrorKind::Truncated { .. }) && decoded > 20_000);
    data.resize(3 << 20, 0);
    let (error, decoded) = decode(&data);
    let kind = error.unwrap_err().kind;
    assert!(matches!(kind, DecodeErrorKind::Limit { field: "buckets of all histograms", .. }), "{kind:?}");
    assert_eq!(decoded, 0);
}
