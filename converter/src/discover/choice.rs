//! Choice: which blocks of a SOURCE are asked for, and from which time on they count.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use tsdb_reader::matcher::Matcher;
use tsdb_reader::{BlockMeta, Ulid};

use crate::relabel::TENANT;
use crate::time::TimeBounds;

/// Blocks marked for deletion are read until their mark is older than this, unless said otherwise.
const DELETION_MARKS_DELAY: Duration = Duration::from_secs(24 * 3600);

/// Blocks of a bucket are read once they are older than this, unless said otherwise.
const CONSISTENCY_DELAY: Duration = Duration::from_secs(30 * 60);

/// Who makes blocks of blocks that are older than the delay: what `meta.json` says of them.
const MAKERS_OF_RESULTS: [&str; 4] = ["compactor", "compactor.repair", "bucket.repair", "bucket.rewrite"];

/// Which blocks of a SOURCE are read.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Tenants, by the names of their folders; all without any.
    pub tenants: BTreeSet<String>,
    /// The label that a tenant becomes.
    pub tenant_label: String,
    /// Selectors of external labels, ORed; all blocks without any.
    pub block_labels: Vec<Vec<Matcher>>,
    /// Blocks that are marked for deletion are read until their mark is older than this.
    pub deletion_marks_delay: Duration,
    /// Blocks are read once they are older than this. Without it: 30 minutes for those that someone uploaded to a bucket,
    /// as the Thanos part of `meta.json` tells; others are whole as soon as they have their name.
    pub consistency_delay: Option<Duration>,
    /// Blocks that hold nothing of this time are not opened.
    pub asked: TimeBounds,
    /// The time that ages are counted from; the clock's without it.
    pub now: Option<SystemTime>,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            tenants: BTreeSet::new(),
            tenant_label: TENANT.to_owned(),
            block_labels: Vec::new(),
            deletion_marks_delay: DELETION_MARKS_DELAY,
            consistency_delay: None,
            asked: TimeBounds::ALL,
            now: None,
        }
    }
}

impl Choice {
    /// Time since `then`; none when that is still to come.
    pub(super) fn since(&self, then: SystemTime) -> Option<Duration> {
        self.now.unwrap_or_else(SystemTime::now).duration_since(then).ok()
    }

    /// Time since the block of this name was begun.
    pub(super) fn age(&self, ulid: Ulid) -> Option<Duration> {
        self.since(SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ulid.timestamp_ms()))?)
    }

    /// True for a block whose external labels are asked for.
    pub(super) fn wants_labels(&self, meta: &BlockMeta) -> bool {
        let value = |matcher: &Matcher| {
            let found = meta.external_labels().find(|(name, _)| name.as_bytes() == matcher.name());
            found.map_or("", |(_, value)| value)
        };
        let meets = |matchers: &Vec<Matcher>| matchers.iter().all(|at| at.matches(value(at).as_bytes()));
        self.block_labels.is_empty() || self.block_labels.iter().any(meets)
    }

    /// True for a block that may hold something of the time asked for. One whose times are reversed may hold anything.
    pub(super) fn wants_time(&self, meta: &BlockMeta) -> bool {
        let last_ms = meta.max_time_ms.saturating_sub(1);
        last_ms < meta.min_time_ms || self.asked.overlaps(meta.min_time_ms, last_ms)
    }

    /// The delay that a block is too young for, if it is. A clock that is ahead by more than that says nothing.
    pub(super) fn too_fresh_for(&self, meta: &BlockMeta) -> Option<Duration> {
        let thanos = meta.thanos.as_ref();
        let delay = self.consistency_delay.or_else(|| thanos.map(|_| CONSISTENCY_DELAY))?;
        if thanos.is_some_and(|thanos| MAKERS_OF_RESULTS.contains(&thanos.source.as_str())) {
            return None;
        }
        let now = self.now.unwrap_or_else(SystemTime::now);
        let uploaded = thanos.and_then(|thanos| thanos.uploaded_at()?.parse::<jiff::Timestamp>().ok());
        let begun = || SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(meta.ulid.timestamp_ms()));
        let written = uploaded.map(SystemTime::from).or_else(begun)?;
        let apart = now.duration_since(written).unwrap_or_else(|ahead| ahead.duration());
        (apart < delay).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use tsdb_reader::matcher::parse_matchers;

    use super::*;

    const MADE: &str = "01KDVDNAZ8ETBQ9VYVEJS4NVPX";

    fn meta(thanos: &str) -> BlockMeta {
        let json = format!(r#"{{"ulid":"{MADE}","minTime":0,"maxTime":10,"version":1{thanos}}}"#);
        BlockMeta::parse(json.as_bytes()).unwrap()
    }

    fn after(ulid: &str, age_s: i64) -> SystemTime {
        let made =
            SystemTime::UNIX_EPOCH + Duration::from_millis(ulid.parse::<Ulid>().unwrap().timestamp_ms());
        let by = Duration::from_secs(age_s.unsigned_abs());
        if age_s < 0 { made - by } else { made + by }
    }

    #[test]
    fn a_block_of_a_bucket_is_read_when_it_is_older_than_the_delay() {
        let is_fresh = |thanos: &str, age_s: i64, consistency_delay: Option<u64>| {
            let consistency_delay = consistency_delay.map(Duration::from_secs);
            let choice = Choice { now: Some(after(MADE, age_s)), consistency_delay, ..Choice::default() };
            choice.too_fresh_for(&meta(thanos)).is_some()
        };
        let sidecar = r#","thanos":{"source":"sidecar"}"#;
        assert!(
            is_fresh(sidecar, 0, None) && is_fresh(sidecar, 1799, None) && !is_fresh(sidecar, 1800, None)
        );
        assert!(is_fresh(sidecar, 1800, Some(1801)) && !is_fresh(sidecar, 0, Some(0)));
        // A clock that is a little ahead, and one that is out of order.
        assert!(is_fresh(sidecar, -60, None) && !is_fresh(sidecar, -3600, None));
        // Made of older blocks.
        for source in MAKERS_OF_RESULTS {
            assert!(!is_fresh(&format!(r#","thanos":{{"source":"{source}"}}"#), 0, None), "{source}");
        }
        // Prometheus gives a block its name when it is whole.
        assert!(!is_fresh("", 0, None) && is_fresh("", 0, Some(60)));
        // Uploaded an hour after it was made.
        let late = r#","thanos":{"source":"sidecar","upload_time":"2026-01-01T01:00:00Z"}"#;
        let made_ms = MADE.parse::<Ulid>().unwrap().timestamp_ms();
        let age_s = i64::try_from(1_767_229_200 - made_ms / 1000).unwrap();
        assert!(is_fresh(late, age_s + 1000, None) && !is_fresh(late, age_s + 1801, None));
    }

    #[test]
    fn blocks_are_chosen_by_external_labels_and_time() {
        let of = |selectors: &[&str]| {
            let block_labels = selectors.iter().map(|at| parse_matchers(at).unwrap()).collect();
            let meta = meta(r#","thanos":{"labels":{"cluster":"eu","replica":"a"}}"#);
            Choice { block_labels, ..Choice::default() }.wants_labels(&meta)
        };
        assert!(of(&[]) && of(&[r#"{cluster="eu",replica=~"a|b"}"#]) && of(&[r#"{zone=""}"#]));
        assert!(!of(&[r#"{cluster="eu",replica="b"}"#]) && !of(&[r#"{zone="x"}"#]));
        assert!(of(&[r#"{cluster="us"}"#, r#"{replica="a"}"#]));
        let within = |min_ms, max_ms| {
            Choice { asked: TimeBounds { min_ms, max_ms }, ..Choice::default() }.wants_time(&meta(""))
        };
        assert!(within(0, 0) && within(9, 9) && within(-5, 0));
        assert!(!within(10, 20) && !within(-5, -1));
    }
}
