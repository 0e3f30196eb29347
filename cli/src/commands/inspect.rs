//! `promblock inspect`: what blocks hold, as tables or JSON.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use tsdb_converter::anatomy::{Part, Row, block_folder, show};
use tsdb_converter::finding::Severity;
use tsdb_converter::inspect::{InspectOptions, Inspection, MetricInfo, inspect};
use tsdb_converter::time::display_time;
use tsdb_reader::source::{LocalSource, Source};

use super::report::print_json;
use crate::args::InspectArgs;
use crate::exit::{DONE, Failure, LOSSES};
use crate::messages::Messages;
use crate::table::{Align, Table, count, counted, size};

/// Runs the command.
pub fn run(args: &InspectArgs, messages: &Messages) -> Result<u8, Failure> {
    if let Some(part) = &args.bytes {
        return bytes(args, part);
    }
    let options = InspectOptions {
        sources: args.source.sources.clone(),
        read: args.resources.read(&args.source),
        selectors: args.selectors.clone(),
        top: args.top,
    };
    let inspection = inspect(&options)?;
    messages.unpacked(&inspection.unpacked);
    messages.findings(&inspection.findings);
    if args.json {
        print_json(&inspection)?
    } else {
        print(&inspection)?
    }
    let broken = inspection.findings.list.iter().any(|finding| finding.severity == Severity::Broken);
    Ok(if broken { LOSSES } else { DONE })
}

/// Shows the bytes of a structure.
fn bytes(args: &InspectArgs, part: &Part) -> Result<u8, Failure> {
    let [source] = args.source.sources.as_slice() else {
        return Err(Failure::Message("--bytes takes one SOURCE".to_owned()));
    };
    let unreadable =
        |error: io::Error| Failure::Message(format!("cannot read {}: {error}", source.display()));
    let folder = block_folder(source).map_err(unreadable)?;
    let source: Arc<dyn Source> = Arc::new(LocalSource::open(&folder).map_err(unreadable)?);
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
