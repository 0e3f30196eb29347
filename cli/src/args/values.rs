//! Values of flags: times, sizes, pairs, and names of choices.

use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tsdb_converter::downsample::Tier;
use tsdb_converter::resolution::{DurationError, Resolution, parse_duration};
use tsdb_reader::matcher::{Matcher, parse_matchers};

/// A time: RFC 3339, or milliseconds since the epoch. Parts of a millisecond count up to the next one, since all
/// samples before it are before that time.
pub fn time_ms(text: &str) -> Result<i64, String> {
    if let Ok(time_ms) = text.parse() {
        return Ok(time_ms);
    }
    let time: Timestamp = text.parse().map_err(|_| {
        "neither RFC 3339 (2026-11-20T00:00:00Z) nor milliseconds since the epoch (1795132800000)".to_owned()
    })?;
    let time_ms =
        time.as_nanosecond().div_euclid(1_000_000) + i128::from(time.as_nanosecond() % 1_000_000 != 0);
    i64::try_from(time_ms).map_err(|_| "too far from the epoch".to_owned())
}

/// A size in bytes, with or without a suffix: `512MiB`.
pub fn size_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 5] =
        [("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("tib", 1 << 40), ("b", 1)];
    let lower = text.to_ascii_lowercase();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| lower.strip_suffix(suffix).map(|number| (number.trim_end(), *unit)))
        .unwrap_or((lower.as_str(), 1));
    let wrong = || "not a size; give bytes, or a number with KiB, MiB or GiB, like 512MiB".to_owned();
    let size: u64 = number.parse().map_err(|_| wrong())?;
    size.checked_mul(unit).ok_or_else(wrong)
}

/// A text that may hold keys, and is not shown.
#[derive(Clone)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// What `--resolution` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// `as-is`: the resolution of the block.
    AsIs,
    /// This one.
    Of(Resolution),
}

impl FromStr for Width {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text == "as-is" { Ok(Self::AsIs) } else { text.parse().map(Self::Of) }
    }
}

/// An age and the resolution from then on: `40d=5m`.
pub fn tier(text: &str) -> Result<Tier, String> {
    let (age, resolution) = text.split_once('=').ok_or("not of the form age=resolution, such as 40d=5m")?;
    let min_age_ms = parse_duration(age).map_err(|error| error.to_string())?;
    let resolution = resolution.parse().map_err(|error: DurationError| error.to_string())?;
    Ok(Tier { min_age_ms, resolution })
}

/// A width of windows.
pub fn window(text: &str) -> Result<Resolution, String> {
    match text.parse() {
        Ok(Resolution::RAW) => Err("raw samples have no windows; give a width such as 5m".to_owned()),
        resolution => resolution.map_err(|error: DurationError| error.to_string()),
    }
}

/// A duration that is not 0.
pub fn lookback(text: &str) -> Result<i64, String> {
    match parse_duration(text) {
        Ok(0) => Err("a lookback of nothing finds no step; give a duration such as 1h".to_owned()),
        Ok(duration_ms) => Ok(duration_ms),
        Err(error) => Err(error.to_string()),
    }
}

/// A delay; 0s for none.
pub fn delay(text: &str) -> Result<Duration, String> {
    let delay_ms = parse_duration(text).map_err(|error| error.to_string())?;
    Ok(Duration::from_millis(u64::try_from(delay_ms).unwrap_or_default()))
}

/// A selector of external labels.
#[derive(Debug, Clone)]
pub struct Selector(pub Vec<Matcher>);

/// A selector; its matchers may match the empty value.
pub fn selector(text: &str) -> Result<Selector, String> {
    parse_matchers(text).map(Selector).map_err(|error| error.to_string())
}

/// `key=value`; the value may hold `=`.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("not of the form name=value".to_owned()),
    }
}

/// A number of shards; none for `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards(pub Option<usize>);

/// `auto`, or a number from 1 on.
pub fn shards(text: &str) -> Result<Shards, String> {
    if text == "auto" {
        return Ok(Shards(None));
    }
    let number: NonZeroUsize = text.parse().map_err(|_| "neither a number from 1 on nor auto".to_owned())?;
    Ok(Shards(Some(number.get())))
}

/// One of `choices`, each with its help, by the name under which the library knows it.
pub fn choice<T>(choices: &'static [(&'static str, &'static str)]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let values = choices.iter().map(|(name, help)| PossibleValue::new(name).help(*help));
    PossibleValuesParser::new(values)
        .try_map(|name| serde_json::from_value::<T>(serde_json::Value::String(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_milliseconds() {
        assert_eq!(time_ms("0"), Ok(0));
        assert_eq!(time_ms("-1"), Ok(-1));
        assert_eq!(time_ms("2026-11-20T00:00:00Z"), Ok(1_795_132_800_000));
        assert_eq!(time_ms("2026-11-20T01:00:00+01:00"), Ok(1_795_132_800_000));
        assert_eq!(time_ms("1969-12-31T23:59:59.999Z"), Ok(-1));
        assert_eq!(time_ms("1970-01-01T00:00:00.0001Z"), Ok(1));
        assert_eq!(time_ms("1969-12-31T23:59:59.9999Z"), Ok(0));
        assert!(time_ms("yesterday").is_err());
    }

    #[test]
    fn sizes_may_have_a_suffix() {
        assert_eq!(size_bytes("4096"), Ok(4096));
        assert_eq!(size_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(size_bytes("2 gib"), Ok(2 << 30));
        assert_eq!(size_bytes("10b"), Ok(10));
        assert!(size_bytes("1MB").is_err());
        assert!(size_bytes("-1").is_err());
        assert!(size_bytes("99999999999TiB").is_err());
    }

    #[test]
    fn labels_to_add_have_a_name() {
        assert_eq!(label("env=a=b"), Ok(("env".into(), "a=b".into())));
        assert_eq!(label("env="), Ok(("env".into(), String::new())));
        assert!(label("=x").is_err());
        assert!(label("env").is_err());
    }
}
