//! Sides: the positive or the negative buckets of a histogram, away from zero.

use std::iter::zip;
use std::ops::Range;

use super::super::Span;
use super::super::bounds::{exponential_bound, indexes};

/// The buckets of one side, or all but the first ones.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Side<'a> {
    spans: &'a [Span],
    /// Counts of the buckets but the first ones.
    counts: &'a [f64],
    but: usize,
}

impl<'a> Side<'a> {
    pub(super) fn new(spans: &'a [Span], counts: &'a [f64]) -> Self {
        Self { spans, counts, but: 0 }
    }

    /// Indexes and counts.
    pub(super) fn buckets(self) -> impl Iterator<Item = (i32, f64)> + 'a {
        zip(indexes(self.spans).skip(self.but), self.counts.iter().copied())
    }

    /// All but the first buckets, which end within the zero bucket.
    pub(super) fn but_swallowed(self, schema: i32, zero_threshold: f64) -> Self {
        let but = swallowed(self.spans, schema, zero_threshold);
        Self { spans: self.spans, counts: self.counts.get(but..).unwrap_or_default(), but }
    }
}

/// The index of the bucket that bucket `index` falls into, `shift` schemas below.
pub(super) fn reduced_index(index: i32, shift: u32) -> i32 {
    (index.wrapping_sub(1) >> shift.min(31)).wrapping_add(1)
}

/// Joins the buckets that fall together `shift` schemas below.
pub(super) fn reduced(
    buckets: impl Iterator<Item = (i32, f64)>,
    shift: u32,
) -> impl Iterator<Item = (i32, f64)> {
    let mut buckets = buckets.map(move |(index, count)| (reduced_index(index, shift), count)).peekable();
    std::iter::from_fn(move || {
        let (index, mut count) = buckets.next()?;
        while let Some((_, more)) = buckets.next_if(|(next, _)| *next == index) {
            count += more;
        }
        Some((index, count))
    })
}

/// How many of the first buckets of `spans` end within the zero bucket. Sums leave out what the histogram that is added
/// counts in them, but not in schemas that are only read, nor in custom buckets.
pub(super) fn swallowed(spans: &[Span], schema: i32, zero_threshold: f64) -> usize {
    if !(-4..=8).contains(&schema) {
        return 0;
    }
    indexes(spans).take_while(|index| exponential_bound(*index, schema) <= zero_threshold).count()
}

/// Consecutive buckets that both sides have, or one alone: then the other has no counts.
#[derive(Debug)]
pub(super) struct Stretch<'a> {
    pub(super) first: i64,
    pub(super) ours: &'a [f64],
    pub(super) theirs: &'a [f64],
}

/// The buckets of two sides, stretch by stretch.
pub(super) fn stretches<'a>(ours: Side<'a>, theirs: Side<'a>) -> impl Iterator<Item = Stretch<'a>> {
    let (mut ours, mut theirs) = (runs_of(ours), runs_of(theirs));
    std::iter::from_fn(move || {
        let first = ours.run.start.min(theirs.run.start);
        let end = ours.end_from(first).min(theirs.end_from(first));
        let stretch = Stretch { first, ours: ours.take(first..end), theirs: theirs.take(first..end) };
        (first < END).then_some(stretch)
    })
}

/// Behind all indexes.
const END: i64 = i64::MAX;

/// A side run by run of consecutive buckets.
struct Runs<'a, I> {
    rest: I,
    /// What is left of the first run; at [`END`] there is none.
    run: Range<i64>,
    counts: &'a [f64],
}

fn runs_of<'a>(side: Side<'a>) -> Runs<'a, impl Iterator<Item = Range<i64>>> {
    let mut rest = runs(side.spans, side.but);
    Runs { run: rest.next().unwrap_or(END..END), rest, counts: side.counts }
}

impl<'a, I: Iterator<Item = Range<i64>>> Runs<'a, I> {
    /// How far it has all buckets from `first` on, or none.
    fn end_from(&self, first: i64) -> i64 {
        if self.run.start == first { self.run.end } else { self.run.start }
    }

    /// The counts of `stretch`, if it has these buckets.
    fn take(&mut self, stretch: Range<i64>) -> &'a [f64] {
        if self.run.start != stretch.start {
            return &[];
        }
        let length = usize::try_from(stretch.end.saturating_sub(stretch.start)).unwrap_or(usize::MAX);
        let (taken, left) = self.counts.split_at_checked(length).unwrap_or((self.counts, &[]));
        self.counts = left;
        self.run.start = stretch.end;
        if self.run.is_empty() {
            self.run = self.rest.next().unwrap_or(END..END);
        }
        taken
    }
}

/// Indexes of consecutive buckets, but for the first `but` ones.
pub(super) fn runs(spans: &[Span], mut but: usize) -> impl Iterator<Item = Range<i64>> {
    let mut next = 0i64;
    spans.iter().filter_map(move |span| {
        let start = next.saturating_add(span.offset.into());
        next = start.saturating_add(span.length.into());
        let skipped = u32::try_from(but).unwrap_or(u32::MAX).min(span.length);
        but = but.saturating_sub(usize::try_from(skipped).unwrap_or(usize::MAX));
        let run = start.saturating_add(skipped.into())..next;
        (!run.is_empty()).then_some(run)
    })
}

/// Makes spans of buckets that come in ascending order.
pub(super) struct SpanWriter<'a> {
    spans: &'a mut Vec<Span>,
    /// The index behind the last bucket.
    end: i64,
}

impl<'a> SpanWriter<'a> {
    /// Over what was in `spans`.
    pub(super) fn new(spans: &'a mut Vec<Span>) -> Self {
        spans.clear();
        Self { spans, end: 0 }
    }

    /// Adds `length` buckets from index `first` on.
    pub(super) fn push(&mut self, first: i64, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let mut gap = first.saturating_sub(self.end);
        self.end = first.saturating_add(length.into());
        if gap == 0
            && let Some(last) = self.spans.last_mut()
            && let Some(joined) = last.length.checked_add(length)
        {
            last.length = joined;
            return;
        }
        loop {
            // Between the least and the largest index there are more than an offset can say.
            let offset = i32::try_from(gap).unwrap_or(i32::MAX);
            gap -= i64::from(offset);
            let length = if gap == 0 { length } else { 0 };
            self.spans.push(Span { offset, length });
            if gap == 0 {
                return;
            }
        }
    }
}
