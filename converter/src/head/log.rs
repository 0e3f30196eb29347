//! Logs: the records of many segments in a row, and what to do where one is damaged.
//!
//! A server that meets damage cuts the log there and goes on without the rest. So does this: what came before is
//! kept, the place is named. A record that the end of the newest segment cuts off is normal after a crash.

use tsdb_reader::head::files::{NumberedFile, breaks};
use tsdb_reader::head::{HeadFiles, RawRecord, SegmentReader};
use tsdb_reader::{DecodeError, Error};

use super::Findings;
use crate::build::BuildError;
use crate::error::error_chain;

/// What is done with a record; the error is that of its payload.
pub(super) type OnRecord<'a> =
    &'a mut dyn FnMut(&RawRecord<'_>) -> Result<Result<(), DecodeError>, BuildError>;

/// A row of segments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log<'a> {
    pub files: &'a dyn HeadFiles,
    pub segments: &'a [NumberedFile],
    /// Records up to this place are passed over: number of the segment and offset.
    pub from: Option<(u64, u64)>,
    /// Its newest segment may end inside a record.
    pub may_be_torn: bool,
}

/// How reading a log ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// All of it was read.
    Read,
    /// At the first damage, where a server cuts it.
    Damaged(Damage),
    /// It is none of Prometheus, or of another age.
    Foreign,
}

/// Where a log is damaged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// Number of the segment and offset.
    pub at: (u64, u64),
    /// The segment.
    pub path: String,
    /// What is wrong with it.
    pub error: String,
}

impl Log<'_> {
    /// Gives all records to `on_record`, up to the first damage.
    pub(super) fn read(&self, findings: &mut Findings, on_record: OnRecord<'_>) -> Result<End, BuildError> {
        for (before, after) in breaks(self.segments) {
            findings.broken("log-gap", &after.path, gap(&before.path));
        }
        for (at, segment) in self.segments.iter().enumerate() {
            let is_last = at + 1 == self.segments.len();
            match self.segment(segment, on_record)? {
                Ok(()) => {}
                Err(error) if is_foreign(&error) => {
                    let message = format!("{}; the head is not read", error_chain(&error));
                    findings.broken("foreign-log", &segment.path, message);
                    return Ok(End::Foreign);
                }
                Err(error) if is_last && self.may_be_torn && is_torn(&error) => {
                    let message =
                        "ends inside a record that was never finished; the records before it are read";
                    findings.skipped("torn-record", &segment.path, message);
                }
                Err(error) => {
                    let after = self.segments.len() - at - 1;
                    let rest = match after {
                        0 => "the rest of it is not read".to_owned(),
                        1 => "the rest of it and the segment behind it are not read".to_owned(),
                        _ => format!("the rest of it and the {after} segments behind it are not read"),
                    };
                    let damage = Damage {
                        at: (segment.number, offset(&error)),
                        path: segment.path.clone(),
                        error: error_chain(&error),
                    };
                    let message = format!("{}; {rest}, a server cuts the log there too", damage.error);
                    findings.broken("damaged-log", &segment.path, message);
                    return Ok(End::Damaged(damage));
                }
            }
        }
        Ok(End::Read)
    }

    fn segment(
        &self,
        segment: &NumberedFile,
        on_record: OnRecord<'_>,
    ) -> Result<Result<(), Error>, BuildError> {
        let bytes = match self.files.read(&segment.path) {
            Ok(bytes) => bytes,
            Err(source) => return Ok(Err(Error::ReadHead { path: segment.path.clone(), source })),
        };
        let mut reader = SegmentReader::new(&bytes);
        loop {
            let record = match reader.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error.in_head_file(&*segment.path))),
            };
            if self.from.is_some_and(|from| (segment.number, record.offset) < from) {
                continue;
            }
            if let Err(error) = on_record(&record)? {
                return Ok(Err(record.error(&*segment.path, error)));
            }
        }
    }
}

/// What is said of a segment that does not follow the one before it.
pub(super) fn gap(before: &str) -> String {
    format!(
        "it does not follow {before}: what is between them is missing, and its samples; take a new copy of the folder"
    )
}

fn offset(error: &Error) -> u64 {
    match error {
        Error::DecodeHead { source, .. } => source.offset,
        Error::DecodeRecord { offset, .. } => *offset,
        _ => 0,
    }
}

fn is_torn(error: &Error) -> bool {
    matches!(error, Error::DecodeHead { source, .. } if source.is_torn())
}

fn is_foreign(error: &Error) -> bool {
    matches!(error, Error::DecodeHead { source, .. } | Error::DecodeRecord { source, .. } if source.is_foreign())
}
