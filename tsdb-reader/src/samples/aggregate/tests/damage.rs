use proptest::prelude::*;

use super::*;
use crate::samples::TracedSample;
use crate::trace::Trace;

#[test]
fn chunk_cut_anywhere_is_an_error() {
    for case in cases() {
        for cut in 0..case.data.len() {
            assert!(chunk(&case.data[..cut]).aggregates().is_err(), "{} cut at {cut}", case.name);
        }
    }
}

#[test]
fn chunk_with_any_flipped_bit_decodes_or_fails() {
    for mut case in cases() {
        for bit in 0..case.data.len() * 8 {
            case.data[bit / 8] ^= 1 << (bit % 8);
            let _ = decode(&case.data);
            case.data[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn any_of_the_aggregates_may_be_absent() {
    let samples = [(1000, 1f64.to_bits()), (2000, 2f64.to_bits())];
    for absent in 0..5 {
        let mut entries = [const { None }; 5].map(|_: Option<()>| xor(&samples));
        entries[absent] = None;
        let aggregates = chunk(&encode(&entries)).aggregates().unwrap();
        let found = Aggregate::ALL.map(|aggregate| aggregates.get(aggregate).is_none());
        assert_eq!(found, [0, 1, 2, 3, 4].map(|at| at == absent));
    }
    let none = chunk(&[0; 5]);
    assert_eq!(none.num_samples(), Ok(0));
    assert!(decode(none.data()).is_ok_and(|(rows, counter)| rows.is_empty() && counter.is_empty()));
}

#[test]
fn errors_name_field_and_file_offset() {
    let message = |data: &[u8]| decode(data).unwrap_err().to_string();
    assert_eq!(message(&[]), "count aggregate length needs 1 bytes, 0 left at offset 0x100");
    assert_eq!(message(&[0, 0, 0, 0]), "counter aggregate length needs 1 bytes, 0 left at offset 0x104");
    assert_eq!(message(&[0, 2]), "sum aggregate encoding needs 1 bytes, 0 left at offset 0x102");
    assert_eq!(message(&[0, 0, 0, 9, 1, 0, 0]), "max aggregate needs 9 bytes, 2 left at offset 0x105");
    assert_eq!(message(&[1, 1, 0, 0, 0, 0, 0]), "number of samples needs 2 bytes, 1 left at offset 0x102");
    assert_eq!(
        message(&[0, 0, 0, 0, 0, 7]),
        "number of bytes behind the aggregates is 1, expected 0 at offset 0x105"
    );
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0];
    assert_eq!(message(&huge), format!("count aggregate needs {} bytes, 1 left at offset 0x10b", u64::MAX));
    assert_eq!(
        message(&[0, 5, 0xff, 0, 0, 0, 0, 0]),
        "sum aggregate encoding is 255, expected that of floats or histograms, 1 to 6 at offset 0x102"
    );
    assert_eq!(
        message(&[3, 3, 0, 0, 0]),
        "count aggregate encoding is 3, expected that of floats, 1 or 4 at offset 0x101"
    );
    assert_eq!(
        message(&[0, 2, 1, 0, 0, 0, 0, 3, 3, 0, 0, 0]),
        "counter aggregate encoding is 3, expected floats or histograms as in the aggregates before it \
         at offset 0x108"
    );
}

#[test]
fn aggregates_that_do_not_fit_together_are_errors() {
    let sample = |time_ms: i64, value: f64| (time_ms, value.to_bits());
    let message = |counts: &[Sample], sums: &[Sample]| {
        decode(&encode(&[xor(counts), xor(sums), None, None, None])).unwrap_err().to_string()
    };
    let counts = [sample(1000, 1.0), sample(2000, 1.0)];
    assert_eq!(
        message(&counts, &counts[..1]),
        "number of samples of sum aggregate is 1, expected as many as of the count aggregate at offset 0x113"
    );
    assert_eq!(
        message(&counts, &[counts[0], sample(-3, 1.0)]),
        "timestamp in sum aggregate is -3, expected a time of the count aggregate at offset 0x113"
    );
    assert_eq!(
        message(&[counts[1], counts[0]], &[]),
        "timestamp in count aggregate is 1000, expected one after that before it at offset 0x102"
    );
    for (value, text) in [(0.5, "0.5"), (-1.0, "-1"), (f64::NAN, "NaN"), (1e300, &1e300.to_string())] {
        let expected = "expected a whole number from 0 to 2^53 at offset 0x102";
        assert_eq!(
            message(&[sample(0, value)], &[]),
            format!("value in count aggregate is {text}, {expected}")
        );
    }
    let without_count = encode(&[None, xor(&counts), None, None, None]);
    assert!(decode(&without_count).is_err());
    // Aggregates without samples are none.
    let empty = encode(&[xor(&counts), xor(&[]), xor(&[]), None, None]);
    let (rows, _) = decode(&empty).unwrap();
    assert_eq!((rows.counts, rows.sums), (vec![1, 1], vec![None, None]));
}

#[test]
fn error_leaves_columns_as_they_were() {
    let sample = |time_ms: i64| (time_ms, 1f64.to_bits());
    let sound = xor(&[sample(0), sample(1)]);
    let cut = sound.clone().map(|(encoding, data)| (encoding, data[..data.len() - 1].to_vec()));
    let mut decoder = AggregateDecoder::default();
    let (mut rows, mut chain, mut counter) = Default::default();
    let good = chunk(&encode(&[const { None }; 5].map(|_: Option<()>| sound.clone()))).aggregates().unwrap();
    decoder.append(&good, &mut rows).unwrap();
    decoder.append_counter(&good, &mut chain, &mut counter).unwrap();
    for broken in 0..5 {
        let mut entries = [const { None }; 5].map(|_: Option<()>| sound.clone());
        entries[broken] = cut.clone();
        let aggregates = chunk(&encode(&entries)).aggregates().unwrap();
        assert_eq!(decoder.append(&aggregates, &mut rows).is_err(), broken < 4);
        assert_eq!(decoder.append_counter(&aggregates, &mut chain, &mut counter).is_err(), broken == 4);
        rows.truncate(2);
        for column in [&rows.sums, &rows.mins, &rows.maxs] {
            assert_eq!((rows.len(), rows.counts.len(), column.len()), (2, 2, 2));
        }
        assert_eq!(counter.len(), 2);
    }
}

#[test]
fn windows_without_a_histogram_are_counted_and_other_times_are_errors() {
    let Some(case) = cases().into_iter().find(Case::holds_histograms) else { panic!("no histograms") };
    let aggregates = chunk(&case.data).aggregates().unwrap();
    let entry = |aggregate: Aggregate| {
        aggregates.get(aggregate).map(|entry| (entry.encoding().as_byte(), entry.data().to_vec()))
    };
    let counts = case.floats(Aggregate::Count).unwrap();
    let read = |counts: &[Sample], sums: Option<(u8, Vec<u8>)>| {
        let chunk = chunk(&encode(&[xor(counts), sums, None, None, entry(Aggregate::Counter)]));
        let (mut histograms, mut found) = (HistogramColumns::default(), Vec::new());
        let aggregates = chunk.aggregates().unwrap();
        let without = AggregateDecoder::default().append_histograms(
            &aggregates,
            Aggregate::Sum,
            &mut histograms,
            &mut found,
        );
        assert_eq!(histograms.len(), found.len());
        without.map(|without| (without, found.len()))
    };
    assert_eq!(read(&counts, entry(Aggregate::Sum)), Ok((0, counts.len())));
    let one = 1f64.to_bits();
    let more = [&[(0, one)], &counts[..], &[(i64::MAX >> 8, one)]].concat();
    assert_eq!(read(&more, entry(Aggregate::Sum)), Ok((2, counts.len())));
    assert_eq!(read(&counts, None), Ok((counts.len() as u64, 0)));
    for fewer in [&counts[1..], &counts[..counts.len() - 1], &[]] {
        let error = read(fewer, entry(Aggregate::Sum)).unwrap_err();
        assert!(matches!(
            error.kind,
            DecodeErrorKind::InvalidSigned { field: "timestamp in sum aggregate", .. }
        ));
    }
}

#[test]
fn fields_of_a_traced_chunk_lie_one_behind_the_other_and_give_its_samples() {
    for case in cases() {
        let chunk = chunk(&case.data);
        let aggregates = chunk.aggregates().unwrap();
        let trace = Trace::new(usize::MAX);
        let (mut entries, mut samples) = (0, Vec::new());
        chunk
            .trace_samples(&trace, &mut |sample| match sample {
                None => entries += 1,
                Some(TracedSample::Float(sample)) => {
                    samples.push((sample.timestamp_ms, sample.value.to_bits()))
                }
                Some(TracedSample::Histogram(_)) => {}
            })
            .unwrap();
        let present: Vec<_> = Aggregate::ALL.into_iter().filter_map(|found| aggregates.get(found)).collect();
        assert_eq!(entries, present.len());
        let of_floats = present.iter().filter(|entry| !entry.encoding().holds_histograms());
        assert_eq!(samples, of_floats.flat_map(|entry| floats(entry).unwrap()).collect::<Vec<_>>());
        let mut end = 8 * chunk.offset();
        for field in trace.take().0 {
            let at = 8 * field.offset + u64::from(field.bit);
            assert!(at == end || at == end.next_multiple_of(8), "{field:?}");
            end = at + field.width;
        }
        assert_eq!(end.next_multiple_of(8), 8 * (chunk.offset() + case.data.len() as u64), "{}", case.name);
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&data);
    }

    #[test]
    fn any_entries_decode_or_fail(
        entries in prop::collection::vec((0..7u8, prop::collection::vec(any::<u8>(), 0..60)), 5),
    ) {
        let mut entries = entries.into_iter();
        let entries = Aggregate::ALL.map(|_| entries.next().filter(|(encoding, _)| *encoding > 0));
        let _ = decode(&encode(&entries));
    }
}
