//! SIGINT and SIGTERM: the first asks the run to stop soon, the second ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

/// What a signal asks for.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the signal that sets the flag does not find it set.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop.flag))?;
            flag::register(signal, Arc::clone(&stop.flag))?;
            flag::register_usize(
                signal,
                Arc::clone(&stop.signal),
                usize::try_from(signal).unwrap_or_default(),
            )?;
        }
        // A limit on file sizes is an error of the write that meets it, not the end of the process.
        flag::register(SIGXFSZ, Arc::default())?;
        Ok(stop)
    }

    /// Set once a signal has come.
    pub fn flag(&self) -> &AtomicBool {
        &self.flag
    }

    /// The exit code of a stopped run: 128 and the number of the signal.
    pub fn exit_code(&self) -> u8 {
        u8::try_from(128 + self.signal.load(Ordering::SeqCst)).unwrap_or(crate::exit::FAILED)
    }
}
