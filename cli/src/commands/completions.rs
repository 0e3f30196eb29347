//! `promblock completions`: a script for the shell.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Args;
use crate::exit::{DONE, Failure};

/// Runs the command.
pub fn run(shell: Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "promblock", &mut script);
    io::stdout().write_all(&script)?;
    Ok(DONE)
}
