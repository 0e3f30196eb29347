//! Numbers as JSON.

/// Whole numbers below this have the same text as floats, but for the `.0`.
const MAX_WHOLE: u64 = 1_000_000_000_000_000;

/// Appends an integer.
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the shortest decimal that reads back as the same bits; what is not finite as a quoted word.
///
/// JSON has no NaN and no infinity. The words `"NaN"`, `"Infinity"` and `"-Infinity"` load as FLOAT64 in BigQuery.
#[inline]
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is cut off does not read back as the same bits"
    )]
    let whole = value as i64;
    if whole.unsigned_abs() < MAX_WHOLE && (whole as f64).to_bits() == value.to_bits() {
        // Counters are whole numbers most of the time, and those are formatted faster as such.
        push_i64(out, whole);
        out.extend_from_slice(b".0");
    } else if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_json_and_read_back_bit_for_bit() {
        let mut values = vec![
            0.0,
            -0.0,
            1.0,
            -1.5,
            1e15,
            1e16,
            1e20,
            1e21,
            1e300,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            1e-7,
            0.1 + 0.2,
            123_456_789.123_456_79,
            9_007_199_254_740_993.0,
        ];
        let mut bits = 0x1234_5678_9abc_def1u64;
        for _ in 0..100_000 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            values.push(f64::from_bits(bits));
        }
        for value in values.into_iter().filter(|value| value.is_finite()) {
            let text = text(value);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(json.is_number(), "{text}");
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_the_text_of_floats() {
        for exponent in 0..16 {
            let power = 10f64.powi(exponent);
            for value in [power, -power, power - 1.0, power + 1.0, power / 2.0, power * 0.99] {
                assert_eq!(text(value), zmij::Buffer::new().format(value));
            }
        }
    }

    #[test]
    fn special_values_have_their_documented_spelling() {
        assert_eq!(text(-0.0), "-0.0");
        assert_eq!(text(1.0), "1.0");
        assert_eq!(text(f64::NAN), "\"NaN\"");
        assert_eq!(text(-f64::NAN), "\"NaN\"");
        assert_eq!(text(f64::INFINITY), "\"Infinity\"");
        assert_eq!(text(f64::NEG_INFINITY), "\"-Infinity\"");
    }

    #[test]
    fn integers_reach_both_ends() {
        let mut out = Vec::new();
        push_i64(&mut out, i64::MIN);
        out.push(b' ');
        push_i64(&mut out, i64::MAX);
        assert_eq!(out, b"-9223372036854775808 9223372036854775807");
    }
}
