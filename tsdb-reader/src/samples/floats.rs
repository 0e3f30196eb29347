//! Float samples of one chunk: one decoder, read one by one or into columns.
//!
//! An encoding is a [`FloatState`]: a small value from which the next one follows. `next_checked` reads a sample
//! field by field and knows what is wrong with it if it is wrong. `next_fast` trusts that a block holds the sample
//! whole, and declines what is rare; a run of it that went past the end of the data is read again with checks.

use super::bits::{Bits, Block, peek_varbit_int};
use super::window::ValueWindow;
use super::xor::XorState;
use super::xor2::Xor2State;
use super::{FloatColumns, FloatSample};
use crate::chunks::{Chunk, Encoding};
use crate::error::DecodeError;

/// What an encoding knows after a sample.
pub(super) trait FloatState: Copy {
    /// Reads the header: the number of samples, and the state before the first.
    fn open(bits: &Bits<'_>) -> Result<(u32, Self), DecodeError>;

    /// The sample this state stands at.
    fn sample(&self) -> FloatSample;

    /// Where the next sample stands.
    fn place(&mut self) -> &mut Place;

    /// The first sample with a start timestamp of its own.
    fn first_start(&self) -> u32;

    /// False when the header tells that no sample of this chunk has a start timestamp.
    fn may_have_start_times(&self) -> bool;

    /// Reads a sample, its start timestamp apart, of a chunk that has had two. `None` leaves it to `next_checked`.
    /// Bit positions are those of the block.
    fn step(place: Place, block: &Block) -> Option<Step>;

    /// Turns steps into samples: from changes of the delta into timestamps, from XORs into values, from fields into
    /// start timestamps. The first of them is sample `index`; without `STARTS` none has a start timestamp of its own.
    fn apply<const STARTS: bool>(
        &mut self,
        index: u32,
        times_ms: &mut [i64],
        values: &mut [f64],
        start_times_ms: &mut [i64],
    );

    /// The state after sample `index`, every field checked.
    fn next_checked(self, bits: &Bits<'_>, index: u32) -> Result<Self, DecodeError>;
}

/// Where a sample stands, and the window before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) window: ValueWindow,
}

/// What a sample says of itself.
pub(super) struct Step {
    pub(super) next: Place,
    pub(super) dod_ms: i64,
    pub(super) xor: u64,
}

/// Samples decoded ahead of the iterator.
const BATCH: usize = 32;

/// The float samples of a chunk, in order; over after the first error.
#[derive(Debug, Clone)]
pub struct FloatSamples<'a> {
    encoded: Encoded<'a>,
    block: Block,
    times_ms: [i64; BATCH],
    values: [f64; BATCH],
    start_times_ms: [i64; BATCH],
    /// The next sample of the batch.
    at: usize,
    /// Samples in the batch.
    len: usize,
    /// What comes after the batch; then nothing does.
    error: Option<DecodeError>,
}

#[derive(Debug, Clone)]
enum Encoded<'a> {
    Xor(Decoder<'a, XorState>),
    Xor2(Decoder<'a, Xor2State>),
}

impl<'a> FloatSamples<'a> {
    pub(crate) fn open(chunk: &'a Chunk) -> Result<Self, DecodeError> {
        let encoded = Encoded::open(chunk)?;
        let (times_ms, values, start_times_ms) = ([0; BATCH], [0.0; BATCH], [0; BATCH]);
        Ok(Self {
            encoded,
            block: Block::new(),
            times_ms,
            values,
            start_times_ms,
            at: 0,
            len: 0,
            error: None,
        })
    }

    /// Decodes the next batch, and the error behind it.
    #[cold]
    fn refill(&mut self) {
        let most = self.encoded.most_left().min(BATCH);
        let times_ms = self.times_ms.get_mut(..most).unwrap_or_default();
        let filled = self.encoded.fill(&mut self.block, times_ms, &mut self.values, &mut self.start_times_ms);
        (self.at, self.len) = (0, most);
        if let Err((done, error)) = filled {
            (self.len, self.error) = (done, Some(error));
        }
    }
}

impl Iterator for FloatSamples<'_> {
    type Item = Result<FloatSample, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.len {
            if self.error.is_none() {
                self.refill();
            }
            if self.at >= self.len {
                return self.error.take().map(Err);
            }
        }
        let sample = FloatSample {
            timestamp_ms: *self.times_ms.get(self.at)?,
            start_timestamp_ms: *self.start_times_ms.get(self.at)?,
            value: *self.values.get(self.at)?,
        };
        self.at += 1;
        Some(Ok(sample))
    }
}

impl<'a> Encoded<'a> {
    fn open(chunk: &'a Chunk) -> Result<Self, DecodeError> {
        match chunk.encoding() {
            Encoding::Xor => Decoder::open(chunk.data(), chunk.offset()).map(Self::Xor),
            Encoding::Xor2 => Decoder::open(chunk.data(), chunk.offset()).map(Self::Xor2),
            _ => Err(chunk.unsupported()),
        }
    }

    /// True when the chunk may be decoded along with another one.
    fn pairs(&self) -> bool {
        let starts = match self {
            Self::Xor(decoder) => decoder.state.may_have_start_times(),
            Self::Xor2(decoder) => decoder.state.may_have_start_times(),
        };
        !starts && self.most_left() > BEGINNING
    }

    fn most_left(&self) -> usize {
        match self {
            Self::Xor(decoder) => decoder.most_left(),
            Self::Xor2(decoder) => decoder.most_left(),
        }
    }

    fn fill(
        &mut self,
        block: &mut Block,
        times_ms: &mut [i64],
        values: &mut [f64],
        start_times_ms: &mut [i64],
    ) -> Result<(), (usize, DecodeError)> {
        match self {
            Self::Xor(decoder) => decoder.fill(block, times_ms, values, start_times_ms),
            Self::Xor2(decoder) => decoder.fill(block, times_ms, values, start_times_ms),
        }
    }

    fn append_to(self, block: &mut Block, columns: &mut FloatColumns) -> Result<(), DecodeError> {
        match self {
            Self::Xor(decoder) => decoder.append_to(block, columns),
            Self::Xor2(decoder) => decoder.append_to(block, columns),
        }
    }
}

/// Samples at the beginning that are read with checks: they have codes of their own.
const BEGINNING: usize = 2;

#[derive(Debug, Clone)]
struct Decoder<'a, S> {
    bits: Bits<'a>,
    state: S,
    index: u32,
    count: u32,
}

impl<'a, S: FloatState> Decoder<'a, S> {
    fn open(data: &'a [u8], offset: u64) -> Result<Self, DecodeError> {
        let bits = Bits::new(data, offset);
        let (count, state) = S::open(&bits)?;
        Ok(Self { bits, state, index: 0, count })
    }

    /// The samples not read yet, as far as the data can hold them: each takes a bit at least.
    fn most_left(&self) -> usize {
        let most = self.bits.end().min(u64::from(self.count - self.index));
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    fn append_to(mut self, block: &mut Block, columns: &mut FloatColumns) -> Result<(), DecodeError> {
        block.clear();
        let (start, most) = (columns.len(), self.most_left());
        columns.times_ms.resize(start + most, 0);
        columns.values.resize(start + most, 0.0);
        let times_ms = columns.times_ms.get_mut(start..).unwrap_or_default();
        let values = columns.values.get_mut(start..).unwrap_or_default();
        let mut start_times_ms = vec![0; if self.state.may_have_start_times() { most } else { 0 }];

        let filled = self.fill(block, times_ms, values, &mut start_times_ms);
        let done = match filled {
            Ok(()) => most,
            Err((done, _)) => done,
        };
        columns.times_ms.truncate(start + done);
        columns.values.truncate(start + done);
        start_times_ms.truncate(done);
        columns.append_start_times(start, &start_times_ms);
        filled.map_err(|(_, error)| error)
    }

    /// Decodes as many samples as there is room; on error also tells how many are good.
    fn fill(
        &mut self,
        block: &mut Block,
        times_ms: &mut [i64],
        values: &mut [f64],
        start_times_ms: &mut [i64],
    ) -> Result<(), (usize, DecodeError)> {
        let (mut done, mut run_too_far) = (0, false);
        while done < times_ms.len() {
            if self.index as usize >= BEGINNING && !run_too_far {
                let times_ms = times_ms.get_mut(done..).unwrap_or_default();
                let values = values.get_mut(done..).unwrap_or_default();
                let start_times_ms = start_times_ms.get_mut(done..).unwrap_or_default();
                let ran = if self.index >= self.state.first_start() {
                    self.run::<true>(block, times_ms, values, start_times_ms)
                } else {
                    self.run::<false>(block, times_ms, values, start_times_ms)
                };
                run_too_far = ran.is_none();
                done += ran.unwrap_or(0);
            }
            let (Some(time_ms), Some(value)) = (times_ms.get_mut(done), values.get_mut(done)) else { break };
            match self.state.next_checked(&self.bits, self.index) {
                Ok(state) => self.state = state,
                Err(error) => {
                    self.index = self.count; // What follows a broken sample is noise.
                    return Err((done, error));
                }
            }
            let sample = self.state.sample();
            (*time_ms, *value) = (sample.timestamp_ms, sample.value);
            if let Some(start_time_ms) = start_times_ms.get_mut(done) {
                *start_time_ms = sample.start_timestamp_ms;
            }
            (self.index, done) = (self.index + 1, done + 1);
        }
        Ok(())
    }

    /// Fills in the samples that no run begins with, and leaves room for the others.
    fn begin(&mut self, block: &mut Block, times_ms: &mut &mut [i64], values: &mut &mut [f64]) -> Filled {
        let times_ms = times_ms.split_off_mut(..BEGINNING).unwrap_or_default();
        let values = values.split_off_mut(..BEGINNING).unwrap_or_default();
        self.fill(block, times_ms, values, &mut [])
    }

    /// Goes on behind a run of `done` samples in a block that begins at `start`. `None` when the run went past the
    /// end of the data: it counts for nothing then.
    fn take_run<const STARTS: bool>(
        &mut self,
        mut place: Place,
        start: u64,
        times_ms: &mut [i64],
        values: &mut [f64],
        start_times_ms: &mut [i64],
    ) -> Option<usize> {
        place.at = place.at.saturating_add(start);
        if place.at > self.bits.end() {
            return None;
        }
        *self.state.place() = place;
        let done = times_ms.len();
        self.state.apply::<STARTS>(self.index, times_ms, values, start_times_ms);
        self.index += u32::try_from(done).ok()?;
        Some(done)
    }

    /// Decodes samples until one is declined; tells how many. `None` when they count for nothing.
    #[inline(always)]
    fn run<const STARTS: bool>(
        &mut self,
        block: &mut Block,
        times_ms: &mut [i64],
        values: &mut [f64],
        start_times_ms: &mut [i64],
    ) -> Option<usize> {
        // The loop is short of registers: what does not tell where the next sample stands is applied behind it.
        let (mut place, mut done) = (*self.state.place(), 0);
        let start = block.load(&self.bits, place.at);
        place.at -= start;
        let until = if STARTS { u32::MAX } else { self.state.first_start() };
        for ((time_ms, value), _) in times_ms.iter_mut().zip(values.iter_mut()).zip(self.index..until) {
            let Some(step) = S::step(place, block) else { break };
            let mut next = step.next;
            if STARTS {
                let window = block.window(next.at);
                let Some((field_ms, width)) = window.and_then(|window| peek_varbit_int(window, next.at & 7))
                else {
                    break;
                };
                let Some(start_time_ms) = start_times_ms.get_mut(done) else { break };
                *start_time_ms = field_ms;
                next.at += width;
            }
            (*time_ms, *value) = (step.dod_ms, f64::from_bits(step.xor));
            place = next;
            done += 1;
        }
        let times_ms = times_ms.get_mut(..done)?;
        let start_times_ms = start_times_ms.get_mut(..done).unwrap_or_default();
        self.take_run::<STARTS>(place, start, times_ms, values, start_times_ms)
    }
}

/// What [`Decoder::fill`] gives.
type Filled = Result<(), (usize, DecodeError)>;

/// Two chunks decoded in turn, a sample each: neither waits for where its own next sample begins.
struct Pair<'a, S>([Decoder<'a, S>; 2]);

impl<S: FloatState> Pair<'_, S> {
    /// Appends the samples of both; on error also tells which chunk it was.
    fn append_to(self, blocks: &mut [Block; 2], columns: &mut FloatColumns) -> Filled {
        let start = columns.len();
        let [most_a, most_b] = self.0.each_ref().map(Decoder::most_left);
        columns.times_ms.resize(start + most_a + most_b, 0);
        columns.values.resize(start + most_a + most_b, 0.0);
        let times_ms = columns.times_ms.get_mut(start..).unwrap_or_default();
        let values = columns.values.get_mut(start..).unwrap_or_default();
        let (times_a, times_b) = times_ms.split_at_mut(most_a);
        let (values_a, values_b) = values.split_at_mut(most_a);

        let filled = self.fill(blocks, (times_a, values_a), (times_b, values_b));
        let (done, result) = match filled {
            (Err((done, error)), _) => (done, Err((0, error))),
            (Ok(()), Err((done, error))) => (most_a + done, Err((1, error))),
            (Ok(()), Ok(())) => (most_a + most_b, Ok(())),
        };
        columns.times_ms.truncate(start + done);
        columns.values.truncate(start + done);
        columns.append_start_times(start, &[]);
        result
    }

    fn fill(
        self,
        [block_a, block_b]: &mut [Block; 2],
        (mut times_a, mut values_a): (&mut [i64], &mut [f64]),
        (mut times_b, mut values_b): (&mut [i64], &mut [f64]),
    ) -> (Filled, Filled) {
        let Self([mut a, mut b]) = self;
        block_a.clear();
        block_b.clear();
        let begun = a.begin(block_a, &mut times_a, &mut values_a);
        if begun.is_err() {
            return (begun, Ok(()));
        }
        let begun = b.begin(block_b, &mut times_b, &mut values_b);
        let (mut done_a, mut done_b) = (0, 0);
        if begun.is_ok() {
            (done_a, done_b) =
                Self::run([&mut a, &mut b], [block_a, block_b], (times_a, values_a), (times_b, values_b));
        }
        let behind = |(done, error), before| (done + before + BEGINNING, error);
        let times_a = times_a.get_mut(done_a..).unwrap_or_default();
        let values_a = values_a.get_mut(done_a..).unwrap_or_default();
        let filled_a = a.fill(block_a, times_a, values_a, &mut []).map_err(|error| behind(error, done_a));
        if begun.is_err() {
            return (filled_a, begun);
        }
        let times_b = times_b.get_mut(done_b..).unwrap_or_default();
        let values_b = values_b.get_mut(done_b..).unwrap_or_default();
        let filled_b = b.fill(block_b, times_b, values_b, &mut []).map_err(|error| behind(error, done_b));
        (filled_a, filled_b)
    }

    /// Decodes samples of both until one is declined; tells how many of each.
    #[inline(always)]
    fn run(
        [a, b]: [&mut Decoder<'_, S>; 2],
        [block_a, block_b]: [&mut Block; 2],
        (times_a, values_a): (&mut [i64], &mut [f64]),
        (times_b, values_b): (&mut [i64], &mut [f64]),
    ) -> (usize, usize) {
        let (mut place_a, mut place_b) = (*a.state.place(), *b.state.place());
        let start_a = block_a.load(&a.bits, place_a.at);
        let start_b = block_b.load(&b.bits, place_b.at);
        place_a.at -= start_a;
        place_b.at -= start_b;
        let mut done = 0;
        let slots_a = times_a.iter_mut().zip(values_a.iter_mut());
        let slots_b = times_b.iter_mut().zip(values_b.iter_mut());
        for ((time_a, value_a), (time_b, value_b)) in slots_a.zip(slots_b) {
            let Some(step) = S::step(place_a, block_a) else { break };
            let next_a = step.next;
            (*time_a, *value_a) = (step.dod_ms, f64::from_bits(step.xor));
            let Some(step) = S::step(place_b, block_b) else { break };
            (place_a, place_b) = (next_a, step.next);
            (*time_b, *value_b) = (step.dod_ms, f64::from_bits(step.xor));
            done += 1;
        }
        let times_a = times_a.get_mut(..done).unwrap_or_default();
        let times_b = times_b.get_mut(..done).unwrap_or_default();
        (
            a.take_run::<false>(place_a, start_a, times_a, values_a, &mut []).unwrap_or(0),
            b.take_run::<false>(place_b, start_b, times_b, values_b, &mut []).unwrap_or(0),
        )
    }
}

/// Appends the samples of `chunks`, one chunk after the other; on error also tells which of them it was.
///
/// Faster than chunk by chunk. Samples before the error stay appended.
pub fn append_chunks<'a>(
    chunks: impl IntoIterator<Item = &'a Chunk>,
    columns: &mut FloatColumns,
) -> Result<(), (usize, DecodeError)> {
    let mut blocks = [Block::new(), Block::new()];
    let mut chunks = chunks.into_iter().peekable();
    let mut place = 0;
    while let Some(chunk) = chunks.next() {
        let first = Encoded::open(chunk).map_err(|error| (place, error))?;
        let second = chunks.peek().filter(|_| first.pairs()).and_then(|next| Encoded::open(next).ok());
        let appended = match (first, second.filter(Encoded::pairs)) {
            (Encoded::Xor(a), Some(Encoded::Xor(b))) => {
                Pair([a, b]).append_to(&mut blocks, columns).map(|()| 2)
            }
            (Encoded::Xor2(a), Some(Encoded::Xor2(b))) => {
                Pair([a, b]).append_to(&mut blocks, columns).map(|()| 2)
            }
            (first, _) => {
                let [block, _] = &mut blocks;
                first.append_to(block, columns).map(|()| 1).map_err(|error| (0, error))
            }
        };
        let appended = appended.map_err(|(at, error)| (place + at, error))?;
        if appended == 2 {
            chunks.next();
        }
        place += appended;
    }
    Ok(())
}
