//! A store for tests: in memory, it counts what is asked of it, takes its time, and fails where it is told to.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tsdb_reader::source::MemorySource;

use super::{BucketSource, Ranges};

/// What is wrong with the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// So many bodies end one byte early.
    Short(u64),
    /// So many bodies end in an error.
    Broken(u64),
    /// All are refused.
    Denied,
}

#[derive(Debug)]
pub(crate) struct TestStore {
    inner: InMemory,
    latency: Duration,
    fault: Mutex<Option<Fault>>,
    asked: Mutex<Vec<(String, Range<u64>)>>,
    pub(crate) in_flight: AtomicU64,
    pub(crate) most_in_flight: AtomicU64,
}

impl TestStore {
    pub(crate) fn new(latency: Duration) -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            latency,
            fault: Mutex::default(),
            asked: Mutex::default(),
            in_flight: AtomicU64::default(),
            most_in_flight: AtomicU64::default(),
        })
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// What was asked for since it was last asked: objects, and the bytes of them.
    pub(crate) fn take_asked(&self) -> Vec<(String, Range<u64>)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    pub(crate) async fn put_object(&self, path: &str, bytes: impl Into<Bytes>) {
        self.inner.put(&Path::from(path), PutPayload::from(bytes.into())).await.unwrap();
    }

    pub(crate) async fn remove_object(&self, path: &str) {
        self.inner.delete(&Path::from(path)).await.unwrap();
    }

    /// Puts the files of a block into the folder `block`, and opens it there.
    pub(crate) async fn block(
        self: &Arc<Self>,
        ranges: &Ranges,
        block: &str,
        files: &MemorySource,
    ) -> BucketSource {
        for (file, bytes) in &files.files {
            self.put_object(&format!("{block}/{file}"), bytes.clone()).await;
        }
        self.open(ranges, block).await
    }

    /// The block in the folder `block`, as a listing shows it.
    pub(crate) async fn open(self: &Arc<Self>, ranges: &Ranges, block: &str) -> BucketSource {
        let prefix = format!("{block}/");
        let listed: Vec<ObjectMeta> = self.inner.list(Some(&Path::from(block))).try_collect().await.unwrap();
        let listed = listed.into_iter().map(|meta| {
            let name = meta.location.as_ref().strip_prefix(&prefix).unwrap().to_owned();
            (name, meta)
        });
        let store: Arc<dyn ObjectStore> = Arc::clone(self) as _;
        BucketSource::new(ranges.clone(), &store, format!("test://{block}"), listed).unwrap()
    }

    /// The fault of an answer that begins now.
    fn next_fault(&self) -> Option<Fault> {
        let mut fault = self.fault.lock().unwrap();
        match fault.as_mut() {
            Some(Fault::Short(0) | Fault::Broken(0)) => *fault = None,
            Some(Fault::Short(left) | Fault::Broken(left)) => {
                *left -= 1;
                return *fault;
            }
            Some(Fault::Denied) | None => {}
        }
        *fault
    }

    async fn answer(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if let Some(GetRange::Bounded(range)) = &options.range {
            self.asked.lock().unwrap().push((location.to_string(), range.clone()));
        }
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let answer = self.inner.get_opts(location, options).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let fault = self.next_fault();
        if fault == Some(Fault::Denied) {
            let (path, source) = (location.to_string(), "https://host/x?sig=secret said no");
            return Err(object_store::Error::PermissionDenied { path, source: source.into() });
        }
        let Some(fault) = fault else { return answer };
        let GetResult { payload, meta, range, attributes, extensions } = answer?;
        let GetResultPayload::Stream(parts) = payload else { panic!("memory has no files") };
        let whole: Vec<Bytes> = parts.try_collect().await?;
        let whole = Bytes::from(whole.concat());
        let cut = Ok(whole.slice(..whole.len().saturating_sub(1)));
        let parts = match fault {
            Fault::Short(_) => vec![cut],
            _ => {
                let source = "the connection was reset".into();
                vec![cut, Err(object_store::Error::Generic { store: "test", source })]
            }
        };
        let payload = GetResultPayload::Stream(futures_util::stream::iter(parts).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }
}

impl fmt::Display for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store for tests")
    }
}

/// Spelled out as the trait's macro does it.
impl ObjectStore for TestStore {
    fn get_opts<'s, 'p, 'f>(
        &'s self,
        location: &'p Path,
        options: GetOptions,
    ) -> BoxFuture<'f, Result<GetResult>>
    where
        's: 'f,
        'p: 'f,
    {
        Box::pin(self.answer(location, options))
    }

    fn put_opts<'s, 'p, 'f>(
        &'s self,
        location: &'p Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'f, Result<PutResult>>
    where
        's: 'f,
        'p: 'f,
    {
        Box::pin(self.inner.put_opts(location, payload, options))
    }

    fn put_multipart_opts<'s, 'p, 'f>(
        &'s self,
        location: &'p Path,
        options: PutMultipartOptions,
    ) -> BoxFuture<'f, Result<Box<dyn MultipartUpload>>>
    where
        's: 'f,
        'p: 'f,
    {
        Box::pin(self.inner.put_multipart_opts(location, options))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'s, 'p, 'f>(
        &'s self,
        prefix: Option<&'p Path>,
    ) -> BoxFuture<'f, Result<ListResult>>
    where
        's: 'f,
        'p: 'f,
    {
        Box::pin(self.inner.list_with_delimiter(prefix))
    }

    fn copy_opts<'s, 'p, 'q, 'f>(
        &'s self,
        from: &'p Path,
        to: &'q Path,
        options: CopyOptions,
    ) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        'p: 'f,
        'q: 'f,
    {
        Box::pin(self.inner.copy_opts(from, to, options))
    }
}
