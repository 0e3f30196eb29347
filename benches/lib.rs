//! One bench per question, and the clock of all of them.

use rustix::time::{ClockId, clock_gettime};

/// Seconds that this thread has had a processor.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
