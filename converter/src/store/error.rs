//! Errors of stores: what was asked of which object, what the store said, what can be done.
//!
//! The answer of a store may hold more than a message should: request ids, pages of XML, addresses with signatures. Only the
//! status, code and message are said, cut to one line.

use std::error::Error;
use std::fmt;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

/// Longest part of an answer that is repeated.
const SAID_CHARS: usize = 300;

/// A request to a store that failed.
pub struct StoreError {
    operation: &'static str,
    object: String,
    cause: object_store::Error,
}

impl StoreError {
    /// What the library that speaks to the store said. It is no [`Error::source`], for this error repeats what matters of it.
    pub fn cause(&self) -> &object_store::Error {
        &self.cause
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, object, cause } = self;
        write!(f, "cannot {operation} {object}: {}", said(cause))?;
        match hint(cause) {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// As it is said: what the library holds may be no one's business.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreError({self})")
    }
}

impl Error for StoreError {}

/// The error of `operation` (`read`, `list`, …) on `object`, given by its URL.
pub fn store_error(operation: &'static str, object: String, cause: object_store::Error) -> io::Error {
    io::Error::new(kind(&cause), StoreError { operation, object, cause })
}

/// True when an object is no longer what the request said it must be: it has changed, or is there already.
pub fn is_precondition_failed(error: &io::Error) -> bool {
    use object_store::Error::{AlreadyExists, NotModified, Precondition};
    let cause = error.get_ref().and_then(|error| error.downcast_ref()).map(StoreError::cause);
    matches!(cause, Some(Precondition { .. } | AlreadyExists { .. } | NotModified { .. }))
}

fn kind(error: &object_store::Error) -> io::ErrorKind {
    use object_store::Error as Of;
    match error {
        Of::NotFound { .. } => io::ErrorKind::NotFound,
        Of::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        Of::PermissionDenied { .. } | Of::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        Of::InvalidPath { .. } => io::ErrorKind::InvalidFilename,
        Of::NotSupported { .. } | Of::NotImplemented { .. } => io::ErrorKind::Unsupported,
        other => match transport(other) {
            Some(HttpErrorKind::Timeout) => io::ErrorKind::TimedOut,
            Some(HttpErrorKind::Connect) => io::ErrorKind::NotConnected,
            Some(HttpErrorKind::Interrupted) => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::Other,
        },
    }
}

/// The error and what caused it, in turn.
fn chain(error: &object_store::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// How the connection failed, if it did.
fn transport(error: &object_store::Error) -> Option<HttpErrorKind> {
    chain(error).find_map(|error| error.downcast_ref::<HttpError>()).map(HttpError::kind)
}

/// What can be done about `error`, where that is known.
fn hint(error: &object_store::Error) -> Option<&'static str> {
    use object_store::Error as Of;
    let text = error.to_string();
    let says = |what: &str| text.contains(what);
    Some(match error {
        _ if says("169.254.169.254") || says("metadata.google.internal") || says("CredentialsProvider") => {
            "no credentials were found: neither in the environment nor from this machine's role; docs/buckets.md names the \
             variables of each store"
        }
        _ if says("NoSuchBucket") || says("ContainerNotFound") => {
            "look at the name of the bucket and the region"
        }
        _ if says("ExpiredToken") => "the credentials have expired; renew them",
        _ if says("SignatureDoesNotMatch") || says("InvalidAccessKeyId") => {
            "look at the access key and its secret"
        }
        _ if says("RequestTimeTooSkewed") => "set the clock of this machine",
        _ if says("redirect without LOCATION") || says("PermanentRedirect") => {
            "set AWS_REGION to the region of the bucket"
        }
        Of::PermissionDenied { .. } => {
            "the credentials must allow to list the bucket and to read its objects"
        }
        Of::Unauthenticated { .. } => "give credentials; docs/buckets.md names the variables of each store",
        Of::Precondition { .. } | Of::NotModified { .. } => {
            "the object has changed since it was listed; run the command again"
        }
        _ => match transport(error)? {
            HttpErrorKind::Connect => {
                "look at the endpoint and the network; http needs to be allowed, such as AWS_ALLOW_HTTP=true"
            }
            HttpErrorKind::Timeout => "the store is slow or out of reach; run the command again",
            _ => return None,
        },
    })
}

/// What the store, or the way to it, said.
fn said(error: &object_store::Error) -> String {
    if let object_store::Error::NotFound { .. } = error
        && !chain(error).any(|error| error.to_string().contains("<Code>"))
    {
        return "it is not there".to_owned();
    }
    // The innermost one is the answer; those around it name the request again.
    let answer = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let answer = match (between(&answer, "<Code>", "</Code>"), between(&answer, "<Message>", "</Message>")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => answer,
    };
    let mut line = one_line(&answer);
    let outer = error.to_string();
    if let Some(retries) = between(&outer, ", after ", " retries") {
        line.push_str(&format!(" (after {retries} retries)"));
    }
    line
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(between, _)| between)
}

/// `text` without line breaks, addresses and more than a line's worth.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().map(without_query).collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SAID_CHARS) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

/// An address without what follows its path: signatures stand there.
fn without_query(word: &str) -> &str {
    match word.split_once('?') {
        Some((address, _)) if address.contains("://") => address,
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_answer(text: &str) -> object_store::Error {
        object_store::Error::PermissionDenied { path: "a/b".into(), source: text.into() }
    }

    #[test]
    fn an_error_names_the_operation_the_object_what_the_store_said_and_what_to_do() {
        let answer = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code>\n\
                      <Message>Access Denied.</Message><RequestId>17</RequestId></Error>";
        let error = store_error("read", "s3://bucket/a/b".into(), with_answer(answer));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(
            error.to_string(),
            "cannot read s3://bucket/a/b: AccessDenied: Access Denied.; the credentials must allow to list the bucket and \
             to read its objects"
        );
        assert!(!is_precondition_failed(&error));
    }

    #[test]
    fn answers_are_cut_to_a_line_without_signatures() {
        let long = format!("at https://host/path?sig=secret\n\n{}", "é".repeat(1000));
        let error = store_error("list", "az://container".into(), with_answer(&long));
        let text = format!("{error} {error:?}");
        assert!(!text.contains("secret") && !text.contains('\n'), "{text}");
        assert!(text.contains("at https://host/path é") && text.contains('…'), "{text}");
    }

    #[test]
    fn objects_that_changed_or_exist_are_failed_preconditions() {
        let source = || "412".into();
        for error in [
            object_store::Error::Precondition { path: String::new(), source: source() },
            object_store::Error::AlreadyExists { path: String::new(), source: source() },
        ] {
            assert!(is_precondition_failed(&store_error("write", String::new(), error)));
        }
        assert!(!is_precondition_failed(&io::Error::from(io::ErrorKind::AlreadyExists)));
    }
}
