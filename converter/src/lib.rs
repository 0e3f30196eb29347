//! Plans, merges and writes the samples of Prometheus TSDB blocks as Parquet or NDJSON.
//!
//! One way: blocks are planned into units, the series of a unit are merged into [`rows::SampleRows`], and a sink
//! writes those. No Arrow type before `batch`, no Parquet or JSON before `sink`, no threads outside `pipeline`.

pub mod anatomy;
pub mod archive;
pub mod batch;
pub mod bigquery;
pub mod blocks;
pub mod build;
pub mod classic;
pub mod columns;
pub mod convert;
pub mod coverage;
pub mod dest;
pub mod discover;
pub mod distribute;
pub mod downsample;
pub mod dump;
pub mod error;
pub mod estimate;
pub mod finding;
pub mod head;
pub mod identities;
pub mod inspect;
pub mod merge;
pub mod metadata;
pub mod options;
pub mod order;
pub mod pipeline;
pub mod plan;
pub mod plot;
pub mod predecessors;
pub mod relabel;
pub mod report;
pub mod resolution;
pub mod rows;
pub mod schema;
pub mod series;
pub mod sink;
pub mod sort;
pub mod store;
pub mod tally;
pub mod text;
pub mod time;
pub mod tree;
pub mod unit;
pub mod verify;
