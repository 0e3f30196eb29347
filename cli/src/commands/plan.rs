//! `promblock plan`: the units of a conversion, one JSON line each.

use std::io::{self, BufWriter, Write};

use tsdb_converter::distribute::plan;

use crate::args::{PlanArgs, READ_TWICE};
use crate::exit::{DONE, Failure};
use crate::messages::Messages;
use crate::table::counted;

/// Runs the command.
pub fn run(args: &PlanArgs, messages: &Messages) -> Result<u8, Failure> {
    if args.source.reads_standard_input() {
        return Err(Failure::Message(format!("plan {READ_TWICE}")));
    }
    let options = args.shaping.options().map_err(Failure::Message)?;
    let read = args.resources.read(&args.source, args.choice.choice()).map_err(Failure::Message)?;
    let (header, planned) = plan(&args.source.sources(), &read, super::destination(&args.to)?, &options)?;
    messages.unpacked(&planned.unpacked);
    messages.stores(&read.stores.report());
    messages.findings(&planned.findings);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut line = |value: serde_json::Result<String>| match value {
        Ok(line) => writeln!(out, "{line}"),
        Err(error) => Err(error.into()),
    };
    line(serde_json::to_string(&header))?;
    for unit in &planned.units {
        line(serde_json::to_string(unit))?;
    }
    out.flush()?;
    let units = counted(planned.units.len() as u64, "unit", "units");
    messages
        .info(&format!("planned {units} over {}", counted(planned.blocks.len() as u64, "block", "blocks")));
    Ok(DONE)
}
