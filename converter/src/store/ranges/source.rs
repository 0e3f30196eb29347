//! A block in a bucket, as a source of bytes.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectMeta, ObjectStore};
use tsdb_reader::source::{BlockFile, Source, segments_of};

use super::{Object, Ranges};

/// The folder of the segments.
const CHUNKS: &str = "chunks/";

/// The files of a block in a bucket, as they were listed.
#[derive(Debug)]
pub struct BucketSource {
    ranges: Ranges,
    location: String,
    files: BTreeMap<BlockFile, Arc<Object>>,
}

impl BucketSource {
    /// The block at `location` of these objects, of each its name within the block. Nothing is fetched. Objects that
    /// are no files of a block are left out; two that are the same segment are an error.
    pub fn new(
        ranges: Ranges,
        store: &Arc<dyn ObjectStore>,
        location: String,
        listed: impl IntoIterator<Item = (String, ObjectMeta)>,
    ) -> io::Result<Self> {
        let mut listed: BTreeMap<String, ObjectMeta> = listed.into_iter().collect();
        let of_chunks = |name: &String| name.strip_prefix(CHUNKS).map(str::to_owned);
        let segments = segments_of(listed.keys().filter_map(of_chunks).collect::<Vec<_>>())?;
        let segments = segments
            .into_iter()
            .map(|(number, name)| (BlockFile::Segment(number), format!("{CHUNKS}{name}")));
        let others = [BlockFile::Meta, BlockFile::Index, BlockFile::Tombstones];
        let names = others.into_iter().map(|file| (file, file.to_string())).chain(segments);
        let mut files = BTreeMap::new();
        for (file, name) in names {
            if let Some(meta) = listed.remove(&name) {
                let url = format!("{}/{name}", location.trim_end_matches('/'));
                let object = Object::new(ranges.number_object(), Arc::clone(store), url, meta);
                files.insert(file, Arc::new(object));
            }
        }
        Ok(Self { ranges, location, files })
    }

    fn file(&self, file: BlockFile) -> io::Result<&Arc<Object>> {
        self.files.get(&file).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// The ranges as far as the object reaches.
    fn within(object: &Object, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let within = |range: &Range<u64>| {
            let end = range.end.min(object.size());
            range.start.min(end)..end
        };
        ranges.iter().map(within).collect()
    }
}

impl Drop for BucketSource {
    fn drop(&mut self) {
        for object in self.files.values() {
            self.ranges.forget(object);
        }
    }
}

impl Source for BucketSource {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn size(&self, file: BlockFile) -> io::Result<u64> {
        Ok(self.file(file)?.size())
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        Ok(self.files.keys().filter_map(|file| file.segment_number()).collect())
    }

    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let object = self.file(file)?;
        self.ranges.read(object, &Self::within(object, ranges))
    }

    fn is_far(&self) -> bool {
        true
    }

    fn prefetch(&self, file: BlockFile, ranges: &[Range<u64>]) {
        if let Ok(object) = self.file(file) {
            self.ranges.prefetch(object, &Self::within(object, ranges));
        }
    }
}
