//! Symbolic links: what they lead to within the archive.
//!
//! ```text
//! d/wal -> ../ext/log          files of ext/log are kept as if they lay in d/wal, if the link comes first in a stream;
//! ext/log/00000001             in the end they lie there as well
//! ```
//! A link is followed name by name, as a file system does; one that begins with a slash begins at the archive's root.
//! Links out of the archive, to nothing in it, or to a folder around themselves are dead, and so is what is longer or
//! deeper than [`PATH_BYTES`], [`HOPS`] and [`NESTED`] allow. Nothing is ever looked up on a disk.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Names, Node, is_within, parent};

/// Links that a path may lead through.
const HOPS: usize = 8;

/// Longest path that is followed.
const PATH_BYTES: usize = 1 << 10;

/// Links that may lie in what a link leads to, one in the other.
pub(super) const NESTED: usize = 8;

/// Links that are followed; an archive has few.
const FOLLOWED: usize = 4096;

/// Links that may be on the way to others.
const KEPT: usize = 1 << 16;

/// The links of an archive.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    /// Targets as they are written, by path.
    targets: BTreeMap<String, String>,
    /// Links of which is wanted what they lead to.
    wanted: Vec<String>,
    /// The first of those that lead to a place, by place.
    leading_to: BTreeMap<String, String>,
}

impl Links {
    /// Adds a link; `is_wanted` when what it leads to is to be kept.
    pub(super) fn add(&mut self, path: &str, target: &str, is_wanted: bool) {
        if self.targets.len() < KEPT && path.len() <= PATH_BYTES && target.len() <= PATH_BYTES {
            self.targets.insert(path.to_owned(), target.to_owned());
        }
        if is_wanted && self.wanted.len() < FOLLOWED {
            self.wanted.push(path.to_owned());
            self.lead(path);
        }
    }

    /// Something else took the place of a link.
    pub(super) fn remove(&mut self, path: &str) {
        self.targets.remove(path);
    }

    /// The same links before an archive is read once more: what they lead to may have come before them.
    pub(super) fn again(&self) -> Option<Self> {
        let mut again = Self { targets: self.targets.clone(), ..Self::default() };
        self.wanted.iter().for_each(|link| again.lead(link));
        (!again.leading_to.is_empty()).then_some(again)
    }

    /// Wants what the link at `path` leads to.
    fn lead(&mut self, path: &str) {
        if let Some(place) = self.follow(path) {
            self.leading_to.entry(place).or_insert_with(|| path.to_owned());
        }
    }

    /// Where `path` lies by way of a link to it, or to a folder up to two levels above it.
    pub(super) fn linked(&self, path: &str) -> Option<String> {
        let mut place = path;
        for _ in 0..3 {
            if let Some(link) = self.leading_to.get(place) {
                return Some(format!("{link}{}", path.get(place.len()..)?));
            }
            place = parent(place)?;
        }
        None
    }

    /// Where `path` leads to, link by link.
    fn follow(&self, path: &str) -> Option<String> {
        let mut names: Vec<&str> = path.rsplit('/').collect();
        let (mut at, mut hops) = (String::new(), 0);
        while let Some(name) = names.pop() {
            match name {
                "" | "." => continue,
                ".." if at.is_empty() => return None,
                ".." => at.truncate(at.rfind('/').unwrap_or_default()),
                name => {
                    if !at.is_empty() {
                        at.push('/');
                    }
                    at.push_str(name);
                }
            }
            if let Some(target) = self.targets.get(&at) {
                hops += 1;
                let up = if target.starts_with('/') { 0 } else { at.rfind('/').unwrap_or_default() };
                at.truncate(up);
                names.extend(target.rsplit('/'));
            }
            if at.len() > PATH_BYTES || hops > HOPS {
                return None;
            }
        }
        Some(at)
    }
}

/// Puts what links lead to where they are, until there is no room for more names.
pub(super) fn resolve(names: &mut Names) {
    let is_link = |(path, node): (&String, &Node)| matches!(node, Node::Link(_)).then(|| path.clone());
    let mut waiting: BTreeSet<String> = names.nodes().iter().filter_map(is_link).take(FOLLOWED).collect();
    for _ in 0..NESTED {
        for link in waiting.clone() {
            let place = names.links.follow(&link).filter(|place| !is_within(&link, place));
            let Some(place) = place else {
                waiting.remove(&link);
                continue;
            };
            // Links in what this one leads to go first.
            let mut inner = waiting.range(format!("{place}/")..);
            if inner.next().is_none_or(|inner| !is_within(inner, &place)) {
                if !names.copy(&place, &link) {
                    // Others may find room still, but to try could take as long as there are links.
                    names.unfollowed = Some(link);
                    return;
                }
                waiting.remove(&link);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(links: &[(&str, &str)], path: &str) -> Option<String> {
        let mut all = Links::default();
        links.iter().for_each(|(path, target)| all.add(path, target, false));
        all.follow(path)
    }

    #[test]
    fn links_are_followed_name_by_name_and_not_out_of_the_archive() {
        let links = [
            ("d/wal", "../ext/./log"),
            ("ext", "/mnt//disk"),
            ("mnt/disk/log", "../../real"),
            ("out", "../../etc"),
            ("self", "self"),
            ("a", "b"),
            ("b", "a"),
        ];
        for (path, expected) in [
            ("d/wal/00000001", Some("real/00000001")),
            ("d/wal", Some("real")),
            ("ext/x/../y", Some("mnt/disk/y")),
            ("none/of/them", Some("none/of/them")),
            ("out", None),
            ("../x", None),
            ("self", None),
            ("a/x", None),
        ] {
            assert_eq!(follow(&links, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn long_paths_and_chains_are_not_followed() {
        let long = "x/".repeat(PATH_BYTES);
        assert_eq!(follow(&[], &long), None);
        let chain: Vec<_> = (0..20).map(|at| (format!("l{at}"), format!("l{}", at + 1))).collect();
        let chain: Vec<_> = chain.iter().map(|(path, target)| (path.as_str(), target.as_str())).collect();
        assert_eq!(follow(&chain, "l15").as_deref(), Some("l20"));
        assert_eq!(follow(&chain, "l0"), None);
        // Each link doubles the path.
        let bomb: Vec<_> = (0..20).map(|at| (format!("l{at}"), format!("l{0}/../l{0}", at + 1))).collect();
        let bomb: Vec<_> = bomb.iter().map(|(path, target)| (path.as_str(), target.as_str())).collect();
        assert_eq!(follow(&bomb, "l0"), None);
    }
}
