//! The memory map of a file: the crate's one use of `unsafe`.
//!
//! Reading 100 GB of chunks through `read` copies every byte once more than needed, and an index is read at
//! scattered places, a few bytes each. A map does neither.

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::MmapOptions;

/// Maps the whole file, read-only. The size is taken from the open file, so the map never reaches past its end.
pub(crate) fn map(file: &File) -> io::Result<Bytes> {
    let len = file.metadata()?.len();
    let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    if len == 0 {
        return Ok(Bytes::new()); // Some systems refuse to map nothing.
    }
    #[expect(unsafe_code, reason = "zero-copy reads of files larger than memory; argued below")]
    // SAFETY: a map is a shared slice only while nobody writes to the file. Finished blocks are never written
    // to: Prometheus, Thanos and Mimir write a block under another name, rename it into place, and later delete
    // it whole, which leaves a map intact. An archive is written once, and what is unpacked of one, or built, lies
    // in a file without a name, which its writer is done with. The files of a head do change while a server runs;
    // `head::LocalFiles` maps them for callers that know of none, and copies them for all others. Against tools that
    // break this rule, no decoder relies on reading the same bytes twice: lengths and offsets are checked each time
    // they are read, so changed bytes end in wrong values or an error. A file that is cut short under us ends the
    // process with SIGBUS instead; `LocalSource::with_positioned_reads` and `LocalFiles::with_copies` are for places
    // where that can happen.
    let map = unsafe { MmapOptions::new().len(len).map(file) }?;
    Ok(Bytes::from_owner(map))
}
