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
        if let Kind::Bar(bar) = &self.kind {
            bar.inc(by);
            bar.set_message(self.label.clone());
        }
        self.line(None);
    }

    /// Says how much of one step is done, where steps are long themselves.
    pub fn within_step(&mut self, done: usize, count: usize) {
        let share = done as f64 / count.max(1) as f64;
        if let Kind::Bar(bar) = &self.kind {
            bar.set_message(format!("{} {:.0} %", self.label, 100.0 * share));
        }
        self.line(Some(share));
    }

    /// A plain line, if the last one is long enough ago.
    fn line(&mut self, share: Option<f64>) {
        if let Kind::Lines { last } = &mut self.kind
            && last.elapsed() >= LINE_EVERY
        {
            *last = Instant::now();
            let spent = self.started.elapsed().as_secs_f64();
            complain(&plain_line(&self.label, self.done, self.total, share, spent));
        }
    }
}

/// How far the work is after so many seconds; `share` is that of the step in progress.
fn plain_line(label: &str, done: u64, total: u64, share: Option<f64>, spent: f64) -> String {
    let worked = done as f64 + share.unwrap_or_default();
    let of_step = share.map_or(String::new(), |s| format!(" and {:.0} % of the next", 100.0 * s));
    // Of no work at all no time can be guessed.
    let left = if worked > 0.0 {
        format!(", {:.0} s left", spent * (total as f64 - worked).max(0.0) / worked)
    } else {
        String::new()
    };
    format!("{label}: {done}/{total}{of_step}{left}")
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
    fn lines_count_what_is_done_of_a_step() {
        assert_eq!(plain_line("dream", 3, 4, None, 30.0), "dream: 3/4, 10 s left");
        assert_eq!(
            plain_line("occlusion", 0, 1, Some(0.25), 10.0),
            "occlusion: 0/1 and 25 % of the next, 30 s left"
        );
        assert_eq!(
            plain_line("occlusion", 1, 2, Some(0.5), 15.0),
            "occlusion: 1/2 and 50 % of the next, 5 s left"
        );
        assert_eq!(plain_line("occlusion", 0, 1, Some(0.0), 10.0), "occlusion: 0/1 and 0 % of the next");
    }
}
