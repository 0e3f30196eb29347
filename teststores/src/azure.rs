//! Azure Blob Storage: Azurite, a program for Node.js, with its data in memory.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::endpoint::{AZURE_KEYS, Dialect, Endpoint};
use crate::http::{self, Headers, Request};
use crate::store::Server;

/// Where `cargo xtask` installs it, below `target`.
const PROGRAM: &str = "azurite/node_modules/azurite/dist/src/blob/main.js";

/// Runs the program named by the first argument, and ends when its own standard input does: with the test, however
/// that ends.
const RUN: &str = "process.stdin.resume().on('end', () => process.exit()); require(process.argv[1])";

/// An Azurite with one empty container; it stops when it is dropped.
#[derive(Debug)]
pub struct AzureServer {
    address: SocketAddr,
    child: Child,
}

impl AzureServer {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let program = target().join(PROGRAM);
        assert!(
            program.exists(),
            "there is no Azurite for tests: `cargo xtask azurite` installs it (needs npm)"
        );
        let mut child = Command::new("node")
            .args(["--eval", RUN])
            .arg(&program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"])
            .args(["--skipApiVersionCheck", "--disableTelemetry", "--silent"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node: {error}; is Node.js installed?"));
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let address = address(&mut output);
        // What it prints later must not fill the pipe.
        thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let server = Self { address, child };
        server.create_container();
        server
    }

    /// The one request that no client for objects makes, signed with the account's key.
    fn create_container(&self) {
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let path = self.endpoint().bucket_path();
        let (account, key) = AZURE_KEYS;
        // Method, eleven standard header fields, those of Azure, and the resource.
        let signed = format!(
            "PUT{}x-ms-date:{date}\nx-ms-version:2023-11-03\n/{account}{path}\nrestype:container",
            "\n".repeat(12)
        );
        let key = BASE64_STANDARD.decode(key).expect("the key is base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
        mac.update(signed.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let mut headers = Headers::default();
        headers.set("Host", self.address);
        headers.set("Content-Length", 0);
        headers.set("x-ms-date", date);
        headers.set("x-ms-version", "2023-11-03");
        headers.set("Authorization", format!("SharedKey {account}:{signature}"));
        let target = format!("{path}?restype=container");
        let request = Request { method: "PUT".into(), target, headers, body: Vec::new() };
        let response = http::ask(self.address, request).expect("Azurite answers");
        assert_eq!(response.status, 201, "{}", String::from_utf8_lossy(&response.body));
    }
}

impl Server for AzureServer {
    fn endpoint(&self) -> Endpoint {
        Endpoint { dialect: Dialect::Azure, address: self.address }
    }
}

impl Drop for AzureServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads up to the line that names the address.
fn address(output: &mut impl BufRead) -> SocketAddr {
    let mut said = String::new();
    for line in output.lines() {
        let line = line.expect("Azurite prints text");
        if let Some((_, address)) = line.split_once("listens on http://") {
            return address.trim().parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        said.push_str(&line);
        said.push('\n');
    }
    panic!("Azurite did not start: {said}")
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR");
    target.map_or_else(|| here.parent().unwrap_or(here).join("target"), PathBuf::from)
}
