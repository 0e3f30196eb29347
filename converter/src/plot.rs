//! Plot: one series as a picture, its samples behind the windows that a resolution makes of them.
//!
//! ```text
//! blocks ─► the one series selected ─► samples ──────────► thin line: values, of a counter its rate
//!                                         └─► fold ─► windows ─► band from min to max, avg, last; the rate
//! ```
//! Drawn to be looked at before a resolution is paid for. The series is in memory while it is drawn.

mod axis;
mod lines;
mod picture;

use std::path::PathBuf;

use tsdb_reader::Labels;
use tsdb_reader::samples::{FloatColumns, HistogramColumns};

use crate::archive::Unpacked;
use crate::convert::{ConvertError, open_blocks, parse_selectors};
use crate::discover::{ReadOptions, discover};
use crate::downsample::{AggregateColumns, DownsampleOptions, Policy, fold};
use crate::finding::{Finding, Findings, Severity};
use crate::merge::{Appended, Became, Consumer, Merger, Take, Wanted};
use crate::metadata::Metadata;
use crate::options::ConvertOptions;
use crate::order::Order;
use crate::resolution::Resolution;
use crate::series::{MergedSeries, Reach, SeriesError, SeriesMerge, Walk};
use crate::time::TimeBounds;

pub use picture::{Picture, draw};

/// Series that are named when there is more than one.
const NAMED: usize = 4;

/// What to draw.
#[derive(Debug, Clone)]
pub struct PlotOptions {
    /// Blocks, or folders of blocks.
    pub sources: Vec<PathBuf>,
    /// How they are read.
    pub read: ReadOptions,
    /// Series selectors, ORed; they must leave one series.
    pub selectors: Vec<String>,
    /// Width of the windows.
    pub resolution: Resolution,
    /// Bytes of anonymous memory that sorting may hold.
    pub memory_limit: u64,
}

/// A series as a picture.
#[derive(Debug)]
pub struct Plot {
    /// The picture, as SVG.
    pub svg: String,
    /// Labels of the series.
    pub labels: Labels,
    /// Its samples, those that are in no window included.
    pub samples: usize,
    /// Windows drawn.
    pub windows: usize,
    /// What was unpacked of archives.
    pub unpacked: Vec<Unpacked>,
}

/// Why nothing is drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// The input cannot be used.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// Nothing is selected.
    #[error(
        "no series with samples is selected; see `promblock inspect` for what there is, and choose one with --match"
    )]
    NoSeries,
    /// More than one series is selected.
    #[error("more than one series is selected, among them {first}; choose one with --match")]
    ManySeries {
        /// Some of them.
        first: String,
    },
    /// The series has nothing that can be drawn.
    #[error(
        "{series} has native histograms alone, which --plot cannot draw; choose another series with --match"
    )]
    Histograms {
        /// The series.
        series: Labels,
    },
    /// The picture cannot be drawn.
    #[error("cannot draw {series}: {message}")]
    Draw {
        /// The series.
        series: Labels,
        /// What the drawing library said.
        message: String,
    },
}

/// Draws the series that `options` select. What could not be read goes to `findings`, be there a picture or not.
pub fn plot(options: &PlotOptions, findings: &mut Findings) -> Result<Plot, PlotError> {
    let selectors = parse_selectors(&options.selectors)?;
    let discovery = discover(&options.sources, &options.read).map_err(ConvertError::from)?;
    for finding in discovery.findings {
        findings.push(finding);
    }
    let blocks = open_blocks(discovery.blocks, &ConvertOptions::default(), &selectors, findings);
    let of_series = |error: SeriesError| PlotError::Convert(error.into());
    let walk = Walk {
        order: Order::Labels,
        temp_dir: &options.read.temp_dir,
        sort_budget_bytes: usize::try_from(options.memory_limit / 4).unwrap_or(usize::MAX),
    };
    let mut merge =
        SeriesMerge::new(&Reach::all(&blocks), walk, &|_| true, false, |_, _| true).map_err(of_series)?;
    let wanted = Wanted {
        bounds: TimeBounds::ALL,
        asked: TimeBounds::ALL,
        writable: TimeBounds::ALL,
        drop_stale: false,
        nested: true,
        lookback_ms: 0,
    };
    let mut merger = Merger::new(blocks.as_slice(), wanted);
    let mut held = Held::default();
    while held.found.len() < NAMED
        && let Some(series) = merge.next().map_err(of_series)?
    {
        // The samples of the first alone are drawn, and of the others none are needed.
        if held.found.is_empty() {
            merger.feed(&series, Take::Samples, BUCKETS, &mut held).unwrap_or_else(|never| match never {});
        } else {
            held.found.push(series.labels);
        }
    }
    findings.append(merge.take_findings());
    let (_, of_chunks) = merger.finish();
    findings.append(of_chunks);
    let Held { found, floats, histogram_samples, .. } = held;
    let labels = match <[Labels; 1]>::try_from(found) {
        Ok([labels]) => labels,
        Err(none) if none.is_empty() => return Err(PlotError::NoSeries),
        Err(many) => {
            let names: Vec<String> = many.iter().map(ToString::to_string).collect();
            return Err(PlotError::ManySeries { first: names.join(", ") });
        }
    };
    if floats.is_empty() {
        return Err(PlotError::Histograms { series: labels });
    }
    if histogram_samples > 0 {
        let message = format!("{histogram_samples} native histograms are not drawn");
        findings.push(Finding::new(Severity::Note, "histograms-not-drawn", labels.to_string(), message));
    }
    let picture = picture_of(&labels, &floats, options.resolution)?;
    let windows = picture.windows.len();
    let svg = draw(&picture).map_err(|message| PlotError::Draw { series: labels.clone(), message })?;
    Ok(Plot { svg, labels, samples: floats.len(), windows, unpacked: discovery.unpacked })
}

/// A picture of the samples of one series.
fn picture_of<'a>(
    labels: &'a Labels,
    floats: &'a FloatColumns,
    resolution: Resolution,
) -> Result<Picture<'a>, PlotError> {
    let policy = Policy::new(&DownsampleOptions::default()).map_err(ConvertError::from)?;
    let steps = policy.treatment(labels, resolution, &Metadata::default()).steps;
    let folded = |resolution| {
        let mut windows = AggregateColumns::default();
        fold(floats, &[], i64::MIN, resolution, steps, &mut windows);
        windows
    };
    Ok(Picture {
        labels,
        samples: floats,
        // Every sample is a window of its own: what it adds to the counter is known.
        steps: steps.map(|_| folded(Resolution::RAW)),
        windows: folded(resolution),
        resolution,
    })
}

/// Buckets of histograms that are held at once, about.
const BUCKETS: usize = 1 << 17;

/// The first series, and the names of those found.
#[derive(Default)]
struct Held {
    found: Vec<Labels>,
    floats: FloatColumns,
    histograms: HistogramColumns,
    histogram_samples: usize,
}

impl Consumer for Held {
    type Error = std::convert::Infallible;

    fn floats(&mut self) -> &mut FloatColumns {
        &mut self.floats
    }

    fn histograms(&mut self) -> &mut HistogramColumns {
        &mut self.histograms
    }

    fn begin(&mut self, series: &MergedSeries, _appended: Appended) -> Result<(), Self::Error> {
        self.found.push(series.labels.clone());
        Ok(())
    }

    fn portion(&mut self, _more: bool) -> Result<(), Self::Error> {
        self.histogram_samples += self.histograms.len();
        self.histograms.clear();
        Ok(())
    }

    fn end(&mut self) -> Result<Became, Self::Error> {
        Ok(Became::Rows)
    }
}

#[cfg(test)]
mod tests;
