//! How much processor time does a sample cost as a line of JSON? Against formatting the same numbers with zmij and itoa
//! into one reused buffer.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench")]

mod rows;

use std::hint::black_box;

use rows::{best_ns_per_row, slices};
use tsdb_converter::rows::SampleRows;
use tsdb_converter::sink::{Compression, Encoder, Format, Layout, OutputOptions, TableWriters};

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut slices = slices();
    // Compressing everything would take a while.
    slices.truncate(12);
    let rows: usize = slices.iter().map(SampleRows::len).sum();
    let mut buffer = Vec::with_capacity(1 << 20);
    let mut reference = || {
        best_ns_per_row(rows, 3, || {
            for slice in &slices {
                for (&time_ms, &value) in slice.columns.times_ms.iter().zip(&slice.columns.values) {
                    if buffer.len() > 1 << 19 {
                        black_box(&buffer);
                        buffer.clear();
                    }
                    buffer.extend_from_slice(itoa::Buffer::new().format(time_ms).as_bytes());
                    buffer.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
                }
            }
        })
    };
    let numbers = reference();
    println!("{rows} samples\nzmij and itoa            {numbers:6.2} ns per sample");
    for (layout, compression) in [
        (Layout::Star, Compression::None),
        (Layout::Flat, Compression::None),
        (Layout::Star, Compression::Gzip),
        (Layout::Flat, Compression::Gzip),
        (Layout::Star, Compression::Zstd),
    ] {
        let options = OutputOptions { layout, compression, ..OutputOptions::new(Format::Ndjson) };
        let encoder = Encoder::new(options).unwrap();
        let dest = tempfile::tempdir().unwrap();
        let encode = best_ns_per_row(rows, 3, || {
            for slice in &slices {
                black_box(encoder.encode(slice).unwrap());
            }
        });
        let mut size = 0;
        let ns = best_ns_per_row(rows, 2, || {
            let mut tables = TableWriters::new(&encoder, dest.path(), "", "part");
            slices.iter().for_each(|slice| tables.append(encoder.encode(slice).unwrap()).unwrap());
            size = tables.finish().unwrap().iter().map(|file| file.part().size_bytes).sum();
        });
        let what = format!("{layout:?} {compression:?}");
        println!(
            "{what:<12} encode {encode:7.2} ns per sample, {:4.2} x numbers; with files {ns:7.2}, {:4.2} x; {:.2} bytes per sample",
            encode / numbers,
            ns / numbers,
            size as f64 / rows as f64,
        );
    }
    println!("zmij and itoa again      {:6.2} ns per sample", reference());
}
