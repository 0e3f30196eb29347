//! Progress of a conversion: a bar on standard error, on a terminal only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tsdb_converter::pipeline::Progress;

use crate::table::{count, size};

const REDRAW: Duration = Duration::from_millis(200);
const TEMPLATE: &str =
    "{bar:30} {percent:>3} %  {human_pos} of {human_len} samples  {per_sec}  {msg}  {eta} left";

/// Draws while it lives.
#[derive(Debug)]
pub struct Bar {
    done: Arc<AtomicBool>,
    drawing: Option<JoinHandle<()>>,
}

impl Bar {
    /// Shows `progress`; nothing when `wanted` is false or standard error is no terminal.
    pub fn show(progress: &Arc<Progress>, wanted: bool) -> Self {
        let target = ProgressDrawTarget::stderr();
        let done = Arc::new(AtomicBool::new(false));
        if !wanted || target.is_hidden() {
            return Self { done, drawing: None };
        }
        let (progress, ended) = (Arc::clone(progress), Arc::clone(&done));
        let drawing = thread::spawn(move || draw(&progress, target, &ended));
        Self { done, drawing: Some(drawing) }
    }
}

fn draw(progress: &Progress, target: ProgressDrawTarget, done: &AtomicBool) {
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    let begun = Instant::now();
    while !done.load(Ordering::Relaxed) {
        let expected = progress.samples_expected.load(Ordering::Relaxed);
        if expected > 0 {
            let read = progress.samples_read.load(Ordering::Relaxed);
            bar.set_length(expected.max(read));
            bar.set_position(read);
            let written = size(progress.bytes_written.load(Ordering::Relaxed));
            let per_second = u128::from(read) * 1000 / begun.elapsed().as_millis().max(1);
            let per_second = count(u64::try_from(per_second).unwrap_or(u64::MAX));
            bar.set_message(format!("{} samples, {per_second}/s, {written}", count(read)));
        }
        thread::sleep(REDRAW);
    }
    bar.finish_and_clear();
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(drawing) = self.drawing.take() {
            // It cannot fail but by a panic, which was printed.
            let _ended = drawing.join();
        }
    }
}
