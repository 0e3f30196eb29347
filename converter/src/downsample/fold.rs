//! Fold: the samples of one series become windows, column by column.
//!
//! ```text
//! values    │ v v v v │ v v v │ … NaN taken out      each aggregate is a loop of its own over the same runs:
//! counts    │    4    │   3   │                      the processor adds up several windows at a time, since none
//! sums …    │    Σ    │   Σ   │                      waits for another, and finds the smallest lane by lane
//! ```
//! Sums are of the samples in their order, bit for bit.

use std::ops::Range;

use tsdb_reader::samples::FloatColumns;

use super::aggregates::AggregateColumns;
use crate::resolution::Resolution;
use crate::rows::SeriesExtent;

/// How a counter's steps are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// Longer steps add nothing.
    pub lookback_ms: i64,
}

/// What is known of a counter at a time, where a step may begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// Its value; none where it had one that nobody knows: the step from there adds nothing.
    pub value: Option<f64>,
}

impl Known {
    /// The later of `sample` and the last of `known`, which ascend, before `time_ms`; at one time the known one.
    pub fn latest(sample: Option<Self>, known: &[Self], time_ms: i64) -> Option<Self> {
        let nearest = known.partition_point(|known| known.time_ms < time_ms).checked_sub(1);
        let known = nearest.and_then(|nearest| known.get(nearest)).copied();
        match (sample, known) {
            (Some(sample), Some(known)) if known.time_ms >= sample.time_ms => Some(known),
            (sample, known) => sample.or(known),
        }
    }
}

impl From<(i64, f64)> for Known {
    fn from((time_ms, value): (i64, f64)) -> Self {
        Self { time_ms, value: Some(value) }
    }
}

/// What became of samples that were folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Folded {
    /// Samples that are in windows.
    pub samples: u64,
    /// Windows.
    pub rows: u64,
    /// Stale markers and NaN, which are in none.
    pub left_out: u64,
    /// Time of the first sample that is in a window; nothing without any.
    pub min_time_ms: i64,
    /// Time of the last.
    pub max_time_ms: i64,
}

impl Folded {
    /// The samples that are in windows.
    pub fn extent(&self) -> SeriesExtent {
        match self.samples {
            0 => SeriesExtent::NONE,
            samples => SeriesExtent { samples, min_time_ms: self.min_time_ms, max_time_ms: self.max_time_ms },
        }
    }
}

/// Folds the samples of a series, whose timestamps ascend strictly, into windows of `resolution`, which go to the end
/// of `windows`.
///
/// Samples before `start_ms` are in no window: they are where the first step begins. So are the `known` values, of other
/// times in ascending order. Without `steps` the increase is null.
pub fn fold(
    samples: &FloatColumns,
    known: &[Known],
    start_ms: i64,
    resolution: Resolution,
    steps: Option<Steps>,
    windows: &mut AggregateColumns,
) -> Folded {
    // Without an early exit, so that it runs wide.
    if samples.values.iter().fold(false, |any, value| any | value.is_nan()) {
        let (numbers, left_out) = numbers(samples, start_ms);
        return Folded { left_out, ..fold(&numbers, known, start_ms, resolution, steps, windows) };
    }
    let context = samples.times_ms.partition_point(|&time_ms| time_ms < start_ms);
    let times_ms = samples.times_ms.get(context..).unwrap_or_default();
    let (Some(&first_ms), Some(&last_ms)) = (times_ms.first(), times_ms.last()) else {
        return Folded::default();
    };
    let values = samples.values.get(context..).unwrap_or_default();
    let start = windows.len();
    cut(times_ms, resolution, windows);
    let AggregateColumns { counts, sums, mins, maxs, firsts, lasts, increases, .. } = windows;
    let counts = counts.get(start..).unwrap_or_default();
    let runs = || Runs::new(values, counts);
    sums.extend(runs().map(sum));
    mins.extend(runs().map(|run| extreme(run, |value, smallest| value < smallest)));
    maxs.extend(runs().map(|run| extreme(run, |value, largest| value > largest)));
    firsts.extend(runs().map(|run| run.first().copied().unwrap_or(AggregateColumns::NULL)));
    lasts.extend(runs().map(|run| run.last().copied().unwrap_or(AggregateColumns::NULL)));
    match steps {
        Some(steps) if known.is_empty() => append_increases(samples, context, counts, steps, increases),
        Some(steps) => append_known_increases(samples, known, context, counts, steps, increases),
        None => increases.extend(counts.iter().map(|_| AggregateColumns::NULL)),
    }
    Folded {
        samples: times_ms.len() as u64,
        rows: counts.len() as u64,
        left_out: 0,
        min_time_ms: first_ms,
        max_time_ms: last_ms,
    }
}

/// The samples without NaN, and how many of these are not before `start_ms`.
fn numbers(samples: &FloatColumns, start_ms: i64) -> (FloatColumns, u64) {
    let (mut numbers, mut left_out) = (FloatColumns::default(), 0);
    for (at, (&time_ms, &value)) in samples.times_ms.iter().zip(&samples.values).enumerate() {
        if value.is_nan() {
            left_out += u64::from(time_ms >= start_ms);
            continue;
        }
        numbers.times_ms.push(time_ms);
        numbers.values.push(value);
        numbers.start_times_ms.extend(samples.start_times_ms.get(at));
    }
    (numbers, left_out)
}

/// Values of one window after the other.
#[derive(Clone)]
struct Runs<'a> {
    rest: &'a [f64],
    counts: std::slice::Iter<'a, i64>,
}

impl<'a> Runs<'a> {
    fn new(values: &'a [f64], counts: &'a [i64]) -> Self {
        Self { rest: values, counts: counts.iter() }
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = &'a [f64];

    fn next(&mut self) -> Option<&'a [f64]> {
        let count = self.counts.next().copied()?;
        let (run, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(run)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.counts.size_hint()
    }
}

/// Appends the start and the count of each window.
fn cut(times_ms: &[i64], resolution: Resolution, windows: &mut AggregateColumns) {
    let (mut rest, mut count) = (times_ms, 1);
    while let Some(&first_ms) = rest.first() {
        let last_ms = resolution.window_last(first_ms);
        let is_inside = |at: usize| rest.get(at).is_some_and(|&time_ms| time_ms <= last_ms);
        // Most windows have as many as the one before. The first sample is always inside.
        while is_inside(count) {
            count += 1;
        }
        while count > 1 && !is_inside(count - 1) {
            count -= 1;
        }
        windows.times_ms.push(resolution.window_start(first_ms));
        windows.counts.push(i64::try_from(count).unwrap_or(i64::MAX));
        rest = rest.get(count..).unwrap_or_default();
    }
}

fn sum(run: &[f64]) -> f64 {
    run.iter().fold(0.0, |sum, value| sum + value)
}

/// The value that beats all others; of equal ones, such as 0 and −0, the first.
fn extreme(run: &[f64], beats: impl Fn(f64, f64) -> bool) -> f64 {
    let best = |best: f64, value: f64| if beats(value, best) { value } else { best };
    let (wide, narrow) = run.as_chunks::<4>();
    let mut lanes = [run.first().copied().unwrap_or(AggregateColumns::NULL); 4];
    for values in wide {
        for (lane, &value) in lanes.iter_mut().zip(values) {
            *lane = best(*lane, value);
        }
    }
    let [first, others @ ..] = lanes;
    let found = others.iter().chain(narrow).fold(first, |found, &value| best(found, value));
    // Lanes are not in time order. Only zeros differ though they are equal.
    match found == 0.0 {
        true => run.iter().copied().find(|&value| value == 0.0).unwrap_or(found),
        false => found,
    }
}

/// Steps that are looked at together.
const STEPS_AT_ONCE: usize = 32;

/// Appends the increase of each window. The first begins at sample `at`.
fn append_increases(
    samples: &FloatColumns,
    mut at: usize,
    counts: &[i64],
    steps: Steps,
    increases: &mut Vec<f64>,
) {
    for &count in counts {
        let end = at + usize::try_from(count).unwrap_or_default();
        // What −0 is added to stays as it is: a first step of −0, too.
        let mut increase = -0.0;
        while at < end {
            let next = match at {
                0 => 1,
                _ => end.min(at + STEPS_AT_ONCE),
            };
            increase = add_steps(increase, samples, at..next, steps);
            at = next;
        }
        increases.push(increase);
    }
}

/// The same where steps may also begin at `known` values.
fn append_known_increases(
    samples: &FloatColumns,
    known: &[Known],
    mut at: usize,
    counts: &[i64],
    steps: Steps,
    increases: &mut Vec<f64>,
) {
    for &count in counts {
        let end = at + usize::try_from(count).unwrap_or_default();
        let add = |increase: f64, at: usize| {
            let time_ms = samples.times_ms.get(at).copied().unwrap_or_default();
            let sample = at.checked_sub(1).and_then(|before| known_at(samples, before));
            increase + step_to(samples, at, Known::latest(sample, known, time_ms), steps)
        };
        // As in the other way.
        increases.push((at..end).fold(-0.0, add));
        at = end;
    }
}

/// Adds the steps that end in the samples of `range`.
fn add_steps(increase: f64, samples: &FloatColumns, range: Range<usize>, steps: Steps) -> f64 {
    match plain_steps(samples, &range, steps) {
        Some((before, values)) => {
            before.iter().zip(values).fold(increase, |sum, (&before, &value)| sum + plain_step(before, value))
        }
        None => range.fold(increase, |sum, at| {
            let before = at.checked_sub(1).and_then(|before| known_at(samples, before));
            sum + step_to(samples, at, before, steps)
        }),
    }
}

/// The values that the steps lead from and to, when none of the steps is long and no counter began in them.
fn plain_steps<'a>(
    samples: &'a FloatColumns,
    range: &Range<usize>,
    steps: Steps,
) -> Option<(&'a [f64], &'a [f64])> {
    let before = range.start.checked_sub(1)?..range.end.checked_sub(1)?;
    let from_ms = *samples.times_ms.get(before.start)?;
    let to_ms = *samples.times_ms.get(before.end)?;
    // Not all of them together are long.
    let is_near = to_ms.saturating_sub(from_ms) <= steps.lookback_ms;
    let start_times_ms = samples.start_times_ms.get(range.clone()).unwrap_or_default();
    let is_long_since =
        start_times_ms.iter().all(|&start_time_ms| start_time_ms == 0 || start_time_ms <= from_ms);
    let values = samples.values.get(before).zip(samples.values.get(range.clone()));
    values.filter(|_| is_near && is_long_since)
}

/// What a step adds: the difference, or the later value after a reset.
fn plain_step(before: f64, value: f64) -> f64 {
    let rise = if value > before { value - before } else { value };
    // Infinities that stay have no difference.
    if value == before { 0.0 } else { rise }
}

/// What the step from `before` to sample `at` adds.
fn step_to(samples: &FloatColumns, at: usize, before: Option<Known>, steps: Steps) -> f64 {
    let start_time_ms = samples.start_times_ms.get(at).copied().unwrap_or_default();
    sample_at(samples, at).map_or(0.0, |sample| step(before, sample, start_time_ms, steps))
}

fn sample_at(samples: &FloatColumns, at: usize) -> Option<(i64, f64)> {
    samples.times_ms.get(at).copied().zip(samples.values.get(at).copied())
}

fn known_at(samples: &FloatColumns, at: usize) -> Option<Known> {
    sample_at(samples, at).map(Known::from)
}

/// What the step to a sample adds. Without a sample before it within the lookback, a sample adds its value when its
/// counter began within the lookback, else nothing.
pub fn step(before: Option<Known>, (time_ms, value): (i64, f64), start_time_ms: i64, steps: Steps) -> f64 {
    let near = before.filter(|before| time_ms.saturating_sub(before.time_ms) <= steps.lookback_ms);
    let from_ms = near.map_or(time_ms.saturating_sub(steps.lookback_ms), |before| before.time_ms);
    let began_inside = start_time_ms != 0 && from_ms < start_time_ms && start_time_ms <= time_ms;
    match near {
        _ if began_inside => value,
        Some(Known { value: Some(before), .. }) => plain_step(before, value),
        _ => 0.0,
    }
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
