//! `promblock inspect`: what blocks hold, as tables or JSON; the bytes of one structure; one series as a picture.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tsdb_converter::anatomy::{Part, Row, show, single_block};
use tsdb_converter::discover::ReadOptions;
use tsdb_converter::finding::{Findings, Severity};
use tsdb_converter::inspect::{InspectOptions, Inspection, MetricInfo, inspect};
use tsdb_converter::plot::{Plot, PlotOptions, plot};
use tsdb_converter::resolution::Resolution;
use tsdb_converter::time::display_time;

use super::report::print_json;
use crate::args::InspectArgs;
use crate::exit::{DONE, Failure, LOSSES};
use crate::messages::Messages;
use crate::table::{Align, Table, count, counted, size};

/// Runs the command.
pub fn run(args: &InspectArgs, messages: &Messages) -> Result<u8, Failure> {
    if let Some(part) = &args.bytes {
        return bytes(args, part, messages);
    }
    if let Some(file) = &args.plot {
        return picture(args, file, messages);
    }
    let options = InspectOptions {
        sources: args.source.sources(),
        read: read(args)?,
        selectors: args.selectors.clone(),
        top: args.top,
    };
    let inspection = inspect(&options)?;
    messages.unpacked(&inspection.unpacked);
    messages.stores(&options.read.stores.report());
    messages.findings(&inspection.findings);
    if args.json {
        print_json(&inspection)?
    } else {
        print(&inspection)?
    }
    Ok(exit_code(&inspection.findings))
}

fn read(args: &InspectArgs) -> Result<ReadOptions, Failure> {
    args.resources.read(&args.source, args.choice.choice()).map_err(Failure::Message)
}

fn exit_code(findings: &Findings) -> u8 {
    let broken = findings.list.iter().any(|finding| finding.severity == Severity::Broken);
    if broken { LOSSES } else { DONE }
}

/// Draws a series.
fn picture(args: &InspectArgs, file: &Path, messages: &Messages) -> Result<u8, Failure> {
    const FIVE_MINUTES_MS: i64 = 300_000;
    let resolution = args.resolution.or(Resolution::windows(FIVE_MINUTES_MS)).unwrap_or_default();
    let options = PlotOptions {
        sources: args.source.sources(),
        read: read(args)?,
        selectors: args.selectors.clone(),
        resolution,
        memory_limit: args.resources.memory_limit,
    };
    let mut findings = Findings::default();
    let drawn = plot(&options, &mut findings);
    messages.findings(&findings);
    let Plot { svg, labels, samples, windows, unpacked } = drawn.map_err(|error| Failure::of(&error))?;
    messages.unpacked(&unpacked);
    messages.stores(&options.read.stores.report());
    fs::write(file, svg)
        .map_err(|error| Failure::Message(format!("cannot write {}: {error}", file.display())))?;
    messages.info(&format!(
        "drew {labels}: {}, {} of {resolution}",
        counted(samples as u64, "sample", "samples"),
        counted(windows as u64, "window", "windows"),
    ));
    Ok(exit_code(&findings))
}

/// Shows the bytes of a structure.
fn bytes(args: &InspectArgs, part: &Part, messages: &Messages) -> Result<u8, Failure> {
    let sources = args.source.sources();
    let [source] = sources.as_slice() else {
        return Err(Failure::Message("--bytes takes one SOURCE".to_owned()));
    };
    let mut findings = Vec::new();
    let source = single_block(source, &read(args)?, &mut findings);
    findings.iter().for_each(|finding| messages.finding(finding));
    let source = source.map_err(|error| Failure::of(&error))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let is_sound = show(&source, part, &mut |row| {
        if written.is_ok() {
            written = print_row(&mut out, &row, args.json);
        }
    });
    written?;
    out.flush()?;
    Ok(if is_sound { DONE } else { LOSSES })
}

fn print_row(out: &mut dyn Write, row: &Row, json: bool) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", serde_json::to_string(row)?);
    }
    let Row { offset, at, bits, field, value } = row;
    let offset = offset.map_or_else(String::new, |offset| format!("{offset:#x}"));
    writeln!(out, "{offset:>10}  {at:<8}  {bits:<24}  {field:<28}  {value}")
}

fn print(inspection: &Inspection) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    print_blocks(&mut out, inspection)?;
    writeln!(out, "\nencodings")?;
    let mut encodings = Table::new([
        ("encoding", Align::Left),
        ("chunks", Align::Right),
        ("samples", Align::Right),
        ("bytes", Align::Right),
        ("per sample", Align::Right),
    ]);
    for info in &inspection.encodings {
        let volume = info.volume;
        encodings.push([
            format!("{} ({})", info.name, info.encoding),
            count(volume.chunks),
            count(volume.samples),
            size(volume.chunk_bytes),
            per_sample(volume.chunk_bytes, volume.samples),
        ]);
    }
    encodings.write(&mut out)?;
    let of = |shown: usize, all: u64| format!("{shown} of {}", count(all));
    let (shown, all) = (inspection.top_by_samples.len(), inspection.metrics);
    writeln!(out, "\nmetrics with the most samples ({})", of(shown, all))?;
    print_metrics(&mut out, &inspection.top_by_samples)?;
    writeln!(out, "\nmetrics with the most bytes ({})", of(shown, all))?;
    print_metrics(&mut out, &inspection.top_by_bytes)?;
    writeln!(out, "\nlabels with the most values ({})", of(inspection.top_labels.len(), inspection.labels))?;
    let mut labels = Table::new([("label", Align::Left), ("values", Align::Right), ("series", Align::Right)]);
    for label in &inspection.top_labels {
        labels.push([label.name.clone(), count(label.values), count(label.series)]);
    }
    labels.write(&mut out)?;
    let total = inspection.total;
    writeln!(
        out,
        "\n{}: {}, {} in {}, {} of samples",
        counted(inspection.blocks.len() as u64, "block", "blocks"),
        counted(inspection.series, "series", "series"),
        counted(total.samples, "sample", "samples"),
        counted(total.chunks, "chunk", "chunks"),
        size(total.chunk_bytes),
    )?;
    out.flush()
}

fn print_blocks(out: &mut dyn Write, inspection: &Inspection) -> io::Result<()> {
    writeln!(out, "blocks")?;
    let mut blocks = Table::new([
        ("ulid", Align::Left),
        ("from", Align::Left),
        ("before", Align::Left),
        ("level", Align::Right),
        ("series", Align::Right),
        ("samples", Align::Right),
        ("size", Align::Right),
        ("", Align::Left),
    ]);
    for block in &inspection.blocks {
        let mut remarks = Vec::new();
        if block.resolution_ms > 0 {
            remarks.push(format!("resolution {} s", block.resolution_ms / 1000));
        }
        if block.series_with_tombstones > 0 {
            remarks
                .push(format!("deletions in {}", counted(block.series_with_tombstones, "series", "series")));
        }
        remarks.extend(block.external_labels.iter().map(|(name, value)| format!("{name}={value:?}")));
        blocks.push([
            block.ulid.clone(),
            display_time(block.min_time_ms),
            display_time(block.max_time_ms),
            block.level.to_string(),
            count(block.series),
            count(block.samples),
            size(block.size_bytes),
            remarks.join(" "),
        ]);
    }
    blocks.write(out)
}

fn print_metrics(out: &mut dyn Write, metrics: &[MetricInfo]) -> io::Result<()> {
    let mut table = Table::new([
        ("metric", Align::Left),
        ("series", Align::Right),
        ("samples", Align::Right),
        ("bytes", Align::Right),
        ("per sample", Align::Right),
    ]);
    for metric in metrics {
        let volume = metric.volume;
        table.push([
            metric.metric.clone().unwrap_or_else(|| "(none)".to_owned()),
            count(metric.series),
            count(volume.samples),
            size(volume.chunk_bytes),
            per_sample(volume.chunk_bytes, volume.samples),
        ]);
    }
    table.write(out)
}

fn per_sample(bytes: u64, samples: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits behind the point")]
    let per_sample = bytes as f64 / samples.max(1) as f64;
    format!("{per_sample:.2} B")
}
