//! Options of downsampling: which resolution a series has in a partition.
//!
//! ```text
//! age of the partition ──► tier ──► resolution ──┬── of all series
//! labels of the series ──► first rule that matches, if any: its own resolution, fewer aggregates, or no rows
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Aggregate;
use crate::resolution::Resolution;

/// Resolutions of downsampled blocks, in milliseconds.
const OF_BLOCKS: [i64; 2] = [300_000, 3_600_000];

/// Longest step that adds to an increase, unless said otherwise.
const LOOKBACK_MS: i64 = 3_600_000;

/// From some age on, partitions have this resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Age of the end of a partition, in milliseconds.
    pub min_age_ms: i64,
    /// Resolution from then on.
    pub resolution: Resolution,
}

/// What becomes of the series that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// No rows; counted.
    Drop,
    /// Rows of this resolution; that of the tier without one. Of windows these aggregates; all without any.
    Keep {
        /// Resolution whatever the age.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resolution: Option<Resolution>,
        /// Aggregates besides the count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregates: Option<BTreeSet<Aggregate>>,
    },
}

/// A rule for some series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Selector of the series.
    pub selector: String,
    /// What becomes of them.
    pub action: RuleAction,
}

/// How samples are aggregated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DownsampleOptions {
    /// Resolutions by age, ascending by age; raw where there is none.
    pub tiers: Vec<Tier>,
    /// Where the tier is raw, aggregates of downsampled blocks keep their resolution, and stay what they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub as_is: bool,
    /// Rules; the first that matches a series decides.
    pub rules: Vec<Rule>,
    /// Longest step that adds to an increase.
    pub lookback_ms: i64,
    /// Selectors of series that are counters whatever their names.
    pub counters: Vec<String>,
    /// The time that ages are counted from, in milliseconds since the epoch; the end of the newest block without it.
    #[serde(skip)]
    pub now_ms: Option<i64>,
    /// Resolutions that an earlier plan has chosen for its units, by name.
    #[serde(skip)]
    pub planned: BTreeMap<String, Resolution>,
}

impl Default for DownsampleOptions {
    fn default() -> Self {
        Self {
            tiers: Vec::new(),
            as_is: false,
            rules: Vec::new(),
            lookback_ms: LOOKBACK_MS,
            counters: Vec::new(),
            now_ms: None,
            planned: BTreeMap::new(),
        }
    }
}

impl DownsampleOptions {
    /// One resolution for all partitions and series.
    pub fn at(resolution: Resolution) -> Self {
        Self { tiers: vec![Tier { min_age_ms: 0, resolution }], ..Self::default() }
    }

    /// True when raw samples are written as they would be without any of these options.
    pub(crate) fn shapes_nothing(&self) -> bool {
        Self { now_ms: None, planned: BTreeMap::new(), ..self.clone() } == Self::default()
    }

    /// Raw samples as they are, and aggregates of downsampled blocks as they are.
    pub fn as_is() -> Self {
        Self { as_is: true, ..Self::default() }
    }

    /// Resolutions of downsampled blocks that keep theirs.
    pub fn kept(&self) -> impl Iterator<Item = Resolution> {
        OF_BLOCKS.into_iter().filter(|_| self.as_is).filter_map(Resolution::windows)
    }

    /// The resolution of a partition whose end is `age_ms` old; younger ones than the first tier are raw.
    pub fn resolution_at(&self, age_ms: i64) -> Resolution {
        let tier = self.tiers.iter().rev().find(|tier| tier.min_age_ms <= age_ms);
        tier.map_or(Resolution::RAW, |tier| tier.resolution)
    }

    /// Whether any series of a partition with this resolution may become windows.
    pub fn makes_windows(&self, resolution: Resolution) -> bool {
        let own = |rule: &Rule| matches!(rule.action, RuleAction::Keep { resolution: Some(own), .. } if !own.is_raw());
        !resolution.is_raw() || self.as_is || self.rules.iter().any(own)
    }

    /// Every resolution that rows may have.
    pub fn resolutions(&self) -> BTreeSet<Resolution> {
        let of_rules = self.rules.iter().filter_map(|rule| match rule.action {
            RuleAction::Keep { resolution, .. } => resolution,
            RuleAction::Drop => None,
        });
        let of_tiers = self.tiers.iter().map(|tier| tier.resolution);
        let is_raw_somewhere = self.tiers.first().is_none_or(|tier| tier.min_age_ms > 0);
        of_rules
            .chain(of_tiers)
            .chain(self.kept())
            .chain(is_raw_somewhere.then_some(Resolution::RAW))
            .collect()
    }
}
