//! S3: s3s-fs in this process, over a temporary folder. It checks signatures.
//!
//! It reads an object whatever `If-Match` says, so that is looked at here. What else differs from Amazon's:
//! - a list has no ETags; a get and a head have them;
//! - the last bytes of an object, when it has fewer, are an internal error; S3 gives all it has;
//! - conditions are looked at before the body is read, so of two writers at once both may win;
//! - an object takes the name of a folder: `a` and `a/b` cannot both be there.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::endpoint::{BUCKET, Dialect, Endpoint, S3_KEYS};
use crate::refusal::error_response;
use crate::store::Server;

/// An S3 server with one empty bucket; it stops when it is dropped.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Removed after the thread has ended.
    _folder: TempDir,
}

impl S3Server {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join(BUCKET)).expect("a folder in it");
        let mut service = S3ServiceBuilder::new(FileSystem::new(folder.path()).expect("the folder is there"));
        service.set_auth(SimpleAuth::from_single(S3_KEYS.0, S3_KEYS.1));
        let service = service.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || serve(listener, service, stopped));
        Self { address, stop: Some(stop), thread: Some(thread), _folder: folder }
    }
}

/// Serves until it is told to stop; connections end with the runtime.
fn serve(listener: TcpListener, service: S3Service, mut stopped: oneshot::Receiver<()>) {
    crate::store::block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket that does not block");
        loop {
            let stream = tokio::select! {
                stream = listener.accept() => stream,
                _ = &mut stopped => return,
            };
            let Ok((stream, _)) = stream else { continue };
            // Small answers must not wait for the client's acknowledgements.
            if stream.set_nodelay(true).is_ok() {
                let service = service.clone();
                let answer = service_fn(move |request| answer(service.clone(), request));
                // A client that goes away is its own affair.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        }
    });
}

/// Refuses a read on condition of another ETag; all else is s3s-fs'.
async fn answer(service: S3Service, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let wanted = request.headers().get(IF_MATCH).filter(|wanted| reads && *wanted != "*").cloned();
    let response = service.call(request.map(Body::from)).await?;
    if wanted.is_none() || !response.status().is_success() || response.headers().get(ETAG) == wanted.as_ref()
    {
        return Ok(response);
    }
    let refused = error_response(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        "",
    );
    let mut response = Response::new(Body::from(refused.body));
    *response.status_mut() = StatusCode::PRECONDITION_FAILED;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(response)
}

impl Server for S3Server {
    fn endpoint(&self) -> Endpoint {
        Endpoint { dialect: Dialect::S3, address: self.address }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
