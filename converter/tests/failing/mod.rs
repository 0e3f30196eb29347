//! A store that fails at its n-th request.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// What a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nothing happens.
    Refused,
    /// It happens, and nobody is told.
    AnswerLost,
    /// Nothing happens, then and afterwards: as if the process were gone.
    DeadFromThenOn,
    /// Nothing fails, and no condition is heeded.
    IgnoresConditions,
}

#[derive(Debug, Clone)]
pub struct Failing {
    inner: InMemory,
    left: Arc<AtomicU64>,
    how: How,
}

impl Failing {
    pub fn new(inner: InMemory, after: u64, how: How) -> Self {
        Self { inner, left: Arc::new(AtomicU64::new(after + 1)), how }
    }

    /// True when the n-th request was made.
    pub fn has_failed(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn error() -> object_store::Error {
        object_store::Error::Generic { store: "failing", source: "on purpose".into() }
    }

    /// Fails if it is the turn of this request. What is done has happened by then.
    async fn ask<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        if self.how == How::IgnoresConditions {
            return request.await;
        }
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match (left, self.how) {
            (Ok(1), How::AnswerLost) => {
                let _done = request.await;
                Err(Self::error())
            }
            (Ok(1), _) | (Err(0), How::DeadFromThenOn) => Err(Self::error()),
            _ => request.await,
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        if self.how == How::IgnoresConditions {
            options.mode = PutMode::Overwrite;
        }
        self.ask(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.ask(self.inner.put_multipart_opts(location, options)).await?;
        Ok(Box::new(FailingUpload { inner, store: self.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.ask(self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                store.ask(store.inner.delete(&location)).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, listed) = (self.clone(), self.inner.list(prefix));
        let begun = async move { store.ask(async { Ok(()) }).await };
        let listed = begun.map(|begun| match begun {
            Ok(()) => listed,
            Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
        });
        listed.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.ask(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.ask(self.inner.copy_opts(from, to, options)).await
    }
}

#[derive(Debug)]
struct FailingUpload {
    inner: Box<dyn MultipartUpload>,
    store: Failing,
}

#[async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, store) = (self.inner.put_part(data), self.store.clone());
        Box::pin(async move { store.ask(part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let store = self.store.clone();
        store.ask(self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
