//! Metrics of a block: which series each has, and which have none.
//!
//! ```text
//! table of postings   __name__="aa" ──► list: 3, 4      read only when the metric is
//!                     __name__="mm" ──► list: 6
//! all series          3, 4, 6, 9                        9 is in no list: it has no metric
//! ```
//! The lists of `__name__` are believed only when they agree with the series: each series is in the list of its own
//! metric, in no other one, and in the list of all series. Otherwise every series that any list names is read, and
//! its labels decide, so that none is lost, doubled or out of order.
//!
//! Of a block that is far away, where this would fetch all series, only the lists are compared: no two have a series in
//! common, and all together are the list of all series. Then every series is read, and whoever reads one looks at its
//! metric.

use std::collections::BTreeMap;

use tsdb_reader::index::{Index, Postings, PostingsOffset, Series};
use tsdb_reader::labels::METRIC_NAME;
use tsdb_reader::matcher::{MatchOp, Matcher};
use tsdb_reader::{Block, Error, SeriesRef};

use crate::error::error_chain;

/// Lists read at once.
const LISTS_AT_ONCE: usize = 1024;

/// Where the series of a metric are found.
#[derive(Debug)]
pub enum Place {
    /// In this postings list.
    List(PostingsOffset),
    /// The lists of the block are wrong: here, ascending, by their labels.
    Labels(Vec<SeriesRef>),
}

/// One metric of a block.
#[derive(Debug)]
pub struct MetricSeries {
    /// The metric name.
    pub metric: Vec<u8>,
    /// Where its series are.
    pub place: Place,
    /// How many series it has.
    pub series: u64,
}

/// The series of a block by metric.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Metrics in ascending order.
    pub list: Vec<MetricSeries>,
    /// Series without a metric, ascending.
    pub nameless: Vec<SeriesRef>,
    /// What is wrong with the lists, when they were not used.
    pub disagreement: Option<String>,
}

/// A list of `__name__`, as the table of postings has it.
struct List {
    metric: Vec<u8>,
    offset: PostingsOffset,
    series: u64,
}

impl Metrics {
    /// The metrics of a block. What is opened of the index of a far one for this is not kept.
    pub(crate) fn of_block(block: &Block) -> Result<Self, Error> {
        match block.index().is_far() {
            true => Self::read(&block.index().reopened()),
            false => Self::read(block.index()),
        }
    }

    pub(crate) fn read(index: &Index) -> Result<Self, Error> {
        let all = index.all_postings()?;
        let values: Vec<_> = index.label_values(METRIC_NAME)?.collect();
        let offsets: Vec<_> = values.iter().map(|&(_, offset)| offset).collect();
        // The lists lie together: read whole, as they are next, they take few requests.
        index.prefetch_postings(around(&offsets));
        let lens = index.postings_lens(&offsets)?;
        let lists = values.into_iter().zip(lens);
        let lists: Vec<_> = lists
            .map(|((metric, offset), len)| List { metric: metric.to_vec(), offset, series: len.into() })
            .collect();
        let named: u64 = lists.iter().map(|list| list.series).sum();
        let nameless = match Matcher::new(METRIC_NAME, MatchOp::Equal, "") {
            Ok(no_metric) if all.len() as u64 != named => index.select(&[no_metric]).ok(),
            _ => Some(Vec::new()), // Only regular expressions can fail.
        };
        match nameless {
            Some(nameless)
                if agree(index, &all, &lists, &nameless)
                    || index.is_far() && share_all(index, &all, &lists, &nameless) =>
            {
                Ok(Self::of_lists(lists, nameless))
            }
            nameless => Ok(Self::by_labels(index, &all, lists, nameless.unwrap_or_default())),
        }
    }

    fn of_lists(lists: Vec<List>, nameless: Vec<SeriesRef>) -> Self {
        let of_list =
            |List { metric, offset, series }| MetricSeries { metric, place: Place::List(offset), series };
        Self { list: lists.into_iter().map(of_list).collect(), nameless, disagreement: None }
    }

    /// Reads all series. What cannot be read is put with those without a metric, so that whoever walks them names it.
    fn by_labels(index: &Index, all: &Postings, lists: Vec<List>, unnamed: Vec<SeriesRef>) -> Self {
        let read: Vec<_> = lists.iter().map(|list| index.read_postings(list.offset)).collect();
        let every = Postings::union(std::iter::once(all).chain(read.iter().flatten()).cloned());
        let every_len = every.len();
        let mut metrics: BTreeMap<Vec<u8>, Vec<SeriesRef>> = BTreeMap::new();
        let (mut nameless, mut unreadable) = (Vec::new(), Vec::new());
        let mut series = Series::default();
        for series_ref in every {
            if index.series(series_ref, &mut series).is_err() {
                unreadable.push(series_ref);
                continue;
            }
            match series.labels.metric() {
                None => nameless.push(series_ref),
                Some(metric) => match metrics.get_mut(metric) {
                    Some(refs) => refs.push(series_ref),
                    None => _ = metrics.insert(metric.to_vec(), vec![series_ref]),
                },
            }
        }
        let disagreement = disagreement(&lists, &read, &metrics, &unreadable).or_else(|| {
            (all.len() < every_len).then(|| {
                let missing = every_len - all.len();
                format!("the list of all series lacks {missing} series that lists of metrics name")
            })
        });
        let Some(disagreement) = disagreement else { return Self::of_lists(lists, unnamed) };
        nameless.append(&mut unreadable);
        nameless.sort_unstable();
        let of_labels = |(metric, refs): (Vec<u8>, Vec<SeriesRef>)| MetricSeries {
            metric,
            series: refs.len() as u64,
            place: Place::Labels(refs),
        };
        let list = metrics.into_iter().map(of_labels).collect();
        Self { list, nameless, disagreement: Some(disagreement) }
    }
}

/// True when the lists, one behind the other, are all series but those without a metric, and each series is of the
/// metric in whose list it is. False may mean only that the order is another one, as with names that sort before
/// `__name__`. Of a series that cannot be read any list is right: whoever walks that list names it.
fn agree(index: &Index, all: &Postings, lists: &[List], nameless: &[SeriesRef]) -> bool {
    let is_far = index.is_far();
    let is_of = |series_ref: SeriesRef, metric: Option<&[u8]>| {
        is_far || index.series_label(series_ref, METRIC_NAME).map_or(true, |found| found == metric)
    };
    let mut left = nameless.iter().peekable();
    let mut named = all.clone().filter(|at| left.next_if_eq(&at).is_none());
    for lists in lists.chunks(LISTS_AT_ONCE) {
        let offsets: Vec<_> = lists.iter().map(|list| list.offset).collect();
        let Ok(read) = index.read_postings_many(&offsets) else { return false };
        for (list, refs) in lists.iter().zip(read) {
            for series_ref in refs {
                if named.next() != Some(series_ref) || !is_of(series_ref, Some(&list.metric)) {
                    return false;
                }
            }
        }
    }
    named.next().is_none() && nameless.iter().all(|&at| is_of(at, None))
}

/// True when each series is in one list, or without a metric, in whatever order the lists are.
fn share_all(index: &Index, all: &Postings, lists: &[List], nameless: &[SeriesRef]) -> bool {
    let mut named = Vec::with_capacity(all.len());
    for lists in lists.chunks(LISTS_AT_ONCE) {
        let offsets: Vec<_> = lists.iter().map(|list| list.offset).collect();
        let Ok(read) = index.read_postings_many(&offsets) else { return false };
        for refs in read {
            if named.len() + refs.len() > all.len() {
                return false;
            }
            named.extend(refs);
        }
    }
    named.extend(nameless);
    named.sort_unstable();
    named.into_iter().eq(all.clone())
}

/// All between the first list and the last, if they lie together.
fn around(offsets: &[PostingsOffset]) -> Option<(PostingsOffset, u64)> {
    /// Lists that lie further apart than if each had so many series are asked for one by one.
    const SERIES_PER_LIST: u64 = 4096;
    let (first, last) = (offsets.iter().min()?, offsets.iter().max()?);
    let series = (last.0 - first.0) / 4;
    (series <= SERIES_PER_LIST.saturating_mul(offsets.len() as u64)).then_some((*first, series))
}

/// The first list that is wrong, in words.
fn disagreement(
    lists: &[List],
    read: &[Result<Postings, Error>],
    metrics: &BTreeMap<Vec<u8>, Vec<SeriesRef>>,
    unreadable: &[SeriesRef],
) -> Option<String> {
    let name = |metric: &[u8]| format!("__name__={:?}", String::from_utf8_lossy(metric));
    for (list, refs) in lists.iter().zip(read) {
        let own = metrics.get(&list.metric).map(Vec::as_slice).unwrap_or_default();
        let place = || format!("the list at offset {:#x} for {}", list.offset.0, name(&list.metric));
        match refs {
            Err(error) => return Some(format!("{} cannot be read: {}", place(), error_chain(error))),
            Ok(refs) => {
                let readable = refs.clone().filter(|at| unreadable.binary_search(at).is_err());
                if !readable.eq(own.iter().copied()) {
                    let (named, own) = (refs.len(), own.len());
                    return Some(match named == own {
                        true => format!("{} names other series than those of that metric", place()),
                        false => format!("{} names {named} series, {own} are of that metric", place()),
                    });
                }
            }
        }
    }
    let is_listed = |metric: &[u8]| lists.binary_search_by(|list| list.metric.as_slice().cmp(metric)).is_ok();
    let unlisted = metrics.keys().find(|metric| !is_listed(metric))?;
    Some(format!("no list is for {}", name(unlisted)))
}
