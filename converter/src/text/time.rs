//! Times as ISO 8601 with milliseconds: `2026-11-20T12:34:56.789Z`.

const MS_PER_DAY: i64 = 86_400_000;

/// First and last millisecond of the years 1 to 9999.
const YEARS_1_TO_9999_MS: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_999);

/// Characters of a time.
pub const TIME_LEN: usize = 24;

/// Writes times, and keeps the minute of the last one: many follow in the same.
#[derive(Debug, Clone)]
pub struct TimeWriter {
    day: i64,
    date: [u8; 11],
    minute_ms: i64,
    /// Date, hour and minute: `2026-11-20T12:34:`
    minute: [u8; 17],
}

impl TimeWriter {
    /// A writer.
    pub fn new() -> Self {
        Self { day: 0, date: *b"1970-01-01T", minute_ms: 0, minute: *b"1970-01-01T00:00:" }
    }

    /// The text of a time in milliseconds since the epoch.
    ///
    /// Outside the years 1 to 9999 ISO 8601 has no form for it; the nearest end of that range is written.
    #[inline]
    pub fn text(&mut self, time_ms: i64) -> [u8; TIME_LEN] {
        let mut in_minute_ms = time_ms.wrapping_sub(self.minute_ms);
        if !(0..60_000).contains(&in_minute_ms) {
            in_minute_ms = self.turn(time_ms);
        }
        // Below 60,000.
        let in_minute_ms = u32::try_from(in_minute_ms).unwrap_or_default();
        let (second, ms) = (in_minute_ms / 1000, in_minute_ms % 1000);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] = self.minute;
        let [r, s] = [digit(second / 10), digit(second % 10)];
        let [t, u, v] = [digit(ms / 100), digit(ms / 10 % 10), digit(ms % 10)];
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, b'.', t, u, v, b'Z']
    }

    /// Appends the text of a time.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, time_ms: i64) {
        out.extend_from_slice(&self.text(time_ms));
    }

    /// Turns to the minute of a time, and returns the milliseconds since its beginning.
    fn turn(&mut self, time_ms: i64) -> i64 {
        let (min_ms, max_ms) = YEARS_1_TO_9999_MS;
        let time_ms = time_ms.clamp(min_ms, max_ms);
        let day = time_ms.div_euclid(MS_PER_DAY);
        if day != self.day {
            self.date = date(day);
            self.day = day;
        }
        let minutes = u32::try_from(time_ms.rem_euclid(MS_PER_DAY) / 60_000).unwrap_or_default();
        let (hour, minute) = (minutes / 60, minutes % 60);
        let [a, b, c, d, e, f, g, h, i, j, k] = self.date;
        let [l, m] = [digit(hour / 10), digit(hour % 10)];
        let [n, o] = [digit(minute / 10), digit(minute % 10)];
        self.minute = [a, b, c, d, e, f, g, h, i, j, k, l, m, b':', n, o, b':'];
        self.minute_ms = time_ms.div_euclid(60_000) * 60_000;
        time_ms - self.minute_ms
    }
}

impl Default for TimeWriter {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "callers pass one decimal digit")]
fn digit(value: u32) -> u8 {
    b'0' + value as u8
}

/// The date of a day since the epoch, with the `T` that follows it. Years 1 to 9999.
fn date(day: i64) -> [u8; 11] {
    // Howard Hinnant's civil_from_days: days are counted from 0000-03-01, so that leap days end a year.
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let digit = |value: i64| digit(u32::try_from(value % 10).unwrap_or_default());
    [
        digit(year / 1000),
        digit(year / 100),
        digit(year / 10),
        digit(year),
        b'-',
        digit(month / 10),
        digit(month),
        b'-',
        digit(day_of_month / 10),
        digit(day_of_month),
        b'T',
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(time_ms: i64) -> String {
        let mut out = Vec::new();
        TimeWriter::new().push(&mut out, time_ms);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_times_have_their_text() {
        for (time_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_178_096_789, "2026-11-20T12:34:56.789Z"),
            (YEARS_1_TO_9999_MS.0, "0001-01-01T00:00:00.000Z"),
            (YEARS_1_TO_9999_MS.1, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0001-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(time_ms), expected);
        }
    }

    #[test]
    fn every_day_of_the_range_agrees_with_a_calendar_library() {
        let mut writer = TimeWriter::new();
        let mut out = Vec::new();
        let (min_ms, max_ms) = YEARS_1_TO_9999_MS;
        // Steps that are no divisor of a day visit every day at changing times.
        for time_ms in (min_ms..max_ms).step_by(86_123_457) {
            out.clear();
            writer.push(&mut out, time_ms);
            let expected = jiff::Timestamp::from_millisecond(time_ms);
            if let Ok(expected) = expected {
                assert_eq!(std::str::from_utf8(&out).unwrap(), format!("{expected:.3}"));
            }
        }
    }
}
