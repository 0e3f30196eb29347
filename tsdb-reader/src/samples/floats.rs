//! Float samples of one chunk: one decoder, read one by one or into columns.
//!
//! An encoding is a [`FloatState`]: a small value from which the next one follows. Its hot path, `next_fast`, may
//! decline a sample, near the end of the data or for a rare field; `next_checked` then reads that sample field by
//! field, and knows what is wrong with it if it is wrong.

use super::bits::Bits;
use super::xor::XorState;
use super::xor2::Xor2State;
use super::{FloatColumns, FloatSample};
use crate::error::DecodeError;

/// What an encoding knows after a sample.
pub(super) trait FloatState: Copy {
    /// Reads the header: the number of samples, and the state before the first.
    fn open(bits: &Bits<'_>) -> Result<(u32, Self), DecodeError>;

    /// The sample this state stands at.
    fn sample(&self) -> FloatSample;

    /// False when the header tells that no sample of this chunk has a start timestamp.
    fn may_have_start_times(&self) -> bool;

    /// The state after sample `index`, which is at least 2. `None` leaves the sample to `next_checked`.
    fn next_fast(self, bits: &Bits<'_>, index: u32) -> Option<Self>;

    /// The same for any sample, every field checked.
    fn next_checked(self, bits: &Bits<'_>, index: u32) -> Result<Self, DecodeError>;
}

/// The float samples of a chunk, in order; over after the first error.
#[derive(Debug, Clone)]
pub struct FloatSamples<'a>(Encoded<'a>);

#[derive(Debug, Clone)]
enum Encoded<'a> {
    Xor(Decoder<'a, XorState>),
    Xor2(Decoder<'a, Xor2State>),
}

impl<'a> FloatSamples<'a> {
    /// The samples of XOR chunk data that begins at `offset` of its file.
    pub fn xor(data: &'a [u8], offset: u64) -> Result<Self, DecodeError> {
        Decoder::open(data, offset).map(|decoder| Self(Encoded::Xor(decoder)))
    }

    /// The samples of XOR2 chunk data that begins at `offset` of its file.
    pub fn xor2(data: &'a [u8], offset: u64) -> Result<Self, DecodeError> {
        Decoder::open(data, offset).map(|decoder| Self(Encoded::Xor2(decoder)))
    }

    /// Appends the samples not read yet. Those before an error stay appended.
    pub fn append_to(self, columns: &mut FloatColumns) -> Result<(), DecodeError> {
        match self.0 {
            Encoded::Xor(decoder) => decoder.append_to(columns),
            Encoded::Xor2(decoder) => decoder.append_to(columns),
        }
    }
}

impl Iterator for FloatSamples<'_> {
    type Item = Result<FloatSample, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Encoded::Xor(decoder) => decoder.next(),
            Encoded::Xor2(decoder) => decoder.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = match &self.0 {
            Encoded::Xor(decoder) => decoder.most_left(),
            Encoded::Xor2(decoder) => decoder.most_left(),
        };
        (0, Some(most.saturating_add(1)))
    }
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
        let bits = Bits::new(data, offset);
        let (count, state) = S::open(&bits)?;
        Ok(Self { bits, state, index: 0, count })
    }

    /// The samples not read yet, as far as the data can hold them: each takes a bit at least.
    fn most_left(&self) -> usize {
        let most = self.bits.end().min(u64::from(self.count - self.index));
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    #[inline(always)]
    fn step(state: S, bits: &Bits<'_>, index: u32) -> Result<S, DecodeError> {
        if index >= 2
            && let Some(next) = state.next_fast(bits, index)
        {
            return Ok(next);
        }
        state.next_checked(bits, index)
    }

    fn next(&mut self) -> Option<Result<FloatSample, DecodeError>> {
        if self.index >= self.count {
            return None;
        }
        match Self::step(self.state, &self.bits, self.index) {
            Ok(state) => {
                (self.state, self.index) = (state, self.index + 1);
                Some(Ok(state.sample()))
            }
            Err(error) => {
                self.index = self.count; // What follows a broken sample is noise.
                Some(Err(error))
            }
        }
    }

    fn append_to(mut self, columns: &mut FloatColumns) -> Result<(), DecodeError> {
        let (start, most) = (columns.len(), self.most_left());
        columns.times_ms.resize(start + most, 0);
        columns.values.resize(start + most, 0.0);
        let times_ms = columns.times_ms.get_mut(start..).unwrap_or_default();
        let values = columns.values.get_mut(start..).unwrap_or_default();
        let mut start_times_ms = vec![0; if self.state.may_have_start_times() { most } else { 0 }];

        let filled = self.fill(times_ms, values, &mut start_times_ms);
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
        times_ms: &mut [i64],
        values: &mut [f64],
        start_times_ms: &mut [i64],
    ) -> Result<(), (usize, DecodeError)> {
        let (bits, mut state, mut index) = (&self.bits, self.state, self.index);
        for (done, (time_ms, value)) in times_ms.iter_mut().zip(values).enumerate() {
            state = Self::step(state, bits, index).map_err(|error| (done, error))?;
            index += 1;
            let sample = state.sample();
            (*time_ms, *value) = (sample.timestamp_ms, sample.value);
            if let Some(start_time_ms) = start_times_ms.get_mut(done) {
                *start_time_ms = sample.start_timestamp_ms;
            }
        }
        (self.state, self.index) = (state, index);
        Ok(())
    }
}
