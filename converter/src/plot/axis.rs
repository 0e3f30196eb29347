//! Axes: which part of them is shown, where their ticks are, and what is written there.
//!
//! All that is drawn is placed between 0 and 1, so that no time or value, however large, meets the arithmetic of the
//! drawing library.

use crate::time::display_time;

/// Ticks of an axis, about.
const TICKS: i32 = 6;

/// Values beyond are drawn at it: their differences are still finite.
const LARGEST: f64 = 1e300;

/// Widths between ticks of time.
const TIME_STEPS_MS: [i64; 24] = [
    1,
    10,
    100,
    500,
    1_000,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    3 * 3_600_000,
    6 * 3_600_000,
    12 * 3_600_000,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    30 * DAY_MS,
    90 * DAY_MS,
];

const DAY_MS: i64 = 86_400_000;

/// A place on an axis with something to say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// From 0 to 1.
    pub(super) at: f64,
    /// What is written there.
    pub(super) text: String,
}

/// The shown part of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// From low to high.
    pub(super) ticks: Vec<Tick>,
}

impl Axis {
    /// Of the times from `first_ms` to `last_ms`.
    pub(super) fn of_times(first_ms: i64, last_ms: i64) -> Self {
        let span_ms = last_ms.saturating_sub(first_ms).max(1);
        let last_ms = first_ms.saturating_add(span_ms);
        let fits = |step_ms: &i64| *step_ms as f64 * f64::from(TICKS) >= span_ms as f64;
        let many_days = || (span_ms / (6 * DAY_MS) + 1).saturating_mul(DAY_MS);
        let step_ms = TIME_STEPS_MS.into_iter().find(fits).unwrap_or_else(many_days);
        let mut axis = Self { low: first_ms as f64, high: last_ms as f64, ticks: Vec::new() };
        let first_tick_ms = first_ms.saturating_add((step_ms - first_ms.rem_euclid(step_ms)) % step_ms);
        let mut tick_ms = Some(first_tick_ms);
        while let Some(time_ms) = tick_ms.filter(|&time_ms| time_ms <= last_ms) {
            axis.ticks.push(Tick { at: axis.place(time_ms as f64), text: time_text(time_ms, step_ms) });
            tick_ms = time_ms.checked_add(step_ms);
        }
        axis
    }

    /// Of all finite values.
    pub(super) fn of_values(values: impl Iterator<Item = f64>) -> Self {
        let finite = values.filter(|value| value.is_finite()).map(|value| value.clamp(-LARGEST, LARGEST));
        let bounds = finite.fold(None, |bounds, value| {
            let (low, high) = bounds.unwrap_or((value, value));
            Some((value.min(low), value.max(high)))
        });
        let (low, high) = match bounds {
            None => (0.0, 1.0),
            Some((low, high)) if high - low <= f64::EPSILON * high.abs().max(low.abs()) => {
                let margin = (high.abs() * 0.1).max(f64::MIN_POSITIVE / f64::EPSILON);
                (low - margin, high + margin)
            }
            Some((low, high)) => {
                let margin = (high - low) * 0.04;
                (low - margin, high + margin)
            }
        };
        let mut axis = Self { low, high, ticks: Vec::new() };
        axis.ticks = axis.value_ticks();
        axis
    }

    fn value_ticks(&self) -> Vec<Tick> {
        let about = (self.high - self.low) / f64::from(TICKS);
        let power = 10f64.powf(about.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|&step| step >= about);
        let Some(step) = step.filter(|step| step.is_normal()) else { return Vec::new() };
        let first = (self.low / step).ceil();
        let ticks = (0..=TICKS + 1).map(|nth| (first + f64::from(nth)) * step);
        let ticks = ticks.take_while(|&value| value <= self.high);
        ticks.map(|value| Tick { at: self.place(value), text: value_text(value, step) }).collect()
    }

    /// Where a time or a value is, from 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        ((value.clamp(-LARGEST, LARGEST) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// A time as far as ticks differ in it.
fn time_text(time_ms: i64, step_ms: i64) -> String {
    let text = display_time(time_ms);
    let (date, time) = text.trim_end_matches('Z').split_once('T').unwrap_or((&text, &text));
    let shown = match step_ms {
        _ if step_ms >= DAY_MS => Some(date),
        _ if step_ms >= 60_000 => time.get(..5),
        _ => Some(time),
    };
    shown.unwrap_or(&text).to_owned()
}

/// A value as far as ticks differ in it.
#[expect(clippy::cast_possible_truncation, reason = "numbers of digits are clamped")]
fn value_text(value: f64, step: f64) -> String {
    let digits = |of: f64| of.abs().log10().floor();
    // Multiples of the step are not exact: what is 0 may be almost 0.
    let value = if value.abs() < step / 2.0 { 0.0 } else { value };
    if (1e-4..1e7).contains(&value.abs().max(step)) {
        let decimals = (-digits(step)).clamp(0.0, 12.0) as usize;
        return format!("{value:.decimals$}");
    }
    let decimals = (digits(value) - digits(step)).clamp(0.0, 15.0) as usize;
    format!("{value:.decimals$e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.text.as_str()).collect()
    }

    #[test]
    fn ticks_of_time_are_round_in_utc() {
        let day = Axis::of_times(1_795_132_800_000, 1_795_132_800_000 + DAY_MS - 1);
        assert_eq!(texts(&day), ["00:00", "06:00", "12:00", "18:00"]);
        let hour = Axis::of_times(1_795_132_800_001, 1_795_132_800_000 + 3_600_000);
        assert_eq!(texts(&hour), ["00:10", "00:20", "00:30", "00:40", "00:50", "01:00"]);
        let month = Axis::of_times(1_795_132_800_000, 1_795_132_800_000 + 30 * DAY_MS);
        assert_eq!(texts(&month)[0], "2026-11-26");
        assert_eq!(Axis::of_times(0, 0).ticks.len(), 2);
    }

    #[test]
    fn ticks_of_values_are_round() {
        assert_eq!(
            texts(&Axis::of_values([0.0, 1.0].into_iter())),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(texts(&Axis::of_values([-3e9, 5e9].into_iter())), ["-2e9", "0e0", "2e9", "4e9"]);
        assert_eq!(texts(&Axis::of_values([7.0].into_iter())), ["6.5", "7.0", "7.5"]);
        assert_eq!(texts(&Axis::of_values(std::iter::empty())), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    }

    #[test]
    fn no_range_is_too_wide_or_too_narrow() {
        let some =
            [0.0, -0.0, f64::MAX, f64::MIN, 5e-324, 1e-300, 1e15, 1e15 + 0.125, f64::INFINITY, f64::NAN];
        for low in some {
            for high in some {
                let axis = Axis::of_values([low, high].into_iter());
                assert!(axis.ticks.len() < 10, "{axis:?}");
                for place in [low, high, f64::INFINITY].map(|value| axis.place(value)) {
                    assert!(
                        (0.0..=1.0).contains(&place) || low.is_nan() || high.is_nan(),
                        "{axis:?} {place}"
                    );
                }
            }
        }
        for first_ms in [i64::MIN, -1, 0, i64::MAX - 1, i64::MAX] {
            for last_ms in [i64::MIN, -1, 0, i64::MAX - 1, i64::MAX] {
                assert!(Axis::of_times(first_ms, last_ms).ticks.len() < 10);
            }
        }
    }
}
