//! Strings as Go's `strconv.Quote` writes them, and label sets as Prometheus prints them.
//!
//! What `unicode.IsPrint` calls printable stands as it is; the rest is escaped, and so is every byte that is not
//! UTF-8, as `\xff`. The table of printable characters is Go's (module `printable`): Rust has another one.
//! Defined in Go's `strconv/quote.go` and Prometheus' `model/labels/labels_common.go`.

use tsdb_reader::Labels;

use super::printable::PRINTABLE;

/// Appends `bytes` in double quotes.
pub fn push_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find(|c: char| !is_plain(c)) {
            let (plain, escaped) = rest.split_at(at);
            out.extend_from_slice(plain.as_bytes());
            let mut chars = escaped.chars();
            if let Some(c) = chars.next() {
                push_escaped(out, c);
            }
            rest = chars.as_str();
        }
        out.extend_from_slice(rest.as_bytes());
        for byte in chunk.invalid() {
            push_hex(out, "\\x", u32::from(*byte), 2);
        }
    }
    out.push(b'"');
}

/// Appends a label set: `{__name__="up", "with.dot"="x"}`.
pub fn push_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        if is_bare_name(name) {
            out.extend_from_slice(name);
        } else {
            push_quoted(out, name);
        }
        out.push(b'=');
        push_quoted(out, value);
    }
    out.push(b'}');
}

/// True for a label name that stands without quotes: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_bare_name(name: &[u8]) -> bool {
    let Some((first, rest)) = name.split_first() else { return false };
    let begins = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    begins(first) && rest.iter().all(|byte| begins(byte) || byte.is_ascii_digit())
}

fn is_plain(c: char) -> bool {
    match c {
        '"' | '\\' => false,
        ' '..='~' => true,
        _ if c.is_ascii() => false,
        _ => {
            let at = PRINTABLE.partition_point(|&(_, last)| last < u32::from(c));
            PRINTABLE.get(at).is_some_and(|&(first, _)| first <= u32::from(c))
        }
    }
}

fn push_escaped(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' => b'"',
        '\\' => b'\\',
        '\x07' => b'a',
        '\x08' => b'b',
        '\x0c' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\x0b' => b'v',
        _ if c.is_ascii() => return push_hex(out, "\\x", u32::from(c), 2),
        _ if u32::from(c) < 0x1_0000 => return push_hex(out, "\\u", u32::from(c), 4),
        _ => return push_hex(out, "\\U", u32::from(c), 8),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn push_hex(out: &mut Vec<u8>, prefix: &str, value: u32, digits: u32) {
    out.extend_from_slice(prefix.as_bytes());
    for at in (0..digits).rev() {
        let nibble = value >> (4 * at) & 15;
        out.extend(char::from_digit(nibble, 16).map(|digit| digit as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        push_quoted(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_quoted_as_go_does() {
        // As `strconv.Quote` of Go 1.26 gives them.
        assert_eq!(quoted(b"plain ~"), r#""plain ~""#);
        assert_eq!(quoted(b"\"\\\x07\x08\x0c\n\r\t\x0b\x00\x1f\x7f"), r#""\"\\\a\b\f\n\r\t\v\x00\x1f\x7f""#);
        assert_eq!(quoted("é µ 温度 😀".as_bytes()), "\"é µ 温度 😀\"");
        assert_eq!(
            quoted("\u{a0}\u{ad}\u{200b}\u{feff}\u{fffd}\u{e000}".as_bytes()),
            "\"\\u00a0\\u00ad\\u200b\\ufeff\u{fffd}\\ue000\""
        );
        assert_eq!(quoted("\u{e0001}\u{10ffff}".as_bytes()), r#""\U000e0001\U0010ffff""#);
        assert_eq!(quoted(b"a\xff\xe2\x82z"), r#""a\xff\xe2\x82z""#);
    }

    #[test]
    fn names_are_quoted_only_when_they_must_be() {
        let pairs = [("", "x"), ("0a", "1"), ("__name__", "up"), ("a:b", "c"), ("with.dot", "é")];
        let labels = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let mut out = Vec::new();
        push_labels(&mut out, &labels);
        let expected = r#"{""="x", "0a"="1", __name__="up", "a:b"="c", "with.dot"="é"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
