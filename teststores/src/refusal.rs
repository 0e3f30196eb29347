//! What stores say when they refuse, each in its own words.

use crate::endpoint::Dialect;
use crate::http::Response;

/// Why a store refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The server is overloaded: 503.
    Busy,
    /// The client asks too often: 429, for S3 503.
    TooManyRequests,
    /// Something broke in the server: 500.
    Internal,
    /// The credentials were good, once.
    Expired,
    /// The credentials do not allow this: 403.
    Denied,
    /// There is no such object: 404.
    NotFound,
}

impl Refusal {
    /// Status, code and message.
    pub fn words(self, dialect: Dialect) -> (u16, &'static str, &'static str) {
        use Dialect::{Azure, Gcs, S3};
        match (self, dialect) {
            (Self::Busy | Self::TooManyRequests, S3) => (503, "SlowDown", "Please reduce your request rate."),
            (Self::Busy, Gcs) => (503, "ServiceUnavailable", "Service unavailable. Please try again."),
            (Self::Busy, Azure) => (503, "ServerBusy", "The server is busy."),
            (Self::TooManyRequests, Gcs) => (
                429,
                "SlowDown",
                "The object exceeded the rate limit for object mutation operations. Please reduce your request rate.",
            ),
            (Self::TooManyRequests, Azure) => (429, "TooManyRequests", "The request rate is over the limit."),
            (Self::Internal, S3 | Gcs) => {
                (500, "InternalError", "We encountered an internal error. Please try again.")
            }
            (Self::Internal, Azure) => (500, "InternalError", "The server encountered an internal error."),
            (Self::Expired, S3) => (400, "ExpiredToken", "The provided token has expired."),
            (Self::Expired, Gcs) => (401, "AuthenticationRequired", "Authentication required."),
            (Self::Expired, Azure) => (
                403,
                "AuthenticationFailed",
                "Server failed to authenticate the request. Make sure the value of Authorization header is formed \
                 correctly including the signature.",
            ),
            (Self::Denied, S3 | Gcs) => (403, "AccessDenied", "Access denied."),
            (Self::Denied, Azure) => (
                403,
                "AuthorizationPermissionMismatch",
                "This request is not authorized to perform this operation using this permission.",
            ),
            (Self::NotFound, S3 | Gcs) => (404, "NoSuchKey", "The specified key does not exist."),
            (Self::NotFound, Azure) => (404, "BlobNotFound", "The specified blob does not exist."),
        }
    }

    /// The whole answer.
    pub fn response(self, dialect: Dialect) -> Response {
        let (status, code, message) = self.words(dialect);
        error_response(status, code, message, "").with(
            // Azure says it here as well, and to HEAD nowhere else.
            "x-ms-error-code",
            code,
        )
    }
}

/// An error as S3, GCS and Azure write them.
pub fn error_response(status: u16, code: &str, message: &str, details: &str) -> Response {
    let details = if details.is_empty() { String::new() } else { format!("<Details>{details}</Details>") };
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message>{details}</Error>"
    );
    Response::new(status, body).with("Content-Type", "application/xml")
}
