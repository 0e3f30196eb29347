//! What a pattern means to Go, it means here: values that match and values that do not, as Go's engine answers.

use proptest::prelude::*;

use super::super::regex::ValueRegex;

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
