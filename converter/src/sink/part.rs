//! Part files: written under a temporary name, visible only when whole.
//!
//! ```text
//! samples/dt=2026-11-20/.tmp-part-…-0000.parquet     PartWriter: bytes, their count and checksum
//!                            │ finish
//!                        PartFile                     whole, still temporary; removed when dropped
//!                            │ publish: sync, rename
//! samples/dt=2026-11-20/part-…-0000.parquet           Part: what the manifest says of it
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SinkError;

/// What the manifest says of a part file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Name of its table.
    pub table: String,
    /// Path relative to the destination, with `/`.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Series in it.
    pub series: u64,
    /// Its size.
    pub size_bytes: u64,
    /// Smallest timestamp.
    pub min_time_ms: i64,
    /// Largest timestamp, inclusive.
    pub max_time_ms: i64,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
}

/// A whole part file that still has its temporary name. Dropped unpublished, the file is removed.
#[derive(Debug)]
pub struct PartFile {
    part: Part,
    temporary: TemporaryFile,
    target: PathBuf,
}

impl PartFile {
    /// What the manifest says of it.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Where the bytes are now.
    pub fn temporary_path(&self) -> &Path {
        &self.temporary.path
    }

    /// Gives the file its final name, once its bytes are on the disk. One of that name is replaced.
    pub fn publish(mut self) -> Result<Part, SinkError> {
        let temporary = &self.temporary.path;
        let synced = File::open(temporary).and_then(|file| file.sync_all());
        synced.map_err(|source| SinkError::io("sync", temporary, source))?;
        fs::rename(temporary, &self.target).map_err(|source| SinkError::io("rename", temporary, source))?;
        self.temporary.keep = true;
        if let Some(folder) = self.target.parent() {
            // Without this the name may be gone after a crash, and with it the proof of the unit's work.
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|source| SinkError::io("sync", folder, source))?;
        }
        Ok(self.part)
    }
}

/// A file that is removed when dropped, unless kept.
#[derive(Debug)]
struct TemporaryFile {
    path: PathBuf,
    keep: bool,
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.keep {
            // Nobody reads what is left under a temporary name, and the next run overwrites it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Bytes that are gathered before the file system is asked to take them: the Parquet library hands over 8 KiB at once.
const BUFFER_SIZE: usize = 1 << 20;

/// Writes the bytes of one part file, counts and checksums them.
#[derive(Debug)]
pub(super) struct PartWriter {
    file: File,
    buffer: Vec<u8>,
    temporary: TemporaryFile,
    target: PathBuf,
    size_bytes: u64,
    crc32c: u32,
}

impl PartWriter {
    /// Creates the file under its temporary name, and its folder.
    pub(super) fn create(folder: &Path, file_name: &str) -> Result<Self, SinkError> {
        fs::create_dir_all(folder).map_err(|source| SinkError::io("create", folder, source))?;
        let path = folder.join(format!(".tmp-{file_name}"));
        let file = File::create(&path).map_err(|source| SinkError::io("create", &path, source))?;
        let temporary = TemporaryFile { path, keep: false };
        let buffer = Vec::with_capacity(BUFFER_SIZE);
        Ok(Self { file, buffer, temporary, target: folder.join(file_name), size_bytes: 0, crc32c: 0 })
    }

    /// Where the bytes go.
    pub(super) fn path(&self) -> &Path {
        &self.temporary.path
    }

    /// Bytes so far.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Writes all bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.write_all(bytes).map_err(|source| SinkError::io("write", &self.temporary.path, source))
    }

    /// Ends the file; `part` gets its size and checksum.
    pub(super) fn finish(mut self, part: Part) -> Result<PartFile, SinkError> {
        self.write_buffer().map_err(|source| SinkError::io("write", &self.temporary.path, source))?;
        let part = Part { size_bytes: self.size_bytes, crc32c: self.crc32c, ..part };
        Ok(PartFile { part, temporary: self.temporary, target: self.target })
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.crc32c = crc32c::crc32c_append(self.crc32c, &self.buffer);
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_SIZE {
            self.write_buffer()?;
        }
        if self.buffer.is_empty() && bytes.len() >= BUFFER_SIZE / 2 {
            self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
            self.file.write_all(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.size_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
