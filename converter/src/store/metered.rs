//! A store that counts what is asked of it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use serde::Serialize;

/// What was asked of a store so far, and what went over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoreUsage {
    /// Requests of all kinds, without repeated ones.
    pub requests: u64,
    /// Listings, each counted once however many pages it has.
    pub lists: u64,
    /// Questions for the size of an object.
    pub heads: u64,
    /// Reads of objects or of ranges of them.
    pub gets: u64,
    /// Objects and parts of objects written, and uploads begun, finished and aborted.
    pub puts: u64,
    /// Copies.
    pub copies: u64,
    /// Removals.
    pub deletes: u64,
    /// Bytes of objects received.
    pub bytes_read: u64,
    /// Bytes of objects sent.
    pub bytes_written: u64,
}

impl StoreUsage {
    /// Adds what was asked of another store.
    pub fn add(&mut self, other: &Self) {
        let Self { requests, lists, heads, gets, puts, copies, deletes, bytes_read, bytes_written } = other;
        for (sum, more) in [
            (&mut self.requests, requests),
            (&mut self.lists, lists),
            (&mut self.heads, heads),
            (&mut self.gets, gets),
            (&mut self.puts, puts),
            (&mut self.copies, copies),
            (&mut self.deletes, deletes),
            (&mut self.bytes_read, bytes_read),
            (&mut self.bytes_written, bytes_written),
        ] {
            *sum = sum.saturating_add(*more);
        }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Meter {
    lists: AtomicU64,
    heads: AtomicU64,
    gets: AtomicU64,
    puts: AtomicU64,
    copies: AtomicU64,
    deletes: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Meter {
    /// What they say now.
    pub(super) fn usage(&self) -> StoreUsage {
        let [lists, heads, gets, puts, copies, deletes, bytes_read, bytes_written] = [
            &self.lists,
            &self.heads,
            &self.gets,
            &self.puts,
            &self.copies,
            &self.deletes,
            &self.bytes_read,
            &self.bytes_written,
        ]
        .map(|counter| counter.load(Ordering::Relaxed));
        let requests = lists + heads + gets + puts + copies + deletes;
        StoreUsage { requests, lists, heads, gets, puts, copies, deletes, bytes_read, bytes_written }
    }
}

/// A store and its counters.
pub(super) struct Metered {
    inner: Arc<dyn ObjectStore>,
    meter: Arc<Meter>,
}

impl Metered {
    /// `inner`, counted by `meter`.
    pub(super) fn new(inner: Arc<dyn ObjectStore>, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }
}

/// Without what is inside: it holds keys.
impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metered({})", self.inner)
    }
}

impl fmt::Display for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Metered {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        count(&self.meter.puts, 1);
        let bytes = payload.content_length() as u64;
        let put = self.inner.put_opts(location, payload, options).await?;
        count(&self.meter.bytes_written, bytes);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        count(&self.meter.puts, 1);
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(MeteredUpload { inner, meter: Arc::clone(&self.meter) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        count(if is_head { &self.meter.heads } else { &self.meter.gets }, 1);
        let mut result = self.inner.get_opts(location, options).await?;
        if is_head {
            return Ok(result);
        }
        let meter = Arc::clone(&self.meter);
        result.payload = match result.payload {
            GetResultPayload::Stream(bytes) => {
                let counted = bytes.inspect(move |bytes| {
                    let received = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                    count(&meter.bytes_read, received);
                });
                GetResultPayload::Stream(counted.boxed())
            }
            file @ GetResultPayload::File(..) => {
                let Range { start, end } = result.range;
                count(&meter.bytes_read, end.saturating_sub(start));
                file
            }
        };
        Ok(result)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let meter = Arc::clone(&self.meter);
        self.inner.delete_stream(locations.inspect(move |_| count(&meter.deletes, 1)).boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        count(&self.meter.lists, 1);
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        count(&self.meter.lists, 1);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        count(&self.meter.lists, 1);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        count(&self.meter.copies, 1);
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload in parts, counted.
#[derive(Debug)]
struct MeteredUpload {
    inner: Box<dyn MultipartUpload>,
    meter: Arc<Meter>,
}

#[async_trait]
impl MultipartUpload for MeteredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let bytes = data.content_length() as u64;
        let (part, meter) = (self.inner.put_part(data), Arc::clone(&self.meter));
        count(&meter.puts, 1);
        Box::pin(async move {
            part.await?;
            count(&meter.bytes_written, bytes);
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        count(&self.meter.puts, 1);
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        count(&self.meter.puts, 1);
        self.inner.abort().await
    }
}
