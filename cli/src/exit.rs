//! Exit codes, and what failed commands leave to say.

use std::error::Error;
use std::io;

use tsdb_converter::convert::ConvertError;
use tsdb_converter::error::error_chain;

/// All done.
pub const DONE: u8 = 0;
/// Done, with losses or broken input that was named.
pub const LOSSES: u8 = 1;
/// Failed or misused.
pub const FAILED: u8 = 2;

/// Why a command did not end as it should.
#[derive(Debug)]
pub enum Failure {
    /// Said to the user, exit code 2.
    Message(String),
    /// Stopped by a signal.
    Stopped,
    /// Who reads standard output has gone: nothing is left to do or to say.
    NobodyReads,
}

impl Failure {
    /// An error with its causes.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self::Message(error_chain(error))
    }
}

impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Self {
        match error {
            ConvertError::Stopped => Self::Stopped,
            error => Self::of(&error),
        }
    }
}

/// Errors of standard output, which is all that commands write to themselves.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Message(format!("cannot write to standard output: {error}")),
        }
    }
}
