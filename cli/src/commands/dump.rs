//! `promblock dump`: samples as text.

use std::io;

use tsdb_converter::dump::{DumpError, DumpFormat, DumpOptions, dump};
use tsdb_converter::error::error_chain;

use super::report::loss_name;
use crate::args::{DumpArgs, DumpForm};
use crate::exit::{DONE, Failure, LOSSES};
use crate::messages::Messages;
use crate::table::counted;

/// Runs the command.
pub fn run(args: &DumpArgs, messages: &Messages) -> Result<u8, Failure> {
    let options = DumpOptions {
        sources: args.source.sources(),
        format: match args.format {
            DumpForm::Prom => DumpFormat::Prom,
            DumpForm::Openmetrics => DumpFormat::OpenMetrics,
            DumpForm::Ndjson => DumpFormat::Ndjson,
        },
        selectors: args.select.selectors.clone(),
        min_time_ms: args.select.min_time,
        max_time_ms: args.select.max_time,
        temp_dir: args.resources.temp_dir(),
        memory_limit: args.resources.memory_limit,
        include_head: args.source.include_head,
        stores: args.source.stores().map_err(Failure::Message)?,
        choice: args.choice.choice(),
    };
    let report = dump(&options, &mut io::stdout().lock()).map_err(|error| match error {
        DumpError::Convert(error) => Failure::from(error),
        DumpError::Write(error) => Failure::from(error),
        error => Failure::Message(error_chain(&error)),
    })?;
    messages.unpacked(&report.unpacked);
    messages.stores(&options.stores.report());
    messages.findings(&report.findings);
    let tally = &report.tally;
    for (&loss, &lost) in &tally.lost {
        messages.warning(&format!("{} left out: {}", counted(lost, "sample", "samples"), loss_name(loss)));
    }
    if tally.stale_dropped > 0 {
        messages.info(&format!("{} left out", counted(tally.stale_dropped, "stale marker", "stale markers")));
    }
    if tally.replaced_utf8 > 0 {
        let strings = counted(tally.replaced_utf8, "label name or value was", "label names and values were");
        messages.warning(&format!("{strings} not UTF-8, written with U+FFFD"));
    }
    let histograms = match tally.written_histograms {
        0 => String::new(),
        histograms => format!(" ({})", counted(histograms, "histogram", "histograms")),
    };
    messages.info(&format!(
        "dumped {}{histograms} of {} from {}",
        counted(tally.written, "sample", "samples"),
        counted(tally.series, "series", "series"),
        counted(report.blocks as u64, "block", "blocks"),
    ));
    Ok(if report.has_losses() { LOSSES } else { DONE })
}
