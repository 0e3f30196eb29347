//! Locations: what a URL says, and the store it leads to.
//!
//! | URL | store |
//! |---|---|
//! | `s3://BUCKET/PREFIX`, `s3a://…` | Amazon S3, and all that speak like it |
//! | `gs://BUCKET/PREFIX` | Google Cloud Storage |
//! | `az://CONTAINER/PREFIX`, `abfs[s]://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX` | Azure Blob Storage |
//! | `https://…amazonaws.com/…`, `https://….blob.core.windows.net/…` and the like | the same stores by their addresses |
//! | `http://HOST/PREFIX`, `https://…` | a web server that answers WebDAV |
//! | `file:///PREFIX` | a folder |
//!
//! Keys are never part of a URL: they come from the environment, a profile, or the role of the machine.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    BackoffConfig, Certificate, ClientConfigKey, ClientOptions, HeaderValue, ObjectStore, ObjectStoreScheme,
    RetryConfig,
};
use url::{Position, Url};

use super::Store;
use super::profile::Profile;

/// Time to connect: a host that does not answer by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time without a byte, after which a connection counts as lost. There is no limit for a whole answer: a large one over a
/// slow line takes its time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits between retries grow from the first to the second: stores that are asked too much want seconds of peace.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// Retries of a request; with the waits above the last ones come after about a minute.
const MAX_RETRIES: usize = 10;

/// No retry is begun after this time. It outlasts a store's usual troubles, and signatures hold for longer.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);

/// Asking a machine for its role: where there is none, nobody answers, and that should be said soon.
const CREDENTIAL_RETRIES: usize = 2;
const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// Not a URL of a store.
    #[error(
        "{url} is no location of a store: {message}; expected s3://BUCKET/PREFIX, gs://, az://, file:/// or https://"
    )]
    Url {
        /// The URL, without what may be secret.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// What is configured for it makes no sense.
    #[error("cannot use {url}: {message}")]
    Config {
        /// The URL.
        url: String,
        /// Why.
        message: String,
    },
    /// Threads that speak to it cannot begin, or the prefix is none.
    #[error("cannot use {url}")]
    Io {
        /// The URL.
        url: String,
        /// Why.
        source: io::Error,
    },
}

/// Where a store is.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    scheme: ObjectStoreScheme,
    url: Url,
    prefix: ObjectPath,
}

/// True when `text` is a URL rather than a path.
pub fn is_url(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else { return false };
    !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Location {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let wrong = |message: &str| LocationError::Url { url: redacted(text), message: message.to_owned() };
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("a ? or # has no meaning there, write %3F or %23 if it is part of a name"));
        }
        let names_container = matches!(url.scheme(), "abfs" | "abfss" | "az");
        if url.password().is_some() || !url.username().is_empty() && !names_container {
            return Err(wrong("users and keys are not part of it, they come from the environment"));
        }
        let (scheme, prefix) =
            ObjectStoreScheme::parse(&url).map_err(|_| wrong("no store is known by it"))?;
        if scheme == ObjectStoreScheme::Memory {
            return Err(wrong("no store is known by it"));
        }
        Ok(Self { scheme, url, prefix })
    }

    /// Opens the store, with the settings of the process' environment.
    pub fn open(&self) -> Result<Store, LocationError> {
        self.open_with(&Environment::of_process())
    }

    /// Opens the store with these settings.
    pub fn open_with(&self, environment: &Environment) -> Result<Store, LocationError> {
        let url = self.url.as_str();
        let objects: object_store::Result<Arc<dyn ObjectStore>> = match self.scheme {
            ObjectStoreScheme::AmazonS3 => s3(environment, |builder| builder.with_url(url)),
            ObjectStoreScheme::GoogleCloudStorage => gcs(environment, |builder| builder.with_url(url)),
            ObjectStoreScheme::MicrosoftAzure => azure(environment, |builder| builder.with_url(url)),
            ObjectStoreScheme::Http => {
                http(environment, &self.url[..Position::BeforePath], self.url.scheme() == "http")
            }
            _ => Ok(Arc::new(LocalFileSystem::new())),
        };
        let objects = objects.map_err(|error| unusable(self.to_string(), &error))?;
        Store::new(objects, &self.to_string(), self.prefix.as_ref())
            .map_err(|source| LocationError::Io { url: self.to_string(), source })
    }
}

/// As it is said in messages.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// `text` without user, password, query and fragment.
fn redacted(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let text = text.get(..end).unwrap_or_default();
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The error of a store whose settings do not do.
pub(super) fn unusable(url: String, error: &object_store::Error) -> LocationError {
    // The library's messages name settings, not their values.
    let message = error.to_string();
    let message = match message.split_once(": ") {
        Some((before, rest)) if before.starts_with("Generic ") => rest.to_owned(),
        _ => message,
    };
    LocationError::Config { url, message }
}

/// The settings that a store is opened with.
#[derive(Clone, Default)]
pub struct Environment {
    variables: Vec<(String, String)>,
    profile: Option<Profile>,
    root_certificates: Vec<Certificate>,
    max_retries: Option<usize>,
}

/// Without its values.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("Environment").field("variables", &names).finish_non_exhaustive()
    }
}

impl Environment {
    /// The variables of this process that stores know, and the AWS profile they name.
    pub fn of_process() -> Self {
        let known = |name: &str| {
            ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix))
                || matches!(name, "SERVICE_ACCOUNT" | "IDENTITY_ENDPOINT" | "HOME")
        };
        let text = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?)).filter(|(name, _)| known(name))
        });
        Self::of(text)
    }

    /// These variables, and the AWS profile they name.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: Vec<_> = variables.into_iter().collect();
        let profile = Profile::read(|name| value(&variables, name));
        Self { variables, profile, ..Self::default() }
    }

    /// The same, trusting these certificates too.
    pub(super) fn with_root_certificates(self, root_certificates: Vec<Certificate>) -> Self {
        Self { root_certificates, ..self }
    }

    /// The same with another number of retries.
    pub(super) fn with_max_retries(self, max_retries: usize) -> Self {
        Self { max_retries: Some(max_retries), ..self }
    }

    /// The same without the variables that `is_out` names, and without a profile if `no_profile` says so.
    pub(super) fn without(mut self, is_out: impl Fn(&str) -> bool, no_profile: bool) -> Self {
        self.variables.retain(|(name, _)| !is_out(name));
        Self { profile: self.profile.filter(|_| !no_profile), ..self }
    }

    fn client(&self) -> ClientOptions {
        let options = ClientOptions::new()
            .with_user_agent(HeaderValue::from_static(concat!("promblock/", env!("CARGO_PKG_VERSION"))))
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(IDLE_TIMEOUT)
            .with_timeout_disabled();
        self.root_certificates.iter().cloned().fold(options, ClientOptions::with_root_certificate)
    }

    fn retry(&self) -> RetryConfig {
        let (init_backoff, max_backoff) = BACKOFF;
        RetryConfig {
            backoff: BackoffConfig { init_backoff, max_backoff, ..BackoffConfig::default() },
            max_retries: self.max_retries.unwrap_or(MAX_RETRIES),
            retry_timeout: RETRY_TIMEOUT,
        }
    }

    /// How credentials are asked for.
    fn credential_retry(&self) -> RetryConfig {
        RetryConfig { max_retries: CREDENTIAL_RETRIES, retry_timeout: CREDENTIAL_TIMEOUT, ..self.retry() }
    }

    /// The variables that begin with `prefix`, by the names that the library's builders know.
    fn settings(&self, prefix: &str) -> impl Iterator<Item = (String, &str)> {
        let of_store = self.variables.iter().filter(move |(name, _)| name.starts_with(prefix));
        of_store.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }
}

fn value(variables: &[(String, String)], name: &str) -> Option<String> {
    variables
        .iter()
        .find(|(at, _)| at == name)
        .map(|(_, value)| value.clone())
        .filter(|value| !value.is_empty())
}

/// S3 with the environment's settings, then those of `more`.
pub(super) fn s3(
    environment: &Environment,
    more: impl FnOnce(AmazonS3Builder) -> AmazonS3Builder,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::new().with_client_options(environment.client());
    for (name, value) in environment.settings("AWS_") {
        if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder = more(builder);
    if let Some(profile) = &environment.profile {
        builder = profile.fill(builder);
    }
    let credentials =
        builder.clone().with_retry(environment.credential_retry()).build()?.credentials().clone();
    Ok(Arc::new(builder.with_credentials(credentials).with_retry(environment.retry()).build()?))
}

/// Google Cloud Storage with the environment's settings, then those of `more`.
pub(super) fn gcs(
    environment: &Environment,
    more: impl FnOnce(GoogleCloudStorageBuilder) -> GoogleCloudStorageBuilder,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    // What the library allows by itself: its address is https, unless an account names a server of one's own.
    let options = environment.client().with_allow_http(true);
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(options);
    if let Some(path) = value(&environment.variables, "SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (name, value) in environment.settings("GOOGLE_") {
        if let Ok(key) = name.parse::<GoogleConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder = more(builder);
    let credentials =
        builder.clone().with_retry(environment.credential_retry()).build()?.credentials().clone();
    Ok(Arc::new(builder.with_credentials(credentials).with_retry(environment.retry()).build()?))
}

/// Azure Blob Storage with the environment's settings, then those of `more`.
pub(super) fn azure(
    environment: &Environment,
    more: impl FnOnce(MicrosoftAzureBuilder) -> MicrosoftAzureBuilder,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(environment.client());
    for (name, value) in environment.settings("AZURE_") {
        if let Ok(key) = name.parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = value(&environment.variables, "IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    builder = more(builder);
    let credentials =
        builder.clone().with_retry(environment.credential_retry()).build()?.credentials().clone();
    Ok(Arc::new(builder.with_credentials(credentials).with_retry(environment.retry()).build()?))
}

/// A web server. Where the URL says http, http is what is meant.
fn http(
    environment: &Environment,
    host: &str,
    allow_http: bool,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let options = environment.client().with_config(ClientConfigKey::AllowHttp, allow_http.to_string());
    let builder = HttpBuilder::new().with_url(host).with_client_options(options);
    Ok(Arc::new(builder.with_retry(environment.retry()).build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str, variables: &[(&str, &str)]) -> Result<Store, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let opened = Location::parse(url).and_then(|at| at.open_with(&Environment::of(variables)));
        opened.map_err(|error| crate::error::error_chain(&error))
    }

    #[test]
    fn urls_of_all_stores_lead_to_their_prefix() {
        let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "account")];
        for (url, location, object) in [
            ("s3://bucket/some/prefix/", "s3://bucket/some/prefix", "some/prefix/x"),
            ("s3a://bucket", "s3a://bucket", "x"),
            ("gs://bucket/p", "gs://bucket/p", "p/x"),
            ("az://container/p", "az://container/p", "p/x"),
            (
                "abfss://container@account.dfs.core.windows.net/p",
                "abfss://container@account.dfs.core.windows.net/p",
                "p/x",
            ),
            (
                "https://bucket.s3.eu-west-1.amazonaws.com/p",
                "https://bucket.s3.eu-west-1.amazonaws.com/p",
                "p/x",
            ),
            ("http://host:8080/p", "http://host:8080/p", "p/x"),
            ("file:///tmp/p", "file:///tmp/p", "tmp/p/x"),
        ] {
            let store = open(url, &azure).unwrap();
            assert_eq!((store.location(), store.object("x").unwrap().as_ref()), (location, object));
        }
    }

    #[test]
    fn what_is_no_url_of_a_store_is_refused_without_its_secrets() {
        for url in [
            "s3://key:hunter2@bucket/p",
            "s3://hunter2@bucket",
            "https://host/p?sig=hunter2",
            "https://host/p#hunter2",
            "gcs://bucket",
            "memory:///p",
            "az://container@nowhere/p",
            "ftp://user:hunter2@host/",
            "s3://",
            "http://[/hunter2",
        ] {
            let error = open(url, &[]).unwrap_err();
            assert!(!error.contains("hunter2") || url.contains("[/"), "{error}");
        }
        let error = open("s3://key:hunter2@bucket/p", &[]).unwrap_err();
        assert_eq!(
            error,
            "s3://bucket/p is no location of a store: users and keys are not part of it, they come from the environment; \
             expected s3://BUCKET/PREFIX, gs://, az://, file:/// or https://"
        );
    }

    #[test]
    fn paths_are_no_urls() {
        assert!(is_url("s3://bucket") && is_url("file:///x"));
        for path in ["data", "./a://b", "-", "/x/y", "c:\\x", "://x", ""] {
            assert!(!is_url(path), "{path}");
        }
    }

    #[test]
    fn half_of_a_key_is_an_error_and_a_whole_one_is_never_shown() {
        let error = open("s3://bucket", &[("AWS_ACCESS_KEY_ID", "hunter1")]).unwrap_err();
        assert!(error.starts_with("cannot use s3://bucket: ") && !error.contains("hunter1"), "{error}");
        let keys = [("AWS_ACCESS_KEY_ID", "hunter1"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
        let environment = Environment::of(keys.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let store = Location::parse("s3://bucket").unwrap().open_with(&environment).unwrap();
        let shown = format!("{environment:?} {store:?} {:?}", store.objects());
        assert!(!shown.contains("hunter"), "{shown}");
        let error = open("gs://bucket", &[("GOOGLE_SERVICE_ACCOUNT_KEY", "{hunter2")]).unwrap_err();
        assert!(!error.contains("hunter"), "{error}");
    }
}
