//! Errors of a conversion, and how they read.

use std::error::Error;

/// An error and its causes in one line: `cannot decode index: checksum of TOC is …`.
pub fn error_chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
