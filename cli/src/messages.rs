//! Messages on standard error, as text or as JSON lines.

use std::io::{self, Write};

use jiff::Timestamp;
use tsdb_converter::archive::Unpacked;
use tsdb_converter::finding::{Finding, Findings, Severity};
use tsdb_converter::store::{StoreReport, StoreUsage};

use crate::args::{LogFormat, TalkArgs};
use crate::table::{counted, size};

/// How loud a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Error,
    Warning,
    Info,
    Detail,
}

/// Says things on standard error.
#[derive(Debug, Clone, Copy)]
pub struct Messages {
    loudest: Level,
    format: LogFormat,
}

impl Messages {
    /// As the flags ask for.
    pub fn new(talk: TalkArgs) -> Self {
        let loudest = match (talk.quiet, talk.verbose) {
            (true, _) => Level::Error,
            (_, true) => Level::Detail,
            _ => Level::Info,
        };
        Self { loudest, format: talk.log_format }
    }

    /// True when a progress bar is welcome.
    pub fn wants_progress(&self) -> bool {
        self.loudest >= Level::Info && self.format == LogFormat::Text
    }

    /// What made the command fail.
    pub fn error(&self, message: &str) {
        self.say(Level::Error, message, None);
    }

    /// What the user should know.
    pub fn warning(&self, message: &str) {
        self.say(Level::Warning, message, None);
    }

    /// What happened.
    pub fn info(&self, message: &str) {
        self.say(Level::Info, message, None);
    }

    /// What only the curious want to know.
    pub fn detail(&self, message: &str) {
        self.say(Level::Detail, message, None);
    }

    /// A finding, as loud as it is bad.
    pub fn finding(&self, finding: &Finding) {
        let (level, note) = match finding.severity {
            Severity::Broken => (Level::Warning, ""),
            Severity::Skipped if finding.leaves_samples_out() => (Level::Info, "note: "),
            Severity::Skipped | Severity::Note => (Level::Detail, ""),
        };
        self.say(level, &format!("{note}{}: {}", finding.place, finding.message), Some(finding));
    }

    /// All of `findings`.
    pub fn findings(&self, findings: &Findings) {
        for finding in &findings.list {
            self.finding(finding);
        }
        if findings.more > 0 {
            self.warning(&format!("{} more findings", findings.more));
        }
    }

    /// What was unpacked of archives, and where it is.
    pub fn unpacked(&self, unpacked: &[Unpacked]) {
        for archive in unpacked {
            self.detail(&unpacked_sentence(archive));
        }
    }

    /// What was asked of stores.
    pub fn stores(&self, stores: &[StoreReport]) {
        for store in stores {
            self.detail(&store_sentence(store));
        }
    }

    fn say(&self, level: Level, message: &str, finding: Option<&Finding>) {
        if level > self.loudest {
            return;
        }
        let line = match self.format {
            LogFormat::Text => {
                let prefix = match level {
                    Level::Error => "error: ",
                    Level::Warning => "warning: ",
                    Level::Info | Level::Detail => "",
                };
                let name = finding.map(|finding| format!(" [{}]", finding.name)).unwrap_or_default();
                format!("{prefix}{message}{name}\n")
            }
            LogFormat::Json => {
                let level = match level {
                    Level::Error => "error",
                    Level::Warning => "warning",
                    Level::Info => "info",
                    Level::Detail => "detail",
                };
                let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
                let mut line = serde_json::json!({ "time": time, "level": level, "message": message });
                if let (Some(finding), Some(object)) = (finding, line.as_object_mut()) {
                    object.insert("name".to_owned(), finding.name.clone().into());
                }
                format!("{line}\n")
            }
        };
        // When nobody listens on standard error either, the exit code says it.
        let _nobody_listens = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// What was asked of a store, and what it sent.
pub fn store_sentence(store: &StoreReport) -> String {
    let StoreUsage { requests, lists, gets, bytes_read, .. } = store.usage;
    format!(
        "{}: {} ({}, {}), {} received",
        store.location,
        counted(requests, "request", "requests"),
        counted(lists, "listing", "listings"),
        counted(gets, "read", "reads"),
        size(bytes_read),
    )
}

/// How much of an archive was unpacked, and where to.
pub fn unpacked_sentence(archive: &Unpacked) -> String {
    let disk = match archive.disk_bytes {
        0 => String::new(),
        bytes => format!(", {} to a temporary file in {}", size(bytes), archive.temp_dir.display()),
    };
    format!("{}: unpacked {} into memory{disk}", archive.source, size(archive.memory_bytes))
}
