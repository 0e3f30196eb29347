//! Parquet, read by the library's readers.

use std::fs::File;

use ::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use ::parquet::basic::{self, Encoding, PageType};
use ::parquet::column::page::Page;
use ::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, SortingColumn};
use ::parquet::file::page_index::column_index::ColumnIndexMetaData;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use tsdb_reader::samples::{CounterResetHint, HistogramKind, HistogramLayout, HistogramRow, Span};

use super::*;
use crate::schema::{Table, TableSchema};

fn options(layout: Layout, profile: Profile) -> OutputOptions {
    let label_columns = vec!["job".into(), "k8s.io/app".into()];
    OutputOptions { layout, profile, label_columns, ..OutputOptions::default() }
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    builder.with_batch_size(10_000).build().unwrap().map(Result::unwrap).collect()
}

fn metadata(path: &Path) -> ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.parse_and_finish(&File::open(path).unwrap()).unwrap()
}

fn strings(batches: &[RecordBatch], column: &str) -> Vec<Option<String>> {
    let arrays = batches.iter().map(|batch| batch.column_by_name(column).unwrap().as_string::<i32>());
    arrays.flat_map(|array| array.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()).collect()
}

fn integers(batches: &[RecordBatch], column: &str) -> Vec<Option<i64>> {
    let arrays = batches.iter().map(|batch| batch.column_by_name(column).unwrap());
    arrays
        .flat_map(|array| match array.as_primitive_opt::<TimestampMillisecondType>() {
            Some(times) => times.iter().collect::<Vec<_>>(),
            None => array.as_primitive::<Int64Type>().iter().collect(),
        })
        .collect()
}

fn value_bits(batches: &[RecordBatch]) -> Vec<Option<u64>> {
    let arrays = batches.iter().map(|batch| batch["value"].as_primitive::<Float64Type>());
    arrays.flat_map(|array| array.iter().map(|value| value.map(f64::to_bits)).collect::<Vec<_>>()).collect()
}

fn lossy(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Asserts that the files hold just what the slices say.
fn assert_holds(written: &Written, layout: Layout, slices: &[SampleRows]) {
    let read: Vec<_> = written.paths("samples").iter().flat_map(|path| batches(path)).collect();
    let mut expected_series = Vec::new();
    for slice in slices {
        for (series, range) in slice.floats_of(Resolution::RAW) {
            let series = &slice.series[series];
            expected_series.extend(range.map(|_| series));
        }
    }
    let label = |name: &[u8]| -> Vec<_> {
        expected_series.iter().map(|series| lossy(series.labels.get(name))).collect()
    };
    assert_eq!(strings(&read, "metric"), label(b"__name__"));
    assert_eq!(strings(&read, "job"), label(b"job"));
    assert_eq!(strings(&read, "lx_k8s_02eio_02fapp"), label(b"k8s.io/app"));
    let ids: Vec<_> = expected_series.iter().map(|series| Some(series.series_id)).collect();
    assert_eq!(integers(&read, "series_id"), ids);
    let times: Vec<_> =
        slices.iter().flat_map(|slice| &slice.columns.times_ms).map(|&time_ms| Some(time_ms)).collect();
    assert_eq!(integers(&read, "timestamp"), times);
    let values: Vec<_> = slices
        .iter()
        .flat_map(|slice| &slice.columns.values)
        .map(|value| (value.to_bits() != STALE_NAN_BITS).then_some(value.to_bits()))
        .collect();
    assert!(value_bits(&read) == values);
    let starts: Vec<_> = slices
        .iter()
        .flat_map(|slice| (0..slice.len()).map(|row| slice.columns.start_times_ms.get(row).copied()))
        .map(|start_ms| start_ms.filter(|&start_ms| start_ms != 0))
        .collect();
    assert_eq!(integers(&read, "start_timestamp"), starts);
    if layout == Layout::Flat {
        for (text, series) in strings(&read, "labels").iter().zip(expected_series) {
            let json: serde_json::Map<_, _> = serde_json::from_str(text.as_ref().unwrap()).unwrap();
            let pairs: Vec<_> =
                json.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
            let expected = series.labels.iter().filter(|(name, _)| name != b"__name__");
            let expected =
                expected.map(|(name, value)| (lossy(Some(name)).unwrap(), lossy(Some(value)).unwrap()));
            assert_eq!(pairs, expected.collect::<Vec<_>>());
        }
    }
}

#[test]
fn every_value_time_and_label_reads_back_under_every_option() {
    let slices = [special_rows(), SampleRows::default(), scraped_rows(300, 30), scraped_rows(2, 1)];
    for options in all_options().into_iter().filter(|options| options.format == Format::Parquet) {
        let written = write(&options, &slices);
        assert_holds(&written, options.layout, &slices);
    }
}

#[test]
fn rows_of_many_pages_and_stale_markers_read_back() {
    let slices = [scraped_rows(450, 480), scraped_rows(1, 300_000)];
    for profile in [Profile::Bigquery, Profile::Compact] {
        let written = write(&options(Layout::Flat, profile), &slices);
        assert_holds(&written, Layout::Flat, &slices);
    }
}

#[test]
fn series_of_one_sample_read_back_from_plain_pages() {
    let slices = [scraped_rows(140_000, 1)];
    let written = write(&options(Layout::Flat, Profile::Compact), &slices);
    assert_holds(&written, Layout::Flat, &slices);
    let metadata = metadata(&written.only_path("samples"));
    let encodings = |name: &str| {
        let column =
            metadata.row_group(0).columns().iter().find(|column| column.column_path().string() == name);
        column.unwrap().encodings().collect::<Vec<_>>()
    };
    assert!(!encodings("labels").contains(&Encoding::RLE_DICTIONARY));
    assert!(!encodings("series_id").contains(&Encoding::RLE_DICTIONARY));
    assert!(encodings("metric").contains(&Encoding::RLE_DICTIONARY));
}

#[test]
fn start_timestamps_of_some_rows_read_back_over_many_pages() {
    let mut rows = scraped_rows(10, 40_000);
    rows.columns.start_times_ms =
        (0..rows.len()).map(|row| if row / 1000 % 3 == 0 { 0 } else { row as i64 / 777 }).collect();
    let slices = [rows];
    for profile in [Profile::Bigquery, Profile::Compact] {
        assert_holds(&write(&options(Layout::Star, profile), &slices), Layout::Star, &slices);
    }
}

#[test]
fn the_schema_of_the_files_is_the_described_one() {
    for layout in [Layout::Star, Layout::Flat] {
        let options = options(layout, Profile::Bigquery);
        let written = write(&options, &[special_rows()]);
        for (table, name) in [(Table::Samples(Resolution::RAW), "samples"), (Table::Series, "series")] {
            let file = File::open(written.only_path(name)).unwrap();
            let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(
                file,
                ArrowReaderOptions::new().with_skip_arrow_metadata(true),
            )
            .unwrap();
            assert_eq!(**builder.schema(), TableSchema::new(table, &options).unwrap().arrow());
            let file_metadata = builder.metadata().file_metadata();
            assert_eq!(file_metadata.key_value_metadata(), None);
            assert_eq!(file_metadata.created_by(), Some("promblock 1.0"));
            assert_eq!(file_metadata.version(), 1);
        }
    }
}

#[test]
fn times_are_adjusted_to_utc_and_lists_named_by_the_specification() {
    let written = write(&options(Layout::Star, Profile::Bigquery), &[special_rows()]);
    let metadata = metadata(&written.only_path("samples"));
    let times = metadata.file_metadata().schema_descr().column(4);
    assert_eq!(times.name(), "timestamp");
    let utc_ms = basic::LogicalType::timestamp(true, basic::TimeUnit::MILLIS);
    assert_eq!(times.logical_type_ref(), Some(&utc_ms));
    assert_eq!(times.converted_type(), basic::ConvertedType::TIMESTAMP_MILLIS);
    let metadata = self::metadata(&written.only_path("series"));
    let leaves = metadata.file_metadata().schema_descr();
    let paths: Vec<_> = leaves.columns().iter().map(|leaf| leaf.path().string()).collect();
    assert!(paths.contains(&"label_pairs.list.element.name".to_owned()), "{paths:?}");
}

/// Type and encoding of the pages of a column.
fn pages(path: &Path, column: &str) -> Vec<(PageType, Encoding)> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let row_group = reader.get_row_group(0).unwrap();
    let at = row_group.metadata().columns().iter().position(|c| c.column_path().string() == column).unwrap();
    let pages = row_group.get_column_page_reader(at).unwrap();
    pages.map(|page| page.unwrap()).map(|page: Page| (page.page_type(), page.encoding())).collect()
}

#[test]
fn pages_are_version_1_with_the_encodings_of_the_profile() {
    use Encoding::{BYTE_STREAM_SPLIT, DELTA_BINARY_PACKED, PLAIN, RLE_DICTIONARY};
    let rows = scraped_rows(600, 480);
    let dictionary = [
        (PageType::DICTIONARY_PAGE, PLAIN),
        (PageType::DATA_PAGE, RLE_DICTIONARY),
        (PageType::DATA_PAGE, RLE_DICTIONARY),
        (PageType::DATA_PAGE, RLE_DICTIONARY),
    ];
    for (profile, time, value) in
        [(Profile::Bigquery, PLAIN, PLAIN), (Profile::Compact, DELTA_BINARY_PACKED, BYTE_STREAM_SPLIT)]
    {
        let written = write(&options(Layout::Flat, profile), std::slice::from_ref(&rows));
        let path = written.only_path("samples");
        // 288,000 rows are three pages of 131,072.
        for column in ["metric", "job", "labels", "series_id"] {
            assert_eq!(pages(&path, column), dictionary, "{column}");
        }
        assert_eq!(pages(&path, "timestamp"), [(PageType::DATA_PAGE, time); 3]);
        assert_eq!(pages(&path, "value"), [(PageType::DATA_PAGE, value); 3]);
        for column in ["lx_k8s_02eio_02fapp", "start_timestamp"] {
            assert_eq!(pages(&path, column), [(PageType::DATA_PAGE, PLAIN); 3], "{column} is null");
        }
        let series = pages(&written.only_path("series"), "label_pairs.list.element.value");
        assert!(series.iter().all(|&(kind, _)| kind != PageType::DATA_PAGE_V2));
    }
}

#[test]
fn a_long_slice_is_split_into_row_groups() {
    for (rows, expected) in [
        (1usize << 20, vec![1i64 << 20]),
        ((1 << 20) + 1, vec![1 << 19, (1 << 19) + 1]),
        (5 << 18, vec![1 << 19, 3 << 18]),
    ] {
        let slice = [scraped_rows(1, rows - 100), scraped_rows(1, 100)];
        let mut joined = slice[0].clone();
        joined.series.push(SeriesRows { end: rows, ..slice[1].series[0].clone() });
        joined.columns.times_ms.extend(&slice[1].columns.times_ms);
        joined.columns.values.extend(&slice[1].columns.values);
        let written = write(&options(Layout::Star, Profile::Compact), &[joined]);
        let metadata = metadata(&written.only_path("samples"));
        let counts: Vec<_> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(counts, expected);
        assert_holds(&written, Layout::Star, &slice);
    }
}

#[test]
fn rows_are_declared_to_ascend_by_metric_unless_bytes_were_replaced_in_one() {
    let mut unsorted = SampleRows::default();
    push_series(&mut unsorted, &[(b"__name__", "\u{fffe}".as_bytes())], &[(0, 1.0, 0)]);
    push_series(&mut unsorted, &[(b"__name__", b"\xf0broken")], &[(0, 1.0, 0)]);
    let options = options(Layout::Star, Profile::Bigquery);
    let slices = [scraped_rows(2, 2), unsorted, scraped_rows(2, 3)];
    let written = write(&options, &slices);
    let paths = written.paths("samples");
    assert_eq!(paths.len(), 3);
    let sorting = |path: &Path| metadata(path).row_group(0).sorting_columns().cloned();
    let by_metric = Some(vec![SortingColumn { column_idx: 0, descending: false, nulls_first: true }]);
    assert_eq!(sorting(&paths[0]), by_metric);
    assert_eq!(sorting(&paths[1]), None);
    assert_eq!(sorting(&paths[2]), by_metric);
    assert_holds(&written, Layout::Star, &slices);
    let plain = write(&options, &slices[..1]);
    let by_metric = Some(vec![SortingColumn { column_idx: 1, descending: false, nulls_first: true }]);
    assert_eq!(sorting(&plain.only_path("series")), by_metric);
}

#[test]
fn the_page_index_bounds_every_page_of_metric_series_id_and_timestamp() {
    let rows = scraped_rows(600, 480);
    let written = write(&options(Layout::Star, Profile::Compact), std::slice::from_ref(&rows));
    let path = written.only_path("samples");
    let metadata = metadata(&path);
    let index = metadata.page_index_for_row_group(0);
    let read = batches(&path);
    let (ids, times) = (integers(&read, "series_id"), integers(&read, "timestamp"));
    let metrics = strings(&read, "metric");
    let names: Vec<_> = metadata.row_group(0).columns().iter().map(|c| c.column_path().string()).collect();
    for (at, name) in names.iter().enumerate() {
        let locations = index.offset_index(at).unwrap().page_locations();
        let starts: Vec<_> =
            locations.iter().map(|location| usize::try_from(location.first_row_index).unwrap()).collect();
        assert_eq!(starts, [0, 131_072, 262_144], "{name}");
        let page = |page: usize| starts[page]..starts.get(page + 1).copied().unwrap_or(rows.len());
        match (name.as_str(), index.column_index(at)) {
            ("series_id" | "timestamp", Some(ColumnIndexMetaData::INT64(bounds))) => {
                let column = if name == "series_id" { &ids } else { &times };
                for at in 0..3 {
                    let values = column[page(at)].iter().map(|value| value.unwrap());
                    assert_eq!(bounds.min_value(at), values.clone().min().as_ref());
                    assert_eq!(bounds.max_value(at), values.max().as_ref());
                }
            }
            ("metric", Some(ColumnIndexMetaData::BYTE_ARRAY(bounds))) => {
                assert_eq!(
                    index.column_index(at).unwrap().get_boundary_order(),
                    Some(basic::BoundaryOrder::ASCENDING)
                );
                for at in 0..3 {
                    let values = metrics[page(at)].iter().map(|value| value.as_ref().unwrap().as_bytes());
                    assert_eq!(bounds.min_value(at), values.clone().min());
                    assert_eq!(bounds.max_value(at), values.max());
                }
            }
            (_, other) => assert!(other.is_none(), "{name}"),
        }
    }
    let statistics = |name: &str| {
        let at = names.iter().position(|other| other == name).unwrap();
        metadata.row_group(0).column(at).statistics().cloned().unwrap()
    };
    assert_eq!(statistics("job").min_bytes_opt(), Some(&b"node"[..]));
    assert_eq!(statistics("job").max_bytes_opt(), Some(&b"other"[..]));
    assert_eq!(statistics("lx_k8s_02eio_02fapp").null_count_opt(), Some(288_000));
    let stale = rows.columns.values.iter().filter(|value| value.to_bits() == STALE_NAN_BITS).count();
    assert_eq!(statistics("value").null_count_opt(), Some(stale as u64));
    assert_eq!(statistics("value").min_bytes_opt(), None);
    assert_eq!(statistics("start_timestamp").null_count_opt(), Some(288_000));
    let newest = times.iter().flatten().max().unwrap();
    assert_eq!(statistics("timestamp").max_bytes_opt(), Some(&newest.to_le_bytes()[..]));
}

#[test]
fn series_are_gathered_over_slices_into_row_groups() {
    let slices = [
        scraped_rows(3, 1),
        scraped_rows(40_000, 1),
        scraped_rows(20_000, 1),
        scraped_rows(20_000, 1),
        special_rows(),
    ];
    let written = write(&options(Layout::Star, Profile::Bigquery), &slices);
    let path = written.only_path("series");
    let groups: Vec<_> = metadata(&path).row_groups().iter().map(|group| group.num_rows()).collect();
    // What waits is written before whole groups of a slice; then 7,232 + 20,000 + 20,000 are enough for one.
    assert_eq!(groups, [3, 32_768, 47_232, 3]);
    let read = batches(&path);
    let series: Vec<_> = slices.iter().flat_map(|slice| &slice.series).collect();
    let ids: Vec<_> = series.iter().map(|series| Some(series.series_id)).collect();
    assert_eq!(integers(&read, "series_id"), ids);
    let jobs: Vec<_> = series.iter().map(|series| lossy(series.labels.get(b"job"))).collect();
    assert_eq!(strings(&read, "job"), jobs);
}

#[test]
fn series_rows_tell_labels_times_and_counts() {
    let slices = [scraped_rows(2, 5), special_rows()];
    let read = batches(&write(&options(Layout::Star, Profile::Bigquery), &slices).only_path("series"));
    assert_eq!(integers(&read, "samples"), [5, 5, 3, 1, 7].map(Some));
    assert_eq!(integers(&read, "min_timestamp")[2..], [-1, 1_000, -62_135_596_800_000].map(Some));
    assert_eq!(integers(&read, "max_timestamp")[2..], [1, 1_000, 253_402_300_799_999].map(Some));
    let last = |column: &str| strings(&read, column).pop().unwrap();
    assert_eq!((last("type").as_deref(), last("unit").as_deref()), (Some("gauge"), Some("seconds")));
    assert_eq!(last("help"), None);
    assert_eq!(strings(&read, "type")[..4], [None, None, None, None]);
    assert_eq!(strings(&read, "labels")[2..4], [Some(r#"{"job":"no metric"}"#.into()), Some("{}".into())]);
    let lists = read[0]["label_pairs"].as_list::<i32>();
    assert_eq!((0..5).map(|at| lists.value(at).len()).collect::<Vec<_>>(), [2, 2, 1, 0, 5]);
    let pairs = lists.value(4);
    let pair = |at: usize, field: &str| {
        pairs.as_struct().column_by_name(field).unwrap().as_string::<i32>().value(at).to_owned()
    };
    assert_eq!((pair(0, "name"), pair(0, "value")), ("__type__".into(), "gauge".into()));
    assert_eq!((pair(4, "name"), pair(4, "value")), ("z\u{fffd}".into(), "\u{fffd}\u{fffd}".into()));
    assert_eq!(lists.null_count(), 0);
}

/// Series with histograms, some of them with floats too; between them one of floats alone.
fn histogram_rows() -> SampleRows {
    let exponential = Arc::new(HistogramLayout {
        schema: 3,
        zero_threshold: 0.001,
        positive_spans: vec![Span { offset: -2, length: 3 }, Span { offset: 1, length: 1 }],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        ..HistogramLayout::default()
    });
    let custom = Arc::new(HistogramLayout {
        schema: -53,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        custom_bounds: vec![0.5],
        ..HistogramLayout::default()
    });
    let empty = Arc::new(HistogramLayout::default());
    let stale = f64::from_bits(STALE_NAN_BITS);
    let mut rows = SampleRows::default();
    for (series, (floats, histograms)) in [(0, 5), (2, 0), (1, 400), (0, 3)].into_iter().enumerate() {
        let name = format!("metric_{series}");
        let samples: Vec<Sample> = (0..floats).map(|at| (at, at as f64, 0)).collect();
        push_series(&mut rows, &[(b"__name__", name.as_bytes()), (b"job", b"node")], &samples);
        for at in 0..histograms {
            let (layout, sum, buckets): (_, _, &[u64]) = match at % 5 {
                0 | 1 => (&exponential, at as f64, &[1, 2, 0, 4, 5]),
                2 => (&custom, f64::INFINITY, &[7, 8]),
                3 => (&empty, 0.0, &[]),
                _ => (&empty, stale, &[]),
            };
            rows.histograms.push(HistogramRow {
                timestamp_ms: 10_000 + at,
                start_timestamp_ms: at % 3,
                sum,
                count: 15,
                zero_count: 3,
                kind: HistogramKind::Integer,
                hint: CounterResetHint::NotReset,
                layout,
                buckets,
            });
        }
        let last = rows.series.last_mut().unwrap();
        last.histograms_end = rows.histograms.len();
        let times_ms: Vec<i64> = (10_000..10_000 + histograms).collect();
        last.extent = last.extent.with(SeriesExtent::of(&times_ms));
    }
    rows
}

#[test]
fn histograms_that_go_ahead_of_their_series_are_the_same_rows() {
    let rows = histogram_rows();
    for options in all_options().into_iter().filter(|options| options.format == Format::Parquet) {
        let whole = write(&options, std::slice::from_ref(&rows));
        let dest = tempfile::tempdir().unwrap();
        let encoder = Encoder::new(options.clone()).unwrap();
        let mut tables = TableWriters::new(&encoder, dest.path(), "dt=2026-11-20", "part");
        // The third series is cut in its middle: what went ahead is not there any more when the rest comes.
        let mut ahead = rows.clone();
        ahead.histograms.truncate(100);
        ahead.series.truncate(3);
        ahead.series[2].histograms_end = 100;
        tables.append(encoder.encode_histograms(&ahead).unwrap()).unwrap();
        let mut rest = rows.clone();
        rest.clear_histograms();
        for row in (100..rows.histograms.len()).map(|row| rows.histograms.row(row).unwrap()) {
            rest.histograms.push(row);
        }
        rest.series[2].histograms_end = 305;
        rest.series[3].histograms_end = 308;
        tables.append(encoder.encode(&rest).unwrap()).unwrap();
        let parts: Vec<_> =
            tables.finish().unwrap().into_iter().map(|file| file.publish().unwrap()).collect();
        let apart = Written { dest, parts, replaced_utf8: 0 };
        let histograms = batches(&whole.only_path("histograms"));
        assert_eq!(batches(&apart.only_path("histograms")), histograms, "{options:?}");
        assert_eq!(histograms.iter().map(RecordBatch::num_rows).sum::<usize>(), 408);
        let read = |written: &Written| batches(&written.only_path("series"));
        assert_eq!(read(&apart), read(&whole));
        assert_eq!(integers(&read(&whole), "samples"), [5, 2, 401, 3].map(Some));
        assert_eq!(integers(&read(&whole), "min_timestamp"), [10_000, 0, 0, 10_000].map(Some));
        let groups = metadata(&apart.only_path("histograms"));
        assert_eq!(groups.row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>(), [100, 308]);
        assert_eq!(
            apart.parts.iter().map(|part| part.table.as_str()).collect::<Vec<_>>(),
            ["samples", "histograms", "series"]
        );
    }
}

#[test]
fn the_schema_of_histograms_is_the_described_one() {
    let options = options(Layout::Flat, Profile::Compact);
    let written = write(&options, &[histogram_rows()]);
    let file = File::open(written.only_path("histograms")).unwrap();
    let skip = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, skip).unwrap();
    assert_eq!(
        **builder.schema(),
        TableSchema::new(Table::Histograms(Resolution::RAW), &options).unwrap().arrow()
    );
}

#[test]
fn buckets_of_many_pages_read_back() {
    let mut rows = histogram_rows();
    let layout = Arc::new(HistogramLayout {
        schema: -53,
        positive_spans: vec![Span { offset: 0, length: 700 }],
        custom_bounds: (0..700).map(f64::from).collect(),
        ..HistogramLayout::default()
    });
    let buckets: Vec<u64> = (0..700).collect();
    let first = rows.histograms.row(0).unwrap().timestamp_ms;
    for at in 0..600 {
        let row = HistogramRow {
            timestamp_ms: first + 1000 + at,
            layout: &layout,
            buckets: &buckets,
            ..histogram_rows().histograms.row(0).unwrap()
        };
        rows.histograms.push(row);
    }
    let end = rows.histograms.len();
    let last = rows.series.last_mut().unwrap();
    last.histograms_end = end;
    for profile in [Profile::Bigquery, Profile::Compact] {
        let written = write(&options(Layout::Star, profile), std::slice::from_ref(&rows));
        let path = written.only_path("histograms");
        let encoding =
            if profile == Profile::Compact { Encoding::BYTE_STREAM_SPLIT } else { Encoding::PLAIN };
        // A page ends with the row that brings it to 131,072 elements.
        assert_eq!(pages(&path, "buckets.list.element.count"), [(PageType::DATA_PAGE, encoding); 4]);
        let upper = pages(&path, "buckets.list.element.upper");
        assert_eq!(upper[0], (PageType::DICTIONARY_PAGE, Encoding::PLAIN));
        let read = batches(&path);
        let mut row = 0;
        for batch in &read {
            let lists = batch["buckets"].as_list::<i32>();
            for at in 0..batch.num_rows() {
                let expected = rows.histograms.row(row).unwrap();
                let list = lists.value(at);
                let field = |name: &str| {
                    let column = list.as_struct().column_by_name(name).unwrap().clone();
                    column.as_primitive::<Float64Type>().values().to_vec()
                };
                let buckets: Vec<_> = expected.buckets_ascending().collect();
                assert_eq!(field("lower"), buckets.iter().map(|bucket| bucket.0).collect::<Vec<_>>());
                assert_eq!(field("upper"), buckets.iter().map(|bucket| bucket.1).collect::<Vec<_>>());
                assert_eq!(
                    field("count"),
                    buckets.iter().map(|bucket| expected.as_f64(bucket.2)).collect::<Vec<_>>()
                );
                row += 1;
            }
        }
        assert_eq!(row, end);
    }
}
