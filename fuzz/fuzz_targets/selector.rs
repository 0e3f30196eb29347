//! A series selector: what parses prints as a selector that parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb_reader::matcher::parse_matchers;

fuzz_target!(|selector: &str| {
    let Ok(matchers) = parse_matchers(selector) else { return };
    for matcher in &matchers {
        assert_eq!(matcher.matches(b""), matcher.matches_empty());
        let _any_outcome = matcher.matches(selector.as_bytes());
    }
    let printed: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    let printed = format!("{{{}}}", printed.join(", "));
    let again = parse_matchers(&printed).expect("what was printed parses");
    assert_eq!(again.len(), matchers.len());
});
