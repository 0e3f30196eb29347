//! What can be wrong with a selector.

/// What is wrong with a selector, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at position {position}")]
pub struct SelectorError {
    /// Bytes from the start of the selector.
    pub position: usize,
    /// What was found there.
    pub kind: SelectorErrorKind,
}

/// The ways in which a selector can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorErrorKind {
    /// Something else than the grammar asks for.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// The character, or `end of selector`.
        found: String,
        /// What the grammar allows there.
        expected: &'static str,
    },
    /// A string without its closing quote.
    #[error("string is not closed")]
    UnclosedString,
    /// A backslash followed by what is no escape sequence.
    #[error("no escape sequence of a string: {found}")]
    Escape {
        /// The sequence as far as it was read.
        found: String,
    },
    /// A regular expression with an error.
    #[error("regular expression: {message}")]
    Regex {
        /// What is wrong.
        message: String,
    },
    /// All matchers match the empty value.
    #[error(
        "selector matches every series that lacks its labels; add one matcher that needs a value, such as \
         __name__=~\".+\", or leave the selector out to take all series"
    )]
    NothingRequired,
}

impl SelectorError {
    pub(super) fn new(position: usize, kind: SelectorErrorKind) -> Self {
        Self { position, kind }
    }

    pub(super) fn regex(position: usize, message: impl Into<String>) -> Self {
        Self::new(position, SelectorErrorKind::Regex { message: message.into() })
    }

    /// The same error in a text where its own begins at `start`.
    pub(super) fn moved_by(mut self, start: usize) -> Self {
        self.position = self.position.saturating_add(start);
        self
    }
}
