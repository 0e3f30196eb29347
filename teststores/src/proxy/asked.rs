//! What a client asked for, in words that fit every store.

use crate::http::{ByteRange, Request, Response, percent_decode};

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Lists keys.
    List,
    /// Reads what an object is.
    Head,
    /// Reads an object or a range of it.
    Get,
    /// Writes an object.
    Put,
    /// Writes an object from another.
    Copy,
    /// Removes an object.
    Delete,
    /// Removes many objects.
    DeleteMany,
    /// Begins a multipart upload; Azure has no such request.
    Begin,
    /// Writes a part of it.
    PutPart,
    /// Makes it an object.
    Complete,
    /// Drops it.
    Abort,
    /// Something else.
    Other,
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What it does.
    pub operation: Operation,
    /// Its method.
    pub method: String,
    /// The object's key; of a list, the prefix.
    pub key: String,
    /// The query, as it was sent.
    pub query: String,
    /// The bytes that were asked for; `None` for all.
    pub range: Option<ByteRange>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent.
    pub bytes_out: u64,
    /// The status of the answer; 0 if there was none.
    pub status: u16,
    /// Whether a rule broke it.
    pub broken: bool,
}

impl Asked {
    /// Understands a request to the bucket at `bucket_path`.
    pub(super) fn of(request: &Request, bucket_path: &str) -> Self {
        let path = request.path();
        let key = path.strip_prefix(bucket_path).unwrap_or(&path).trim_start_matches('/');
        let query = request.query();
        let operation = operation(request, key);
        let prefix = query.get("prefix").map_or("", String::as_str);
        Self {
            operation,
            method: request.method.clone(),
            key: if operation == Operation::List { prefix } else { key }.to_owned(),
            query: percent_decode(request.raw_query()),
            range: request.range(),
            bytes_in: request.body.len() as u64,
            bytes_out: 0,
            status: 0,
            broken: false,
        }
    }

    pub(super) fn answered(&mut self, response: &Response, sent: usize) {
        self.status = response.status;
        self.bytes_out = sent as u64;
    }

    /// Whether it is this operation on a key that fits `pattern`.
    pub fn fits(&self, operation: Operation, pattern: &str) -> bool {
        self.operation == operation && fits(&self.key, pattern)
    }
}

fn operation(request: &Request, key: &str) -> Operation {
    let query = request.query();
    let says = |name: &str, value: &str| query.get(name).is_some_and(|found| found == value);
    let copies = ["x-amz-copy-source", "x-goog-copy-source", "x-ms-copy-source"];
    match request.method.as_str() {
        "HEAD" => Operation::Head,
        "GET" if key.is_empty() => Operation::List,
        "GET" => Operation::Get,
        "PUT" if query.contains_key("partNumber") || says("comp", "block") => Operation::PutPart,
        "PUT" if says("comp", "blocklist") => Operation::Complete,
        "PUT" if copies.iter().any(|name| request.headers.get(name).is_some()) => Operation::Copy,
        "PUT" if !query.contains_key("comp") => Operation::Put,
        "POST" if query.contains_key("uploads") => Operation::Begin,
        "POST" if query.contains_key("uploadId") => Operation::Complete,
        "POST" if query.contains_key("delete") || says("comp", "batch") => Operation::DeleteMany,
        "DELETE" if query.contains_key("uploadId") => Operation::Abort,
        "DELETE" => Operation::Delete,
        _ => Operation::Other,
    }
}

/// Whether `text` is like `pattern`, in which `*` stands for any text.
fn fits(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (text, pattern, wanted) in [
            ("a/index", "*/index", true),
            ("a/index", "a/index", true),
            ("a/index", "a/in", false),
            ("a/index", "*", true),
            ("", "*", true),
            ("", "", true),
            ("a/b/c", "a*b*c", true),
            ("ab", "ab*b", false),
            ("a/meta.json", "*/index", false),
            ("aXbXc", "a*X*c", true),
        ] {
            assert_eq!(fits(text, pattern), wanted, "{text} {pattern}");
        }
    }
}
