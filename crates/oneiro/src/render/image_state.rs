//! One input's picture in a rendering: its parameters, its views for the network, and the gradients of its
//! parameters.

use std::ops::Range;

use oneiro_image::{Extent, Image};

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::objective_session::ObjectiveSession;
use crate::optimizer::Optimizer;
use crate::param::{Param, Work, alpha};
use crate::preset::{Outside, ParamSpec, Preset};
use crate::regularizer::{BoundRegularizer, Shares, UNITS};
use crate::render::Picture;
use crate::render::background::Background;
use crate::render::upkeep::Keeper;
use crate::rng::Stream;
use crate::transform::{Chain, Sampled, Transform, Values};

/// Colour behind a transparent picture that is evaluated without a random background.
pub const MIDDLE_GREY: f32 = 0.5;

/// One transformed sample of a picture, as the network sees it, and the gradient with respect to it.
pub(super) struct View {
    pub sampled: Sampled,
    pub seen: Vec<f32>,
    gradient: Vec<f32>,
    /// Gradient of the penalties with respect to the picture; empty without penalties.
    penalties: Vec<f32>,
}

/// One input's picture during a rendering: parameters and all buffers of a step, allocated once.
pub(super) struct ImageState {
    /// The network input that shows the picture.
    pub input: PictureInput,
    /// Extent of the picture with its margin for jitter; transparency is a channel.
    pub extent: Extent,
    /// Number of rows and columns of the margin, both sides together.
    margin: usize,
    /// The map from the picture to its middle, without the margin.
    whole: Chain,
    pub param: Box<dyn Param>,
    pub params: Vec<f32>,
    pub gradient: Vec<f32>,
    image: Vec<f32>,
    /// The picture that was evaluated last, without its margin.
    evaluated: Vec<f32>,
    /// The picture composed over its background, if it has transparency.
    composed: Vec<f32>,
    image_gradient: Vec<f32>,
    composed_gradient: Vec<f32>,
    view_gradient: Vec<f32>,
    work: Work,
    pub views: Vec<View>,
    /// Random transforms, with the colour outside the picture.
    pub chain: Chain,
    pub optimizer: Box<dyn Optimizer>,
    regularizer: Option<BoundRegularizer>,
    bound: Option<f32>,
    keeper: Option<Keeper>,
    /// The factor by which the learning rate is multiplied.
    pub rate_factor: f32,
    /// Factor on the objective's gradient at this input, relative to the weight that all inputs have in
    /// common.
    pub objective_factor: f32,
    /// If given, the objective's gradient is scaled so that its root mean square, times the number of
    /// positions, has this value in the regularizer's units.
    pub force: Option<f64>,
    /// The factor by which the last step scaled the objective's gradient to reach `force`.
    forced: f64,
    /// The regularizer's parts in the last step.
    shares: Shares,
    background: Option<Background>,
}

impl ImageState {
    /// Creates the state of one input's picture. `preset` has the settings for this input, and `rate` is a
    /// factor on its learning rates. Regularizers and pixels count from the mean colour of pictures.
    pub fn new(
        input: PictureInput,
        param: Box<dyn Param>,
        preset: &Preset,
        rate: f32,
        chain: &Chain,
        margin: usize,
    ) -> Result<Self> {
        let extent = param.extent();
        let whole = match preset.picture {
            Some(picture) => whole(picture, input.extent.size()),
            None => Chain::none(),
        };
        let is_flow = input.kind == InputKind::Flow;
        let mean = if is_flow { vec![0.0] } else { input.preprocess.natural_mean() };
        let colors = extent.with_channels(extent.channels - usize::from(preset.alpha));
        let levels = match &preset.param {
            ParamSpec::Pixel(pixel) => pixel.levels,
            _ => 1.0,
        };
        let background = preset.alpha.then(|| Background::new(colors)).transpose()?;
        let seen = input.extent.values();
        let view = || View {
            sampled: Sampled::default(),
            seen: vec![0.0; seen],
            gradient: vec![0.0; seen],
            penalties: Vec::new(),
        };
        let composed = if background.is_some() { colors.values() } else { 0 };
        let fill = match preset.outside {
            Outside::Mean => input.preprocess.mean_color(),
            // The chain's fill numbers are colours. Flow outside the picture is zero instead: nothing moves
            // there.
            Outside::Chain if is_flow => vec![0.0],
            Outside::Chain => chain.fill.clone(),
        };
        let span = input.preprocess.span();
        // Upkeep acts on parameters, in which no motion is middle grey.
        let kept = if is_flow { vec![MIDDLE_GREY] } else { mean.clone() };
        Ok(Self {
            rate_factor: preset.rate_factor(input.extent.size()) * rate,
            objective_factor: 1.0,
            force: None,
            forced: 1.0,
            shares: Shares::default(),
            input,
            extent,
            margin,
            whole,
            chain: Chain { fill, ..chain.clone() },
            params: Vec::new(),
            gradient: vec![0.0; param.len()],
            image: vec![0.0; extent.values()],
            evaluated: Vec::new(),
            composed: vec![0.0; composed],
            image_gradient: vec![0.0; extent.values()],
            composed_gradient: vec![0.0; composed],
            view_gradient: vec![0.0; colors.values()],
            work: param.work(),
            views: (0..preset.views.max(1)).map(|_| view()).collect(),
            optimizer: preset.optimizer.build(param.len(), preset.is_fixed()),
            regularizer: preset.regularizer.map(|r| r.bind(extent, &mean, span)).transpose()?,
            bound: preset.regularizer.map(|r| r.bound).filter(|b| *b > 0.0),
            keeper: preset.upkeep.map(|upkeep| Keeper::new(upkeep, extent, &kept, levels)),
            background,
            param,
        })
    }

    /// Extent of the colours, on which transforms and network operate.
    fn colors(&self) -> Extent {
        self.extent.with_channels(self.extent.channels - usize::from(self.background.is_some()))
    }

    /// Computes the picture from its current parameters.
    pub fn draw(&mut self) {
        self.param.image(&self.params, &mut self.work, &mut self.image);
    }

    /// Computes the picture from the last accepted parameters, not from a trial.
    pub fn draw_accepted(&mut self) {
        let params = self.optimizer.stands_at().unwrap_or(&self.params);
        self.param.image(params, &mut self.work, &mut self.image);
    }

    /// Returns the current picture, including its margin.
    pub fn image(&self) -> &[f32] {
        &self.image
    }

    /// Samples the views of the picture under its random transforms, or takes the whole picture in the final
    /// steps. `hold` keeps the transforms of the last call.
    pub fn sample_views(&mut self, settles: bool, rng: &mut Stream, progress: f32, hold: bool) {
        let colors = self.colors();
        let chain = if settles { &self.whole } else { &self.chain };
        if let Some(background) = &mut self.background {
            if !hold {
                background.draw(rng);
            }
            alpha::composite(&self.image, background.image(), &mut self.composed);
        }
        let image = if self.background.is_some() { &self.composed } else { &self.image };
        for view in &mut self.views {
            if !hold {
                chain.resample(rng, colors, self.input.extent.size(), progress, &mut view.sampled);
            }
            view.sampled.apply(image, &mut view.seen);
        }
    }

    /// Extent of the picture without its margin; transparency is a channel.
    pub fn result_extent(&self) -> Extent {
        self.extent.with_size(self.extent.size().map(|n| n - self.margin))
    }

    /// Returns an error unless a picture to evaluate has the result's size, with or without opacity.
    pub fn check(&self, picture: &[f32]) -> Result<()> {
        let [whole, colors] = [self.extent, self.colors()].map(|e| e.with_size(self.result_extent().size()));
        if picture.len() == whole.values() || picture.len() == colors.values() {
            return Ok(());
        }
        let what = format!("the picture for input \"{}\"", self.input.name);
        Err(Error::Values { what, values: picture.len(), needed: whole.to_string() })
    }

    /// Shows the whole picture to every view, without random transforms, and over grey where it is
    /// transparent. A given picture without opacity is taken as composed over grey already.
    pub fn evaluate(&mut self, given: Option<&[f32]>) {
        let mut picture = self.picture().image.data;
        let extent = self.colors().with_size(self.result_extent().size());
        if let Some(given) = given {
            picture[..given.len()].copy_from_slice(given);
            self.input.preprocess.visible(&mut picture[..extent.values()]);
        }
        let is_transparent = self.background.is_some() && given.is_none_or(|g| g.len() == picture.len());
        let mut colors = picture[..extent.values()].to_vec();
        if is_transparent {
            alpha::composite(&picture, &vec![MIDDLE_GREY; extent.values()], &mut colors);
        }
        let mut sampled = self.whole.sample_onto(&mut Stream::new(0, 0), extent, self.input.extent.size());
        for view in &mut self.views {
            sampled.apply(&colors, &mut view.seen);
        }
        self.evaluated = picture;
    }

    /// Returns the picture of the last evaluation, which has no margin.
    pub fn evaluated(&self) -> &[f32] {
        &self.evaluated
    }

    /// Returns the picture without its margin, with all channels, and colours as the network sees them.
    pub fn picture(&self) -> Picture {
        let size = self.result_extent().size();
        let mut sampled = Chain::none().sample_onto(&mut Stream::new(0, 0), self.extent, size);
        let mut data = vec![0.0; self.result_extent().values()];
        sampled.apply(&self.image, &mut data);
        let Extent { channels, frames, height, width } = self.colors().with_size(size);
        self.input.preprocess.visible(&mut data[..channels * frames * height * width]);
        let has_alpha = self.background.is_some();
        let image = Image { channels, frames, height, width, has_alpha, data };
        Picture {
            input: self.input.name.clone(),
            kind: self.input.kind,
            image,
            shown: self.input.preprocess.shown(),
        }
    }

    /// Stores the gradients of these views, which are the batch entries from `first` on.
    pub fn collect(&mut self, session: &ObjectiveSession, [first, batch]: [usize; 2], views: Range<usize>) {
        for (i, view) in self.views[views].iter_mut().enumerate() {
            self.input.gradient(session, [first + i, batch], &view.seen, &mut view.gradient);
            if self.objective_factor != 1.0 {
                view.gradient.iter_mut().for_each(|g| *g *= self.objective_factor);
            }
            view.penalties.clear();
            view.penalties.extend(session.penalty_gradient(first + i, self.input.index).unwrap_or_default());
        }
    }

    /// Brings the gradients of all views and penalties back to the parameters. Returns the value of the
    /// regularizer.
    pub fn back(&mut self) -> f64 {
        let total: &mut Vec<f32> =
            if self.background.is_some() { &mut self.composed_gradient } else { &mut self.image_gradient };
        for (i, view) in self.views.iter_mut().enumerate() {
            if i == 0 {
                view.sampled.adjoint(&view.gradient, total);
            } else {
                view.sampled.adjoint(&view.gradient, &mut self.view_gradient);
                total.iter_mut().zip(&self.view_gradient).for_each(|(t, g)| *t += g);
            }
        }
        if let Some(background) = &self.background {
            alpha::composite_adjoint(
                &self.image,
                background.image(),
                &self.composed_gradient,
                &mut self.image_gradient,
            );
        }
        for view in &self.views {
            self.image_gradient.iter_mut().zip(&view.penalties).for_each(|(g, p)| *g += p);
        }
        self.apply_force();
        if let Some(regularizer) = self.regularizer.as_mut() {
            self.shares = regularizer.subtract(&self.image, &mut self.image_gradient);
        }
        self.param.adjoint(&self.params, &mut self.work, &self.image_gradient, &mut self.gradient);
        self.shares.penalty()
    }

    /// Scales the objective's gradient to the size that `force` prescribes.
    fn apply_force(&mut self) {
        let Some(force) = self.force else { return };
        let gradient = &mut self.image_gradient;
        let squares: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
        let unit = f64::from(self.input.preprocess.span() / UNITS) * self.extent.positions() as f64;
        let size = (squares / gradient.len() as f64).sqrt() * unit;
        // A gradient of zero stays zero.
        if size > 0.0 && size.is_finite() {
            self.forced = force / size;
            let factor = self.forced as f32;
            gradient.iter_mut().for_each(|g| *g *= factor);
        }
    }

    /// Returns the parts of objective and regularizer in the last step. `objective` is the objective's
    /// weighted value.
    pub fn shares(&self, objective: f64) -> Shares {
        Shares { objective: objective * f64::from(self.objective_factor) * self.forced, ..self.shares }
    }

    /// Moves the parameters by one step, and applies the changes that follow steps.
    pub fn step(&mut self, value: f64, steps_done: usize) {
        self.optimizer.step(&mut self.params, value, &self.gradient);
        if let Some(keeper) = &mut self.keeper {
            keeper.after_step(&mut self.params, &self.gradient, steps_done);
        }
        if let Some(bound) = self.bound {
            self.param.project(&mut self.params, bound);
        }
    }
}

/// Returns the transforms that scale the middle of a picture to the network's size. The middle is the largest
/// box with the network's proportions.
fn whole([height, width]: [usize; 2], network: [usize; 2]) -> Chain {
    let factor = (network[0] as f64 / height as f64).max(network[1] as f64 / width as f64);
    // The margin is removed first. Pixels beside the box are cropped at the end.
    Chain::new(vec![Transform::Canvas(height, width), Transform::Scale(Values::List(vec![factor]))])
}
