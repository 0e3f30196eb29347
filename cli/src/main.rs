//! The `promblock` command.
fn main() {}
