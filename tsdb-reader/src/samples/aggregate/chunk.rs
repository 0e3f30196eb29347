//! The five entries of an aggregate chunk.

use std::fmt;

use super::super::TracedSample;
use crate::chunks::{Chunk, Encoding};
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::trace::Trace;

/// What is kept of the samples of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Number of samples.
    Count,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The total of a counter since the chunk began, resets added up. See [`CounterChain`](super::CounterChain).
    Counter,
}

/// Names of what belongs to an entry, for errors.
pub(super) struct Fields {
    name: &'static str,
    length: &'static str,
    encoding: &'static str,
    data: &'static str,
    pub(super) samples: &'static str,
    pub(super) time: &'static str,
}

macro_rules! fields {
    ($name:literal) => {
        &Fields {
            name: $name,
            length: concat!($name, " aggregate length"),
            encoding: concat!($name, " aggregate encoding"),
            data: concat!($name, " aggregate"),
            samples: concat!("number of samples of ", $name, " aggregate"),
            time: concat!("timestamp in ", $name, " aggregate"),
        }
    };
}

impl Aggregate {
    /// All of them, in the order of the file.
    pub const ALL: [Self; 5] = [Self::Count, Self::Sum, Self::Min, Self::Max, Self::Counter];

    /// Its name in the field.
    pub fn name(self) -> &'static str {
        self.fields().name
    }

    pub(super) fn fields(self) -> &'static Fields {
        match self {
            Self::Count => fields!("count"),
            Self::Sum => fields!("sum"),
            Self::Min => fields!("min"),
            Self::Max => fields!("max"),
            Self::Counter => fields!("counter"),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The aggregates of one chunk, each an ordinary chunk that is not decoded yet.
#[derive(Debug, Clone)]
pub struct AggregateChunk {
    /// In the order of [`Aggregate::ALL`].
    entries: [Option<Chunk>; 5],
    num_samples: u32,
    holds_histograms: bool,
}

impl AggregateChunk {
    pub(crate) fn open(chunk: &Chunk) -> Result<Self, DecodeError> {
        let mut reader = Entries::open(chunk, None)?;
        let (mut entries, mut num_samples) = ([const { None }; 5], 0);
        for (aggregate, entry) in Aggregate::ALL.into_iter().zip(&mut entries) {
            let Some(inner) = reader.next(aggregate)? else { continue };
            let found = inner.num_samples()?;
            if aggregate == Aggregate::Count {
                num_samples = found;
            }
            *entry = Some(inner);
        }
        reader.finish()?;
        Ok(Self { entries, num_samples, holds_histograms: reader.holds_histograms.unwrap_or(false) })
    }

    /// The chunk of `aggregate`, unless it is absent. Its offset is that in the file.
    pub fn get(&self, aggregate: Aggregate) -> Option<&Chunk> {
        let [count, sum, min, max, counter] = &self.entries;
        let entry = match aggregate {
            Aggregate::Count => count,
            Aggregate::Sum => sum,
            Aggregate::Min => min,
            Aggregate::Max => max,
            Aggregate::Counter => counter,
        };
        entry.as_ref()
    }

    /// Number of windows: that of the samples of its count, 0 without one.
    pub fn num_samples(&self) -> u32 {
        self.num_samples
    }

    /// True when sum and counter are histograms.
    pub fn holds_histograms(&self) -> bool {
        self.holds_histograms
    }
}

/// Reads the fields of `chunk`, each noted in `trace`, and the samples of its aggregates one by one.
pub(crate) fn trace_aggregates(
    chunk: &Chunk,
    trace: &Trace,
    each: &mut dyn FnMut(Option<TracedSample>),
) -> Result<(), DecodeError> {
    let mut reader = Entries::open(chunk, Some(trace))?;
    for aggregate in Aggregate::ALL {
        if let Some(inner) = reader.next(aggregate)? {
            inner.trace_samples(trace, each)?;
        }
    }
    reader.finish()
}

/// Reads the entries one after the other.
struct Entries<'a> {
    chunk: &'a Chunk,
    cursor: Cursor<'a>,
    /// Whether sum, min, max and counter do, as the first of them says.
    holds_histograms: Option<bool>,
}

impl<'a> Entries<'a> {
    fn open(chunk: &'a Chunk, trace: Option<&'a Trace>) -> Result<Self, DecodeError> {
        if chunk.encoding() != Encoding::Aggregate {
            return Err(chunk.unsupported());
        }
        let cursor = Cursor::new(chunk.data(), chunk.offset()).traced(trace);
        Ok(Self { chunk, cursor, holds_histograms: None })
    }

    fn next(&mut self, aggregate: Aggregate) -> Result<Option<Chunk>, DecodeError> {
        let fields = aggregate.fields();
        let len = self.cursor.uvarint(fields.length)?;
        if len == 0 {
            return Ok(None);
        }
        let at = self.cursor.offset();
        let encoding = Encoding::from_byte(self.cursor.u8(fields.encoding)?);
        if let Some(expected) = self.refusal(aggregate, encoding) {
            return Err(DecodeError::invalid(at, fields.encoding, encoding.as_byte().into(), expected));
        }
        let offset = self.cursor.offset();
        let data = self.cursor.take(fields.data, len)?;
        Ok(Some(self.chunk.inner(encoding, data, offset)))
    }

    /// What is expected instead, when `encoding` cannot be that of `aggregate`.
    fn refusal(&mut self, aggregate: Aggregate, encoding: Encoding) -> Option<&'static str> {
        let holds_histograms = encoding.holds_histograms();
        let holds_floats = matches!(encoding, Encoding::Xor | Encoding::Xor2);
        let is_allowed = match aggregate {
            Aggregate::Count | Aggregate::Min | Aggregate::Max => holds_floats,
            Aggregate::Sum | Aggregate::Counter => holds_floats || holds_histograms,
        };
        if !is_allowed {
            return Some(match aggregate {
                Aggregate::Count | Aggregate::Min | Aggregate::Max => "that of floats, 1 or 4",
                Aggregate::Sum | Aggregate::Counter => "that of floats or histograms, 1 to 6",
            });
        }
        let is_mixed = aggregate != Aggregate::Count
            && *self.holds_histograms.get_or_insert(holds_histograms) != holds_histograms;
        is_mixed.then_some("floats or histograms as in the aggregates before it")
    }

    /// Demands that nothing is left.
    fn finish(&self) -> Result<(), DecodeError> {
        if self.cursor.is_empty() {
            return Ok(());
        }
        let left = self.cursor.rest().len() as u64;
        Err(DecodeError::invalid(self.cursor.offset(), "number of bytes behind the aggregates", left, "0"))
    }
}
