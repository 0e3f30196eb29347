//! What Thanos' own iterators make of replicas, hour by hour.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;

fn candidate(replica: u32, sample: &Value) -> Candidate {
    Candidate {
        time_ms: sample[0].as_i64().unwrap(),
        bits: bits(sample),
        start_time_ms: 0,
        rank: 0,
        replica,
        part: 0,
        row: 0,
        is_histogram: false,
        is_classic: false,
        is_stale: false,
        doubtful: false,
    }
}

fn bits(sample: &Value) -> u64 {
    u64::from_str_radix(sample[1].as_str().unwrap(), 16).unwrap()
}

#[test]
fn samples_and_totals_of_an_hour_are_those_of_thanos_bit_for_bit() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/expected/thanos_replicas.ndjson");
    let (mut cases, mut hours) = (0, 0);
    for line in fs::read_to_string(file).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let replicas = case["replicas"].as_array().unwrap();
        for expected in case["hours"].as_array().unwrap() {
            let is_in_hour = |sample: &&Value| {
                hour(sample[0].as_i64().unwrap()) == hour(expected["samples"][0][0].as_i64().unwrap())
            };
            let candidates: Vec<_> = (0..)
                .zip(replicas)
                .flat_map(|(replica, samples)| {
                    let samples = samples.as_array().unwrap().iter().filter(is_in_hour);
                    samples.map(move |sample| candidate(replica, sample))
                })
                .collect();
            let totals = Counter::default().totals(&candidates);
            let followed = follow(&totals.replicas(&candidates)).points;
            let pairs = |list: &Value| -> Vec<(i64, u64)> {
                let samples = list.as_array().unwrap().iter();
                samples.map(|sample| (sample[0].as_i64().unwrap(), bits(sample))).collect()
            };
            let samples: Vec<_> = followed.iter().map(|at| (at.time_ms, candidates[at.at].bits)).collect();
            assert_eq!(samples, pairs(&expected["samples"]), "{}", case["name"]);
            // In Thanos a counter has no stale markers.
            if case["name"] != "stale_marker" {
                let totals: Vec<_> =
                    followed.iter().map(|at| (at.time_ms, at.total.unwrap().to_bits())).collect();
                assert_eq!(totals, pairs(&expected["counter"]), "{}", case["name"]);
            }
            hours += 1;
        }
        cases += 1;
    }
    assert!(cases > 20 && hours > 40, "{cases} cases, {hours} hours");
}

#[test]
fn the_context_of_replicas_begins_with_an_hour() {
    let start_ms = 10 * HOUR_MS + 5;
    assert_eq!(context_start(start_ms, 1000, false), start_ms - 1000);
    assert_eq!(context_start(start_ms, 1000, true), 9 * HOUR_MS);
    assert_eq!(context_start(10 * HOUR_MS, HOUR_MS, true), 9 * HOUR_MS);
    assert_eq!(context_start(-5, 0, true), -HOUR_MS);
    assert_eq!(context_start(i64::MIN, HOUR_MS, true) / HOUR_MS, i64::MIN / HOUR_MS);
}
