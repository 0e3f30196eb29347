//! Names, visibility and cuts of part files.

use super::*;

fn tables_with_rows(dest: &Path) -> (Encoder, TableWriters) {
    let encoder = Encoder::new(OutputOptions::default()).unwrap();
    let mut tables = TableWriters::new(&encoder, dest, "", "part-x");
    tables.append(encoder.encode(&special_rows()).unwrap()).unwrap();
    (encoder, tables)
}

fn names(dest: &Path) -> Vec<String> {
    files_below(dest).into_keys().collect()
}

#[test]
fn same_slices_become_the_same_bytes_whatever_the_options() {
    let slices = [special_rows(), scraped_rows(50, 100)];
    for options in all_options() {
        let (first, second) = (write(&options, &slices), write(&options, &slices));
        assert_eq!(files_below(first.dest.path()), files_below(second.dest.path()), "{options:?}");
        assert_eq!(first.parts, second.parts);
    }
}

#[test]
fn parts_tell_rows_series_times_size_and_checksum_of_their_files() {
    for options in all_options() {
        let written = write(&options, &[special_rows(), scraped_rows(3, 10)]);
        for part in &written.parts {
            let bytes = fs::read(written.dest.path().join(&part.path)).unwrap();
            assert_eq!(part.size_bytes, bytes.len() as u64);
            assert_eq!(part.crc32c, crc32c::crc32c(&bytes));
            assert_eq!(part.series, 6);
            assert_eq!(part.rows, if part.table == "samples" { 41 } else { 6 });
            assert_eq!((part.min_time_ms, part.max_time_ms), (-62_135_596_800_000, 253_402_300_799_999));
        }
        let expected = |table| {
            format!("{table}/dt=2026-11-20/part-2026-11-20-0000-1a2b3c4d-0000.{}", options.extension())
        };
        assert_eq!(names(written.dest.path()), [expected("samples"), expected("series")]);
        assert_eq!(written.replaced_utf8, 2);
    }
}

#[test]
fn a_file_ends_with_the_slice_that_brings_it_to_its_size() {
    let slices: Vec<_> = (0..5).map(|_| scraped_rows(10, 200)).collect();
    for format in [Format::Parquet, Format::Ndjson] {
        let whole = write(&OutputOptions::new(format), &slices);
        assert_eq!(whole.parts.len(), 2);
        let per_slice = whole.parts[0].size_bytes / 5;
        let options =
            OutputOptions { target_file_size_bytes: per_slice * 3 / 2, ..OutputOptions::new(format) };
        let cut = write(&options, &slices);
        let samples: Vec<_> = cut.parts.iter().filter(|part| part.table == "samples").collect();
        let rows: Vec<_> = samples.iter().map(|part| part.rows).collect();
        assert_eq!(rows, [4_000, 4_000, 2_000], "{format:?}");
        assert!(samples[2].path.contains("-1a2b3c4d-0002."), "{}", samples[2].path);
    }
}

#[test]
fn nothing_is_visible_under_a_final_name_before_it_is_published() {
    let dest = tempfile::tempdir().unwrap();
    let (_, tables) = tables_with_rows(dest.path());
    let files = tables.finish().unwrap();
    let temporary = ["samples/.tmp-part-x-0000.parquet", "series/.tmp-part-x-0000.parquet"];
    assert_eq!(names(dest.path()), temporary);
    for (file, expected) in files.iter().zip(temporary) {
        assert_eq!(file.temporary_path(), dest.path().join(expected));
    }
    for file in files {
        assert!(file.part().rows > 0);
        file.publish().unwrap();
    }
    assert_eq!(names(dest.path()), ["samples/part-x-0000.parquet", "series/part-x-0000.parquet"]);
}

#[test]
fn what_is_given_up_or_dropped_leaves_no_file() {
    let dest = tempfile::tempdir().unwrap();
    let (_, tables) = tables_with_rows(dest.path());
    tables.abort();
    assert_eq!(names(dest.path()), [""; 0]);
    let (_, tables) = tables_with_rows(dest.path());
    drop(tables.finish().unwrap());
    assert_eq!(names(dest.path()), [""; 0]);
}

#[test]
fn no_rows_make_no_file() {
    for format in [Format::Parquet, Format::Ndjson] {
        let written = write(&OutputOptions::new(format), &[SampleRows::default()]);
        assert!(written.parts.is_empty());
        assert_eq!(names(written.dest.path()), [""; 0]);
    }
}

#[test]
fn rows_of_another_format_are_refused() {
    let dest = tempfile::tempdir().unwrap();
    let (_, mut tables) = tables_with_rows(dest.path());
    let other = Encoder::new(OutputOptions::new(Format::Ndjson)).unwrap();
    assert!(matches!(tables.append(other.encode(&special_rows()).unwrap()), Err(SinkError::OtherEncoder)));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dest = tempfile::tempdir().unwrap();
    fs::write(dest.path().join("samples"), b"in the way").unwrap();
    let encoder = Encoder::new(OutputOptions::default()).unwrap();
    let mut tables = TableWriters::new(&encoder, dest.path(), "dt=2026-11-20", "part-x");
    let error = tables.append(encoder.encode(&special_rows()).unwrap()).unwrap_err();
    assert!(error.to_string().contains("samples/dt=2026-11-20"), "{error}");
}

#[test]
fn encoders_are_shared_by_threads_and_what_they_make_is_passed_between_them() {
    fn shared<T: Send + Sync>() {}
    fn passed<T: Send>() {}
    shared::<Encoder>();
    passed::<EncodedRows>();
    passed::<TableWriters>();
    passed::<PartFile>();
    let encoder = Encoder::new(OutputOptions::default()).unwrap();
    let slices: Vec<_> = (1..5).map(|series| scraped_rows(series * 10, 50)).collect();
    let dest = tempfile::tempdir().unwrap();
    let mut tables =
        TableWriters::new(&encoder, dest.path(), "dt=2026-11-20", "part-2026-11-20-0000-1a2b3c4d");
    let encoded: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            slices.iter().map(|slice| scope.spawn(|| encoder.encode(slice).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    encoded.into_iter().for_each(|rows| tables.append(rows).unwrap());
    for file in tables.finish().unwrap() {
        file.publish().unwrap();
    }
    let in_turn = write(&OutputOptions::default(), &slices);
    assert_eq!(files_below(dest.path()), files_below(in_turn.dest.path()));
}
