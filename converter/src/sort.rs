//! Sorting series whose labels change their order: in memory, then in runs on disk.
//!
//! ```text
//! run on disk   │ key length u32 │ key │ series ref u64 │ …      little-endian, private to one process
//! ```
//! A block's index gives series in label order. External, added, dropped or kept labels may change that order
//! within a metric, so its series are sorted again. What does not fit the budget is spilled as sorted runs to
//! the temporary folder and merged from there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use tsdb_reader::SeriesRef;

/// A key and the series it belongs to, by which it is found again.
pub type Keyed = (Vec<u8>, SeriesRef);

/// Collects keys, gives them back in order.
#[derive(Debug)]
pub struct Sorter<'a> {
    temp_dir: &'a Path,
    budget_bytes: usize,
    held: Vec<Keyed>,
    held_bytes: usize,
    runs: Vec<File>,
}

impl<'a> Sorter<'a> {
    /// A sorter that holds about `budget_bytes` before it spills to `temp_dir`.
    pub fn new(temp_dir: &'a Path, budget_bytes: usize) -> Self {
        Self { temp_dir, budget_bytes, held: Vec::new(), held_bytes: 0, runs: Vec::new() }
    }

    /// Adds a key.
    pub fn push(&mut self, key: Vec<u8>, series_ref: SeriesRef) -> io::Result<()> {
        self.held_bytes += key.capacity() + size_of::<Keyed>();
        self.held.push((key, series_ref));
        if self.held_bytes > self.budget_bytes { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        let mut run = BufWriter::new(tempfile::tempfile_in(self.temp_dir)?);
        for (key, SeriesRef(series_ref)) in self.held.drain(..) {
            let len = u32::try_from(key.len()).map_err(io::Error::other)?;
            run.write_all(&len.to_le_bytes())?;
            run.write_all(&key)?;
            run.write_all(&series_ref.to_le_bytes())?;
        }
        self.held_bytes = 0;
        let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(file);
        Ok(())
    }

    /// The keys in order, those of equal series by reference.
    pub fn finish(mut self) -> io::Result<Sorted> {
        self.held.sort_unstable();
        let mut runs: Vec<Run> = self.runs.into_iter().map(|file| Run::Disk(BufReader::new(file))).collect();
        runs.push(Run::Memory(self.held.into_iter()));
        let mut heads = BinaryHeap::new();
        for (at, run) in runs.iter_mut().enumerate() {
            if let Some(keyed) = run.next()? {
                heads.push(Reverse((keyed, at)));
            }
        }
        Ok(Sorted { runs, heads })
    }
}

#[derive(Debug)]
enum Run {
    Memory(std::vec::IntoIter<Keyed>),
    Disk(BufReader<File>),
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Keyed>> {
        let reader = match self {
            Self::Memory(held) => return Ok(held.next()),
            Self::Disk(reader) => reader,
        };
        let mut len = [0; 4];
        match reader.read_exact(&mut len) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let mut key = vec![0; u32::from_le_bytes(len) as usize];
        reader.read_exact(&mut key)?;
        let mut series_ref = [0; 8];
        reader.read_exact(&mut series_ref)?;
        Ok(Some((key, SeriesRef(u64::from_le_bytes(series_ref)))))
    }
}

/// Keys in order.
#[derive(Debug)]
pub struct Sorted {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Keyed, usize)>>,
}

impl Iterator for Sorted {
    type Item = io::Result<Keyed>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((keyed, at)) = self.heads.pop()?;
        match self.runs.get_mut(at).map(Run::next) {
            Some(Ok(Some(next))) => self.heads.push(Reverse((next, at))),
            Some(Err(error)) => return Some(Err(error)),
            Some(Ok(None)) | None => {}
        }
        Some(Ok(keyed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_in_order_whether_or_not_they_spill() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<Keyed> =
            (0..1000u64).map(|n| ((n * 7919 % 1000).to_be_bytes().to_vec(), SeriesRef(n))).collect();
        let mut expected = keys.clone();
        expected.sort();
        for budget in [0, 1000, 1 << 30] {
            let mut sorter = Sorter::new(folder.path(), budget);
            for (key, series_ref) in keys.clone() {
                sorter.push(key, series_ref).unwrap();
            }
            let sorted: Vec<Keyed> = sorter.finish().unwrap().map(Result::unwrap).collect();
            assert_eq!(sorted, expected, "budget {budget}");
        }
    }
}
