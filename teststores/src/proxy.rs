//! A server before a server: it passes requests on, writes down what was asked, and breaks what its script says.
//!
//! ```text
//!  client ──► request ──► log ──► rule? ──no──► server ──► answer ──► log ──► client
//!                                  └──yes─► fault: refuse, reset, cut, stall, delay, replace
//! ```
//! A rule has an operation and a pattern for keys; its faults fall on the requests it fits, counted from the first
//! after it was added.

mod asked;
mod rule;

use std::io::{self, BufReader, Read};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub use asked::{Asked, Operation};
use rule::Rules;
pub use rule::{Fault, Rule};
use socket2::SockRef;

use crate::endpoint::Endpoint;
use crate::http::{self, ByteRange, Listener, Request, lock};
use crate::store::{Server, TestStore};

/// A proxy before a server, which stops with it.
#[derive(Debug)]
pub struct FaultProxy<S> {
    // Stops before the server does.
    listener: Listener,
    shared: Arc<Shared>,
    server: S,
}

#[derive(Debug)]
struct Shared {
    server: Endpoint,
    rules: Mutex<Rules>,
    log: Mutex<Vec<Asked>>,
}

impl<S: Server> FaultProxy<S> {
    /// Starts one that breaks nothing.
    pub fn before(server: S) -> Self {
        let endpoint = server.endpoint();
        let shared = Arc::new(Shared { server: endpoint, rules: Mutex::default(), log: Mutex::default() });
        let serving = Arc::clone(&shared);
        let listener = Listener::start(move |stream| {
            // The client went away, or was sent away by a fault.
            let _ = serve(stream, &serving);
        });
        Self { listener, shared, server }
    }

    /// The server itself: what is done there is not in the log, and never breaks.
    pub fn server(&self) -> &S {
        &self.server
    }

    /// Adds a rule to the script; the first that fits a request and has faults left breaks it.
    pub fn add(&self, rule: Rule) {
        lock(&self.shared.rules).add(rule);
    }

    /// Ends the script.
    pub fn mend(&self) {
        *lock(&self.shared.rules) = Rules::default();
    }

    /// All that was asked and answered, in the order of the answers.
    pub fn log(&self) -> Vec<Asked> {
        lock(&self.shared.log).clone()
    }

    /// Empties the log.
    pub fn forget(&self) {
        lock(&self.shared.log).clear();
    }

    /// What was asked of keys that fit `pattern` (`*` stands for any text).
    pub fn asked(&self, operation: Operation, pattern: &str) -> Vec<Asked> {
        self.log().into_iter().filter(|asked| asked.fits(operation, pattern)).collect()
    }

    /// How often that was asked.
    pub fn requests(&self, operation: Operation, pattern: &str) -> usize {
        self.asked(operation, pattern).len()
    }

    /// Bytes of bodies that were sent for it, to the client.
    pub fn bytes(&self, operation: Operation, pattern: &str) -> u64 {
        self.asked(operation, pattern).iter().map(|asked| asked.bytes_out).sum()
    }

    /// The ranges it was asked for; a get of a whole object has none.
    pub fn ranges(&self, pattern: &str) -> Vec<ByteRange> {
        self.asked(Operation::Get, pattern).into_iter().filter_map(|asked| asked.range).collect()
    }
}

impl<S: Server> Server for FaultProxy<S> {
    fn endpoint(&self) -> Endpoint {
        Endpoint { address: self.listener.address(), ..self.shared.server }
    }
}

/// What becomes of the connection.
enum After {
    KeptOpen,
    Closed,
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        let mut asked = Asked::of(&request, &shared.server.bucket_path());
        let fault = lock(&shared.rules).take(&asked);
        asked.broken = fault.is_some();
        match answer(stream, shared, request, asked, fault)? {
            After::KeptOpen => {}
            After::Closed => return Ok(()),
        }
    }
    Ok(())
}

fn answer(
    mut stream: &TcpStream,
    shared: &Shared,
    request: Request,
    mut asked: Asked,
    fault: Option<Fault>,
) -> io::Result<After> {
    // It is in the log before the client has its answer.
    let log = |asked: Asked| lock(&shared.log).push(asked);
    match &fault {
        Some(Fault::Refuse(refusal)) => {
            let mut response = refusal.response(shared.server.dialect);
            if request.method == "HEAD" {
                response = response.without_body();
            }
            asked.answered(&response, response.body.len());
            log(asked);
            response.write(&mut stream)?;
            return Ok(After::KeptOpen);
        }
        Some(Fault::ResetBeforeRequest) => {
            log(asked);
            return reset(stream);
        }
        Some(Fault::Delay(time)) => thread::sleep(*time),
        Some(Fault::Replace(bytes)) => shared.server.put(&asked.key, bytes),
        _ => {}
    }
    let response = http::ask(shared.server.address, request)?;
    let sent = match fault {
        Some(Fault::ResetBeforeHead) => {
            log(asked);
            return reset(stream);
        }
        Some(Fault::ResetAfterHead) => Some(0),
        Some(Fault::Cut(bytes) | Fault::Stall(bytes)) => Some(bytes),
        _ => None,
    };
    asked.answered(&response, sent.unwrap_or(response.body.len()).min(response.body.len()));
    log(asked);
    response.write_part(&mut stream, sent.unwrap_or(usize::MAX))?;
    match fault {
        Some(Fault::ResetAfterHead) => {
            // What is in the client's buffers would be lost with the connection.
            thread::sleep(Duration::from_millis(20));
            reset(stream)
        }
        Some(Fault::Cut(_)) => Ok(After::Closed),
        Some(Fault::Stall(_)) => {
            // Until the client has had enough, or the proxy is dropped.
            stream.read_to_end(&mut Vec::new())?;
            Ok(After::Closed)
        }
        _ => Ok(After::KeptOpen),
    }
}

/// Ends a connection without the usual farewell.
fn reset(stream: &TcpStream) -> io::Result<After> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    Ok(After::Closed)
}
