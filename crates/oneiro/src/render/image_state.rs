//! One input's picture in a rendering: its parameters, the views that the network gets, and the way back.

use oneiro_image::Image;

use crate::error::Result;
use crate::optimizer::Optimizer;
use crate::param::{Param, Work, alpha};
use crate::preprocess::Preprocess;
use crate::preset::{Outside, Preset};
use crate::regularizer::BoundRegularizer;
use crate::render::Picture;
use crate::render::background::Background;
use crate::render::upkeep::Keeper;
use crate::rng::Stream;
use crate::transform::{Chain, Sampled};

/// Colour behind a transparent picture that is evaluated without its background.
pub const MIDDLE_GREY: f32 = 0.5;

/// What the network sees of a picture in one view, and the gradient on it.
pub(super) struct View {
    pub sampled: Sampled,
    pub seen: Vec<f32>,
    gradient: Vec<f32>,
}

/// One input's picture on its way: parameters and everything that a step needs, allocated once.
pub(super) struct ImageState {
    /// Which input of the network.
    pub input: usize,
    /// C, H, W of the picture: the network's size and a margin for jitter.
    pub shape: [usize; 3],
    /// H, W of what the network sees.
    pub size: [usize; 2],
    pub param: Box<dyn Param>,
    pub preprocess: Preprocess,
    pub params: Vec<f32>,
    pub gradient: Vec<f32>,
    image: Vec<f32>,
    /// The picture over its background, where it has transparency.
    composed: Vec<f32>,
    image_gradient: Vec<f32>,
    composed_gradient: Vec<f32>,
    view_gradient: Vec<f32>,
    work: Work,
    pub views: Vec<View>,
    /// Random transforms, with the colour outside this picture.
    pub chain: Chain,
    pub optimizer: Box<dyn Optimizer>,
    regularizer: Option<BoundRegularizer>,
    bound: Option<f32>,
    keeper: Option<Keeper>,
    /// What learning rates are multiplied by.
    pub rate_factor: f32,
    background: Option<Background>,
}

impl ImageState {
    /// Regularizers and pixels are counted from the mean colour of pictures.
    pub fn new(
        input: usize,
        size: [usize; 2],
        param: Box<dyn Param>,
        preprocess: Preprocess,
        preset: &Preset,
        chain: &Chain,
    ) -> Result<Self> {
        let shape = param.shape();
        let [channels, height, width] = shape;
        let mean = preprocess.natural_mean();
        let (n, plane) = (shape.iter().product(), height * width);
        let background = preset.alpha.then(|| Background::new([channels - 1, height, width])).transpose()?;
        let seen = preprocess.channels() * size[0] * size[1];
        let view = || View { sampled: Sampled::default(), seen: vec![0.0; seen], gradient: vec![0.0; seen] };
        let composed = if background.is_some() { (channels - 1) * plane } else { 0 };
        let fill = match preset.outside {
            Outside::Mean => preprocess.mean_color(),
            Outside::Chain => chain.fill.clone(),
        };
        Ok(Self {
            input,
            shape,
            size,
            chain: Chain { fill, ..chain.clone() },
            preprocess,
            params: Vec::new(),
            gradient: vec![0.0; param.len()],
            image: vec![0.0; n],
            composed: vec![0.0; composed],
            image_gradient: vec![0.0; n],
            composed_gradient: vec![0.0; composed],
            view_gradient: vec![0.0; n - if background.is_some() { plane } else { 0 }],
            work: param.work(),
            views: (0..preset.views.max(1)).map(|_| view()).collect(),
            optimizer: preset.optimizer.build(param.len(), preset.is_fixed()),
            regularizer: preset.regularizer.map(|r| r.bind(shape, &mean)).transpose()?,
            bound: preset.regularizer.map(|r| r.bound).filter(|b| *b > 0.0),
            keeper: preset.upkeep.map(|upkeep| Keeper::new(upkeep, shape)),
            rate_factor: preset.rate_factor(size),
            background,
            param,
        })
    }

    /// C, H, W of what the network and the transforms work on.
    fn color_shape(&self) -> [usize; 3] {
        let [channels, height, width] = self.shape;
        [channels - usize::from(self.background.is_some()), height, width]
    }

    /// Computes the picture.
    pub fn draw(&mut self) {
        self.param.image(&self.params, &mut self.work, &mut self.image);
    }

    /// Computes the picture that the optimizer stands by, which a trial is not.
    pub fn draw_accepted(&mut self) {
        let params = self.optimizer.stands_at().unwrap_or(&self.params);
        self.param.image(params, &mut self.work, &mut self.image);
    }

    /// The picture as it stands, margin and all.
    pub fn image(&self) -> &[f32] {
        &self.image
    }

    /// Samples the views of the drawn picture under its random transforms, or under `chain`. `hold` keeps the
    /// transforms of the last call.
    pub fn sample_views(&mut self, chain: Option<&Chain>, rng: &mut Stream, progress: f32, hold: bool) {
        let shape = self.color_shape();
        let chain = chain.unwrap_or(&self.chain);
        if let Some(background) = &mut self.background {
            if !hold {
                background.draw(rng);
            }
            alpha::composite(&self.image, background.image(), &mut self.composed);
        }
        let image = if self.background.is_some() { &self.composed } else { &self.image };
        for view in &mut self.views {
            if !hold {
                chain.resample(rng, shape, self.size, progress, &mut view.sampled);
            }
            view.sampled.apply(image, &mut view.seen);
        }
    }

    /// Samples the views under `whole`, without random transforms; transparent places show grey.
    pub fn plain(&mut self, whole: &Chain) {
        let shape = self.color_shape();
        if self.background.is_some() {
            alpha::composite(&self.image, &vec![MIDDLE_GREY; self.composed.len()], &mut self.composed);
        }
        let image = if self.background.is_some() { &self.composed } else { &self.image };
        let mut sampled = whole.sample_onto(&mut Stream::new(0, 0), shape, self.size);
        for view in &mut self.views {
            sampled.apply(image, &mut view.seen);
        }
    }

    /// Samples the views of another picture, which has no margin.
    pub fn view_of(&mut self, picture: &[f32], whole: &Chain) {
        let [_, height, width] = self.shape;
        let channels = self.color_shape()[0];
        let plane = picture.len() / channels;
        // A margin, if there was one, is gone: what is left is as large as what the network sees.
        let size = if plane == self.size[0] * self.size[1] { self.size } else { [height, width] };
        let mut sampled = whole.sample_onto(&mut Stream::new(0, 0), [channels, size[0], size[1]], self.size);
        for view in &mut self.views {
            sampled.apply(picture, &mut view.seen);
        }
    }

    /// The picture without its margin, all channels, as the network sees its colours.
    pub fn picture(&self, input: &str, margin: usize) -> Picture {
        let [channels, height, width] = self.shape;
        let size = [height - margin, width - margin];
        let mut sampled = Chain::none().sample_onto(&mut Stream::new(0, 0), self.shape, size);
        let mut data = vec![0.0; channels * size[0] * size[1]];
        sampled.apply(&self.image, &mut data);
        let has_alpha = self.background.is_some();
        let colors = channels - usize::from(has_alpha);
        self.preprocess.visible(&mut data[..colors * size[0] * size[1]]);
        let [height, width] = size;
        let image = Image { channels: colors, frames: 1, height, width, has_alpha, data };
        Picture { input: input.to_owned(), image, shown: self.preprocess.shown() }
    }

    /// From the gradients at the network's input, one a view, and that of penalties, to the gradient of the parameters.
    /// Returns the value of the regularizer.
    pub fn back<'a>(&mut self, network: &[&[f32]], penalties: impl Iterator<Item = &'a [f32]>) -> f64 {
        let total: &mut Vec<f32> =
            if self.background.is_some() { &mut self.composed_gradient } else { &mut self.image_gradient };
        for (i, (view, gradient)) in self.views.iter_mut().zip(network).enumerate() {
            self.preprocess.adjoint(&view.seen, gradient, &mut view.gradient);
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
        for penalties in penalties {
            self.image_gradient.iter_mut().zip(penalties).for_each(|(g, p)| *g += p);
        }
        let regularizer = self.regularizer.as_mut();
        let value = regularizer.map_or(0.0, |r| r.subtract(&self.image, &mut self.image_gradient));
        self.param.adjoint(&self.params, &mut self.work, &self.image_gradient, &mut self.gradient);
        value
    }

    /// A step of the parameters, and what is done after it.
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
