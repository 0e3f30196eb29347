//! Listed blocks: what `meta.json` says of each, before anything else of it is read.
//!
//! The same block may lie at several places. It is read at the first of them where it can be opened.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tsdb_reader::block::read_meta;
use tsdb_reader::labels::METRIC_NAME;
use tsdb_reader::meta::ThanosMeta;
use tsdb_reader::source::Source;
use tsdb_reader::{Block, BlockMeta, Error, Ulid};

use super::choice::Choice;
use super::supersede::superseded;
use super::{CHANGED, Found, META_BYTES, PARTIAL_UPLOAD_AGE};
use crate::blocks::Metrics;
use crate::error::error_chain;
use crate::finding::{Finding, Severity};
use crate::tree::Tree;

/// A block among those of all sources: its tenant, or nothing, and its ULID. Tenants share nothing, be it a ULID.
pub(super) type Key = (String, Ulid);

/// A folder in a tree that looks like a block.
#[derive(Debug)]
pub(super) struct Place {
    pub tree: Arc<dyn Tree>,
    pub folder: PathBuf,
    pub location: String,
    /// Where marks for its deletion may be.
    pub marks: Vec<PathBuf>,
}

/// A block whose `meta.json` was read.
#[derive(Debug)]
pub(super) struct Listed {
    /// Of the place that is read first.
    pub meta: BlockMeta,
    /// Where it is.
    pub place: Place,
    /// Where it is, too.
    pub others: Vec<(BlockMeta, Place)>,
}

/// A block that cannot be opened.
pub(super) struct Unreadable {
    /// Whose it is.
    pub tenant: String,
    /// What it says about itself, if that much can be read.
    pub meta: Option<Box<BlockMeta>>,
    pub finding: Finding,
    /// Its files, unless it may still be uploading.
    pub source: Option<Arc<dyn Source>>,
}

impl Listed {
    /// Places that need not be read.
    pub(super) fn repeated(&self) -> impl Iterator<Item = Finding> {
        let message = format!("the same block as {}, read once", self.place.location);
        let finding = move |(_, place): &(BlockMeta, Place)| {
            Finding::new(Severity::Skipped, "repeated-block", place.location.clone(), message.clone())
        };
        self.others.iter().map(finding)
    }
}

/// Reads the `meta.json` of the block at `place`. A tenant becomes one more external label.
pub(super) fn read_listed(
    place: &Place,
    tenant: Option<&str>,
    choice: &Choice,
) -> Result<BlockMeta, Box<Unreadable>> {
    let Place { tree, folder, location, .. } = place;
    let unreadable = |finding, source| {
        let tenant = tenant.unwrap_or_default().to_owned();
        Box::new(Unreadable { tenant, meta: None, finding, source })
    };
    let incomplete = tree.incomplete(folder);
    let json = tree.read(&folder.join("meta.json"), META_BYTES);
    let is_missing = json.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if is_missing && incomplete.is_none() {
        if tree.entries(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let message =
                "it vanished before it was read; if a compaction removed it, read the directory again";
            return Err(unreadable(Finding::new(Severity::Broken, CHANGED, location.clone(), message), None));
        }
        let old = age(place, choice).is_none_or(|age| age >= PARTIAL_UPLOAD_AGE);
        let (severity, tail) = match old {
            true => (Severity::Broken, "copy the block again, or remove what is left of it"),
            false => (Severity::Skipped, "it may still be uploading"),
        };
        let message = format!("no meta.json, so the block is incomplete; {tail}");
        let finding = Finding::new(severity, "partial-block", location.clone(), message);
        return Err(unreadable(finding, tree.block(folder).ok().filter(|_| old)));
    }
    let source = || {
        let source = tree.block(folder);
        source.map_err(|error| unreadable(unreadable_block(location, &error.to_string()), None))
    };
    let meta = match json {
        Ok(json) => BlockMeta::parse(&json),
        // What is wrong is said as of any file of a block.
        Err(_) => read_meta(source()?.as_ref()),
    };
    if let (Ok(meta), Some(tenant)) = (&meta, tenant)
        && let Some((name, own)) = meta.external_labels().find(|(name, _)| *name == choice.tenant_label)
        && own != tenant
    {
        let message = format!(
            "it has the external label {name}=\"{own}\" already, and is of tenant {tenant}; give the tenant another \
             name with --tenant-label"
        );
        let finding = Finding::new(Severity::Broken, "tenant-label", location.clone(), message);
        return Err(unreadable(finding, Some(source()?)));
    }
    let meta = meta.map(|meta| of_tenant(meta, tenant, choice));
    if let Some(why) = incomplete {
        let found = unreadable(unreadable_block(location, &why), Some(source()?));
        return Err(Box::new(Unreadable { meta: meta.ok().map(Box::new), ..*found }));
    }
    match meta {
        Ok(meta) => Ok(meta),
        Err(error) => Err(unreadable(unreadable_block(location, &error_chain(&error)), Some(source()?))),
    }
}

/// The tenant is a label like others from here on, so that what is decided by labels keeps tenants apart.
fn of_tenant(mut meta: BlockMeta, tenant: Option<&str>, choice: &Choice) -> BlockMeta {
    if let Some(tenant) = tenant {
        let thanos = meta.thanos.get_or_insert_with(ThanosMeta::default);
        thanos.labels.insert(choice.tenant_label.clone(), tenant.to_owned());
    }
    meta
}

/// Time since the block was written, by the ULID in its folder's name.
fn age(place: &Place, choice: &Choice) -> Option<std::time::Duration> {
    // A SOURCE that is the block itself has the name in its location.
    let name = place.folder.file_name().or_else(|| Path::new(&place.location).file_name())?;
    choice.age(name.to_str()?.parse().ok()?)
}

/// Opens a block where it can be opened: with all that every use of it needs if it is to be `whole`. What cannot be
/// opened goes to `broken`, and when nothing is left, so does the block.
pub(super) fn open_listed(
    key: &Key,
    found: &mut BTreeMap<Key, Listed>,
    whole: bool,
    broken: &mut Vec<Unreadable>,
) -> Option<Found> {
    loop {
        let listed = found.get_mut(key)?;
        let Place { tree, folder, location, .. } = &listed.place;
        let (message, source) = match tree.block(folder) {
            Err(error) => (error.to_string(), None),
            Ok(source) => match open(&source, listed.meta.clone(), whole) {
                Ok((block, metrics)) => {
                    return Some(Found { location: location.clone(), block, is_head: false, metrics });
                }
                Err(error) => (error_chain(&error), Some(source)),
            },
        };
        let (tenant, finding) = (key.0.clone(), unreadable_block(location, &message));
        let meta = Some(Box::new(listed.meta.clone()));
        broken.push(Unreadable { tenant, meta, finding, source });
        if listed.others.is_empty() {
            found.remove(key);
            return None;
        }
        (listed.meta, listed.place) = listed.others.remove(0);
    }
}

fn open(source: &Arc<dyn Source>, meta: BlockMeta, whole: bool) -> Result<(Block, Option<Metrics>), Error> {
    let block = Block::with_meta(Arc::clone(source), meta)?;
    let metrics = if whole { check(&block)? } else { None };
    Ok((block, metrics))
}

/// Reads what every use of a block needs. Of a far one, what was opened for it is not kept but for the metrics.
fn check(block: &Block) -> Result<Option<Metrics>, Error> {
    let mut far = None;
    if block.index().is_far() {
        let index = block.index().reopened();
        index.symbols()?;
        far = Some(Metrics::read(&index)?);
    } else {
        let index = block.index();
        index.symbols()?;
        index.all_postings()?;
        let metrics: Vec<_> = index.label_values(METRIC_NAME)?.map(|(_, offset)| offset).collect();
        index.postings_lens(&metrics)?;
    }
    block.tombstones()?;
    block.segments()?;
    Ok(far)
}

fn unreadable_block(location: impl Into<String>, message: &str) -> Finding {
    let message = format!("{message}; the block is left out, take a new copy of it");
    Finding::new(Severity::Broken, "unreadable-block", location, message)
}

/// Superseded blocks, each with the one that supersedes it: only blocks of one tenant do.
pub(super) fn superseded_in(found: &BTreeMap<Key, Listed>) -> BTreeMap<Key, Ulid> {
    let mut by_tenant: BTreeMap<&str, Vec<&BlockMeta>> = BTreeMap::new();
    for ((tenant, _), listed) in found {
        by_tenant.entry(tenant).or_default().push(&listed.meta);
    }
    let of_tenant = |(tenant, metas): (&str, Vec<&BlockMeta>)| {
        let superseded = superseded(metas.into_iter()).into_iter();
        superseded.map(|(ulid, by)| ((tenant.to_owned(), ulid), by)).collect::<Vec<_>>()
    };
    by_tenant.into_iter().flat_map(of_tenant).collect()
}

/// Nothing is missing when another block holds what an unreadable one does.
pub(super) fn unless_held_by(found: &BTreeMap<Key, Listed>, unreadable: Unreadable) -> Finding {
    let Unreadable { tenant, meta: Some(meta), finding, .. } = unreadable else { return unreadable.finding };
    let key = (tenant, meta.ulid);
    let (name, message) = match found.get(&key) {
        Some(same) => {
            ("repeated-block", format!("unreadable, and the same block as {}", same.place.location))
        }
        None => {
            let of_tenant = found.iter().filter(|((tenant, _), _)| *tenant == key.0);
            let metas = of_tenant.map(|(_, listed)| &listed.meta).chain([meta.as_ref()]);
            match superseded(metas).get(&meta.ulid) {
                Some(by) => (
                    "superseded-block",
                    format!("unreadable, and superseded by block {by}, which holds its samples"),
                ),
                None => return finding,
            }
        }
    };
    Finding::new(Severity::Skipped, name, finding.place, message)
}
