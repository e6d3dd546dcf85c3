//! Settings of individual inputs of a network with several inputs: for a video network, appearance and
//! motion.

use serde::{Deserialize, Serialize};

use super::{Jitter, ParamSpec, Preset};
use crate::card::InputKind;
use crate::regularizer::Regularizer;
use crate::transform::Chain;

/// The settings that differ from the rest of a preset for one input, or for all inputs of a kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputSettings {
    /// The parametrization of the input's picture, clip or flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub param: Option<ParamSpec>,
    /// Random transforms before the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<Chain>,
    /// Random shift before the transforms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    /// Penalties and bounds on the input's values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regularizer: Option<Regularizer>,
    /// Weight of the objective for this input, in place of [`Preset::unit_weight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_weight: Option<f64>,
    /// Factor on the learning rate for this input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f32>,
}

impl Preset {
    /// Returns the preset for one input: with the settings of its kind ("image", "clip", "flow"), then those
    /// of its name.
    pub fn of_input(&self, name: &str, kind: InputKind) -> Preset {
        let mut own = Preset { inputs: Default::default(), ..self.clone() };
        for settings in [kind.name(), name].iter().filter_map(|key| self.inputs.get(*key)) {
            let InputSettings { param, transform, jitter, regularizer, unit_weight, rate } = settings.clone();
            own.param = param.unwrap_or(own.param);
            own.transform = transform.unwrap_or(own.transform);
            own.jitter = jitter.unwrap_or(own.jitter);
            own.regularizer = regularizer.or(own.regularizer);
            own.unit_weight = unit_weight.or(own.unit_weight);
            own.optimizer.learning_rate *= rate.unwrap_or(1.0);
        }
        own
    }

    /// Returns a preset for each input that has settings of its own, with the input's name or kind.
    pub(super) fn of_inputs(&self) -> impl Iterator<Item = (&str, Preset)> {
        // A name and a kind are both keys of the map, so a key can be looked up as either.
        self.inputs.keys().map(|key| (key.as_str(), self.of_input(key, InputKind::Tensor)))
    }

    /// Sets κ and γ of the total variation for all inputs that have a regularizer. `None` leaves a value
    /// unchanged.
    pub fn set_variation(&mut self, kappa: Option<f64>, gamma: Option<f64>) {
        let others = self.inputs.values_mut().filter_map(|input| input.regularizer.as_mut());
        for regularizer in self.regularizer.iter_mut().chain(others) {
            regularizer.kappa = kappa.unwrap_or(regularizer.kappa);
            regularizer.gamma = gamma.unwrap_or(regularizer.gamma);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_name_stand_above_those_of_its_kind() {
        let mut preset = Preset::lucid();
        let jitter =
            |jitter| InputSettings { jitter: Some(jitter), rate: Some(0.5), ..InputSettings::default() };
        preset.inputs.insert("flow".into(), jitter(Jitter::Stride));
        preset.inputs.insert("motion".into(), jitter(Jitter::Pixels(3)));
        let rate = preset.optimizer.learning_rate;
        let of = |name, kind| {
            let own = preset.of_input(name, kind);
            (own.jitter, own.optimizer.learning_rate / rate)
        };
        assert_eq!(of("rgb", InputKind::Image), (Jitter::None, 1.0));
        assert_eq!(of("other", InputKind::Flow), (Jitter::Stride, 0.5));
        assert_eq!(of("motion", InputKind::Flow), (Jitter::Pixels(3), 0.25));
        let text = toml::to_string(&preset).unwrap();
        assert_eq!(toml::from_str::<Preset>(&text).unwrap(), preset, "{text}");
    }
}
