//! Label columns: a legal, unique column name for each promoted label.
//!
//! A column name follows from its label alone, so that it never changes when another label is asked for as well:
//!
//! ```text
//! job            job                 lower-case ASCII that means nothing else stays as it is
//! type           l_type              taken by a column of a table, reserved by BigQuery, or begins with a digit
//! clusterName    lx_cluster_name     anything else: _ doubled, A-Z as _ and the small letter,
//! k8s.io/app     lx_k8s_02eio_02fapp   other bytes as _0 and two hex digits
//! (very long)    lh_<hash>_<start>   where that passes 300 characters
//! ```
//! The first three forms are injective even where case is ignored, as BigQuery does. Two labels of the last form
//! can meet only if their 64-bit hashes do; that is refused like a label asked for twice.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use tsdb_reader::labels::METRIC_NAME;
use xxhash_rust::xxh64::xxh64;

/// Longest column name that BigQuery takes, in characters.
const MAX_NAME_LEN: usize = 300;

/// Names that a label column must not have: columns of any table, the partition key, the tables themselves.
const TAKEN: &[&str] = &[
    "buckets",
    "count",
    "counter_reset_hint",
    "dt",
    "first",
    "help",
    "histogram_schema",
    "histograms",
    "increase",
    "label_pairs",
    "labels",
    "last",
    "max",
    "max_timestamp",
    "metric",
    "min",
    "min_timestamp",
    "resolution_ms",
    "samples",
    "series",
    "series_all",
    "series_id",
    "start_timestamp",
    "sum",
    "timestamp",
    "type",
    "unit",
    "value",
    "zero_count",
    "zero_threshold",
];

/// Beginnings that BigQuery reserves, in any case; here in lower case.
const RESERVED_PREFIXES: &[&str] = &[
    "_table_",
    "_file_",
    "_partition",
    "_row_timestamp",
    "__root__",
    "_colidentifier",
    "_change_sequence_number",
    "_change_type",
    "_change_timestamp",
];

/// Beginnings of the names made here; a label that has one is renamed itself, which keeps them apart.
const OWN_PREFIXES: &[&str] = &["l_", "lx_", "lh_"];

/// A promoted label and its column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelColumn {
    /// The label's name.
    pub label: String,
    /// The column's name in every table.
    pub column: String,
}

/// Why the labels asked for cannot become columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelColumnsError {
    /// A name is empty.
    #[error("a label column without a name: remove the empty entry from --label-columns")]
    Empty,
    /// The metric name has its own column.
    #[error("label `__name__` always is the column `metric`: remove it from --label-columns")]
    MetricName,
    /// The same label twice.
    #[error("label `{label}` is asked for twice: name it once in --label-columns")]
    Twice {
        /// The label.
        label: String,
    },
    /// Two labels with the same column.
    #[error(
        "labels `{first}` and `{second}` both become column `{column}`: ask for one of them in --label-columns"
    )]
    Collision {
        /// The label asked for first.
        first: String,
        /// The other one.
        second: String,
        /// Their column.
        column: String,
    },
}

/// The columns of the labels asked for, in that order.
///
/// ```
/// let columns = tsdb_converter::columns::label_columns(&["job".into(), "clusterName".into()])?;
/// assert_eq!(columns[1].column, "lx_cluster_name");
/// # Ok::<(), tsdb_converter::columns::LabelColumnsError>(())
/// ```
pub fn label_columns(labels: &[String]) -> Result<Vec<LabelColumn>, LabelColumnsError> {
    let mut columns: Vec<LabelColumn> = Vec::with_capacity(labels.len());
    for label in labels {
        if label.is_empty() {
            return Err(LabelColumnsError::Empty);
        }
        if label.as_bytes() == METRIC_NAME {
            return Err(LabelColumnsError::MetricName);
        }
        let column = column_name(label);
        match columns.iter().find(|other| other.column == column) {
            Some(other) if other.label == *label => {
                return Err(LabelColumnsError::Twice { label: label.clone() });
            }
            Some(other) => {
                let (first, second) = (other.label.clone(), label.clone());
                return Err(LabelColumnsError::Collision { first, second, column });
            }
            None => columns.push(LabelColumn { label: label.clone(), column }),
        }
    }
    Ok(columns)
}

/// The column of a label.
fn column_name(label: &str) -> String {
    let plain = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let name = match plain {
        true if is_free(label) => label.to_owned(),
        true => format!("l_{label}"),
        false => escaped(label),
    };
    if name.len() <= MAX_NAME_LEN { name } else { hashed(label, &name) }
}

/// True when a lower-case name can be a column as it is.
fn is_free(label: &str) -> bool {
    let starts_with_any = |prefixes: &[&str]| prefixes.iter().any(|prefix| label.starts_with(prefix));
    !label.starts_with(|first: char| first.is_ascii_digit())
        && !TAKEN.contains(&label)
        && !starts_with_any(RESERVED_PREFIXES)
        && !starts_with_any(OWN_PREFIXES)
}

/// `lx_` and the label, escaped so that it could be read back.
fn escaped(label: &str) -> String {
    let mut name = String::from("lx_");
    for byte in label.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => name.push(char::from(byte)),
            b'_' => name.push_str("__"),
            b'A'..=b'Z' => {
                name.push('_');
                name.push(char::from(byte.to_ascii_lowercase()));
            }
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(name, "_0{byte:02x}");
            }
        }
    }
    name
}

/// `lh_`, the hash of the label, and what fits of its long name.
fn hashed(label: &str, long_name: &str) -> String {
    let mut name = format!("lh_{:016x}_", xxh64(label.as_bytes(), 0));
    let room = MAX_NAME_LEN - name.len();
    name.extend(long_name.chars().take(room));
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Table, TableSchema};
    use crate::sink::{Layout, OutputOptions};

    fn column(label: &str) -> String {
        label_columns(&[label.to_owned()]).unwrap().remove(0).column
    }

    #[test]
    fn names_of_every_shape_get_the_documented_columns() {
        for (label, expected) in [
            ("job", "job"),
            ("__type__", "__type__"),
            ("_private", "_private"),
            ("type", "l_type"),
            ("timestamp", "l_timestamp"),
            ("dt", "l_dt"),
            ("5xx", "l_5xx"),
            ("l_type", "l_l_type"),
            ("lx_a", "l_lx_a"),
            ("_partition_key", "l__partition_key"),
            ("Job", "lx__job"),
            ("JOB", "lx__j_o_b"),
            ("clusterName", "lx_cluster_name"),
            ("cluster_Name", "lx_cluster___name"),
            ("k8s.io/app", "lx_k8s_02eio_02fapp"),
            ("_TABLE_SUFFIX", "lx____t_a_b_l_e___s_u_f_f_i_x"),
            ("naïve", "lx_na_0c3_0afve"),
        ] {
            assert_eq!(column(label), expected, "{label}");
        }
    }

    #[test]
    fn short_names_over_a_nasty_alphabet_never_meet_and_are_legal() {
        // Every string of up to five bytes of this alphabet, so that escapes meet what looks like one.
        let alphabet = ["a", "x", "l", "_", "A", "0", "2", ".", "é"];
        let mut labels = vec![String::new()];
        let mut seen = std::collections::HashMap::new();
        for _ in 0..5 {
            labels = labels.iter().flat_map(|l| alphabet.iter().map(move |c| format!("{l}{c}"))).collect();
            for label in &labels {
                let name = column(label);
                let mut bytes = name.bytes();
                assert!(bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_'), "{name}");
                assert!(bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
                if let Some(other) = seen.insert(name.to_ascii_lowercase(), label.clone()) {
                    panic!("{label} and {other} both become {name}");
                }
            }
        }
    }

    #[test]
    fn long_names_keep_within_the_limit_and_apart() {
        let (a, b) = (column(&format!("{}a", "x".repeat(400))), column(&format!("{}b", "x".repeat(400))));
        assert_eq!((a.len(), b.len()), (300, 300));
        assert_ne!(a, b);
        assert!(a.starts_with("lh_"));
        assert_eq!(column(&"y".repeat(300)), "y".repeat(300));
        assert!(column(&".".repeat(100)).starts_with("lh_"));
    }

    #[test]
    fn every_column_of_every_table_is_taken() {
        for layout in [Layout::Star, Layout::Flat] {
            let options = OutputOptions { layout, ..OutputOptions::default() };
            for table in Table::RAW {
                for field in TableSchema::new(table, &options).unwrap().fields {
                    assert!(TAKEN.contains(&field.name.as_str()), "{} is free", field.name);
                }
            }
        }
        assert!(TAKEN.is_sorted());
    }

    #[test]
    fn asks_that_cannot_be_met_say_what_to_do() {
        let error = |labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
            label_columns(&labels).unwrap_err().to_string()
        };
        assert_eq!(error(&["job", "job"]), "label `job` is asked for twice: name it once in --label-columns");
        assert!(error(&["__name__"]).contains("always is the column `metric`"));
        assert!(error(&[""]).contains("remove the empty entry"));
    }

    #[test]
    fn labels_that_differ_only_in_case_become_two_columns() {
        let columns = label_columns(&["job".into(), "Job".into(), "JOB".into()]).unwrap();
        assert_eq!(columns.len(), 3);
    }
}
