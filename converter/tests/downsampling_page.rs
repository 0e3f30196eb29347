//! docs/downsampling.md tells the truth: its rows are what its samples become. UPDATE=1 writes them.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tsdb_converter::downsample::{Aggregate, AggregateColumns, DownsampleOptions, Policy, fold};
use tsdb_converter::metadata::Metadata;
use tsdb_converter::resolution::Resolution;
use tsdb_reader::Labels;
use tsdb_reader::samples::{FloatColumns, STALE_NAN_BITS};

/// 2026-11-20T00:00:00Z.
const DAY_MS: i64 = 1_795_132_800_000;
const SAMPLES: &str = "<!-- samples";
const ROWS: &str = "<!-- rows";
const END: &str = "<!-- end -->\n";

/// Rows of a table of cells, the line that separates its head left out.
fn table(text: &str) -> Vec<Vec<&str>> {
    let rows =
        text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.filter(|line| !line.starts_with("|---"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn time_ms(text: &str) -> i64 {
    let parts: Vec<i64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    DAY_MS + parts.iter().fold(0, |seconds, part| seconds * 60 + part) * 1000
}

fn time(ms: i64) -> String {
    let minutes = (ms - DAY_MS) / 60_000;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The rows that the samples of one column become.
fn rows(metric: &str, samples: &FloatColumns) -> String {
    let five_minutes: Resolution = "5m".parse().unwrap();
    let policy = Policy::new(&DownsampleOptions::at(five_minutes)).unwrap();
    let labels = Labels::from_iter([(&b"__name__"[..], metric.as_bytes())]);
    let treatment = policy.treatment(&labels, five_minutes, &Metadata::default());
    let mut windows = AggregateColumns::default();
    fold(samples, &[], i64::MIN, five_minutes, treatment.steps, &mut windows);
    let mut text = String::new();
    for row in 0..windows.len() {
        write!(text, "| {metric} | {} | {} |", time(windows.times_ms[row]), windows.counts[row]).unwrap();
        for aggregate in Aggregate::ALL {
            match windows.column(aggregate)[row] {
                null if null.to_bits() == AggregateColumns::NULL.to_bits() => text += " null |",
                value => write!(text, " {value} |").unwrap(),
            }
        }
        text += "\n";
    }
    text
}

#[test]
fn rows_of_the_page_are_what_its_samples_become() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/downsampling.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(ROWS).unwrap();
    let (old, after) = rest.split_once(END).unwrap();
    let samples = table(before.split_once(SAMPLES).unwrap().1);
    let mut made = String::new();
    for (column, metric) in samples[0].iter().enumerate().skip(1) {
        let mut columns = FloatColumns::default();
        for cells in samples.iter().skip(1) {
            columns.times_ms.push(time_ms(cells[0]));
            columns.values.push(match cells[column] {
                "null" => f64::from_bits(STALE_NAN_BITS),
                value => value.parse().unwrap(),
            });
        }
        made += &rows(metric, &columns);
    }
    let head: String = old.split_inclusive('\n').take(3).collect();
    let now = format!("{before}{ROWS}{head}{made}{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &now).unwrap();
    } else {
        assert!(now == page, "UPDATE=1 writes the rows into {}:\n{made}", path.display());
    }
}
