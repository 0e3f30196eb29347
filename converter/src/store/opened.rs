//! The stores of a run: the one that was configured, and those that URLs lead to.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::Serialize;

use super::config::Configured;
use super::location::{Location, LocationError, is_url};
use super::ranges::{RangeOptions, Ranges};
use super::{Store, StoreUsage};
use crate::finding::Finding;

/// The stores of a run. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Stores {
    configured: Option<Arc<Configured>>,
    opened: Arc<Mutex<Vec<Store>>>,
    ranges: Arc<OnceLock<Ranges>>,
}

/// What a run asked of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreReport {
    /// Its URL.
    pub location: String,
    /// How much it was asked.
    #[serde(flatten)]
    pub usage: StoreUsage,
}

impl Stores {
    /// With a bucket that each SOURCE is a prefix of.
    pub fn configured(bucket: Configured) -> Self {
        Self { configured: Some(Arc::new(bucket)), ..Self::default() }
    }

    /// The store that SOURCE means; none when it is a path. What is to be said of its configuration goes to `findings`.
    pub fn open(&self, source: &Path, findings: &mut Vec<Finding>) -> Result<Option<Store>, LocationError> {
        let text = source.to_string_lossy();
        let store = match &self.configured {
            Some(configured) => {
                for finding in &configured.findings {
                    if !findings.contains(finding) {
                        findings.push(finding.clone());
                    }
                }
                let within = configured.store.within(text.trim_matches('/'));
                within.map_err(|source| LocationError::Io { url: configured.store.locate(&text), source })?
            }
            None if is_url(&text) => Location::parse(&text)?.open()?,
            None => return Ok(None),
        };
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(store.clone());
        Ok(Some(store))
    }

    /// What was fetched of blocks, for all of `store` and the others of the run; the first call says how much is held.
    pub fn ranges(&self, store: &Store, memory_bytes: u64) -> Ranges {
        let begin = || Ranges::new(store.handle().clone(), RangeOptions::within(memory_bytes));
        self.ranges.get_or_init(begin).clone()
    }

    /// Bytes that may be held of blocks.
    pub fn held_bytes(&self) -> u64 {
        self.ranges.get().map_or(0, |ranges| ranges.options().memory_bytes)
    }

    /// What was asked of each so far.
    pub fn report(&self) -> Vec<StoreReport> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let of_url = opened.iter().filter(|_| self.configured.is_none());
        // Prefixes of one bucket share its counters.
        let stores = self.configured.iter().map(|configured| &configured.store).chain(of_url);
        stores
            .map(|store| StoreReport { location: store.location().to_owned(), usage: store.usage() })
            .collect()
    }
}
