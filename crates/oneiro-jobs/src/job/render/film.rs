//! Films of optimisations: which steps are frames, and how long they are shown.

use oneiro::render::Render;
use oneiro_media::{Film, PngText, TICKS_PER_SECOND};

use crate::error::Result;
use crate::job::error::{JobError, Large};
use crate::job::film_kind::FilmKind;
use crate::job::render::colors;
use crate::job::render::display::Display;

/// Most frames that a film of an optimisation has.
const MAX_FRAMES: usize = 100;
/// Duration of a film in seconds without its last frame, if the frames allow it.
const SECONDS: usize = 5;
/// Shortest and longest display time of a frame, in hundredths of a second: 20 to 4 frames a second.
const TICKS: std::ops::RangeInclusive<u16> = 5..=25;
/// Display time of the last frame, in hundredths of a second.
const LAST_TICKS: u16 = 150;
/// Maximum number of pixels in all frames of a film: 1.5 GB with three 8-bit colours.
pub const MAX_PIXELS: usize = 500_000_000;
/// Maximum number of pixels in all films of a batch with several pictures.
const MAX_BATCH_PIXELS: usize = 150_000_000;

/// Returns the numbers of steps after which a frame is taken; the first is 0. Early steps change pictures
/// most, so the numbers grow quadratically.
pub fn frame_steps(steps: usize) -> Vec<usize> {
    let last = MAX_FRAMES - 1;
    let mut at: Vec<usize> = (0..=last).map(|k| (steps * k * k + last * last / 2) / (last * last)).collect();
    at.dedup();
    at
}

/// Returns the number of films of this size that can be recorded at once.
pub fn films_at_once(steps: usize, [h, w]: [usize; 2]) -> Result<usize> {
    let (frames, pixels) = (frame_steps(steps).len(), h.saturating_mul(w));
    if pixels.saturating_mul(frames) > MAX_PIXELS {
        let (count, result) = (frames, Large::Film);
        return Err(JobError::TooLarge { count, things: "frames", size: [h, w], result }.into());
    }
    Ok((MAX_BATCH_PIXELS / (pixels * frames).max(1)).max(1))
}

/// Records the frames of each picture of a batch.
pub struct Camera {
    format: FilmKind,
    at: Vec<usize>,
    films: Vec<Film>,
    display: Display,
}

impl Camera {
    /// Creates a recorder for this many pictures. Each frame has its own values of black and white.
    pub fn new(format: FilmKind, steps: usize, batch: usize, display: Display) -> Self {
        Self { format, at: frame_steps(steps), films: vec![Film::default(); batch], display }
    }

    /// Records a frame of each picture that changed in the last step, if this step is a frame or if the
    /// picture is finished. A film therefore does not depend on the other pictures of the batch.
    pub fn watch(&mut self, render: &mut Render, changed: &[bool]) -> Result<()> {
        let due = self.at.binary_search(&render.steps_done()).is_ok();
        let wanted = |e: usize| changed[e] && (due || render.entry_finished(e));
        let wanted: Vec<bool> = (0..changed.len()).map(wanted).collect();
        if wanted.contains(&true) {
            let pictures = render.pictures();
            for (e, film) in self.films.iter_mut().enumerate().filter(|(e, _)| wanted[*e]) {
                film.push(&self.display.show(colors(&pictures[e])?)?, 0)?;
            }
        }
        Ok(())
    }

    /// Encodes the film of a picture with metadata: `text`, and a description of its frames.
    pub fn develop(&mut self, picture: usize, mut text: PngText) -> Result<Vec<u8>> {
        let film = &mut self.films[picture];
        let even = SECONDS * usize::from(TICKS_PER_SECOND) / film.len().max(1);
        let ticks = u16::try_from(even).unwrap_or(u16::MAX).clamp(*TICKS.start(), *TICKS.end());
        film.set_times(ticks, LAST_TICKS);
        let second = f64::from(TICKS_PER_SECOND);
        text.push(
            "film",
            format!(
                "{} frames of {} s, the last of {} s",
                film.len(),
                f64::from(ticks) / second,
                f64::from(LAST_TICKS) / second
            ),
        );
        self.format.encode(film, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_dense_early_and_include_the_first_and_the_last_state() {
        for steps in [0, 1, 5, 64, 512, 100_000] {
            let at = frame_steps(steps);
            assert_eq!((at.first(), at.last()), (Some(&0), Some(&steps)), "{steps}");
            assert!(at.len() <= MAX_FRAMES && at.windows(2).all(|w| w[0] < w[1]), "{at:?}");
        }
        let at = frame_steps(512);
        assert_eq!(at[..6], [0, 1, 2, 3, 4, 5]);
        assert!(at.len() > 80, "{at:?}");
    }
}
