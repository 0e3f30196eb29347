//! What promblock relies on in a store, stated once for all of them. Where stores differ, [`Differs`] says how.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};
use teststores::{AzureServer, GcsServer, LocalFolder, S3Server, TestStore, block_on};

type Store = Arc<dyn ObjectStore>;

/// Where stores, or these servers, are not alike.
#[expect(clippy::struct_excessive_bools, reason = "they have nothing to do with each other")]
struct Differs {
    /// Lists are in bytewise order; those of a folder are in any.
    ordered_lists: bool,
    /// Lists have ETags; s3s-fs leaves them out, S3 does not.
    listed_e_tags: bool,
    /// The last bytes of an object can be had without its size.
    suffixes: bool,
    /// Removing what is not there is an error.
    missing_is_error: bool,
    /// An object can be replaced on condition that it is the one that was read.
    updates: bool,
    /// An object can be copied to where there is none; S3 needs an option for it.
    copies_to_nothing: bool,
}

#[test]
fn a_folder_keeps_what_promblock_relies_on() {
    let differs = Differs {
        ordered_lists: false,
        listed_e_tags: true,
        suffixes: true,
        missing_is_error: true,
        updates: false,
        copies_to_nothing: true,
    };
    check(&LocalFolder::start(), &differs);
}

#[test]
fn s3_keeps_what_promblock_relies_on() {
    let differs = Differs {
        ordered_lists: true,
        listed_e_tags: false,
        suffixes: true,
        missing_is_error: false,
        updates: true,
        copies_to_nothing: false,
    };
    check(&S3Server::start(), &differs);
}

#[test]
fn gcs_keeps_what_promblock_relies_on() {
    let differs = Differs {
        ordered_lists: true,
        listed_e_tags: true,
        suffixes: true,
        missing_is_error: true,
        updates: true,
        copies_to_nothing: true,
    };
    check(&GcsServer::start(), &differs);
}

#[test]
fn azure_keeps_what_promblock_relies_on() {
    let differs = Differs {
        ordered_lists: true,
        listed_e_tags: true,
        suffixes: false,
        missing_is_error: true,
        updates: true,
        copies_to_nothing: true,
    };
    check(&AzureServer::start(), &differs);
}

/// Each statement has a folder of its own.
fn check(server: &dyn TestStore, differs: &Differs) {
    let store = server.object_store();
    block_on(async {
        lists_are_whole_and_in_order(&store, differs).await;
        lists_go_on_after_a_page(&store, differs).await;
        ranges_end_where_the_object_does(&store, differs).await;
        what_is_written_is_read_at_once(&store, differs).await;
        keys_of_any_characters_come_back(&store).await;
        an_object_is_created_once(&store).await;
        an_object_is_updated_only_as_it_was_read(&store, differs).await;
        a_read_is_refused_when_the_object_has_changed(&store).await;
        a_multipart_upload_is_seen_when_it_is_complete(&store).await;
        an_aborted_upload_leaves_nothing(&store).await;
        copies_are_like_their_sources(&store, differs).await;
        many_objects_are_removed_at_once(&store).await;
    });
    assert!(server.url().contains("://"));
}

async fn put(store: &Store, key: &str, bytes: &'static [u8]) -> UpdateVersion {
    store.put(&key.into(), bytes.into()).await.unwrap().into()
}

async fn get(store: &Store, key: &str) -> Bytes {
    store.get(&key.into()).await.unwrap().bytes().await.unwrap()
}

async fn listed(store: &Store, prefix: &str) -> Vec<ObjectMeta> {
    store.list(Some(&prefix.into())).try_collect().await.unwrap()
}

fn keys<'a>(objects: impl IntoIterator<Item = &'a ObjectMeta>) -> Vec<String> {
    objects.into_iter().map(|meta| meta.location.to_string()).collect()
}

fn in_order(mut keys: Vec<String>, differs: &Differs) -> Vec<String> {
    if !differs.ordered_lists {
        keys.sort();
    }
    keys
}

async fn lists_are_whole_and_in_order(store: &Store, differs: &Differs) {
    // Bytewise, `-` and `.` come before `/`, capitals before small letters; a folder is no entry.
    let wanted = ["list/Z", "list/a-b", "list/a.b", "list/a/1", "list/a/b/c", "list/b"];
    for key in wanted.iter().rev() {
        put(store, key, b"12345").await;
    }
    put(store, "listless", b"another folder").await;
    let objects = listed(store, "list").await;
    assert_eq!(in_order(keys(&objects), differs), wanted);
    for meta in &objects {
        let head = store.head(&meta.location).await.unwrap();
        assert_eq!((meta.size, head.size), (5, 5));
        let second = |meta: &ObjectMeta| meta.last_modified.timestamp();
        assert_eq!(second(meta), second(&head), "{}", meta.location);
        // Azure lists an ETag without the quotes that it has elsewhere.
        let bare = |e_tag: &String| e_tag.trim_matches('"').to_owned();
        let wanted = head.e_tag.as_ref().map(bare).filter(|_| differs.listed_e_tags);
        assert_eq!(meta.e_tag.as_ref().map(bare), wanted, "{}", meta.location);
    }
    let level = store.list_with_delimiter(Some(&"list".into())).await.unwrap();
    assert_eq!(in_order(keys(&level.objects), differs), ["list/Z", "list/a-b", "list/a.b", "list/b"]);
    assert_eq!(level.common_prefixes, [Path::from("list/a")]);
    assert!(listed(store, "nothing").await.is_empty());
}

async fn lists_go_on_after_a_page(store: &Store, differs: &Differs) {
    let wanted: Vec<_> = (0..1_005).map(|number| format!("pages/{number:04}/meta.json")).collect();
    let puts = stream::iter(&wanted).map(|key| put(store, key, b"x")).buffer_unordered(16);
    puts.collect::<Vec<_>>().await;
    assert_eq!(in_order(keys(&listed(store, "pages").await), differs), wanted);
    let level = store.list_with_delimiter(Some(&"pages".into())).await.unwrap();
    assert_eq!((level.common_prefixes.len(), level.objects.len()), (1_005, 0));
}

async fn ranges_end_where_the_object_does(store: &Store, differs: &Differs) {
    put(store, "ranges/object", b"0123456789").await;
    let key = Path::from("ranges/object");
    for (range, wanted) in [(0..10, "0123456789"), (0..1, "0"), (9..10, "9"), (4..7, "456"), (7..100, "789")]
    {
        assert_eq!(store.get_range(&key, range.clone()).await.unwrap(), wanted, "{range:?}");
    }
    for range in [10..11, 50..60] {
        let error = store.get_range(&key, range.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Generic { .. }), "{range:?}: {error}");
    }
    let several = store.get_ranges(&key, &[8..10, 0..2]).await.unwrap();
    assert_eq!(several, ["89", "01"]);
    let last = |bytes| {
        let options = GetOptions { range: Some(GetRange::Suffix(bytes)), ..GetOptions::default() };
        store.get_opts(&key, options)
    };
    if differs.suffixes {
        assert_eq!(last(3).await.unwrap().bytes().await.unwrap(), "789");
        assert_eq!(last(10).await.unwrap().bytes().await.unwrap(), "0123456789");
    } else {
        assert!(matches!(last(3).await.unwrap_err(), Error::NotSupported { .. }));
    }
    // The answer to a range knows the size of the whole.
    let options = GetOptions { range: Some(GetRange::Bounded(2..4)), ..GetOptions::default() };
    let part = store.get_opts(&key, options).await.unwrap();
    assert_eq!((part.meta.size, part.range.clone()), (10, 2..4));
    assert_eq!(part.meta.e_tag, store.head(&key).await.unwrap().e_tag);
    put(store, "ranges/empty", b"").await;
    assert_eq!(get(store, "ranges/empty").await, "");
}

async fn what_is_written_is_read_at_once(store: &Store, differs: &Differs) {
    let key = Path::from("fresh/object");
    assert!(matches!(store.get(&key).await.unwrap_err(), Error::NotFound { .. }));
    assert!(matches!(store.head(&key).await.unwrap_err(), Error::NotFound { .. }));
    for bytes in [&b"first"[..], b"second", b"third, longer than the others"] {
        put(store, "fresh/object", bytes).await;
        assert_eq!(get(store, "fresh/object").await, bytes);
        assert_eq!(listed(store, "fresh").await[0].size, bytes.len() as u64);
    }
    store.delete(&key).await.unwrap();
    assert!(matches!(store.get(&key).await.unwrap_err(), Error::NotFound { .. }));
    assert!(listed(store, "fresh").await.is_empty());
    match store.delete(&key).await {
        Ok(()) => assert!(!differs.missing_is_error),
        Err(error) => assert!(differs.missing_is_error && matches!(error, Error::NotFound { .. }), "{error}"),
    }
}

async fn keys_of_any_characters_come_back(store: &Store) {
    let mut wanted = ["dt=2026-11-21/part 1", "ü/µ", "a+b", "a&b;c", "(x)!'y'", "tenant@cell,1", "100%25"]
        .map(|name| Path::parse(format!("names/{name}")).unwrap());
    wanted.sort();
    for key in &wanted {
        store.put(key, "x".into()).await.unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    let mut found: Vec<_> = listed(store, "names").await.into_iter().map(|meta| meta.location).collect();
    found.sort();
    assert_eq!(found, wanted);
    for key in &wanted {
        assert_eq!(store.head(key).await.unwrap().size, 1, "{key}");
    }
}

async fn an_object_is_created_once(store: &Store) {
    let create = |bytes: &'static [u8]| async move {
        let options = PutOptions::from(PutMode::Create);
        store.put_opts(&"create/object".into(), bytes.into(), options).await
    };
    create(b"one").await.unwrap();
    assert!(matches!(create(b"two").await.unwrap_err(), Error::AlreadyExists { .. }));
    assert_eq!(get(store, "create/object").await, "one");
    store.delete(&"create/object".into()).await.unwrap();
    create(b"three").await.unwrap();
}

async fn an_object_is_updated_only_as_it_was_read(store: &Store, differs: &Differs) {
    let key = Path::from("update/object");
    let update = |version: &UpdateVersion, bytes: &'static [u8]| {
        let options = PutOptions::from(PutMode::Update(version.clone()));
        let (key, bytes) = (&key, PutPayload::from(bytes));
        async move { store.put_opts(key, bytes, options).await.map(UpdateVersion::from) }
    };
    let first = put(store, "update/object", b"first").await;
    if !differs.updates {
        assert!(matches!(update(&first, b"second").await.unwrap_err(), Error::NotImplemented { .. }));
        return;
    }
    let second = update(&first, b"second").await.unwrap();
    assert!(matches!(update(&first, b"lost").await.unwrap_err(), Error::Precondition { .. }));
    // What a head says will do as well.
    let head = store.head(&key).await.unwrap();
    assert_eq!((head.e_tag.clone(), head.version.clone()), (second.e_tag, second.version));
    update(&UpdateVersion { e_tag: head.e_tag, version: head.version }, b"third").await.unwrap();
    assert_eq!(get(store, "update/object").await, "third");
}

async fn a_read_is_refused_when_the_object_has_changed(store: &Store) {
    let key = Path::from("changed/object");
    let first = put(store, "changed/object", b"first").await;
    let read = || {
        let range = Some(GetRange::Bounded(1..3));
        let options = GetOptions { if_match: first.e_tag.clone(), range, ..GetOptions::default() };
        store.get_opts(&key, options)
    };
    assert_eq!(read().await.unwrap().bytes().await.unwrap(), "ir");
    put(store, "changed/object", b"second").await;
    let error = read().await.unwrap_err();
    assert!(matches!(error, Error::Precondition { .. }), "{error}");
}

/// Two parts: all stores want five mebibytes of all but the last.
fn parts() -> [Vec<u8>; 2] {
    [(0..6 << 20).map(|at: u32| at.to_le_bytes()[0]).collect(), b"the end".to_vec()]
}

async fn a_multipart_upload_is_seen_when_it_is_complete(store: &Store) {
    let key = Path::from("multipart/object");
    put(store, "multipart/object", b"old").await;
    let mut upload: Box<dyn MultipartUpload> =
        store.put_multipart_opts(&key, PutMultipartOptions::default()).await.unwrap();
    for part in parts() {
        upload.put_part(part.into()).await.unwrap();
        assert_eq!(get(store, "multipart/object").await, "old");
        assert_eq!(keys(&listed(store, "multipart").await), ["multipart/object"]);
    }
    upload.complete().await.unwrap();
    assert_eq!(get(store, "multipart/object").await, parts().concat());
}

async fn an_aborted_upload_leaves_nothing(store: &Store) {
    let mut upload = store.put_multipart(&"abort/object".into()).await.unwrap();
    upload.put_part(b"part".as_slice().into()).await.unwrap();
    upload.abort().await.unwrap();
    assert!(listed(store, "abort").await.is_empty());
}

async fn copies_are_like_their_sources(store: &Store, differs: &Differs) {
    put(store, "copy/a b", b"source").await;
    put(store, "copy/there", b"other").await;
    let from = Path::from("copy/a b");
    store.copy(&from, &"copy/there".into()).await.unwrap();
    assert_eq!(get(store, "copy/there").await, "source");
    assert!(store.copy(&"copy/nothing".into(), &"copy/there".into()).await.is_err());
    let to_nothing = |to: &'static str| async move {
        let options = CopyOptions { mode: CopyMode::Create, ..CopyOptions::default() };
        store.copy_opts(&Path::from("copy/a b"), &to.into(), options).await
    };
    if differs.copies_to_nothing {
        to_nothing("copy/new").await.unwrap();
        assert!(matches!(to_nothing("copy/new").await.unwrap_err(), Error::AlreadyExists { .. }));
    } else {
        assert!(to_nothing("copy/new").await.is_err());
    }
}

async fn many_objects_are_removed_at_once(store: &Store) {
    for key in ["many/1", "many/2", "many/3 &"] {
        put(store, key, b"x").await;
    }
    let doomed = listed(store, "many").await.into_iter().map(|meta| Ok(meta.location));
    let doomed = stream::iter(doomed.collect::<Vec<_>>()).boxed();
    let removed: Vec<_> = store.delete_stream(doomed).try_collect().await.unwrap();
    assert_eq!(removed.len(), 3);
    assert!(listed(store, "many").await.is_empty());
}
