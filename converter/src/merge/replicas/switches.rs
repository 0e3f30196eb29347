//! Counters of replicas: their totals, and the steps from one replica to another.

use std::collections::BTreeMap;

use tsdb_reader::samples::FloatColumns;

use super::super::choice::Candidate;
use super::penalty::{Followed, Point};
use crate::downsample::{AggregateColumns, Known, Steps, step};
use crate::resolution::Resolution;

/// A step of a counter that leads from one replica to another, or past samples of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Switch {
    /// Time of the sample that it leads from.
    pub from_ms: i64,
    /// Time of the sample that it leads to.
    pub to_ms: i64,
    /// What it adds.
    pub increase: f64,
}

/// Time and value of a sample.
type TimedValue = (i64, f64);

/// What is known of a counter at the end of an hour.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// The last sample of each replica.
    replicas: BTreeMap<u32, Last>,
    /// The sample followed last.
    followed: Option<Followable>,
}

/// The last sample of a replica in an hour.
#[derive(Debug, Clone, Copy)]
struct Last {
    time_ms: i64,
    value: f64,
    /// The total of its replica, raised.
    total: f64,
}

/// A sample of a counter that may be followed: no stale marker, NaN or histogram.
#[derive(Debug, Clone, Copy)]
struct Followable {
    replica: u32,
    time_ms: i64,
    total: f64,
}

/// The samples of all replicas in an hour, one replica after the other.
#[derive(Debug)]
pub(super) struct Totals {
    points: Vec<Point>,
    /// Of each the time of the sample before it in its replica, and what the hour before adds to its total.
    before: Vec<(Option<i64>, f64)>,
}

impl Totals {
    /// Of what is no counter.
    pub(super) fn none(candidates: &[Candidate]) -> Self {
        let point =
            |(at, candidate): (usize, &Candidate)| Point { time_ms: candidate.time_ms, total: None, at };
        Self { points: candidates.iter().enumerate().map(point).collect(), before: Vec::new() }
    }

    /// The points of each replica of `candidates`.
    pub(super) fn replicas(&self, candidates: &[Candidate]) -> Vec<&[Point]> {
        let mut rest = self.points.as_slice();
        let mut take = |of_replica: &[Candidate]| {
            let (points, others) = rest.split_at_checked(of_replica.len()).unwrap_or((rest, &[]));
            rest = others;
            points
        };
        candidates.chunk_by(|a, b| a.replica == b.replica).map(&mut take).collect()
    }
}

impl Counter {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.replicas.clear();
        self.followed = None;
    }

    /// The totals of an hour: each replica's begin with its first value.
    pub(super) fn totals(&self, candidates: &[Candidate]) -> Totals {
        let mut totals = Totals::none(candidates);
        let mut last: Option<(u32, Last)> = None;
        let mut offset = 0.0;
        for (candidate, point) in candidates.iter().zip(&mut totals.points) {
            let Some(value) = value(candidate) else {
                totals.before.push((None, 0.0));
                continue;
            };
            let before = last.filter(|(replica, _)| *replica == candidate.replica).map(|(_, last)| last);
            let ended = self.replicas.get(&candidate.replica);
            let total = match before {
                Some(before) => before.total + rise(before.value, value),
                None => {
                    offset = ended.map_or(0.0, |ended| ended.total + rise(ended.value, value) - value);
                    value
                }
            };
            point.total = Some(total);
            totals.before.push((before.or(ended.copied()).map(|before| before.time_ms), offset));
            last = Some((candidate.replica, Last { time_ms: candidate.time_ms, value, total }));
        }
        totals
    }

    /// Adds the steps that are not those of one replica, and keeps what the next hour has to know.
    pub(super) fn add_switches(
        &mut self,
        candidates: &[Candidate],
        totals: &Totals,
        followed: &Followed,
        switches: &mut Vec<Switch>,
    ) {
        let mut is_first = true;
        for point in &followed.points {
            let (Some(total), Some(candidate)) = (point.total, candidates.get(point.at)) else { continue };
            let (before_ms, offset) = totals.before.get(point.at).copied().unwrap_or_default();
            let next = Followable { replica: candidate.replica, time_ms: point.time_ms, total };
            if let Some(last) = self.followed.replace(next) {
                let own = totals.points.get(point.at).and_then(|point| point.total);
                // Between hours the totals of the earlier one go on.
                let total = if is_first { own.unwrap_or(total) + offset } else { total };
                if last.replica != next.replica || before_ms != Some(last.time_ms) {
                    let increase = if total > last.total { total - last.total } else { 0.0 };
                    switches.push(Switch { from_ms: last.time_ms, to_ms: next.time_ms, increase });
                }
            }
            is_first = false;
        }
        if !is_first {
            self.end(candidates, totals, &followed.raised);
        }
    }

    /// Keeps the last sample of each replica.
    fn end(&mut self, candidates: &[Candidate], totals: &Totals, raised: &[f64]) {
        self.replicas.clear();
        let of_replicas = totals.replicas(candidates);
        for (points, raised) in of_replicas.into_iter().zip(raised) {
            let last = points.iter().rev().find_map(|point| Some((point.total?, candidates.get(point.at)?)));
            if let Some((total, candidate)) = last {
                let value = f64::from_bits(candidate.bits);
                let last = Last { time_ms: candidate.time_ms, value, total: total + raised };
                self.replicas.insert(candidate.replica, last);
            }
        }
    }
}

/// The value of a counter, if it is one.
fn value(candidate: &Candidate) -> Option<f64> {
    let value = f64::from_bits(candidate.bits);
    (!candidate.is_histogram && !value.is_nan()).then_some(value)
}

/// By how much a replica's own counter grows.
fn rise(before: f64, value: f64) -> f64 {
    if value > before {
        value - before
    } else if value < before {
        value
    } else {
        0.0
    }
}

/// Computes the increase of windows with `switches` anew: what [`fold`](crate::downsample::fold) made of the same samples
/// takes them for steps of one counter. The windows are those from row `start` on.
pub fn add_switches(
    switches: &[Switch],
    (samples, known): (&FloatColumns, &[Known]),
    start_ms: i64,
    resolution: Resolution,
    steps: Steps,
    (windows, start): (&mut AggregateColumns, usize),
) {
    let of_unit = switches.get(switches.partition_point(|at| at.to_ms < start_ms)..).unwrap_or_default();
    let window = |at: &Switch| resolution.window(at.to_ms);
    for of_window in of_unit.chunk_by(|a, b| window(a) == window(b)) {
        let Some(bounds) = of_window.first().map(window) else { continue };
        let times_ms = windows.times_ms.get(start..).unwrap_or_default();
        let Ok(row) = times_ms.binary_search(&bounds.min_ms) else { continue };
        let (mut before, inside) = samples_of(samples, bounds.min_ms.max(start_ms), bounds.max_ms);
        let mut increase = -0.0;
        for (sample, start_time_ms) in inside {
            let from = Known::latest(before.map(Known::from), known, sample.0);
            let leads =
                |at: &&Switch| at.to_ms == sample.0 && Some(at.from_ms) == from.map(|from| from.time_ms);
            increase += match of_window.iter().find(leads) {
                Some(switch) => switch_step(*switch, sample, start_time_ms, steps),
                None => step(from, sample, start_time_ms, steps),
            };
            before = Some(sample);
        }
        if let Some(of_row) = windows.increases.get_mut(start + row) {
            *of_row = increase;
        }
    }
}

/// What a switch adds, unless it is too long or the counter began in it.
fn switch_step(switch: Switch, sample: TimedValue, start_time_ms: i64, steps: Steps) -> f64 {
    let is_near = switch.to_ms.saturating_sub(switch.from_ms) <= steps.lookback_ms;
    let began_inside = start_time_ms != 0 && switch.from_ms < start_time_ms && start_time_ms <= switch.to_ms;
    match is_near && !began_inside {
        true => switch.increase,
        false => step(Some((switch.from_ms, sample.1).into()), sample, start_time_ms, steps),
    }
}

/// The last value before `min_ms`, and those up to `max_ms` with their start times.
fn samples_of(
    samples: &FloatColumns,
    min_ms: i64,
    max_ms: i64,
) -> (Option<TimedValue>, impl Iterator<Item = (TimedValue, i64)>) {
    let from = samples.times_ms.partition_point(|&at| at < min_ms);
    let to = samples.times_ms.partition_point(|&at| at <= max_ms);
    let sample = |at: usize| {
        let sample = (*samples.times_ms.get(at)?, *samples.values.get(at)?);
        let start_time_ms = samples.start_times_ms.get(at).copied().unwrap_or_default();
        (!sample.1.is_nan()).then_some((sample, start_time_ms))
    };
    let before = (0..from).rev().find_map(sample).map(|(sample, _)| sample);
    (before, (from..to).filter_map(sample))
}
