//! Objects and unfinished uploads, by key.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::ops::Bound;

use bytes::Bytes;
use jiff::Timestamp;

/// Most entries of a page of a list.
const MAX_KEYS: u64 = 1000;

/// Smallest part of a multipart upload that is not its last.
const MIN_PART: usize = 5 << 20;

/// An object.
#[derive(Debug)]
pub struct Object {
    pub bytes: Bytes,
    pub generation: u64,
    pub e_tag: String,
    pub modified: Timestamp,
}

/// An upload that is not complete: nobody sees it.
#[derive(Debug, Default)]
struct Upload {
    key: String,
    parts: BTreeMap<u64, (String, Vec<u8>)>,
}

/// Everything the server holds.
#[derive(Debug, Default)]
pub struct Bucket {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    /// Generations and ids of uploads that were given.
    given: u64,
}

/// A page of a list.
#[derive(Debug, Default)]
pub struct Page<'a> {
    pub objects: Vec<(&'a str, &'a Object)>,
    pub prefixes: BTreeSet<&'a str>,
    /// The last entry, where others follow.
    pub next: Option<&'a str>,
}

/// Why a request is not answered.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub code: &'static str,
    pub message: &'static str,
    pub details: String,
}

impl Refused {
    pub fn new(status: u16, code: &'static str, message: &'static str, details: &str) -> Self {
        Self { status, code, message, details: details.to_owned() }
    }

    pub fn no_such_key(key: &str) -> Self {
        Self::new(404, "NoSuchKey", "The specified key does not exist.", &format!("No such object: {key}"))
    }

    pub fn precondition(header: &str) -> Self {
        let message = "At least one of the pre-conditions you specified did not hold.";
        Self::new(412, "PreconditionFailed", message, header)
    }
}

impl Bucket {
    pub fn get(&self, key: &str) -> Result<&Object, Refused> {
        self.objects.get(key).ok_or_else(|| Refused::no_such_key(key))
    }

    /// Writes an object if its generation is `wanted`, 0 if there is none.
    pub fn put(&mut self, key: &str, bytes: &[u8], wanted: Option<u64>) -> Result<&Object, Refused> {
        let generation = self.objects.get(key).map_or(0, |object| object.generation);
        if wanted.is_some_and(|wanted| wanted != generation) {
            return Err(Refused::precondition("x-goog-if-generation-match"));
        }
        self.given += 1;
        let object = Object {
            bytes: Bytes::copy_from_slice(bytes),
            generation: self.given,
            e_tag: e_tag(bytes),
            modified: Timestamp::now(),
        };
        self.objects.insert(key.to_owned(), object);
        self.get(key)
    }

    pub fn delete(&mut self, key: &str) -> Result<(), Refused> {
        self.objects.remove(key).map(|_| ()).ok_or_else(|| Refused::no_such_key(key))
    }

    /// What comes after `after`, in bytewise order; keys that go on after the delimiter count once.
    pub fn list(&self, prefix: &str, delimiter: &str, after: &str, max: u64) -> Page<'_> {
        let mut page = Page::default();
        let (mut entries, mut last) = (0, None);
        let max = max.min(MAX_KEYS);
        let start = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        for (key, object) in self.objects.range::<str, _>((start, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            let folder = (!delimiter.is_empty()).then(|| rest.find(delimiter)).flatten();
            let folder = folder.and_then(|at| key.get(..prefix.len() + at + delimiter.len()));
            if folder.is_some_and(|folder| folder == after || page.prefixes.contains(folder)) {
                continue;
            }
            if entries == max {
                page.next = last;
                break;
            }
            match folder {
                Some(folder) => {
                    page.prefixes.insert(folder);
                }
                None => page.objects.push((key, object)),
            }
            last = Some(folder.unwrap_or(key));
            entries += 1;
        }
        page
    }

    /// Begins an upload; its id.
    pub fn initiate(&mut self, key: &str) -> String {
        self.given += 1;
        let id = format!("upload-{}", self.given);
        self.uploads.insert(id.clone(), Upload { key: key.to_owned(), ..Upload::default() });
        id
    }

    /// Holds a part; its ETag.
    pub fn put_part(&mut self, key: &str, id: &str, number: u64, bytes: &[u8]) -> Result<String, Refused> {
        if !(1..=10_000).contains(&number) {
            return Err(Refused::new(400, "InvalidArgument", "Invalid argument.", "partNumber"));
        }
        let upload = self.uploads.get_mut(id).filter(|upload| upload.key == key);
        let e_tag = e_tag(bytes);
        let upload = upload.ok_or_else(|| no_such_upload(id))?;
        upload.parts.insert(number, (e_tag.clone(), bytes.to_vec()));
        Ok(e_tag)
    }

    /// Makes the object of the parts that are named by number and ETag.
    pub fn complete(&mut self, key: &str, id: &str, parts: &[(u64, String)]) -> Result<&Object, Refused> {
        let upload = self.uploads.get(id).filter(|upload| upload.key == key);
        let upload = upload.ok_or_else(|| no_such_upload(id))?;
        let mut whole = Vec::new();
        for (at, (number, e_tag)) in parts.iter().enumerate() {
            let part = upload.parts.get(number).filter(|(held, _)| held == e_tag);
            let Some((_, bytes)) = part else {
                let message = "One or more of the specified parts could not be found.";
                return Err(Refused::new(400, "InvalidPart", message, &number.to_string()));
            };
            if bytes.len() < MIN_PART && at + 1 < parts.len() {
                let message = "Your proposed upload is smaller than the minimum allowed object size.";
                return Err(Refused::new(400, "EntityTooSmall", message, &number.to_string()));
            }
            whole.extend_from_slice(bytes);
        }
        self.uploads.remove(id);
        self.put(key, &whole, None)
    }

    pub fn abort(&mut self, key: &str, id: &str) -> Result<(), Refused> {
        if self.uploads.get(id).is_none_or(|upload| upload.key != key) {
            return Err(no_such_upload(id));
        }
        self.uploads.remove(id);
        Ok(())
    }
}

fn no_such_upload(id: &str) -> Refused {
    Refused::new(404, "NoSuchUpload", "The requested upload was not found.", id)
}

/// A hash of the content, in quotes.
fn e_tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(keys: &[&str]) -> Bucket {
        let mut bucket = Bucket::default();
        for key in keys {
            bucket.put(key, key.as_bytes(), None).unwrap();
        }
        bucket
    }

    /// All entries, page by page.
    fn entries(bucket: &Bucket, prefix: &str, delimiter: &str, max: u64) -> Vec<String> {
        let (mut entries, mut after) = (Vec::new(), String::new());
        loop {
            let page = bucket.list(prefix, delimiter, &after, max);
            let mut of_page: Vec<_> = page.objects.iter().map(|(key, _)| (*key).to_owned()).collect();
            of_page.extend(page.prefixes.iter().map(|prefix| (*prefix).to_owned()));
            assert!(of_page.len() as u64 <= max);
            of_page.sort();
            entries.extend(of_page);
            let Some(next) = page.next else { return entries };
            next.clone_into(&mut after);
        }
    }

    #[test]
    fn a_list_is_the_same_with_pages_of_any_size() {
        let bucket = bucket(&["a", "a/b/1", "a/b/2", "a/c", "a-b", "b/1", "b/2", "c"]);
        for max in 1..10 {
            assert_eq!(entries(&bucket, "", "/", max), ["a", "a-b", "a/", "b/", "c"], "{max}");
            assert_eq!(entries(&bucket, "a/", "/", max), ["a/b/", "a/c"], "{max}");
            assert_eq!(entries(&bucket, "a", "", max), ["a", "a-b", "a/b/1", "a/b/2", "a/c"], "{max}");
            assert!(entries(&bucket, "d", "/", max).is_empty(), "{max}");
        }
    }

    #[test]
    fn a_part_that_is_not_the_last_has_five_mebibytes() {
        let mut bucket = Bucket::default();
        let id = bucket.initiate("key");
        let small = bucket.put_part("key", &id, 1, b"small").unwrap();
        let last = bucket.put_part("key", &id, 2, b"last").unwrap();
        let refused = bucket.complete("key", &id, &[(1, small), (2, last.clone())]).unwrap_err();
        assert_eq!(refused.code, "EntityTooSmall");
        assert_eq!(bucket.complete("key", &id, &[(2, last)]).unwrap().bytes.as_ref(), b"last");
        assert_eq!(bucket.abort("key", &id).unwrap_err().code, "NoSuchUpload");
    }

    #[test]
    fn a_part_with_another_etag_is_refused() {
        let mut bucket = Bucket::default();
        let id = bucket.initiate("key");
        bucket.put_part("key", &id, 1, b"this").unwrap();
        let refused = bucket.complete("key", &id, &[(1, e_tag(b"that"))]).unwrap_err();
        assert_eq!(refused.code, "InvalidPart");
        assert_eq!(bucket.get("key").unwrap_err().code, "NoSuchKey");
    }
}
