//! How a client reaches a store: its URL, the environment of the command line, and a client made from the same.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

/// The bucket, or container, that every server has.
pub const BUCKET: &str = "metrics";

/// Keys of the S3 server.
pub const S3_KEYS: (&str, &str) = ("AKIATESTSTORES", "teststores-secret");

/// Account and key of Azurite, which are public: they are the same for everyone.
pub const AZURE_KEYS: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);

/// Which interface a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Amazon S3.
    S3,
    /// Google Cloud Storage, its XML interface.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::S3 => "S3",
            Self::Gcs => "GCS",
            Self::Azure => "Azure",
        })
    }
}

/// An interface on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Which interface.
    pub dialect: Dialect,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Endpoint {
    /// The bucket's URL.
    pub fn url(self) -> String {
        let scheme = match self.dialect {
            Dialect::S3 => "s3",
            Dialect::Gcs => "gs",
            Dialect::Azure => "az",
        };
        format!("{scheme}://{BUCKET}")
    }

    /// Where the bucket is in the paths of requests.
    pub fn bucket_path(self) -> String {
        match self.dialect {
            Dialect::S3 | Dialect::Gcs => format!("/{BUCKET}"),
            Dialect::Azure => format!("/{}/{BUCKET}", AZURE_KEYS.0),
        }
    }

    /// The environment in which a client reaches it.
    pub fn env(self) -> Vec<(String, String)> {
        let http = format!("http://{}", self.address);
        let pairs = match self.dialect {
            Dialect::S3 => vec![
                ("AWS_ACCESS_KEY_ID", S3_KEYS.0.to_owned()),
                ("AWS_SECRET_ACCESS_KEY", S3_KEYS.1.to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
                ("AWS_ENDPOINT_URL", http),
                ("AWS_ALLOW_HTTP", "true".to_owned()),
            ],
            Dialect::Gcs => vec![(
                "GOOGLE_SERVICE_ACCOUNT_KEY",
                format!(
                    r#"{{"gcs_base_url":"{http}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#
                ),
            )],
            Dialect::Azure => vec![
                ("AZURE_STORAGE_ACCOUNT_NAME", AZURE_KEYS.0.to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEYS.1.to_owned()),
                ("AZURE_STORAGE_ENDPOINT", format!("{http}/{}", AZURE_KEYS.0)),
                ("AZURE_ALLOW_HTTP", "true".to_owned()),
            ],
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// A client with that environment that gives up after three short retries.
    pub fn object_store(self) -> Arc<dyn ObjectStore> {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(5),
            max_backoff: Duration::from_millis(50),
            base: 2.0,
        };
        let retry = RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(10) };
        // The builders' own `from_env` would see the environment of the test as well.
        macro_rules! client {
            ($builder:expr) => {{
                let builder = self.env().into_iter().fold($builder, |builder, (name, value)| {
                    builder.with_config(name.to_lowercase().parse().expect("a known option"), value)
                });
                Arc::new(builder.with_retry(retry).build().expect("a complete configuration"))
            }};
        }
        match self.dialect {
            Dialect::S3 => client!(AmazonS3Builder::new().with_bucket_name(BUCKET)),
            Dialect::Gcs => client!(GoogleCloudStorageBuilder::new().with_bucket_name(BUCKET)),
            Dialect::Azure => client!(MicrosoftAzureBuilder::new().with_container_name(BUCKET)),
        }
    }
}
