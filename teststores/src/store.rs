//! What every store for tests offers, whatever it speaks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use crate::endpoint::Endpoint;

/// A store for tests. Its methods block, so none may be called where a runtime runs.
pub trait TestStore: Send + Sync {
    /// The URL of its root.
    fn url(&self) -> String;

    /// The environment in which the command line reaches it.
    fn env(&self) -> Vec<(String, String)>;

    /// A client of it that gives up soon.
    fn object_store(&self) -> Arc<dyn ObjectStore>;

    /// Writes one object.
    fn put(&self, key: &str, bytes: &[u8]) {
        let store = self.object_store();
        let bytes = bytes.to_vec();
        block_on(async { store.put(&key.into(), bytes.into()).await }).expect("an object is written");
    }

    /// Removes one object.
    fn delete(&self, key: &str) {
        let store = self.object_store();
        block_on(async { store.delete(&key.into()).await }).expect("an object is removed");
    }

    /// Writes the files below `folder` as objects below `prefix`.
    fn load_folder(&self, folder: &Path, prefix: &str) {
        let mut files = Vec::new();
        collect(folder, prefix.trim_end_matches('/'), &mut files);
        let store = self.object_store();
        let put = |(key, bytes): (String, Vec<u8>)| {
            let store = &store;
            async move { store.put(&key.into(), bytes.into()).await.map(|_| ()) }
        };
        let puts = futures_util::stream::iter(files).map(put).buffer_unordered(8);
        block_on(puts.try_collect::<()>()).expect("objects are written");
    }

    /// All objects below `prefix`.
    fn files(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let store = self.object_store();
        let get = |meta: object_store::ObjectMeta| {
            let store = &store;
            async move {
                let bytes = store.get(&meta.location).await?.bytes().await?;
                Ok((meta.location.to_string(), bytes.to_vec()))
            }
        };
        let prefix = (!prefix.is_empty()).then(|| prefix.into());
        let gets = store.list(prefix.as_ref()).map_ok(get).try_buffer_unordered(8);
        block_on(gets.try_collect()).expect("objects are read")
    }
}

/// A store behind an address.
pub trait Server: Send + Sync {
    /// How it is reached.
    fn endpoint(&self) -> Endpoint;
}

impl Server for Endpoint {
    fn endpoint(&self) -> Endpoint {
        *self
    }
}

impl<S: Server> TestStore for S {
    fn url(&self) -> String {
        self.endpoint().url()
    }

    fn env(&self) -> Vec<(String, String)> {
        self.endpoint().env()
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.endpoint().object_store()
    }
}

/// Runs `future` to its end on a runtime of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(future)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let key = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if path.is_dir() {
            collect(&path, &key, files);
        } else {
            files.push((key, fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))));
        }
    }
}
