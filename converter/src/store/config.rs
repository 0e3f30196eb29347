//! Thanos' bucket configuration: YAML that says where a bucket is and how to get in.
//!
//! ```yaml
//! type: S3
//! config:
//!   bucket: metrics
//!   endpoint: s3.eu-west-1.amazonaws.com
//! prefix: some/folder
//! ```
//! Every field that Thanos knows has its line in [`TYPES`]: what becomes of it is said there alone. Values are never
//! repeated in messages, for they may be keys.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use object_store::{Certificate, ClientConfigKey, ObjectStore};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::sync::Arc;
use url::Url;

use super::Store;
use super::fields::{Fate, Field, Holds, OTHER_TYPES, TYPES};
use super::location::{Environment, Location, LocationError, azure, gcs, s3, unusable};
use crate::finding::{Finding, Severity};

/// Largest file that is read.
const FILE_BYTES: u64 = 1 << 20;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// The flag and the file.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no YAML of this form.
    #[error("cannot parse {name}: {message}")]
    Parse {
        /// The flag and the file.
        name: String,
        /// Where and why.
        message: String,
    },
    /// A field, or several together, cannot be honoured.
    #[error("{name}: {message}")]
    Field {
        /// The flag and the file.
        name: String,
        /// Which and why.
        message: String,
    },
    /// The store cannot be opened.
    #[error("{name}")]
    Location {
        /// The flag and the file.
        name: String,
        /// Why.
        source: LocationError,
    },
}

/// A bucket that a configuration leads to.
#[derive(Debug, Clone)]
pub struct Configured {
    /// The bucket, below the configured prefix.
    pub store: Store,
    /// What of the configuration has no effect.
    pub findings: Vec<Finding>,
}

/// Opens the bucket that a file configures.
pub fn open_config_file(path: &Path) -> Result<Configured, ConfigError> {
    let name = format!("--objstore.config-file {}", path.display());
    let read = |source| ConfigError::Read { name: name.clone(), source };
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_string(&mut text)).map_err(read)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(read(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    open_config(&name, &text, Environment::of_process())
}

/// Opens the bucket that `text` configures, which `name` stands for in messages.
pub fn open_config(name: &str, text: &str, environment: Environment) -> Result<Configured, ConfigError> {
    let parse = |error: serde_saphyr::Error| ConfigError::Parse {
        name: name.to_owned(),
        message: error.without_snippet().to_string(),
    };
    let wrong = |message: String| ConfigError::Field { name: name.to_owned(), message };
    let Head { kind, prefix } = serde_saphyr::from_str(text).map_err(parse)?;
    let kind = kind.unwrap_or_default().to_ascii_uppercase();
    let Some((_, fields)) = TYPES.iter().find(|(at, _)| *at == kind) else {
        let known = TYPES.map(|(name, _)| name).join(", ");
        return Err(wrong(match OTHER_TYPES.iter().find(|at| **at == kind) {
            Some(other) => format!("type {other} is none that is read here; expected {known}"),
            None => format!("type is missing or unknown; expected {known}"),
        }));
    };
    let fields: Vec<Field> = fields.concat();
    let mut values = Values::default();
    serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        let section = Section { fields: &fields, path: None, values: &mut values };
        section.deserialize(deserializer)
    })
    .map_err(parse)?;
    let findings = values.judge(name, &fields).map_err(wrong)?;
    let prefix = prefix.unwrap_or_default();
    let prefix = prefix.trim_matches('/');
    let environment = common(&values, environment).map_err(wrong)?;
    let opened = match kind.as_str() {
        "S3" => open_s3(&values, environment, prefix),
        "GCS" => open_gcs(&values, environment, prefix),
        "AZURE" => open_azure(&values, environment, prefix),
        _ => open_folder(&values, prefix),
    };
    let store = opened.map_err(|error| match error {
        NotOpened::Field(message) => wrong(message),
        NotOpened::Location(source) => ConfigError::Location { name: name.to_owned(), source },
    })?;
    Ok(Configured { store, findings })
}

/// What is needed to know the fields of the rest.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    prefix: Option<String>,
}

/// Why a bucket was not opened.
enum NotOpened {
    Field(String),
    Location(LocationError),
}

impl From<LocationError> for NotOpened {
    fn from(error: LocationError) -> Self {
        Self::Location(error)
    }
}

impl From<String> for NotOpened {
    fn from(message: String) -> Self {
        Self::Field(message)
    }
}

/// What the fields of `config` say.
#[derive(Default)]
struct Values {
    given: BTreeMap<String, String>,
    unknown: Vec<String>,
}

impl Values {
    /// What a field says; nothing when it is empty or missing.
    fn text(&self, field: &str) -> Option<&str> {
        self.given.get(field).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn required(&self, field: &str) -> Result<&str, String> {
        self.text(field).ok_or_else(|| format!("config.{field} is missing"))
    }

    fn is_true(&self, field: &str) -> Result<bool, String> {
        match self.text(field).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "no" | "off") => Ok(false),
            Some("true" | "yes" | "on") => Ok(true),
            Some(_) => Err(format!("config.{field} is neither true nor false")),
        }
    }

    fn number(&self, field: &str) -> Result<Option<usize>, String> {
        let Some(text) = self.text(field) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("config.{field} is no number"))
    }

    /// True when a field asks for something.
    fn asks(&self, field: &str) -> bool {
        self.text(field).is_some_and(|text| !matches!(text, "false" | "no" | "off" | "0"))
    }

    /// Refuses what cannot be honoured; says what has no effect, once.
    fn judge(&self, name: &str, fields: &[Field]) -> Result<Vec<Finding>, String> {
        let asked = |fate: Fate| fields.iter().filter(move |at| at.fate == fate && self.asks(at.name));
        for field in asked(Fate::Refused) {
            // The version that is done anyway.
            if (field.name, self.text(field.name)) != ("list_objects_version", Some("v2")) {
                return Err(format!("config.{} cannot be honoured: {}", field.name, field.note));
            }
        }
        let mut findings = Vec::new();
        let mut note = |names: Vec<&str>, one: &str, many: &str| {
            if !names.is_empty() {
                let verb = if names.len() == 1 { one } else { many };
                let message = format!("{} {verb}", names.join(", "));
                findings.push(Finding::new(Severity::Note, "store-setting", name, message));
            }
        };
        note(
            asked(Fate::Tuning).map(|at| at.name).collect(),
            "tunes what is done otherwise here: no effect",
            "tune what is done otherwise here: no effect",
        );
        let unknown = self.unknown.iter().map(String::as_str).collect();
        note(unknown, "is no field that Thanos has: no effect", "are no fields that Thanos has: no effect");
        Ok(findings)
    }
}

/// A section of the configuration; without a path all of it, in which `config` is one.
struct Section<'a> {
    fields: &'a [Field],
    path: Option<String>,
    values: &'a mut Values,
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields with values")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let Some(path) = &self.path else {
                match key.as_str() {
                    "config" => {
                        let path = Some(String::new());
                        map.next_value_seed(Section { fields: self.fields, path, values: self.values })?;
                    }
                    known => {
                        map.next_value::<IgnoredAny>()?;
                        if !matches!(known, "type" | "prefix") {
                            self.values.unknown.push(key);
                        }
                    }
                }
                continue;
            };
            let name = if path.is_empty() { key } else { format!("{path}.{key}") };
            let inner = format!("{name}.");
            match self.fields.iter().find(|field| field.name == name) {
                Some(Field { holds: Holds::Scalar, .. }) => {
                    let value = map.next_value::<Option<String>>()?;
                    self.values.given.insert(name, value.unwrap_or_default());
                }
                Some(Field { holds: Holds::Map, .. }) => {
                    let entries = map.next_value::<Option<BTreeMap<String, IgnoredAny>>>()?;
                    if entries.is_some_and(|entries| !entries.is_empty()) {
                        self.values.given.insert(name, "given".to_owned());
                    }
                }
                None if self.fields.iter().any(|field| field.name.starts_with(&inner)) => {
                    map.next_value_seed(Section {
                        fields: self.fields,
                        path: Some(name),
                        values: self.values,
                    })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                    self.values.unknown.push(format!("config.{name}"));
                }
            }
        }
        Ok(())
    }
}

/// What all types that speak HTTP have.
fn common(values: &Values, mut environment: Environment) -> Result<Environment, String> {
    if let Some(retries) = values.number("max_retries")?.filter(|retries| *retries > 0) {
        environment = environment.with_max_retries(retries);
    }
    if let Some(path) = values.text("http_config.tls_config.ca_file") {
        let wrong =
            |error: &dyn fmt::Display| format!("cannot use config.http_config.tls_config.ca_file: {error}");
        let mut pem = Vec::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut pem));
        read.map_err(|error| wrong(&error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
        environment = environment.with_root_certificates(certificates);
    }
    Ok(environment)
}

/// What the library's client is told besides.
fn client_settings(values: &Values) -> Result<Vec<(ClientConfigKey, &'static str)>, String> {
    let skips = values.is_true("http_config.insecure_skip_verify")?
        || values.is_true("http_config.tls_config.insecure_skip_verify")?;
    Ok(if skips { vec![(ClientConfigKey::AllowInvalidCertificates, "true")] } else { Vec::new() })
}

fn store(
    objects: object_store::Result<Arc<dyn ObjectStore>>,
    bucket: &str,
    prefix: &str,
) -> Result<Store, NotOpened> {
    let url = if prefix.is_empty() { bucket.to_owned() } else { format!("{bucket}/{prefix}") };
    let objects = objects.map_err(|error| unusable(url.clone(), &error))?;
    Ok(Store::new(objects, &url, prefix).map_err(|source| LocationError::Io { url, source })?)
}

fn open_s3(values: &Values, environment: Environment, prefix: &str) -> Result<Store, NotOpened> {
    let (bucket, endpoint) = (values.required("bucket")?, values.required("endpoint")?);
    if endpoint.contains("://") {
        return Err("config.endpoint has no scheme; write HOST:PORT, and insecure: true for http"
            .to_owned()
            .into());
    }
    let keys = match (values.text("access_key"), values.text("secret_key")) {
        (Some(key), Some(secret)) => Some((key, secret)),
        (None, None) => None,
        _ => return Err("config.access_key and config.secret_key go together".to_owned().into()),
    };
    if keys.is_some() && values.is_true("aws_sdk_auth")? {
        return Err("config.aws_sdk_auth and config.access_key exclude each other".to_owned().into());
    }
    let insecure = values.is_true("insecure")?;
    let scheme = if insecure { "http" } else { "https" };
    let of_aws = endpoint.ends_with(".amazonaws.com");
    let by_name = match values.text("bucket_lookup_type") {
        // A dot in the name of a bucket is none of a host that certificates are made for.
        None | Some("auto") => of_aws && !bucket.contains('.'),
        Some("virtual-hosted" | "virtual") => true,
        Some("path") => false,
        Some(_) => {
            return Err("config.bucket_lookup_type is none of auto, virtual-hosted and path"
                .to_owned()
                .into());
        }
    };
    let endpoint_url =
        if by_name { format!("{scheme}://{bucket}.{endpoint}") } else { format!("{scheme}://{endpoint}") };
    let encryption = encryption(values)?;
    let region = values.text("region").or_else(|| if of_aws { region_of(endpoint) } else { None });
    let client = client_settings(values)?;
    // The file says where the bucket is; the environment is asked for keys alone, and only if the file has none.
    let names = |name: &str| {
        name.contains("ENDPOINT_URL") || name == "AWS_ENDPOINT" || name.contains("VIRTUAL_HOSTED")
    };
    let of_keys = ["ACCESS_KEY", "TOKEN", "ROLE", "CONTAINER", "SKIP_SIGNATURE"];
    let environment = environment.without(
        |name| names(name) || keys.is_some() && of_keys.iter().any(|part| name.contains(part)),
        keys.is_some(),
    );
    let objects = s3(&environment, |mut builder| {
        builder = builder
            .with_bucket_name(bucket)
            .with_endpoint(endpoint_url)
            .with_virtual_hosted_style_request(by_name);
        if insecure {
            builder = builder.with_allow_http(true);
        }
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some((key, secret)) = keys {
            builder = builder.with_access_key_id(key).with_secret_access_key(secret);
        }
        if let Some(token) = values.text("session_token") {
            builder = builder.with_token(token);
        }
        for (name, value) in encryption {
            if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(endpoint) = values.text("sts_endpoint") {
            builder = builder.with_config(AmazonS3ConfigKey::StsEndpoint, endpoint);
        }
        client
            .into_iter()
            .fold(builder, |builder, (key, value)| builder.with_config(AmazonS3ConfigKey::Client(key), value))
    });
    store(objects, &format!("s3://{bucket}"), prefix)
}

/// How objects are encrypted that are written.
fn encryption(values: &Values) -> Result<Vec<(&'static str, &str)>, String> {
    let kind = "aws_server_side_encryption";
    Ok(match values.text("sse_config.type") {
        None => Vec::new(),
        Some("SSE-S3") => vec![(kind, "AES256")],
        Some("SSE-KMS") => {
            vec![(kind, "aws:kms"), ("aws_sse_kms_key_id", values.required("sse_config.kms_key_id")?)]
        }
        Some("SSE-C") => {
            return Err(
                "config.sse_config.type cannot be honoured: objects of SSE-C need their key".to_owned()
            );
        }
        Some(_) => return Err("config.sse_config.type is none of SSE-S3, SSE-KMS and SSE-C".to_owned()),
    })
}

/// The region in the name of a host of Amazon's: `s3.REGION.amazonaws.com`, also with `dualstack.` or a dash.
fn region_of(endpoint: &str) -> Option<&str> {
    let rest = endpoint.strip_suffix(".amazonaws.com")?;
    let region =
        rest.strip_prefix("s3.dualstack.").or(rest.strip_prefix("s3.")).or(rest.strip_prefix("s3-"))?;
    (!region.contains('.')).then_some(region)
}

fn open_gcs(values: &Values, environment: Environment, prefix: &str) -> Result<Store, NotOpened> {
    let bucket = values.required("bucket")?;
    let account = values.text("service_account");
    let client = client_settings(values)?;
    let of_keys = ["SERVICE_ACCOUNT", "CREDENTIALS", "BEARER", "SKIP_SIGNATURE"];
    let environment = environment
        .without(|name| account.is_some() && of_keys.iter().any(|part| name.contains(part)), false);
    let objects = gcs(&environment, |mut builder| {
        builder = builder.with_bucket_name(bucket);
        if let Some(account) = account {
            builder = builder.with_service_account_key(account);
        }
        client
            .into_iter()
            .fold(builder, |builder, (key, value)| builder.with_config(GoogleConfigKey::Client(key), value))
    });
    store(objects, &format!("gs://{bucket}"), prefix)
}

/// What a connection string of Azure says.
fn connection(text: &str) -> BTreeMap<String, &str> {
    let parts = text.split(';').filter_map(|part| part.split_once('='));
    parts.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim())).collect()
}

fn open_azure(values: &Values, environment: Environment, prefix: &str) -> Result<Store, NotOpened> {
    let (account, container) = (values.required("storage_account")?, values.required("container")?);
    let connection = connection(values.text("storage_connection_string").unwrap_or_default());
    let of_connection = |name: &str| connection.get(name).copied();
    let key = match (values.text("storage_account_key"), of_connection("accountkey")) {
        (Some(_), _) if !connection.is_empty() => {
            let message =
                "config.storage_account_key and config.storage_connection_string exclude each other";
            return Err(message.to_owned().into());
        }
        (key, of_connection) => key.or(of_connection),
    };
    let sas = of_connection("sharedaccesssignature");
    if !connection.is_empty() && key.is_none() && sas.is_none() {
        let message = "config.storage_connection_string has neither AccountKey nor SharedAccessSignature";
        return Err(message.to_owned().into());
    }
    let client = [values.text("client_id"), values.text("client_secret"), values.text("az_tenant_id")];
    let client = match client {
        [Some(id), Some(secret), Some(tenant)] => Some((id, secret, tenant)),
        [None, None, None] => None,
        _ => {
            let message = "config.az_tenant_id, config.client_id and config.client_secret go together";
            return Err(message.to_owned().into());
        }
    };
    let user_assigned = values.text("user_assigned_id");
    if user_assigned.is_some() && (key.is_some() || sas.is_some() || client.is_some()) {
        return Err("config.user_assigned_id and keys exclude each other".to_owned().into());
    }
    let account = of_connection("accountname").unwrap_or(account);
    let endpoint =
        match (of_connection("blobendpoint"), of_connection("endpointsuffix"), values.text("endpoint")) {
            (Some(endpoint), _, _) => Some(endpoint.trim_end_matches('/').to_owned()),
            (None, Some(suffix), _) => Some(format!("https://{account}.blob.{suffix}")),
            (None, None, Some(endpoint)) => Some(format!("https://{account}.{endpoint}")),
            _ => None,
        };
    let settings = client_settings(values)?;
    let is_keyed = key.is_some() || sas.is_some() || client.is_some() || user_assigned.is_some();
    let of_keys =
        ["KEY", "SECRET", "TOKEN", "SAS", "CLIENT_ID", "TENANT", "AUTHORITY", "SKIP_SIGNATURE", "AZURE_CLI"];
    let environment = environment.without(
        |name| {
            name == "AZURE_STORAGE_ENDPOINT"
                || name == "AZURE_ENDPOINT"
                || name.contains("CONTAINER")
                || is_keyed && of_keys.iter().any(|part| name.contains(part))
        },
        false,
    );
    let objects = azure(&environment, |mut builder| {
        builder = builder.with_account(account).with_container_name(container);
        if let Some(endpoint) = endpoint {
            builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
        }
        if let Some(key) = key {
            builder = builder.with_access_key(key);
        }
        if let Some(sas) = sas {
            builder = builder.with_config(AzureConfigKey::SasKey, sas);
        }
        if let Some((id, secret, tenant)) = client {
            builder = builder.with_client_secret_authorization(id, secret, tenant);
        }
        if let Some(id) = user_assigned {
            builder = builder.with_client_id(id);
        }
        settings
            .into_iter()
            .fold(builder, |builder, (key, value)| builder.with_config(AzureConfigKey::Client(key), value))
    });
    store(objects, &format!("az://{container}"), prefix)
}

fn open_folder(values: &Values, prefix: &str) -> Result<Store, NotOpened> {
    let wrong = |message: String| NotOpened::Field(format!("cannot use config.directory: {message}"));
    let folder =
        std::path::absolute(values.required("directory")?).map_err(|error| wrong(error.to_string()))?;
    let folder = folder.join(prefix);
    let url = Url::from_file_path(folder).map_err(|()| wrong("it is no path".to_owned()))?;
    Ok(Location::parse(url.as_str())?.open()?)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
