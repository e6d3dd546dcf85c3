//! Computes activations of layers, and the value and gradient of an objective, for given tensors.

use std::collections::HashMap;

use oneiro::gradients::{MaxPoolGradient, ReluGradient};
use oneiro::objective::{AnyNames, Objective};
use oneiro::objective_session::ObjectiveSession;
use oneiro_net::Rules;
use serde::{Deserialize, Serialize};

use super::FeedError;
use super::feed::{Fed, value_and_gradient};
use crate::error::{During as _, Result, Step};
use crate::job::{Job, Place, Role, Run, Sink};
use crate::numbers::norm;
use crate::remark::{Remark, ResultRemark};
use crate::tensors::{RawTensor, to_bytes};

/// A tensor for an input of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorInput {
    /// Name of the input.
    pub name: String,
    /// A .npy file with the values that the network reads.
    pub file: String,
}

/// Computes activations of layers, and the value and gradient of an objective, for given tensors.
///
/// The result is a safetensors file with `act/LAYER`, `value` and `grad/INPUT`. For a batch, value and
/// gradient are those of the mean over its entries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationsJob {
    /// A tensor for every input of the network.
    pub inputs: Vec<TensorInput>,
    /// Names of the layers whose activations are stored.
    pub layers: Vec<String>,
    /// The objective whose value and gradient are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The rule for the gradients of ReLUs.
    pub relu: ReluGradient,
    /// The rule for the gradients of max-pooling.
    pub max_pool: MaxPoolGradient,
}

/// The report on a tensor of the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActivationsReport {
    /// Name of the stored tensor.
    pub name: String,
    /// Shape of the stored tensor.
    pub shape: Vec<usize>,
    /// Euclidean norm of the stored tensor.
    pub norm: f64,
}

impl Job for ActivationsJob {
    const KIND: &'static str = "activations";
    type Report = Vec<ActivationsReport>;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<Self::Report> {
        self.check()?;
        let given = self.read()?;
        let unsound = broken(&given);
        let (context, model) = (run.context, run.model()?);
        let Fed { shapes: raw, data } = Fed::new(&model.model, given)?;
        let shapes = model.model.with_all_axes(&raw)?;
        let size = model.model.plane(&shapes);
        let objective = self.objective.as_ref().map(|text| model.expression(text, size)).transpose()?;
        objective.iter().try_for_each(|objective| model.check_labels_of(objective))?;
        let mut layers: Vec<&String> = Vec::new();
        for layer in &self.layers {
            if !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        let captured =
            layers.iter().map(|layer| model.model.resolve(layer)).collect::<oneiro::Result<Vec<_>>>()?;
        let tensors = context.compute(|| -> Result<Vec<RawTensor>> {
            let objectives: Vec<Objective> = objective.clone().into_iter().collect();
            let max_pool = objective.is_some().then(|| self.max_pool.rule());
            let mut session =
                ObjectiveSession::with_max_pool(&model.model, &objectives, &captured, shapes, max_pool)?;
            let rules = Rules { relu: self.relu.rule() };
            let value = value_and_gradient(&mut session, &data, objective.is_some().then_some(&rules))?;
            let activations = layers.iter().enumerate().map(|(i, layer)| {
                let (shape, data) = session.captured(i);
                RawTensor { name: format!("act/{layer}"), shape: shape.to_vec(), data: data.to_vec() }
            });
            let mut tensors: Vec<RawTensor> = activations.collect();
            if objective.is_some() {
                tensors.push(RawTensor { name: "value".into(), shape: vec![1], data: vec![value as f32] });
                let gradients = session.inputs().iter().enumerate().map(|(i, input)| RawTensor {
                    name: format!("grad/{}", input.name),
                    shape: raw[i].clone(),
                    data: session.whole_input_gradient(i),
                });
                tensors.extend(gradients);
            }
            Ok(tensors)
        })?;
        let bytes = to_bytes(&tensors, HashMap::new())?;
        sink.take_bytes(Place::first(Role::Raw), "activations.safetensors", &bytes)?;
        model.say_output(context);
        if objective.iter().any(|objective| model.is_rule_idle(self.relu, objective)) {
            context.remark(ResultRemark::NoRelus { rules: self.relu.to_string() });
        }
        let not_finite = broken(&tensors);
        if !not_finite.is_empty() {
            context.remark(Remark::NotFinite { tensors: not_finite, inputs: unsound });
        }
        let report = |t: RawTensor| ActivationsReport { norm: norm(&t.data), name: t.name, shape: t.shape };
        Ok(tensors.into_iter().map(report).collect())
    }

    fn sources(&self) -> Vec<String> {
        let mut files: Vec<String> = self.inputs.iter().map(|input| input.file.clone()).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Also finds syntax errors in the objective. Names that only a network knows are not checked.
    fn check(&self) -> Result<()> {
        if self.layers.is_empty() && self.objective.is_none() {
            return Err(FeedError::NothingWanted.into());
        }
        let plain = self.relu == ReluGradient::default() && self.max_pool == MaxPoolGradient::default();
        match &self.objective {
            None if !plain => Err(FeedError::NoGradient.into()),
            None => Ok(()),
            Some(text) => {
                let parsed = Objective::parse(text, &AnyNames);
                parsed.map_err(oneiro::Error::from).during(|| Step::Objective { of: text.clone() })?;
                Ok(())
            }
        }
    }
}

impl ActivationsJob {
    /// Reads the tensors with which inputs are fed.
    fn read(&self) -> Result<Vec<RawTensor>> {
        let read = |input: &TensorInput| {
            let (shape, data) = oneiro_media::read_npy(&input.file)?;
            Ok(RawTensor { name: input.name.clone(), shape, data })
        };
        self.inputs.iter().map(read).collect()
    }
}

/// Returns the names of tensors that are not finite.
fn broken(tensors: &[RawTensor]) -> Vec<String> {
    let broken = tensors.iter().filter(|t| t.data.iter().any(|x| !x.is_finite()));
    broken.map(|t| t.name.clone()).collect()
}
