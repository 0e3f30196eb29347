//! Float samples of chunks: one decoder, read one by one or into columns.
//!
//! An encoding is a [`FloatState`]. `next_checked` reads a sample field by field and knows what is wrong with it if
//! it is wrong. A *run* is many calls of `step`, which trusts that a block holds the sample whole, and declines what
//! is rare; a run that went past the end of the data counts for nothing, and its samples are read with checks.
//! What does not tell where the next sample stands is left to `apply`, behind the run: with so little to keep, two
//! chunks can run in turn, and neither waits for where its own next sample begins.

use super::bits::{Bits, Block, peek_varbit_int};
use super::window::ValueWindow;
use super::xor::XorState;
use super::xor2::Xor2State;
use super::{FloatColumns, FloatSample, TracedSample};
use crate::chunks::{Chunk, Encoding};
use crate::error::DecodeError;
use crate::trace::Trace;

/// Samples of one run: as many as most chunks have.
const RUN: usize = 120;

/// Samples at the beginning that are read with checks: they have codes of their own.
const BEGINNING: u32 = 2;

/// Samples decoded ahead of an iterator.
const BATCH: u32 = 32;

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

/// What an encoding knows after a sample.
pub(super) trait FloatState: Copy {
    /// Reads the header: the number of samples, and the state before the first.
    fn open(bits: &Bits<'_>) -> Result<(u32, Self), DecodeError>;

    /// Goes to sample `index`, every field checked. After an error the state is none.
    fn next_checked(&mut self, bits: &Bits<'_>, index: u32) -> Result<(), DecodeError>;

    /// The sample this state stands at.
    fn sample(&self) -> FloatSample;

    /// Where the next sample stands.
    fn place(&mut self) -> &mut Place;

    /// The first sample with a start timestamp of its own; `u32::MAX` without any.
    fn first_start(&self) -> u32;

    /// False when the header tells that no sample of this chunk has a start timestamp.
    fn may_have_start_times(&self) -> bool;

    /// Reads a sample, its start timestamp apart, that is not of the beginning. `None` leaves it to `next_checked`.
    /// Bit positions are those of the block.
    fn step(place: Place, block: &Block) -> Option<Step>;

    /// Appends the samples of a run: from changes of the delta their timestamps, from XORs their values.
    fn apply(&mut self, dods_ms: &[i64], xors: &[u64], columns: &mut FloatColumns);

    /// The start timestamp of sample `index` from its field, if it has one of its own; `previous_ms` is the
    /// timestamp of the sample before.
    fn apply_start(&mut self, index: u32, previous_ms: i64, field_ms: Option<i64>) -> i64;
}

/// The float samples of a chunk, in order; over after the first error.
#[derive(Debug, Clone)]
pub struct FloatSamples<'a> {
    encoded: Encoded<'a>,
    scratch: Scratch,
    batch: FloatColumns,
    /// The next sample of the batch.
    at: usize,
    /// What comes after the batch; then nothing does.
    error: Option<DecodeError>,
}

impl<'a> FloatSamples<'a> {
    pub(crate) fn open(chunk: &'a Chunk) -> Result<Self, DecodeError> {
        let (encoded, batch) = (Encoded::open(chunk)?, FloatColumns::default());
        Ok(Self { encoded, scratch: Scratch::new(), batch, at: 0, error: None })
    }

    #[cold]
    fn refill(&mut self) {
        self.batch.clear();
        self.at = 0;
        self.error = self.encoded.append_to(BATCH, &mut self.scratch, &mut self.batch).err();
    }
}

impl Iterator for FloatSamples<'_> {
    type Item = Result<FloatSample, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.batch.len() && self.error.is_none() {
            self.refill();
        }
        let (Some(&timestamp_ms), Some(&value)) =
            (self.batch.times_ms.get(self.at), self.batch.values.get(self.at))
        else {
            return self.error.take().map(Err);
        };
        let start_timestamp_ms = self.batch.start_times_ms.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        Some(Ok(FloatSample { timestamp_ms, start_timestamp_ms, value }))
    }
}

/// Decodes chunks into columns. One of them serves many chunks: it owns the memory that decoding needs.
#[derive(Debug, Clone)]
pub struct FloatDecoder {
    scratch: [Scratch; 2],
}

impl Default for FloatDecoder {
    fn default() -> Self {
        Self { scratch: [Scratch::new(), Scratch::new()] }
    }
}

impl FloatDecoder {
    /// Appends the samples of `chunks`, one chunk after the other; on error also tells which of them it was.
    ///
    /// Faster than chunk by chunk, for it decodes two at once. Samples before the error stay appended.
    pub fn append<'a>(
        &mut self,
        chunks: impl IntoIterator<Item = &'a Chunk>,
        columns: &mut FloatColumns,
    ) -> Result<(), (usize, DecodeError)> {
        let mut chunks = chunks.into_iter().peekable();
        let mut place = 0;
        while let Some(chunk) = chunks.next() {
            let mut first = Encoded::open(chunk).map_err(|error| (place, error))?;
            let second = chunks.peek().filter(|_| first.pairs()).and_then(|next| Encoded::open(next).ok());
            let scratch = &mut self.scratch;
            let appended = match (&mut first, second.filter(Encoded::pairs)) {
                (Encoded::Xor(a), Some(Encoded::Xor(b))) => append_pair(a, b, scratch, columns).map(|()| 2),
                (Encoded::Xor2(a), Some(Encoded::Xor2(b))) => append_pair(a, b, scratch, columns).map(|()| 2),
                (first, _) => {
                    let [scratch, _] = scratch;
                    scratch.block.clear();
                    first.append_to(u32::MAX, scratch, columns).map(|()| 1).map_err(|error| (0, error))
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
}

/// Appends the samples of one chunk.
pub(crate) fn append_chunk(chunk: &Chunk, columns: &mut FloatColumns) -> Result<(), DecodeError> {
    Encoded::open(chunk)?.append_to(u32::MAX, &mut Scratch::new(), columns)
}

/// Reads the samples of a chunk one by one, every field of them noted.
pub(crate) fn trace_floats(
    chunk: &Chunk,
    trace: &Trace,
    each: &mut dyn FnMut(Option<TracedSample>),
) -> Result<(), DecodeError> {
    let bits = Bits::traced(chunk.data(), chunk.offset(), trace);
    match chunk.encoding() {
        Encoding::Xor => Decoder::<XorState>::over(bits)?.trace(each),
        Encoding::Xor2 => Decoder::<Xor2State>::over(bits)?.trace(each),
        _ => Err(chunk.unsupported()),
    }
}

/// Appends `a`, then `b`; on error also tells which of them it was.
fn append_pair<S: FloatState>(
    a: &mut Decoder<'_, S>,
    mut b: Decoder<'_, S>,
    scratch: &mut [Scratch; 2],
    columns: &mut FloatColumns,
) -> Result<(), (usize, DecodeError)> {
    let [scratch_a, scratch_b] = scratch;
    scratch_a.block.clear();
    scratch_b.block.clear();
    a.append_to(BEGINNING, scratch_a, columns).map_err(|error| (0, error))?;
    let mut begun = b.clone();
    if let (Ok(first), Ok(second)) = (begun.next_checked(), begun.next_checked()) {
        let (run_a, run_b) = run_pair(a, &mut begun, scratch_a, scratch_b);
        a.append_run(run_a, scratch_a, columns);
        a.append_to(u32::MAX, scratch_a, columns).map_err(|error| (0, error))?;
        columns.push(first);
        columns.push(second);
        begun.append_run(run_b, scratch_b, columns);
        b = begun;
    } else {
        a.append_to(u32::MAX, scratch_a, columns).map_err(|error| (0, error))?;
    }
    b.append_to(u32::MAX, scratch_b, columns).map_err(|error| (1, error))
}

/// A run of both, a sample each in turn, until one is declined.
fn run_pair<S: FloatState>(
    a: &mut Decoder<'_, S>,
    b: &mut Decoder<'_, S>,
    scratch_a: &mut Scratch,
    scratch_b: &mut Scratch,
) -> (Run, Run) {
    let (mut place_a, mut place_b) = (*a.state.place(), *b.state.place());
    let start_a = scratch_a.block.load(&a.bits, place_a.at);
    let start_b = scratch_b.block.load(&b.bits, place_b.at);
    place_a.at -= start_a;
    place_b.at -= start_b;
    let mut done = 0;
    let slots_a = scratch_a.dods_ms.iter_mut().zip(&mut scratch_a.xors);
    let slots_b = scratch_b.dods_ms.iter_mut().zip(&mut scratch_b.xors);
    let left = a.count.saturating_sub(a.index).min(b.count.saturating_sub(b.index));
    for (((dod_a, xor_a), (dod_b, xor_b)), _) in slots_a.zip(slots_b).zip(0..left) {
        let Some(step_a) = S::step(place_a, &scratch_a.block) else { break };
        (*dod_a, *xor_a) = (step_a.dod_ms, step_a.xor);
        let Some(step_b) = S::step(place_b, &scratch_b.block) else { break };
        (*dod_b, *xor_b) = (step_b.dod_ms, step_b.xor);
        (place_a, place_b) = (step_a.next, step_b.next);
        done += 1;
    }
    place_a.at = place_a.at.saturating_add(start_a);
    place_b.at = place_b.at.saturating_add(start_b);
    (Run { place: place_a, done }, Run { place: place_b, done })
}

#[derive(Debug, Clone)]
enum Encoded<'a> {
    Xor(Decoder<'a, XorState>),
    Xor2(Decoder<'a, Xor2State>),
}

impl<'a> Encoded<'a> {
    fn open(chunk: &'a Chunk) -> Result<Self, DecodeError> {
        match chunk.encoding() {
            Encoding::Xor => Decoder::open(chunk.data(), chunk.offset()).map(Self::Xor),
            Encoding::Xor2 => Decoder::open(chunk.data(), chunk.offset()).map(Self::Xor2),
            _ => Err(chunk.unsupported()),
        }
    }

    /// True when the chunk may be decoded along with another one: it has more than the beginning, whose samples are
    /// read without asking the count again.
    fn pairs(&self) -> bool {
        match self {
            Self::Xor(decoder) => decoder.count > BEGINNING,
            Self::Xor2(decoder) => decoder.count > BEGINNING && !decoder.state.may_have_start_times(),
        }
    }

    fn append_to(
        &mut self,
        most: u32,
        scratch: &mut Scratch,
        columns: &mut FloatColumns,
    ) -> Result<(), DecodeError> {
        match self {
            Self::Xor(decoder) => decoder.append_to(most, scratch, columns),
            Self::Xor2(decoder) => decoder.append_to(most, scratch, columns),
        }
    }
}

/// What a run reads from and into.
#[derive(Debug, Clone)]
struct Scratch {
    block: Block,
    dods_ms: [i64; RUN],
    xors: [u64; RUN],
    start_fields_ms: [i64; RUN],
}

impl Scratch {
    fn new() -> Self {
        Self { block: Block::new(), dods_ms: [0; RUN], xors: [0; RUN], start_fields_ms: [0; RUN] }
    }
}

/// How far a run came.
struct Run {
    place: Place,
    done: usize,
}

#[derive(Debug, Clone)]
struct Decoder<'a, S> {
    bits: Bits<'a>,
    state: S,
    index: u32,
    count: u32,
}

impl<'a, S: FloatState> Decoder<'a, S> {
    fn open(data: &'a [u8], offset: u64) -> Result<Self, DecodeError> {
        Self::over(Bits::new(data, offset))
    }

    fn over(bits: Bits<'a>) -> Result<Self, DecodeError> {
        let (count, state) = S::open(&bits)?;
        Ok(Self { bits, state, index: 0, count })
    }

    /// Tells of the header, then of each sample.
    fn trace(mut self, each: &mut dyn FnMut(Option<TracedSample>)) -> Result<(), DecodeError> {
        each(None);
        while self.index < self.count {
            each(Some(TracedSample::Float(self.next_checked()?)));
        }
        Ok(())
    }

    /// Appends the next `most` samples, or what there is of them. There are none after an error.
    fn append_to(
        &mut self,
        most: u32,
        scratch: &mut Scratch,
        columns: &mut FloatColumns,
    ) -> Result<(), DecodeError> {
        let appended = self.append_until(self.count.min(self.index.saturating_add(most)), scratch, columns);
        columns.pad_start_times();
        appended
    }

    fn append_until(
        &mut self,
        until: u32,
        scratch: &mut Scratch,
        columns: &mut FloatColumns,
    ) -> Result<(), DecodeError> {
        let mut may_run = true;
        while self.index < until {
            if self.index >= BEGINNING && may_run {
                let run = if self.index >= self.state.first_start() {
                    self.run::<true>(until, scratch)
                } else {
                    self.run::<false>(until.min(self.state.first_start()), scratch)
                };
                let done = run.done;
                may_run = self.append_run(run, scratch, columns);
                if may_run && done == RUN {
                    continue;
                }
            }
            if self.index < until {
                columns.push(self.next_checked()?);
            }
        }
        Ok(())
    }

    fn next_checked(&mut self) -> Result<FloatSample, DecodeError> {
        if let Err(error) = self.state.next_checked(&self.bits, self.index) {
            self.index = self.count; // What follows a broken sample is noise.
            return Err(error);
        }
        self.index += 1;
        Ok(self.state.sample())
    }

    /// A run up to sample `until`. With `STARTS` each sample has a start timestamp of its own, else none has.
    fn run<const STARTS: bool>(&mut self, until: u32, scratch: &mut Scratch) -> Run {
        let (mut place, mut done) = (*self.state.place(), 0);
        let start = scratch.block.load(&self.bits, place.at);
        place.at -= start;
        let fields = scratch.dods_ms.iter_mut().zip(&mut scratch.xors).zip(&mut scratch.start_fields_ms);
        for (((dod_ms, xor), start_field_ms), _) in fields.zip(self.index..until) {
            let Some(mut step) = S::step(place, &scratch.block) else { break };
            if STARTS {
                let at = step.next.at;
                let window = scratch.block.window(at);
                let Some((field_ms, width)) = window.and_then(|window| peek_varbit_int(window, at & 7))
                else {
                    break;
                };
                *start_field_ms = field_ms;
                step.next.at += width;
            }
            (*dod_ms, *xor) = (step.dod_ms, step.xor);
            place = step.next;
            done += 1;
        }
        place.at = place.at.saturating_add(start);
        Run { place, done }
    }

    /// Goes on behind a run and appends its samples; false when it went past the end and counts for nothing.
    fn append_run(&mut self, run: Run, scratch: &Scratch, columns: &mut FloatColumns) -> bool {
        let (Some(dods_ms), Some(xors)) = (scratch.dods_ms.get(..run.done), scratch.xors.get(..run.done))
        else {
            return false;
        };
        if run.place.at > self.bits.end() {
            return false;
        }
        *self.state.place() = run.place;
        let mut previous_ms = self.state.sample().timestamp_ms;
        let start = columns.len();
        self.state.apply(dods_ms, xors, columns);
        let has_fields = self.index >= self.state.first_start();
        if self.state.may_have_start_times() {
            for (place, field_ms) in scratch.start_fields_ms.iter().take(run.done).enumerate() {
                let field_ms = has_fields.then_some(*field_ms);
                let start_time_ms = self.state.apply_start(self.index, previous_ms, field_ms);
                columns.set_start_time(start + place, start_time_ms);
                previous_ms = columns.times_ms.get(start + place).copied().unwrap_or(previous_ms);
                self.index += 1;
            }
        } else {
            self.index += u32::try_from(run.done).unwrap_or(0);
        }
        true
    }
}
