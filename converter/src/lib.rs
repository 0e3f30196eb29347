//! Plans, merges and writes the samples of Prometheus TSDB blocks as Parquet or NDJSON.
//!
//! One way: blocks are planned into units, the series of a unit are merged into [`rows::SampleRows`], and a sink
//! writes those. No Arrow type before `batch`, no Parquet or JSON before `sink`, no threads outside `pipeline`.

pub mod batch;
pub mod columns;
pub mod rows;
pub mod schema;
pub mod sink;
pub mod text;
