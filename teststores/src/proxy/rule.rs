//! The script: which requests are broken, and how.

use std::time::Duration;

use super::asked::{Asked, Operation};
use crate::refusal::Refusal;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server refuses, in its own words, and does nothing.
    Refuse(Refusal),
    /// The connection is reset; the server does nothing.
    ResetBeforeRequest,
    /// The server does what it is asked; the connection is reset before it says so.
    ResetBeforeHead,
    /// The connection is reset after the head of the answer.
    ResetAfterHead,
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Nothing comes after so many bytes of the body.
    Stall(usize),
    /// The answer comes later.
    Delay(Duration),
    /// The object has this content before it is looked at.
    Replace(Vec<u8>),
}

/// Which requests have a fault.
#[derive(Debug, Clone)]
pub struct Rule {
    operation: Operation,
    pattern: String,
    /// Requests that are let through first, and those that are broken then.
    skip: usize,
    times: usize,
    fault: Fault,
}

impl Rule {
    /// Breaks the first request of this kind for a key that fits `pattern` (`*` stands for any text); a list's key is
    /// its prefix.
    pub fn on(operation: Operation, pattern: &str, fault: Fault) -> Self {
        Self { operation, pattern: pattern.to_owned(), skip: 0, times: 1, fault }
    }

    /// Lets so many pass first.
    #[must_use]
    pub fn after(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    /// Breaks so many.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Breaks all that follow.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }
}

/// Rules with what is left of them.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    /// The fault of a request. Every rule that fits counts it, also when another breaks it.
    pub(super) fn take(&mut self, asked: &Asked) -> Option<Fault> {
        let mut fault = None;
        for rule in self.0.iter_mut().filter(|rule| asked.fits(rule.operation, &rule.pattern)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if fault.is_none() && rule.times > 0 {
                rule.times -= 1;
                fault = Some(rule.fault.clone());
            }
        }
        fault
    }
}
