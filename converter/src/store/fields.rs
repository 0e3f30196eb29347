//! The fields of Thanos' bucket configuration, and what becomes of each.

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done as it says.
    Honoured,
    /// It matters for writing alone, which this version does not do.
    Writing,
    /// It tunes what is done otherwise here, and has no effect.
    Tuning,
    /// What it asks for cannot be done; given, it ends the run.
    Refused,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A text, a number, true or false, a duration.
    Scalar,
    /// Names and values of anything.
    Map,
}

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name, with those of the sections it lies in.
    pub name: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// What it holds.
    pub holds: Holds,
    /// What is to be said of it.
    pub note: &'static str,
}

const fn field(name: &'static str, fate: Fate, note: &'static str) -> Field {
    Field { name, fate, holds: Holds::Scalar, note }
}

const fn map(name: &'static str, fate: Fate, note: &'static str) -> Field {
    Field { name, fate, holds: Holds::Map, note }
}

use Fate::{Honoured, Refused, Tuning, Writing};

/// Fields of `config`, by the `type` beside it.
pub const TYPES: [(&str, &[&[Field]]); 4] =
    [("S3", &[S3, HTTP]), ("GCS", &[GCS, HTTP]), ("AZURE", &[AZURE, HTTP]), ("FILESYSTEM", &[FILESYSTEM])];

/// Other types that Thanos knows.
pub const OTHER_TYPES: [&str; 6] = ["SWIFT", "COS", "ALIYUNOSS", "BOS", "OCI", "OBS"];

const S3: &[Field] = &[
    field("bucket", Honoured, ""),
    field("endpoint", Honoured, "host and port, without a scheme"),
    field("region", Honoured, "else the one in the endpoint, then AWS_REGION"),
    field(
        "access_key",
        Honoured,
        "with secret_key; else the environment, a profile or the role of the machine",
    ),
    field("secret_key", Honoured, "with access_key"),
    field("session_token", Honoured, ""),
    field("insecure", Honoured, "http instead of https"),
    field("aws_sdk_auth", Honoured, "keys come from the environment, a profile or the role of the machine"),
    field("bucket_lookup_type", Honoured, "auto, virtual-hosted or path"),
    field("list_objects_version", Refused, "v1 is refused, v2 is what is done"),
    field("signature_version2", Refused, "requests are signed by version 4"),
    field("disable_dualstack", Tuning, "addresses are those of the endpoint"),
    field("part_size", Writing, ""),
    field("send_content_md5", Writing, ""),
    field("disable_multipart", Writing, ""),
    map("put_user_metadata", Writing, ""),
    field("sse_config.type", Honoured, "SSE-S3 or SSE-KMS, for writing; SSE-C is refused"),
    field("sse_config.kms_key_id", Honoured, "for writing"),
    map("sse_config.kms_encryption_context", Writing, ""),
    field("sse_config.encryption_key", Refused, "the key of SSE-C"),
    field("sts_endpoint", Honoured, "for roles by a web identity"),
    field("max_retries", Honoured, ""),
    field("trace.enable", Tuning, ""),
];

const GCS: &[Field] = &[
    field("bucket", Honoured, ""),
    field(
        "service_account",
        Honoured,
        "JSON; else GOOGLE_APPLICATION_CREDENTIALS or the role of the machine",
    ),
    field("use_grpc", Tuning, ""),
    field("grpc_conn_pool_size", Tuning, ""),
    field("chunk_size_bytes", Writing, ""),
    field("max_retries", Honoured, ""),
];

const AZURE: &[Field] = &[
    field("storage_account", Honoured, ""),
    field("storage_account_key", Honoured, "else the environment or the role of the machine"),
    field("storage_connection_string", Honoured, "instead of a key"),
    field("storage_create_container", Writing, "a container is never created"),
    field("container", Honoured, ""),
    field("endpoint", Honoured, "what follows the account in the name of the host"),
    field("az_tenant_id", Honoured, "with client_id and client_secret"),
    field("client_id", Honoured, "with az_tenant_id and client_secret"),
    field("client_secret", Honoured, "with az_tenant_id and client_id"),
    field("user_assigned_id", Honoured, "a role of the machine by its client id"),
    field("msi_resource", Refused, "tokens are asked for the storage of the public cloud"),
    field("max_retries", Honoured, ""),
    field("reader_config.max_retry_requests", Tuning, ""),
    field("pipeline_config.max_tries", Tuning, ""),
    field("pipeline_config.try_timeout", Tuning, ""),
    field("pipeline_config.retry_delay", Tuning, ""),
    field("pipeline_config.max_retry_delay", Tuning, ""),
];

const FILESYSTEM: &[Field] = &[field("directory", Honoured, "")];

const HTTP: &[Field] = &[
    field("http_config.idle_conn_timeout", Tuning, ""),
    field("http_config.response_header_timeout", Tuning, ""),
    field("http_config.insecure_skip_verify", Honoured, ""),
    field("http_config.tls_handshake_timeout", Tuning, ""),
    field("http_config.expect_continue_timeout", Tuning, ""),
    field("http_config.max_idle_conns", Tuning, ""),
    field("http_config.max_idle_conns_per_host", Tuning, ""),
    field("http_config.max_conns_per_host", Tuning, ""),
    field("http_config.disable_compression", Tuning, ""),
    field("http_config.tls_config.ca_file", Honoured, "trusted besides the usual authorities"),
    field("http_config.tls_config.insecure_skip_verify", Honoured, ""),
    field("http_config.tls_config.cert_file", Refused, "certificates of clients are not sent"),
    field("http_config.tls_config.key_file", Refused, "certificates of clients are not sent"),
    field("http_config.tls_config.server_name", Refused, "the name is that of the endpoint"),
];

/// The fields as a table in Markdown, for the page about buckets.
pub fn table() -> String {
    let mut table = String::from("| type | field | here | |\n|---|---|---|---|\n");
    let rows = |kind: &str, fields: &[Field], table: &mut String| {
        for Field { name, fate, note, .. } in fields {
            let fate = match fate {
                Honoured => "honoured",
                Writing => "for writing alone",
                Tuning => "no effect",
                Refused => "refused",
            };
            table.push_str(&format!("| {kind} | `{name}` | {fate} | {note} |\n"));
        }
    };
    for (kind, fields) in TYPES {
        rows(kind, fields.first().copied().unwrap_or_default(), &mut table);
    }
    rows("all but FILESYSTEM", HTTP, &mut table);
    table
}
