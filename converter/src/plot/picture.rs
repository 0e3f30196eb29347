//! The picture: data in, SVG out.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use tsdb_reader::Labels;
use tsdb_reader::samples::FloatColumns;

use super::axis::{Axis, Tick};
use super::lines::{Line, Lines};
use crate::downsample::AggregateColumns;
use crate::resolution::Resolution;
use crate::time::display_time;

const SIZE: (u32, u32) = (1200, 480);

/// Samples further apart are not joined: as far as Prometheus looks back for a value.
const JOINED_MS: i64 = 300_000;

/// Characters of a title that fit.
const TITLE_CHARS: usize = 150;

const SAMPLES: RGBColor = RGBColor(150, 150, 150);
const BAND: RGBColor = RGBColor(160, 200, 240);
const AVERAGE: RGBColor = RGBColor(20, 90, 170);
const LAST: RGBColor = RGBColor(210, 110, 20);

/// What is drawn.
#[derive(Debug)]
pub struct Picture<'a> {
    /// Labels of the series.
    pub labels: &'a Labels,
    /// Its samples, in time order.
    pub samples: &'a FloatColumns,
    /// Of a counter, what each of its samples adds, at the time of that sample.
    pub steps: Option<AggregateColumns>,
    /// The windows of the samples.
    pub windows: AggregateColumns,
    /// Their width.
    pub resolution: Resolution,
}

/// A time and a value.
type Point = (f64, f64);

/// Points in time order; some may be not finite, and end their line.
type Points = Vec<Point>;

/// A kind of lines.
struct Drawn {
    name: String,
    points: Points,
    style: ShapeStyle,
}

/// Draws a picture as SVG. The error is the drawing library's.
pub fn draw(picture: &Picture<'_>) -> Result<String, String> {
    let width_ms = picture.resolution.ms();
    let windows = &picture.windows;
    let times_ms = &picture.samples.times_ms;
    let first_ms = times_ms.first().copied().unwrap_or_default();
    let last_ms = times_ms.last().copied().unwrap_or_default();
    let x = Axis::of_times(
        windows.times_ms.first().map_or(first_ms, |&start_ms| start_ms.min(first_ms)),
        windows.times_ms.last().map_or(last_ms, |&start_ms| start_ms.saturating_add(width_ms).max(last_ms)),
    );
    let (band, drawn) = match &picture.steps {
        None => (bands(windows, width_ms), of_gauge(picture)),
        Some(steps) => (Vec::new(), of_counter(picture, steps)),
    };
    let values = drawn.iter().flat_map(|drawn| &drawn.points).chain(band.iter().flatten());
    let y = Axis::of_values(values.map(|&(_, value)| value));

    let samples = picture.samples.len();
    let title: String = picture.labels.to_string().chars().take(TITLE_CHARS).map(printable).collect();
    let subtitle = format!("samples: {samples}, windows of {}: {}", picture.resolution, windows.len());
    let place = |points: &Points| points.iter().map(|&(at, value)| (x.place(at), y.place(value))).collect();
    let band = band.iter().map(place).collect();
    let lines = drawn.into_iter().map(|Drawn { name, points, style }| {
        let mut lines = Lines::new(&x, &y);
        points.into_iter().for_each(|(at, value)| lines.push(at, value));
        (name, lines.finish(), style)
    });
    let lines = lines.collect();
    let times = format!("UTC, from {} to {}", display_time(first_ms), display_time(last_ms));
    let what = if picture.steps.is_some() { "per second" } else { "value" };
    let mut svg = String::new();
    paint(&mut svg, &Sheet { title, subtitle, x: &x, y: &y, times, what, band, lines })
        .map_err(|error| error.to_string())?;
    Ok(svg)
}

/// Samples, and of their windows the mean and the last value.
fn of_gauge(picture: &Picture<'_>) -> Vec<Drawn> {
    let (windows, width_ms) = (&picture.windows, picture.resolution.ms());
    let mut samples = Points::new();
    let mut before_ms = None;
    for (&time_ms, &value) in picture.samples.times_ms.iter().zip(&picture.samples.values) {
        samples.extend(gap(before_ms.replace(time_ms), time_ms, JOINED_MS));
        samples.push((time_ms as f64, value));
    }
    let mut means = Points::new();
    let mut before_ms = None;
    for ((&start_ms, &sum), &count) in windows.times_ms.iter().zip(&windows.sums).zip(&windows.counts) {
        means.extend(gap(before_ms.replace(start_ms), start_ms, width_ms));
        means.push((start_ms as f64 + width_ms as f64 / 2.0, sum / count as f64));
    }
    vec![
        Drawn { name: "samples".into(), points: samples, style: SAMPLES.stroke_width(1) },
        Drawn { name: "avg".into(), points: means, style: AVERAGE.stroke_width(2) },
        Drawn {
            name: "last".into(),
            points: stairs(windows, &windows.lasts, width_ms),
            style: LAST.stroke_width(1),
        },
    ]
}

/// The rate between samples, and that of the windows.
fn of_counter(picture: &Picture<'_>, steps: &AggregateColumns) -> Vec<Drawn> {
    let (windows, width_ms) = (&picture.windows, picture.resolution.ms());
    let mut rates = Points::new();
    let mut before_ms = None;
    for (&time_ms, &step) in steps.times_ms.iter().zip(&steps.increases) {
        let from_ms = before_ms.replace(time_ms);
        rates.extend(gap(from_ms, time_ms, JOINED_MS));
        if let Some(from_ms) = from_ms {
            rates.push((time_ms as f64, per_second(step, time_ms.saturating_sub(from_ms))));
        }
    }
    let of_windows: Vec<f64> =
        windows.increases.iter().map(|&increase| per_second(increase, width_ms)).collect();
    vec![
        Drawn { name: "rate between samples".into(), points: rates, style: SAMPLES.stroke_width(1) },
        Drawn {
            name: format!("increase in {}, per second", picture.resolution),
            points: stairs(windows, &of_windows, width_ms),
            style: AVERAGE.stroke_width(2),
        },
    ]
}

fn per_second(increase: f64, time_ms: i64) -> f64 {
    increase * 1000.0 / time_ms.max(1) as f64
}

/// What ends a line between two times that are too far from each other.
fn gap(before_ms: Option<i64>, time_ms: i64, joined_ms: i64) -> Option<Point> {
    let is_far = before_ms.is_some_and(|before_ms| time_ms.saturating_sub(before_ms) > joined_ms);
    is_far.then_some((time_ms as f64, f64::NAN))
}

/// A value for each window, from its start to its end.
fn stairs(windows: &AggregateColumns, values: &[f64], width_ms: i64) -> Points {
    let mut points = Points::new();
    let mut before_ms = None;
    for (&start_ms, &value) in windows.times_ms.iter().zip(values) {
        points.extend(gap(before_ms.replace(start_ms), start_ms, width_ms));
        points.extend([(start_ms as f64, value), (start_ms as f64 + width_ms as f64, value)]);
    }
    points
}

/// From the smallest to the largest value of windows that follow each other: around what lies between.
fn bands(windows: &AggregateColumns, width_ms: i64) -> Vec<Points> {
    let edge = |values| stairs(windows, values, width_ms);
    let (lower, upper) = (edge(&windows.mins), edge(&windows.maxs));
    let is_end = |&((_, min), (_, max)): &(Point, Point)| min.is_nan() || max.is_nan();
    let both: Vec<_> = lower.into_iter().zip(upper).collect();
    let runs = both.split(is_end).filter(|run| !run.is_empty());
    let around = |run: &[(Point, Point)]| {
        let back = run.iter().rev().map(|&(_, max)| max);
        run.iter().map(|&(min, _)| min).chain(back).collect()
    };
    runs.map(around).collect()
}

/// What XML cannot say is not said.
fn printable(character: char) -> char {
    if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') {
        '\u{fffd}'
    } else {
        character
    }
}

/// All that is on the picture; places are from 0 to 1.
struct Sheet<'a> {
    title: String,
    subtitle: String,
    x: &'a Axis,
    y: &'a Axis,
    times: String,
    what: &'static str,
    band: Vec<Points>,
    lines: Vec<(String, Vec<Line>, ShapeStyle)>,
}

fn paint(
    svg: &mut String,
    sheet: &Sheet<'_>,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>> {
    let font = |size| ("sans-serif", size).into_font();
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(&sheet.title, font(19))?.titled(&sheet.subtitle, font(16))?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(Scale(&sheet.x.ticks), Scale(&sheet.y.ticks))?;
    chart
        .configure_mesh()
        .x_desc(sheet.times.as_str())
        .y_desc(sheet.what)
        .label_style(font(15))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .draw()?;
    if !sheet.band.is_empty() {
        let band = BAND.mix(0.6).filled();
        chart
            .draw_series(sheet.band.iter().map(|around| Polygon::new(around.clone(), band)))?
            .label("min to max")
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 20, y + 5)], band));
    }
    for (name, lines, style) in &sheet.lines {
        let style = *style;
        chart
            .draw_series(lines.iter().map(|line| PathElement::new(line.clone(), style)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        let alone = lines.iter().filter_map(|line| <[_; 1]>::try_from(line.as_slice()).ok());
        chart.draw_series(alone.map(|[place]| Circle::new(place, 2, style.filled())))?;
    }
    chart
        .configure_series_labels()
        .label_font(font(15))
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    root.present()
}

/// Places from 0 to 1, with ticks.
struct Scale<'a>(&'a [Tick]);

impl Ranged for Scale<'_> {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "the picture is small")]
    fn map(&self, at: &f64, (low, high): (i32, i32)) -> i32 {
        low + (f64::from(high - low) * at).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let is_light = hint.weight().allow_light_points();
        self.0.iter().filter(|_| !is_light).map(|tick| tick.at).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..1.0
    }
}

impl ValueFormatter<f64> for Scale<'_> {
    fn format_ext(&self, at: &f64) -> String {
        self.0.iter().find(|tick| tick.at == *at).map_or_else(String::new, |tick| tick.text.clone())
    }
}
