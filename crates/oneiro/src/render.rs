//! The rendering loop: parameters → image → transforms → network → objective, and back. [`Render`] runs it
//! step by step, and [`render`] runs it to the end.
//!
//! The pictures of a batch are independent: each has its own objective, parameters, optimizer and random
//! stream. The stream's seed comes from the objective's text. So a picture's bytes do not depend on its
//! batch. Only two settings couple pictures: terms over the batch, and shared parameters.
//!
//! In each step, the network sees one or several views of each picture (the preset's `views`), each under its
//! own transforms. The mean over the views is maximised. With a [`crate::preset::Jitter`] the picture is
//! larger than the network's input, and the result is its middle.

use crate::parallel;
use oneiro_net::Threads;
use rayon::prelude::*;

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::input::{InputMemory, PictureInput};
use crate::model::{InputError, Model};
use crate::objective::{Objective, TermKind};
use crate::objective_session::ObjectiveSession;
use crate::optimizer::OptimizerKind;
use crate::preset::Preset;
use crate::rng::Stream;
use crate::transform::{Chain, Transform};
use oneiro_image::Extent;

mod apart;
mod background;
mod batch_item;
mod identity;
mod image_state;
mod materials;
mod result;
mod stride;
mod textures;
mod upkeep;

pub use apart::mixes_pictures;
use batch_item::BatchItem;
use identity::{identities, numbered, stream_id};
use image_state::ImageState;
pub use image_state::MIDDLE_GREY;
pub use materials::{CustomParam, MakeParam, Materials};
pub use result::{Picture, Progress, Rendered, Stop};

/// Most pixels of a picture between two transforms.
const MAX_STAGE_PIXELS: f64 = 64e6;

/// A rendering of several objectives, step by step.
#[allow(missing_debug_implementations)]
pub struct Render {
    session: ObjectiveSession,
    preset: Preset,
    objectives: Vec<Objective>,
    entries: Vec<BatchItem>,
    values: Vec<f64>,
    start: Vec<f64>,
    /// The weight of each objective relative to the regularizers.
    weights: Vec<f64>,
    step: usize,
    /// Number of views of each picture that go through the network together.
    views_at_once: usize,
    threads: Threads,
}

impl Render {
    /// Prepares a rendering from noise. Its size is `preset.size`, or else the model card's.
    pub fn new(model: &Model, preset: &Preset, objectives: &[Objective], seed: u64) -> Result<Self> {
        Self::with_materials(model, preset, objectives, seed, &Materials::default())
    }

    /// Prepares a rendering with materials: pictures to start from, a mask, or statistics of pictures other
    /// than photographs. The rendering runs on the model's threads ([`Model::on`]).
    pub fn with_materials(
        model: &Model,
        preset: &Preset,
        objectives: &[Objective],
        seed: u64,
        materials: &Materials,
    ) -> Result<Self> {
        model.threads().run(|| Self::prepare(model, preset, objectives, seed, materials))
    }

    fn prepare(
        model: &Model,
        preset: &Preset,
        objectives: &[Objective],
        seed: u64,
        materials: &Materials,
    ) -> Result<Self> {
        preset.check()?;
        if objectives.is_empty() {
            return Err(Error::Settings("there is nothing to render: no unit is given".into()));
        }
        if let Some(coupling) = objectives.iter().find(|o| o.couples())
            && preset.optimizer.kind == OptimizerKind::Lbfgs
        {
            return Err(Error::Settings(format!(
                "{coupling} couples the pictures of a batch, but the optimizer lbfgs can only move one; try adam"
            )));
        }
        let views_at_once = apart::views_at_once(model, preset, objectives)?;
        let shapes = model.input_shapes(objectives.len() * views_at_once, preset.size)?;
        let max_pool = preset.gradients.max_pool.rule();
        let seen = apart::repeated(objectives, views_at_once);
        let mut session = ObjectiveSession::with_max_pool(model, &seen, &[], shapes, Some(max_pool))?;
        let identities = identities(model, objectives)?;
        let mut entries = Vec::new();
        let pictures = PictureInput::used(model, session.inputs())?;
        if pictures.is_empty() {
            return Err(no_picture(&objectives[0], &session));
        }
        check_settings_of_inputs(model, preset)?;
        let recipes = pictures
            .iter()
            .map(|input| Recipe::of_input(model, preset, input, objectives))
            .collect::<Result<Vec<Recipe>>>()?;
        // If the layers cannot be determined, textures are not rolled.
        let rolls = recipes.iter().any(|recipe| textures::rolls(&recipe.chain));
        let layers = rolls.then(|| stride::layers(model, preset).ok()).flatten();
        // Each input has an optimizer of its own, whose line search would see the others move.
        if pictures.len() > 1 && preset.optimizer.kind == OptimizerKind::Lbfgs {
            return Err(Error::Settings(format!(
                "{} depends on {} inputs, but the optimizer lbfgs can only move one; try adam",
                objectives[0],
                pictures.len()
            )));
        }
        // Extents of each input's picture with its margin; transparency is a channel.
        let mut extents = Vec::new();
        for (input, Recipe { chain, margin, .. }) in pictures.iter().zip(&recipes) {
            let picture = preset.picture.unwrap_or(input.extent.size()).map(|n| n + margin);
            let pixels = chain.largest_stage(picture);
            if pixels > MAX_STAGE_PIXELS {
                return Err(Error::Settings(format!(
                    "the transforms {chain} make pictures of {:.0} million pixels on the way; use smaller ones",
                    pixels / 1e6
                )));
            }
            let channels = input.extent.channels + usize::from(preset.alpha);
            let extent = input.extent.with_channels(channels).with_size(picture);
            session.shown().reshape(input.index, extent, preset.alpha);
            extents.push(extent);
        }
        session.shown().check()?;
        for e in 0..objectives.len() {
            let text = numbered(&identities, e, &materials.copies);
            let mut start = Stream::new(seed, stream_id(&text, "start"));
            let mut states = Vec::new();
            for ((input, &extent), recipe) in pictures.iter().zip(&extents).zip(&recipes) {
                let Recipe { preset: own, chain, margin, rate } = recipe;
                let (param, image) = materials.param(e, own, extent, *margin, input)?;
                let chain =
                    textures::resolved(chain, model, layers.as_deref(), &objectives[e], extent.size());
                let mut state = ImageState::new(input.clone(), param, own, *rate, &chain, *margin)?;
                let mut shared = Stream::new(seed, stream_id("", "shared"));
                state.params = match image {
                    None => state.param.init(&mut start, &mut shared),
                    Some(image) => state.param.from_image(&image).ok_or_else(|| {
                        Error::Settings(format!(
                            "the parametrization {} cannot start from a picture",
                            own.param.name()
                        ))
                    })?,
                };
                states.push(state);
            }
            let unfit = |c: &&ImageState| !c.input.extent.channels.is_multiple_of(c.chain.fill.len());
            if let Some(state) = states.iter().find(unfit) {
                return Err(InputError::Fill {
                    input: state.input.name.clone(),
                    values: state.chain.fill.len(),
                    channels: state.input.extent.channels,
                }
                .into());
            }
            // Shared parameters stay equal in all pictures only if all pictures change them by the same step.
            let shares = states.iter().any(|state| !state.param.shared().is_empty());
            if objectives.len() > 1 && shares && !preset.optimizer.kind.is_elementwise() {
                return Err(Error::Settings(format!(
                    "pictures share parameters, which the optimizer {} would move differently in each; try adam or sgd",
                    preset.optimizer.kind.name()
                )));
            }
            let transforms = Stream::new(seed, stream_id(&text, "transforms"));
            entries.push(BatchItem::new(states, transforms));
        }
        let weights = weigh(model, preset, objectives, &session, &mut entries)?;
        let mut render = Self {
            session,
            preset: preset.clone(),
            weights,
            objectives: objectives.to_vec(),
            values: vec![f64::NAN; objectives.len()],
            start: vec![],
            entries,
            step: 0,
            views_at_once,
            threads: model.threads().clone(),
        };
        render.start = render.evaluate(None)?;
        Ok(render)
    }

    /// Number of optimisation steps done.
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Returns the shape of one batch entry of a value that the objectives read, channels first.
    pub fn shape_of(&self, target: crate::model::Target) -> Option<&[usize]> {
        self.session.shape_of(target)
    }

    /// Returns the plan of the compiled network.
    pub fn plan(&self) -> &oneiro_net::Plan {
        self.session.plan()
    }

    /// Whether this entry's picture is finished. It does not change any more, even if others do.
    pub fn entry_finished(&self, entry: usize) -> bool {
        self.entries[entry].stop.is_some()
    }

    /// Whether the optimisation of every picture has ended.
    pub fn finished(&self) -> bool {
        self.entries.iter().all(|e| e.stop.is_some())
    }

    /// The objectives' values in the last step, under its random transforms.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Number of views of a picture in a step.
    fn views(&self) -> usize {
        self.preset.views.max(1)
    }

    /// Takes one step for every unfinished picture. Returns the objectives' values under this step's
    /// transforms.
    pub fn step(&mut self) -> Result<&[f64]> {
        self.threads.clone().run(|| self.advance())?;
        Ok(&self.values)
    }

    fn advance(&mut self) -> Result<()> {
        let views = self.views();
        parallel::with_awake_workers(|| {
            let preset = &self.preset;
            parallel::each_or_within(self.entries.iter_mut(), |_, entry| entry.show(preset));
        });
        let mut sums = vec![0.0; self.entries.len()];
        for first in (0..views).step_by(self.views_at_once) {
            self.pass(first, &mut sums);
        }
        for e in 0..self.entries.len() {
            if self.entries[e].stop.is_none() {
                self.values[e] = sums[e] / views as f64;
                self.check(e)?;
            }
        }
        parallel::with_awake_workers(|| self.move_parameters());
        self.step += 1;
        Ok(())
    }

    /// Runs the network forward and backward for the views from `first` on that go through it together. Adds
    /// their values to `sums`.
    fn pass(&mut self, first: usize, sums: &mut [f64]) {
        let (views, at_once) = (self.views(), self.views_at_once);
        parallel::with_awake_workers(|| self.feed(first, ImageState::image));
        self.session.forward();
        for (e, sum) in sums.iter_mut().enumerate().filter(|(e, _)| self.entries[*e].stop.is_none()) {
            let weight = self.weights[e];
            for entry in e * at_once..(e + 1) * at_once {
                *sum += self.session.value(entry);
                self.session.seed(entry, weight / views as f64);
            }
        }
        self.session.backward(&batch_item::rules(&self.preset, self.step));
        let (session, batch) = (&self.session, self.entries.len() * at_once);
        parallel::with_awake_workers(|| {
            parallel::each_or_within(self.entries.iter_mut(), |e, entry| {
                if entry.stop.is_none() {
                    let states = entry.states.iter_mut();
                    states.for_each(|state| {
                        state.collect(session, [e * at_once, batch], first..first + at_once)
                    });
                }
            });
        });
    }

    /// Ends a step: brings the gradients of the network's inputs back to the parameters, and moves the
    /// parameters.
    fn move_parameters(&mut self) {
        let mut regularizers = vec![0.0; self.entries.len()];
        parallel::each_or_within(
            self.entries.iter_mut().zip(&mut regularizers),
            |_, (entry, regularizer)| {
                if entry.stop.is_none() {
                    *regularizer = entry.back();
                }
            },
        );
        self.sum_shared();
        let (values, weights, preset) = (&self.values, &self.weights, &self.preset);
        parallel::each_or_within(self.entries.iter_mut().zip(regularizers), |e, (entry, regularizer)| {
            if entry.stop.is_none() {
                entry.step(weights[e] * values[e] - regularizer, preset);
                entry.finish_step(values[e], preset);
            }
        });
    }

    /// Gives every picture the sum of all pictures' gradients of the shared parameters, so that these change
    /// equally in all pictures.
    fn sum_shared(&mut self) {
        let Some(first) = self.entries.first() else { return };
        for k in 0..first.states.len() {
            let range = self.entries[0].states[k].param.shared();
            if range.is_empty() || self.entries.len() < 2 {
                continue;
            }
            let mut sum = vec![0.0f32; range.len()];
            for entry in self.entries.iter().filter(|e| e.stop.is_none()) {
                sum.iter_mut().zip(&entry.states[k].gradient[range.clone()]).for_each(|(s, g)| *s += g);
            }
            for entry in &mut self.entries {
                entry.states[k].gradient[range.clone()].copy_from_slice(&sum);
            }
        }
    }

    fn check(&self, entry: usize) -> Result<()> {
        // The value of a line search's trial may be infinite or NaN. The search then takes a shorter step.
        if self.values[entry].is_finite() || self.entries[entry].holds() {
            Ok(())
        } else {
            Err(Error::NotFinite { objective: self.objectives[entry].to_string(), step: self.step })
        }
    }

    /// Writes the views of every entry, from view `first` on, into the network's inputs. Penalties read
    /// `penalized`.
    fn feed(&mut self, first: usize, penalized: impl Fn(&ImageState) -> &[f32]) {
        let views = self.views_at_once;
        let batch = self.entries.len() * views;
        let entries = &self.entries;
        for input in 0..self.session.input_count() {
            match entries[0].states.iter().position(|state| state.input.index == input) {
                Some(k) => {
                    let seen =
                        |i: usize| entries[i / views].states[k].views[first + i % views].seen.as_slice();
                    entries[0].states[k].input.write(&mut self.session, batch, seen);
                }
                // No objective depends on this network input.
                None => self.session.input_mut(input).fill(0.0),
            }
        }
        let shown = self.session.shown();
        if shown.is_read() {
            for (i, entry) in self.entries.iter().enumerate() {
                for state in &entry.states {
                    (0..views).for_each(|v| shown.show(i * views + v, state.input.index, penalized(state)));
                }
            }
        }
    }

    /// Sets the extent of the pictures that penalties read: with the margin in steps, without it in
    /// evaluations.
    fn let_penalties_read(&mut self, extent: impl Fn(&ImageState) -> Extent) {
        for state in self.entries.iter().take(1).flat_map(|entry| &entry.states) {
            self.session.shown().reshape(state.input.index, extent(state), self.preset.alpha);
        }
    }

    /// Computes the objectives without transforms, for the pictures of [`Render::pictures`] or for given
    /// ones. `pictures[entry][k]` is the k-th picture of an entry: planar RGB or bands in 0–1, without
    /// margin. Opacity is the last plane. A picture without opacity counts as composed over grey already;
    /// penalties then read the picture's own opacity.
    ///
    /// # Errors
    /// If a picture is missing or has another size.
    pub fn evaluate(&mut self, pictures: Option<&[Vec<Vec<f32>>]>) -> Result<Vec<f64>> {
        self.threads.clone().run(|| self.evaluate_here(pictures))
    }

    fn evaluate_here(&mut self, pictures: Option<&[Vec<Vec<f32>>]>) -> Result<Vec<f64>> {
        if let Some(pictures) = pictures {
            self.check_pictures(pictures)?;
        }
        parallel::each_or_within(self.entries.iter_mut(), |e, entry| {
            entry.evaluate(pictures.map(|pictures| pictures[e].as_slice()));
        });
        self.let_penalties_read(ImageState::result_extent);
        self.session.shown().check()?;
        self.feed(0, ImageState::evaluated);
        self.session.forward();
        let values = (0..self.entries.len()).map(|e| self.session.value(e * self.views_at_once)).collect();
        self.let_penalties_read(|state| state.extent);
        Ok(values)
    }

    fn check_pictures(&self, pictures: &[Vec<Vec<f32>>]) -> Result<()> {
        let counts = |what: &str, values: usize, needed: usize| match values == needed {
            true => Ok(()),
            false => Err(Error::Values { what: what.to_owned(), values, needed: needed.to_string() }),
        };
        counts("the list of pictures by objective", pictures.len(), self.entries.len())?;
        for (entry, pictures) in self.entries.iter().zip(pictures) {
            counts("the pictures of an objective", pictures.len(), entry.states.len())?;
            entry.states.iter().zip(pictures).try_for_each(|(state, picture)| state.check(picture))?;
        }
        Ok(())
    }

    /// Returns the current pictures. During a line search these are the last accepted ones, not its trials.
    pub fn pictures(&mut self) -> Vec<Vec<Picture>> {
        let drawn = |entry: &mut BatchItem| {
            entry.states.iter_mut().for_each(ImageState::draw_accepted);
            entry.states.iter().map(ImageState::picture).collect()
        };
        self.threads.run(|| self.entries.par_iter_mut().map(drawn).collect())
    }

    /// Ends the rendering. Returns the pictures with their values.
    pub fn finish(&mut self) -> Result<Vec<Rendered>> {
        let stop = if self.preset.total_steps() == 0 { Stop::Steps } else { Stop::Asked };
        self.entries.iter_mut().filter(|e| e.stop.is_none()).for_each(|e| e.end(stop));
        let values = self.evaluate(None)?;
        let pictures = self.pictures();
        Ok(pictures
            .into_iter()
            .enumerate()
            .map(|(e, images)| Rendered {
                objective: self.objectives[e].clone(),
                images,
                value: values[e],
                value_at_start: self.start[e],
                shares: self.entries[e]
                    .states
                    .iter()
                    .map(|state| state.shares(self.weights[e] * values[e]))
                    .collect(),
                steps: self.entries[e].steps,
                stop: self.entries[e].stop.unwrap_or(stop),
            })
            .collect())
    }
}

/// The preset's settings as they hold for one input.
struct Recipe {
    preset: Preset,
    /// All random transforms, that of the jitter first.
    chain: Chain,
    /// Number of rows and columns that jitter adds.
    margin: usize,
    /// The factor by which the learning rate is multiplied.
    rate: f32,
}

impl Recipe {
    fn of_input(
        model: &Model,
        preset: &Preset,
        input: &PictureInput,
        objectives: &[Objective],
    ) -> Result<Self> {
        let own = preset.of_input(&input.name, input.kind);
        let rate = own.optimizer.learning_rate / preset.optimizer.learning_rate;
        let margin = stride::margin(model, &own, input.index, objectives)?;
        let mut chain = own.transform.clone();
        if margin > 0 {
            chain.transforms.insert(0, Transform::Jitter(margin.into()));
        }
        Ok(Self { preset: own, chain, margin, rate })
    }
}

/// An error if a recipe has settings for an input that the network does not have.
fn check_settings_of_inputs(model: &Model, preset: &Preset) -> Result<()> {
    let kinds = [InputKind::Image, InputKind::Clip, InputKind::Flow].map(InputKind::name);
    let names = model.card.input.iter().map(|input| input.name.as_str());
    let known: Vec<&str> = kinds.into_iter().chain(names).collect();
    match preset.inputs.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Error::Settings(format!(
            "preset {} has settings for the input \"{key}\", which the network does not have; there are {}",
            preset.name,
            known.join(", ")
        ))),
    }
}

/// Returns the weight of each objective: `weight`, or `unit_weight` / (ρ² · â) for objectives that compare
/// with no picture. ρ² is taken at the input where it is largest; at other inputs, the gradient gets a
/// factor. The gradients of relative objectives are scaled in every step.
fn weigh(
    model: &Model,
    preset: &Preset,
    objectives: &[Objective],
    session: &ObjectiveSession,
    entries: &mut [BatchItem],
) -> Result<Vec<f64>> {
    let weigh = |(objective, entry): (&Objective, &mut BatchItem)| match preset.unit_weight {
        Some(_) if !objective.compares() && preset.relative => {
            for state in &mut entry.states {
                state.force = preset.of_input(&state.input.name, state.input.kind).unit_weight;
            }
            Ok(preset.weight)
        }
        Some(weight) if !objective.compares() => {
            let areas = stride::field_areas(model, preset, objective)?;
            let largest = areas.values().copied().fold(1.0, f64::max);
            for state in &mut entry.states {
                let area = areas.get(&state.input.index).copied().unwrap_or(largest);
                let own = preset.of_input(&state.input.name, state.input.kind).unit_weight.unwrap_or(weight);
                state.objective_factor = (largest / area * own / weight) as f32;
            }
            let positions = if preset.sum_positions { positions(model, session, objective)? } else { 1 };
            Ok(weight * positions as f64 / (largest * preset.max_activation))
        }
        _ => Ok(preset.weight),
    };
    objectives.iter().zip(entries).map(weigh).collect()
}

/// Returns the largest number of positions over which a term of the objective takes a mean.
fn positions(model: &Model, session: &ObjectiveSession, objective: &Objective) -> Result<usize> {
    let mut most = 1;
    for term in objective.terms() {
        let is_mean = match &term.kind {
            TermKind::Channel(_) => true,
            TermKind::Direction(direction) => direction.at.is_none(),
            _ => false,
        };
        if is_mean && term.region.is_all() {
            let shape = session.shape_of(model.target_of(term)?).unwrap_or_default();
            most = most.max(shape.iter().skip(1).product());
        }
    }
    Ok(most)
}

/// Renders objectives from noise to the end. `progress` is called after every step and returns whether to
/// continue.
///
/// # Errors
/// If a unit does not exist, the network does not accept the size, or the objective becomes infinite or NaN.
pub fn render(
    model: &Model,
    preset: &Preset,
    objectives: &[Objective],
    seed: u64,
    mut progress: impl FnMut(&Progress<'_>) -> bool,
) -> Result<Vec<Rendered>> {
    let mut render = Render::new(model, preset, objectives, seed)?;
    let steps = preset.total_steps();
    while !render.finished() && steps > 0 {
        render.step()?;
        let state = Progress { step: render.step, steps, values: &render.values };
        if !progress(&state) {
            break;
        }
    }
    render.finish()
}

fn no_picture(objective: &Objective, session: &ObjectiveSession) -> Error {
    let bands = session.inputs().iter().find(|input| input.used && input.shape.len() == 4);
    let maybe_bands = bands.map(|input| (input.name.clone(), input.shape[1]));
    InputError::NoPicture { objective: objective.to_string(), maybe_bands }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Card;
    use crate::preset::Outside;
    use oneiro_net::graph::{Builder, Dim};

    #[test]
    fn every_picture_is_surrounded_by_the_mean_colour_of_its_own_input() {
        let mut net = Builder::new();
        let [a, b] = ["a", "b"].map(|name| net.input(name, &[1, 3, 8, 8].map(Dim::Fixed)).unwrap());
        let sum = net.node("Add", "sum", &[a, b], vec![]).unwrap();
        let card = "[[input]]\nname = \"a\"\nmean = [0.1, 0.2, 0.3]\n[[input]]\nname = \"b\"\nmean = [0.6, 0.7, 0.8]\n";
        let model = Model::new(net.finish(&[sum]), Card::parse(card).unwrap()).unwrap();
        let preset = Preset { size: None, outside: Outside::Mean, ..Preset::lucid() };
        let render = Render::new(&model, &preset, &[Objective::layer("sum")], 0).unwrap();
        let fills: Vec<&[f32]> = render.entries[0].states.iter().map(|c| &c.chain.fill[..]).collect();
        assert_eq!(fills, [[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]]);
    }
}
