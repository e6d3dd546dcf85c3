//! Preprocessing: from display units to the units in which a network was trained.
//!
//! Interface: a [`Preprocess`] is created from an [`InputCard`]. [`Preprocess::apply`] converts a display
//! image to the network's input. [`Preprocess::adjoint`] converts a gradient with respect to that input to a
//! gradient with respect to the display image.
//!
//! | kind | display units | network units |
//! |---|---|---|
//! | image | RGB 0–1, `[3, H, W]` | (x·range − mean)/std, `[C, H, W]` in the card's order |
//! | clip | RGB 0–1, `[3, T, H, W]` | the same, `[C, T, H, W]` |
//! | bands | 0–1 each, `[B, H, W]` or `[B, T, H, W]` | (x·range − mean)/std, the same shape and order |
//! | flow | pixels per frame, `[2, T, H, W]`: all fields' u, then all v | (clamp(x, ±range)/range − mean)/std, `[2T, H, W]`: u0, v0, u1, v1, … |
//!
//! A gray network sees the luma of Rec. 601, y = 0.299 R + 0.587 G + 0.114 B. Axes keep the order N, C, …; a
//! channels-last network is handled in its graph.

use crate::card::{ChannelOrder, InputCard, InputKind};
use crate::color::IMAGENET_COLOR_MEAN;
use std::ops::Range;

/// Weights of red, green and blue in luma (ITU-R BT.601).
pub const REC601_LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Returns the luma (brightness) of a colour.
pub fn luma(rgb: [f32; 3]) -> f32 {
    rgb.iter().zip(REC601_LUMA).map(|(x, weight)| weight * x).sum()
}

/// A flow field has a horizontal and a vertical component.
pub const FLOW_COMPONENTS: usize = 2;

/// The assumed mean of bands if the card subtracts none: the middle of 0–1.
const MIDDLE: f32 = 0.5;

/// The conversion of pictures to the numbers that one network input takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    kind: InputKind,
    order: ChannelOrder,
    range: f32,
    /// One number for each channel of the network. Flow has one, or 2T.
    mean: Vec<f32>,
    std: Vec<f32>,
    /// The planes of a display image that are drawn as red, green and blue.
    shown: [usize; 3],
    /// Whether the network itself uses only the luminance.
    luminance: bool,
    /// Number of planes of a flow input: 2T for T frames.
    planes: usize,
}

impl Preprocess {
    /// The conversion that a card describes. The card must have passed [`InputCard::complete`], as those of
    /// [`crate::card::Card::parse`] and [`InputCard::preset`] have, and one of bands
    /// [`InputCard::fit_bands`], as those of a [`crate::Model`] have. Flow of a card without frames is one
    /// field.
    pub fn from_card(card: &InputCard) -> Preprocess {
        let (mut mean, mut std) = (card.mean.clone(), card.std.clone());
        let mut planes = FLOW_COMPONENTS;
        assert!(!mean.is_empty() && !std.is_empty(), "the card of input `{}` was not completed", card.name);
        if card.kind == InputKind::Flow {
            let known = card.frames.map(|frames| FLOW_COMPONENTS * frames);
            (mean, std) = (flow_planes(&mean, known), flow_planes(&std, known));
            let longest = mean.len().max(std.len());
            planes = known.unwrap_or(planes).max(longest);
            for list in [&mut mean, &mut std] {
                list.resize(longest, list[0]);
            }
        }
        Preprocess {
            kind: card.kind,
            order: card.order,
            range: card.range,
            mean,
            std,
            shown: card.shown(),
            luminance: card.luminance && card.kind != InputKind::Flow,
            planes,
        }
    }

    /// The kind of input for which pictures are converted.
    pub fn kind(&self) -> InputKind {
        self.kind
    }

    /// Channels of a display image or clip: 3 for colours, also where the network is gray; the number of
    /// bands; 2 for flow.
    pub fn channels(&self) -> usize {
        match self.kind {
            InputKind::Flow => FLOW_COMPONENTS,
            _ if self.order == ChannelOrder::Bands => self.mean.len(),
            _ => 3,
        }
    }

    /// The width of the range of display values: 1 for colours and bands, twice the card's range for flow.
    pub fn span(&self) -> f32 {
        if self.kind == InputKind::Flow { 2.0 * self.range } else { 1.0 }
    }

    /// Number of planes of flow, if each has a mean or deviation of its own.
    pub(crate) fn planes_of_flow(&self) -> Option<usize> {
        Some(self.mean.len()).filter(|&planes| self.kind == InputKind::Flow && planes > 1)
    }

    /// The planes of a display image that are drawn as red, green and blue. For bands, the card's `show`
    /// decides.
    pub fn shown(&self) -> [usize; 3] {
        self.shown
    }

    /// Length of the network's input for a display image of this length.
    pub fn network_len(&self, display_len: usize) -> usize {
        if self.is_gray() { display_len / 3 } else { display_len }
    }

    /// Length of the display image for a network input of this length.
    pub fn display_len(&self, network_len: usize) -> usize {
        if self.is_gray() { network_len * 3 } else { network_len }
    }

    /// The display value that the network sees as 0: RGB, or one number a band, for images and clips; for
    /// flow in pixels per frame, one number if all planes have the same, else one a plane of the display.
    /// Padding with it is padding with zeros after the means have been subtracted.
    pub fn mean_color(&self) -> Vec<f32> {
        if self.kind == InputKind::Flow {
            let planes = self.mean.len();
            return (0..planes).map(|plane| self.mean[network_plane(plane, planes)] * self.range).collect();
        }
        (0..self.channels()).map(|color| self.mean[self.channel_of(color)] / self.range).collect()
    }

    /// The mean colour of pictures: the colour that the card subtracts. If it subtracts none, ImageNet's
    /// mean, or 0.5 for each band.
    pub fn natural_mean(&self) -> Vec<f32> {
        let mean = self.mean_color();
        let of_pictures = self.kind != InputKind::Flow && mean.iter().all(|m| *m == 0.0);
        match self.order {
            _ if !of_pictures => mean,
            ChannelOrder::Bands => vec![MIDDLE; mean.len()],
            _ => IMAGENET_COLOR_MEAN.to_vec(),
        }
    }

    /// Computes the network's input for a display image.
    pub fn apply(&self, display: &[f32], out: &mut [f32]) {
        if self.kind == InputKind::Flow {
            self.for_each_flow_plane(display.len(), |shown, at, mean, std| {
                for (out, x) in out[at].iter_mut().zip(&display[shown]) {
                    *out = (x.clamp(-self.range, self.range) / self.range - mean) / std;
                }
            });
            return;
        }
        let plane = self.color_plane(display.len(), out.len());
        if self.is_gray() {
            let (mean, std, [r, g, b]) = (self.mean[0], self.std[0], REC601_LUMA);
            let (red, rest) = display.split_at(plane);
            let (green, blue) = rest.split_at(plane);
            for (out, ((x, y), z)) in out.iter_mut().zip(red.iter().zip(green).zip(blue)) {
                *out = ((r * x + g * y + b * z) * self.range - mean) / std;
            }
            return;
        }
        for (color, source) in display.chunks_exact(plane).enumerate() {
            let channel = self.channel_of(color);
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for (out, x) in out[channel * plane..][..plane].iter_mut().zip(source) {
                *out = (x * self.range - mean) / std;
            }
        }
    }

    /// Whether the network sees only the luma of pictures.
    pub fn sees_gray(&self) -> bool {
        self.is_gray() || self.luminance
    }

    /// Reduces a display image to what the network sees. If the network sees only luma, all three colours
    /// become the luma.
    pub fn visible(&self, display: &mut [f32]) {
        if !self.sees_gray() {
            return;
        }
        let plane = display.len() / 3;
        for i in 0..plane {
            let luma = luma([0, 1, 2].map(|c| display[c * plane + i]));
            (0..3).for_each(|c| display[c * plane + i] = luma);
        }
    }

    /// For a network that sees only brightness, replaces a gradient with respect to a display image by one
    /// that changes all three colours equally. Steps along it keep hue and saturation.
    pub fn brightness_gradient(&self, gradient: &mut [f32]) {
        if !self.sees_gray() {
            return;
        }
        let plane = gradient.len() / 3;
        for i in 0..plane {
            let sum = (0..3).map(|c| gradient[c * plane + i]).sum();
            (0..3).for_each(|c| gradient[c * plane + i] = sum);
        }
    }

    /// Computes the gradient with respect to the display image `display` from the gradient with respect to
    /// the network's input. Flow beyond its range gets zero.
    pub fn adjoint(&self, display: &[f32], grad_network: &[f32], grad_display: &mut [f32]) {
        assert_eq!(display.len(), grad_display.len(), "an image and its gradient have one shape");
        if self.kind == InputKind::Flow {
            self.for_each_flow_plane(display.len(), |shown, at, _, std| {
                let factor = 1.0 / (self.range * std);
                let planes = grad_network[at].iter().zip(&display[shown.clone()]);
                for (out, (grad, x)) in grad_display[shown].iter_mut().zip(planes) {
                    *out = if x.abs() <= self.range { grad * factor } else { 0.0 };
                }
            });
            return;
        }
        let plane = self.color_plane(display.len(), grad_network.len());
        for (color, out) in grad_display.chunks_exact_mut(plane).enumerate() {
            let channel = self.channel_of(color);
            let luma = if self.is_gray() { REC601_LUMA[color] } else { 1.0 };
            let factor = luma * self.range / self.std[channel];
            for (out, grad) in out.iter_mut().zip(&grad_network[channel * plane..][..plane]) {
                *out = grad * factor;
            }
        }
    }

    /// Computes the display image of a network's input, the inverse of [`Preprocess::apply`]. A gray image
    /// has three equal colours.
    pub fn display(&self, network: &[f32], out: &mut [f32]) {
        if self.kind == InputKind::Flow {
            self.for_each_flow_plane(out.len(), |shown, at, mean, std| {
                for (out, x) in out[shown].iter_mut().zip(&network[at]) {
                    *out = (x * std + mean) * self.range;
                }
            });
            return;
        }
        let plane = self.color_plane(out.len(), network.len());
        for (color, out) in out.chunks_exact_mut(plane).enumerate() {
            let channel = self.channel_of(color);
            for (out, x) in out.iter_mut().zip(&network[channel * plane..][..plane]) {
                *out = (x * self.std[channel] + self.mean[channel]) / self.range;
            }
        }
    }

    /// Adds to `grad_network` the gradient with respect to a network's input, given the gradient with respect
    /// to its display image.
    pub fn display_adjoint(&self, grad_display: &[f32], grad_network: &mut [f32]) {
        if self.kind == InputKind::Flow {
            self.for_each_flow_plane(grad_display.len(), |shown, at, _, std| {
                for (out, g) in grad_network[at].iter_mut().zip(&grad_display[shown]) {
                    *out += g * std * self.range;
                }
            });
            return;
        }
        let plane = self.color_plane(grad_display.len(), grad_network.len());
        for (color, grad) in grad_display.chunks_exact(plane).enumerate() {
            let channel = self.channel_of(color);
            let factor = self.std[channel] / self.range;
            let out = &mut grad_network[channel * plane..][..plane];
            out.iter_mut().zip(grad).for_each(|(out, g)| *out += g * factor);
        }
    }

    fn is_gray(&self) -> bool {
        self.kind != InputKind::Flow && self.order == ChannelOrder::Gray
    }

    /// Returns the network's channel for a colour (red, green, blue) or a band.
    fn channel_of(&self, color: usize) -> usize {
        match self.order {
            ChannelOrder::Rgb | ChannelOrder::Bands => color,
            ChannelOrder::Bgr => 2 - color,
            ChannelOrder::Gray => 0,
        }
    }

    /// Number of values of one colour, over all frames of a clip.
    fn color_plane(&self, display: usize, network: usize) -> usize {
        let channels = self.channels();
        let plane = display / channels;
        assert_eq!(display, channels * plane, "a display image has {channels} channels");
        assert_eq!(network, plane * self.mean.len(), "the network's input must have the image's size");
        plane
    }

    /// Calls with the place of every plane of flow in the display and in the network's input, and with its
    /// mean and deviation.
    fn for_each_flow_plane(&self, len: usize, mut run: impl FnMut(Range<usize>, Range<usize>, f32, f32)) {
        let planes = self.planes;
        let plane = len / planes;
        assert_eq!(len, planes * plane, "flow has {planes} planes");
        let (means, stds) = (self.mean.len(), self.std.len());
        for shown in 0..planes {
            let at = network_plane(shown, planes);
            let place = |index: usize| index * plane..(index + 1) * plane;
            run(place(shown), place(at), self.mean[at % means], self.std[at % stds]);
        }
    }
}

/// The plane of the network's input, u0, v0, u1, v1, …, that a plane of a display flow, u0, u1, …, v0, v1, …
/// goes to.
fn network_plane(shown: usize, planes: usize) -> usize {
    let fields = planes.div_ceil(FLOW_COMPONENTS);
    if planes == 1 { 0 } else { FLOW_COMPONENTS * (shown % fields) + shown / fields }
}

/// Returns the means (or deviations) of a flow input's planes u0, v0, u1, v1, …. If all are the same, returns
/// one number.
fn flow_planes(list: &[f32], planes: Option<usize>) -> Vec<f32> {
    if list.iter().all(|v| *v == list[0]) {
        return vec![list[0]];
    }
    list.iter().copied().cycle().take(planes.unwrap_or(list.len()).max(list.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Card;
    use crate::rng::Stream;

    #[test]
    fn a_gray_network_sees_no_colour() {
        let preprocess = |order: &str| {
            let card = Card::parse(&format!("[[input]]\nname = \"x\"\norder = \"{order}\"")).unwrap();
            Preprocess::from_card(&card.input[0])
        };
        let colours = [1.0, 0.0, 0.0, 0.5, 0.0, 1.0];
        let (mut gray, mut rgb) = (colours, colours);
        preprocess("gray").visible(&mut gray);
        preprocess("rgb").visible(&mut rgb);
        assert_eq!(rgb, colours);
        let mut seen = colours;
        Preprocess { luminance: true, ..preprocess("rgb") }.visible(&mut seen);
        assert_eq!(seen, gray);
        assert!((gray[0] - 0.299).abs() < 1e-6 && gray[0] == gray[2] && gray[1] == gray[5], "{gray:?}");
        let seen = |display: &[f32]| {
            let mut out = vec![0.0; 2];
            preprocess("gray").apply(display, &mut out);
            out
        };
        assert!(seen(&colours).iter().zip(seen(&gray)).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    /// Cards with the length of a display image.
    const CARDS: [(&str, usize); 11] = [
        ("mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]", 12),
        ("order = \"bgr\"\nrange = 255.0\nmean = [103.939, 116.779, 123.68]\nstd = [1.0, 2.0, 4.0]", 12),
        ("order = \"gray\"\nmean = [0.5]\nstd = [0.25]", 12),
        ("kind = \"clip\"\nframes = 2\norder = \"bgr\"\nmean = [0.1, 0.2, 0.3]", 24),
        ("kind = \"clip\"\norder = \"gray\"", 24),
        ("order = \"bands\"\nrange = 10.0\nmean = [1, 2, 3, 4, 5]\nstd = [5, 4, 3, 2, 1]", 20),
        ("order = \"bands\"\nmean = [0.5, 0.25]", 8),
        ("kind = \"clip\"\norder = \"bands\"\nmean = [0.1, 0.2, 0.3, 0.4]\nstd = [0.5]", 24),
        ("kind = \"flow\"\nrange = 20.0", 16),
        ("kind = \"flow\"\nrange = 20.0\nframes = 2\nmean = [0.1, -0.2]\nstd = [0.5]", 16),
        ("kind = \"flow\"\nrange = 5\nframes = 2\nmean = [0.1, -0.2, 0.3, 0.0]\nstd = [0.5, 0.25]", 16),
    ];

    fn preprocess(lines: &str) -> Preprocess {
        let card = Card::parse(&format!("[[input]]\nname = \"x\"\n{lines}")).unwrap();
        Preprocess::from_card(&card.input[0])
    }

    fn network_of(preprocess: &Preprocess, display: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; preprocess.network_len(display.len())];
        preprocess.apply(display, &mut out);
        out
    }

    fn assert_near(ours: &[f32], expected: &[f32]) {
        assert_eq!(ours.len(), expected.len());
        assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{ours:?} {expected:?}");
    }

    #[test]
    fn colours_become_what_networks_expect() {
        let color = [1.0, 0.5, 0.25];
        let network = |name| {
            network_of(&Preprocess::from_card(&crate::card::InputCard::preset(name, "x").unwrap()), &color)
        };
        assert_near(&network("imagenet"), &[2.2489083, 0.19642857, -0.6933333]);
        assert_near(&network("caffe"), &[63.75 - 103.939, 127.5 - 116.779, 255.0 - 123.68]);
        assert_near(&network("tf"), &[1.0, 0.0, -0.5]);
        assert_near(&network("unit"), &color);
        assert_near(&network("none"), &[255.0, 127.5, 63.75]);
        assert_near(&network_of(&preprocess("order = \"gray\""), &color), &[0.299 + 0.2935 + 0.0285]);
    }

    #[test]
    fn each_band_has_its_own_mean_and_deviation() {
        let bands = preprocess("order = \"bands\"\nrange = 10\nmean = [1, 2, 3, 4]\nstd = [1, 2, 4, 8]");
        assert_eq!(bands.channels(), 4);
        assert_near(&network_of(&bands, &[0.1, 0.4, 0.5, 1.2]), &[0.0, 1.0, 0.5, 1.0]);
        let (mut seen, as_it_is) = ([0.5, 0.25, 0.0, 1.0], [0.5, 0.25, 0.0, 1.0]);
        bands.visible(&mut seen);
        assert_eq!(seen, as_it_is);
    }

    #[test]
    fn flow_is_clipped_and_scaled_plane_by_plane() {
        let flow = preprocess(CARDS[9].0);
        let out = network_of(&flow, &[10.0, -40.0, 5.0, 20.0]);
        // The order of planes changes from u0, u1, v0, v1 to u0, v0, u1, v1.
        assert_near(&out, &[0.8, 0.9, -2.2, 2.4]);
        let flow = preprocess(CARDS[10].0);
        let out = network_of(&flow, &[5.0, -40.0, 2.5, 0.0]);
        assert_near(&out, &[1.8, 2.8, -2.6, 0.0]);
    }

    #[test]
    fn pictures_have_a_mean_colour_also_where_nothing_is_subtracted() {
        assert_eq!(preprocess("mean = [0, 0, 0]\nstd = [1, 1, 1]").natural_mean(), IMAGENET_COLOR_MEAN);
        assert_eq!(preprocess("range = 255\nmean = [51, 51, 51]").natural_mean(), [0.2; 3]);
        assert_eq!(preprocess("order = \"bands\"\nmean = [0, 0, 0, 0]").natural_mean(), [0.5; 4]);
        let reflectances = "order = \"bands\"\nrange = 10000\nmean = [1000, 2000, 500, 0]";
        assert_eq!(preprocess(reflectances).natural_mean(), [0.1, 0.2, 0.05, 0.0]);
    }

    #[test]
    fn gradients_agree_with_differences() {
        for (lines, len) in CARDS {
            let (preprocess, mut rng) = (preprocess(lines), Stream::new(1, 0));
            // Flow lies on both sides of its limit, but not within a difference step of it.
            let wide = if preprocess.kind() == InputKind::Flow { 30.0 } else { 1.0 };
            let x: Vec<f32> = (0..len).map(|_| (wide * rng.uniform()) as f32).collect();
            let mut normal = |len| -> Vec<f32> { (0..len).map(|_| rng.normal() as f32).collect() };
            let y = normal(preprocess.network_len(len));
            let mut gradient = vec![f32::NAN; len];
            preprocess.adjoint(&x, &y, &mut gradient);
            for index in 0..len {
                let value = |step: f32| -> f64 {
                    let mut moved = x.clone();
                    moved[index] += step;
                    network_of(&preprocess, &moved)
                        .iter()
                        .zip(&y)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b))
                        .sum()
                };
                let numeric = (value(0.0625) - value(-0.0625)) / 0.125;
                let exact = f64::from(gradient[index]);
                assert!(
                    (numeric - exact).abs() < 1e-3 * (1.0 + exact.abs()),
                    "{lines} {index}: {numeric} {exact}"
                );
            }
        }
    }

    #[test]
    fn a_networks_input_is_shown_as_the_picture_that_it_was_made_of() {
        for (lines, len) in CARDS {
            let (preprocess, mut rng) = (preprocess(lines), Stream::new(2, 0));
            let picture: Vec<f32> = (0..len).map(|_| rng.uniform() as f32).collect();
            let network = network_of(&preprocess, &picture);
            let mut shown = vec![f32::NAN; len];
            preprocess.display(&network, &mut shown);
            assert_near(&network_of(&preprocess, &shown), &network);
            // <D·x, y> − <D·0, y> = <x, Dᵀ·y>.
            let y: Vec<f32> = (0..len).map(|_| rng.normal() as f32).collect();
            let mut at_zero = vec![f32::NAN; len];
            preprocess.display(&vec![0.0; network.len()], &mut at_zero);
            let mut gradient = vec![0.0; network.len()];
            preprocess.display_adjoint(&y, &mut gradient);
            let left: f32 = shown.iter().zip(&at_zero).zip(&y).map(|((a, b), y)| (a - b) * y).sum();
            let right: f32 = network.iter().zip(&gradient).map(|(x, g)| x * g).sum();
            assert!((left - right).abs() < 1e-3 * (1.0 + left.abs()), "{lines}: {left} {right}");
        }
    }

    #[test]
    fn the_mean_colour_becomes_zero() {
        for (lines, len) in CARDS {
            let preprocess = preprocess(lines);
            let color = preprocess.mean_color();
            let display: Vec<f32> = (0..len).map(|at| color[at * color.len() / len]).collect();
            assert_near(&network_of(&preprocess, &display), &vec![0.0; preprocess.network_len(len)]);
        }
    }
}
