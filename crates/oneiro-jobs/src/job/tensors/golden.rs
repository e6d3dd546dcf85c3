//! Compares a network's values with those of another framework.

use std::collections::BTreeMap;
use std::path::Path;

use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro::rng::Stream;
use oneiro_net::Rules;
use serde::{Deserialize, Serialize};

use super::FeedError;
use super::feed::{Fed, value_and_gradient};
use crate::error::{During as _, Result, Step};
use crate::job::{Job, Run, Sink};
use crate::model::LoadedModel;
use crate::tensors::{RawTensor, TensorFile, read_names, read_tensors};

/// If a gradient disagrees, this many inputs that differ from the given one by rounding are tried.
const NEARBY: u64 = 64;

/// Compares a network's activations, values and gradients with reference values.
///
/// The file contains `input/NAME`, `act/LAYER`, `value/ID` and `grad/ID/INPUT`. Its metadata entry
/// `objectives` is JSON that maps each ID to an expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenJob {
    /// Path of the safetensors file of reference values.
    pub file: String,
    /// Largest allowed relative error of activations and values.
    pub tolerance: f64,
    /// Largest relative error of gradients that is allowed.
    pub gradient_tolerance: f64,
}

/// The comparison of a tensor with its reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Name of the tensor in the file of reference values.
    pub name: String,
    /// Largest error of the tensor that is allowed.
    pub tolerance: f64,
    /// How the network's tensor agrees with the file's.
    #[serde(flatten)]
    pub agreement: Agreement,
}

/// The result of a comparison. Errors are ||ours − theirs|| / ||theirs||, or absolute if the reference is
/// zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "found")]
#[non_exhaustive]
pub enum Agreement {
    /// The shapes agree.
    Numbers {
        /// The relative error of the whole tensor.
        error: f64,
    },
    /// The gradients agree at an input that differs from the given one only by rounding. An activation is
    /// then zero up to rounding, and the gradient depends on which side of the ReLU's kink rounding puts it.
    Nearby {
        /// The relative error when the network runs on the given inputs.
        here: f64,
        /// The smallest error at inputs that differ by rounding.
        error: f64,
    },
    /// The shapes of the two tensors differ.
    Shapes {
        /// Shape of the tensor that the network computes.
        ours: Vec<usize>,
        /// Shape of the tensor in the file.
        theirs: Vec<usize>,
    },
}

impl Comparison {
    /// Whether the values agree. Errors that are not finite do not agree.
    pub fn agrees(&self) -> bool {
        match &self.agreement {
            Agreement::Numbers { error } | Agreement::Nearby { error, .. } => *error <= self.tolerance,
            Agreement::Shapes { .. } => false,
        }
    }

    fn new(theirs: &RawTensor, shape: &[usize], ours: &[f32], tolerance: f64) -> Self {
        let agreement = match same_extents(&theirs.shape, shape) {
            true => Agreement::Numbers { error: relative_error(ours, &theirs.data) },
            false => Agreement::Shapes { ours: shape.to_vec(), theirs: theirs.shape.clone() },
        };
        Self { name: theirs.name.clone(), tolerance, agreement }
    }
}

/// The contents of a file of reference values.
struct Golden {
    inputs: Vec<RawTensor>,
    activations: Vec<RawTensor>,
    /// Reference values and gradients of objectives.
    rest: Vec<RawTensor>,
    /// Expressions of the objectives, by their IDs.
    objectives: BTreeMap<String, String>,
}

impl Golden {
    fn read(path: &Path) -> Result<Self> {
        let TensorFile { tensors, metadata } = read_tensors(path)?;
        let objectives = match metadata.get("objectives") {
            None => BTreeMap::new(),
            Some(json) => serde_json::from_str(json)
                .map_err(|source| FeedError::Objectives { path: path.to_owned(), source })?,
        };
        let mut golden = Self { inputs: Vec::new(), activations: Vec::new(), rest: Vec::new(), objectives };
        for mut tensor in tensors {
            if let Some(name) = tensor.name.strip_prefix("input/") {
                tensor.name = name.to_owned();
                golden.inputs.push(tensor);
            } else if tensor.name.starts_with("act/") {
                golden.activations.push(tensor);
            } else {
                golden.rest.push(tensor);
            }
        }
        if golden.activations.is_empty() && golden.rest.is_empty() {
            return Err(FeedError::NothingToCompare { path: path.to_owned() }.into());
        }
        let belongs = |t: &RawTensor, id: &str| {
            t.name == format!("value/{id}") || t.name.starts_with(&format!("grad/{id}/"))
        };
        let stray = golden.rest.iter().find(|t| !golden.objectives.keys().any(|id| belongs(t, id)));
        match stray {
            Some(stray) => {
                let (path, tensor) = (path.to_owned(), stray.name.clone());
                Err(FeedError::Stray { path, tensor }.into())
            }
            None => Ok(golden),
        }
    }
}

impl GoldenJob {
    /// Returns the inputs for which the file has tensors. They must be known before a network is loaded.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn inputs(&self) -> Result<Vec<String>> {
        let names = read_names(self.file.as_ref())?;
        Ok(names.iter().filter_map(|name| name.strip_prefix("input/")).map(str::to_owned).collect())
    }
}

impl Job for GoldenJob {
    const KIND: &'static str = "golden";
    type Report = Vec<Comparison>;

    fn run(&self, run: &Run<'_>, _: &mut dyn Sink) -> Result<Vec<Comparison>> {
        self.check()?;
        let (context, model) = (run.context, run.model()?);
        let step = || Step::Compare { what: self.file.clone() };
        let golden = Golden::read(self.file.as_ref())?;
        let fed = Fed::new(&model.model, golden.inputs).during(step)?;
        let shapes = model.model.with_all_axes(&fed.shapes).during(step)?;
        let size = model.model.plane(&shapes);
        let parsed = |(id, text): (String, String)| Ok((id, model.expression(&text, size).during(step)?));
        let objectives = golden.objectives.into_iter().map(parsed).collect::<Result<Vec<_>>>()?;
        objectives.iter().try_for_each(|(_, objective)| model.check_labels_of(objective))?;
        let mut report = Vec::new();
        let layers = golden.activations.iter().map(|t| model.model.resolve(&t.name["act/".len()..]));
        let captured = layers.collect::<oneiro::Result<Vec<_>>>()?;
        if !captured.is_empty() {
            context.compute(|| -> Result<()> {
                let mut session = ObjectiveSession::new(&model.model, &[], &captured, shapes.clone(), false)?;
                value_and_gradient(&mut session, &fed.data, None)?;
                for (i, theirs) in golden.activations.iter().enumerate() {
                    let (shape, ours) = session.captured(i);
                    report.push(Comparison::new(theirs, shape, ours, self.tolerance));
                }
                Ok(())
            })?;
        }
        for (id, objective) in &objectives {
            context.check()?;
            let compared =
                context.compute(|| self.compare(model, (id, objective), &golden.rest, &fed, &shapes))?;
            report.extend(compared);
        }
        model.say_output(context);
        Ok(report)
    }

    fn sources(&self) -> Vec<String> {
        vec![self.file.clone()]
    }

    fn check(&self) -> Result<()> {
        let bad =
            [self.tolerance, self.gradient_tolerance].into_iter().find(|t| !(t.is_finite() && *t >= 0.0));
        bad.map_or(Ok(()), |value| Err(FeedError::Tolerance { value }.into()))
    }
}

impl GoldenJob {
    /// Compares the value and the gradients of one objective.
    fn compare(
        &self,
        model: &LoadedModel,
        (id, objective): (&str, &Objective),
        golden: &[RawTensor],
        fed: &Fed,
        shapes: &[Vec<usize>],
    ) -> Result<Vec<Comparison>> {
        let objectives = std::slice::from_ref(objective);
        let mut session = ObjectiveSession::new(&model.model, objectives, &[], shapes.to_vec(), true)?;
        let value = value_and_gradient(&mut session, &fed.data, Some(&Rules::default()))?;
        let mut report = Vec::new();
        if let Some(theirs) = golden.iter().find(|t| t.name == format!("value/{id}")) {
            report.push(Comparison::new(theirs, &[1], &[value as f32], self.tolerance));
        }
        let prefix = format!("grad/{id}/");
        let inputs: Vec<&str> = model.model.card.input.iter().map(|i| i.name.as_str()).collect();
        for theirs in golden {
            let Some(name) = theirs.name.strip_prefix(&prefix) else { continue };
            let no_input = || FeedError::NoInput {
                name: name.to_owned(),
                inputs: inputs.iter().map(|n| (*n).to_owned()).collect(),
            };
            let input = inputs.iter().position(|n| *n == name).ok_or_else(no_input);
            let input = input.during(|| Step::Compare { what: theirs.name.clone() })?;
            let ours = session.whole_input_gradient(input);
            let tolerance = self.gradient_tolerance;
            let mut comparison = Comparison::new(theirs, &fed.shapes[input], &ours, tolerance);
            if let Agreement::Numbers { error: here } = comparison.agreement
                && here > tolerance
            {
                let error = error_nearby(&mut session, &fed.data, input, &theirs.data, tolerance)?;
                if error <= tolerance {
                    comparison.agreement = Agreement::Nearby { here, error };
                }
            }
            report.push(comparison);
        }
        Ok(report)
    }
}

/// Returns ||ours − theirs|| / ||theirs||, or the absolute error if the reference is zero.
fn relative_error(ours: &[f32], theirs: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = ours.iter().zip(theirs).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let norm: f64 = theirs.iter().map(|b| square(f64::from(*b))).sum();
    if norm > 0.0 { (difference / norm).sqrt() } else { difference.sqrt() }
}

/// Whether two shapes agree except for axes of extent 1. Frameworks differ in such axes, which do not matter.
fn same_extents(a: &[usize], b: &[usize]) -> bool {
    let extents = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    extents(a) == extents(b)
}

/// Returns the data with every value changed by at most one unit in its last place.
fn one_rounding_away(data: &[Vec<f32>], seed: u64) -> Vec<Vec<f32>> {
    let mut stream = Stream::new(seed, 0);
    let mut moved = |x: &f32| x * (1.0 + stream.range_i32(-1, 1) as f32 * f32::EPSILON);
    data.iter().map(|d| d.iter().map(&mut moved).collect()).collect()
}

/// Returns the smallest error of a gradient over inputs that differ from the given one only by rounding. A
/// wrong gradient is wrong at all of these inputs.
fn error_nearby(
    session: &mut ObjectiveSession,
    data: &[Vec<f32>],
    input: usize,
    theirs: &[f32],
    tolerance: f64,
) -> oneiro::Result<f64> {
    let mut best = f64::INFINITY;
    for seed in 0..NEARBY {
        value_and_gradient(session, &one_rounding_away(data, seed), Some(&Rules::default()))?;
        best = best.min(relative_error(&session.whole_input_gradient(input), theirs));
        if best <= tolerance {
            break;
        }
    }
    Ok(best)
}
