//! Regular expressions: Go's syntax, matched by the crate `regex`.
//!
//! Prometheus compiles `PATTERN` as `^(?s:PATTERN)$`: it matches whole values, and `.` matches line ends. Both
//! engines are of RE2's kind, in time linear in the value, and find the same; their *syntax* differs. So a pattern
//! is read by Go's rules and written anew:
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
//! In a value that is no UTF-8, each byte that is out of place counts as one character, which `.` and negated classes
//! match and no literal does.
//!
//! Checked: the compiled program's size against [`crate::limits::REGEX_BYTES`]; repetition counts up to 1000, as Go.
//! Defined in Go's `regexp/syntax` and Prometheus' `model/labels/regexp.go`.

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};

use super::error::SelectorError;
use crate::limits;

/// What means something else than itself, `|` aside.
const METACHARACTERS: &str = "\\.+*?()[]{}^$";
const MOST_REPETITIONS: u32 = 1000;

/// A regular expression over whole label values.
#[derive(Debug, Clone)]
pub(super) enum ValueRegex {
    /// `a|b\.c|d`: these values and no others, sorted.
    Literals(Vec<Vec<u8>>),
    /// `.*`
    Anything,
    /// `.+`
    Something,
    /// All others.
    Pattern {
        /// What every value begins with that matches.
        prefix: String,
        regex: Regex,
    },
}

impl ValueRegex {
    pub(super) fn new(pattern: &[u8]) -> Result<Self, SelectorError> {
        if !pattern.iter().any(|byte| METACHARACTERS.contains(char::from(*byte))) {
            // Nothing to translate, so that it may be anything but UTF-8.
            return Ok(Self::listed(pattern.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect()));
        }
        match pattern {
            b".*" => return Ok(Self::Anything),
            b".+" => return Ok(Self::Something),
            _ => {}
        }
        let pattern = std::str::from_utf8(pattern)
            .map_err(|error| SelectorError::regex(error.valid_up_to(), "invalid UTF-8"))?;
        let Translated { text, literals } = Translator::new(pattern).translate()?;
        if let Some(literals) = literals {
            return Ok(Self::listed(literals.into_iter().map(String::into_bytes).collect()));
        }
        let regex = RegexBuilder::new(&format!("^(?s:{text})$"))
            .size_limit(limits::REGEX_BYTES)
            .dfa_size_limit(limits::REGEX_BYTES)
            .build()
            .map_err(|error| SelectorError::regex(0, refusal(&error)))?;
        Ok(Self::Pattern { prefix: literal_prefix(pattern), regex })
    }

    fn listed(mut literals: Vec<Vec<u8>>) -> Self {
        literals.sort_unstable();
        literals.dedup();
        Self::Literals(literals)
    }

    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        match self {
            Self::Literals(literals) => {
                literals.binary_search_by(|literal| literal.as_slice().cmp(value)).is_ok()
            }
            Self::Anything => true,
            Self::Something => !value.is_empty(),
            Self::Pattern { regex, .. } if std::str::from_utf8(value).is_ok() => regex.is_match(value),
            Self::Pattern { regex, .. } => regex.is_match(as_go_reads(value).as_bytes()),
        }
    }

    /// The values that match, when the pattern lists them.
    pub(super) fn literals(&self) -> Option<&[Vec<u8>]> {
        match self {
            Self::Literals(literals) => Some(literals),
            _ => None,
        }
    }

    /// What every value begins with that matches; may be empty.
    pub(super) fn prefix(&self) -> &str {
        match self {
            Self::Pattern { prefix, .. } => prefix,
            _ => "",
        }
    }
}

/// The last line of the parser's message, which says what is wrong; those above draw the translated pattern.
fn refusal(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Stands for a byte that is no part of a character. No character itself, so that patterns do not name it.
const BYTE_OUT_OF_PLACE: char = char::MAX;

/// Each byte that is no part of a character becomes one [`BYTE_OUT_OF_PLACE`].
fn as_go_reads(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| BYTE_OUT_OF_PLACE));
    }
    text
}

/// The literal text that `pattern` begins with, if that is easily seen.
fn literal_prefix(pattern: &str) -> String {
    // An alternative anywhere, or a flag, may mean that the text is not all there is.
    if pattern.contains('|') || pattern.contains("(?") {
        return String::new();
    }
    let len = pattern.find(|character| METACHARACTERS.contains(character)).unwrap_or(pattern.len());
    let (prefix, rest) = pattern.split_at_checked(len).unwrap_or_default();
    let mut prefix = prefix.to_owned();
    if rest.starts_with(['*', '?', '{']) {
        prefix.pop(); // May occur no time.
    }
    prefix
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

/// A pattern in the syntax of the crate `regex`, and the values it lists if it does nothing else.
struct Translated {
    text: String,
    literals: Option<Vec<String>>,
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_match(pattern: &str, value: &str) -> bool {
        match ValueRegex::new(pattern.as_bytes()) {
            Ok(regex) => regex.is_match(value.as_bytes()),
            Err(error) => panic!("{pattern}: {error}"),
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        // Pattern, a value that matches, one that does not.
        let cases = [
            ("a|b", "b", "ab"),
            ("a|", "", "b"),
            ("(a|b)c", "bc", "a"),
            ("^a$", "a", "ab"),
            (".", "\n", ""),
            (r"\d+", "12", "١"),
            (r"\w", "_", "é"),
            (r"\W", "é", "a"),
            (r"\s", "\t", "\u{b}"),
            (r"\S", "\u{b}", " "),
            (r".*\bé", "aé", " é"),
            (r"a\z", "a", "a\n"),
            (r"\Q.*\E+", ".**", ".*x"),
            (r"\Qa.b", "a.b", "axb"),
            (r"\101\60\x41\x{1F600}", "A0A😀", "A"),
            (r"\_\-\<\>\ ", "_-<> ", ""),
            ("a{", "a{", "a"),
            ("a{,2}", "a{,2}", "aa"),
            ("a{01}", "a{01}", "a"),
            ("a{2,3}", "aaa", "a"),
            ("a{2}", "aa", "a"),
            ("(?:a{2}){2,}?", "aaaa", "aa"),
            ("{a}", "{a}", "a"),
            ("[]a]+", "]a", "b"),
            ("[^]a]", "b", "]"),
            ("[a[b]", "[", "a[b]"),
            ("[a-]", "-", "b"),
            ("[-a]", "-", "b"),
            ("[a&&b]", "&", "c"),
            ("[+--b]", ",", "/"),
            ("[a~~b]", "~", "c"),
            (r"[\d\-é]", "é", "١"),
            (r"[^\D]", "7", "a"),
            (r"[[:^digit:]x]", "a", "7"),
            ("[[:alpha:]_]+", "a_Z", "é"),
            ("[[:alpha]+", "[:alpha", "]"),
            (r"[\]]", "]", "["),
            (r"[\x{10}-\x{20}\n]", " ", "!"),
            (r"[\x{D000}-\x{DFFF}]", "\u{d7ff}", "\u{e000}"),
            (r"[\x{D900}a]", "a", "b"),
            (r"\p{Greek}\pL", "αé", "aa"),
            (r"\P{Greek}\p{^Greek}[\PL]", "ab1", "αb1"),
            ("(?i)straße", "STRAßE", "strasse"),
            ("(?i:a)b", "Ab", "AB"),
            ("(?is-U)a.", "A\n", "b"),
            ("(?-s)a.", "ab", "a\n"),
            ("(?m)a$\n^b", "a\nb", "ab"),
            ("(?P<x>a)(?<y>b)", "ab", "a"),
            ("(?)a(?:)", "a", ""),
            ("()|a", "", "b"),
            ("(?U)a+?", "aa", ""),
            ("#a b", "#a b", "ab"),
            ("é?", "", "e"),
            (r"10\.0\..*", "10.0.7", "10x0.7"),
            (r"\x{D800}|a", "a", "b"),
        ];
        for (pattern, yes, no) in cases {
            assert!(is_match(pattern, yes), "{pattern} does not match {yes:?}");
            assert!(!is_match(pattern, no), "{pattern} matches {no:?}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_with_its_place() {
        let cases = [
            ("a**", 2, "repetition of a repetition"),
            ("a*+", 2, "repetition of a repetition"),
            ("a+?+", 3, "repetition of a repetition"),
            ("a{2}{3}", 4, "repetition of a repetition"),
            ("*a", 0, "nothing to repeat"),
            ("(+)", 1, "nothing to repeat"),
            ("a|?", 2, "nothing to repeat"),
            ("a{1001}", 1, "repetition counts"),
            ("a{3,2}", 1, "repetition counts"),
            ("a)(b", 1, "not open"),
            ("x(a", 1, "not closed"),
            ("x[a", 1, "not closed"),
            ("[]", 0, "not closed"),
            ("[b-a]", 1, "range ends"),
            ("[a--b]", 1, "range ends"),
            ("[[:nope:]]", 1, "no name"),
            (r"[\b]", 1, "no escape"),
            (r"a\", 1, "at the end"),
            (r"\C", 0, "no escape"),
            (r"\Z", 0, "no escape"),
            (r"\E", 0, "no escape"),
            (r"\x4", 0, "no escape"),
            (r"\x{110000}", 0, "no escape"),
            (r"\x{}", 0, "no escape"),
            (r"(a)\1", 3, "back references"),
            (r"\8", 0, "no escape"),
            (r"\é", 0, "no escape"),
            ("(?=a)", 0, "lookaround"),
            ("a(?!b)", 1, "lookaround"),
            ("(?<=a)b", 0, "lookbehind"),
            ("(?x)a", 0, "flags"),
            ("(?-)a", 0, "flags"),
            ("(?i", 0, "flags"),
            ("(?>a)", 0, "flags"),
            (r"\p{", 0, "Unicode class"),
            (r"\p{No such}", 0, "Unicode class"),
        ];
        for (pattern, position, message) in cases {
            let error = ValueRegex::new(pattern.as_bytes()).unwrap_err();
            assert_eq!(error.position, position, "{pattern}: {error}");
            assert!(error.to_string().contains(message), "{pattern}: {error}");
        }
        assert!(ValueRegex::new(br"\p{NoSuch}").unwrap_err().to_string().contains("Unicode"));
        assert!(ValueRegex::new(b"((a{1000}){1000}){1000}").unwrap_err().to_string().contains("size"));
        assert!(ValueRegex::new(b"a.\xff").unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn value_that_is_no_utf8_is_matched_byte_by_byte() {
        let matches =
            |pattern: &str, value: &[u8]| ValueRegex::new(pattern.as_bytes()).unwrap().is_match(value);
        assert!(matches("a.", b"a\xff"));
        assert!(matches("a..", b"a\xe2\x82"));
        assert!(!matches("a.", b"a\xe2\x82"));
        assert!(matches("[^b]+", b"\xff\xfe"));
        assert!(!matches(r"\x{fffd}.?", b"\xff"));
        assert!(ValueRegex::new(b"\xff|a").unwrap().is_match(b"\xff"));
    }

    #[test]
    fn lists_and_prefixes_are_seen() {
        let regex = |pattern: &str| ValueRegex::new(pattern.as_bytes()).unwrap();
        assert_eq!(regex("b|a|b").literals().unwrap(), [b"a", b"b"]);
        assert_eq!(regex(r"z\.1|\Qa|b\E|").literals().unwrap(), [&b""[..], b"a|b", b"z.1"]);
        for pattern in ["a.b", "a|b?", "(a)", "a$", "(?i)a", "a{2}", "[a]", r"a\b", r"\x{D800}"] {
            assert_eq!(regex(pattern).literals(), None, "{pattern}");
        }
        for (pattern, prefix) in [
            ("node_.*", "node_"),
            ("abc*", "ab"),
            ("abc+", "abc"),
            ("é?x", ""),
            ("ab{0}", "a"),
            ("ab(c)", "ab"),
            ("a|b.", ""),
            ("ab(c|d)", ""),
            ("a(?i)b", ""),
            ("^ab", ""),
            (r"ab\.c+", "ab"),
        ] {
            assert_eq!(regex(pattern).prefix(), prefix, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics_and_what_is_accepted_compiles(pattern in r"[a-c\[\](){}\\^$.|*+?,:<>=!~&PQEpdwsxz0-3é -]{0,20}") {
            if let Err(error) = ValueRegex::new(pattern.as_bytes()) {
                prop_assert!(error.position <= pattern.len());
                prop_assert!(!error.to_string().contains("parse error"), "{}", error);
            }
        }

        #[test]
        fn quoted_text_matches_itself_only(text: String, other: String) {
            if !text.contains("\\E") && !text.ends_with('\\') {
                let pattern = format!(r"\Q{text}\E");
                prop_assert!(is_match(&pattern, &text));
                prop_assert_eq!(is_match(&pattern, &other), text == other);
            }
        }
    }
}
