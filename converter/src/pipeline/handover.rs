//! Hand-over: encoded rows on their way from the worker that encodes a slice to the files of its unit.
//!
//! ```text
//! slice whose turn it is   part ─► part ─► part …  ─────────────────────► files
//! slice behind it          part ─► part │ held; beyond a place's share another place is taken, or the turn awaited
//! ```
//! One series with very many histograms is one slice, however long it is. All that was encoded of it would be held
//! until it ends, so what exceeds a share is appended as soon as all slices before it are. The order of appending is
//! the same in any case. The first slice of a unit that is not appended never waits, and whoever waits appends what
//! others have done meanwhile: so some worker always goes on.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::{Pool, Writer, begin_again, next_append};
use crate::convert::ConvertError;
use crate::sink::EncodedRows;

/// Bytes of encoded rows that a slice may hold for each of its places.
const HELD_BYTES_PER_PLACE: usize = 16 << 20;

/// Encoded rows of a slice that wait to be appended.
#[derive(Debug, Default)]
pub(super) struct Held {
    rows: Vec<EncodedRows>,
    size_bytes: usize,
    /// Places taken besides the one that every slice has.
    more_places: usize,
}

impl Held {
    /// How many places it takes of those for slices in flight.
    pub(super) fn places(&self) -> usize {
        1 + self.more_places
    }
}

/// What a slice that holds its share may do.
enum Turn {
    /// Append: all slices before it are.
    Append(Box<Writer>),
    /// Hold more: another place is taken.
    Hold,
    /// Nothing: its unit begins again.
    GiveUp,
}

impl Pool<'_> {
    /// Takes encoded rows of slice `index` of unit `id`; appends what is held, or waits for that, if it is too much.
    pub(super) fn hand_over(
        &self,
        (id, index): (u64, usize),
        encoded: EncodedRows,
        held: &mut Held,
    ) -> Result<(), ConvertError> {
        held.size_bytes += encoded.memory_size();
        held.rows.push(encoded);
        if held.size_bytes <= HELD_BYTES_PER_PLACE * held.places() {
            return Ok(());
        }
        match self.turn(id, index)? {
            Turn::Hold => held.more_places += 1,
            Turn::Append(mut writer) => {
                self.append_rows(&mut writer, held)?;
                self.give_back(id, writer);
            }
            Turn::GiveUp => held.rows.clear(),
        }
        Ok(())
    }

    /// Waits until the slice may go on, and appends what others have done meanwhile.
    fn turn(&self, id: u64, index: usize) -> Result<Turn, ConvertError> {
        let mut state = self.lock();
        loop {
            if self.is_stopped(&state) {
                return Err(ConvertError::Stopped);
            }
            let is_full = state.slices_in_flight >= self.work.slices_in_flight;
            let Some(active) = state.active.iter_mut().find(|active| active.id == id && !active.again) else {
                return Ok(Turn::GiveUp);
            };
            if active.appended == index {
                if let Some(writer) = active.writer.take() {
                    return Ok(Turn::Append(writer));
                }
            } else if !is_full {
                state.slices_in_flight += 1;
                return Ok(Turn::Hold);
            }
            state = match next_append(&mut state) {
                Some(append) => {
                    drop(state);
                    self.append(append)?;
                    self.changed.notify_all();
                    self.lock()
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Appends the rows held, in order.
    pub(super) fn append_rows(&self, writer: &mut Writer, held: &mut Held) -> Result<(), ConvertError> {
        held.size_bytes = 0;
        for encoded in held.rows.drain(..) {
            writer.output.tally.replaced_utf8 += encoded.replaced_utf8();
            let bytes = encoded.memory_size() as u64;
            writer.tables.append(encoded)?;
            self.work.progress.bytes_written.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Gives the writer of a unit back, which begins again if that was waited for.
    pub(super) fn give_back(&self, id: u64, writer: Box<Writer>) {
        let mut state = self.lock();
        if let Some(active) = state.active.iter_mut().find(|active| active.id == id) {
            active.writer = Some(writer);
            if active.again {
                begin_again(&mut state, id);
            }
        }
        drop(state);
        self.changed.notify_all();
    }
}
