//! What the proxy breaks, as a client sees it, and what it writes down.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt};
use teststores::{
    AzureServer, ByteRange, Dialect, Fault, FaultProxy, GcsServer, Operation, Refusal, Rule, S3Server,
    Server, TestStore, block_on,
};

const KEY: &str = "block/index";

/// A proxy before a server with one object of a hundred bytes.
fn proxy<S: Server>(server: S) -> FaultProxy<S> {
    server.put(KEY, &[7; 100]);
    FaultProxy::before(server)
}

/// Reads the object through the proxy, with the client's few retries.
fn read(proxy: &impl TestStore) -> Result<Vec<u8>, Error> {
    let store = proxy.object_store();
    block_on(async { Ok(store.get(&KEY.into()).await?.bytes().await?.to_vec()) })
}

fn on_get(fault: Fault) -> Rule {
    Rule::on(Operation::Get, "*/index", fault)
}

fn statuses<S: Server>(proxy: &FaultProxy<S>) -> Vec<u16> {
    proxy.asked(Operation::Get, "*").iter().map(|asked| asked.status).collect()
}

#[test]
fn a_client_comes_back_to_a_server_that_was_busy() {
    let proxy = proxy(S3Server::start());
    proxy.add(on_get(Fault::Refuse(Refusal::Busy)).times(2));
    assert_eq!(read(&proxy).unwrap(), [7; 100]);
    assert_eq!(statuses(&proxy), [503, 503, 200]);
    assert_eq!(proxy.bytes(Operation::Get, KEY) - 100, {
        let refused = proxy.asked(Operation::Get, KEY).into_iter().filter(|asked| asked.broken);
        refused.map(|asked| asked.bytes_out).sum::<u64>()
    });
}

#[test]
fn a_server_that_stays_busy_is_given_up() {
    let proxy = proxy(GcsServer::start());
    proxy.add(on_get(Fault::Refuse(Refusal::TooManyRequests)).always());
    let error = read(&proxy).unwrap_err().to_string();
    assert!(error.contains("429") && error.contains("SlowDown"), "{error}");
    assert_eq!(proxy.requests(Operation::Get, KEY), 4);
    proxy.mend();
    assert_eq!(read(&proxy).unwrap(), [7; 100]);
}

#[test]
fn refusals_are_what_a_client_understands() {
    every_refusal(&proxy(S3Server::start()));
    every_refusal(&proxy(GcsServer::start()));
    every_refusal(&proxy(AzureServer::start()));
}

fn every_refusal<S: Server>(proxy: &FaultProxy<S>) {
    let dialect = proxy.endpoint().dialect;
    for refusal in [Refusal::Internal, Refusal::Expired, Refusal::Denied, Refusal::NotFound] {
        proxy.add(on_get(Fault::Refuse(refusal)).always());
        let error = read(proxy).unwrap_err();
        match (refusal, dialect) {
            (Refusal::NotFound, _) => assert!(matches!(error, Error::NotFound { .. }), "{dialect}: {error}"),
            (Refusal::Denied, _) | (Refusal::Expired, Dialect::Azure) => {
                assert!(matches!(error, Error::PermissionDenied { .. }), "{dialect}: {error}");
            }
            (Refusal::Expired, Dialect::Gcs) => {
                assert!(matches!(error, Error::Unauthenticated { .. }), "{dialect}: {error}");
            }
            _ => assert!(error.to_string().contains(refusal.words(dialect).1), "{dialect}: {error}"),
        }
        proxy.mend();
    }
    assert_eq!(read(proxy).unwrap(), [7; 100]);
}

#[test]
fn a_connection_may_break_anywhere() {
    let proxy = proxy(S3Server::start());
    for fault in [Fault::ResetBeforeRequest, Fault::ResetBeforeHead, Fault::ResetAfterHead, Fault::Cut(40)] {
        proxy.add(on_get(fault.clone()));
        proxy.forget();
        assert_eq!(read(&proxy).unwrap(), [7; 100], "{fault:?}");
        let log = proxy.asked(Operation::Get, KEY);
        assert!(log.len() == 2 && log[0].broken && !log[1].broken, "{fault:?}: {log:?}");
        if fault == Fault::Cut(40) {
            // The client goes on where the body ended.
            assert_eq!((log[0].bytes_out, log[1].bytes_out), (40, 60));
            assert_eq!(log[1].range, Some(ByteRange::Within(40..100)));
        }
    }
}

#[test]
fn a_lost_answer_does_not_undo_a_write() {
    let proxy = FaultProxy::before(GcsServer::start());
    proxy.add(Rule::on(Operation::Put, KEY, Fault::ResetBeforeHead).always());
    let store = proxy.object_store();
    assert!(block_on(async { store.put(&KEY.into(), "x".into()).await }).is_err());
    assert_eq!(proxy.server().files("").len(), 1);
    proxy.mend();
    proxy.server().delete(KEY);
    proxy.add(Rule::on(Operation::Put, KEY, Fault::ResetBeforeRequest).always());
    assert!(block_on(async { store.put(&KEY.into(), "x".into()).await }).is_err());
    assert!(proxy.server().files("").is_empty());
}

#[test]
fn a_stalled_body_holds_the_client_until_it_gives_up() {
    let proxy = proxy(GcsServer::start());
    proxy.add(on_get(Fault::Stall(10)));
    let store = proxy.object_store();
    block_on(async {
        let read = store.get(&KEY.into()).await.unwrap().bytes();
        assert!(tokio::time::timeout(Duration::from_millis(200), read).await.is_err());
    });
    assert_eq!(proxy.bytes(Operation::Get, KEY), 10);
    // The next one is answered, and the proxy stops although a client may still wait.
    assert_eq!(read(&proxy).unwrap(), [7; 100]);
}

#[test]
fn an_answer_may_be_late() {
    let proxy = proxy(GcsServer::start());
    proxy.add(on_get(Fault::Delay(Duration::from_millis(150))).after(1));
    let start = Instant::now();
    read(&proxy).unwrap();
    assert!(start.elapsed() < Duration::from_millis(150));
    read(&proxy).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[test]
fn an_object_is_replaced_between_head_and_read() {
    replaced(&proxy(S3Server::start()));
    replaced(&proxy(GcsServer::start()));
    replaced(&proxy(AzureServer::start()));
}

fn replaced<S: Server>(proxy: &FaultProxy<S>) {
    proxy.add(on_get(Fault::Replace(b"new".to_vec())));
    let store = proxy.object_store();
    let dialect = proxy.endpoint().dialect;
    block_on(async {
        let head = store.head(&KEY.into()).await.unwrap();
        let options = GetOptions { if_match: head.e_tag, ..GetOptions::default() };
        let error = store.get_opts(&KEY.into(), options).await.unwrap_err();
        assert!(matches!(error, Error::Precondition { .. }), "{dialect}: {error}");
    });
    assert_eq!(read(proxy).unwrap(), b"new");
}

#[test]
fn requests_of_every_kind_are_told_apart() {
    operations(&FaultProxy::before(S3Server::start()));
    operations(&FaultProxy::before(GcsServer::start()));
    operations(&FaultProxy::before(AzureServer::start()));
}

fn operations<S: Server>(proxy: &FaultProxy<S>) {
    let store = proxy.object_store();
    let dialect = proxy.endpoint().dialect;
    let key = || "dt=1/a b".into();
    block_on(async {
        store.put(&key(), "0123456789".into()).await.unwrap();
        store.head(&key()).await.unwrap();
        store.get_range(&key(), 2..5).await.unwrap();
        store.list_with_delimiter(Some(&"dt=1".into())).await.unwrap();
        store.copy(&key(), &"copy".into()).await.unwrap();
        let mut upload = store.put_multipart(&"parts".into()).await.unwrap();
        upload.put_part("part".into()).await.unwrap();
        upload.complete().await.unwrap();
        store.delete(&key()).await.unwrap();
    });
    for (operation, wanted) in [
        (Operation::Put, "dt=1/a b"),
        (Operation::Head, "dt=1/a b"),
        (Operation::Get, "dt=1/a b"),
        (Operation::List, "dt=1/"),
        (Operation::Copy, "copy"),
        (Operation::PutPart, "parts"),
        (Operation::Complete, "parts"),
    ] {
        assert_eq!(proxy.requests(operation, wanted), 1, "{dialect}: {operation:?} in {:?}", proxy.log());
    }
    let deleted = proxy.requests(Operation::Delete, "*") + proxy.requests(Operation::DeleteMany, "*");
    assert_eq!(deleted, 1, "{dialect}");
    assert_eq!(proxy.ranges("*"), [ByteRange::Within(2..5)]);
    assert_eq!((proxy.bytes(Operation::Get, "*"), proxy.asked(Operation::Put, "*")[0].bytes_in), (3, 10));
}

#[test]
fn a_folder_is_the_same_in_every_store() {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for server in [&S3Server::start() as &dyn TestStore, &GcsServer::start(), &AzureServer::start()] {
        server.load_folder(&folder, "some/prefix/");
        let files = server.files("some/prefix");
        assert_eq!(files["some/prefix/lib.rs"], fs::read(folder.join("lib.rs")).unwrap());
        assert!(files.contains_key("some/prefix/gcs/xml.rs"));
        assert_eq!(server.files("").len(), files.len());
    }
}
