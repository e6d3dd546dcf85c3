//! Pictures of optical flow: channels for u, v and length, the Middlebury colour wheel, and arrows.

mod arrows;

use std::f32::consts::PI;

use crate::flow::Flow;
use crate::{Image, Result};

pub use arrows::{ArrowOptions, draw_arrows, longest_arrow};

/// Which channels (u, v, length) [`flow_colors`] scales by a common range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowScaling {
    /// Each channel by its own lowest and highest value.
    #[default]
    Channels,
    /// All three channels by the lowest and highest value of all of them.
    Joint,
}

/// The lowest and highest finite values of u, v and vector length in a flow; `(∞, −∞)` if nothing is finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowRange(pub [(f32, f32); 3]);

impl Default for FlowRange {
    fn default() -> Self {
        FlowRange([(f32::INFINITY, f32::NEG_INFINITY); 3])
    }
}

impl FlowRange {
    /// Returns the range of all fields of a flow.
    pub fn of(flow: &Flow) -> FlowRange {
        let mut all = FlowRange::default();
        for (&u, &v) in (0..flow.frames).flat_map(|frame| flow.u(frame).iter().zip(flow.v(frame))) {
            for (range, value) in all.0.iter_mut().zip([u, v, u.hypot(v)]) {
                if value.is_finite() {
                    *range = (range.0.min(value), range.1.max(value));
                }
            }
        }
        all
    }

    /// Returns the range that covers both ranges.
    #[must_use]
    pub fn or(self, other: FlowRange) -> FlowRange {
        let both = |i: usize| {
            let ((low, high), (other_low, other_high)) = (self.0[i], other.0[i]);
            (low.min(other_low), high.max(other_high))
        };
        FlowRange(std::array::from_fn(both))
    }

    /// Returns the values of each channel that are shown as black and white.
    fn scaled_by(self, scaling: FlowScaling) -> [(f32, f32); 3] {
        let [u, v, length] = self.0;
        match scaling {
            FlowScaling::Channels => self.0,
            FlowScaling::Joint => [(u.0.min(v.0).min(length.0), u.1.max(v.1).max(length.1)); 3],
        }
    }
}

/// Shows flow as colours: red is motion to the right, green motion down, blue the vector's length. Values are
/// scaled to 0–1 by the lowest and highest value of all fields; a channel of equal values is 0.5.
///
/// C. Feichtenhofer et al., "Deep Insights into Convolutional Networks for Video Recognition", IJCV 2020,
/// show flow like this. Returns a clip `[3, T, H, W]`, or a still for one field. Flow that is not finite is
/// black.
///
/// # Errors
///
/// [`MediaError::Shape`](crate::MediaError::Shape) if the flow's size and values do not fit.
pub fn flow_colors(flow: &Flow, scaling: FlowScaling) -> Result<Image> {
    flow_colors_within(flow, scaling, FlowRange::of(flow))
}

/// Does what [`flow_colors`] does, but scales by a given range, such as that of a longer flow.
///
/// # Errors
///
/// The errors of [`flow_colors`].
pub fn flow_colors_within(flow: &Flow, scaling: FlowScaling, range: FlowRange) -> Result<Image> {
    let mut channels: [Vec<f32>; 3] = Default::default();
    for (&u, &v) in (0..flow.frames).flat_map(|frame| flow.u(frame).iter().zip(flow.v(frame))) {
        channels.iter_mut().zip([u, v, u.hypot(v)]).for_each(|(channel, value)| channel.push(value));
    }
    for (channel, (low, high)) in channels.iter_mut().zip(range.scaled_by(scaling)) {
        for value in channel {
            *value = match value.is_finite() {
                true if high > low => (*value - low) / (high - low),
                true => 0.5,
                false => 0.0,
            };
        }
    }
    Ok(Image::new([3, flow.frames, flow.height, flow.width], channels.concat())?)
}

/// Shows flow in Middlebury's colours: the hue is the direction, and longer vectors are more saturated.
/// Motion to the right is red, down yellow, to the left cyan, up violet.
///
/// S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011, figure 1 and the
/// published code. `longest` is the vector length, in pixels per frame, with full saturation; the default is
/// the longest vector. Longer vectors are darker. Returns a clip `[3, T, H, W]`, or a still for one field.
/// Flow that is not finite is black.
///
/// # Errors
///
/// [`MediaError::Shape`](crate::MediaError::Shape) if the flow's size and values do not fit.
pub fn flow_wheel(flow: &Flow, longest: Option<f32>) -> Result<Image> {
    let longest = longest.unwrap_or_else(|| flow.largest()).max(f32::MIN_POSITIVE);
    let wheel = wheel();
    let pixels = flow.height * flow.width;
    let values = flow.frames * pixels;
    let mut data = vec![0.0; 3 * values];
    for frame in 0..flow.frames {
        for (i, (&u, &v)) in flow.u(frame).iter().zip(flow.v(frame)).enumerate() {
            let color = wheel_color(&wheel, u / longest, v / longest);
            for channel in 0..3 {
                data[channel * values + frame * pixels + i] = color[channel];
            }
        }
    }
    Ok(Image::new([3, flow.frames, flow.height, flow.width], data)?)
}

/// The colour wheel's primary and secondary colours, each with the number of steps to the next one.
const WHEEL: [(usize, [f32; 3]); 6] = [
    (15, [1.0, 0.0, 0.0]),
    (6, [1.0, 1.0, 0.0]),
    (4, [0.0, 1.0, 0.0]),
    (11, [0.0, 1.0, 1.0]),
    (13, [0.0, 0.0, 1.0]),
    (6, [1.0, 0.0, 1.0]),
];

/// Returns the wheel's 55 colours: from red over yellow, green, cyan, blue and magenta back towards red.
fn wheel() -> Vec<[f32; 3]> {
    let arc = |i: usize| {
        let ((steps, from), (_, to)) = (WHEEL[i], WHEEL[(i + 1) % WHEEL.len()]);
        (0..steps).map(move |step| {
            let share = step as f32 / steps as f32;
            std::array::from_fn(|channel| from[channel] * (1.0 - share) + to[channel] * share)
        })
    };
    (0..WHEEL.len()).flat_map(arc).collect()
}

/// Returns the wheel's colour for a flow vector, whose length is relative to the fully saturated one.
fn wheel_color(wheel: &[[f32; 3]], u: f32, v: f32) -> [f32; 3] {
    /// Brightness of vectors longer than the fully saturated one.
    const BEYOND: f32 = 0.75;
    let length = u.hypot(v);
    if !length.is_finite() {
        return [0.0; 3];
    }
    let turn = (-v).atan2(-u) / PI;
    let at = (turn + 1.0) / 2.0 * (wheel.len() - 1) as f32;
    let first = (at as usize).min(wheel.len() - 1);
    let (from, to, share) = (wheel[first], wheel[(first + 1) % wheel.len()], at - first as f32);
    std::array::from_fn(|channel| {
        let full = from[channel] * (1.0 - share) + to[channel] * share;
        // Rounding may make the longest vector slightly longer than 1.
        if length <= 1.0 + 1e-5 { 1.0 - length.min(1.0) * (1.0 - full) } else { BEYOND * full }
    })
}

#[cfg(test)]
mod tests;
