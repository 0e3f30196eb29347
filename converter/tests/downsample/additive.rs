//! Increases add up over windows, partitions, blocks, shards and runs: against a plain reference over the samples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::time::PartitionBy;
use tsdb_reader::Labels;

use super::common::windows::{Window, plain_windows, steps, windows_in, write_block};
use super::common::{STALE, Sample, convert_to, scratch};
use super::{DAY_MS, HOUR_MS, windows_of};

/// 22:30 before a midnight.
const BEGIN_MS: i64 = 1_741_651_200_000 - 5_400_000;
const SERIES: [&str; 4] = ["a_total", "b_total", "c_total", "d_total"];

fn labels(name: &str) -> Labels {
    [(&b"__name__"[..], name.as_bytes()), (b"job", b"node")].into_iter().collect()
}

/// Times between samples: scrapes, and gaps around the lookback of an hour.
fn gap() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => Just(15_000i64),
        8 => 10_000i64..120_000,
        4 => 120_000i64..1_200_000,
        1 => HOUR_MS - 1..=HOUR_MS + 1,
        1 => HOUR_MS..10 * HOUR_MS,
    ]
}

/// What a counter does next. Whole numbers, so that sums are exact in any order.
#[derive(Debug, Clone, Copy)]
enum Next {
    Grows(u32),
    Resets(u32),
    Stale,
    Nan,
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        12 => (0u32..1000).prop_map(Next::Grows),
        2 => (0u32..50).prop_map(Next::Resets),
        1 => Just(Next::Stale),
        1 => Just(Next::Nan),
    ]
}

/// When a counter began, if it says so: some time before its sample.
fn started() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![6 => Just(None), 1 => Just(Some(0)), 2 => (0i64..2 * HOUR_MS).prop_map(Some)]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    prop::collection::vec((gap(), next(), started()), 0..60).prop_map(|steps| {
        let (mut time_ms, mut value) = (BEGIN_MS, 1000.0);
        let sample = |(gap_ms, next, started): (i64, Next, Option<i64>)| {
            time_ms += gap_ms;
            let bits = match next {
                Next::Stale => STALE,
                Next::Nan => f64::NAN.to_bits(),
                Next::Grows(by) => {
                    value += f64::from(by);
                    f64::to_bits(value)
                }
                Next::Resets(to) => {
                    value = f64::from(to);
                    value.to_bits()
                }
            };
            (time_ms, bits, started.map_or(0, |before_ms| time_ms - before_ms))
        };
        steps.into_iter().map(sample).collect()
    })
}

/// Series, where blocks end, and which samples came late, so that they are in a block of their own.
#[derive(Debug, Clone)]
struct Input {
    series: Vec<Vec<Sample>>,
    ends_ms: Vec<i64>,
    late: Vec<bool>,
}

fn input() -> impl Strategy<Value = Input> {
    let end = (0i64..30 * HOUR_MS).prop_map(|after_ms| BEGIN_MS + after_ms);
    let late = prop::collection::vec(prop::bool::weighted(0.2), 60);
    (prop::collection::vec(samples(), SERIES.len()), prop::collection::vec(end, 0..4), late).prop_map(
        |(series, mut ends_ms, late)| {
            ends_ms.sort_unstable();
            Input { series, ends_ms, late }
        },
    )
}

impl Input {
    /// Number of blocks, the late one included, which comes last.
    fn blocks(&self) -> usize {
        self.ends_ms.len() + 2
    }

    /// Writes a block; a late sample is in the last one alone.
    fn write(&self, folder: &Path, block: usize) {
        let is_inside = |(at, sample): &(usize, &Sample)| match self.late[*at] {
            true => block == self.ends_ms.len() + 1,
            false => block == self.ends_ms.partition_point(|end_ms| *end_ms <= sample.0),
        };
        let of_block = |samples: &Vec<Sample>| -> Vec<Sample> {
            samples.iter().enumerate().filter(is_inside).map(|(_, sample)| *sample).collect()
        };
        let named = SERIES.iter().zip(&self.series);
        let series: Vec<_> = named.map(|(name, samples)| (labels(name), of_block(samples))).collect();
        write_block(folder, u8::try_from(block).unwrap(), &series);
    }

    /// The windows that there are to be.
    fn windows(&self, width_ms: i64) -> BTreeMap<i64, Vec<Window>> {
        let named = SERIES.iter().zip(&self.series);
        let windows = named
            .map(|(name, samples)| (series_id(&labels(name)), plain_windows(samples, width_ms, HOUR_MS)));
        windows.filter(|(_, windows)| !windows.is_empty()).collect()
    }

    fn is_empty(&self) -> bool {
        self.series.iter().all(Vec::is_empty)
    }
}

/// Removes the blocks that end before `start_ms`.
fn expire(folder: &Path, start_ms: i64) {
    for block in std::fs::read_dir(folder).unwrap().map(|block| block.unwrap().path()) {
        let meta: serde_json::Value =
            serde_json::from_slice(&std::fs::read(block.join("meta.json")).unwrap()).unwrap();
        if meta["maxTime"].as_i64().unwrap() <= start_ms {
            std::fs::remove_dir_all(block).unwrap();
        }
    }
}

/// Sum of the increases of each series.
fn sums(windows: &BTreeMap<i64, Vec<Window>>) -> BTreeMap<i64, f64> {
    let sum = |windows: &Vec<Window>| windows.iter().map(Window::increase).sum();
    windows.iter().map(|(series_id, windows)| (*series_id, sum(windows))).collect()
}

fn sharded(width: &str, partition_by: PartitionBy, shards: usize) -> ConvertOptions {
    ConvertOptions { shards: Some(shards), ..windows_of(width, partition_by) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn windows_equal_the_plain_reference_however_the_work_is_cut(input in input()) {
        prop_assume!(!input.is_empty());
        let source = scratch();
        (0..input.blocks()).for_each(|block| input.write(source.path(), block));
        let named = SERIES.iter().zip(&input.series);
        let total = |samples: &Vec<Sample>| steps(samples, HOUR_MS).iter().map(|(_, step)| step).sum();
        let totals: BTreeMap<i64, f64> =
            named.map(|(name, samples)| (series_id(&labels(name)), total(samples))).collect();
        for (width, width_ms, by, shards, threads) in [
            ("5m", 300_000, PartitionBy::Hour, 3, 4),
            ("5m", 300_000, PartitionBy::Day, 1, 1),
            ("1h", HOUR_MS, PartitionBy::Hour, 1, 1),
            ("1h", HOUR_MS, PartitionBy::Day, 3, 4),
            ("1d", DAY_MS, PartitionBy::Day, 1, 4),
            ("90m", 5_400_000, PartitionBy::None, 3, 1),
        ] {
            let dest = scratch();
            let report = convert_to(source.path(), dest.path(), &sharded(width, by, shards), threads).unwrap();
            prop_assert!(report.adds_up, "{report:#?}");
            let found = windows_in(dest.path(), &format!("samples_{width}"));
            prop_assert_eq!(&found, &input.windows(width_ms), "{} by {}", width, by);
            for (series_id, sum) in sums(&found) {
                prop_assert_eq!(sum, totals[&series_id], "{} by {}", width, by);
            }
        }
    }

    #[test]
    fn runs_over_more_and_more_blocks_end_where_one_over_all_does(input in input()) {
        prop_assume!(!input.is_empty());
        let (source, dest) = (scratch(), scratch());
        let options = sharded("5m", PartitionBy::Hour, 1);
        for block in 0..input.blocks() {
            input.write(source.path(), block);
            if std::fs::read_dir(source.path()).unwrap().next().is_some() {
                let report = convert_to(source.path(), dest.path(), &options, 2).unwrap();
                prop_assert!(report.adds_up && report.units.frozen == 0, "{report:#?}");
            }
        }
        prop_assert_eq!(windows_in(dest.path(), "samples_5m"), input.windows(300_000));
    }

    #[test]
    fn late_blocks_end_where_one_run_does_though_each_hour_before_has_expired(input in input()) {
        let (source, dest) = (scratch(), scratch());
        let options = sharded("5m", PartitionBy::Hour, 1);
        let run = || -> Result<(), TestCaseError> {
            let report = convert_to(source.path(), dest.path(), &options, 2).unwrap();
            prop_assert!(report.adds_up && report.units.frozen == 0, "{report:#?}");
            prop_assert!(report.findings.is_empty(), "{report:#?}");
            Ok(())
        };
        let times_ms = input.series.iter().flatten().map(|sample| sample.0);
        let hours: BTreeSet<i64> = times_ms.map(|time_ms| time_ms.div_euclid(HOUR_MS) * HOUR_MS).collect();
        prop_assume!(hours.len() < 128);
        let mut ages = 0..;
        for start_ms in hours {
            for late in [false, true] {
                let is_inside = |(at, sample): &(usize, &Sample)| {
                    input.late[*at] == late && (start_ms..start_ms + HOUR_MS).contains(&sample.0)
                };
                let of_block = |samples: &Vec<Sample>| -> Vec<Sample> {
                    samples.iter().enumerate().filter(is_inside).map(|(_, sample)| *sample).collect()
                };
                let named = SERIES.iter().zip(&input.series);
                let mut series: Vec<_> =
                    named.map(|(name, samples)| (labels(name), of_block(samples))).collect();
                if late {
                    expire(source.path(), start_ms);
                } else {
                    // So that each hour is converted before its late samples come.
                    series.push((labels("beat"), vec![(start_ms, 0, 0)]));
                }
                write_block(source.path(), ages.next().unwrap(), &series);
                run()?;
            }
        }
        let mut found = windows_in(dest.path(), "samples_5m");
        found.remove(&series_id(&labels("beat")));
        prop_assert_eq!(found, input.windows(300_000));
    }

    #[test]
    fn blocks_that_expire_take_nothing_along(input in input()) {
        prop_assume!(!input.is_empty());
        let (source, dest) = (scratch(), scratch());
        let options = sharded("5m", PartitionBy::Hour, 1);
        (0..input.blocks()).for_each(|block| input.write(source.path(), block));
        convert_to(source.path(), dest.path(), &options, 2).unwrap();
        let mut blocks: Vec<_> = std::fs::read_dir(source.path()).unwrap().map(|at| at.unwrap().path()).collect();
        blocks.sort();
        for block in &blocks[..blocks.len() - 1] {
            std::fs::remove_dir_all(block).unwrap();
            convert_to(source.path(), dest.path(), &options, 2).unwrap();
            prop_assert_eq!(windows_in(dest.path(), "samples_5m"), input.windows(300_000));
        }
    }
}
