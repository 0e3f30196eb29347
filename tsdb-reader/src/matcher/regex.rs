//! Regular expressions over whole label values.
//!
//! Prometheus compiles `PATTERN` as `^(?s:PATTERN)$`: it matches whole values, and `.` matches line ends. Here the
//! crate `regex` does the matching, in time linear in the value like Go's engine, on a pattern that
//! [`super::go_syntax`] reads by Go's rules. Patterns that only list values, as most do, are not compiled at all.
//!
//! In a value that is no UTF-8, each byte that is out of place counts as one character, which `.` and negated classes
//! match and no literal does.
//!
//! Checked: the compiled program's size against [`crate::limits::REGEX_BYTES`].
//! Defined in Prometheus' `model/labels/regexp.go`.

use regex::bytes::{Regex, RegexBuilder};

use super::error::SelectorError;
use super::go_syntax::{self, Translated};
use crate::limits;

/// What means something else than itself, `|` aside.
const METACHARACTERS: &str = "\\.+*?()[]{}^$";

/// A regular expression over whole label values.
#[derive(Debug, Clone)]
pub(super) enum ValueRegex {
    /// `a|b\.c|d`: these values and no others, sorted.
    Literals(Vec<Vec<u8>>),
    /// `.*`
    Anything,
    /// `.+`
    Something,
    /// All others.
    Pattern {
        /// What every value begins with that matches.
        prefix: String,
        regex: Regex,
    },
}

impl ValueRegex {
    pub(super) fn new(pattern: &[u8]) -> Result<Self, SelectorError> {
        if !pattern.iter().any(|byte| METACHARACTERS.contains(char::from(*byte))) {
            // Nothing to translate, so that it may be anything but UTF-8.
            return Ok(Self::listed(pattern.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect()));
        }
        match pattern {
            b".*" => return Ok(Self::Anything),
            b".+" => return Ok(Self::Something),
            _ => {}
        }
        let pattern = std::str::from_utf8(pattern)
            .map_err(|error| SelectorError::regex(error.valid_up_to(), "invalid UTF-8"))?;
        let Translated { text, literals } = go_syntax::translate(pattern)?;
        if let Some(literals) = literals {
            return Ok(Self::listed(literals.into_iter().map(String::into_bytes).collect()));
        }
        let regex = RegexBuilder::new(&format!("^(?s:{text})$"))
            .size_limit(limits::REGEX_BYTES)
            .dfa_size_limit(limits::REGEX_BYTES)
            .build()
            .map_err(|error| SelectorError::regex(0, refusal(&error)))?;
        Ok(Self::Pattern { prefix: literal_prefix(pattern), regex })
    }

    fn listed(mut literals: Vec<Vec<u8>>) -> Self {
        literals.sort_unstable();
        literals.dedup();
        Self::Literals(literals)
    }

    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Literals(literals) => {
                literals.binary_search_by(|literal| literal.as_slice().cmp(value)).is_ok()
            }
            Self::Anything => true,
            Self::Something => !value.is_empty(),
            Self::Pattern { regex, .. } if std::str::from_utf8(value).is_ok() => regex.is_match(value),
            Self::Pattern { regex, .. } => regex.is_match(as_go_reads(value).as_bytes()),
        }
    }

    /// The values that match, when the pattern lists them.
    pub(super) fn literals(&self) -> Option<&[Vec<u8>]> {
        match self {
            Self::Literals(literals) => Some(literals),
            _ => None,
        }
    }

    /// What every value begins with that matches; may be empty.
    pub(super) fn prefix(&self) -> &str {
        match self {
            Self::Pattern { prefix, .. } => prefix,
            _ => "",
        }
    }
}

/// The last line of the parser's message, which says what is wrong; those above draw the translated pattern.
fn refusal(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Stands for a byte that is no part of a character. No character itself, so that patterns do not name it.
const BYTE_OUT_OF_PLACE: char = char::MAX;

/// Each byte that is no part of a character becomes one [`BYTE_OUT_OF_PLACE`].
fn as_go_reads(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| BYTE_OUT_OF_PLACE));
    }
    text
}

/// The literal text that `pattern` begins with, if that is easily seen.
fn literal_prefix(pattern: &str) -> String {
    // An alternative anywhere, or a flag, may mean that the text is not all there is.
    if pattern.contains('|') || pattern.contains("(?") {
        return String::new();
    }
    let len = pattern.find(|character| METACHARACTERS.contains(character)).unwrap_or(pattern.len());
    let (prefix, rest) = pattern.split_at_checked(len).unwrap_or_default();
    let mut prefix = prefix.to_owned();
    if rest.starts_with(['*', '?', '{']) {
        prefix.pop(); // May occur no time.
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_that_is_no_utf8_is_matched_byte_by_byte() {
        let matches =
            |pattern: &str, value: &[u8]| ValueRegex::new(pattern.as_bytes()).unwrap().is_match(value);
        assert!(matches("a.", b"a\xff"));
        assert!(matches("a..", b"a\xe2\x82"));
        assert!(!matches("a.", b"a\xe2\x82"));
        assert!(matches("[^b]+", b"\xff\xfe"));
        assert!(!matches(r"\x{fffd}.?", b"\xff"));
        assert!(ValueRegex::new(b"\xff|a").unwrap().is_match(b"\xff"));
    }

    #[test]
    fn lists_and_prefixes_are_seen() {
        let regex = |pattern: &str| ValueRegex::new(pattern.as_bytes()).unwrap();
        assert_eq!(regex("b|a|b").literals().unwrap(), [b"a", b"b"]);
        assert_eq!(regex(r"z\.1|\Qa|b\E|").literals().unwrap(), [&b""[..], b"a|b", b"z.1"]);
        for pattern in ["a.b", "a|b?", "(a)", "a$", "(?i)a", "a{2}", "[a]", r"a\b", r"\x{D800}"] {
            assert_eq!(regex(pattern).literals(), None, "{pattern}");
        }
        for (pattern, prefix) in [
            ("node_.*", "node_"),
            ("abc*", "ab"),
            ("abc+", "abc"),
            ("é?x", ""),
            ("ab{0}", "a"),
            ("ab(c)", "ab"),
            ("a|b.", ""),
            ("ab(c|d)", ""),
            ("a(?i)b", ""),
            ("^ab", ""),
            (r"ab\.c+", "ab"),
        ] {
            assert_eq!(regex(pattern).prefix(), prefix, "{pattern}");
        }
    }
}
