//! Configurations as people write them.

use super::*;
use crate::error::error_chain;

/// Opens a configuration with these variables in the environment.
fn open_in(text: &str, variables: &[(&str, &str)]) -> Result<Configured, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    open_config("x.yml", text, Environment::of(variables)).map_err(|error| error_chain(&error))
}

fn open(text: &str) -> Result<Configured, String> {
    open_in(text, &[])
}

/// The message that a configuration is refused with.
fn refusal(text: &str) -> String {
    let message = open(text).unwrap_err();
    assert!(!message.contains("hunter"), "{message}");
    message
}

const S3: &str = "type: S3\nconfig:\n  bucket: metrics\n  endpoint: localhost:9000\n";

#[test]
fn buckets_of_all_types_are_opened_below_their_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let folder = format!("type: filesystem\nconfig: {{directory: {:?}}}\nprefix: a\n", dir.path());
    let azure = "type: AZURE\nprefix: /a/b/\nconfig: {storage_account: acc, container: c, storage_account_key: aHVudGVyMg==}";
    for (text, location, object) in [
        (S3.to_owned(), "s3://metrics".to_owned(), "x".to_owned()),
        (
            format!("prefix: a/b/\n{S3}  access_key: k\n  secret_key: s\n"),
            "s3://metrics/a/b".into(),
            "a/b/x".into(),
        ),
        ("type: GCS\nconfig: {bucket: metrics}\nprefix: /".into(), "gs://metrics".into(), "x".into()),
        (azure.into(), "az://c/a/b".into(), "a/b/x".into()),
        (
            folder,
            format!("file://{}/a", dir.path().display()),
            format!("{}/a/x", dir.path().display()).trim_start_matches('/').to_owned(),
        ),
    ] {
        let Configured { store, findings } = open(&text).unwrap();
        assert_eq!((store.location(), store.object("x").unwrap().as_ref()), (&*location, &*object));
        assert!(findings.is_empty(), "{findings:?}");
    }
}

#[test]
fn every_field_that_thanos_has_is_read_in_its_place() {
    for (kind, fields) in TYPES {
        for field in fields.concat() {
            let mut lines = String::new();
            let parts: Vec<&str> = field.name.split('.').collect();
            for (depth, part) in parts.iter().enumerate() {
                lines.push_str(&format!("{}{part}:\n", "  ".repeat(depth + 1)));
            }
            let value = if field.holds == Holds::Map { "{a: b}" } else { "\"true\"" };
            let text = format!("type: {kind}\nconfig:\n{} {value}\n", lines.trim_end());
            let message = match open(&text) {
                Ok(opened) => format!("{:?}", opened.findings),
                Err(message) => message,
            };
            assert!(!message.contains("no field that Thanos has"), "{text}: {message}");
            let is_refused = message.contains(&format!("config.{} cannot be honoured", field.name));
            assert_eq!(is_refused, field.fate == Fate::Refused, "{text}: {message}");
        }
    }
}

#[test]
fn what_has_no_effect_is_said_once_and_what_is_unknown_too() {
    let text = format!(
        "{S3}  http_config:\n    idle_conn_timeout: 1m30s\n    max_idle_conns: 100\n    new: 1\n  trace: {{enable: true}}\n  \
         part_size: 1024\n  sse_config: {{type: SSE-S3}}\n  bukket: [1, {{a: b}}]\n  list_objects_version: v2\n\
         signature_version2: false\nextra: 1\n"
    );
    let findings = open(&text).unwrap().findings;
    let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "trace.enable, http_config.idle_conn_timeout, http_config.max_idle_conns tune what is done otherwise here: no effect",
            "config.http_config.new, config.bukket, signature_version2, extra are no fields that Thanos has: no effect",
        ]
    );
    assert!(findings.iter().all(|finding| finding.severity == Severity::Note && finding.place == "x.yml"));
}

#[test]
fn what_would_change_the_meaning_is_refused() {
    for (more, expected) in [
        (
            "  signature_version2: true",
            "config.signature_version2 cannot be honoured: requests are signed by version 4",
        ),
        (
            "  list_objects_version: v1",
            "config.list_objects_version cannot be honoured: v1 is refused, v2 is what is done",
        ),
        (
            "  sse_config: {type: SSE-C, encryption_key: /k}",
            "config.sse_config.encryption_key cannot be honoured: the key of SSE-C",
        ),
        (
            "  sse_config: {type: SSE-C}",
            "config.sse_config.type cannot be honoured: objects of SSE-C need their key",
        ),
        ("  sse_config: {type: SSE-KMS}", "config.sse_config.kms_key_id is missing"),
        (
            "  http_config: {tls_config: {server_name: x}}",
            "config.http_config.tls_config.server_name cannot be honoured: the name is that of the endpoint",
        ),
        ("  access_key: hunter1", "config.access_key and config.secret_key go together"),
        ("  secret_key: hunter2", "config.access_key and config.secret_key go together"),
        (
            "  access_key: hunter1\n  secret_key: hunter2\n  aws_sdk_auth: true",
            "config.aws_sdk_auth and config.access_key exclude each other",
        ),
        ("  insecure: hunter", "config.insecure is neither true nor false"),
        ("  max_retries: hunter", "config.max_retries is no number"),
        (
            "  bucket_lookup_type: hunter",
            "config.bucket_lookup_type is none of auto, virtual-hosted and path",
        ),
    ] {
        assert_eq!(refusal(&format!("{S3}{more}\n")), format!("x.yml: {expected}"));
    }
}

#[test]
fn what_is_missing_or_of_another_type_is_named() {
    for (text, expected) in [
        (
            "type: SWIFT\nconfig: {}",
            "type SWIFT is none that is read here; expected S3, GCS, AZURE, FILESYSTEM",
        ),
        ("config: {}", "type is missing or unknown; expected S3, GCS, AZURE, FILESYSTEM"),
        ("type: S3", "config.bucket is missing"),
        ("type: S3\nconfig: {bucket: b}", "config.endpoint is missing"),
        (
            "type: S3\nconfig: {bucket: b, endpoint: 'http://x'}",
            "config.endpoint has no scheme; write HOST:PORT, and insecure: true for http",
        ),
        ("type: GCS\nconfig:\n", "config.bucket is missing"),
        ("type: AZURE\nconfig: {storage_account: a}", "config.container is missing"),
        (
            "type: AZURE\nconfig: {storage_account: a, container: c, client_id: hunter}",
            "config.az_tenant_id, config.client_id and config.client_secret go together",
        ),
        (
            "type: AZURE\nconfig: {storage_account: a, container: c, storage_connection_string: 'AccountName=a'}",
            "config.storage_connection_string has neither AccountKey nor SharedAccessSignature",
        ),
        (
            "type: AZURE\nconfig: {storage_account: a, container: c, storage_account_key: x, storage_connection_string: 'AccountKey=x'}",
            "config.storage_account_key and config.storage_connection_string exclude each other",
        ),
        (
            "type: AZURE\nconfig: {storage_account: a, container: c, storage_account_key: x, user_assigned_id: x}",
            "config.user_assigned_id and keys exclude each other",
        ),
    ] {
        assert_eq!(refusal(text), format!("x.yml: {expected}"));
    }
}

#[test]
fn text_that_is_no_yaml_is_refused_with_its_place_and_without_its_values() {
    for text in [
        "type: S3\nconfig: [hunter2]\n",
        "type: S3\nconfig: {secret_key: [hunter2]}\n",
        "type: S3\nconfig: {secret_key: hunter2\n",
        "type: S3\nconfig: {secret_key: hunter2, secret_key: hunter2}\n",
        "hunter2",
        "",
    ] {
        let message = refusal(text);
        assert!(message.starts_with("cannot parse x.yml: ") || text.is_empty(), "{message}");
    }
}

#[test]
fn keys_are_nowhere_to_be_seen() {
    let text = format!("{S3}  access_key: hunter1\n  secret_key: hunter2\n  session_token: hunter3\n");
    let opened = open(&text).unwrap();
    let stores = crate::store::Stores::configured(opened.clone());
    let shown = format!("{opened:?} {:?} {stores:?}", opened.store.objects());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn keys_come_from_the_file_or_from_the_environment_and_the_address_from_the_file_alone() {
    // Half a key of the environment would be refused, if it were looked at.
    let half = [("AWS_ACCESS_KEY_ID", "hunter1"), ("AWS_ENDPOINT_URL_S3", "http://elsewhere")];
    assert!(open_in(S3, &half).unwrap_err().contains("cannot use s3://metrics"));
    let keyed = format!("{S3}  access_key: k\n  secret_key: s\n");
    open_in(&keyed, &half).unwrap();
}

#[test]
fn the_region_is_read_from_an_endpoint_of_amazon() {
    for (endpoint, region) in [
        ("s3.eu-west-1.amazonaws.com", Some("eu-west-1")),
        ("s3-eu-west-1.amazonaws.com", Some("eu-west-1")),
        ("s3.dualstack.eu-west-1.amazonaws.com", Some("eu-west-1")),
        ("s3.amazonaws.com", None),
        ("minio:9000", None),
    ] {
        assert_eq!(region_of(endpoint), region, "{endpoint}");
    }
}
