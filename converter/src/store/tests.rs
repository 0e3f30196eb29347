//! Blocking calls against a store in memory and a folder.

use std::fs;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::*;

fn in_memory(prefix: &str) -> Store {
    Store::new(Arc::new(InMemory::new()), "memory://bucket", prefix).unwrap()
}

fn put(store: &Store, path: &str, bytes: &'static [u8]) -> Version {
    store.write(path, Bytes::from_static(bytes), WriteIf::Always).unwrap()
}

#[test]
fn objects_are_listed_by_folder_and_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
    let local = Store::new(Arc::new(folder), "file:///x", "p").unwrap();
    for store in [in_memory(""), in_memory("some/prefix"), local] {
        for path in ["b/2/x", "b/1", "b/10", "a", "bb/y"] {
            put(&store, path, path.as_bytes());
        }
        let names = |objects: &[Object]| objects.iter().map(|object| object.path.clone()).collect::<Vec<_>>();
        let root = store.list("").unwrap();
        assert_eq!((names(&root.objects), root.folders), (vec!["a".into()], vec!["b".into(), "bb".into()]));
        let b = store.list("b").unwrap();
        assert_eq!((names(&b.objects), b.folders), (vec!["b/1".into(), "b/10".into()], vec!["2".into()]));
        assert_eq!(names(&store.list_all("b").unwrap()), ["b/1", "b/10", "b/2/x"]);
        assert_eq!(names(&store.within("b").unwrap().list("").unwrap().objects), ["1", "10"]);
        assert_eq!(store.head("b/10").unwrap().meta.size, 4);
        assert_eq!(store.within("b/2").unwrap().read("x", 9).unwrap(), "b/2/x");
        assert!(store.list("c").unwrap().objects.is_empty());
    }
}

#[test]
fn small_objects_are_read_up_to_a_limit_and_ranges_by_etag() {
    let store = in_memory("p");
    let version = put(&store, "x", b"0123456789");
    assert_eq!(store.read("x", 10).unwrap(), "0123456789");
    assert_eq!(store.read("x", 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    let missing = store.read("y", 9).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert_eq!(missing.to_string(), "cannot read memory://bucket/y: it is not there");
    let etag = version.e_tag.as_deref();
    assert_eq!(store.read_ranges("x", &[0..2, 8..10], etag).unwrap(), ["01", "89"]);
    put(&store, "x", b"9876543210");
    let changed = store.read_ranges("x", std::slice::from_ref(&(0..2)), etag).unwrap_err();
    assert!(is_precondition_failed(&changed), "{changed}");
    assert!(store.read_version("x", 10, etag).is_err_and(|error| is_precondition_failed(&error)));
    assert!(
        changed.to_string().ends_with("the object has changed since it was listed; run the command again")
    );
}

#[test]
fn conditional_writes_tell_who_was_first() {
    let store = in_memory("");
    let write = |when| store.write("x", Bytes::from_static(b"new"), when);
    let first = write(WriteIf::New).unwrap();
    let again = write(WriteIf::New).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert!(is_precondition_failed(&again));
    write(WriteIf::Unchanged(first.clone())).unwrap();
    assert!(is_precondition_failed(&write(WriteIf::Unchanged(first)).unwrap_err()));
}

#[test]
fn large_files_are_uploaded_in_parts_and_are_there_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("large");
    let bytes: Vec<u8> = (0..PART_BYTES * 2 + 17).map(|at| (at % 251) as u8).collect();
    for size in [0, 5, PART_BYTES, PART_BYTES + 1, PART_BYTES * 2, PART_BYTES * 2 + 17] {
        let store = in_memory("p");
        let bytes = &bytes[..usize::try_from(size).unwrap()];
        fs::write(&file, bytes).unwrap();
        store.upload("large", &file).unwrap();
        assert!(store.read("large", u64::MAX).unwrap() == bytes, "{size}");
        let usage = store.usage();
        assert_eq!((usage.bytes_written, usage.bytes_read), (size, size));
        let parts = size.div_ceil(PART_BYTES);
        assert_eq!(usage.puts, if parts <= 1 { 1 } else { parts + 2 });
    }
}

#[test]
fn what_is_asked_is_counted_by_kind() {
    let store = in_memory("p");
    put(&store, "x", b"0123");
    store.read("x", 10).unwrap();
    store.read_ranges("x", &[0..1, 3..4], None).unwrap();
    store.head("x").unwrap();
    store.clone().list("").unwrap();
    store.list_all("").unwrap();
    store.remove("x").unwrap();
    store.remove("x").unwrap();
    let expected = StoreUsage {
        requests: 8,
        lists: 2,
        heads: 1,
        gets: 2,
        puts: 1,
        copies: 0,
        deletes: 2,
        bytes_read: 8,
        bytes_written: 4,
    };
    assert_eq!(store.usage(), expected);
}

#[test]
fn calls_may_be_made_on_a_thread_that_runs_tasks_of_others() {
    let store = in_memory("");
    put(&store, "x", b"1");
    let runtime = Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(async { store.read("x", 1) }).unwrap(), "1");
}
