//! Dump: samples as lines of text, series by series, merged over all blocks.
//!
//! ```text
//! prom         {__name__="up", job="a"} 1 1795132800000      as `promtool tsdb dump` of Prometheus 3.15, byte for byte
//! openmetrics  up{job="a"} 1 1795132800.000                  parses back; ends with `# EOF`
//! ndjson       {"labels":{"__name__":"up","job":"a"},"timestamp":"2026-11-20T00:00:00.000Z","value":1}
//! ```
//! Native histograms stand among the values, in NDJSON with the fields of table `histograms`.
//! Series come in label order, in OpenMetrics by metric, since a family must not be interrupted there. One series
//! is in memory at a time. What text cannot say is left out and counted: in OpenMetrics stale markers and native
//! histograms, in NDJSON times outside the years 1 to 9999.

pub mod go_float;
pub mod go_quote;
mod lines;
mod printable;

use std::io::{self, Write};
use std::path::PathBuf;

use tsdb_reader::index::{ChunkMeta, Series};
use tsdb_reader::samples::{FloatColumns, HistogramColumns};

use crate::archive::Unpacked;
use crate::blocks::OpenBlock;
use crate::convert::{ConvertError, open_blocks, parse_selectors};
use crate::discover::{Choice, ReadOptions, discover};
use crate::finding::{Findings, Severity};
use crate::merge::{Appended, Became, Consumer, Merger, Take, Wanted};
use crate::options::ConvertOptions;
use crate::order::Order;
use crate::series::{MergedSeries, Reach, SeriesMerge, Walk};
use crate::store::Stores;
use crate::tally::{Loss, Tally};
use crate::time::TimeBounds;
use lines::Lines;

/// Text that is written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Buckets of histograms that are held at once, about.
const BUCKETS: usize = 1 << 17;

/// Form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpFormat {
    /// As promtool prints it.
    Prom,
    /// OpenMetrics text.
    OpenMetrics,
    /// One JSON object per sample.
    Ndjson,
}

/// What to dump.
#[derive(Debug, Clone)]
pub struct DumpOptions {
    /// Blocks, or folders of blocks.
    pub sources: Vec<PathBuf>,
    /// Form of the lines.
    pub format: DumpFormat,
    /// Series selectors, ORed; all series without any.
    pub selectors: Vec<String>,
    /// First millisecond wanted.
    pub min_time_ms: Option<i64>,
    /// First millisecond no longer wanted.
    pub max_time_ms: Option<i64>,
    /// Where sorting spills to.
    pub temp_dir: PathBuf,
    /// Bytes of anonymous memory that may be held.
    pub memory_limit: u64,
    /// Read the heads of data directories too.
    pub include_head: bool,
    /// The stores that SOURCE may lie in.
    pub stores: Stores,
    /// Which blocks are read.
    pub choice: Choice,
}

/// What was dumped.
#[derive(Debug)]
pub struct DumpReport {
    /// What became of every sample read.
    pub tally: Tally,
    /// What could not be read.
    pub findings: Findings,
    /// Blocks read.
    pub blocks: usize,
    /// What was unpacked of archives.
    pub unpacked: Vec<Unpacked>,
}

/// Why a dump ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The input cannot be used.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The lines cannot be written.
    #[error("cannot write samples")]
    Write(#[from] io::Error),
}

/// Writes the samples that `options` ask for to `out`.
pub fn dump(options: &DumpOptions, out: &mut dyn Write) -> Result<DumpReport, DumpError> {
    let convert = ConvertOptions {
        selectors: options.selectors.clone(),
        min_time_ms: options.min_time_ms,
        max_time_ms: options.max_time_ms,
        ..ConvertOptions::default()
    };
    let asked = convert.asked().ok_or(ConvertError::EmptyTimeRange {
        min_time_ms: options.min_time_ms.unwrap_or(i64::MIN),
        max_time_ms: options.max_time_ms.unwrap_or(i64::MAX),
    })?;
    let selectors = parse_selectors(&options.selectors)?;
    let read = ReadOptions::new(options.memory_limit, options.temp_dir.clone());
    let choice = Choice { asked, ..options.choice.clone() };
    let read =
        ReadOptions { include_head: options.include_head, stores: options.stores.clone(), choice, ..read };
    let discovery = discover(&options.sources, &read).map_err(ConvertError::from)?;
    let mut findings = Findings::default();
    for finding in discovery.findings {
        findings.push(finding);
    }
    let mut blocks = open_blocks(discovery.blocks, &convert, &selectors, &mut findings);
    blocks.retain(|block| {
        let meta = block.block.meta();
        asked.overlaps(meta.min_time_ms, meta.max_time_ms.saturating_sub(1).max(meta.min_time_ms))
    });
    let (tally, of_series) = dump_blocks(&blocks, options, asked, out)?;
    findings.append(of_series);
    Ok(DumpReport { tally, findings, blocks: blocks.len(), unpacked: discovery.unpacked })
}

fn dump_blocks(
    blocks: &[OpenBlock],
    options: &DumpOptions,
    asked: TimeBounds,
    out: &mut dyn Write,
) -> Result<(Tally, Findings), DumpError> {
    let writable = match options.format {
        DumpFormat::Prom | DumpFormat::OpenMetrics => TimeBounds::ALL,
        DumpFormat::Ndjson => TimeBounds::ROWS,
    };
    let order = match options.format {
        DumpFormat::Prom | DumpFormat::Ndjson => Order::Labels,
        DumpFormat::OpenMetrics => Order::Metric,
    };
    // Without a common millisecond nothing is written, but everything is read and counted.
    let nothing = TimeBounds { min_ms: i64::MAX, max_ms: i64::MIN };
    let wanted = Wanted {
        bounds: asked.intersection(writable).unwrap_or(nothing),
        asked,
        writable,
        drop_stale: options.format == DumpFormat::OpenMetrics,
        nested: true,
        lookback_ms: 0,
    };
    let sort_budget_bytes = usize::try_from(options.memory_limit / 4).unwrap_or(usize::MAX);
    let walk = Walk { order, temp_dir: &options.temp_dir, sort_budget_bytes };
    let unsorted: Vec<bool> = blocks.iter().map(|block| !is_in_label_order(block)).collect();
    let must_sort = |at: usize| unsorted.get(at).copied().unwrap_or(true);
    let keep = |_: &OpenBlock, chunk: &ChunkMeta| asked.overlaps(chunk.min_time_ms, chunk.max_time_ms);
    let mut merge =
        SeriesMerge::new(&Reach::all(blocks), walk, &must_sort, false, keep).map_err(ConvertError::from)?;

    let mut findings = Findings::default();
    let mut merger = Merger::new(blocks, wanted);
    let mut text = Text {
        format: options.format,
        lines: Lines::new(options.format),
        bytes: Vec::with_capacity(BUFFER_BYTES * 2),
        out,
        floats: FloatColumns::default(),
        floats_done: 0,
        histograms: HistogramColumns::default(),
        left_out: 0,
        left_out_series: 0,
    };
    while let Some(series) = merge.next().map_err(ConvertError::from)? {
        merger.feed(&series, Take::Samples, BUCKETS, &mut text)?;
    }
    text.lines.end(&mut text.bytes);
    text.out.write_all(&text.bytes)?;
    text.out.flush()?;
    findings.append(merge.take_findings());
    let (mut tally, of_chunks) = merger.finish();
    findings.append(of_chunks);
    tally.replaced_utf8 = text.lines.replaced_utf8();
    tally.written -= text.left_out;
    tally.written_histograms -= text.left_out;
    tally.series -= text.left_out_series;
    tally.lose(Loss::NoOpenMetricsForm, text.left_out);
    Ok((tally, findings))
}

/// Lines on their way out.
struct Text<'a> {
    format: DumpFormat,
    lines: Lines,
    bytes: Vec<u8>,
    out: &'a mut dyn Write,
    /// Of the series begun.
    floats: FloatColumns,
    /// How many of them are written.
    floats_done: usize,
    histograms: HistogramColumns,
    /// Histograms that the format has no form for, and series of these alone.
    left_out: u64,
    left_out_series: u64,
}

impl Consumer for Text<'_> {
    type Error = io::Error;

    fn floats(&mut self) -> &mut FloatColumns {
        &mut self.floats
    }

    fn histograms(&mut self) -> &mut HistogramColumns {
        &mut self.histograms
    }

    fn begin(&mut self, series: &MergedSeries, appended: Appended) -> io::Result<()> {
        if self.format == DumpFormat::OpenMetrics {
            self.left_out += appended.histograms.samples;
            self.left_out_series += u64::from(appended.samples == 0);
        }
        self.lines.begin(&series.labels);
        Ok(())
    }

    fn portion(&mut self, _more: bool) -> io::Result<()> {
        for row in 0..self.histograms.len() {
            let Some(time_ms) = self.histograms.times_ms.get(row).copied() else { break };
            self.write_floats(self.floats.times_ms.partition_point(|&float_ms| float_ms < time_ms))?;
            if let Some(row) = self.histograms.row(row) {
                self.lines.push_histogram(&mut self.bytes, &row);
            }
            self.write_if_full()?;
        }
        self.histograms.clear();
        Ok(())
    }

    fn end(&mut self) -> io::Result<Became> {
        self.write_floats(self.floats.len())?;
        self.floats.clear();
        self.floats_done = 0;
        Ok(Became::Rows)
    }
}

impl Text<'_> {
    /// Writes the floats of the series begun up to row `end`.
    fn write_floats(&mut self, end: usize) -> io::Result<()> {
        while self.floats_done < end {
            let rows = self.floats_done..end.min(self.floats_done + 1024);
            self.floats_done = rows.end;
            let times_ms = self.floats.times_ms.get(rows.clone()).unwrap_or_default();
            let values = self.floats.values.get(rows).unwrap_or_default();
            self.lines.push(&mut self.bytes, times_ms, values);
            self.write_if_full()?;
        }
        Ok(())
    }

    fn write_if_full(&mut self) -> io::Result<()> {
        if self.bytes.len() >= BUFFER_BYTES {
            self.out.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

/// What was written cannot be taken back, so that the order of a block's series is looked at first.
fn is_in_label_order(block: &OpenBlock) -> bool {
    if !block.relabel.is_identity() {
        return false;
    }
    let (mut series, mut last) = (Series::default(), Series::default());
    let refs = block.all_refs().unwrap_or_default();
    for series_ref in refs {
        if block.block.index().series(series_ref, &mut series).is_err() {
            continue; // It is named when it is read.
        }
        if series.labels < last.labels {
            return false;
        }
        std::mem::swap(&mut series, &mut last);
    }
    true
}

impl DumpReport {
    /// True when something is missing from the lines.
    pub fn has_losses(&self) -> bool {
        let broken = self.findings.list.iter().any(|finding| finding.severity == Severity::Broken);
        broken
            || self.tally.lost_samples() > 0
            || self.tally.unreadable_chunks > 0
            || self.tally.difference() != 0
    }
}
