//! Floats as Go's `fmt` prints them with `%g`: the shortest digits that read back as the same bits.
//!
//! ```text
//! exponent −4 to 5    0.0001   123.5   999999          as written on paper
//! any other           1e-05    1.234567e+06  5e-324    one digit, point, digits, e, sign, two digits or more
//! not finite          NaN  +Inf  -Inf                  the payload and sign of a NaN are not shown
//! ```
//! The digits come from zmij; only their layout is made here.
//! Defined in Go's `internal/strconv/ftoa.go`.

/// Integers below this are written in full, others with an exponent.
const FIRST_WITH_EXPONENT: f64 = 1e6;
/// Fractions from this on are written in full, others with an exponent.
const LAST_WITHOUT_EXPONENT: f64 = 1e-4;
/// Integers up to this are exact, and their digits are those of the integer.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0; // 2^53

/// Appends `value`.
#[inline]
pub fn push(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    if magnitude < FIRST_WITH_EXPONENT {
        if value.is_sign_negative() {
            out.push(b'-');
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "non-negative and below 10^6"
        )]
        let integer = magnitude as u32;
        if f64::from(integer) == magnitude {
            out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
        } else if magnitude >= LAST_WITHOUT_EXPONENT {
            out.extend_from_slice(zmij::Buffer::new().format_finite(magnitude).as_bytes());
        } else {
            push_exponent_form(out, magnitude);
        }
    } else if magnitude <= f64::MAX {
        if value < 0.0 {
            out.push(b'-');
        }
        push_exponent_form(out, magnitude);
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

/// Appends a positive number in the form with an exponent.
fn push_exponent_form(out: &mut Vec<u8>, magnitude: f64) {
    if (1.0..=EXACT_INTEGERS).contains(&magnitude) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 2^53")]
        let integer = magnitude as u64;
        #[expect(clippy::cast_precision_loss, reason = "at most 2^53")]
        let is_integer = integer as f64 == magnitude;
        if is_integer {
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(integer).as_bytes();
            return push_digits(out, digits, &[], places(digits) - 1);
        }
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(magnitude).as_bytes();
    let (mantissa, exponent) = match text.iter().position(|&byte| byte == b'e') {
        Some(at) => {
            (text.get(..at).unwrap_or_default(), parse_exponent(text.get(at + 1..).unwrap_or_default()))
        }
        None => (text, 0),
    };
    let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) =
        (mantissa.get(..point).unwrap_or_default(), mantissa.get(point + 1..).unwrap_or_default());
    if whole == b"0" {
        // 0.00001234: the exponent counts the zeros behind the point.
        let zeros = fraction.iter().take_while(|&&byte| byte == b'0').count();
        let digits = fraction.get(zeros..).unwrap_or_default();
        return push_digits(
            out,
            digits,
            &[],
            exponent - places(fraction.get(..zeros).unwrap_or_default()) - 1,
        );
    }
    push_digits(out, whole, fraction, exponent + places(whole) - 1);
}

/// Appends the digits of `head` and `tail` with the point behind the first, and the exponent.
fn push_digits(out: &mut Vec<u8>, head: &[u8], tail: &[u8], exponent: i32) {
    let Some((first, rest)) = head.split_first() else { return };
    out.push(*first);
    let point = out.len();
    out.push(b'.');
    out.extend_from_slice(rest);
    out.extend_from_slice(tail);
    while out.len() > point + 1 && out.last() == Some(&b'0') {
        out.pop();
    }
    if out.len() == point + 1 {
        out.pop();
    }
    out.push(b'e');
    out.push(if exponent < 0 { b'-' } else { b'+' });
    let exponent = exponent.unsigned_abs();
    if exponent < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

/// How many digits these are: at most some hundreds.
fn places(digits: &[u8]) -> i32 {
    i32::try_from(digits.len()).unwrap_or(i32::MAX)
}

fn parse_exponent(text: &[u8]) -> i32 {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let exponent = digits.fold(0, |exponent, byte| exponent * 10 + i32::from(byte - b'0'));
    if text.first() == Some(&b'-') { -exponent } else { exponent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_does() {
        let table = include_str!("../../tests/data/go_floats.txt");
        let mut out = Vec::new();
        for line in table.lines() {
            let (bits, expected) = line.split_once(' ').unwrap();
            let value = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
            out.clear();
            push(&mut out, value);
            assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "bits {bits}");
        }
    }
}
