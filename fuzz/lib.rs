//! What several fuzz targets share.

use bytes::Bytes;
use tsdb_reader::checksum::crc32c;
use tsdb_reader::head::{Record, SegmentReader};
use tsdb_reader::samples::{
    Aggregate, AggregateColumns, AggregateDecoder, CounterChain, CounterColumns, FloatColumns, FloatDecoder,
    HistogramColumns, HistogramDecoder, HistogramRow,
};
use tsdb_reader::{Chunk, DecodeError, Encoding, Labels};

/// Reads `data` one by one, into columns, and along with a copy of itself, and demands the same of each.
pub fn decode_floats(encoding: Encoding, data: &[u8]) {
    let chunk = Chunk::new(encoding, Bytes::copy_from_slice(data), 1, 10);
    let mut columns = FloatColumns::default();
    let appended = chunk.append_to(&mut columns);
    let mut samples = 0;
    let mut error = None;
    match chunk.floats() {
        Ok(floats) => {
            for sample in floats {
                match sample {
                    Ok(sample) => {
                        assert_eq!(sample.timestamp_ms, columns.times_ms[samples]);
                        assert_eq!(sample.value.to_bits(), columns.values[samples].to_bits());
                        let start_time_ms = columns.start_times_ms.get(samples).copied().unwrap_or(0);
                        assert_eq!(sample.start_timestamp_ms, start_time_ms);
                        samples += 1;
                    }
                    Err(found) => error = Some(found),
                }
            }
        }
        Err(found) => error = Some(found),
    }
    assert_eq!(samples, columns.len());
    assert_eq!(error, appended.clone().err());

    let mut twice = FloatColumns::default();
    let both = FloatDecoder::default().append([&chunk, &chunk], &mut twice);
    assert_eq!(both, appended.map_err(|error| (0, error)));
    let copies = if error.is_some() { 1 } else { 2 };
    assert_eq!(twice.times_ms, columns.times_ms.repeat(copies));
    assert_eq!(twice.start_times_ms, columns.start_times_ms.repeat(copies));
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&twice.values), bits(&columns.values).repeat(copies));
}

/// The payloads of a segment, and the error it ends with.
pub fn read_segment(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<DecodeError>) {
    let mut reader = SegmentReader::new(bytes);
    let mut payloads = Vec::new();
    let mut end = 0;
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                assert!(record.offset >= end);
                payloads.push(record.payload.to_vec());
            }
            other => return (payloads, other.err()),
        }
        assert!(reader.offset() > end && reader.offset() <= bytes.len() as u64);
        end = reader.offset();
    }
}

/// A segment whose fragments have the checksums of their data: what is behind them can be reached.
pub fn mend_segment(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    let mut at = 0;
    while let Some(&[kind, high, low, ..]) = mended.get(at..).and_then(|rest| rest.first_chunk::<7>()) {
        if kind & 7 == 0 {
            at = (at + 1).next_multiple_of(32 << 10);
            continue;
        }
        let end = at + 7 + usize::from(u16::from_be_bytes([high, low]));
        let Some(data) = mended.get(at + 7..end) else { break };
        let checksum = crc32c(data);
        mended[at + 3..at + 7].copy_from_slice(&checksum.to_be_bytes());
        at = end;
    }
    mended
}

/// Reads every entry of a record; says how many there were.
pub fn read_record(payload: &[u8]) -> Result<usize, DecodeError> {
    let mut labels = Labels::new();
    let mut entries = 0;
    match Record::open(payload)? {
        Record::Series(mut series) => {
            while series.read_next(&mut labels)?.is_some() {
                entries += 1;
            }
        }
        Record::Samples(samples) => entries = samples.collect::<Result<Vec<_>, _>>()?.len(),
        Record::Tombstones(tombstones) => entries = tombstones.collect::<Result<Vec<_>, _>>()?.len(),
        Record::Exemplars(mut exemplars) => {
            while exemplars.read_next(&mut labels)?.is_some() {
                entries += 1;
            }
        }
        Record::Markers(markers) => entries = markers.collect::<Result<Vec<_>, _>>()?.len(),
        Record::Metadata(metadata) => entries = metadata.collect::<Result<Vec<_>, _>>()?.len(),
        Record::Histograms(mut histograms) => {
            while let Some((_, row)) = histograms.read_next()? {
                let buckets = row.layout.positive_buckets() + row.layout.negative_buckets();
                assert_eq!(buckets, row.buckets.len() as u64);
                entries += 1;
            }
        }
        Record::Unknown(_) | Record::Empty => {}
    }
    Ok(entries)
}

/// Reads `data` one by one and into columns, twice, and demands the same of each, and memory in proportion to it.
pub fn decode_histograms(encoding: Encoding, data: &[u8]) {
    let chunk = Chunk::new(encoding, Bytes::copy_from_slice(data), 1, 10);
    let mut columns = HistogramColumns::default();
    let appended = chunk.append_histograms_to(&mut columns);
    assert!(bytes_of(&columns) <= 4096 + 200 * data.len());
    let mut rows = (0..columns.len()).map(|row| columns.row(row).expect("a row"));
    let mut error = None;
    match chunk.histograms() {
        Ok(histograms) => {
            for histogram in histograms {
                match histogram {
                    Ok(histogram) => compare(&rows.next().expect("a row"), &histogram.as_row()),
                    Err(found) => error = Some(found),
                }
            }
        }
        Err(found) => error = Some(found),
    }
    assert!(rows.next().is_none());
    assert_eq!(error, appended.clone().err());
    look_at_buckets(&columns);

    let mut twice = HistogramColumns::default();
    let mut decoder = HistogramDecoder::default();
    for _ in 0..2 {
        assert_eq!(decoder.append(&chunk, &mut twice), appended);
    }
    for row in 0..twice.len() {
        let once = columns.row(row % columns.len()).expect("a row");
        compare(&twice.row(row).expect("a row"), &once);
    }
    assert_eq!(twice.len(), 2 * columns.len());
}

/// Reads `data` as aggregates: each by itself and all in rows, which must agree.
pub fn decode_aggregates(data: &[u8]) {
    let chunk = Chunk::new(Encoding::Aggregate, Bytes::copy_from_slice(data), 1, 10);
    let Ok(aggregates) = chunk.aggregates() else {
        assert!(chunk.num_samples().is_err());
        return;
    };
    assert_eq!(chunk.num_samples(), Ok(aggregates.num_samples()));
    for entry in Aggregate::ALL.into_iter().filter_map(|aggregate| aggregates.get(aggregate)) {
        match entry.encoding().holds_histograms() {
            true => decode_histograms(entry.encoding(), entry.data()),
            false => decode_floats(entry.encoding(), entry.data()),
        }
    }
    let mut decoder = AggregateDecoder::default();
    let mut rows = AggregateColumns::default();
    match decoder.append(&aggregates, &mut rows) {
        Ok(()) => assert_eq!(rows.len(), aggregates.num_samples() as usize),
        Err(_) => assert!(rows.is_empty()),
    }
    assert!([&rows.sums, &rows.mins, &rows.maxs].iter().all(|column| column.len() == rows.len()));
    assert!(rows.ends_ms.is_sorted());
    let mut coarser = AggregateColumns::default();
    rows.combine_into(3_600_000, &mut coarser);
    assert!(coarser.len() <= rows.len());

    for aggregate in [Aggregate::Sum, Aggregate::Counter] {
        let (mut histograms, mut counts) = (HistogramColumns::default(), Vec::new());
        let without = decoder.append_histograms(&aggregates, aggregate, &mut histograms, &mut counts);
        assert_eq!(histograms.len(), counts.len());
        if let Ok(without) = without {
            assert_eq!(without + counts.len() as u64, u64::from(aggregates.num_samples()));
        }
    }
    let mut counter = CounterColumns::default();
    let _ = decoder.append_counter(&aggregates, &mut CounterChain::default(), &mut counter);
    assert!(counter.times_ms.is_sorted_by(|a, b| a < b));
}

/// Demands that two histograms are the same, bit for bit.
fn compare(a: &HistogramRow<'_>, b: &HistogramRow<'_>) {
    assert_eq!((a.timestamp_ms, a.start_timestamp_ms), (b.timestamp_ms, b.start_timestamp_ms));
    assert_eq!((a.sum.to_bits(), a.count, a.zero_count), (b.sum.to_bits(), b.count, b.zero_count));
    assert_eq!((a.kind, a.hint, a.layout, a.buckets), (b.kind, b.hint, b.layout, b.buckets));
}

/// Takes every view of the buckets of every histogram.
fn look_at_buckets(columns: &HistogramColumns) {
    let mut bounds = Vec::new();
    for row in (0..columns.len()).filter_map(|row| columns.row(row)) {
        row.layout.ascending_bounds(&mut bounds);
        assert_eq!(bounds.len(), row.buckets.len());
        let ascending = bounds.iter().map(|(lower, upper)| (lower.to_bits(), upper.to_bits()));
        let found = row.buckets_ascending().map(|(lower, upper, _)| (lower.to_bits(), upper.to_bits()));
        assert!(ascending.eq(found));
        assert!(row.counts_ascending().eq(row.buckets_ascending().map(|(.., count)| count)));
        assert!(row.all_buckets().count() <= row.buckets.len() + 1);
        assert!(row.all_buckets_trimmed().count() <= row.buckets.len() + 1);
        assert_eq!(row.positive_deltas().count() + row.negative_deltas().count(), row.buckets.len());
        row.broken_rules();
    }
}

/// Memory that columns hold.
fn bytes_of(columns: &HistogramColumns) -> usize {
    let layouts = columns.layouts.iter().map(|layout| {
        let spans = layout.positive_spans.capacity() + layout.negative_spans.capacity();
        8 * (spans + layout.custom_bounds.capacity())
    });
    8 * (6 * columns.times_ms.capacity() + columns.buckets.capacity() + columns.layouts.capacity())
        + 6 * columns.kinds.capacity()
        + layouts.sum::<usize>()
}
