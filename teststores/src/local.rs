//! A folder on the local disk, for what must be equal there and in a bucket.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tempfile::TempDir;

use crate::store::TestStore;

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub struct LocalFolder(TempDir);

impl LocalFolder {
    /// An empty folder.
    pub fn start() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }
}

impl TestStore for LocalFolder {
    fn url(&self) -> String {
        format!("file://{}", self.0.path().display())
    }

    fn env(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(LocalFileSystem::new_with_prefix(self.0.path()).expect("the folder is there"))
    }
}
