//! Downsampled blocks made up by a test: windows of a counter in one chunk, as Thanos writes them.

#![allow(clippy::cast_possible_truncation, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tsdb_converter::build::BlockBuilder;
use tsdb_reader::chunks::Encoding;
use tsdb_reader::{Labels, Ulid};

use super::Sample;

/// Writes a block of `width_ms` whose source is `source`. The greater `age`, the newer the block.
pub fn write_aggregates(
    folder: &Path,
    (age, source): (u8, &str),
    external: &Value,
    (labels, samples): (&Labels, &[Sample]),
    width_ms: i64,
) -> PathBuf {
    let mut builder = BlockBuilder::new(std::env::temp_dir(), 1 << 20);
    let id = builder.add_series(labels.clone());
    let times_ms = (samples[0].0, samples[samples.len() - 1].0);
    let data = chunk(samples, width_ms).into();
    let stored = builder.store_chunk(Encoding::Aggregate, &data, times_ms).unwrap().unwrap();
    builder.attach(id, stored).unwrap();
    let ulid = |_| Ulid::from_bytes([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, age]);
    let built = builder.finish(ulid).unwrap().unwrap();
    let block = folder.join(built.ulid.to_string());
    for (file, bytes) in &built.source.files {
        let path = block.join(file.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mut meta: Value = serde_json::from_slice(&fs::read(block.join("meta.json")).unwrap()).unwrap();
    meta["thanos"] = json!({ "version": 1, "labels": external, "downsample": { "resolution": width_ms } });
    meta["compaction"] = json!({ "level": 1, "sources": [source] });
    fs::write(block.join("meta.json"), serde_json::to_vec(&meta).unwrap()).unwrap();
    block
}

/// An aggregate chunk of these samples.
fn chunk(samples: &[Sample], width_ms: i64) -> Vec<u8> {
    let mut windows: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for &(time_ms, bits, _) in samples {
        let end_ms = time_ms - time_ms.rem_euclid(width_ms) + width_ms - 1;
        windows.entry(end_ms).or_default().push(f64::from_bits(bits));
    }
    let first = f64::from_bits(samples[0].1);
    let mut columns: [Vec<(i64, f64)>; 5] = Default::default();
    columns[4].push((samples[0].0, first));
    let (mut total, mut last) = (first, first);
    for (&end_ms, values) in &windows {
        for &value in values {
            total += if value >= last { value - last } else { value };
            last = value;
        }
        let extreme = |most: fn(f64, f64) -> f64| values.iter().copied().reduce(most).unwrap();
        let row = [values.len() as f64, values.iter().sum(), extreme(f64::min), extreme(f64::max), total];
        columns.iter_mut().zip(row).for_each(|(column, value)| column.push((end_ms, value)));
    }
    let end_ms = *windows.last_key_value().unwrap().0;
    columns[4].push((end_ms, last));
    let mut data = Vec::new();
    for column in &columns {
        let entry = xor(column);
        uvarint(&mut data, entry.len() as u64);
        data.push(1);
        data.extend(entry);
    }
    data
}

/// A chunk of encoding XOR in which nothing is saved.
fn xor(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut data = (samples.len() as u16).to_be_bytes().to_vec();
    let mut bits: Vec<bool> = Vec::new();
    let mut push = |value: u64, width: u32| bits.extend((0..width).rev().map(|at| value >> at & 1 == 1));
    let (mut before_ms, mut delta_ms, mut before) = (0, 0, 0);
    for (at, &(time_ms, value)) in samples.iter().enumerate() {
        let delta = time_ms - before_ms;
        match at {
            0 => {
                uvarint(&mut data, (time_ms as u64) << 1);
                push(value.to_bits(), 64);
            }
            1 => {
                // Bits so far are those of the first value.
                let mut varint = Vec::new();
                uvarint(&mut varint, delta as u64);
                varint.into_iter().for_each(|byte| push(byte.into(), 8));
            }
            _ => {
                push(0b1111, 4);
                push((delta - delta_ms) as u64, 64);
            }
        }
        match value.to_bits() ^ before {
            _ if at == 0 => {}
            0 => push(0, 1),
            xor => {
                push(0b11, 2);
                push(0, 11);
                push(xor, 64);
            }
        }
        (before_ms, delta_ms, before) = (time_ms, delta, value.to_bits());
    }
    data.extend(bits.chunks(8).map(|byte| {
        (0..8).fold(0, |all, at| all << 1 | u8::from(byte.get(at).copied().unwrap_or_default()))
    }));
    data
}

fn uvarint(data: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        data.push(value as u8 | 0x80);
        value >>= 7;
    }
    data.push(value as u8);
}
