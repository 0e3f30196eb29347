//! Members: files, folders and links of a tar archive, one after the other.
//!
//! ```text
//! ┌ header 512 ┬ data, padded to 512 ┐┌ long name, POSIX records ┐┌ header ┬ data ┐ … ┌ zeros 1024 ┐ maybe more
//! └──────────────────────────────────┘└ about the next member ───┘└───────────────┘   └ end mark ──┘
//! ```
//! Read: headers of old tar, POSIX (`ustar`, `pax`) and GNU; long names of both; hard links, to what their target was
//! at that place; symbolic links. What is joined behind an end mark is read on, as with `tar --ignore-zeros`.
//!
//! Checked: the header's checksum; sizes of names and records against [`NAME_BYTES`] and [`RECORDS_BYTES`]. A header
//! that cannot be decoded ends the archive, for nothing tells where the next one is. Names are never used as paths
//! on a disk.

use std::io;

use tsdb_reader::DecodeError;

use super::content::Content;
use super::header::{BLOCK_BYTES, Block, Header, Kind};
use super::input::Input;
use super::names::Names;
use super::spool::SpoolError;

/// Longest name of a member.
const NAME_BYTES: u64 = 64 << 10;

/// Most POSIX records before a member.
const RECORDS_BYTES: u64 = 1 << 20;

/// Zeros behind an end mark that are looked through for more members.
const ZEROS_BYTES: u64 = 1 << 20;

/// How an archive ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// With its end mark.
    Marked,
    /// With its end mark, and something behind it that is no member.
    Trailing(DecodeError),
    /// After a whole member, without an end mark.
    Unmarked,
    /// In the middle of a header or of its data; in that of `member`, if it has a name.
    Cut {
        /// The file that is cut.
        member: Option<String>,
        /// Why, unless the bytes just end.
        error: Option<io::Error>,
    },
    /// With a header that cannot be decoded.
    Broken(DecodeError),
}

/// What was said of a member before its header.
#[derive(Debug, Default)]
struct Announced {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

/// Reads all members of `input` into `names`.
pub(super) fn read_members(input: &mut Input<'_>, names: &mut Names) -> Result<Ending, SpoolError> {
    let mut reader = Reader { input, offset: 0, announced: Announced::default(), zeros: 0 };
    loop {
        match reader.next(names) {
            Ok(None) => {}
            Ok(Some(ending)) => return Ok(ending),
            Err(Stop::Spool(error)) => return Err(error),
            Err(Stop::Read(error)) => return Ok(Ending::Cut { member: None, error: Some(error) }),
        }
        if names.is_full() {
            return Ok(Ending::Cut { member: None, error: Some(names.full()) });
        }
    }
}

enum Stop {
    Read(io::Error),
    Spool(SpoolError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

struct Reader<'a, 'b> {
    input: &'a mut Input<'b>,
    offset: u64,
    announced: Announced,
    /// Zeros since the last member.
    zeros: u64,
}

impl Reader<'_, '_> {
    /// Reads one header with its data.
    fn next(&mut self, names: &mut Names) -> Result<Option<Ending>, Stop> {
        let mut block: Block = [0; BLOCK_BYTES];
        let (offset, filled) = (self.offset, self.input.fill(&mut block)?);
        self.offset += filled as u64;
        let is_marked = self.zeros > 0;
        if filled < BLOCK_BYTES {
            return Ok(Some(match filled {
                _ if is_marked => Ending::Marked,
                0 => Ending::Unmarked,
                _ => Ending::Cut { member: None, error: None },
            }));
        }
        let header = match Header::decode(&block, offset) {
            Ok(Some(header)) => header,
            Ok(None) => {
                self.zeros += BLOCK_BYTES as u64;
                self.announced = Announced::default();
                return Ok((self.zeros > ZEROS_BYTES).then_some(Ending::Marked));
            }
            Err(error) if is_marked => return Ok(Some(Ending::Trailing(error))),
            Err(error) => return Ok(Some(Ending::Broken(error))),
        };
        self.zeros = 0;
        match header.kind {
            Kind::LongName => self.announced.name = Some(self.text(&header, offset, NAME_BYTES)?),
            Kind::LongLink => self.announced.link = Some(self.text(&header, offset, NAME_BYTES)?),
            Kind::Extended => {
                let records = self.text(&header, offset, RECORDS_BYTES)?;
                self.announced.take(&records);
            }
            _ => return self.member(header, names),
        }
        Ok(None)
    }

    fn member(&mut self, header: Header, names: &mut Names) -> Result<Option<Ending>, Stop> {
        let announced = std::mem::take(&mut self.announced);
        let name = announced.name.unwrap_or(header.name);
        let link = announced.link.unwrap_or(header.link);
        let has_data = !matches!(header.kind, Kind::HardLink | Kind::SymbolicLink | Kind::Folder);
        let size = if has_data { announced.size.unwrap_or(header.size) } else { header.size };
        match header.kind {
            Kind::File if announced.sparse => names.add_unusable(&name, SPARSE),
            Kind::File => {
                let Some(name) = names.wanted(&name) else { return self.skip(size) };
                let kept = self.input.keep(size, &name).map_err(Stop::Spool)?;
                self.offset += kept.len;
                if kept.len < size {
                    names.add_file(name.clone(), Content::Unusable("the archive ends inside it"));
                    return Ok(Some(Ending::Cut { member: Some(name), error: kept.error }));
                }
                names.add_file(name, kept.content);
                // A file that is whole does not miss its padding.
                self.offset += self.input.skip(padding(size))?;
                return Ok(None);
            }
            Kind::Sparse { mut more } => {
                names.add_unusable(&name, SPARSE);
                while more {
                    let mut block: Block = [0; BLOCK_BYTES];
                    if self.input.fill(&mut block)? < BLOCK_BYTES {
                        return Ok(Some(Ending::Cut { member: None, error: None }));
                    }
                    self.offset += BLOCK_BYTES as u64;
                    more = block.get(504) != Some(&0);
                }
            }
            Kind::Folder => names.add_folder(&name),
            Kind::HardLink => names.add_hard_link(&name, &link),
            Kind::SymbolicLink => names.add_symbolic_link(&name, &link),
            _ => {}
        }
        self.skip(size)
    }

    /// Passes over data with its padding.
    fn skip(&mut self, size: u64) -> Result<Option<Ending>, Stop> {
        let padded = size.saturating_add(padding(size));
        let skipped = self.input.skip(padded)?;
        self.offset += skipped;
        Ok((skipped < padded).then_some(Ending::Cut { member: None, error: None }))
    }

    /// The data of a header as text; a longer one than `limit` ends the archive.
    fn text(&mut self, header: &Header, offset: u64, limit: u64) -> Result<Vec<u8>, Stop> {
        if header.size > limit {
            let message = format!("a name or record of {} bytes at offset {offset:#x}", header.size);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message).into());
        }
        let mut text = vec![0; usize::try_from(header.size).unwrap_or_default()];
        let filled = self.input.fill(&mut text)?;
        self.offset += filled as u64;
        let skipped = self.input.skip(padding(header.size))?;
        self.offset += skipped;
        text.truncate(filled);
        // GNU tar ends names with a zero; what a stream lacks is missed at the next header.
        if header.kind != Kind::Extended {
            text.truncate(text.iter().position(|&byte| byte == 0).unwrap_or(filled));
        }
        Ok(text)
    }
}

const SPARSE: &str = "it is a sparse file in the archive; make the archive without --sparse";

/// Bytes from the end of `size` bytes of data to the next header.
fn padding(size: u64) -> u64 {
    let block = BLOCK_BYTES as u64;
    (block - size % block) % block
}

impl Announced {
    /// Takes POSIX records: `length key=value\n`, the length that of the record.
    fn take(&mut self, records: &[u8]) {
        let mut rest = records;
        while let Some((record, tail)) = next_record(rest) {
            rest = tail;
            let Some(at) = record.iter().position(|&byte| byte == b'=') else { continue };
            let Some((key, value)) = record.split_at_checked(at) else { continue };
            let value = value.get(1..).unwrap_or_default();
            match key {
                b"path" | b"GNU.sparse.name" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok()),
                _ => {}
            }
            self.sparse |= key.starts_with(b"GNU.sparse.");
        }
    }
}

/// The first record without its length and line end, and the rest; none where the records are no such.
fn next_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = records.iter().position(|&byte| byte == b' ')?;
    let len: usize = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
    let record = records.get(space + 1..len)?.strip_suffix(b"\n")?;
    Some((record, records.get(len..)?))
}
