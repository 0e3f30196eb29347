mod blocks;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tsdb_reader::source::{BlockFile, MemorySource, Source};

use super::testing::{Fault, TestStore};
use super::*;

const INDEX: BlockFile = BlockFile::Index;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

fn options(memory_bytes: u64) -> RangeOptions {
    RangeOptions { memory_bytes, request_bytes: 100, gap_bytes: 10, requests_in_flight: 4, attempts: 3 }
}

/// Bytes that tell where they are.
fn content(len: u32) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

struct Bucket {
    runtime: Runtime,
    store: Arc<TestStore>,
    ranges: Ranges,
    source: BucketSource,
    content: Vec<u8>,
}

impl Bucket {
    fn new(len: u32, options: RangeOptions, latency_ms: u64) -> Self {
        let runtime = runtime();
        let ranges = Ranges::new(runtime.handle().clone(), options);
        let store = TestStore::new(Duration::from_millis(latency_ms));
        let content = content(len);
        let files = MemorySource::new().with(INDEX, content.clone());
        let source = runtime.block_on(store.block(&ranges, "b", &files));
        Self { runtime, store, ranges, source, content }
    }

    fn read(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        self.source.read(INDEX, ranges)
    }

    fn check(&self, ranges: &[Range<u64>]) {
        let read = self.read(ranges).unwrap();
        assert_eq!(read.len(), ranges.len());
        for (bytes, range) in read.iter().zip(ranges) {
            let end = usize::try_from(range.end).unwrap().min(self.content.len());
            let start = usize::try_from(range.start).unwrap().min(end);
            assert_eq!(bytes, &self.content[start..end], "{range:?}");
        }
    }

    fn asked(&self) -> Vec<Range<u64>> {
        let mut asked: Vec<_> = self.store.take_asked().into_iter().map(|(_, range)| range).collect();
        asked.sort_by_key(|range| range.start);
        asked
    }

    /// Waits until nothing is in flight.
    fn settle(&self) {
        while self.ranges.held_bytes().1 > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn neighbours_are_fetched_together_and_held() {
    let bucket = Bucket::new(1000, options(1 << 20), 0);
    bucket.check(&[0..10, 20..30, 41..50]);
    assert_eq!(bucket.asked(), [0..30, 41..50]);
    bucket.check(&[5..25, 41..50, 7..7]);
    assert_eq!(bucket.asked(), []);
    bucket.check(&[25..45]);
    assert_eq!(bucket.asked(), [30..41]);
    assert_eq!(bucket.ranges.counts(), RangeCounts { requests: 3, bytes: 50, retries: 0 });
}

#[test]
fn an_answer_within_one_extent_shares_its_memory() {
    let bucket = Bucket::new(1000, options(1 << 20), 0);
    let read = bucket.read(&[0..90, 10..20]).unwrap();
    assert_eq!(read[1].as_ptr(), read[0][10..].as_ptr());
}

#[test]
fn ranges_are_cut_where_the_object_ends_and_its_size_is_that_of_the_listing() {
    let bucket = Bucket::new(50, options(1 << 20), 0);
    bucket.check(&[40..90, 50..60, 200..300, u64::MAX - 1..u64::MAX]);
    assert_eq!(bucket.source.size(INDEX).unwrap(), 50);
    assert_eq!(bucket.asked(), [40..50]);
    let missing = bucket.source.size(BlockFile::Tombstones).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_read_larger_than_the_budget_works_and_is_not_held() {
    for memory_bytes in [0, 1, 99, 100, 500] {
        let bucket = Bucket::new(5000, options(memory_bytes), 0);
        bucket.check(&[0..5000]);
        bucket.check(&[0..100, 4000..5000, 3..7]);
        bucket.settle();
        assert!(bucket.ranges.held_bytes().0 <= memory_bytes);
    }
}

#[test]
fn requests_have_a_size_and_only_so_many_are_in_flight() {
    let bucket = Bucket::new(5000, options(1 << 20), 2);
    bucket.check(&[0..5000]);
    let asked = bucket.asked();
    assert_eq!(asked.len(), 50);
    assert!(asked.iter().all(|range| range.end - range.start <= 100));
    assert!(bucket.store.most_in_flight.load(Ordering::SeqCst) <= 4);
}

#[test]
fn what_was_read_longest_ago_goes_first_and_what_was_fetched_ahead_stays() {
    let bucket = Bucket::new(5000, options(400), 0);
    bucket.source.prefetch(INDEX, &[1000..1100]);
    bucket.settle();
    bucket.check(&[0..100]);
    bucket.check(&[200..300]);
    bucket.check(&[400..500]);
    bucket.check(&[0..100]);
    assert_eq!(bucket.asked(), [0..100, 200..300, 400..500, 1000..1100]);
    bucket.check(&[600..700]);
    assert_eq!(bucket.asked(), [600..700]);
    bucket.check(&[0..100, 400..500, 1000..1100]);
    assert_eq!(bucket.asked(), []);
    bucket.check(&[200..300]);
    assert_eq!(bucket.asked(), [200..300]);
}

#[test]
fn prefetching_never_waits_and_takes_half_of_the_budget_at_most() {
    let bucket = Bucket::new(5000, options(400), 20);
    bucket.source.prefetch(INDEX, &[0..50, 100..5000]);
    assert_eq!(bucket.ranges.held_bytes(), (150, 150));
    bucket.check(&[0..50]);
    bucket.settle();
    assert_eq!(bucket.asked(), [0..50, 100..200]);
    bucket.source.prefetch(BlockFile::Tombstones, &[0..50]);
    bucket.source.prefetch(INDEX, &[]);
}

#[test]
fn many_readers_of_the_same_bytes_make_one_request() {
    let bucket = Bucket::new(1000, options(1 << 20), 10);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| bucket.check(&[100..200, 150..180]));
        }
    });
    assert_eq!(bucket.asked(), [100..200]);
}

#[test]
fn many_readers_share_a_small_budget_and_all_get_what_they_asked_for() {
    for memory_bytes in [0, 150, 1000] {
        let bucket = Bucket::new(20_000, options(memory_bytes), 0);
        std::thread::scope(|scope| {
            for reader in 0..6u64 {
                let bucket = &bucket;
                scope.spawn(move || {
                    for step in 0..100 {
                        let at = (reader * 7919 + step * 104_729) % 19_000;
                        bucket.source.prefetch(INDEX, std::slice::from_ref(&(at + 500..at + 900)));
                        bucket.check(&[at..at + 30, at + 35..at + 300, at + 700..at + 701]);
                    }
                });
            }
        });
        bucket.settle();
        assert!(bucket.ranges.held_bytes().0 <= memory_bytes);
    }
}

#[test]
fn short_bodies_are_asked_for_again_and_then_named() {
    let bucket = Bucket::new(1000, options(1 << 20), 0);
    for fault in [Fault::Short(2), Fault::Broken(2)] {
        bucket.store.set_fault(Some(fault));
        bucket.check(&[if fault == Fault::Short(2) { 0..100 } else { 200..300 }]);
    }
    assert_eq!(bucket.ranges.counts().retries, 4);
    bucket.store.set_fault(Some(Fault::Short(9)));
    assert_eq!(
        bucket.read(&[500..600]).unwrap_err().to_string(),
        "GET test://b/index, bytes 500 to 600: 99 bytes came, 100 expected, 3 times; \
         look at what lies between here and the store"
    );
    bucket.store.set_fault(Some(Fault::Broken(9)));
    let error = bucket.read(&[500..600]).unwrap_err().to_string();
    assert!(error.contains("the connection was reset; run the same command again"), "{error}");
    bucket.store.set_fault(None);
    bucket.check(&[500..600]);
}

#[test]
fn an_object_that_changed_or_went_is_an_error_and_no_file_that_is_missing() {
    let bucket = Bucket::new(1000, options(1 << 20), 0);
    bucket.check(&[0..10]);
    for changed in [content(1000), content(1001)] {
        bucket.runtime.block_on(bucket.store.put_object("b/index", changed));
        let error = bucket.read(&[100..110]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StaleNetworkFileHandle);
        let text = error.to_string();
        assert!(
            text.starts_with("GET test://b/index, bytes 100 to 110: it changed since it was listed"),
            "{text}"
        );
    }
    bucket.runtime.block_on(bucket.store.remove_object("b/index"));
    let error = bucket.read(&[100..110]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StaleNetworkFileHandle);
    assert!(error.to_string().contains("it is gone since it was listed"), "{error}");
    // What was fetched before is whole.
    bucket.check(&[0..10]);
}

#[test]
fn what_the_store_refuses_is_not_asked_for_again_and_no_secret_is_told() {
    let bucket = Bucket::new(1000, options(1 << 20), 0);
    bucket.store.set_fault(Some(Fault::Denied));
    let error = bucket.read(&[0..10]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    let text = error.to_string();
    assert!(text.contains("check the credentials") && !text.contains("secret"), "{text}");
    assert_eq!(bucket.asked().len(), 1);
}

#[test]
fn readers_end_when_the_runtime_does() {
    let Bucket { runtime, source, .. } = Bucket::new(1000, options(1 << 20), 60_000);
    let reader = std::thread::spawn(move || {
        let first = source.read(INDEX, std::slice::from_ref(&(0..10))).unwrap_err().to_string();
        (first, source.read(INDEX, std::slice::from_ref(&(50..60))).is_err())
    });
    std::thread::sleep(Duration::from_millis(30));
    runtime.shutdown_background();
    let (first, second) = reader.join().unwrap();
    assert_eq!(first, "GET test://b/index, bytes 0 to 10: given up");
    assert!(second);
}

#[test]
fn extents_go_with_their_source() {
    let Bucket { runtime, ranges, source, .. } = Bucket::new(1000, options(1 << 20), 5);
    source.read(INDEX, std::slice::from_ref(&(0..10))).unwrap();
    source.prefetch(INDEX, std::slice::from_ref(&(500..510)));
    drop(source);
    while ranges.held_bytes() != (0, 0) {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(runtime);
}

#[test]
fn objects_that_are_no_files_of_a_block_are_left_out_and_two_of_one_segment_are_refused() {
    let runtime = runtime();
    let ranges = Ranges::new(runtime.handle().clone(), options(1 << 20));
    let store = TestStore::new(Duration::ZERO);
    runtime.block_on(async {
        for name in ["index", "meta.json", "chunks/000002", "chunks/1", "no-compact-mark.json", "x/index"] {
            store.put_object(&format!("b/{name}"), "x").await;
        }
    });
    let source = runtime.block_on(store.open(&ranges, "b"));
    assert_eq!(source.segments().unwrap(), [1, 2]);
    assert_eq!(source.size(BlockFile::Segment(2)).unwrap(), 1);
    assert_eq!(source.location(), "test://b");
}
