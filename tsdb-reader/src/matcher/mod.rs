//! Matchers: which series are meant.
//!
//! ```text
//! {__name__="up", job=~"a|b", instance!=""}
//!  └ name  ┘└┬┘└ value
//!           operator:  =  !=  =~  !~
//! ```
//! A selector is parsed ([`parse_selector`]) to matchers, and matchers are resolved through postings to series
//! references ([`crate::Index::select`]). A label that a series does not have has the empty value.
//!
//! Regular expressions are written in Go's syntax and always match whole values; see `go_syntax.rs`.
//! Defined in <https://prometheus.io/docs/prometheus/latest/querying/basics/> and Prometheus' `promql/parser`,
//! `model/labels/matcher.go`, `tsdb/querier.go`.

mod error;
mod go_syntax;
mod regex;
mod select;
mod selector;

use std::fmt;

pub use self::error::{SelectorError, SelectorErrorKind};
use self::regex::ValueRegex;
pub use self::selector::{parse_matchers, parse_selector};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// A condition on the value of one label.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: Vec<u8>,
    op: MatchOp,
    value: Vec<u8>,
    /// Of a regular expression.
    regex: Option<ValueRegex>,
}

impl Matcher {
    /// A matcher. Fails when `value` is a regular expression with an error; its position counts from the start of
    /// the expression.
    pub fn new(
        name: impl Into<Vec<u8>>,
        op: MatchOp,
        value: impl Into<Vec<u8>>,
    ) -> Result<Self, SelectorError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(ValueRegex::new(&value)?),
        };
        Ok(Self { name, op, value, regex })
    }

    /// The label it looks at.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it compares with: a value, or a regular expression.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// True when a label with this value passes.
    pub fn matches(&self, value: &[u8]) -> bool {
        let equal = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => value == self.value,
        };
        equal != self.is_negative()
    }

    /// True when a series without the label passes.
    pub fn matches_empty(&self) -> bool {
        self.matches(b"")
    }

    fn is_negative(&self) -> bool {
        matches!(self.op, MatchOp::NotEqual | MatchOp::NotRegex)
    }

    /// The values it names one by one, whether to find or to exclude them; none when it describes them.
    fn listed_values(&self) -> Option<&[Vec<u8>]> {
        match &self.regex {
            Some(regex) => regex.literals(),
            None => Some(std::slice::from_ref(&self.value)),
        }
    }
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

/// As PromQL writes it. Reads back to the same matcher if name and value are UTF-8.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if selector::is_identifier(&self.name) {
            f.write_str(&String::from_utf8_lossy(&self.name))?;
        } else {
            selector::write_quoted(f, &self.name)?;
        }
        write!(f, "{}", self.op)?;
        selector::write_quoted(f, &self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(op: MatchOp, value: &str) -> Matcher {
        Matcher::new("job", op, value).unwrap()
    }

    #[test]
    fn operators_compare_whole_values() {
        let cases = [
            (MatchOp::Equal, "a", "a", true),
            (MatchOp::Equal, "a", "ab", false),
            (MatchOp::NotEqual, "a", "ab", true),
            (MatchOp::NotEqual, "a", "a", false),
            (MatchOp::Regex, "a.", "ab", true),
            (MatchOp::Regex, "a.", "xab", false),
            (MatchOp::Regex, "a|bc", "abc", false),
            (MatchOp::Regex, "a.c", "a\nc", true),
            (MatchOp::NotRegex, "a.", "ab", false),
            (MatchOp::NotRegex, "a.", "a", true),
        ];
        for (op, pattern, value, expected) in cases {
            assert_eq!(matcher(op, pattern).matches(value.as_bytes()), expected, "{op}{pattern} {value}");
        }
    }

    #[test]
    fn empty_value_stands_for_an_absent_label() {
        assert!(matcher(MatchOp::Equal, "").matches_empty());
        assert!(matcher(MatchOp::NotEqual, "x").matches_empty());
        assert!(matcher(MatchOp::Regex, ".*").matches_empty());
        assert!(matcher(MatchOp::Regex, "a|").matches_empty());
        assert!(matcher(MatchOp::NotRegex, ".+").matches_empty());
        assert!(!matcher(MatchOp::NotEqual, "").matches_empty());
        assert!(!matcher(MatchOp::Regex, ".+").matches_empty());
    }
}
