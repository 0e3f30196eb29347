//! `promblock man`: the manual page, all commands in one.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::Args;
use crate::exit::{DONE, Failure};

/// Runs the command.
pub fn run() -> Result<u8, Failure> {
    let mut page = Vec::new();
    let mut command = Args::command();
    command.build();
    let subcommands: Vec<_> =
        command.get_subcommands().filter(|command| command.get_name() != "help").cloned().collect();
    Man::new(command).render(&mut page)?;
    for command in subcommands {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).replace('-', " ");
        write!(
            page,
            ".SH {}\n{}\n.PP\n",
            name.to_uppercase(),
            command.get_about().cloned().unwrap_or_default()
        )?;
        let man = Man::new(command);
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    io::stdout().write_all(&page)?;
    Ok(DONE)
}
