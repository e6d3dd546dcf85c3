//! Grad-CAM: where a layer is active in channels that raise the objective.
//!
//! Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization" (ICCV
//! 2017), equations 1 and 2. With A the activations of a layer and αc = mean over positions of ∂f/∂Ac, the
//! map is max(0, Σc αc Ac). It has the resolution of the layer and is enlarged to the image bilinearly. A
//! layer of a clip has a map for each of its times, which is enlarged along time, too. A map without time is
//! the same for all frames or flow fields.
//! Enlarging assumes that each position is at the centre of its share of the image. For layers without
//! padding, that is slightly wrong.

use oneiro_net::analysis;
use oneiro_net::{Rules, ValueId};

use super::cam_layer;
use super::{Attribution, AttributionTarget, Method, Settings, Watch};
use crate::error::{Error, Result};
use crate::objective_session::ObjectiveSession;
use crate::transform::resample::{self, Taps};

/// Attributes by Grad-CAM at [`Settings::cam_layer`]. By default, it uses the last feature map before the
/// objective.
///
/// # Errors
/// If the layer has no height and width, or the objective does not depend on it.
pub fn grad_cam(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    let (name, found) = match &settings.cam_layer {
        Some(name) => {
            let at = target.model.resolve(name)?;
            (name.clone(), layer_gradient(target, display, at, name)?)
        }
        None => at_last_map(target, display)?,
    };
    let LayerGradient { at, shape, activations, gradient, value } = found;
    let (channels, grid) = match shape[..] {
        [_, channels, rows, columns] => (channels, [1, rows, columns]),
        [_, channels, times, rows, columns] => (channels, [times, rows, columns]),
        _ => return Err(no_map(&name, &shape)),
    };
    let positions: usize = grid.iter().product();
    if grid[1] * grid[2] == 1 {
        return Err(no_map(&name, &shape));
    }
    let mut weighted = vec![0.0f64; positions];
    for c in 0..channels {
        let channel = c * positions..(c + 1) * positions;
        let alpha = gradient[channel.clone()].iter().map(|&g| f64::from(g)).sum::<f64>() / positions as f64;
        for (w, a) in weighted.iter_mut().zip(&activations[channel]) {
            *w += alpha * f64::from(*a);
        }
    }
    let signed: Vec<f32> = weighted.iter().map(|&w| w as f32).collect();
    let positive: Vec<f32> = signed.iter().map(|w| w.max(0.0)).collect();
    if !watch(1, 1) {
        return Err(Error::Stopped);
    }
    let reached = target.model.inputs_behind(&[at]);
    let mut found = Vec::new();
    for (i, input) in target.inputs.iter().enumerate().filter(|(_, input)| reached.contains(&input.index)) {
        let to = [input.extent.frames, input.extent.height, input.extent.width];
        let (values, map) = (enlarged(&signed, grid, to), enlarged(&positive, grid, to));
        let attribution = Attribution::new(Method::GradCam, i, input.extent, values, map, value)?;
        found.push(Attribution { layer: Some(name.clone()), ..attribution });
    }
    Ok(found)
}

/// A layer's activations for an image, and the gradient of an objective with respect to them.
pub(crate) struct LayerGradient {
    at: ValueId,
    /// Shape of the layer with a batch of one, channels on axis 1.
    pub shape: Vec<usize>,
    pub activations: Vec<f32>,
    pub gradient: Vec<f32>,
    /// Value of the objective for the image.
    pub value: f64,
}

/// Runs display values forward to a layer, and the objective backward to the layer. Errors call the layer
/// `name`.
pub(crate) fn layer_gradient(
    target: &AttributionTarget<'_>,
    display: &[f32],
    at: ValueId,
    name: &str,
) -> Result<LayerGradient> {
    target.check(display)?;
    let shapes = target.shapes(1)?;
    let (model, objective) = (target.model, &target.objective);
    let targets = model.values_of(objective)?;
    let needed = analysis::ancestors(&model.graph, &targets);
    let is_needed = model.graph.producer(at).is_some_and(|node| needed[node]);
    if !is_needed && !targets.contains(&at) {
        return Err(Error::Settings(format!(
            "the objective {objective} does not depend on the layer \"{name}\"; choose one before it"
        )));
    }
    let map = model.map_of(at, &shapes)?;
    let mut session = ObjectiveSession::at_layer(model, std::slice::from_ref(objective), at, shapes)?;
    model.threads().run(|| target.feed(&mut session, display));
    session.forward();
    let (activations, value) = (map.gather(session.captured(0).1), session.value(0));
    session.seed(0, 1.0);
    session.backward(&Rules::default());
    let gradient = map.gather(session.inner_gradient());
    Ok(LayerGradient { at, shape: map.shape().to_vec(), activations, gradient, value })
}

/// Checks that a feature map exists before the objective which [`grad_cam`] can choose.
///
/// # Errors
/// The error of [`grad_cam`] if there is no such feature map.
pub fn check_default(target: &AttributionTarget<'_>) -> Result<()> {
    let model = target.model;
    let targets = model.values_of(&target.objective)?;
    cam_layer::candidates(model, &targets, &target.shapes(1)?).map(|_| ())
}

/// Returns the name and gradient of the last feature map on which the objective depends. If no map has a
/// gradient other than zero, it is the very last map.
fn at_last_map(target: &AttributionTarget<'_>, display: &[f32]) -> Result<(String, LayerGradient)> {
    let model = target.model;
    let targets = model.values_of(&target.objective)?;
    let mut first = None;
    for at in cam_layer::candidates(model, &targets, &target.shapes(1)?)? {
        let name = model.names().of(at).into_iter().next();
        let name = name.unwrap_or_else(|| model.graph.name(at).to_owned());
        let found = layer_gradient(target, display, at, &name)?;
        if found.gradient.iter().any(|&g| g != 0.0) {
            return Ok((name, found));
        }
        first.get_or_insert((name, found));
    }
    first.ok_or_else(|| Error::Settings("Grad-CAM: no layer has a map; name one".into()))
}

fn no_map(name: &str, shape: &[usize]) -> Error {
    Error::Settings(format!(
        "Grad-CAM at \"{name}\": its shape is {shape:?}, and a map of height and width is needed; choose a convolution or another layer with a map \
         before it"
    ))
}

/// Resizes a map, `[T, H, W]`, linearly along each axis.
fn enlarged(map: &[f32], from: [usize; 3], [frames, h, w]: [usize; 3]) -> Vec<f32> {
    let taps = [(from[1], h), (from[2], w)].map(|(from, to)| Taps::resizing(from, to));
    let plane = h * w;
    let mut stretched = vec![0.0; from[0] * plane];
    for (frame, out) in map.chunks_exact(from[1] * from[2]).zip(stretched.chunks_exact_mut(plane)) {
        resample::stretch(frame, [from[1], from[2]], &taps, 0, out, w);
    }
    if from[0] == frames {
        return stretched;
    }
    // Pixels are columns now, and times are rows.
    let taps = [Taps::resizing(from[0], frames), Taps::resizing(plane, plane)];
    let mut out = vec![0.0; frames * plane];
    resample::stretch(&stretched, [from[0], plane], &taps, 0, &mut out, plane);
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, image, rectified, rectified_reference};
    use super::*;
    use crate::objective::{Objective, Position};

    fn cam(objective: &Objective, layer: Option<&str>) -> Result<Attribution> {
        let model = rectified();
        let mut target = AttributionTarget::new(&model, objective, None)?;
        let settings = Settings { cam_layer: layer.map(str::to_owned), ..Settings::default() };
        Ok(grad_cam(&mut target, &image(), &settings, &mut |_, _| true)?.remove(0))
    }

    #[test]
    fn it_is_what_a_naive_computation_gives() {
        let a = cam(&Objective::logit(1), None).unwrap();
        assert_eq!(a.layer.as_deref(), Some("relu2"));
        let (signed, size) = rectified_reference();
        close(&a.values, &enlarged(&signed, [1, size[0], size[1]], [1, 6, 5]), 1e-6);
        let positive: Vec<f32> = signed.iter().map(|v| v.max(0.0)).collect();
        close(&a.map, &enlarged(&positive, [1, size[0], size[1]], [1, 6, 5]), 1e-6);
        assert!(a.map.iter().any(|&v| v > 0.0) && a.values.iter().any(|&v| v < 0.0), "{:?}", a.values);
    }

    #[test]
    fn the_map_before_a_hidden_unit_is_chosen() {
        let before = |o: Objective| cam(&o, None).unwrap().layer.unwrap();
        assert_eq!(before(Objective::channel("conv2", 1)), "relu1");
        // A ReLU after a convolution belongs to the same feature map, so `relu2` leads to `relu1`.
        assert_eq!(before(Objective::channel("relu2", 1)), "relu1");
        assert_eq!(before(Objective::neuron("pool", 1, Position::Center)), "relu2");
    }

    #[test]
    fn a_unit_of_the_layer_itself_has_its_own_activations() {
        let a = cam(&Objective::neuron("relu2", 2, Position::At(vec![1, 1])), Some("relu2")).unwrap();
        let model = rectified();
        let objective = Objective::channel("relu2", 2);
        let value = model.resolve("relu2").unwrap();
        let mut session = ObjectiveSession::new(
            &model,
            std::slice::from_ref(&objective),
            &[value],
            vec![vec![1, 3, 6, 5]],
            false,
        )
        .unwrap();
        let target = AttributionTarget::new(&model, &objective, None).unwrap();
        let image = image();
        target.feed(&mut session, &image);
        session.forward();
        let (shape, data) = session.captured(0);
        let positions = shape[2] * shape[3];
        let own: Vec<f32> = data[2 * positions..3 * positions].iter().map(|a| a / positions as f32).collect();
        close(&a.map, &enlarged(&own, [1, shape[2], shape[3]], [1, 6, 5]), 1e-6);
    }

    #[test]
    fn layers_that_cannot_be_mapped_are_refused() {
        for (objective, layer, says) in [
            (Objective::logit(0), Some("pool"), "height and width"),
            (Objective::logit(0), Some("logits"), "height and width"),
            (Objective::channel("conv1", 0), Some("relu2"), "does not depend"),
            (Objective::channel("conv1", 0), None, "no convolution"),
            (Objective::logit(0), Some("conv9"), "conv9"),
        ] {
            let error = cam(&objective, layer).unwrap_err().to_string();
            assert!(error.contains(says), "{objective} {layer:?}: {error}");
        }
    }

    #[test]
    fn enlarging_is_bilinear_between_centres() {
        assert_eq!(enlarged(&[1.0, 3.0], [1, 1, 2], [1, 1, 4]), [1.0, 1.5, 2.5, 3.0]);
        assert_eq!(enlarged(&[1.0, 3.0], [1, 2, 1], [1, 2, 2]), [1.0, 1.0, 3.0, 3.0]);
        assert_eq!(enlarged(&[2.0], [1, 1, 1], [1, 2, 2]), [2.0; 4]);
        assert_eq!(enlarged(&[1.0, 3.0], [2, 1, 1], [4, 1, 1]), [1.0, 1.5, 2.5, 3.0]);
        assert_eq!(enlarged(&[2.0], [1, 1, 1], [3, 1, 2]), [2.0; 6]);
    }
}
