//! Google Cloud Storage: a stand-in for its XML interface, with its objects in memory.
//!
//! Lists (`list-type=2`), heads, gets with ranges and conditions, puts with `x-goog-if-generation-match`, copies,
//! deletes and multipart uploads. It differs from Google's in what it does not look at: anyone may do anything, a
//! bucket has one version of each object, and metadata of objects is forgotten. An ETag is of the content alone, as
//! there; a generation is new with each write.
//!
//! Defined in Google's reference of the XML API.

mod bucket;
mod xml;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::Mutex;

use bucket::{Bucket, Object, Refused};
use jiff::Timestamp;

use crate::endpoint::{BUCKET, Dialect, Endpoint};
use crate::http::{ByteRange, Listener, Request, Response, lock, percent_decode};
use crate::refusal::error_response;
use crate::store::Server;

/// A stand-in with one empty bucket; it stops when it is dropped.
#[derive(Debug)]
pub struct GcsServer(Listener);

impl GcsServer {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let bucket = Mutex::<Bucket>::default();
        Self(Listener::start(move |stream| serve(stream, &bucket)))
    }
}

impl Server for GcsServer {
    fn endpoint(&self) -> Endpoint {
        Endpoint { dialect: Dialect::Gcs, address: self.0.address() }
    }
}

/// Answers until the client is done, or does not speak HTTP.
fn serve(mut stream: &TcpStream, bucket: &Mutex<Bucket>) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = Request::read(&mut reader) {
        let mut response = answer(&request, &mut lock(bucket));
        if request.method == "HEAD" {
            response = response.without_body();
        }
        if response.write(&mut stream).is_err() {
            return;
        }
    }
}

fn answer(request: &Request, bucket: &mut Bucket) -> Response {
    let path = request.path();
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (name, key) = path.split_once('/').unwrap_or((path, ""));
    let query = request.query();
    let done = if name == BUCKET {
        route(request, &query, bucket, key)
    } else {
        Err(Refused::new(404, "NoSuchBucket", "The specified bucket does not exist.", name))
    };
    done.unwrap_or_else(|refused| {
        error_response(refused.status, refused.code, refused.message, &xml::escape(&refused.details))
    })
}

fn route(
    request: &Request,
    query: &BTreeMap<String, String>,
    bucket: &mut Bucket,
    key: &str,
) -> Result<Response, Refused> {
    let upload = query.get("uploadId");
    match (request.method.as_str(), key, upload) {
        ("GET", "", None) => list(query, bucket),
        ("GET" | "HEAD", key, None) if !key.is_empty() => get(request, query, bucket.get(key)?),
        ("PUT", key, Some(upload)) => {
            let number = number(query, "partNumber")?.unwrap_or(0);
            let e_tag = bucket.put_part(key, upload, number, &request.body)?;
            Ok(Response::new(200, "").with("ETag", e_tag))
        }
        ("PUT", key, None) if !key.is_empty() => put(request, bucket, key),
        ("POST", key, Some(upload)) => {
            let parts = xml::parts(&String::from_utf8_lossy(&request.body));
            let object = bucket.complete(key, upload, &parts)?;
            Ok(Response::new(200, xml::completed(BUCKET, key, &object.e_tag))
                .with("x-goog-generation", object.generation))
        }
        ("POST", key, None) if query.contains_key("uploads") => {
            Ok(Response::new(200, xml::initiated(BUCKET, key, &bucket.initiate(key))))
        }
        ("DELETE", key, Some(upload)) => bucket.abort(key, upload).map(|()| Response::new(204, "")),
        ("DELETE", key, None) if !key.is_empty() => bucket.delete(key).map(|()| Response::new(204, "")),
        (method, ..) => {
            Err(Refused::new(405, "MethodNotAllowed", "The specified method is not allowed.", method))
        }
    }
}

fn list(query: &BTreeMap<String, String>, bucket: &Bucket) -> Result<Response, Refused> {
    let text = |name| query.get(name).map_or("", String::as_str);
    let after = text("continuation-token").max(text("start-after"));
    let max = number(query, "max-keys")?.unwrap_or(u64::MAX);
    let page = bucket.list(text("prefix"), text("delimiter"), after, max);
    Ok(Response::new(200, xml::listed(BUCKET, text("prefix"), &page)).with("Content-Type", "application/xml"))
}

fn get(request: &Request, query: &BTreeMap<String, String>, object: &Object) -> Result<Response, Refused> {
    if number(query, "generation")?.is_some_and(|generation| generation != object.generation) {
        return Err(Refused::no_such_key("an older generation"));
    }
    let says = |name: &str, e_tag: &str| {
        let tags = request.headers.get(name);
        tags.map(|tags| tags.split(',').any(|tag| ["*", e_tag].contains(&tag.trim())))
    };
    if says("If-Match", &object.e_tag) == Some(false) {
        return Err(Refused::precondition("If-Match"));
    }
    let described = |response: Response| {
        response
            .with("ETag", &object.e_tag)
            .with("Last-Modified", http_date(object.modified))
            .with("x-goog-generation", object.generation)
            .with("Content-Type", "application/octet-stream")
            .with("Accept-Ranges", "bytes")
    };
    if says("If-None-Match", &object.e_tag) == Some(true) {
        return Ok(described(Response::new(304, "")));
    }
    let size = object.bytes.len() as u64;
    let Some(asked) = request.headers.get("Range").and_then(ByteRange::parse) else {
        return Ok(described(Response::new(200, object.bytes.as_ref())));
    };
    let unsatisfiable = || {
        Refused::new(416, "InvalidRange", "The requested range cannot be satisfied.", &format!("{asked:?}"))
    };
    let range = asked.within(size).ok_or_else(unsatisfiable)?;
    let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
    let bytes = start.ok().zip(end.ok()).and_then(|(start, end)| object.bytes.get(start..end));
    let response = Response::new(206, bytes.ok_or_else(unsatisfiable)?);
    let last = range.end.saturating_sub(1);
    Ok(described(response).with("Content-Range", format!("bytes {}-{last}/{size}", range.start)))
}

fn put(request: &Request, bucket: &mut Bucket, key: &str) -> Result<Response, Refused> {
    let wanted = request.headers.get("x-goog-if-generation-match").map(|generation| {
        generation.parse().map_err(|_| {
            Refused::new(400, "InvalidArgument", "Invalid argument.", "x-goog-if-generation-match")
        })
    });
    let wanted = wanted.transpose()?;
    let Some(source) = request.headers.get("x-goog-copy-source").map(percent_decode) else {
        let object = bucket.put(key, &request.body, wanted)?;
        return Ok(Response::new(200, "")
            .with("ETag", &object.e_tag)
            .with("x-goog-generation", object.generation));
    };
    let source = source.strip_prefix('/').unwrap_or(&source);
    let from = source.strip_prefix(BUCKET).and_then(|rest| rest.strip_prefix('/'));
    let from = from.ok_or_else(|| Refused::no_such_key(source))?;
    let bytes = bucket.get(from)?.bytes.clone();
    let object = bucket.put(key, &bytes, wanted)?;
    Ok(Response::new(200, xml::copied(&object.e_tag, object.modified))
        .with("x-goog-generation", object.generation))
}

fn number(query: &BTreeMap<String, String>, name: &str) -> Result<Option<u64>, Refused> {
    let value = query.get(name).map(|value| {
        value.parse().map_err(|_| Refused::new(400, "InvalidArgument", "Invalid argument.", name))
    });
    value.transpose()
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
