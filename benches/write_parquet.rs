//! How much processor time does a sample cost as Parquet, and how many bytes? Against plain copying of the same columns.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod rows;

use std::hint::black_box;

use rows::{best_ns_per_row, slices};
use tsdb_converter::rows::SampleRows;
use tsdb_converter::sink::{Compression, Encoder, Layout, OutputOptions, Profile, TableWriters};

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let slices = slices();
    let rows: usize = slices.iter().map(SampleRows::len).sum();
    println!("{rows} samples, {} slices", slices.len());
    let copy = best_ns_per_row(rows, 5, || {
        for slice in &slices {
            black_box((slice.columns.times_ms.clone(), slice.columns.values.clone()));
        }
    });
    println!("copying both columns            {copy:6.2} ns per sample");
    let mut star_ns = 0.0;
    for (profile, layout, compression) in [
        (Profile::Compact, Layout::Star, Compression::Zstd),
        (Profile::Compact, Layout::Flat, Compression::Zstd),
        (Profile::Bigquery, Layout::Star, Compression::Zstd),
        (Profile::Bigquery, Layout::Flat, Compression::Zstd),
        (Profile::Compact, Layout::Star, Compression::Snappy),
        (Profile::Compact, Layout::Star, Compression::None),
    ] {
        let label_columns = vec!["job".to_owned(), "instance".to_owned()];
        let options =
            OutputOptions { profile, layout, compression, label_columns, ..OutputOptions::default() };
        let encoder = Encoder::new(options).unwrap();
        let dest = tempfile::tempdir().unwrap();
        let mut sizes = [0, 0];
        let encode = best_ns_per_row(rows, 3, || {
            for slice in &slices {
                black_box(encoder.encode(slice).unwrap());
            }
        });
        let ns = best_ns_per_row(rows, 3, || {
            let mut tables = TableWriters::new(&encoder, dest.path(), "", "part");
            slices.iter().for_each(|slice| tables.append(encoder.encode(slice).unwrap()).unwrap());
            sizes = [0, 0];
            for file in tables.finish().unwrap() {
                sizes[usize::from(file.part().table == "series")] += file.part().size_bytes;
            }
        });
        let what = format!("{profile:?} {layout:?} {compression:?}");
        let per_row = |size: u64| size as f64 / rows as f64;
        println!(
            "{what:<24} encode {encode:6.2}, all {ns:6.2} ns per sample, {:5.1} x copying; {:.3} + {:.3} bytes per sample",
            ns / copy,
            per_row(sizes[0]),
            per_row(sizes[1]),
        );
        match layout {
            Layout::Star => star_ns = ns,
            Layout::Flat => println!("{:<24} {:.3} x star", "", ns / star_ns),
        }
    }
}
