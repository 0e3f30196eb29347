//! Windows of the raw blocks equal what Thanos' own downsampler made of them; each difference is named.

use std::collections::BTreeMap;
use std::path::Path;

use tsdb_converter::downsample::Aggregate;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::time::{PartitionBy, TimeBounds};

use super::common::windows::{
    HistogramWindow, ThanosSeries, histogram_windows_in, is_near, plain_windows, same_bits, steps,
    thanos_pairs, windows_in,
};
use super::common::{
    Histogram, HistogramValues, Histograms, Sample, Samples, convert_to, histograms_in, samples_in, scratch,
};
use super::{HOUR_MS, windows_of};

const FIVE_MINUTES_MS: i64 = 300_000;
/// Longer than any step of a fixture.
const WHOLE_MS: i64 = 1 << 50;

/// Thanos' samples of one window: more than one where a chunk of windows ends inside.
struct Group {
    parts: usize,
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
}

/// Thanos names a window by its last millisecond or its last sample.
fn window_of(time_ms: i64, width_ms: i64) -> i64 {
    time_ms.saturating_sub(time_ms.rem_euclid(width_ms))
}

/// Thanos' windows that there are rows for: of the years up to 9999. It skips samples before 1970; an end that is
/// beyond 64 bits wraps to a time there.
fn is_writable(window_ms: i64) -> bool {
    window_ms >= 0 && TimeBounds::ROWS.contains(window_ms)
}

fn groups(series: &ThanosSeries, width_ms: i64) -> BTreeMap<i64, Group> {
    let mut groups: BTreeMap<i64, Group> = BTreeMap::new();
    for (time_ms, count) in series.floats("count") {
        let empty = Group { parts: 0, count: 0.0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };
        let group = groups.entry(window_of(time_ms, width_ms)).or_insert(empty);
        group.parts += 1;
        group.count += count;
    }
    // Of windows that hold histograms alone there is no sum that is a float.
    let mut of_floats = BTreeMap::new();
    for (time_ms, sum) in series.floats("sum") {
        of_floats.entry(window_of(time_ms, width_ms)).and_modify(|all| *all += sum).or_insert(sum);
    }
    for (window_ms, sum) in of_floats {
        groups.get_mut(&window_ms).unwrap().sum = sum;
    }
    for (time_ms, min) in series.floats("min") {
        let group = groups.get_mut(&window_of(time_ms, width_ms)).unwrap();
        group.min = if min < group.min { min } else { group.min };
    }
    for (time_ms, max) in series.floats("max") {
        let group = groups.get_mut(&window_of(time_ms, width_ms)).unwrap();
        group.max = if max > group.max { max } else { group.max };
    }
    groups.retain(|window_ms, _| is_writable(*window_ms));
    groups
}

/// Where Thanos' start values are left, for it has found nothing beyond them.
fn is_start_value(thanos: f64, ours: f64) -> bool {
    thanos == f64::MAX && ours == f64::INFINITY || thanos == f64::MIN && ours == f64::NEG_INFINITY
}

fn converted(raw: &Path, options: &ConvertOptions) -> tempfile::TempDir {
    let dest = scratch();
    let report = convert_to(raw, dest.path(), options, 1).unwrap();
    assert!(report.adds_up, "{}: {report:#?}", raw.display());
    dest
}

fn whole(width: &str) -> ConvertOptions {
    windows_of(width, PartitionBy::None)
}

/// What the comparison of one resolution has seen.
#[derive(Debug, Default)]
struct Seen {
    windows: usize,
    start_values: usize,
    before_1970: usize,
    nan_sums: usize,
    in_parts: usize,
}

fn compare_floats(width: &str, width_ms: i64, sum_is: fn(&Group, f64) -> bool) -> Seen {
    let mut seen = Seen::default();
    for pair in thanos_pairs(width_ms) {
        let dest = converted(&pair.raw, &whole(width));
        let mut found = windows_in(dest.path(), &format!("samples_{width}"));
        for (series_id, series) in &pair.downsampled {
            let context = format!("{} {}", pair.name, series.labels);
            let mut groups = groups(series, width_ms);
            // Thanos counts both kinds as one: floats among histograms are held against the plain reference.
            if !series.histograms("sum").is_empty() {
                found.remove(series_id);
                continue;
            }
            for window in found.remove(series_id).unwrap_or_default() {
                if window.start_ms < 0 {
                    seen.before_1970 += 1;
                    continue;
                }
                let at = format!("{context} at {}", window.start_ms);
                let group = groups.remove(&window.start_ms).unwrap_or_else(|| panic!("{at}: not in Thanos"));
                assert_eq!(window.count as f64, group.count, "{at}");
                let [sum, min, max] =
                    [Aggregate::Sum, Aggregate::Min, Aggregate::Max].map(|at| window.value(at).unwrap());
                for (thanos, ours) in [(group.min, min), (group.max, max)] {
                    let is_start_value = is_start_value(thanos, ours);
                    seen.start_values += usize::from(is_start_value);
                    assert!(is_start_value || same_bits(thanos, ours), "{at}: {thanos} and {ours}");
                }
                seen.nan_sums += usize::from(sum.is_nan());
                seen.in_parts += usize::from(group.parts > 1);
                assert!(sum_is(&group, sum), "{at}: sum {} and {sum}", group.sum);
                seen.windows += 1;
            }
            assert!(groups.is_empty(), "{context}: windows {:?} are missing", groups.keys());
        }
        // What Thanos has no series for: nothing but times before 1970, or out of range.
        for windows in found.values() {
            assert!(windows.iter().all(|window| window.start_ms < 0), "{}: {windows:?}", pair.name);
        }
    }
    seen
}

#[test]
fn windows_of_5m_equal_those_of_thanos_bit_for_bit() {
    let seen = compare_floats("5m", FIVE_MINUTES_MS, |group, ours| {
        if group.parts == 1 { same_bits(group.sum, ours) } else { is_near(group.sum, ours, 1e-12) }
    });
    assert!(seen.windows > 1000, "{}", seen.windows);
    // Runs of floats with histograms between them are downsampled apart, so that they meet in one window.
    assert!(
        seen.start_values > 0 && seen.before_1970 > 0 && seen.nan_sums > 0 && seen.in_parts > 0,
        "{seen:?}"
    );
}

#[test]
fn windows_of_1h_equal_those_of_thanos_but_for_the_order_of_adding() {
    // Thanos adds the sums of 5 minutes, and leaves those out that are NaN: +Inf and −Inf in one of them.
    let seen = compare_floats("1h", HOUR_MS, |group, ours| ours.is_nan() || is_near(group.sum, ours, 1e-12));
    assert!(seen.windows > 200, "{}", seen.windows);
    // A chunk of windows may end inside an hour.
    assert!(seen.before_1970 > 0 && seen.nan_sums > 0 && seen.in_parts > 0, "{seen:?}");
}

/// Thanos' counter, resets applied, at the end of each window that it has.
fn totals(series: &ThanosSeries, width_ms: i64) -> BTreeMap<i64, f64> {
    let totals = series.floats("counter_without_resets").into_iter();
    let totals = totals.map(|(time_ms, total)| (window_of(time_ms, width_ms), total));
    totals.filter(|(window_ms, _)| is_writable(*window_ms)).collect()
}

fn raw_samples(raw: &Path) -> (Samples, Histograms) {
    let dest =
        converted(raw, &ConvertOptions { partition_by: PartitionBy::None, ..ConvertOptions::default() });
    (samples_in(dest.path()), histograms_in(dest.path()))
}

/// True where the first step begins at a time that no row can have, so that it is not found among the raw rows.
fn begins_out_of_range(name: &str) -> bool {
    name == "extreme_times"
}

/// Samples that Thanos looks at.
fn of_thanos(samples: &[Sample]) -> Vec<Sample> {
    samples
        .iter()
        .filter(|(time_ms, bits, _)| *time_ms >= 0 && !f64::from_bits(*bits).is_nan())
        .copied()
        .collect()
}

#[test]
fn increases_add_up_to_the_counter_of_thanos() {
    let (mut compared, mut infinite, mut across_1970, mut negative) = (0, 0, 0, 0);
    for pair in thanos_pairs(FIVE_MINUTES_MS).into_iter().filter(|pair| !begins_out_of_range(&pair.name)) {
        let mut options = whole("5m");
        options.downsampling.lookback_ms = WHOLE_MS;
        let found = windows_in(converted(&pair.raw, &options).path(), "samples_5m");
        let (raw, _) = raw_samples(&pair.raw);
        for (series_id, series) in &pair.downsampled {
            let totals = totals(series, FIVE_MINUTES_MS);
            let samples = raw.get(series_id).map(|samples| of_thanos(samples)).unwrap_or_default();
            if totals.is_empty() || series.labels.metric().is_none() {
                continue;
            }
            // To Thanos the step between two infinities is NaN, and all that follows; to us there is none.
            if samples.iter().any(|(_, bits, _)| f64::from_bits(*bits).is_infinite()) {
                infinite += 1;
                continue;
            }
            // Thanos skips what was before 1970, we take the step that leads across.
            if raw[series_id][0].0 < 0 {
                across_1970 += 1;
                continue;
            }
            // A total that falls, for no counter ever is below 0, is to Thanos a reset once more.
            if samples.iter().any(|(_, bits, _)| f64::from_bits(*bits) < 0.0) {
                negative += 1;
                continue;
            }
            // Thanos begins with the first value, we with nothing.
            let mut total = f64::from_bits(samples[0].1);
            for window in &found[series_id] {
                total += window.increase();
                let thanos = totals[&window.start_ms];
                let at = format!("{} {} at {}", pair.name, series.labels, window.start_ms);
                assert!(is_near(total, thanos, 1e-9), "{at}: {total} and {thanos}");
                compared += 1;
            }
        }
    }
    assert!(compared > 900, "{compared}");
    assert!(infinite > 0 && across_1970 > 0 && negative > 0, "{infinite} {across_1970} {negative}");
}

#[test]
fn beyond_the_lookback_a_step_adds_to_the_counter_of_thanos_alone() {
    let mut differ = 0;
    for pair in thanos_pairs(FIVE_MINUTES_MS).into_iter().filter(|pair| !begins_out_of_range(&pair.name)) {
        let (raw, _) = raw_samples(&pair.raw);
        let found = windows_in(converted(&pair.raw, &whole("5m")).path(), "samples_5m");
        for (series_id, windows) in found {
            let samples = &raw[&series_id];
            let increase: f64 = windows.iter().filter_map(|window| window.value(Aggregate::Increase)).sum();
            let [near, all] = [HOUR_MS, WHOLE_MS].map(|lookback_ms| steps(samples, lookback_ms));
            let sum = |steps: &[(i64, f64)]| steps.iter().map(|(_, step)| step).sum::<f64>();
            // Large steps take the digits of small ones.
            let tolerance = 1e-9 * near.iter().map(|(_, step)| step.abs()).fold(0.0, f64::max);
            if windows[0].value(Aggregate::Increase).is_some() {
                let difference = (increase - sum(&near)).abs();
                let is_same = difference <= tolerance || same_bits(increase, sum(&near));
                assert!(is_same, "{}: {increase} and {}", pair.name, sum(&near));
                differ += usize::from(!is_near(sum(&near), sum(&all), 1e-9));
            }
        }
    }
    assert!(differ > 0);
}

#[test]
fn windows_of_every_fixture_equal_the_plain_reference() {
    for pair in thanos_pairs(FIVE_MINUTES_MS).into_iter().filter(|pair| !begins_out_of_range(&pair.name)) {
        let (raw, _) = raw_samples(&pair.raw);
        for (width, width_ms) in [("5m", FIVE_MINUTES_MS), ("1h", HOUR_MS)] {
            let found = windows_in(converted(&pair.raw, &whole(width)).path(), &format!("samples_{width}"));
            for (series_id, samples) in &raw {
                let mut expected = plain_windows(samples, width_ms, HOUR_MS);
                let found = found.get(series_id).map(Vec::as_slice).unwrap_or_default();
                // A series without a name is no counter here.
                if found.iter().any(|window| window.value(Aggregate::Increase).is_none()) {
                    expected.iter_mut().for_each(|window| window.values[Aggregate::Increase as usize] = None);
                }
                assert_eq!(found, expected, "{} {series_id} {width}", pair.name);
            }
        }
    }
}

fn double(bits: u64) -> f64 {
    f64::from_bits(bits)
}

/// True when the two are sums of the same histograms.
fn is_same(ours: &HistogramValues, thanos: &HistogramValues) -> bool {
    let near = |a: u64, b: u64| is_near(double(a), double(b), 1e-12);
    let buckets = |values: &HistogramValues| -> Vec<[u64; 3]> {
        values.buckets.iter().filter(|bucket| double(bucket[2]) != 0.0).copied().collect()
    };
    let (our_buckets, their_buckets) = (buckets(ours), buckets(thanos));
    let same_bucket = |(a, b): (&[u64; 3], &[u64; 3])| a[..2] == b[..2] && near(a[2], b[2]);
    // Thanos takes the coarsest buckets of its whole chunk, we those of the window.
    let is_comparable = ours.schema == thanos.schema && ours.zero_threshold == thanos.zero_threshold;
    near(ours.count, thanos.count)
        && near(ours.sum, thanos.sum)
        && (!is_comparable
            || near(ours.zero_count, thanos.zero_count)
                && our_buckets.len() == their_buckets.len()
                && our_buckets.iter().zip(&their_buckets).all(same_bucket))
}

/// Windows that have one of Thanos' samples, by their start: of others there is no telling what it left out.
fn once<'t>(of_thanos: &[(i64, &'t HistogramValues)]) -> BTreeMap<i64, &'t HistogramValues> {
    let mut by_window: BTreeMap<i64, Vec<&HistogramValues>> = BTreeMap::new();
    for (time_ms, values) in of_thanos {
        by_window.entry(window_of(*time_ms, FIVE_MINUTES_MS)).or_default().push(values);
    }
    let alone = |(window_ms, values): (i64, Vec<&'t HistogramValues>)| match values.as_slice() {
        [values] => Some((window_ms, *values)),
        _ => None,
    };
    by_window.into_iter().filter_map(alone).collect()
}

#[test]
fn windows_of_gauge_histograms_equal_the_sums_of_thanos() {
    let mut compared = 0;
    for pair in thanos_pairs(FIVE_MINUTES_MS) {
        let found = histogram_windows_in(converted(&pair.raw, &whole("5m")).path(), "histograms_5m");
        for (series_id, windows) in found {
            let Some(series) = pair.downsampled.get(&series_id) else { continue };
            let sums = once(&series.histograms("sum"));
            for window in windows.iter().filter(|window| window.values.hint == "gauge") {
                let at = format!("{} {} at {}", pair.name, series.labels, window.start_ms);
                let Some(thanos) = sums.get(&window.start_ms) else { continue };
                assert!(is_same(&window.values, thanos), "{at}: {window:#?} {thanos:#?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 20, "{compared}");
}

/// Count and sum of a histogram.
type CountAndSum = [f64; 2];

fn count_and_sum(values: &HistogramValues) -> CountAndSum {
    [double(values.count), double(values.sum)]
}

/// True when all have one schema and one zero threshold.
fn are_alike(histograms: &[&Histogram]) -> bool {
    let values = || histograms.iter().filter_map(|at| at.values.as_ref());
    let same = |of: fn(&HistogramValues) -> u64| values().all(|at| of(at) == of(values().next().unwrap()));
    same(|at| at.schema.cast_unsigned()) && same(|at| at.zero_threshold)
}

#[test]
fn increases_of_histograms_are_the_differences_of_thanos_counter() {
    let (mut compared, mut chunks, mut left_out) = (0, 0, 0);
    for pair in thanos_pairs(FIVE_MINUTES_MS) {
        let mut options = whole("5m");
        options.downsampling.lookback_ms = WHOLE_MS;
        let found = histogram_windows_in(converted(&pair.raw, &options).path(), "histograms_5m");
        let (_, raw) = raw_samples(&pair.raw);
        for (series_id, series) in &pair.downsampled {
            let Some(windows) = found.get(series_id) else { continue };
            let ours: BTreeMap<i64, &HistogramWindow> = windows.iter().map(|at| (at.start_ms, at)).collect();
            let counter = series.histograms("counter");
            let usable: Vec<&Histogram> = raw[series_id]
                .iter()
                .filter(|at| at.values.as_ref().is_some_and(|values| !double(values.sum).is_nan()))
                .collect();
            // A finer schema than that of the chunk is a reset to Thanos, every time; with another zero threshold it
            // begins the chunk anew. Gauges have no increase here.
            let is_counter = usable.iter().all(|at| at.values.as_ref().unwrap().hint != "gauge");
            if !is_counter || !are_alike(&usable) {
                left_out += 1;
                continue;
            }
            for &(first_ms, last_ms) in &series.chunks {
                // The total begins anew with each chunk of windows, with its first histogram.
                let mut before: Option<CountAndSum> = None;
                for (time_ms, thanos) in counter.iter().filter(|(at, _)| (first_ms..=last_ms).contains(at)) {
                    let window = ours[&window_of(*time_ms, FIVE_MINUTES_MS)];
                    let total = count_and_sum(thanos);
                    if let Some(before) = before {
                        let ours = count_and_sum(&window.values);
                        for at in 0..2 {
                            let told = format!("{} {} at {time_ms}", pair.name, series.labels);
                            let scale = total[at].abs().max(before[at].abs());
                            let difference = (total[at] - before[at] - ours[at]).abs();
                            // A sum of infinities stays one in a total, or is NaN.
                            let is_same = difference <= 1e-9 * scale || !total[at].is_finite();
                            assert!(is_same, "{told}: {before:?} to {total:?}, {ours:?}");
                        }
                        compared += 1;
                    }
                    before = Some(total);
                }
                chunks += 1;
            }
        }
    }
    assert!(compared > 10 && chunks > 20 && left_out > 0, "{compared} {chunks} {left_out}");
}

#[test]
fn windows_are_the_same_in_partitions_of_hours_days_and_months() {
    for pair in thanos_pairs(HOUR_MS)
        .into_iter()
        .filter(|pair| !["extreme_times", "delta_classes"].contains(&pair.name.as_str()))
    {
        let windows = |by| {
            let dest = converted(&pair.raw, &windows_of("5m", by));
            (windows_in(dest.path(), "samples_5m"), histogram_windows_in(dest.path(), "histograms_5m"))
        };
        let expected = windows(PartitionBy::None);
        for by in [PartitionBy::Hour, PartitionBy::Day, PartitionBy::Month] {
            let found = windows(by);
            assert!(found == expected, "{} by {by}: {found:#?} {expected:#?}", pair.name);
        }
    }
}
