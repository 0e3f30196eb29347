//! `promblock verify`: one line per finding.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use tsdb_converter::discover::{Choice, every_block};
use tsdb_converter::finding::{Finding, Severity};
use tsdb_converter::verify::files::foreign_files;
use tsdb_converter::verify::{Verified, names, verify, verify_damaged};
use tsdb_reader::samples::HistogramRule;

use crate::args::VerifyArgs;
use crate::exit::{DONE, Failure, LOSSES};
use crate::messages::Messages;
use crate::table::counted;

/// Runs the command.
pub fn run(args: &VerifyArgs, messages: &Messages) -> Result<u8, Failure> {
    let read = args.resources.read(&args.source, Choice::default()).map_err(Failure::Message)?;
    let discovery = every_block(&args.source.sources(), &read).map_err(|error| Failure::of(&error))?;
    messages.unpacked(&discovery.unpacked);
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    let mut tell = |finding: Finding| {
        if written.is_ok() {
            written = print(&mut out, &finding, args.json);
        }
    };
    let mut total = Verified::default();
    for finding in discovery.findings {
        match finding.severity {
            // What is no block is not verified; that is said to those who want to know.
            Severity::Skipped => messages.finding(&finding),
            severity => {
                total.findings += 1;
                total.broken += u64::from(severity == Severity::Broken);
                tell(finding);
            }
        }
    }
    for damaged in &discovery.damaged {
        add(&mut total, verify_damaged(&damaged.source, &damaged.location, &mut tell));
    }
    let blocks = (discovery.blocks.len() + discovery.damaged.len()) as u64;
    for found in discovery.blocks {
        messages.detail(&format!("verifying {}", found.location));
        foreign_files(Path::new(&found.location), &mut |finding| {
            total.findings += 1;
            tell(finding);
        });
        add(&mut total, verify(&found.block, &found.location, &mut tell));
    }
    written?;
    messages.stores(&read.stores.report());
    let notes = total.findings - total.broken;
    messages.info(&format!(
        "verified {}: {}, {}, {}; {}{}",
        counted(blocks, "block", "blocks"),
        counted(total.series, "series", "series"),
        counted(total.chunks, "chunk", "chunks"),
        counted(total.samples, "sample", "samples"),
        if total.broken == 0 {
            "nothing broken".to_owned()
        } else {
            counted(total.broken, "finding", "findings")
        },
        if notes == 0 { String::new() } else { format!(", {}", counted(notes, "note", "notes")) },
    ));
    Ok(if total.broken > 0 { LOSSES } else { DONE })
}

fn add(total: &mut Verified, of_block: Verified) {
    total.series += of_block.series;
    total.chunks += of_block.chunks;
    total.samples += of_block.samples;
    total.findings += of_block.findings;
    total.broken += of_block.broken;
}

fn print(out: &mut dyn Write, finding: &Finding, json: bool) -> io::Result<()> {
    if json {
        let line = serde_json::to_string(finding)?;
        return writeln!(out, "{line}");
    }
    let note = if finding.severity == Severity::Note { "note: " } else { "" };
    writeln!(out, "{}: {note}{}: {}", finding.place, finding.name, finding.message)
}

/// The names of findings, for the help.
pub fn names() -> String {
    let mut text = String::from("Findings by name:\n");
    let list = |text: &mut String, names: &[(&str, &str)]| {
        for (name, meaning) in names {
            let _infallible = writeln!(text, "  {name:<31} {meaning}");
        }
    };
    list(&mut text, names::NAMES);
    for rule in HistogramRule::ALL {
        let _infallible = writeln!(text, "  {:<31} of a histogram, {rule}", rule.name());
    }
    text.push_str("PART-WAY, such as symbols-checksum, says that the reader refuses a part. Parts:\n");
    list(&mut text, names::PARTS);
    text.push_str("Ways:\n");
    list(&mut text, names::WAYS);
    text
}
