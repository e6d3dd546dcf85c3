//! Progress of long work on stderr: a bar with rate and time left on a terminal, else a plain line now and then.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

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
    step_started: Instant,
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
                let template = "{msg:24!} {wide_bar} {pos}/{len} {rate:>9} {left:>5} left";
                let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    // Nothing can be done where a terminal takes no more text.
                    let _ = write!(out, "{:.1}/s", state.per_sec());
                };
                let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    // Before the first step is done, nothing is known of the others.
                    let _ = match state.pos() {
                        0 => write!(out, "?"),
                        _ => write!(out, "{:#}", HumanDuration(state.eta())),
                    };
                };
                let style =
                    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                bar.set_style(style.with_key("rate", rate).with_key("left", left));
                bar.set_message(label.to_owned());
                Kind::Bar(bar)
            }
        };
        Self { kind, total, done: 0, label: label.to_owned(), started, step_started: started }
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
        self.step_started = Instant::now();
        if let Kind::Bar(bar) = &self.kind {
            bar.inc(by);
        }
        if self.line_is_due() {
            let spent = self.started.elapsed().as_secs_f64();
            let left = spent * self.total.saturating_sub(self.done) as f64 / self.done.max(1) as f64;
            complain(&format!("{}: {}/{}, {left:.0} s left", self.label, self.done, self.total));
        }
    }

    /// Says how much of one step is done, where steps are long themselves.
    pub fn within_step(&mut self, done: usize, count: usize) {
        let share = done as f64 / count.max(1) as f64;
        if let Kind::Bar(bar) = &self.kind {
            bar.set_message(format!("{} {:.0} %", self.label, 100.0 * share));
        }
        if self.line_is_due() {
            let of_step = share_line(share, self.step_started.elapsed().as_secs_f64());
            complain(&format!("{}: {}/{}, {of_step}", self.label, self.done, self.total));
        }
    }

    /// Whether the last plain line, if such are written, is long enough ago. If so, the next is to wait.
    fn line_is_due(&mut self) -> bool {
        match &mut self.kind {
            Kind::Lines { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                true
            }
            _ => false,
        }
    }
}

/// How much of a step is done after so many seconds, and what is left of it alone: others may take far longer or shorter.
fn share_line(share: f64, spent: f64) -> String {
    let percent = format!("{:.0} % of this one", 100.0 * share);
    // Of no work at all no time can be guessed.
    if share > 0.0 {
        format!("{percent}, {:.0} s left of it", spent * (1.0 - share) / share)
    } else {
        percent
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_of_a_step_goes_by_its_own_pace() {
        assert_eq!(share_line(0.25, 10.0), "25 % of this one, 30 s left of it");
        assert_eq!(share_line(1.0, 10.0), "100 % of this one, 0 s left of it");
        assert_eq!(share_line(0.0, 10.0), "0 % of this one");
    }
}
