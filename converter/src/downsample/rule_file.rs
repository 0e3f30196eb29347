//! Rule files: YAML that says what becomes of which series.
//!
//! ```yaml
//! rules:
//!   - match: '{__name__=~"go_.*"}'
//!     drop: true
//!   - match: http_requests_total
//!     resolution: 5m
//!     aggregates: [count, increase]
//! ```
//! The first rule whose selector matches a series decides. Without a resolution a series has that of its tier.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Aggregate, Rule, RuleAction};
use crate::resolution::Resolution;

/// Largest file that is read.
const FILE_BYTES: u64 = 16 << 20;

/// Why a rule file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleFileError {
    /// It cannot be read.
    #[error("cannot read --rule {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no YAML of this form.
    #[error("cannot parse --rule {}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// A rule contradicts itself.
    #[error("--rule {}: the rule for {selector} {message}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// Its selector.
        selector: String,
        /// What is wrong.
        message: &'static str,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rules: Vec<FileRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    #[serde(rename = "match")]
    selector: String,
    #[serde(default)]
    drop: bool,
    #[serde(default)]
    resolution: Option<Resolution>,
    #[serde(default)]
    aggregates: Option<Vec<FileAggregate>>,
}

/// The count is always written, and may be named all the same.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FileAggregate {
    Count,
    Sum,
    Min,
    Max,
    First,
    Last,
    Increase,
}

impl FileAggregate {
    fn aggregate(self) -> Option<Aggregate> {
        match self {
            Self::Count => None,
            Self::Sum => Some(Aggregate::Sum),
            Self::Min => Some(Aggregate::Min),
            Self::Max => Some(Aggregate::Max),
            Self::First => Some(Aggregate::First),
            Self::Last => Some(Aggregate::Last),
            Self::Increase => Some(Aggregate::Increase),
        }
    }
}

/// Reads the rules of a file.
pub fn read_rules(path: &Path) -> Result<Vec<Rule>, RuleFileError> {
    let read = |source| RuleFileError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_string(&mut text)).map_err(read)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(read(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    parse_rules(path, &text)
}

/// Parses the rules of the file `path`.
pub fn parse_rules(path: &Path, text: &str) -> Result<Vec<Rule>, RuleFileError> {
    let file: RuleFile = serde_saphyr::from_str(text).map_err(|error| RuleFileError::Parse {
        path: path.to_owned(),
        message: error.without_snippet().to_string(),
    })?;
    file.rules.into_iter().map(|rule| rule_of(path, rule)).collect()
}

fn rule_of(path: &Path, rule: FileRule) -> Result<Rule, RuleFileError> {
    let FileRule { selector, drop, resolution, aggregates } = rule;
    let wrong = |message| RuleFileError::Rule { path: path.to_owned(), selector: selector.clone(), message };
    let is_raw = resolution.is_some_and(Resolution::is_raw);
    let action = match (drop, resolution.is_some() || aggregates.is_some()) {
        (true, true) => return Err(wrong("drops its series and says what to keep of them; choose one")),
        (true, false) => RuleAction::Drop,
        (false, false) => return Err(wrong("says nothing; give drop, resolution or aggregates")),
        (false, true) if is_raw && aggregates.is_some() => {
            return Err(wrong("names aggregates of raw samples, which have none; choose one"));
        }
        (false, true) => {
            let kept = |some: Vec<FileAggregate>| some.into_iter().filter_map(FileAggregate::aggregate);
            let aggregates = aggregates.map(|some| kept(some).collect::<BTreeSet<_>>());
            RuleAction::Keep { resolution, aggregates }
        }
    };
    Ok(Rule { selector, action })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Rule>, String> {
        parse_rules(Path::new("rules.yml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_drop_or_say_what_to_keep() {
        let rules = parse(
            "rules:\n  - match: '{__name__=~\"go_.*\"}'\n    drop: true\n  - match: up\n    resolution: 60m\n  \
             - match: b_total\n    aggregates: [count, increase]\n  - match: c\n    resolution: raw\n",
        );
        let keep = |resolution: Option<&str>, aggregates: Option<BTreeSet<Aggregate>>| RuleAction::Keep {
            resolution: resolution.map(|text| text.parse().unwrap()),
            aggregates,
        };
        let expected = [
            ("{__name__=~\"go_.*\"}", RuleAction::Drop),
            ("up", keep(Some("1h"), None)),
            ("b_total", keep(None, Some([Aggregate::Increase].into()))),
            ("c", keep(Some("raw"), None)),
        ];
        let expected = expected.map(|(selector, action)| Rule { selector: selector.into(), action });
        assert_eq!(rules.unwrap(), expected);
    }

    #[test]
    fn a_rule_file_that_makes_no_sense_is_refused_with_the_place() {
        for (text, expected) in [
            (
                "rules:\n - match: up\n",
                "--rule rules.yml: the rule for up says nothing; give drop, resolution or aggregates",
            ),
            (
                "rules:\n - {match: up, drop: true, resolution: 5m}\n",
                "--rule rules.yml: the rule for up drops its series and says what to keep of them; choose one",
            ),
            (
                "rules:\n - {match: up, resolution: raw, aggregates: [sum]}\n",
                "--rule rules.yml: the rule for up names aggregates of raw samples, which have none; choose one",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected);
        }
        for text in [
            "rules:\n - {match: up, drop: true, dorp: 1}\n",
            "rules: [",
            "",
            "rules:\n - {match: up, resolution: 5q}\n",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("cannot parse --rule rules.yml: "), "{error}");
        }
        assert!(
            parse("rules:\n - {match: up, resolution: 5q}\n")
                .unwrap_err()
                .contains("\"5q\" is no resolution")
        );
    }
}
