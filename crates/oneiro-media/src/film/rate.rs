//! Frame rates, and the delay of each frame in the units of each film format.

use super::{Film, TICKS_PER_SECOND};
use crate::{MediaError, Result};

/// The lowest and the highest frame rate, in frames per second.
const RATES: std::ops::RangeInclusive<f64> = 0.01..=1000.0;
/// Denominator of frame rates that are neither whole numbers nor television rates: they are rounded to 1/1000
/// frame per second.
const PRECISION: u32 = 1000;
/// Relative error up to which a rate counts as a television rate, N·1000/1001.
const TELEVISION: f64 = 2e-6;
/// The shortest delay of a GIF frame that browsers respect, in hundredths of a second; they show frames with
/// shorter delays for a tenth of a second.
#[cfg(feature = "gif")]
const LEAST_GIF_DELAY: u64 = 2;
/// Milliseconds in a second: the unit of WebP delays (RFC 9649, 2.7.1.1).
const MILLISECONDS: u64 = 1000;

/// A frame rate as a fraction: `frames` in `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    frames: u32,
    seconds: u32,
}

impl FrameRate {
    /// The frame rate nearest to a number of frames per second: a whole number, a television rate (29.97 =
    /// 30000/1001), or a multiple of 1/1000.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`] for a rate outside 0.01 to 1000 frames per second.
    pub fn new(frames_per_second: f64) -> Result<Self> {
        if !RATES.contains(&frames_per_second) {
            let what = format!(
                "{frames_per_second} frames per second; choose {} to {}, such as 25",
                RATES.start(),
                RATES.end()
            );
            return Err(MediaError::Shape { what });
        }
        let television = (frames_per_second * 1.001).round();
        let error = frames_per_second * 1.001 / television - 1.0;
        if frames_per_second.fract() != 0.0 && error.abs() < TELEVISION {
            return Ok(Self { frames: television as u32 * 1000, seconds: 1001 });
        }
        let thousandths = (frames_per_second * f64::from(PRECISION)).round() as u32;
        let common = gcd(thousandths.into(), PRECISION.into()) as u32;
        Ok(Self { frames: thousandths / common, seconds: PRECISION / common })
    }

    /// Returns the rate in frames per second.
    pub fn frames_per_second(self) -> f64 {
        f64::from(self.frames) / f64::from(self.seconds)
    }

    /// Returns the rate as the fraction "30000/1001", as `ffmpeg` reads it.
    pub(super) fn argument(self) -> String {
        format!("{}/{}", self.frames, self.seconds)
    }
}

/// The time unit of a film (a tick): `seconds / per` of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tick {
    seconds: u32,
    per: u32,
}

impl Default for Tick {
    fn default() -> Self {
        Self { seconds: 1, per: TICKS_PER_SECOND.into() }
    }
}

impl Tick {
    pub fn frame_of(rate: FrameRate) -> Self {
        Self { seconds: rate.seconds, per: rate.frames }
    }

    /// Converts a number of ticks to units of `1 / units` second, rounded.
    fn rounded(self, ticks: u64, units: u64) -> u64 {
        let (numerator, denominator) = (u64::from(self.seconds) * units, u64::from(self.per));
        let time =
            (ticks as u128 * u128::from(numerator) + u128::from(denominator / 2)) / u128::from(denominator);
        time as u64
    }

    /// Returns the delay, as a fraction of a second, of a PNG frame that is shown for `ticks` after `before`
    /// ticks of other frames. It is exact if 16 bits hold the fraction. Otherwise it is in milliseconds,
    /// rounded so that the delays add up to the film's time.
    pub(super) fn apng_delay(self, before: u64, ticks: u16) -> (u16, u16) {
        let exact = || {
            let numerator = u32::from(ticks).checked_mul(self.seconds)?;
            Some((u16::try_from(numerator).ok()?, u16::try_from(self.per).ok()?))
        };
        exact().unwrap_or_else(|| {
            let end = |ticks| self.rounded(ticks, MILLISECONDS);
            (saturated(end(before + u64::from(ticks)) - end(before)), MILLISECONDS as u16)
        })
    }
}

impl Film {
    /// Iterates over the frames' delays in units of `1 / units` second. Their sums are the film's times,
    /// rounded, so that rounding errors do not add up.
    #[cfg(any(feature = "gif", feature = "webp"))]
    fn delays(&self, units: u64) -> impl Iterator<Item = u64> {
        let (mut ticks, mut end) = (0_u64, 0);
        self.frames.iter().map(move |(_, time)| {
            ticks += u64::from(*time);
            let next = self.tick.rounded(ticks, units);
            let delay = next - end;
            end = next;
            delay
        })
    }

    /// Iterates over the frames' delays in hundredths of a second.
    #[cfg(feature = "gif")]
    pub(super) fn gif_delays(&self) -> impl Iterator<Item = u16> {
        let is_exact = self.tick == Tick::default();
        self.delays(TICKS_PER_SECOND.into())
            .map(move |delay| if is_exact { delay } else { delay.max(LEAST_GIF_DELAY) })
            .map(saturated)
    }

    /// Iterates over the frames' delays in milliseconds.
    #[cfg(feature = "webp")]
    pub(super) fn webp_delays(&self) -> impl Iterator<Item = u64> {
        self.delays(MILLISECONDS)
    }

    /// Iterates over the frames' delays as fractions of a second: exact if the format holds them, else
    /// milliseconds.
    pub(super) fn apng_delays(&self) -> impl Iterator<Item = (u16, u16)> {
        let mut before = 0;
        self.frames.iter().map(move |(_, ticks)| {
            let delay = self.tick.apng_delay(before, *ticks);
            before += u64::from(*ticks);
            delay
        })
    }

    /// Returns the frame rate of a video that shows the film with frames of equal duration, and how often
    /// each of the film's frames is repeated in it.
    pub(super) fn constant_rate(&self) -> (FrameRate, Vec<usize>) {
        let common = self.frames.iter().fold(0, |common, (_, ticks)| gcd(common, (*ticks).into())).max(1);
        let seconds = u64::from(self.tick.seconds) * common;
        let shared = gcd(seconds, self.tick.per.into());
        let part = |value: u64| u32::try_from(value / shared).unwrap_or(u32::MAX);
        let rate = FrameRate { frames: part(self.tick.per.into()), seconds: part(seconds) };
        let repeats = self.frames.iter().map(|(_, ticks)| (usize::from(*ticks) / common as usize).max(1));
        (rate, repeats.collect())
    }
}

fn saturated(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// The greatest common divisor; that of 0 and a number is the number.
fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    fn film(rate: f64, ticks: &[u16]) -> Film {
        let mut film = Film::at_rate(FrameRate::new(rate).unwrap());
        ticks.iter().for_each(|ticks| film.push(&Image::filled(2, 2, [0.5; 3]), *ticks).unwrap());
        film
    }

    #[test]
    fn rates_are_whole_of_television_or_thousandths() {
        for (rate, wanted) in [
            (25.0, "25/1"),
            (30000.0 / 1001.0, "30000/1001"),
            (29.97, "30000/1001"),
            (29.9, "299/10"),
            (23.976023976, "24000/1001"),
            (12.5, "25/2"),
            (0.01, "1/100"),
            (1000.0, "1000/1"),
        ] {
            assert_eq!(FrameRate::new(rate).unwrap().argument(), wanted, "{rate}");
        }
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1001.0] {
            assert!(FrameRate::new(rate).is_err(), "{rate}");
        }
    }

    #[test]
    fn delays_of_every_format_add_up_to_the_films_time() {
        let film = film(24.0, &[1; 24]);
        assert_eq!(film.webp_delays().sum::<u64>(), 1000);
        assert_eq!(film.gif_delays().map(u64::from).sum::<u64>(), 100);
        assert!(film.apng_delays().all(|delay| delay == (1, 24)));
        assert_eq!(film.constant_rate(), (FrameRate { frames: 24, seconds: 1 }, vec![1; 24]));
    }

    #[test]
    fn fast_gifs_are_slowed_to_what_browsers_show() {
        assert!(film(60.0, &[1; 6]).gif_delays().all(|delay| delay == 2));
        assert_eq!(film(1000.0 / 1001.0, &[1]).apng_delays().next(), Some((1001, 1000)));
        assert_eq!(film(99.999, &[1]).apng_delays().next(), Some((10, 1000)));
    }

    #[test]
    fn a_longer_last_frame_is_repeated_in_a_video() {
        let mut film = Film::new();
        for ticks in [5, 5, 150, 0] {
            film.push(&Image::filled(2, 2, [0.5; 3]), ticks).unwrap();
        }
        assert_eq!(film.constant_rate(), (FrameRate { frames: 20, seconds: 1 }, vec![1, 1, 30, 1]));
    }
}
