//! The labels pipeline: from a series' own labels to the labels of its rows.
//!
//! In this order: own labels → external labels override → (`--match` applies here) → replica labels removed → drop or
//! keep → add. The metric name is never touched: it decides the shard and comes first in the order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tsdb_reader::Labels;
use tsdb_reader::labels::METRIC_NAME;

/// What names of external labels begin with that are bookkeeping of Mimir and Cortex, not data: `__org_id__`,
/// `__ingester_id__`, `__compactor_shard_id__`, `__out_of_order__`, ….
const BOOKKEEPING: &str = "__";

/// The label that a tenant becomes, unless said otherwise.
pub const TENANT: &str = "tenant";

/// Labels that replicas are commonly told apart by.
const REPLICA_LABELS: [&str; 4] = ["__replica__", "prometheus_replica", "replica", "rule_replica"];

/// What the user asked to be done to labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelOptions {
    /// Labels that tell replicas of one series apart: they are removed, and the replicas merged. Left out when there are
    /// none, so that what was planned before they could be named stays what it is.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub replica: BTreeSet<String>,
    /// Labels to remove.
    pub drop: BTreeSet<String>,
    /// When not empty: the labels to keep, besides the metric name.
    pub keep: BTreeSet<String>,
    /// Labels to add; they replace one of the same name.
    pub add: BTreeMap<String, String>,
    /// The label that a tenant becomes; `tenant` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// Labels that may not be named in [`LabelOptions`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelOptionsError {
    /// The metric name cannot be changed.
    #[error("{flag} names __name__; the metric name stays as it is, leave it out")]
    MetricName {
        /// The flag.
        flag: &'static str,
    },
    /// Drop and keep exclude each other.
    #[error("--drop-labels and --keep-labels exclude each other; give one of them")]
    DropAndKeep,
    /// A tenant would be taken for bookkeeping.
    #[error("--tenant-label {name} begins with __, as labels do that are no data; choose another name")]
    Bookkeeping {
        /// As given.
        name: String,
    },
    /// A label has no name.
    #[error("{flag} names an empty label")]
    Empty {
        /// The flag.
        flag: &'static str,
    },
}

impl LabelOptions {
    /// The label that a tenant becomes.
    pub fn tenant_label(&self) -> &str {
        self.tenant.as_deref().unwrap_or(TENANT)
    }

    /// Refuses what cannot be done.
    pub fn check(&self) -> Result<(), LabelOptionsError> {
        if !self.drop.is_empty() && !self.keep.is_empty() {
            return Err(LabelOptionsError::DropAndKeep);
        }
        let metric_name = "__name__";
        if self.replica.contains(metric_name) {
            return Err(LabelOptionsError::MetricName { flag: "--replica-label" });
        }
        if self.drop.contains(metric_name) {
            return Err(LabelOptionsError::MetricName { flag: "--drop-labels" });
        }
        if self.add.contains_key(metric_name) {
            return Err(LabelOptionsError::MetricName { flag: "--add-label" });
        }
        if self.tenant_label().starts_with(BOOKKEEPING) {
            return Err(LabelOptionsError::Bookkeeping { name: self.tenant_label().to_owned() });
        }
        for (flag, empty) in [
            ("--replica-label", self.replica.contains("")),
            ("--drop-labels", self.drop.contains("")),
            ("--keep-labels", self.keep.contains("")),
            ("--add-label", self.add.contains_key("")),
            ("--tenant-label", self.tenant_label().is_empty()),
        ] {
            if empty {
                return Err(LabelOptionsError::Empty { flag });
            }
        }
        Ok(())
    }
}

/// External labels of a block as they go into its series: without bookkeeping, empty values and the metric name.
pub fn external_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels
        .iter()
        .filter(|(name, value)| !value.is_empty() && !name.starts_with(BOOKKEEPING))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The pipeline of one block.
#[derive(Debug, Clone)]
pub struct Relabel {
    external: BTreeMap<String, String>,
    options: LabelOptions,
}

impl Relabel {
    /// The pipeline for series of a block with these external labels.
    pub fn new(external: BTreeMap<String, String>, options: LabelOptions) -> Self {
        Self { external, options }
    }

    /// True when labels come out as they went in, and so in the same order.
    pub fn is_identity(&self) -> bool {
        self.external.is_empty() && self.options == LabelOptions::default()
    }

    /// External labels applied: what `--match` sees, and what makes two series the same.
    pub fn identify(&self, own: &Labels, identity: &mut Labels) {
        overlay(own, &self.external, identity);
    }

    /// Takes the replica labels out of what [`Relabel::identify`] gave, and returns them: they say which of the replicas
    /// a series is, the others which series.
    pub fn take_replica(&self, identity: &mut Labels) -> Labels {
        let is_replica = |name: &[u8]| names(&self.options.replica, name);
        if self.options.replica.is_empty() || !identity.iter().any(|(name, _)| is_replica(name)) {
            return Labels::new();
        }
        let (replica, others) = identity.iter().partition::<Vec<_>, _>(|&(name, _)| is_replica(name));
        let replica = replica.into_iter().collect();
        *identity = others.into_iter().collect();
        replica
    }

    /// Removes replica labels, drops, keeps and adds: from the labels that [`Relabel::identify`] gave to those of the
    /// rows.
    pub fn shape(&self, identity: &Labels, shaped: &mut Labels) {
        let mut kept = Labels::new();
        for (name, value) in identity.iter() {
            let is_metric_name = name == METRIC_NAME;
            let dropped = names(&self.options.drop, name) || names(&self.options.replica, name);
            let not_kept = !self.options.keep.is_empty() && !names(&self.options.keep, name);
            if is_metric_name || !(dropped || not_kept) {
                kept.push(name, value);
            }
        }
        overlay(&kept, &self.options.add, shaped);
    }

    /// The labels that all series of the block come out with.
    pub fn common_labels(&self) -> Labels {
        let (mut identity, mut shaped) = (Labels::new(), Labels::new());
        self.identify(&Labels::new(), &mut identity);
        self.shape(&identity, &mut shaped);
        shaped
    }

    /// The external label `name`, if the block has it.
    pub fn external(&self, name: &[u8]) -> Option<&[u8]> {
        let name = std::str::from_utf8(name).ok()?;
        self.external.get(name).map(String::as_bytes)
    }
}

/// The label that alone keeps the series of some of the blocks apart, where it is one that replicas are commonly told by.
pub fn replicas_apart<'a>(blocks: impl IntoIterator<Item = &'a Relabel>) -> Option<&'static str> {
    let mut seen: BTreeMap<BTreeMap<_, _>, BTreeMap<&str, _>> = BTreeMap::new();
    blocks.into_iter().find_map(|relabel| {
        let external = relabel.external.iter().map(|(name, value)| (name.as_str(), value));
        let (replica, others): (BTreeMap<_, _>, _) =
            external.partition(|(name, _)| REPLICA_LABELS.contains(name));
        let first = seen.entry(others).or_insert_with(|| replica.clone());
        REPLICA_LABELS.into_iter().find(|name| first.get(name) != replica.get(name))
    })
}

/// True when a label is one of `labels`.
fn names(labels: &BTreeSet<String>, name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| labels.contains(name))
}

/// `base` with the pairs of `over` added or replaced; both sorted by name, and so is the result. A pair of
/// `over` with an empty value removes the label: an empty label is no label.
fn overlay(base: &Labels, over: &BTreeMap<String, String>, result: &mut Labels) {
    result.clear();
    let mut over = over.iter().peekable();
    for (name, value) in base.iter() {
        while let Some((over_name, over_value)) = over.next_if(|(over_name, _)| over_name.as_bytes() < name) {
            push_value(result, over_name.as_bytes(), over_value.as_bytes());
        }
        match over.next_if(|(over_name, _)| over_name.as_bytes() == name) {
            Some((_, over_value)) => push_value(result, name, over_value.as_bytes()),
            None => push_value(result, name, value),
        }
    }
    for (over_name, over_value) in over {
        push_value(result, over_name.as_bytes(), over_value.as_bytes());
    }
}

fn push_value(result: &mut Labels, name: &[u8], value: &[u8]) {
    if !value.is_empty() {
        result.push(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn apply(relabel: &Relabel, own: &[(&str, &str)]) -> String {
        let (mut identity, mut shaped) = (Labels::new(), Labels::new());
        relabel.identify(&labels(own), &mut identity);
        relabel.shape(&identity, &mut shaped);
        assert!(shaped.is_sorted());
        shaped.to_string()
    }

    #[test]
    fn external_labels_override_and_added_ones_come_last() {
        let options = LabelOptions { add: map(&[("env", "prod"), ("job", "")]), ..LabelOptions::default() };
        let relabel = Relabel::new(map(&[("cluster", "c1"), ("A", "a")]), options);
        let own = [("__name__", "up"), ("cluster", "own"), ("job", "x")];
        assert_eq!(apply(&relabel, &own), r#"{A="a", __name__="up", cluster="c1", env="prod"}"#);
    }

    #[test]
    fn dropping_and_keeping_leave_the_metric_name() {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let own = [("__name__", "up"), ("instance", "i"), ("job", "x")];
        let drop = LabelOptions { drop: set(&["job"]), ..LabelOptions::default() };
        assert_eq!(apply(&Relabel::new(map(&[]), drop), &own), r#"{__name__="up", instance="i"}"#);
        let keep = LabelOptions { keep: set(&["job"]), ..LabelOptions::default() };
        assert_eq!(apply(&Relabel::new(map(&[]), keep), &own), r#"{__name__="up", job="x"}"#);
    }

    #[test]
    fn replica_labels_of_series_and_blocks_are_taken_out() {
        let options =
            LabelOptions { replica: ["replica", "pod"].map(str::to_owned).into(), ..LabelOptions::default() };
        let relabel = Relabel::new(map(&[("cluster", "c"), ("replica", "1")]), options);
        assert!(!relabel.is_identity());
        let own = [("__name__", "up"), ("job", "x"), ("pod", "p")];
        assert_eq!(apply(&relabel, &own), r#"{__name__="up", cluster="c", job="x"}"#);
        let mut identity = Labels::new();
        relabel.identify(&labels(&own), &mut identity);
        assert_eq!(relabel.take_replica(&mut identity).to_string(), r#"{pod="p", replica="1"}"#);
        assert_eq!(identity.to_string(), r#"{__name__="up", cluster="c", job="x"}"#);
        assert!(relabel.take_replica(&mut identity).is_empty());
    }

    #[test]
    fn blocks_that_differ_in_a_label_of_replicas_alone_are_noticed() {
        let block = |pairs: &[(&str, &str)]| Relabel::new(map(pairs), LabelOptions::default());
        let (a, b) = ([("c", "1"), ("rule_replica", "a")], [("c", "1"), ("rule_replica", "b")]);
        assert_eq!(replicas_apart(&[block(&a), block(&[]), block(&b)]), Some("rule_replica"));
        assert_eq!(replicas_apart(&[block(&a), block(&[("c", "1")])]), Some("rule_replica"));
        assert_eq!(replicas_apart(&[block(&a), block(&a), block(&[("rule_replica", "b")])]), None);
        assert_eq!(replicas_apart(&[block(&[("c", "1")]), block(&[("c", "2")])]), None);
    }

    #[test]
    fn options_without_replica_labels_are_written_as_before_there_were_any() {
        let json = serde_json::to_string(&LabelOptions::default()).unwrap();
        assert_eq!(json, r#"{"drop":[],"keep":[],"add":{}}"#);
    }

    #[test]
    fn bookkeeping_labels_of_a_block_are_no_data() {
        let external = map(&[
            ("__org_id__", "t"),
            ("__compactor_shard_id__", "1_of_4"),
            ("__out_of_order__", "true"),
            ("cluster", "c"),
            ("e", ""),
        ]);
        assert_eq!(external_labels(&external), map(&[("cluster", "c")]));
    }

    #[test]
    fn the_metric_name_cannot_be_dropped_or_added() {
        let drop = LabelOptions { drop: ["__name__".to_owned()].into(), ..LabelOptions::default() };
        assert_eq!(drop.check(), Err(LabelOptionsError::MetricName { flag: "--drop-labels" }));
        let add = LabelOptions { add: map(&[("__name__", "x")]), ..LabelOptions::default() };
        assert_eq!(add.check(), Err(LabelOptionsError::MetricName { flag: "--add-label" }));
        let replica =
            |name: &str| LabelOptions { replica: [name.to_owned()].into(), ..LabelOptions::default() };
        assert_eq!(
            replica("__name__").check(),
            Err(LabelOptionsError::MetricName { flag: "--replica-label" })
        );
        assert_eq!(replica("").check(), Err(LabelOptionsError::Empty { flag: "--replica-label" }));
    }
}
