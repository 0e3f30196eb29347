//! `promblock commit`: publishes what the units of a plan left in DEST.

use std::io;
use std::time::Instant;

use tsdb_converter::distribute::commit;

use super::convert::read_plan;
use super::report::{print_json, print_report};
use crate::args::CommitArgs;
use crate::exit::Failure;
use crate::messages::Messages;

/// Runs the command.
pub fn run(args: &CommitArgs, messages: &Messages) -> Result<u8, Failure> {
    let begun = Instant::now();
    let report = commit(super::destination(&args.dest)?, read_plan(&args.plan)?)?;
    if args.json {
        messages.findings(&report.findings);
    }
    match if args.json { print_json(&report) } else { print_report(&report, begun.elapsed()) } {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(report.exit_code()),
    }
}
