//! Text: numbers, times, JSON strings and histograms, written into a reused buffer.
//!
//! What is checked: nothing; every function takes any value. The forms are those of JSON, or ISO 8601 for times.

pub mod histogram;
pub mod json;
pub mod number;
pub mod time;
