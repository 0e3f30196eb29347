//! The commands, one file each. They read their arguments, call the library, print, and choose the exit code.

pub mod commit;
pub mod completions;
pub mod convert;
pub mod dump;
pub mod inspect;
pub mod man;
pub mod plan;
mod report;
pub mod schema;
pub mod verify;

use std::path::Path;

use tsdb_converter::dest::Destination;

use crate::exit::Failure;

/// The DEST that a command was given.
fn destination(to: &Path) -> Result<Destination, Failure> {
    Destination::parse(to).map_err(|error| Failure::of(&error))
}
