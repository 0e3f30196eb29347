//! What is missing of the ranges that somebody wants, as requests.
//!
//! ```text
//! wanted      ▓▓▓▓▓▓▓▓      ▓▓▓▓            ▓▓▓▓▓▓▓▓▓▓▓▓▓▓
//! there           ████                 █
//! requests    ├──┤    ├──────────┤          ├──────┤├──────┤
//!                      a gap bridged, not over what is there; cut into equal parts
//! ```

use std::ops::Range;

/// Sorted, empty ones left out, joined where they touch or overlap.
pub(super) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    ranges
}

/// What of `wanted` is not `there`, with gaps of up to `gap_bytes` bridged in which nothing is there. Both ascend, and
/// neither overlaps itself.
pub(super) fn missing(
    wanted: &[Range<u64>],
    there: impl IntoIterator<Item = Range<u64>>,
    gap_bytes: u64,
) -> Vec<Range<u64>> {
    let mut requests: Vec<Range<u64>> = Vec::new();
    // Nothing is bridged across what is there.
    let mut barrier = 0;
    let mut push = |range: Range<u64>, barrier: u64| match requests.last_mut() {
        Some(last) if last.end >= barrier && range.start - last.end <= gap_bytes => last.end = range.end,
        _ => requests.push(range),
    };
    let mut there = there.into_iter().filter(|range| !range.is_empty()).peekable();
    for range in wanted {
        let mut at = range.start;
        while at < range.end {
            while let Some(before) = there.next_if(|held| held.end <= at) {
                barrier = before.end;
            }
            match there.peek() {
                Some(held) if held.start < range.end => {
                    if at < held.start {
                        push(at..held.start, barrier);
                    }
                    at = held.end;
                }
                _ => {
                    push(at..range.end, barrier);
                    at = range.end;
                }
            }
        }
    }
    requests
}

/// The same ranges in parts of at most `most_bytes`, those of one range about equal.
pub(super) fn cut(ranges: Vec<Range<u64>>, most_bytes: u64) -> Vec<Range<u64>> {
    let mut parts = Vec::with_capacity(ranges.len());
    for range in ranges {
        let len = range.end - range.start;
        let part = len.div_ceil(len.div_ceil(most_bytes.max(1)).max(1)).max(1);
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at.saturating_add(part));
            parts.push(at..end);
            at = end;
        }
    }
    parts
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_that_touch_are_joined_and_empty_ones_are_left_out() {
        assert_eq!(joined(vec![5..7, 0..3, 9..9, 3..5, 6..6, 8..10, 9..12]), [0..7, 8..12]);
        assert!(joined(vec![4..4]).is_empty());
    }

    #[test]
    fn gaps_are_bridged_unless_something_is_there() {
        assert_eq!(missing(&[0..4, 6..8], [], 2), [0..8]);
        assert_eq!(missing(&[0..4, 7..8], [], 2), [0..4, 7..8]);
        assert_eq!(missing(&[0..4, 6..8], [4..5, 5..6], 2), [0..4, 6..8]);
        assert_eq!(missing(&[0..10], [2..4], 9), [0..2, 4..10]);
        assert_eq!(missing(&[0..10], [0..4, 4..10], 9), []);
        assert_eq!(missing(&[5..10], [0..7, 9..20], 9), [7..9]);
    }

    #[test]
    fn parts_are_about_equal_and_none_is_too_large() {
        assert_eq!(cut(vec![0..10, 20..21], 4), [0..4, 4..8, 8..10, 20..21]);
        assert_eq!(cut(vec![0..5], 4), [0..3, 3..5]);
        assert_eq!(cut(vec![0..3], 0), [0..1, 1..2, 2..3]);
    }

    /// Ranges that ascend and do not overlap, by gaps and lengths.
    fn ascending() -> impl Strategy<Value = Vec<Range<u64>>> {
        prop::collection::vec((0u64..9, 1u64..9), 0..12).prop_map(|pairs| {
            let mut at = 0;
            let mut range = |(gap, len)| {
                at += gap + len;
                at - len..at
            };
            pairs.into_iter().map(&mut range).collect()
        })
    }

    proptest! {
        #[test]
        fn requests_bring_all_that_is_missing_and_nothing_that_is_there(
            wanted in ascending(), there in ascending(), gap_bytes in 0u64..6, most_bytes in 1u64..9
        ) {
            let wanted = joined(wanted);
            let requests = cut(missing(&wanted, there.clone(), gap_bytes), most_bytes);
            let is_in = |ranges: &[Range<u64>], at: u64| ranges.iter().any(|range| range.contains(&at));
            for at in 0..220 {
                let brought = requests.iter().filter(|range| range.contains(&at)).count();
                prop_assert!(brought <= 1);
                if is_in(&wanted, at) || is_in(&there, at) {
                    prop_assert_eq!(brought == 1, !is_in(&there, at), "{}", at);
                }
            }
            prop_assert!(requests.iter().all(|range| range.end - range.start <= most_bytes));
        }
    }
}
