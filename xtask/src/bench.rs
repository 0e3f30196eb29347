//! `bench`: the table of ratios.

use crate::run::Done;

/// Prints the table.
pub fn bench(_args: &[&str]) -> Done {
    Err("not yet".into())
}
