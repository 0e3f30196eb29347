//! One request: bytes of an object, and whether they are what was asked for.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};

use super::Counters;

/// Before a request is made again; each time four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// An object as it was listed.
#[derive(Debug)]
pub struct Object {
    /// Among all of a run.
    pub(super) id: u64,
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// For messages.
    url: String,
    size: u64,
    e_tag: Option<String>,
}

/// Why bytes could not be fetched; the same for all who wait for them.
#[derive(Debug, Clone)]
pub(super) struct FetchError {
    kind: io::ErrorKind,
    message: Arc<str>,
}

impl FetchError {
    fn new(kind: io::ErrorKind, message: &str) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FetchError {}

impl From<FetchError> for io::Error {
    fn from(error: FetchError) -> Self {
        Self::new(error.kind, error)
    }
}

/// The body of an answer.
enum Body {
    Whole(Bytes),
    /// It ended too early, with an error or without.
    Cut {
        got: u64,
        error: Option<object_store::Error>,
    },
}

impl Object {
    /// The object that a listing showed; `url` names it in messages.
    pub(super) fn new(id: u64, store: Arc<dyn ObjectStore>, url: String, listed: ObjectMeta) -> Self {
        Self { id, store, path: listed.location, url, size: listed.size, e_tag: listed.e_tag }
    }

    /// Its size when it was listed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of a range that lies within the object.
    pub(super) async fn fetch(
        &self,
        range: Range<u64>,
        attempts: u32,
        counters: &Counters,
    ) -> Result<Bytes, FetchError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            counters.requests.fetch_add(1, Ordering::Relaxed);
            // A request that fails before its body was made again by the store's client already.
            let body =
                self.ask(range.clone(), counters).await.map_err(|error| self.failed(&range, &error))?;
            match body {
                Body::Whole(bytes) => return Ok(bytes),
                Body::Cut { error: Some(error), .. } if attempt >= attempts => {
                    return Err(self.failed(&range, &error));
                }
                Body::Cut { got, error: None } if attempt >= attempts => {
                    return Err(self.short(&range, got, attempt));
                }
                Body::Cut { .. } => {}
            }
            attempt += 1;
            counters.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(4);
        }
    }

    async fn ask(&self, range: Range<u64>, counters: &Counters) -> Result<Body, object_store::Error> {
        // Some listings give tags in a form that the header does not take; the tag of the answer is looked at, too.
        let quoted = self.e_tag.clone().filter(|tag| tag.starts_with('"') && tag.ends_with('"'));
        let asked = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let options =
            GetOptions { range: Some(GetRange::Bounded(range)), if_match: quoted, ..GetOptions::default() };
        let answer = self.store.get_opts(&self.path, options).await?;
        let (now, e_tag) = (answer.meta.size, answer.meta.e_tag.as_deref());
        if now != self.size || !is_same_tag(self.e_tag.as_deref(), e_tag) {
            let source = format!("{now} bytes now, {} then", self.size);
            let path = self.path.to_string();
            return Err(object_store::Error::Precondition { path, source: source.into() });
        }
        // As large as what was asked for, whatever the store sends.
        let mut body = Vec::with_capacity(asked);
        let mut parts = answer.into_stream();
        while let Some(part) = parts.next().await {
            let part = match part {
                Ok(part) => part,
                Err(error) => return Ok(Body::Cut { got: body.len() as u64, error: Some(error) }),
            };
            counters.bytes.fetch_add(part.len() as u64, Ordering::Relaxed);
            if part.len() > asked - body.len() {
                let source = format!("more than the {asked} bytes asked for came");
                return Err(object_store::Error::Generic { store: "GET", source: source.into() });
            }
            body.extend_from_slice(&part);
        }
        Ok(match body.len() {
            got if got == asked => Body::Whole(body.into()),
            got => Body::Cut { got: got as u64, error: None },
        })
    }

    fn request(&self, range: &Range<u64>) -> String {
        format!("GET {}, bytes {} to {}", self.url, range.start, range.end)
    }

    fn short(&self, range: &Range<u64>, got: u64, attempts: u32) -> FetchError {
        let message = format!(
            "{}: {got} bytes came, {} expected, {attempts} times; look at what lies between here and the store",
            self.request(range),
            range.end - range.start
        );
        FetchError::new(io::ErrorKind::UnexpectedEof, &message)
    }

    /// What is said of a request that nobody ended.
    pub(super) fn given_up(&self, range: Range<u64>) -> FetchError {
        FetchError::new(io::ErrorKind::Interrupted, &format!("{}: given up", self.request(&range)))
    }

    fn failed(&self, range: &Range<u64>, error: &object_store::Error) -> FetchError {
        use object_store::Error;
        let request = self.request(range);
        let (kind, said) = match error {
            // Not `NotFound`: the file was there, and is not to be taken for one that a block may lack.
            Error::NotFound { .. } => (
                io::ErrorKind::StaleNetworkFileHandle,
                "it is gone since it was listed; run the same command again".to_owned(),
            ),
            Error::Precondition { source, .. } => (
                io::ErrorKind::StaleNetworkFileHandle,
                format!("it changed since it was listed ({source}); run the same command again"),
            ),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => (
                io::ErrorKind::PermissionDenied,
                format!("{error}; check the credentials, and that they may read objects"),
            ),
            _ => (io::ErrorKind::Other, format!("{error}; run the same command again to go on from there")),
        };
        FetchError::new(kind, &without_queries(&format!("{request}: {said}")))
    }
}

/// True unless both are known and differ, quotes and the mark of weak tags apart.
fn is_same_tag(listed: Option<&str>, answered: Option<&str>) -> bool {
    let bare = |tag: &str| tag.trim_start_matches("W/").trim_matches('"').to_owned();
    listed.map(bare).zip(answered.map(bare)).is_none_or(|(listed, answered)| listed == answered)
}

/// The text with the queries of its URLs left out: they may hold signatures.
fn without_queries(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(' ') {
        words.push(match word.split_once('?') {
            Some((url, _)) if url.contains("://") => url,
            _ => word,
        });
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_without_their_quotes() {
        assert!(is_same_tag(Some("\"a\""), Some("a")));
        assert!(is_same_tag(Some("a"), Some("W/\"a\"")));
        assert!(is_same_tag(None, Some("a")));
        assert!(is_same_tag(Some("a"), None));
        assert!(!is_same_tag(Some("a"), Some("b")));
    }

    #[test]
    fn signatures_in_urls_are_not_repeated() {
        let said = without_queries("error for url (https://host/a?sig=secret) is it?");
        assert_eq!(said, "error for url (https://host/a is it?");
    }
}
