//! Superseding: of which blocks another one holds all that they hold.
//!
//! ```text
//! level 1   a ┐         sources of c: a, b        c supersedes a and b: by its parents, or because it has all their
//!           b ┴─► c     parents of c: a, b          sources and covers their time range
//! 5 min     c'          sources of c': a, b       not c': another resolution; c' is left out where raw samples are read
//! ```
//! Decided by `meta.json` alone, among blocks of the same external labels, resolution and partition of Cortex.

use std::collections::{BTreeMap, BTreeSet};

use tsdb_reader::{BlockMeta, Ulid};

/// Blocks that supersede each other only do so among their like: external labels, resolution, part of a split block.
pub(crate) fn group(meta: &BlockMeta) -> (BTreeMap<String, String>, i64, String) {
    let Some(thanos) = &meta.thanos else { return (BTreeMap::new(), 0, String::new()) };
    let partition = thanos.extensions.get("partition_info");
    let partition = partition.map(ToString::to_string).unwrap_or_default();
    (thanos.labels.clone(), thanos.downsample.resolution_ms, partition)
}

/// What `meta` makes superfluous goes by this: only a block that ranks above another one supersedes it, so that
/// two blocks which name each other do not both vanish.
fn rank(meta: &BlockMeta) -> (usize, usize, i64, Ulid) {
    let rewrites = meta.thanos.as_ref().map_or(0, |thanos| thanos.rewrites.len());
    (meta.compaction.sources.len(), rewrites, meta.compaction.level, meta.ulid)
}

/// Superseded blocks, each with the block that supersedes it.
pub fn superseded<'a>(metas: impl Iterator<Item = &'a BlockMeta>) -> BTreeMap<Ulid, Ulid> {
    let mut groups: BTreeMap<_, Vec<&BlockMeta>> = BTreeMap::new();
    for meta in metas {
        groups.entry(group(meta)).or_default().push(meta);
    }
    let mut superseded = BTreeMap::new();
    for mut metas in groups.into_values() {
        metas.sort_by_key(|meta| std::cmp::Reverse(rank(meta)));
        // By level-1 source and by parent: the highest ranking blocks that hold it, so that thousands of blocks
        // are not compared pair by pair.
        let mut holders: BTreeMap<Ulid, Vec<usize>> = BTreeMap::new();
        let mut parent_of: BTreeMap<Ulid, Ulid> = BTreeMap::new();
        for (at, meta) in metas.iter().enumerate() {
            let sources: BTreeSet<Ulid> = meta.compaction.sources.iter().copied().collect();
            let by_parent = parent_of.get(&meta.ulid).copied();
            let by_sources = sources.first().and_then(|first| holders.get(first)).and_then(|candidates| {
                let covers =
                    |&&candidate: &&usize| metas.get(candidate).is_some_and(|by| covers(by, meta, &sources));
                candidates.iter().find(covers).and_then(|&by| metas.get(by)).map(|by| by.ulid)
            });
            if let Some(by) = by_parent.or(by_sources) {
                superseded.insert(meta.ulid, by);
            }
            for parent in &meta.compaction.parents {
                if parent.ulid != meta.ulid {
                    parent_of.entry(parent.ulid).or_insert(meta.ulid);
                }
            }
            for source in sources {
                holders.entry(source).or_default().push(at);
            }
        }
    }
    superseded
}

/// True when `by` holds all that `meta` holds, as far as their sources and time ranges say.
fn covers(by: &BlockMeta, meta: &BlockMeta, sources: &BTreeSet<Ulid>) -> bool {
    let by_sources: BTreeSet<Ulid> = by.compaction.sources.iter().copied().collect();
    sources.is_subset(&by_sources) && by.min_time_ms <= meta.min_time_ms && by.max_time_ms >= meta.max_time_ms
}

/// Level-1 sources of blocks, by external labels and resolution.
pub(super) struct SourcesHeld(BTreeMap<BTreeMap<String, String>, BTreeMap<i64, BTreeSet<Ulid>>>);

impl SourcesHeld {
    pub(super) fn by<'a>(metas: impl Iterator<Item = &'a BlockMeta>) -> Self {
        let mut held: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
        for meta in metas {
            let of_labels = held.entry(group(meta).0).or_default();
            of_labels.entry(meta.resolution_ms()).or_default().extend(&meta.compaction.sources);
        }
        Self(held)
    }

    /// Of a downsampled block, the finest resolution that every one of its sources is there in, if that is a finer one
    /// and answers all that its own does.
    pub(super) fn finest(&self, meta: &BlockMeta) -> Option<i64> {
        let (own_ms, sources) = (meta.resolution_ms(), &meta.compaction.sources);
        let answers = |finer_ms: i64| finer_ms == 0 || own_ms % finer_ms == 0;
        let finer = self.0.get(&group(meta).0)?.range(0..own_ms.max(0));
        let mut holding =
            finer.filter(|(at_ms, held)| answers(**at_ms) && sources.iter().all(|at| held.contains(at)));
        holding.next().filter(|_| !sources.is_empty()).map(|(at_ms, _)| *at_ms)
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    /// ULIDs in the order of their letters: `a` is the oldest.
    fn ulid(letter: char) -> Ulid {
        let digits = format!("{:0>26}", letter.to_ascii_uppercase());
        digits.parse().unwrap()
    }

    /// A block `name` over `range` with its sources and parents, one letter each.
    fn block(name: char, range: (i64, i64), level: i64, sources: &str, parents: &str) -> BlockMeta {
        let sources: Vec<_> = sources.chars().map(|at| ulid(at).to_string()).collect();
        let parent = |at| serde_json::json!({"ulid": ulid(at).to_string(), "minTime": 0, "maxTime": 0});
        let json = serde_json::json!({
            "ulid": ulid(name).to_string(), "minTime": range.0, "maxTime": range.1, "version": 1,
            "compaction": {
                "level": level, "sources": sources, "parents": parents.chars().map(parent).collect::<Vec<_>>(),
            },
        });
        BlockMeta::parse(&serde_json::to_vec(&json).unwrap()).unwrap()
    }

    fn with_thanos(mut meta: BlockMeta, thanos: serde_json::Value) -> BlockMeta {
        meta.thanos = Some(serde_json::from_value(thanos).unwrap());
        meta
    }

    /// `(block, by which)` in letters: `"ac bc"` when `c` supersedes `a` and `b`; the same in any order given.
    fn check(metas: &[BlockMeta], expected: &str) {
        let letter = |ulid: &Ulid| ulid.to_string().chars().last().unwrap().to_ascii_lowercase();
        let pairs = |metas: &mut dyn Iterator<Item = &BlockMeta>| {
            let pairs: Vec<String> = superseded(metas)
                .iter()
                .map(|(block, by)| format!("{}{}", letter(block), letter(by)))
                .collect();
            pairs.join(" ")
        };
        assert_eq!(pairs(&mut metas.iter()), expected);
        assert_eq!(pairs(&mut metas.iter().rev()), expected);
    }

    const DAY: (i64, i64) = (0, 100);

    #[test]
    fn a_result_supersedes_its_parents_and_what_their_sources_descend_from() {
        let [a, b] = [block('a', (0, 50), 1, "a", ""), block('b', (50, 100), 1, "b", "")];
        let c = block('c', DAY, 2, "ab", "ab");
        check(&[a.clone(), b.clone()], "");
        check(&[a.clone(), b.clone(), c.clone()], "ac bc");
        check(&[a, b, c, block('d', (0, 200), 3, "abe", "ce")], "ac bc cd");
    }

    #[test]
    fn sources_alone_do_when_the_range_is_covered_too() {
        let a = block('a', (0, 50), 1, "a", "");
        check(&[a.clone(), block('c', DAY, 2, "ab", "")], "ac");
        check(&[a.clone(), block('c', (10, 100), 2, "ab", "")], "");
        check(&[a.clone(), block('c', (0, 49), 2, "ab", "")], "");
        check(&[a, block('c', DAY, 2, "bd", "")], "");
    }

    #[test]
    fn of_blocks_with_the_same_sources_the_rewritten_then_the_newest_one_stays() {
        let (a, b) = (block('a', DAY, 2, "xy", ""), block('b', DAY, 2, "yx", ""));
        check(&[a.clone(), b.clone()], "ab");
        let rewritten = with_thanos(a, serde_json::json!({"rewrites": [{"sources": []}]}));
        check(&[rewritten, with_thanos(b, serde_json::json!({}))], "ba");
    }

    #[test]
    fn blocks_that_name_each_other_do_not_both_vanish() {
        let (a, b) = (block('a', DAY, 1, "a", "b"), block('b', DAY, 1, "b", "a"));
        check(&[a, b], "ab");
        let ring = [block('a', DAY, 1, "a", "b"), block('b', DAY, 1, "b", "c"), block('c', DAY, 1, "c", "a")];
        // Of a ring somebody is left who is superseded by nobody.
        let superseded = superseded(ring.iter());
        assert!(superseded.len() < 3, "{superseded:?}");
        check(&[block('a', DAY, 1, "a", "a")], "");
    }

    #[test]
    fn whoever_supersedes_is_at_the_end_held_by_a_block_that_stays() {
        // All small sets of blocks with hostile sources and parents.
        let lists = ["", "a", "b", "c", "ab", "bc", "abc"];
        for parents in 0..lists.len().pow(3) {
            let at = |n: u32| lists[parents / lists.len().pow(n) % lists.len()];
            for sources in ["a b c", "ab ab c", "abc abc abc", "ab bc ca", "a a ab"] {
                let sources: Vec<_> = sources.split(' ').collect();
                let metas = [
                    block('a', DAY, 1, sources[0], at(0)),
                    block('b', DAY, 2, sources[1], at(1)),
                    block('c', DAY, 1, sources[2], at(2)),
                ];
                let superseded = superseded(metas.iter());
                assert!(superseded.len() < 3, "{superseded:?}");
                for start in superseded.keys() {
                    let (mut at, mut steps) = (start, 0);
                    while let Some(by) = superseded.get(at) {
                        (at, steps) = (by, steps + 1);
                        assert!(steps < 3, "{superseded:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_without_sources_supersede_nothing_and_are_kept() {
        let (a, b) = (block('a', DAY, 1, "", ""), block('b', DAY, 2, "", ""));
        check(&[a.clone(), b], "");
        check(&[a.clone(), block('c', DAY, 2, "a", "")], "");
        check(&[a, block('c', DAY, 2, "ab", "a")], "ac");
    }

    #[test]
    fn shards_tenants_resolutions_and_partitions_do_not_supersede_each_other() {
        let thanos = |name, sources, thanos| with_thanos(block(name, DAY, 2, sources, ""), thanos);
        let shard = |at: &str| serde_json::json!({"labels": {"__compactor_shard_id__": at}});
        check(&[thanos('a', "x", shard("1_of_2")), thanos('b', "x", shard("2_of_2"))], "");
        check(&[thanos('a', "x", shard("1_of_2")), thanos('b', "xy", shard("1_of_2"))], "ab");
        // A block that was split: each shard holds a part of it.
        check(&[block('a', DAY, 1, "x", ""), thanos('b', "x", shard("1_of_2"))], "");
        let cluster = |at: &str| serde_json::json!({"labels": {"cluster": at}});
        check(&[thanos('a', "x", cluster("a")), thanos('b', "xy", cluster("b"))], "");
        let coarse = serde_json::json!({"downsample": {"resolution": 300_000}});
        check(&[thanos('a', "x", serde_json::json!({})), thanos('b', "xy", coarse)], "");
        let partition = |at: i64| serde_json::json!({"extensions": {"partition_info": {"partition_count": 2, "partition_id": at}}});
        check(&[thanos('a', "x", partition(0)), thanos('b', "xy", partition(1))], "");
        check(&[thanos('a', "x", partition(0)), thanos('b', "xy", partition(0))], "ab");
    }

    #[test]
    fn many_blocks_are_decided_without_comparing_all_pairs() {
        let number = |n: usize| format!("{n:0>26}");
        let meta = |n: usize, sources: Vec<String>| {
            let json = serde_json::json!({
                "ulid": number(n), "minTime": n, "maxTime": n + 1, "version": 1,
                "compaction": {"level": 1, "sources": sources},
            });
            BlockMeta::parse(&serde_json::to_vec(&json).unwrap()).unwrap()
        };
        let metas: Vec<_> = (0..20_000).map(|n| meta(n, vec![number(n)])).collect();
        assert!(superseded(metas.iter()).is_empty());
    }
}
