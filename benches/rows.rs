//! Rows like those of a fleet: scraped every 15 s with jitter; counters, gauges, buckets and constants, a mixture that
//! compresses about as the blocks of real servers do.
#![expect(clippy::indexing_slicing, reason = "indices are remainders of the lengths")]

use benches::cpu_seconds;
use tsdb_converter::rows::{SampleRows, SeriesExtent, SeriesRows};
use tsdb_reader::Labels;

/// Series of the block that the bounds speak of, samples per series, and rows per slice.
pub const SERIES: usize = 50_000;
pub const SAMPLES: usize = 480;
pub const SLICE_ROWS: usize = 512 << 10;

const START_MS: i64 = 1_795_132_800_000;

/// A small generator of numbers.
pub struct Random(u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> i64 {
        (self.next() % limit).cast_signed()
    }
}

/// Slices of whole series, all samples of the block together.
pub fn slices() -> Vec<SampleRows> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut slices = vec![SampleRows::default()];
    for series in 0..SERIES {
        if slices.last().is_none_or(|slice| slice.len() + SAMPLES > SLICE_ROWS) {
            slices.push(SampleRows::default());
        }
        if let Some(slice) = slices.last_mut() {
            push_series(slice, series, &mut random);
        }
    }
    slices
}

fn push_series(rows: &mut SampleRows, series: usize, random: &mut Random) {
    let kind = series / 500 % 5;
    let target = series % 100;
    let metric =
        format!("service_{:02}_{}", series / 500, ["bucket", "total", "bytes", "ratio", "info"][kind]);
    let instance = format!("10.0.{}.{}:9100", target / 16, target % 16);
    let path = format!("/api/v1/endpoint/{}", series / 100 % 5);
    let bound = format!("{}", [0.005, 0.05, 0.5, 5.0, 50.0][series / 100 % 5]);
    let pairs: [(&[u8], &[u8]); 7] = [
        (b"__name__", metric.as_bytes()),
        (b"cluster", b"eu-west-1-prod"),
        (b"handler", path.as_bytes()),
        (b"instance", instance.as_bytes()),
        (b"job", [&b"node"[..], b"api", b"db"][target % 3]),
        (b"le", bound.as_bytes()),
        (b"namespace", b"monitoring"),
    ];
    let labels: Labels = pairs.into_iter().collect();
    let series_id = (series as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).cast_signed();
    // Series of a target share their scrapes.
    let mut scrapes = Random(0x1234_5678_9abc_def1 ^ (target as u64) << 32);
    let mut value = (random.below(100_000)) as f64;
    for sample in 0..SAMPLES {
        let jitter_ms = if scrapes.below(3) == 0 { scrapes.below(9) - 4 } else { 0 };
        let time_ms = START_MS + target as i64 * 137 + sample as i64 * 15_000 + jitter_ms;
        value = match kind {
            0 if random.below(3) > 0 => value,
            0 => value + random.below(4) as f64,
            1 => value + random.below(200) as f64 / 100.0,
            2 if random.below(2) == 0 => value,
            2 => (random.below(1 << 18) * 4096) as f64,
            3 => random.below(1000) as f64 / 1000.0,
            _ => 1.0,
        };
        rows.columns.times_ms.push(time_ms);
        rows.columns.values.push(value);
    }
    let times_ms = rows.columns.times_ms.get(rows.columns.len() - SAMPLES..).unwrap_or_default();
    let extent = SeriesExtent::of(times_ms);
    rows.series.push(SeriesRows { end: rows.columns.len(), ..SeriesRows::new(labels, series_id, extent) });
}

/// Best processor time of some runs, in nanoseconds per row.
pub fn best_ns_per_row(rows: usize, runs: usize, mut work: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..runs {
        let before = cpu_seconds();
        work();
        best = best.min(cpu_seconds() - before);
    }
    best * 1e9 / rows as f64
}
