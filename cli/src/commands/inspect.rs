//! `promblock inspect`
use crate::args::InspectArgs;
use crate::exit::Failure;
use crate::messages::Messages;
/// Runs the command.
pub fn run(_args: &InspectArgs, _messages: &Messages) -> Result<u8, Failure> {
    Ok(0)
}
