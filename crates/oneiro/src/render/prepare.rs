//! What a rendering needs before its first step: the compiled network, and parameters, transforms and
//! random streams for each picture.

use super::batch_item::BatchItem;
use super::identity::{identities, numbered, stream_id};
use super::image_state::ImageState;
use super::materials::Materials;
use super::weight::weigh;
use super::{Render, apart, stride, textures};
use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::model::{InputError, Model};
use crate::objective::Objective;
use crate::objective_session::ObjectiveSession;
use crate::optimizer::OptimizerKind;
use crate::preset::Preset;
use crate::rng::Stream;
use crate::transform::{Chain, Transform};
use oneiro_image::Extent;

/// Most pixels of a picture between two transforms.
const MAX_STAGE_PIXELS: f64 = 64e6;

/// How much larger than the network's input a picture may be behind its transforms.
const MOST_CUT: f64 = 2.0;

impl Render {
    /// Prepares a rendering on the calling thread's workers.
    pub(super) fn prepare(
        model: &Model,
        preset: &Preset,
        objectives: &[Objective],
        seed: u64,
        materials: &Materials,
    ) -> Result<Self> {
        preset.check()?;
        check_coupling(preset, objectives)?;
        let views_at_once = apart::views_at_once(model, preset, objectives)?;
        let shapes = model.input_shapes(objectives.len() * views_at_once, preset.size)?;
        let max_pool = preset.gradients.max_pool.rule();
        let seen = apart::repeated(objectives, views_at_once);
        let mut session = ObjectiveSession::with_max_pool(model, &seen, &[], shapes, Some(max_pool))?;
        let inputs = PreparedInput::all(model, preset, objectives, &mut session)?;
        // If the layers cannot be determined, textures are not rolled.
        let rolls = inputs.iter().any(|input| textures::rolls(&input.chain));
        let layers = rolls.then(|| stride::layers(model, preset).ok()).flatten();
        let identities = identities(model, objectives)?;
        let mut entries = Vec::new();
        for (e, objective) in objectives.iter().enumerate() {
            let text = numbered(&identities, e, &materials.copies);
            let mut start = Stream::new(seed, stream_id(&text, "start"));
            let mut states = Vec::new();
            for input in &inputs {
                let size = input.extent.size();
                let chain = textures::resolved(&input.chain, model, layers.as_deref(), objective, size);
                let mut shared = Stream::new(seed, stream_id("", "shared"));
                states.push(input.state(&chain, materials, e, [&mut start, &mut shared])?);
            }
            check_states(preset, objectives, &states)?;
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
}

/// A picture input of the network, with the preset's settings as they hold for it.
struct PreparedInput {
    input: PictureInput,
    preset: Preset,
    /// All random transforms, that of the jitter first.
    chain: Chain,
    /// Number of rows and columns that jitter adds.
    margin: usize,
    /// The factor by which the learning rate is multiplied.
    rate: f32,
    /// Extent of the picture with its margin; transparency is a channel.
    extent: Extent,
}

impl PreparedInput {
    /// Prepares the inputs on which the objectives depend, and tells the session how large their pictures
    /// are.
    fn all(
        model: &Model,
        preset: &Preset,
        objectives: &[Objective],
        session: &mut ObjectiveSession,
    ) -> Result<Vec<Self>> {
        let pictures = PictureInput::used(model, session.inputs())?;
        if pictures.is_empty() {
            return Err(no_picture(&objectives[0], session));
        }
        check_settings_of_inputs(model, preset)?;
        // Each input has an optimizer of its own, whose line search would see the others move.
        if pictures.len() > 1 && preset.optimizer.kind == OptimizerKind::Lbfgs {
            return Err(Error::Settings(format!(
                "{} depends on {} inputs, but the optimizer lbfgs can only move one; try adam",
                objectives[0],
                pictures.len()
            )));
        }
        let of = |input: PictureInput| Self::new(model, preset, input, objectives);
        let inputs = pictures.into_iter().map(of).collect::<Result<Vec<Self>>>()?;
        for Self { input, extent, .. } in &inputs {
            session.shown().reshape(input.index, *extent, preset.alpha);
        }
        session.shown().check()?;
        Ok(inputs)
    }

    fn new(model: &Model, preset: &Preset, input: PictureInput, objectives: &[Objective]) -> Result<Self> {
        let own = preset.of_input(&input.name, input.kind);
        let rate = own.optimizer.learning_rate / preset.optimizer.learning_rate;
        let margin = stride::margin(model, &own, input.index, objectives)?;
        let mut chain = own.transform.clone();
        if margin > 0 {
            chain.transforms.insert(0, Transform::Jitter(margin.into()));
        }
        let size = preset.picture.unwrap_or(input.extent.size()).map(|n| n + margin);
        let pixels = chain.largest_stage(size);
        if pixels > MAX_STAGE_PIXELS {
            return Err(Error::Settings(format!(
                "the transforms {chain} make pictures of {:.0} million pixels on the way; use smaller ones",
                pixels / 1e6
            )));
        }
        if preset.picture.is_some() {
            check_shown(&chain, size, input.extent.size())?;
        }
        let channels = input.extent.channels + usize::from(preset.alpha);
        let extent = input.extent.with_channels(channels).with_size(size);
        Ok(Self { input, preset: own, chain, margin, rate, extent })
    }

    /// Returns the picture of entry `e`, with its first parameters. `random` are the streams of its own and
    /// of shared parameters.
    fn state(
        &self,
        chain: &Chain,
        materials: &Materials,
        e: usize,
        random: [&mut Stream; 2],
    ) -> Result<ImageState> {
        let (param, image) = materials.param(e, &self.preset, self.extent, self.margin, &self.input)?;
        let mut state =
            ImageState::new(self.input.clone(), param, &self.preset, self.rate, chain, self.margin)?;
        let [start, shared] = random;
        state.params = match image {
            None => state.param.init(start, shared),
            Some(image) => state.param.from_image(&image).ok_or_else(|| {
                let param = self.preset.param.name();
                Error::Settings(format!("the parametrization {param} cannot start from a picture"))
            })?,
        };
        Ok(state)
    }
}

/// An error if transforms show the network only a small part of a larger picture, the same in every step.
fn check_shown(chain: &Chain, picture: [usize; 2], seen: [usize; 2]) -> Result<()> {
    let moves = |transform: &Transform| match transform {
        Transform::Roll(pixels) => *pixels > 0,
        Transform::Jitter(length) => length.on(picture) >= picture[0].min(picture[1]) / 2,
        _ => false,
    };
    let last = chain.last_stage(picture, seen);
    let is_cut = |axis: usize| last[axis] > MOST_CUT * seen[axis] as f64;
    if !(is_cut(0) || is_cut(1)) || chain.transforms.iter().any(moves) {
        return Ok(());
    }
    let [h, w] = seen;
    Err(Error::Settings(format!(
        "the transforms {chain} show the network only {h}x{w} of the picture's {}x{}; add crop(0.7..1), which scales large \
         parts down, or take the recipe enlarged",
        picture[0], picture[1]
    )))
}

/// An error if there is no objective, or if the optimizer cannot move pictures that depend on each other.
fn check_coupling(preset: &Preset, objectives: &[Objective]) -> Result<()> {
    if objectives.is_empty() {
        return Err(Error::Settings("there is nothing to render: no unit is given".into()));
    }
    match objectives.iter().find(|o| o.couples()) {
        Some(coupling) if preset.optimizer.kind == OptimizerKind::Lbfgs => Err(Error::Settings(format!(
            "{coupling} couples the pictures of a batch, but the optimizer lbfgs can only move one; try adam"
        ))),
        _ => Ok(()),
    }
}

/// An error if a fill colour does not fit the input, or if the optimizer would move shared parameters apart.
fn check_states(preset: &Preset, objectives: &[Objective], states: &[ImageState]) -> Result<()> {
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
    Ok(())
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
