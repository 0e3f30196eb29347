//! Downsampling: windows against those of Thanos, against a plain reference, and over reruns.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod additive;
#[path = "../common/mod.rs"]
mod common;
mod expiry;
mod reruns;
mod thanos;
mod tiers;

use tsdb_converter::downsample::DownsampleOptions;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::time::PartitionBy;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Selects every series that has a name.
const ALL: &str = r#"{__name__=~".+"}"#;

/// Windows of this width; every series that has a name is a counter.
fn windows_of(width: &str, partition_by: PartitionBy) -> ConvertOptions {
    let downsampling =
        DownsampleOptions { counters: vec![ALL.into()], ..DownsampleOptions::at(width.parse().unwrap()) };
    ConvertOptions { downsampling, partition_by, ..ConvertOptions::default() }
}
