//! Object stores on loopback for tests, and faults before them.
//!
//! ```text
//!                    ┌ S3Server     s3s-fs, in this process
//!  FaultProxy ──────►│ GcsServer    a stand-in for the XML interface, in this process
//!  (script and log)  └ AzureServer  Azurite, a process of its own
//!                      LocalFolder  the same for `file://`
//! ```
//! Each starts empty on a free port and stops when it is dropped. What all of them promise is stated by the tests in
//! `tests/store_matrix.rs`; where one differs from the service it stands for, its page says so.

#![allow(clippy::expect_used, clippy::panic, reason = "only tests use this crate; its failure is the test's")]

pub mod endpoint;
pub mod gcs;
pub mod http;
pub mod proxy;
pub mod refusal;

mod azure;
mod local;
mod s3;
mod store;

pub use azure::AzureServer;
pub use endpoint::{BUCKET, Dialect, Endpoint};
pub use gcs::GcsServer;
pub use http::ByteRange;
pub use local::LocalFolder;
pub use proxy::{Asked, Fault, FaultProxy, Operation, Rule};
pub use refusal::Refusal;
pub use s3::S3Server;
pub use store::{Server, TestStore, block_on};
