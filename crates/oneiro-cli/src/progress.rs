//! Progress of long work on stderr: a bar with rate and time left on a terminal, else a plain line now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::context::{Context, complain};

/// Time between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Work that counts up to a known number.
pub struct Progress {
    kind: Kind,
    total: u64,
    done: u64,
    label: String,
    started: Instant,
}

enum Kind {
    Silent,
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    pub fn new(context: &Context, label: &str, total: u64) -> Self {
        let started = Instant::now();
        let kind = match context.progress_style() {
            None => Kind::Silent,
            Some(false) => Kind::Lines { last: started },
            Some(true) => {
                let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                let template = "{msg:24!} {wide_bar} {pos}/{len} {rate:>9} {eta:>5} left";
                let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    // Nothing can be done where a terminal takes no more text.
                    let _ = write!(out, "{:.1}/s", state.per_sec());
                };
                let style =
                    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                bar.set_style(style.with_key("rate", rate));
                bar.set_message(label.to_owned());
                Kind::Bar(bar)
            }
        };
        Self { kind, total, done: 0, label: label.to_owned(), started }
    }

    /// Says what is being worked on now.
    pub fn label(&mut self, label: &str) {
        self.label = label.to_owned();
        if let Kind::Bar(bar) = &self.kind {
            bar.set_message(self.label.clone());
        }
    }

    pub fn advance(&mut self, by: u64) {
        self.done += by;
        match &mut self.kind {
            Kind::Silent => {}
            Kind::Bar(bar) => bar.inc(by),
            Kind::Lines { last } => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    let spent = self.started.elapsed().as_secs_f64();
                    let left = spent * self.total.saturating_sub(self.done) as f64 / self.done.max(1) as f64;
                    complain(&format!("{}: {}/{}, {left:.0} s left", self.label, self.done, self.total));
                }
            }
        }
    }
}

/// However the work ends, what is said next starts on a clean line.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}
