//! The observer of commands: prints remarks and progress on standard error, and turns Ctrl-C into
//! cancellation.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use oneiro_jobs::{Observer, Progress, Remark};

use crate::{hints, interrupt};

/// Time between two lines of progress if standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Exit code when a condition of `--fail-on` holds.
pub const CONDITION_HOLDS: u8 = 3;

/// Prints a line on standard error; failures to write are ignored.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Remarks and progress on standard error.
pub struct Terminal {
    quiet: bool,
    /// Remarks that wait until work begins.
    held: Mutex<Vec<String>>,
    shown: Mutex<Shown>,
}

/// The form in which progress is shown at the moment.
enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Terminal {
    /// Makes an observer; if `quiet`, it prints nothing.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, held: Mutex::default(), shown: Mutex::new(Shown::Nothing) }
    }

    /// Prints a note, after all remarks that are waiting.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.release();
            complain(&format!("note: {text}"));
        }
    }

    /// Prints the remarks that were waiting until work begins.
    pub fn release(&self) {
        let held = self.held.lock().map(|mut held| std::mem::take(&mut *held)).unwrap_or_default();
        held.iter().for_each(|text| complain(text));
    }
}

impl Observer for Terminal {
    fn remark(&self, remark: &Remark) {
        if self.quiet {
            return;
        }
        let text = hints::of_remark(remark);
        if !remark.waits_for_work() {
            return self.note(&text);
        }
        if let Ok(mut held) = self.held.lock() {
            held.push(format!("note: {text}"));
        }
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.release();
        let Ok(mut shown) = self.shown.lock() else { return };
        if self.quiet {
            return;
        }
        if progress.ended {
            // The bar is cleared, so that the next message starts on a new line.
            if let Shown::Bar(bar) = &*shown {
                bar.finish_and_clear();
            }
            *shown = Shown::Nothing;
            return;
        }
        if let Shown::Nothing = &*shown {
            *shown = match std::io::stderr().is_terminal() {
                true => Shown::Bar(bar(progress.total)),
                false => Shown::Lines { last: progress.started },
            };
        }
        match &mut *shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_position(progress.done);
                bar.set_message(match progress.within_step {
                    Some(share) => format!("{} {:.0} %", progress.label, 100.0 * share),
                    None => progress.label.to_owned(),
                });
            }
            Shown::Lines { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                complain(&line(progress));
            }
            Shown::Lines { .. } => {}
        }
    }

    fn is_cancelled(&self) -> bool {
        interrupt::requested()
    }
}

/// Makes a progress bar that shows the rate and the time left.
fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template = "{msg:24!} {wide_bar} {pos}/{len} {rate:>9} {left:>5} left";
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A failure to write into the bar's text is ignored: nothing could be done about it.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // Before the first step is done, the time left is unknown.
        let _ = match state.pos() {
            0 => write!(out, "?"),
            _ => write!(out, "{:#}", HumanDuration(state.eta())),
        };
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("rate", rate).with_key("left", left));
    bar
}

/// Returns a line of text about the progress.
fn line(progress: &Progress<'_>) -> String {
    let Progress { label, done, total, .. } = progress;
    if let Some(share) = progress.within_step {
        let of_step = share_line(share, progress.step_started.elapsed().as_secs_f64());
        return format!("{label}: {done}/{total}, {of_step}");
    }
    let spent = progress.started.elapsed().as_secs_f64();
    let left = spent * total.saturating_sub(*done) as f64 / (*done).max(1) as f64;
    format!("{label}: {done}/{total}, {left:.0} s left")
}

/// Describes a step of which a share is done after `spent` seconds, and the time left for this step. Other
/// steps may take far more or less time.
fn share_line(share: f64, spent: f64) -> String {
    let percent = format!("{:.0} % of this one", 100.0 * share);
    // If nothing is done yet, no time can be estimated.
    if share > 0.0 {
        format!("{percent}, {:.0} s left of it", spent * (1.0 - share) / share)
    } else {
        percent
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
