//! The loop: parameters → image → transforms → network → objective, and back. Steppable; [`render`] is its easy door.
//!
//! The pictures of a batch are independent: each has its own objective, parameters, optimiser and random stream, the
//! latter seeded by the objective's text. So a picture's bytes do not depend on which batch it was made in.

use oneiro_net::Rules;
use rayon::prelude::*;

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::Objective;
use crate::optimizer::Optimizer;
use crate::param::{Param, Work};
use crate::preprocess::Preprocess;
use crate::preset::{CONVERGENCE_WINDOW, Outside, Preset};
use crate::probe::Probe;
use crate::rng::Stream;
use crate::transform::{Chain, Sampled};

/// Why the optimisation of a picture ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// All steps are done.
    Steps,
    /// The objective no longer rose.
    Converged,
    /// The caller wanted no more.
    Asked,
}

impl Stop {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Stop::Steps => "all steps done",
            Stop::Converged => "converged",
            Stop::Asked => "stopped on request",
        }
    }
}

/// An optimised input.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Name of the network's input.
    pub input: String,
    /// C, H, W.
    pub shape: [usize; 3],
    /// RGB in 0–1, planar, not clipped.
    pub data: Vec<f32>,
}

/// The result for one objective.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// What was maximised.
    pub objective: Objective,
    /// One picture for every image input that the objective depends on.
    pub images: Vec<Picture>,
    /// The objective of those pictures as they are, transforms off.
    pub value: f64,
    /// The same before the first step.
    pub value_at_start: f64,
    /// Steps taken.
    pub steps: usize,
    /// Why it ended.
    pub stop: Stop,
}

/// Where a rendering stands, for callbacks.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Steps done.
    pub step: usize,
    /// Steps at most.
    pub steps: usize,
    /// The objectives' values in this step, under its random transforms.
    pub values: &'a [f64],
}

/// One picture on its way: parameters and everything that the step needs, allocated once.
struct Canvas {
    input: usize,
    shape: [usize; 3],
    param: Box<dyn Param>,
    preprocess: Preprocess,
    params: Vec<f32>,
    gradient: Vec<f32>,
    image: Vec<f32>,
    image_gradient: Vec<f32>,
    seen: Vec<f32>,
    seen_gradient: Vec<f32>,
    work: Work,
    sampled: Sampled,
    optimizer: Box<dyn Optimizer>,
}

struct Entry {
    canvases: Vec<Canvas>,
    transforms: Stream,
    values: Vec<f64>,
    steps: usize,
    stop: Option<Stop>,
}

/// A rendering of several objectives at once, step by step.
#[allow(missing_debug_implementations)]
pub struct Render {
    probe: Probe,
    preset: Preset,
    chain: Chain,
    objectives: Vec<Objective>,
    entries: Vec<Entry>,
    values: Vec<f64>,
    start: Vec<f64>,
    step: usize,
}

/// Pixels that a picture may have between two transforms.
const MAX_STAGE_PIXELS: f64 = 64e6;

/// 64-bit FNV-1a of a text: the identity of a random stream.
fn stream_id(text: &str, purpose: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    text.bytes().chain([0]).chain(purpose.bytes()).fold(OFFSET, |h, b| (h ^ u64::from(b)).wrapping_mul(PRIME))
}

impl Render {
    /// Prepares a rendering from noise. `preset.size` decides the size, else the model card.
    pub fn new(model: &Model, preset: &Preset, objectives: &[Objective], seed: u64) -> Result<Self> {
        if objectives.is_empty() {
            return Err(Error::Settings("there is nothing to render: no unit is given".into()));
        }
        let shapes = model.input_shapes(objectives.len(), preset.size)?;
        let max_pool = preset.gradients.max_pool.rule();
        let probe = Probe::with_max_pool(model, objectives, &[], shapes, Some(max_pool))?;
        let mut chain = preset.transform.clone();
        for input in probe.inputs().iter().filter(|i| i.used && i.shape.len() == 4) {
            let pixels = chain.largest_stage([input.shape[2], input.shape[3]]);
            if pixels > MAX_STAGE_PIXELS {
                return Err(Error::Settings(format!(
                    "the transforms {chain} make pictures of {:.0} million pixels on the way; use smaller ones",
                    pixels / 1e6
                )));
            }
        }
        let mut entries = Vec::new();
        for objective in objectives {
            let text = objective.to_string();
            let mut start = Stream::new(seed, stream_id(&text, "start"));
            let mut canvases = Vec::new();
            for (input, planned) in probe.inputs().iter().enumerate().filter(|(_, i)| i.used) {
                let card = &model.card.input[input];
                if card.kind == InputKind::Tensor {
                    continue;
                }
                if card.kind != InputKind::Image {
                    return Err(Error::Settings(format!(
                        "input \"{}\" is not an image; only image inputs can be rendered so far, and this unit depends on it",
                        planned.name
                    )));
                }
                model.check_picture(input, &planned.shape)?;
                let preprocess = Preprocess::from_card(card);
                if preset.outside == Outside::Mean {
                    chain.fill = preprocess.mean_color();
                }
                let shape = [3, planned.shape[2], planned.shape[3]];
                let param = preset.param.build(shape);
                let n = shape.iter().product();
                canvases.push(Canvas {
                    input,
                    shape,
                    preprocess,
                    params: param.init(&mut start),
                    gradient: vec![0.0; param.len()],
                    image: vec![0.0; n],
                    image_gradient: vec![0.0; n],
                    seen: vec![0.0; n],
                    seen_gradient: vec![0.0; n],
                    work: param.work(),
                    sampled: Sampled::default(),
                    optimizer: preset.optimizer.build(param.len()),
                    param,
                });
            }
            if canvases.is_empty() {
                return Err(Error::Settings(format!(
                    "{objective} depends on no picture: its inputs are of kind \"tensor\" in the model card"
                )));
            }
            let transforms = Stream::new(seed, stream_id(&text, "transforms"));
            entries.push(Entry { canvases, transforms, values: Vec::new(), steps: 0, stop: None });
        }
        let mut render = Self {
            probe,
            preset: preset.clone(),
            chain,
            objectives: objectives.to_vec(),
            values: vec![f64::NAN; objectives.len()],
            start: vec![],
            entries,
            step: 0,
        };
        render.start = render.evaluate(None)?;
        Ok(render)
    }

    /// Steps done.
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Shape of one entry of a value that the objectives read, channels first.
    pub fn shape_of(&self, value: oneiro_net::ValueId) -> Option<&[usize]> {
        self.probe.shape_of(value)
    }

    /// The plan of the network underneath.
    pub fn plan(&self) -> &oneiro_net::Plan {
        self.probe.plan()
    }

    /// Whether this entry's picture is finished: it changes no more, even if others do.
    pub fn entry_finished(&self, entry: usize) -> bool {
        self.entries[entry].stop.is_some()
    }

    /// Whether every picture is finished.
    pub fn finished(&self) -> bool {
        self.entries.iter().all(|e| e.stop.is_some())
    }

    /// One step for every unfinished picture. Returns the objectives' values under this step's transforms.
    pub fn step(&mut self) -> Result<&[f64]> {
        let progress = self.step as f32 / self.preset.steps.saturating_sub(1).max(1) as f32;
        let chain = &self.chain;
        self.entries.par_iter_mut().for_each(|entry| entry.show(Some((chain, progress))));
        self.feed();
        self.probe.forward();
        for e in 0..self.entries.len() {
            if self.entries[e].stop.is_none() {
                self.values[e] = self.probe.value(e);
                self.check(e)?;
                self.probe.seed(e, 1.0);
            }
        }
        self.probe.backward(&Rules { relu: self.preset.gradients.relu_at(self.step) });
        let (probe, batch) = (&self.probe, self.entries.len());
        self.entries.par_iter_mut().enumerate().filter(|(_, e)| e.stop.is_none()).for_each(|(e, entry)| {
            for canvas in &mut entry.canvases {
                let gradient = probe.input_gradient(canvas.input);
                let n = gradient.len() / batch;
                canvas.back(&gradient[e * n..(e + 1) * n]);
            }
        });
        self.step += 1;
        for (entry, value) in self.entries.iter_mut().zip(&self.values) {
            entry.finish_step(*value, &self.preset);
        }
        Ok(&self.values)
    }

    fn check(&self, entry: usize) -> Result<()> {
        if self.values[entry].is_finite() {
            Ok(())
        } else {
            Err(Error::NotFinite { objective: self.objectives[entry].to_string(), step: self.step })
        }
    }

    /// Writes what every entry shows into the network's inputs.
    fn feed(&mut self) {
        let batch = self.entries.len();
        for input in 0..self.probe.inputs().len() {
            let data = self.probe.input_mut(input);
            let n = data.len() / batch;
            data.par_chunks_mut(n).zip(&self.entries).for_each(|(data, entry)| {
                match entry.canvases.iter().find(|c| c.input == input) {
                    Some(canvas) => canvas.preprocess.apply(&canvas.seen, data),
                    // Nothing that is maximised depends on this input.
                    None => data.fill(0.0),
                }
            });
        }
    }

    /// The objectives' values without transforms: of the pictures as they are, or of the given ones instead
    /// (`pictures[entry][k]` for the k-th picture of an entry, planar RGB in 0–1).
    pub fn evaluate(&mut self, pictures: Option<&[Vec<Vec<f32>>]>) -> Result<Vec<f64>> {
        self.entries.par_iter_mut().enumerate().for_each(|(e, entry)| {
            entry.show(None);
            if let Some(pictures) = pictures {
                for (canvas, picture) in entry.canvases.iter_mut().zip(&pictures[e]) {
                    canvas.seen.copy_from_slice(picture);
                }
            }
        });
        self.feed();
        self.probe.forward();
        Ok((0..self.entries.len()).map(|e| self.probe.value(e)).collect())
    }

    /// The pictures as they stand.
    pub fn pictures(&mut self) -> Vec<Vec<Picture>> {
        let inputs: Vec<String> = self.probe.inputs().iter().map(|i| i.name.clone()).collect();
        self.entries
            .par_iter_mut()
            .map(|entry| {
                entry.show(None);
                let picture = |c: &Canvas| {
                    let mut data = c.image.clone();
                    c.preprocess.visible(&mut data);
                    Picture { input: inputs[c.input].clone(), shape: c.shape, data }
                };
                entry.canvases.iter().map(picture).collect()
            })
            .collect()
    }

    /// Ends the rendering: the pictures with their values.
    pub fn finish(&mut self) -> Result<Vec<Rendered>> {
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
                steps: self.entries[e].steps,
                stop: self.entries[e].stop.unwrap_or(if self.preset.steps == 0 {
                    Stop::Steps
                } else {
                    Stop::Asked
                }),
            })
            .collect())
    }
}

impl Entry {
    /// Computes the image and what the network sees of it, under random transforms, this far into the run, or none.
    fn show(&mut self, chain: Option<(&Chain, f32)>) {
        for canvas in &mut self.canvases {
            canvas.param.image(&canvas.params, &mut canvas.work, &mut canvas.image);
            match chain {
                None => canvas.seen.copy_from_slice(&canvas.image),
                Some((chain, progress)) => {
                    let size = [canvas.shape[1], canvas.shape[2]];
                    chain.resample(&mut self.transforms, canvas.shape, size, progress, &mut canvas.sampled);
                    canvas.sampled.apply(&canvas.image, &mut canvas.seen);
                }
            }
        }
    }

    fn finish_step(&mut self, value: f64, preset: &Preset) {
        if self.stop.is_some() {
            return;
        }
        self.steps += 1;
        self.values.push(value);
        let converged = preset.tolerance.is_some_and(|tolerance| {
            let n = self.values.len();
            n >= 2 * CONVERGENCE_WINDOW && n.is_multiple_of(CONVERGENCE_WINDOW) && {
                let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
                let before = mean(&self.values[n - 2 * CONVERGENCE_WINDOW..n - CONVERGENCE_WINDOW]);
                let now = mean(&self.values[n - CONVERGENCE_WINDOW..]);
                now - before <= tolerance * now.abs()
            }
        });
        if converged {
            self.stop = Some(Stop::Converged);
        } else if self.steps >= preset.steps {
            self.stop = Some(Stop::Steps);
        }
    }
}

impl Canvas {
    /// From the gradient at the network's input to a step of the parameters.
    fn back(&mut self, network_gradient: &[f32]) {
        self.preprocess.adjoint(&self.seen, network_gradient, &mut self.seen_gradient);
        self.sampled.adjoint(&self.seen_gradient, &mut self.image_gradient);
        self.param.adjoint(&self.params, &mut self.work, &self.image_gradient, &mut self.gradient);
        self.optimizer.step(&mut self.params, &self.gradient);
    }
}

/// Renders objectives from noise to the end. `progress` is called after every step and returns whether to go on.
///
/// # Errors
/// If a unit does not exist, the network does not accept the size, or the objective stops being a number.
pub fn render(
    model: &Model,
    preset: &Preset,
    objectives: &[Objective],
    seed: u64,
    mut progress: impl FnMut(&Progress<'_>) -> bool,
) -> Result<Vec<Rendered>> {
    let mut render = Render::new(model, preset, objectives, seed)?;
    while !render.finished() && preset.steps > 0 {
        render.step()?;
        let state = Progress { step: render.step, steps: preset.steps, values: &render.values };
        if !progress(&state) {
            break;
        }
    }
    render.finish()
}
