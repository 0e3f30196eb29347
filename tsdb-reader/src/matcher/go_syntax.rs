//! Go's syntax of regular expressions, written anew in that of the crate `regex`.
//!
//! Both engines are of RE2's kind and find the same; their *syntax* differs:
//!
//! | pattern | Go | crate `regex`, if it were passed on as it is |
//! |---|---|---|
//! | `\d \w \s \b` | ASCII | Unicode |
//! | `\Q…\E`, `\101` | literal text, octal | error |
//! | `a{`, `a{,2}` | literal brace | error, repetition |
//! | `a**`, `a*+` | error | repetition of a repetition |
//! | `[a[b]`, `[a&&b]`, `[!--b]` | single characters | nested classes, set operations |
//! | `\<`, `\>`, `\b{start}` | literal, `\b` and literal | word boundaries |
//! | `(?x)`, `(?u)`, `(?R)` | error | flags |
//! | `(?P<n>…)` | group | group; written as one without a name, for nothing is captured |
//!
//! Both refuse lookaround, back references, possessive repetition, `\C` and `\Z`. Names of Unicode classes are those
//! of `regex`, which knows more of them than Go. Flags between an atom and its repetition, `a(?i)*`, are refused.
//!
//! Checked: that groups and classes are closed; repetition counts up to 1000, as in Go.
//! Defined in Go's `regexp/syntax`.

use std::fmt::Write as _;

use super::error::SelectorError;

const MOST_REPETITIONS: u32 = 1000;

/// A pattern in the syntax of the crate `regex`, and the values it lists if it does nothing else.
pub(super) struct Translated {
    pub(super) text: String,
    pub(super) literals: Option<Vec<String>>,
}

/// Reads `pattern` by Go's rules.
pub(super) fn translate(pattern: &str) -> Result<Translated, SelectorError> {
    Translator::new(pattern).translate()
}

/// Writes a pattern of Go's syntax in that of the crate `regex`.
struct Translator<'a> {
    pattern: &'a str,
    /// Bytes read; always between two characters.
    at: usize,
    out: String,
    /// The values the pattern lists, as long as it does nothing else.
    literals: Option<Vec<String>>,
    /// Where the groups begin that are open.
    open: Vec<usize>,
    last: Last,
}

/// What stands before the place a repetition may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing to repeat: the start, `(`, `|`, a flag.
    Nothing,
    Atom,
    Repetition,
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str) -> Self {
        Self {
            pattern,
            at: 0,
            out: String::new(),
            literals: Some(vec![String::new()]),
            open: Vec::new(),
            last: Last::Nothing,
        }
    }

    fn translate(mut self) -> Result<Translated, SelectorError> {
        while let Some(character) = self.peek() {
            let start = self.at;
            self.at += character.len_utf8();
            match character {
                '(' => self.group(start)?,
                ')' => {
                    if self.open.pop().is_none() {
                        return Err(SelectorError::regex(start, "group is closed but not open"));
                    }
                    self.atom(")");
                }
                '|' => {
                    if let Some(literals) = &mut self.literals {
                        literals.push(String::new());
                    }
                    self.out.push('|');
                    self.last = Last::Nothing;
                }
                '*' | '+' | '?' => {
                    self.out.push(character);
                    self.repetition(start)?;
                }
                '{' => match self.count(start)? {
                    Some(count) => {
                        self.out.push_str(&count);
                        self.repetition(start)?;
                    }
                    None => self.literal(u32::from('{')),
                },
                '[' => self.class(start)?,
                '.' | '^' | '$' => self.atom(character.encode_utf8(&mut [0; 4])),
                '\\' => self.escape(start)?,
                _ => self.literal(character.into()),
            }
        }
        match self.open.last() {
            Some(start) => Err(SelectorError::regex(*start, "group is not closed")),
            None => Ok(Translated { text: self.out, literals: self.literals }),
        }
    }

    fn atom(&mut self, written: &str) {
        self.literals = None;
        self.out.push_str(written);
        self.last = Last::Atom;
    }

    fn literal(&mut self, code: u32) {
        match (char::from_u32(code), self.literals.as_mut().and_then(|literals| literals.last_mut())) {
            (Some(character), Some(literal)) => literal.push(character),
            _ => self.literals = None,
        }
        write_character(&mut self.out, code, false);
        self.last = Last::Atom;
    }

    /// What follows `(`, which stands at `start`.
    fn group(&mut self, start: usize) -> Result<(), SelectorError> {
        (self.last, self.literals) = (Last::Nothing, None);
        if !self.eat("?") {
            self.open.push(start);
            self.out.push_str("(?:");
            return Ok(());
        }
        if self.eat("P<") || self.eat("<") {
            let rest = self.rest();
            let name = rest.split_once('>').map(|(name, _)| name).filter(|name| is_word(name));
            let Some(name) = name else {
                return Err(SelectorError::regex(
                    start,
                    "no name of a group, and lookbehind is not supported",
                ));
            };
            self.at += name.len() + 1;
            self.open.push(start);
            self.out.push_str("(?:");
            return Ok(());
        }
        self.flags(start)
    }

    /// What follows `(?`: `i`, `m`, `s`, `U`, some of them after a `-`, then `:` or `)`.
    fn flags(&mut self, start: usize) -> Result<(), SelectorError> {
        let mut flags = String::new();
        let mut minus_is_last = false;
        loop {
            let character = self.peek().unwrap_or_default();
            self.at += character.len_utf8().min(self.rest().len());
            match character {
                'i' | 'm' | 's' | 'U' => {
                    // Given twice is fine in Go.
                    if !flags.contains(character) {
                        flags.push(character);
                    }
                    minus_is_last = false;
                }
                '-' if !flags.contains('-') => {
                    flags.push('-');
                    minus_is_last = true;
                }
                ':' if !minus_is_last => {
                    self.open.push(start);
                    let _ = write!(self.out, "(?{flags}:");
                    return Ok(());
                }
                ')' if !minus_is_last => {
                    if !flags.is_empty() {
                        let _ = write!(self.out, "(?{flags})");
                    }
                    return Ok(());
                }
                _ => {
                    let message =
                        "no group of Go's syntax: flags are i, m, s, U; lookaround is not supported";
                    return Err(SelectorError::regex(start, message));
                }
            }
        }
    }

    /// What follows a repetition, which begins at `start`.
    fn repetition(&mut self, start: usize) -> Result<(), SelectorError> {
        match self.last {
            Last::Nothing => return Err(SelectorError::regex(start, "nothing to repeat")),
            Last::Repetition => {
                let message = "repetition of a repetition; put the first one in a group";
                return Err(SelectorError::regex(start, message));
            }
            Last::Atom => {}
        }
        if self.eat("?") {
            self.out.push('?');
        }
        (self.last, self.literals) = (Last::Repetition, None);
        Ok(())
    }

    /// The rest of `{n}`, `{n,}` or `{n,m}`, whose brace at `start` was read. Nothing when the brace is literal.
    fn count(&mut self, start: usize) -> Result<Option<String>, SelectorError> {
        let Some((inside, _)) = self.rest().split_once('}') else {
            return Ok(None);
        };
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let number = |digits: &str| {
            let fine = !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.len() == 1 || !digits.starts_with('0'));
            fine.then(|| digits.parse::<u32>().unwrap_or(u32::MAX))
        };
        let Some(least) = number(least) else {
            return Ok(None);
        };
        let most = match most {
            "" => None,
            digits => match number(digits) {
                Some(most) => Some(most),
                None => return Ok(None),
            },
        };
        if least > MOST_REPETITIONS || most.is_some_and(|most| most > MOST_REPETITIONS || most < least) {
            return Err(SelectorError::regex(
                start,
                "repetition counts go up to 1000, the smaller one first",
            ));
        }
        self.at += inside.len() + 1;
        Ok(Some(format!("{{{inside}}}")))
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self, start: usize) -> Result<(), SelectorError> {
        let Some(character) = self.peek() else {
            return Err(SelectorError::regex(start, "backslash at the end"));
        };
        let assertion = match character {
            'A' => Some("\\A"),
            'z' => Some("\\z"),
            'b' => Some("(?-u:\\b)"),
            'B' => Some("(?-u:\\B)"),
            _ => None,
        };
        if let Some(assertion) = assertion {
            self.at += 1;
            self.atom(assertion);
        } else if character == 'Q' {
            self.at += 1;
            let (quoted, skipped) = match self.rest().split_once("\\E") {
                Some((quoted, _)) => (quoted, quoted.len() + 2),
                None => (self.rest(), self.rest().len()),
            };
            self.at += skipped;
            for character in quoted.chars() {
                self.literal(character.into());
            }
        } else if let Some(class) = self.named_class(start)? {
            self.atom(&class);
        } else {
            let code = self.character_code(start)?;
            self.literal(code);
        }
        Ok(())
    }

    /// `\d`, `\pL`, `\p{Greek}`…, whose backslash at `start` was read.
    fn named_class(&mut self, start: usize) -> Result<Option<String>, SelectorError> {
        let perl = match self.peek() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => "[\\t\\n\\x0C\\r ]",
            Some('S') => "[^\\t\\n\\x0C\\r ]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some('p' | 'P') => return self.unicode_class(start).map(Some),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(perl.to_owned()))
    }

    fn unicode_class(&mut self, start: usize) -> Result<String, SelectorError> {
        let unknown = || SelectorError::regex(start, "no name of a Unicode class");
        let mut negated = self.eat("P");
        if !negated {
            self.eat("p");
        }
        let first = self.peek().ok_or_else(unknown)?;
        let mut name = self.rest().get(..first.len_utf8()).unwrap_or_default();
        self.at += name.len();
        if first == '{' {
            name = self.rest().split_once('}').ok_or_else(unknown)?.0;
            self.at += name.len() + 1;
            if let Some(rest) = name.strip_prefix('^') {
                (name, negated) = (rest, !negated);
            }
        }
        if !is_word(name) {
            return Err(unknown());
        }
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// The character that an escape sequence means, whose backslash at `start` was read.
    fn character_code(&mut self, start: usize) -> Result<u32, SelectorError> {
        let wrong = || SelectorError::regex(start, "no escape sequence of Go's syntax");
        let character = self.peek().ok_or_else(wrong)?;
        self.at += character.len_utf8();
        let code = match character {
            'a' => 0x07,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            '0'..='7' => {
                let digits =
                    self.rest().bytes().take(2).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                if character != '0' && digits == 0 {
                    let message = "back references are not supported";
                    return Err(SelectorError::regex(start, message));
                }
                let octal = self.pattern.get(self.at - 1..self.at + digits).ok_or_else(wrong)?;
                self.at += digits;
                u32::from_str_radix(octal, 8).map_err(|_| wrong())?
            }
            'x' => {
                let braced = self.rest().strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let (digits, read) = match braced {
                    Some((digits, _)) => (digits, digits.len() + 2),
                    None => (self.rest().get(..2).ok_or_else(wrong)?, 2),
                };
                if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(wrong());
                }
                self.at += read;
                u32::from_str_radix(digits, 16).map_err(|_| wrong())?
            }
            punctuation if punctuation.is_ascii() && !punctuation.is_ascii_alphanumeric() => {
                punctuation.into()
            }
            _ => return Err(wrong()),
        };
        if code > u32::from(char::MAX) { Err(wrong()) } else { Ok(code) }
    }

    /// A class, whose bracket at `start` was read.
    fn class(&mut self, start: usize) -> Result<(), SelectorError> {
        let unclosed = || SelectorError::regex(start, "class is not closed");
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let character = self.peek().ok_or_else(unclosed)?;
            if character == ']' && !first {
                self.at += 1;
                self.atom("]");
                return Ok(());
            }
            first = false;
            if let Some(name) = self.rest().strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
                self.posix_class(name.0)?;
                continue;
            }
            let item = self.at;
            if character == '\\' {
                self.at += 1;
                if let Some(class) = self.named_class(item)? {
                    self.out.push_str(&class);
                    continue;
                }
                self.at = item;
            }
            let low = self.class_character(start)?;
            let mut high = low;
            let mut following = self.rest().chars();
            if following.next() == Some('-') && following.next().is_some_and(|next| next != ']') {
                self.at += 1;
                high = self.class_character(start)?;
                if high < low {
                    return Err(SelectorError::regex(item, "range ends before it begins"));
                }
            }
            self.range(low, high);
        }
    }

    fn posix_class(&mut self, name: &str) -> Result<(), SelectorError> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(SelectorError::regex(self.at, "no name of a class"));
        }
        let _ = write!(self.out, "[:{name}:]");
        self.at += name.len() + 4;
        Ok(())
    }

    fn class_character(&mut self, class: usize) -> Result<u32, SelectorError> {
        let start = self.at;
        let character = self.peek().ok_or_else(|| SelectorError::regex(class, "class is not closed"))?;
        self.at += character.len_utf8();
        if character == '\\' { self.character_code(start) } else { Ok(character.into()) }
    }

    fn range(&mut self, low: u32, high: u32) {
        // Surrogates are no characters: a range that ends among them ends where they begin.
        let surrogate = |code: u32| char::from_u32(code).is_none();
        let low = if surrogate(low) { 0xe000 } else { low };
        let high = if surrogate(high) { 0xd7ff } else { high };
        if low > high {
            self.out.push_str("[^\\x00-\\x{10FFFF}]");
            return;
        }
        write_character(&mut self.out, low, true);
        if high > low {
            self.out.push('-');
            write_character(&mut self.out, high, true);
        }
    }

    fn eat(&mut self, text: &str) -> bool {
        let eaten = self.rest().starts_with(text);
        if eaten {
            self.at += text.len();
        }
        eaten
    }

    fn rest(&self) -> &'a str {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Writes one character so that it means itself; one that does not exist as what matches nothing.
fn write_character(out: &mut String, code: u32, in_class: bool) {
    match char::from_u32(code) {
        Some(character) if character.is_alphanumeric() => out.push(character),
        Some(_) => {
            let _ = write!(out, "\\x{{{code:X}}}");
        }
        None if in_class => {}
        None => out.push_str("[^\\x00-\\x{10FFFF}]"),
    }
}

#[cfg(test)]
mod tests;
