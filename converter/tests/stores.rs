//! A bucket is read as the folder it was made of: the same files, the same findings.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::{convert_with, data_files, fixtures, run_options, scratch};
use teststores::{GcsServer, LocalFolder, S3Server, TestStore};
use tsdb_converter::convert::RunOptions;
use tsdb_converter::discover::{ReadOptions, discover, every_block};
use tsdb_converter::error::error_chain;
use tsdb_converter::finding::Finding;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::store::Stores;
use tsdb_converter::store::config::{Configured, open_config};
use tsdb_converter::store::fields::table;
use tsdb_converter::store::location::{Environment, Location};

/// Each kind of store that is there on every machine.
fn servers() -> Vec<Box<dyn TestStore>> {
    vec![Box::new(S3Server::start()), Box::new(GcsServer::start()), Box::new(LocalFolder::start())]
}

/// The bucket of `server`, so that each SOURCE is a prefix in it.
fn stores(server: &dyn TestStore) -> Stores {
    let store = Location::parse(&server.url()).unwrap().open_with(&Environment::of(server.env()));
    let store = store.unwrap_or_else(|error| panic!("{}", error_chain(&error)));
    Stores::configured(Configured { store, findings: Vec::new() })
}

/// Findings without the place of the SOURCE.
fn placeless(findings: &[Finding], source: &str) -> Vec<String> {
    let text = |at: &Finding| {
        format!(
            "{:?} {} {}: {}",
            at.severity,
            at.name,
            at.place.replace(source, "SOURCE"),
            at.message.replace(source, "SOURCE")
        )
    };
    findings.iter().map(text).collect()
}

#[test]
fn converting_from_a_bucket_gives_byte_for_byte_what_the_folder_gives() {
    let sources = ["snapshot/20261121T122202Z-7590510c24afb1f5", "thanos/bucket", "thanos/many_segments"];
    for server in servers() {
        for source in sources {
            let folder = fixtures().join(source);
            server.load_folder(&folder, source);
            let (from_folder, from_store) = (scratch(), scratch());
            let options = ConvertOptions::default();
            let expected = convert_with(&folder, from_folder.path(), &options, &run_options(1)).unwrap();
            let stores = stores(server.as_ref());
            let run = RunOptions { stores: stores.clone(), ..run_options(2) };
            let url = server.url();
            let report = convert_with(Path::new(source), from_store.path(), &options, &run)
                .unwrap_or_else(|error| panic!("{url}: {}", error_chain(&error)));
            assert!(data_files(from_folder.path()) == data_files(from_store.path()), "{url} {source}");
            assert_eq!((report.samples, report.adds_up), (expected.samples, true), "{url} {source}");
            assert_eq!(
                placeless(&report.findings.list, &format!("{url}/{source}")),
                placeless(&expected.findings.list, &folder.display().to_string()),
            );
            let [used] = stores.report().try_into().unwrap();
            assert!(used.usage.bytes_read > 0 && used.usage.puts + used.usage.deletes == 0, "{used:?}");
        }
    }
}

#[test]
fn a_prefix_may_be_a_block_or_hold_blocks_and_what_else_lies_there_is_named() {
    let server = S3Server::start();
    let bucket = fixtures().join("thanos/bucket");
    server.load_folder(&bucket, "a/b");
    let read = |stores: Stores| ReadOptions { stores, ..ReadOptions::default() };
    let local = every_block(&[bucket], &ReadOptions::default()).unwrap();
    let far = every_block(&[PathBuf::from("a/b/")], &read(stores(&server))).unwrap();
    let ulids = |blocks: &[tsdb_converter::discover::Found]| {
        blocks.iter().map(|found| found.block.meta().ulid).collect::<Vec<_>>()
    };
    assert_eq!(ulids(&far.blocks), ulids(&local.blocks));
    let one = ulids(&far.blocks)[0];
    let found = discover(&[PathBuf::from(format!("a/b/{one}"))], &read(stores(&server))).unwrap();
    assert_eq!(ulids(&found.blocks), [one]);
    assert_eq!(found.blocks[0].location, format!("{}/a/b/{one}", server.url()));
}

#[test]
fn sources_that_cannot_be_read_are_refused_with_what_to_do() {
    let server = S3Server::start();
    server.put("archive.tar", b"x");
    let discovered = |source: &str, include_head: bool, stores: Stores| {
        let read = ReadOptions { include_head, stores, ..ReadOptions::default() };
        error_chain(&discover(&[PathBuf::from(source)], &read).unwrap_err())
    };
    assert_eq!(
        discovered("nowhere", false, stores(&server)),
        "cannot read SOURCE s3://metrics/nowhere: nothing lies there; look at the prefix, and whether the credentials may \
         list it"
    );
    assert!(discovered("archive.tar", false, stores(&server)).contains("it is an object, no folder"));
    assert_eq!(
        discovered("", true, stores(&server)),
        "--include-head reads data directories, and SOURCE s3://metrics is in a store; leave it out, or give a path"
    );
    let mut variables = server.env();
    for (name, value) in &mut variables {
        if name == "AWS_SECRET_ACCESS_KEY" {
            *value = "hunter2".to_owned();
        }
    }
    let store = Location::parse("s3://metrics").unwrap().open_with(&Environment::of(variables)).unwrap();
    let configured = Stores::configured(Configured { store, findings: Vec::new() });
    let error = discovered("", false, configured);
    assert!(error.contains("SignatureDoesNotMatch") && !error.contains("hunter"), "{error}");
    assert!(error.ends_with("look at the access key and its secret"), "{error}");
    assert_eq!(
        discovered("ftp://host/x", false, Stores::default()),
        "ftp://host/x is no location of a store: no store is known by it; expected s3://BUCKET/PREFIX, gs://, az://, \
         file:/// or https://"
    );
}

#[test]
fn a_configuration_of_thanos_leads_to_the_bucket() {
    let server = S3Server::start();
    server.load_folder(&fixtures().join("thanos/bucket"), "some/prefix/blocks");
    let variables: std::collections::BTreeMap<String, String> = server.env().into_iter().collect();
    let endpoint = variables["AWS_ENDPOINT_URL"].trim_start_matches("http://");
    let text = format!(
        "type: S3\nconfig:\n  bucket: metrics\n  endpoint: {endpoint}\n  insecure: true\n  access_key: {}\n  \
         secret_key: {}\n  http_config: {{idle_conn_timeout: 90s}}\nprefix: some/prefix\n",
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"],
    );
    // What the environment says of the address does not count.
    let elsewhere = [("AWS_ENDPOINT_URL".to_owned(), "http://192.0.2.1".to_owned())];
    let configured = open_config("x.yml", &text, Environment::of(elsewhere)).unwrap();
    let read = ReadOptions { stores: Stores::configured(configured), ..ReadOptions::default() };
    let found = discover(&[PathBuf::from("blocks")], &read).unwrap();
    assert!(!found.blocks.is_empty());
    let settings: Vec<_> = found.findings.iter().filter(|at| at.name == "store-setting").collect();
    assert_eq!(settings.len(), 1);
    assert_eq!(
        settings[0].message,
        "http_config.idle_conn_timeout tunes what is done otherwise here: no effect"
    );
}

#[test]
fn the_page_about_buckets_has_the_table_of_fields() {
    const BEGIN: &str = "<!-- fields: written by the tests of stores with UPDATE=1 -->\n";
    const END: &str = "<!-- end -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/buckets.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, expected).unwrap();
    } else {
        assert!(page == expected, "docs/buckets.md is out of date; run this test with UPDATE=1");
    }
}
