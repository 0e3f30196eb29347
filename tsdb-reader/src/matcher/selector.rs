//! The grammar of PromQL's series selectors.
//!
//! ```text
//! selector = name [ matchers ] | matchers
//! matchers = "{" [ matcher { "," matcher } [ "," ] ] "}"
//! matcher  = ( identifier | string ) operator string | string      a string alone is the metric name
//! name     = [a-zA-Z_:][a-zA-Z0-9_:]*, no word that PromQL keeps for itself
//! string   = "…" or '…' with escapes | `…` without
//! ```
//! Spaces, tabs, line ends, and comments from `#` to the end of the line may stand between all of these. Escapes are
//! `\a \b \f \n \r \t \v \\`, the quote itself, `\123`, `\x7f`, `\u12ab`, `\U0010ffff`; `\x` and octal make single
//! bytes, so that values which are no UTF-8 can be asked for.
//! Defined in Prometheus' `promql/parser/{lex.go,generated_parser.y}`.

use std::fmt;

use super::error::{SelectorError, SelectorErrorKind};
use super::{MatchOp, Matcher};
use crate::labels::METRIC_NAME;

/// Words that begin something else than a selector, in any case.
const RESERVED: [&str; 8] = ["atan2", "bool", "group_left", "group_right", "ignoring", "on", "inf", "nan"];

/// Parses a selector as a PromQL query accepts it.
///
/// Beyond the grammar that means: at least one matcher needs a value, which keeps a typing error from meaning all
/// series. A metric name before the braces and another inside are accepted, as by `promtool`, and no series has both.
///
/// ```
/// let matchers = tsdb_reader::parse_selector(r#"up{job=~"a|b", "http.method"!=""}"#).unwrap();
/// assert_eq!(matchers.len(), 3);
///
/// let error = tsdb_reader::parse_selector(r#"up{job="a""#).unwrap_err();
/// assert_eq!(error.to_string(), r#"found end of selector, expected "," or "}" at position 10"#);
/// ```
pub fn parse_selector(selector: &str) -> Result<Vec<Matcher>, SelectorError> {
    let matchers = parse_matchers(selector)?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(SelectorError::new(0, SelectorErrorKind::NothingRequired));
    }
    Ok(matchers)
}

/// Parses a selector by its grammar alone, as `promtool` does: matchers may all match the empty value.
pub fn parse_matchers(selector: &str) -> Result<Vec<Matcher>, SelectorError> {
    Parser { text: selector, at: 0 }.selector()
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes read; always between two characters.
    at: usize,
}

impl<'a> Parser<'a> {
    /// All matchers; the one for the metric name before the braces is the last.
    fn selector(&mut self) -> Result<Vec<Matcher>, SelectorError> {
        self.skip_space();
        let mut matchers = Vec::new();
        let metric = self.metric_name()?;
        self.skip_space();
        if self.peek() == Some('{') {
            self.at += 1;
            self.matchers(&mut matchers)?;
        } else if metric.is_none() {
            return Err(self.unexpected("a metric name or \"{\""));
        }
        self.skip_space();
        if self.peek().is_some() {
            return Err(self.unexpected("the end of the selector"));
        }
        if let Some(metric) = metric {
            matchers.push(Matcher::new(METRIC_NAME, MatchOp::Equal, metric)?);
        }
        Ok(matchers)
    }

    fn metric_name(&mut self) -> Result<Option<&'a str>, SelectorError> {
        let start = self.at;
        let name = self.word(|character| character == ':');
        if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name)) {
            self.at = start;
            let kind = SelectorErrorKind::Unexpected {
                found: format!("{name:?}, a word of PromQL"),
                expected: "a metric name, or {\"…\"} around this one",
            };
            return Err(SelectorError::new(start, kind));
        }
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    /// What follows the opening brace.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Result<(), SelectorError> {
        loop {
            self.skip_space();
            // Closes an empty list, or one that ends in a comma. A comma alone is none.
            if self.peek() == Some('}') {
                self.at += 1;
                return Ok(());
            }
            matchers.push(self.matcher()?);
            self.skip_space();
            match self.peek() {
                Some(',') => self.at += 1,
                Some('}') => {}
                _ => return Err(self.unexpected("\",\" or \"}\"")),
            }
        }
    }

    fn matcher(&mut self) -> Result<Matcher, SelectorError> {
        let quoted = matches!(self.peek(), Some('"' | '\'' | '`'));
        let name = if quoted { self.string()?.0 } else { self.word(|_| false).as_bytes().to_vec() };
        if name.is_empty() && !quoted {
            return Err(self.unexpected("a label name, a quoted name or \"}\""));
        }
        self.skip_space();
        if quoted && matches!(self.peek(), Some(',' | '}')) {
            return Matcher::new(METRIC_NAME, MatchOp::Equal, name);
        }
        let rest = self.rest();
        let op = match rest.as_bytes() {
            [b'=', b'~', ..] => MatchOp::Regex,
            [b'!', b'~', ..] => MatchOp::NotRegex,
            [b'!', b'=', ..] => MatchOp::NotEqual,
            [b'=', ..] => MatchOp::Equal,
            _ => return Err(self.unexpected("=, !=, =~ or !~")),
        };
        self.at += if op == MatchOp::Equal { 1 } else { 2 };
        self.skip_space();
        if !matches!(self.peek(), Some('"' | '\'' | '`')) {
            return Err(self.unexpected("a quoted value"));
        }
        let start = self.at + 1;
        let (value, verbatim) = self.string()?;
        Matcher::new(name, op, value).map_err(|error| {
            // Behind an escape sequence, places in the value are not places in the selector.
            if verbatim { error.moved_by(start) } else { SelectorError { position: start, ..error } }
        })
    }

    /// A string; true beside it when it was taken as it stands.
    fn string(&mut self) -> Result<(Vec<u8>, bool), SelectorError> {
        let open = self.at;
        let unclosed = || SelectorError::new(open, SelectorErrorKind::UnclosedString);
        let quote = self.next().ok_or_else(unclosed)?;
        let mut value = Vec::new();
        let mut verbatim = true;
        loop {
            let start = self.at;
            match self.next().ok_or_else(unclosed)? {
                character if character == quote => return Ok((value, verbatim)),
                '\n' if quote != '`' => return Err(unclosed()),
                // The reference takes it for a sign of broken UTF-8, even where it was meant.
                char::REPLACEMENT_CHARACTER => {
                    self.at = start;
                    return Err(self.unexpected("valid UTF-8; write \\ufffd for this character"));
                }
                '\\' if quote != '`' => {
                    verbatim = false;
                    self.escape(start, quote, &mut value)?;
                }
                character => {
                    value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }

    /// What follows a backslash, which stands at `start`.
    fn escape(&mut self, start: usize, quote: char, value: &mut Vec<u8>) -> Result<(), SelectorError> {
        let code = match self.next() {
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('f') => 0x0c,
            Some('n') => 0x0a,
            Some('r') => 0x0d,
            Some('t') => 0x09,
            Some('v') => 0x0b,
            Some('\\') => 0x5c,
            Some(character) if character == quote => u32::from(character),
            Some(first @ '0'..='7') => {
                self.at -= first.len_utf8();
                let byte = self.digits(start, 3, 8)?;
                value.push(u8::try_from(byte).map_err(|_| self.bad_escape(start))?);
                return Ok(());
            }
            Some('x') => {
                let byte = self.digits(start, 2, 16)?;
                value.push(u8::try_from(byte).map_err(|_| self.bad_escape(start))?);
                return Ok(());
            }
            Some('u') => self.digits(start, 4, 16)?,
            Some('U') => self.digits(start, 8, 16)?,
            _ => return Err(self.bad_escape(start)),
        };
        let character = char::from_u32(code).ok_or_else(|| self.bad_escape(start))?;
        value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn digits(&mut self, start: usize, count: usize, radix: u32) -> Result<u32, SelectorError> {
        let mut value = 0u32;
        for _ in 0..count {
            let digit = self.next().and_then(|character| character.to_digit(radix));
            let digit = digit.ok_or_else(|| self.bad_escape(start))?;
            // Eight hexadecimal digits fit.
            value = value.wrapping_mul(radix).wrapping_add(digit);
        }
        Ok(value)
    }

    fn bad_escape(&self, start: usize) -> SelectorError {
        let found = self.text.get(start..self.at).unwrap_or_default().to_owned();
        SelectorError::new(start, SelectorErrorKind::Escape { found })
    }

    /// An identifier, or nothing; `more` allows characters beyond those of a label name.
    fn word(&mut self, more: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let in_word = |at: usize, character: char| {
            character == '_'
                || character.is_ascii_alphabetic()
                || more(character)
                || (at > 0 && character.is_ascii_digit())
        };
        let len = rest.char_indices().find(|(at, character)| !in_word(*at, *character));
        let word = rest.get(..len.map_or(rest.len(), |(at, _)| at)).unwrap_or_default();
        self.at += word.len();
        word
    }

    fn skip_space(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.at += 1,
                Some('#') => {
                    let line = self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
                    self.at += line;
                }
                _ => return,
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn unexpected(&self, expected: &'static str) -> SelectorError {
        let found = self.peek().map_or_else(|| "end of selector".to_owned(), |found| format!("{found:?}"));
        SelectorError::new(self.at, SelectorErrorKind::Unexpected { found, expected })
    }
}

/// True for a label name that needs no quotes.
pub(super) fn is_identifier(name: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.first().is_some_and(letter) && name.iter().all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// Writes a string that reads back to the same bytes.
pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                character if character.is_control() || character == char::REPLACEMENT_CHARACTER => {
                    write!(f, "\\u{:04x}", u32::from(character))?;
                }
                character => write!(f, "{character}")?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(selector: &str) -> String {
        match parse_selector(selector) {
            Ok(matchers) => matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Err(error) => panic!("{selector}: {error}"),
        }
    }

    fn error(selector: &str) -> String {
        parse_selector(selector).unwrap_err().to_string()
    }

    #[test]
    fn selectors_parse_to_matchers_with_the_metric_name_last() {
        let cases = [
            ("up", r#"__name__="up""#),
            (" \t\r\nup # all of them\n", r#"__name__="up""#),
            ("job:up:sum", r#"__name__="job:up:sum""#),
            (":up", r#"__name__=":up""#),
            ("up{}", r#"__name__="up""#),
            (r#"up{job="a",}"#, r#"job="a", __name__="up""#),
            (r#"{job="a"}"#, r#"job="a""#),
            (r#"{"http.requests"}"#, r#"__name__="http.requests""#),
            (
                r#"{"http.requests", "http.code"!="5 00" , a=~'b'}"#,
                r#"__name__="http.requests", "http.code"!="5 00", a=~"b""#,
            ),
            ("{a =~ `\\d\n`, b=\"\"}\n", r#"a=~"\\d\n", b="""#),
            ("{a#one\n=#two\r'x'#three\n,#four\n}#five", r#"a="x""#),
            (r#"{on="x", sum="y", bool="z", inf="1"}"#, r#"on="x", sum="y", bool="z", inf="1""#),
            (r#"sum{by="x"}"#, r#"by="x", __name__="sum""#),
            (r#"{__name__="a", __name__!="b"}"#, r#"__name__="a", __name__!="b""#),
            (r#"up{__name__="a"}"#, r#"__name__="a", __name__="up""#),
            (r#"{"a", "b"}"#, r#"__name__="a", __name__="b""#),
            (
                r#"{a="\a\b\f\n\r\t\v\\\"\101\x41\u00e9\U0001F600"}"#,
                "a=\"\\u0007\\u0008\\u000c\\n\\r\\t\\u000b\\\\\\\"AAé😀\"",
            ),
            (r#"{a='it\'s "it"'}"#, r#"a="it's \"it\"""#),
            (r#"{a="é日"}"#, r#"a="é日""#),
        ];
        for (selector, expected) in cases {
            assert_eq!(parsed(selector), expected, "{selector}");
        }
    }

    #[test]
    fn escapes_make_bytes_that_are_no_utf8() {
        let matchers = parse_selector(r#"{a="\xff\377\x80"}"#).unwrap();
        assert_eq!(matchers[0].value(), [0xff, 0xff, 0x80]);
        assert_eq!(matchers[0].to_string(), r#"a="\xff\xff\x80""#);
    }

    #[test]
    fn errors_say_where_and_what_was_expected() {
        let cases = [
            ("", r#"found end of selector, expected a metric name or "{" at position 0"#),
            ("  #", r#"found end of selector, expected a metric name or "{" at position 3"#),
            ("1up", r#"found '1', expected a metric name or "{" at position 0"#),
            ("up{", r#"found end of selector, expected a label name, a quoted name or "}" at position 3"#),
            ("{,}", r#"found ',', expected a label name, a quoted name or "}" at position 1"#),
            (r#"{a="b",,}"#, r#"found ',', expected a label name, a quoted name or "}" at position 7"#),
            (r#"{a="b" c="d"}"#, r#"found 'c', expected "," or "}" at position 7"#),
            ("{a}", "found '}', expected =, !=, =~ or !~ at position 2"),
            (r#"{a=="b"}"#, "found '=', expected a quoted value at position 3"),
            ("{a=b}", "found 'b', expected a quoted value at position 3"),
            (r#"{a:b="c"}"#, "found ':', expected =, !=, =~ or !~ at position 2"),
            (r#"{"a" "b"}"#, "found '\"', expected =, !=, =~ or !~ at position 5"),
            (r#"up{a="b"} offset 5m"#, "found 'o', expected the end of the selector at position 10"),
            ("up[5m]", "found '[', expected the end of the selector at position 2"),
            (r#""up""#, r#"found '"', expected a metric name or "{" at position 0"#),
            (r#"{a="b}"#, "string is not closed at position 3"),
            ("{a=\"b\n\"}", "string is not closed at position 3"),
            (r#"{a="\"#, r"no escape sequence of a string: \ at position 4"),
            (r#"{a="\q"}"#, r"no escape sequence of a string: \q at position 4"),
            (r#"{a="\'"}"#, r"no escape sequence of a string: \' at position 4"),
            (r#"{a="\400"}"#, r"no escape sequence of a string: \400 at position 4"),
            (r#"{a="\18"}"#, r"no escape sequence of a string: \18 at position 4"),
            (r#"{a="\xg0"}"#, r"no escape sequence of a string: \xg at position 4"),
            (r#"{a="\ud800"}"#, r"no escape sequence of a string: \ud800 at position 4"),
            (r#"{a="\U00110000"}"#, r"no escape sequence of a string: \U00110000 at position 4"),
            (r#"{a=~"b(c"}"#, "regular expression: group is not closed at position 6"),
            (r#"{a=~"\u0062(c"}"#, "regular expression: group is not closed at position 5"),
        ];
        for (selector, expected) in cases {
            assert_eq!(error(selector), expected, "{selector}");
        }
        for reserved in ["bool", "NaN", "Inf", "on", "atan2", "group_left"] {
            assert!(error(reserved).contains("a word of PromQL"), "{reserved}");
        }
    }

    #[test]
    fn selector_that_needs_no_value_is_refused_and_says_what_to_do() {
        for selector in ["{}", r#"{a=""}"#, r#"{a=~".*"}"#, r#"{a!="x", b!~"y"}"#] {
            let error = error(selector);
            assert!(error.contains(r#"__name__=~".+""#), "{error}");
            assert!(parse_matchers(selector).is_ok());
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[{}\"'`,=!~#\\\\a-c:(\\[\n x0-9é\u{fffd}]*") {
            let _ = parse_selector(&text);
        }

        #[test]
        fn matcher_reads_back_as_written(name: Vec<u8>, value: Vec<u8>) {
            let written = Matcher::new(name.clone(), MatchOp::NotEqual, value.clone()).unwrap().to_string();
            let read = parse_matchers(&format!("{{{written}}}")).unwrap();
            prop_assert_eq!((read[0].name(), read[0].value()), (&name[..], &value[..]));
        }
    }
}
