//! The `promblock` command: arguments in, rows and reports on standard output, everything else on standard error.

mod args;
mod commands;
mod exit;
mod messages;
mod progress;
mod signals;
mod table;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crate::args::{Args, Command};
use crate::exit::Failure;
use crate::messages::Messages;
use crate::signals::Stop;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let messages = Messages::new(args.talk);
    let stop = match &args.command {
        // Only these have something to finish; a signal ends the others.
        Command::Convert(args) if !args.dry_run => Stop::listen(),
        Command::Commit(_) => Stop::listen(),
        _ => Ok(Stop::default()),
    };
    let stop = match stop {
        Ok(stop) => stop,
        Err(error) => {
            messages.error(&format!("cannot listen for signals: {error}"));
            return exit::FAILED.into();
        }
    };
    let ended = match args.command {
        Command::Convert(args) => commands::convert::run(&args, &messages, &stop),
        Command::Inspect(args) => commands::inspect::run(&args, &messages),
        Command::Verify(args) => commands::verify::run(&args, &messages),
        Command::Dump(args) => commands::dump::run(&args, &messages),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Plan(args) => commands::plan::run(&args, &messages),
        Command::Commit(args) => commands::commit::run(&args, &messages),
        Command::Completions { shell } => commands::completions::run(shell),
        Command::Man => commands::man::run(),
    };
    match ended {
        Ok(code) => code.into(),
        Err(Failure::NobodyReads) => exit::DONE.into(),
        Err(Failure::Stopped) => {
            messages.info("stopped; committed units stay, run the same command again to go on from there");
            stop.exit_code().into()
        }
        Err(Failure::Message(message)) => {
            messages.error(&message);
            exit::FAILED.into()
        }
    }
}
