//! HTTP/1.1 over blocking sockets: as much of it as object stores and their clients speak on loopback.
//!
//! A message is held whole: a test's objects are small. A body has a `Content-Length` or comes in chunks; what is read
//! in chunks is kept with a length.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Longest line, most lines of a head, and largest body that are read.
const MAX_LINE: u64 = 64 << 10;
const MAX_HEADERS: usize = 256;
const MAX_BODY: u64 = 1 << 30;

/// Header fields, in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of the first field called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Replaces fields called `name`.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_string()));
    }

    /// Removes fields called `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    /// Its header fields.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// The next request of a connection; `None` when the client is done.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(first) = read_line(reader)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(malformed(&first));
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        let mut headers = read_headers(reader)?;
        let body = read_body(reader, &mut headers, false)?;
        Ok(Some(Self { method, target, headers, body }))
    }

    /// Sends it.
    pub fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        write_message(writer, &format!("{} {} HTTP/1.1", self.method, self.target), &self.headers, &self.body)
    }

    /// The path, decoded.
    pub fn path(&self) -> String {
        percent_decode(self.target.split('?').next().unwrap_or_default())
    }

    /// What follows the path, as it was sent.
    pub fn raw_query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The query, decoded.
    pub fn query(&self) -> BTreeMap<String, String> {
        self.raw_query()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (percent_decode(name), percent_decode(&value.replace('+', " "))))
            .collect()
    }

    /// The bytes it asks for; `None` asks for all.
    pub fn range(&self) -> Option<ByteRange> {
        let ranges = ["x-ms-range", "range"].into_iter().find_map(|name| self.headers.get(name));
        ranges.and_then(ByteRange::parse)
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    /// Its header fields; the length of the body is one of them.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// A response with a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let mut response = Self { status, headers: Headers::default(), body: body.into() };
        if status != 204 && status != 304 {
            response.headers.set("Content-Length", response.body.len());
        }
        response
    }

    /// The same with one more header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers.set(name, value);
        self
    }

    /// The same as an answer to HEAD: the length of a body that is not sent.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.body.clear();
        self
    }

    /// Reads the answer to a request of this method.
    pub fn read(reader: &mut impl BufRead, method: &str) -> io::Result<Self> {
        let first = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| malformed(&first))?;
        let mut headers = read_headers(reader)?;
        let without_body = method == "HEAD" || status == 204 || status == 304;
        let body = if without_body { Vec::new() } else { read_body(reader, &mut headers, true)? };
        Ok(Self { status, headers, body })
    }

    /// Sends it.
    pub fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        self.write_part(writer, self.body.len())
    }

    /// Sends its head and at most `bytes` of its body.
    pub fn write_part(&self, writer: &mut impl Write, bytes: usize) -> io::Result<()> {
        let part = self.body.get(..bytes).unwrap_or(&self.body);
        write_message(
            writer,
            &format!("HTTP/1.1 {} {}", self.status, reason(self.status)),
            &self.headers,
            part,
        )
    }
}

/// Bytes of an object, as a `Range` header asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=2-5`, which is `2..6`.
    Within(Range<u64>),
    /// `bytes=2-`
    From(u64),
    /// `bytes=-2`
    Last(u64),
}

impl ByteRange {
    /// Parses `bytes=…`; several ranges are none, as for the stores.
    pub fn parse(header: &str) -> Option<Self> {
        match header.strip_prefix("bytes=")?.split_once('-')? {
            ("", last) => last.parse().ok().map(Self::Last),
            (first, "") => first.parse().ok().map(Self::From),
            (first, last) => {
                let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
                (first <= last).then(|| Self::Within(first..last.saturating_add(1)))
            }
        }
    }

    /// The bytes of an object of `size` that it asks for; `None` if there are none.
    pub fn within(&self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Within(range) => range.start..range.end.min(size),
            Self::From(first) => *first..size,
            Self::Last(bytes) => size.saturating_sub(*bytes)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// Listens on loopback until it is dropped, with a thread for each connection.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    open: Arc<Mutex<Open>>,
    thread: Option<JoinHandle<()>>,
}

/// What has to be closed for the threads to end.
#[derive(Debug, Default)]
struct Open {
    stopped: bool,
    next: u64,
    streams: BTreeMap<u64, TcpStream>,
}

impl Listener {
    /// Listens on a free port; `serve` has a connection until it ends.
    pub fn start(serve: impl Fn(&TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let open = Arc::<Mutex<Open>>::default();
        let shared = Arc::clone(&open);
        let accept = move || {
            // All connections have ended when the scope ends.
            thread::scope(|scope| {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { continue };
                    let Ok(handle) = stream.try_clone() else { continue };
                    let id = {
                        let mut open = lock(&shared);
                        if open.stopped {
                            return;
                        }
                        open.next += 1;
                        let id = open.next;
                        open.streams.insert(id, handle);
                        id
                    };
                    let (serve, shared) = (&serve, &shared);
                    scope.spawn(move || {
                        // Small answers must not wait for the client's acknowledgements.
                        if stream.set_nodelay(true).is_ok() {
                            serve(&stream);
                        }
                        lock(shared).streams.remove(&id);
                    });
                }
            });
        };
        Self { address, open, thread: Some(thread::spawn(accept)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        {
            let mut open = lock(&self.open);
            open.stopped = true;
            for stream in open.streams.values() {
                // It may have been closed by its client already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        // Wakes the thread that accepts.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Sends one request on a connection of its own.
pub fn ask(address: SocketAddr, mut request: Request) -> io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    request.headers.set("Connection", "close");
    request.write(&mut stream)?;
    let mut response = Response::read(&mut BufReader::new(stream), &request.method)?;
    response.headers.remove("Connection");
    Ok(response)
}

/// Undoes `%41`; what is no such escape stays as it is.
pub fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Locks, also after a thread of a test panicked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line without its end; `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let line = String::from_utf8(line).map_err(|error| malformed(&error.to_string()))?;
    let text = line.strip_suffix('\n').ok_or_else(|| malformed(&line))?;
    Ok(Some(text.trim_end_matches('\r').to_owned()))
}

fn read_headers(reader: &mut impl BufRead) -> io::Result<Headers> {
    let mut headers = Headers::default();
    while headers.0.len() < MAX_HEADERS {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
        headers.0.push((name.to_owned(), value.trim().to_owned()));
    }
    Err(malformed("too many header fields"))
}

/// A response without a length ends with its connection; a request without one has no body.
fn read_body(reader: &mut impl BufRead, headers: &mut Headers, to_the_end: bool) -> io::Result<Vec<u8>> {
    let chunked =
        headers.get("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let length = headers.get("Content-Length").map(str::to_owned);
    let body = match length {
        _ if chunked => read_chunks(reader)?,
        Some(length) => read_exactly(reader, length.parse().map_err(|_| malformed(&length))?)?,
        None if to_the_end => {
            let mut body = Vec::new();
            reader.take(MAX_BODY).read_to_end(&mut body)?;
            body
        }
        None => return Ok(Vec::new()),
    };
    headers.remove("Transfer-Encoding");
    headers.set("Content-Length", body.len());
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(|_| malformed(&line))?;
        if size == 0 {
            read_headers(reader)?;
            return Ok(body);
        }
        if size.saturating_add(body.len() as u64) > MAX_BODY {
            return Err(malformed("a body of more than a GiB"));
        }
        body.extend(read_exactly(reader, size)?);
        read_line(reader)?;
    }
}

fn read_exactly(reader: &mut impl BufRead, length: u64) -> io::Result<Vec<u8>> {
    if length > MAX_BODY {
        return Err(malformed("a body of more than a GiB"));
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    if body.len() as u64 == length { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// One write for the head and a small body: fewer packets, and no answer that is seen in halves.
fn write_message(writer: &mut impl Write, first: &str, headers: &Headers, body: &[u8]) -> io::Result<()> {
    let mut message = format!("{first}\r\n").into_bytes();
    for (name, value) in &headers.0 {
        write!(message, "{name}: {value}\r\n")?;
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(body);
    writer.write_all(&message)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {what:?}"))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        404 => "Not Found",
        412 => "Precondition Failed",
        416 => "Requested Range Not Satisfiable",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_kept_with_its_length() {
        let mut bytes =
            &b"PUT /a%20b?x=1%2B1&y HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\n\r\nrest"[..];
        let request = Request::read(&mut bytes).unwrap().unwrap();
        assert_eq!((request.path().as_str(), request.body.as_slice()), ("/a b", &b"abcde"[..]));
        assert_eq!(
            request.query(),
            BTreeMap::from([("x".into(), "1+1".into()), ("y".into(), String::new())])
        );
        assert_eq!(request.headers.get("content-length"), Some("5"));
        assert_eq!(bytes, b"rest");
    }

    #[test]
    fn a_message_cut_at_any_place_is_an_error() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde";
        for length in 0..whole.len() {
            let mut bytes = &whole[..length];
            assert!(Response::read(&mut bytes, "GET").is_err(), "{length}");
        }
        let response = Response::read(&mut &whole[..], "GET").unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, &b"abcde"[..]));
    }

    #[test]
    fn a_range_is_cut_at_the_end_of_the_object() {
        for (header, size, wanted) in [
            ("bytes=2-5", 4, Some(2..4)),
            ("bytes=2-5", 9, Some(2..6)),
            ("bytes=2-", 9, Some(2..9)),
            ("bytes=-20", 9, Some(0..9)),
            ("bytes=9-", 9, None),
            ("bytes=-0", 9, None),
        ] {
            assert_eq!(ByteRange::parse(header).unwrap().within(size), wanted, "{header} of {size}");
        }
        for header in ["bytes=5-2", "bytes=1-2,4-5", "bytes=-", "lines=1-2", ""] {
            assert_eq!(ByteRange::parse(header), None, "{header}");
        }
    }
}
