//! Chunks of the shape that scrapes have: every 15 s, some late by milliseconds; counters, gauges of three decimals,
//! constants.

use super::resident::{Resident, random};

#[path = "../tsdb-reader/src/samples/tests/encode.rs"]
mod encode;

/// Which encoding the chunks have.
#[derive(Clone, Copy)]
#[expect(dead_code, reason = "each bench is about one of them")]
pub enum Floats {
    /// Encoding 1.
    Xor,
    /// Encoding 4.
    Xor2,
}

/// Four chunks of each of some thousand series.
pub fn made_up(encoding: Floats) -> Resident {
    const SERIES: u64 = 5_000;
    let mut chunks = Vec::new();
    let mut below = random();
    for series in 0..SERIES {
        let busy = 1 + series % 97;
        let (mut scrape_ms, mut counter) = (1_768_464_000_000i64, below(1_000_000));
        for _ in 0..4 {
            let mut samples = Vec::new();
            for _ in 0..120 {
                let late_ms = if below(5) == 0 { i64::try_from(below(7)).unwrap_or(0) } else { 0 };
                counter += below(busy);
                // Counts are small, so that they are exact.
                let value = match series % 8 {
                    0 => 1.0,
                    1 | 2 => (10_000.0 + below(busy * 10) as f64) / 1000.0,
                    _ => counter as f64,
                };
                samples.push((scrape_ms + late_ms, 0, value.to_bits()));
                scrape_ms += 15_000;
            }
            chunks.push(match encoding {
                Floats::Xor => (1, encode::xor(&samples)),
                Floats::Xor2 => (4, encode::xor2(&samples)),
            });
        }
    }
    Resident::made_up(format!("{SERIES} made-up series"), chunks)
}
