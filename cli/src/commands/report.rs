//! The report of a conversion, for people and as JSON.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use serde::Serialize;
use tsdb_converter::head::account::{Dropped, HeadAccount};
use tsdb_converter::report::Report;
use tsdb_converter::tally::{Loss, Tally};

use crate::messages::{store_sentence, unpacked_sentence};
use crate::table::{Align, Table, count, counted, size};

/// Prints anything as JSON.
pub fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    out.flush()
}

/// Prints the reconciliation, the tables, and what happened in one sentence.
pub fn print_report(report: &Report, took: Duration) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "samples")?;
    let mut lines = Table::new([("", Align::Left), ("", Align::Right)]);
    for (name, samples) in terms(&report.samples) {
        lines.push([name, count(samples)]);
    }
    let verdict = match (report.adds_up, report.samples.difference()) {
        (true, _) => "adds up".to_owned(),
        (false, difference) => {
            format!("does not add up: {difference} samples are unaccounted for; please report this")
        }
    };
    lines.write_rows(&mut out)?;
    writeln!(out, "  {verdict}")?;
    if report.samples.conflicts > 0 {
        writeln!(
            out,
            "  {} duplicates had another value than the sample written",
            count(report.samples.conflicts)
        )?;
    }
    let Tally { written_classic, duplicate_classic, .. } = report.samples;
    if written_classic > 0 {
        let rows = counted(written_classic, "row", "rows");
        writeln!(out, "  {rows} of classic series besides, derived from native histograms")?;
    }
    if report.samples.windows > 0 {
        let rows = counted(report.samples.windows, "row", "rows");
        writeln!(
            out,
            "  {} aggregated into {rows}",
            counted(report.samples.aggregated, "sample", "samples")
        )?;
    }
    if duplicate_classic > 0 {
        let samples = counted(duplicate_classic, "derived sample", "derived samples");
        writeln!(out, "  {samples} not written, for the same series and time is stored")?;
    }
    if report.samples.unreadable_chunks > 0 {
        let chunks = counted(report.samples.unreadable_chunks, "chunk", "chunks");
        writeln!(out, "  {chunks} could not be read; how many samples they held is not known")?;
    }
    if !report.samples.rules.is_empty() {
        writeln!(out, "\nrules")?;
        let mut rules = Table::new([
            ("rule", Align::Left),
            ("series", Align::Right),
            ("samples", Align::Right),
            ("rows", Align::Right),
        ]);
        for (selector, rule) in &report.samples.rules {
            rules.push([selector.clone(), count(rule.series), count(rule.samples), count(rule.rows)]);
        }
        rules.write(&mut out)?;
    }
    if !report.tables.is_empty() {
        writeln!(out, "\ntables")?;
        let mut tables = Table::new([
            ("table", Align::Left),
            ("files", Align::Right),
            ("rows", Align::Right),
            ("size", Align::Right),
        ]);
        for table in &report.tables {
            tables.push([table.table.clone(), count(table.files), count(table.rows), size(table.size_bytes)]);
        }
        tables.write(&mut out)?;
    }
    if !report.unpacked.is_empty() {
        writeln!(out, "\narchives")?;
        for archive in &report.unpacked {
            writeln!(out, "  {}", unpacked_sentence(archive))?;
        }
    }
    if !report.stores.is_empty() {
        writeln!(out, "\nstores")?;
        for store in &report.stores {
            writeln!(out, "  {}", store_sentence(store))?;
        }
    }
    for head in &report.heads {
        print_head(&mut out, head)?;
    }
    if !report.findings.is_empty() {
        writeln!(out, "\nfindings")?;
        for same in report.findings.list.chunk_by(|a, b| a == b) {
            let Some(finding) = same.first() else { continue };
            let times = if same.len() > 1 { format!(" ({} times)", same.len()) } else { String::new() };
            writeln!(out, "  {} {}: {}{times}", finding.name, finding.place, finding.message)?;
        }
        if report.findings.more > 0 {
            writeln!(out, "  and {} more", count(report.findings.more))?;
        }
    }
    writeln!(out, "\n{}", sentence(report, took))?;
    out.flush()
}

/// What became of the samples of a head on disk, so that for each place the lines make up the first.
fn print_head(out: &mut dyn Write, head: &HeadAccount) -> io::Result<()> {
    writeln!(out, "\nhead {}", head.location)?;
    let places = [
        ("write-ahead log", &head.log),
        ("head chunks", &head.chunks),
        ("log of late samples", &head.late_log),
    ];
    let mut lines = Table::new([("", Align::Left), ("", Align::Right)]);
    for (place, account) in places.into_iter().filter(|(_, account)| account.read > 0) {
        lines.push([place.to_owned(), count(account.read)]);
        lines.push(["= in the head".to_owned(), count(account.kept)]);
        for (&why, &samples) in &account.dropped {
            lines.push([format!("+ {}", dropped_name(why)), count(samples)]);
        }
    }
    lines.write_rows(out)?;
    if !head.adds_up() {
        writeln!(out, "  does not add up; please report this")?;
    }
    if head.unknown_records > 0 {
        let records = counted(head.unknown_records, "record", "records");
        writeln!(out, "  {records} of a type that this version does not know, passed over as a server does")?;
    }
    if head.exemplars > 0 {
        writeln!(out, "  {} not converted", counted(head.exemplars, "exemplar", "exemplars"))?;
    }
    Ok(())
}

/// Why a sample on disk is not in the head, in words.
fn dropped_name(why: Dropped) -> &'static str {
    match why {
        Dropped::InBlocks => "before the end of the newest block: it has them",
        Dropped::InHeadChunks => "also in head chunks",
        Dropped::NotInOrder => "refused by the server, or late and logged as such",
        Dropped::SeriesEnded => "of series that were logged anew or ended: in blocks",
        Dropped::Duplicate => "late twice at the same time",
        Dropped::SeriesGone => "of series that left the head: in blocks",
        Dropped::UnknownSeries => "lost: the log does not name their series",
        Dropped::Undecodable => "lost: not decodable",
    }
}

/// What became of the samples, so that the second line and those below it make up the first.
fn terms(samples: &Tally) -> Vec<(String, u64)> {
    let mut terms = vec![("read".to_owned(), samples.read)];
    // In a run of all units these two are equal, and say nothing.
    if samples.taken_over != samples.handed_over {
        terms.push(("+ of chunks that other units count".to_owned(), samples.taken_over));
        terms.push(("- written by other units".to_owned(), samples.handed_over));
    }
    if samples.written == 0 && samples.aggregated > 0 {
        terms.push(("= aggregated".to_owned(), samples.aggregated));
    } else if samples.written_histograms > 0 {
        terms.push(("= floats written".to_owned(), samples.written - samples.written_histograms));
        terms.push(("+ histograms written".to_owned(), samples.written_histograms));
    } else {
        terms.push(("= written".to_owned(), samples.written));
    }
    let mut add = |name: &str, samples: u64| {
        if samples > 0 {
            terms.push((format!("+ {name}"), samples));
        }
    };
    add("written as classic series", samples.unrolled);
    if samples.written > 0 {
        add("aggregated", samples.aggregated);
    }
    add("stale markers and NaN, which are in no window", samples.left_out);
    add("aggregates of times that finer samples cover", samples.superseded);
    add("dropped by a rule", samples.dropped_by_rule);
    add("deleted by tombstones", samples.tombstoned);
    add("outside the time range", samples.outside_time_range);
    add("duplicates", samples.duplicates);
    add("of replicas, where another one is followed", samples.replica_removed);
    add("stale markers dropped", samples.stale_dropped);
    for (&loss, &lost) in &samples.lost {
        add(&format!("lost: {}", loss_name(loss)), lost);
    }
    terms
}

/// A loss in words.
pub fn loss_name(loss: Loss) -> &'static str {
    match loss {
        Loss::UndecodableChunk => "behind an error in their chunk",
        Loss::TimestampOutOfRange => "time outside the years 1 to 9999",
        Loss::OutsideBlockRange => "time outside the range of their block",
        Loss::EncodingHistogram => "native histograms (encoding 2)",
        Loss::EncodingFloatHistogram => "native float histograms (encoding 3)",
        Loss::EncodingHistogramSt => "native histograms (encoding 5)",
        Loss::EncodingFloatHistogramSt => "native float histograms (encoding 6)",
        Loss::EncodingAggregate => "aggregates of a downsampled block",
        Loss::EncodingUnknown => "unknown encoding",
        Loss::NotAddable => "native histograms that do not add up with others of their window",
        Loss::MixedWindow => "aggregates of a window that finer samples cover in part",
        Loss::NamelessHistogram => "native histograms without a name, which have no classic form",
        Loss::NoOpenMetricsForm => "native histograms, which OpenMetrics text cannot say",
    }
}

fn sentence(report: &Report, took: Duration) -> String {
    let (samples, units) = (&report.samples, report.units);
    let rows = samples.written + samples.written_classic + samples.windows;
    let files: u64 = report.tables.iter().map(|table| table.files).sum();
    let bytes: u64 = report.tables.iter().map(|table| table.size_bytes).sum();
    let mut sentence = format!(
        "converted {}: {} read, {} written to {} ({})",
        counted(report.blocks.len() as u64, "block", "blocks"),
        counted(samples.read, "sample", "samples"),
        counted(rows, "row", "rows"),
        counted(files, "file", "files"),
        size(bytes),
    );
    if samples.lost_samples() > 0 {
        sentence.push_str(&format!(", {} lost", counted(samples.lost_samples(), "sample", "samples")));
    }
    if samples.unreadable_chunks > 0 {
        sentence.push_str(&format!(", {} unreadable", counted(samples.unreadable_chunks, "chunk", "chunks")));
    }
    sentence.push_str(&format!("; {} done", counted(units.done, "unit", "units")));
    if units.skipped > 0 {
        sentence.push_str(&format!(", {} done before", count(units.skipped)));
    }
    if units.frozen > 0 {
        sentence.push_str(&format!(", {} frozen", count(units.frozen)));
    }
    sentence.push_str(&format!(", in {}", duration(took)));
    sentence
}

fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..=59 => format!("{:.1} s", took.as_secs_f64()),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}
