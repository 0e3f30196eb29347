//! JSON strings from bytes that ought to be UTF-8.

/// Appends a quoted JSON string. Bytes that are not UTF-8 become U+FFFD; returns true if there were any.
pub fn push_str(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    out.push(b'"');
    let mut replaced = false;
    for chunk in bytes.utf8_chunks() {
        push_escaped(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            replaced = true;
        }
    }
    out.push(b'"');
    replaced
}

/// Appends text; quotes, backslashes and control characters escaped.
fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let hex = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> (String, bool) {
        let mut out = Vec::new();
        let replaced = push_str(&mut out, bytes);
        (String::from_utf8(out).unwrap(), replaced)
    }

    #[test]
    fn every_character_below_128_and_some_above_read_back() {
        let all: String = (0..128u8).map(char::from).chain("é\u{2028}\u{10ffff}".chars()).collect();
        let (json, replaced) = text(all.as_bytes());
        assert!(!replaced);
        assert!(!json.bytes().any(|byte| byte < 0x20));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), all);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_as_the_standard_library_does() {
        for bytes in
            [&b"a\xffb"[..], b"\xff\xfe", b"\xe2\x82", b"x\xf0\x9f\x92y", b"\xc0\x80", b"\xed\xa0\x80"]
        {
            let (json, replaced) = text(bytes);
            assert!(replaced);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), String::from_utf8_lossy(bytes));
        }
        assert_eq!(text(b"a\"\\\n\x01"), (r#""a\"\\\n\u0001""#.to_owned(), false));
    }
}
