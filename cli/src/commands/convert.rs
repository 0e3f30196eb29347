//! `promblock convert`: blocks to files, with a report at the end.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tsdb_converter::convert::convert;
use tsdb_converter::distribute::{DryRun, PlanFile, convert_units, dry_run};
use tsdb_converter::error::error_chain;
use tsdb_converter::estimate::estimate;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::pipeline::Progress;
use tsdb_converter::report::Report;

use super::destination;
use super::report::{print_json, print_report};
use crate::args::{ConvertArgs, READ_TWICE};
use crate::exit::{DONE, Failure};
use crate::messages::Messages;
use crate::progress::Bar;
use crate::signals::Stop;
use crate::table::{count, counted, size};

/// Runs the command.
pub fn run(args: &ConvertArgs, messages: &Messages, stop: &Stop) -> Result<u8, Failure> {
    let options = args.shaping.options().map_err(Failure::Message)?;
    if args.dry_run {
        return print_dry_run(args, &options, messages);
    }
    let (sources, run) = (args.source.sources(), args.run_options().map_err(Failure::Message)?);
    let begun = Instant::now();
    let progress = Arc::new(Progress::default());
    let bar = Bar::show(&progress, messages.wants_progress());
    let converted = match &args.unit {
        None => convert(&sources, destination(&args.to)?, &options, &run, &progress, stop.flag()),
        Some(_) if args.shaping.is_given() => {
            let message = "--unit takes the options from DEST; leave out the others that shape the output";
            return Err(Failure::Message(message.to_owned()));
        }
        Some(_) if args.source.reads_standard_input() => {
            return Err(Failure::Message(format!("convert --unit {READ_TWICE}")));
        }
        Some(file) => {
            let units = read_plan(file)?.units;
            convert_units(&sources, destination(&args.to)?, &units, &run, &progress, stop.flag())
        }
    };
    drop(bar);
    let report = Report { stores: run.stores.report(), ..converted? };
    if args.json {
        messages.findings(&report.findings); // The report in words lists them.
    }
    messages.unpacked(&report.unpacked);
    messages.stores(&report.stores);
    for block in &report.blocks {
        messages.detail(&format!("{}: {} read", block.location, counted(block.read, "sample", "samples")));
    }
    let code = report.exit_code();
    // The conversion is done, whoever listens to the report.
    match if args.json { print_json(&report) } else { print_report(&report, begun.elapsed()) } {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(code),
    }
}

/// Reads a plan, or some lines of one.
pub fn read_plan(file: &Path) -> Result<PlanFile, Failure> {
    let name = file.display();
    let text =
        fs::read_to_string(file).map_err(|error| Failure::Message(format!("cannot read {name}: {error}")))?;
    PlanFile::parse(&text)
        .map_err(|error| Failure::Message(format!("cannot use {name}: {}", error_chain(&error))))
}

fn print_dry_run(args: &ConvertArgs, options: &ConvertOptions, messages: &Messages) -> Result<u8, Failure> {
    let read = args.resources.read(&args.source, args.choice.choice()).map_err(Failure::Message)?;
    let dry_run = dry_run(&args.source.sources(), &read, destination(&args.to)?, options)?;
    let estimate = estimate(&dry_run, options);
    let DryRun { dest, planned, done } = dry_run;
    messages.unpacked(&planned.unpacked);
    messages.stores(&read.stores.report());
    messages.findings(&planned.findings);
    let mut out = io::stdout().lock();
    if args.json {
        let json = serde_json::json!({
            "units": planned.units,
            "units_done": done.len(),
            "shard_bounds": dest.shard_bounds,
            "estimate": estimate,
            "findings": planned.findings,
        });
        writeln!(out, "{json:#}")?;
        return Ok(DONE);
    }
    for unit in &planned.units {
        let samples = count(unit.weight);
        writeln!(
            out,
            "{}  about {samples} samples from {}",
            unit.unit,
            counted(unit.blocks.len() as u64, "block", "blocks")
        )?;
    }
    let units = counted(planned.units.len() as u64, "unit", "units");
    let part_of_rows = |rows: u64, what: &str| match rows {
        0 => String::new(),
        rows => format!(", {} of them {what}", count(rows)),
    };
    let rules = if options.downsampling.rules.is_empty() { "" } else { ", rules aside" };
    let windows = part_of_rows(estimate.window_rows, "windows");
    let histograms = part_of_rows(estimate.histogram_rows, "histograms");
    let classic = part_of_rows(estimate.classic_rows, "classic series of histograms");
    writeln!(
        out,
        "would convert {} in {units} ({} done before): about {} rows{windows}{histograms}{classic}{rules}, {} as stored, {} logical in BigQuery",
        counted(planned.blocks.len() as u64, "block", "blocks"),
        count(done.len() as u64),
        count(estimate.rows),
        size(estimate.size_bytes),
        size(estimate.bigquery_logical_bytes),
    )?;
    Ok(DONE)
}
