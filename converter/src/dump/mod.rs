//! Dump: samples as lines of text.
pub mod go_float;
pub mod go_quote;
mod printable;
