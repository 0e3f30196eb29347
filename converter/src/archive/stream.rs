//! A stream that may be asked to stop: standard input, a pipe, a packed file.
//!
//! A read of a pipe waits for as long as its writer takes. So it is only read when there is something to read, and
//! meanwhile the flag is looked at. A pipe that nobody writes to yet is opened all the same, and waited for the same way.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest time between two looks at the flag, in nanoseconds.
#[cfg(unix)]
const LOOK_NS: i64 = 100_000_000;

/// An open file that is read front to back until `stop` is set.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    pub(super) file: File,
    pub(super) stop: &'a AtomicBool,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            if !is_ready(&self.file)? {
                continue;
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// The error of a read that was asked to stop.
pub(super) fn stopped() -> io::Error {
    io::Error::other("asked to stop")
}

/// True when a read of `file` would not wait; false after a while.
#[cfg(unix)]
fn is_ready(file: &File) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut of_file = [PollFd::new(file, PollFlags::IN)];
    match poll(&mut of_file, Some(&Timespec { tv_sec: 0, tv_nsec: LOOK_NS })) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn is_ready(_: &File) -> io::Result<bool> {
    Ok(true)
}

/// Opens `path` without waiting for the writer of a pipe.
#[cfg(target_os = "linux")]
pub(super) fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Opens `path`. Elsewhere a pipe without a writer looks as if it had ended.
#[cfg(not(target_os = "linux"))]
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Standard input, past the buffer of the standard library, which would hide from `is_ready` what it holds.
#[cfg(unix)]
pub(super) fn standard_input() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Standard input, past the buffer of the standard library.
#[cfg(windows)]
pub(super) fn standard_input() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    #[test]
    fn a_pipe_is_waited_for_until_asked_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let stop = AtomicBool::new(false);
        let mut stream = Stream { file: open(&path).unwrap(), stop: &stop };
        let mut buffer = [0; 16];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // No writer at first, then one that takes its time.
                std::thread::sleep(Duration::from_millis(30));
                let mut writer = File::options().write(true).open(&path).unwrap();
                writer.write_all(b"late").unwrap();
                std::thread::sleep(Duration::from_millis(30));
                stop.store(true, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(300));
                writer.write_all(b"unread").unwrap();
            });
            assert_eq!(stream.read(&mut buffer).unwrap(), 4);
            assert_eq!(stream.read(&mut buffer).unwrap_err().to_string(), "asked to stop");
        });
        stop.store(false, Ordering::Relaxed);
        assert_eq!(stream.read(&mut buffer).unwrap(), 6);
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    }
}
