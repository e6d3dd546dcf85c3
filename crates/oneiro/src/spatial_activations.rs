//! A layer's activations for one image, position by position: the vectors behind activation grids and
//! semantic dictionaries (Olah et al., "The Building Blocks of Interpretability", Distill 2018).
//!
//! Interface: model, layer and image → [`SpatialActivations`], a map `[C, rows, columns]` whose cells are
//! vectors over the channels. With an objective, every activation also has an attribution, activation times
//! gradient. To first order, this is how much the objective would lose without the activation.

use std::ops::Range;

use oneiro_net::ValueId;

use crate::attribution::{AttributionTarget, layer_gradient};
use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::model::Model;
use crate::objective::Objective;
use crate::objective_session::ObjectiveSession;

/// The activations of a layer for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct SpatialActivations {
    /// Numbers of channels, rows and columns.
    shape: [usize; 3],
    /// Activations `[C, rows, columns]`, row-major.
    activations: Vec<f32>,
    /// For each activation, its product with the gradient, in the same layout.
    shares: Option<Vec<f32>>,
}

impl SpatialActivations {
    /// Computes the activations of a layer for an image. `image` is planar RGB in 0–1. `size` is the
    /// network's input size, by default the model's own, and must be the image's.
    ///
    /// # Errors
    /// If the layer is not known or has no map of height and width, or if the image does not have the input
    /// size.
    pub fn of(model: &Model, layer: &str, image: &[f32], size: Option<[usize; 2]>) -> Result<Self> {
        let value = model.resolve(layer)?;
        let shapes = model.input_shapes(1, size)?;
        let map = model.map_of(value, &shapes)?;
        let input = PictureInput::only(model, &shapes)?;
        input.check(image)?;
        let mut session = ObjectiveSession::new(model, &[], &[value], shapes, false)?;
        model.threads().run(|| input.feed(&mut session, 1, |_| image));
        session.forward();
        Self::new(layer, map.shape(), map.gather(session.captured(0).1), None)
    }

    /// Computes the activations, and for each its attribution for an objective.
    ///
    /// # Errors
    /// Those of [`SpatialActivations::of`], and if the objective does not depend on the layer.
    pub fn toward(
        model: &Model,
        layer: &str,
        objective: &Objective,
        image: &[f32],
        size: Option<[usize; 2]>,
    ) -> Result<Self> {
        let at: ValueId = model.resolve(layer)?;
        let target = AttributionTarget::of_pictures(model, objective, size)?;
        let found = layer_gradient(&target, image, at, layer)?;
        let shares = found.activations.iter().zip(&found.gradient).map(|(a, g)| a * g).collect();
        Self::new(layer, &found.shape, found.activations, Some(shares))
    }

    fn new(layer: &str, shape: &[usize], activations: Vec<f32>, shares: Option<Vec<f32>>) -> Result<Self> {
        let &[1, channels, rows, columns] = shape else {
            let shape = shape.get(1..).unwrap_or_default();
            return Err(Error::NoMap { layer: layer.to_owned(), shape: shape.to_vec() });
        };
        if activations.iter().chain(shares.iter().flatten()).any(|a| !a.is_finite()) {
            let what = format!("some activations of layer \"{layer}\" are not finite");
            return Err(Error::NotFiniteHere { what });
        }
        Ok(Self { shape: [channels, rows, columns], activations, shares })
    }

    /// Returns the numbers of channels, rows and columns.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Returns the map average-pooled to at most this many rows and columns, by the smallest integer factor
    /// on each axis. Each cell holds the mean activations of the positions that it covers. A cell's
    /// attribution is the sum over its positions; a position that several cells cover gives each cell an
    /// equal part.
    pub fn averaged(&self, [rows, columns]: [usize; 2]) -> Self {
        let [channels, h, w] = self.shape;
        let reduced = |from: usize, most: usize| from.div_ceil(from.div_ceil(most.clamp(1, from)));
        let (rows, columns) = (reduced(h, rows), reduced(w, columns));
        let places = (0..rows).flat_map(|y| (0..columns).map(move |x| [y, x]));
        let cells: Vec<_> = places.map(|[y, x]| (covered(y, rows, h), covered(x, columns, w))).collect();
        let (times_y, times_x) = (times_covered(rows, h), times_covered(columns, w));
        let mean = |plane: &[f32], (ys, xs): &Cover| {
            let n = ys.len() * xs.len();
            let cell = ys.clone().flat_map(|y| plane[y * w..][xs.clone()].iter());
            (cell.map(|a| f64::from(*a)).sum::<f64>() / n as f64) as f32
        };
        let sum = |plane: &[f32], (ys, xs): &Cover| {
            let positions = ys.clone().flat_map(|y| xs.clone().map(move |x| (y, x)));
            positions.map(|(y, x)| f64::from(plane[y * w + x]) / (times_y[y] * times_x[x])).sum::<f64>()
                as f32
        };
        let planes = |data: &[f32], of_cell: &dyn Fn(&[f32], &Cover) -> f32| {
            data.chunks_exact(h * w)
                .flat_map(|plane| cells.iter().map(move |cover| of_cell(plane, cover)))
                .collect()
        };
        Self {
            shape: [channels, rows, columns],
            activations: planes(&self.activations, &mean),
            shares: self.shares.as_deref().map(|shares| planes(shares, &sum)),
        }
    }

    /// Returns the map with negative activations set to zero, as the ReLU after the layer does.
    pub fn rectified(mut self) -> Self {
        if let Some(shares) = &mut self.shares {
            shares.iter_mut().zip(&self.activations).filter(|(_, a)| **a < 0.0).for_each(|(s, _)| *s = 0.0);
        }
        self.activations.iter_mut().for_each(|a| *a = a.max(0.0));
        self
    }

    fn column<'a>(&self, data: &'a [f32], [y, x]: [usize; 2]) -> impl Iterator<Item = f32> + 'a {
        let [_, rows, columns] = self.shape;
        data.iter().skip(y * columns + x).step_by(rows * columns).copied()
    }

    /// Returns a cell's activation vector, one value for each channel.
    pub fn vector(&self, at: [usize; 2]) -> Vec<f32> {
        self.column(&self.activations, at).collect()
    }

    /// Returns the Euclidean norm of a cell's activation vector.
    pub fn magnitude(&self, at: [usize; 2]) -> f64 {
        self.column(&self.activations, at).map(|a| f64::from(a).powi(2)).sum::<f64>().sqrt()
    }

    /// Returns the sum of the attributions of a cell's activations; `None` without an objective.
    pub fn share(&self, at: [usize; 2]) -> Option<f64> {
        self.shares.as_ref().map(|s| self.column(s, at).map(f64::from).sum())
    }

    /// Returns the attribution of a channel's activation at a cell; `None` without an objective.
    pub fn share_of(&self, at: [usize; 2], channel: usize) -> Option<f64> {
        self.shares.as_ref().and_then(|s| self.column(s, at).nth(channel)).map(f64::from)
    }

    /// Returns the `n` channels of a cell with the largest attribution, largest first. Without an objective,
    /// activations are ranked instead. Channels whose ranked value is not positive are left out.
    pub fn top(&self, at: [usize; 2], n: usize) -> Vec<usize> {
        let of: Vec<f32> = self.column(self.shares.as_ref().unwrap_or(&self.activations), at).collect();
        let mut order: Vec<usize> = (0..of.len()).filter(|&c| of[c] > 0.0).collect();
        order.sort_by(|&a, &b| of[b].total_cmp(&of[a]).then(a.cmp(&b)));
        order.truncate(n);
        order
    }

    /// Returns a cell's attribution if there is an objective, otherwise the norm of its activation vector.
    pub fn weight(&self, at: [usize; 2]) -> f64 {
        self.share(at).unwrap_or_else(|| self.magnitude(at))
    }

    /// Iterates over all positions of the layer's map, row by row.
    pub fn positions(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [_, rows, columns] = self.shape;
        (0..rows).flat_map(move |y| (0..columns).map(move |x| [y, x]))
    }

    /// Returns the `n` cells with the largest positive [`SpatialActivations::weight`], largest first, such
    /// that no two are neighbours. Returns fewer if the map has no more.
    pub fn strongest(&self, n: usize) -> Vec<[usize; 2]> {
        let mut order: Vec<([usize; 2], f64)> = self.positions().map(|at| (at, self.weight(at))).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut found: Vec<[usize; 2]> = Vec::new();
        for (at, weight) in order {
            let touches = |other: &[usize; 2]| (0..2).all(|i| at[i].abs_diff(other[i]) <= 1);
            if found.len() < n && weight > 0.0 && !found.iter().any(touches) {
                found.push(at);
            }
        }
        found
    }
}

/// Ranges of rows and of columns that a cell of the grid covers.
type Cover = (Range<usize>, Range<usize>);

/// Returns the positions that cell `i` covers when an axis of `from` positions is divided into `of` cells.
fn covered(i: usize, of: usize, from: usize) -> Range<usize> {
    i * from / of..((i + 1) * from).div_ceil(of)
}

/// Returns, for each position of an axis, the number of cells that cover it.
fn times_covered(cells: usize, from: usize) -> Vec<f64> {
    let times = |position: usize| (0..cells).filter(|&i| covered(i, cells, from).contains(&position)).count();
    (0..from).map(|position| times(position) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Card;
    use oneiro_zoo::embedded;

    fn cells(shape: [usize; 3], activations: &[f32]) -> SpatialActivations {
        SpatialActivations { shape, activations: activations.to_vec(), shares: None }
    }

    #[test]
    fn averaging_covers_every_position_and_keeps_a_map_that_is_small_enough() {
        let map = cells([1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(map.averaged([9, 9]), map);
        assert_eq!(map.averaged([1, 1]).activations, [3.5]);
        // An axis of three positions is divided into two cells: both cover the middle position.
        assert_eq!(map.averaged([2, 2]).activations, [1.5, 2.5, 4.5, 5.5]);
        let long = cells([1, 1, 13], &[1.0; 13]);
        assert_eq!([long.averaged([1, 12]).shape()[2], long.averaged([1, 6]).shape()[2]], [7, 5]);
    }

    #[test]
    fn shares_of_cells_add_up_to_those_of_all_positions() {
        let shares = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let map = SpatialActivations { shares: Some(shares.to_vec()), ..cells([1, 2, 3], &shares) };
        assert_eq!(map.averaged([1, 1]).share([0, 0]), Some(21.0));
        // Both cells cover the middle position, and each receives half of its attribution.
        let halved = map.averaged([2, 2]);
        assert_eq!(halved.shares, Some(vec![2.0, 4.0, 6.5, 8.5]));
        let sum: f64 = halved.positions().filter_map(|at| halved.share(at)).sum();
        assert_eq!(sum, 21.0);
    }

    #[test]
    fn cells_are_vectors_over_the_channels() {
        let map = cells([2, 1, 2], &[3.0, -1.0, 4.0, 2.0]);
        assert_eq!(map.vector([0, 0]), [3.0, 4.0]);
        assert_eq!(map.magnitude([0, 0]), 5.0);
        assert_eq!(map.top([0, 0], 9), [1, 0]);
        assert_eq!(map.top([0, 1], 9), [1]);
        assert_eq!(map.rectified().vector([0, 1]), [0.0, 2.0]);
    }

    #[test]
    fn the_strongest_cells_are_no_neighbours() {
        let map = cells([1, 1, 5], &[1.0, 5.0, 4.0, 3.0, 0.0]);
        assert_eq!(map.strongest(3), [[0, 1], [0, 3]]);
    }

    fn squeezenet() -> Model {
        let graph = oneiro_net::format::onnx::read(embedded::model().into()).unwrap();
        Model::new(graph, Card::parse(embedded::card()).unwrap()).unwrap()
    }

    #[test]
    fn shares_add_up_to_the_logit_where_what_follows_is_linear() {
        let model = squeezenet();
        let size = Some([64; 2]);
        let image: Vec<f32> = (0..3 * 64 * 64).map(|i| (i % 97) as f32 / 97.0).collect();
        // In this network, only a global mean follows the last convolution's ReLU.
        let layer = model.names().of(model.logits().unwrap());
        assert!(
            SpatialActivations::of(&model, &layer[0], &image, size)
                .unwrap_err()
                .to_string()
                .contains("no map")
        );
        let objective = Objective::logit(1);
        let shared = SpatialActivations::toward(&model, "relu10", &objective, &image, size).unwrap();
        let plain = SpatialActivations::of(&model, "relu10", &image, size).unwrap();
        assert_eq!(shared.activations, plain.activations);
        let sum: f64 = shared.positions().filter_map(|at| shared.share(at)).sum();
        let value = AttributionTarget::new(&model, &objective, size).unwrap().value(&image).unwrap();
        assert!((sum - value).abs() < 1e-4 * value.abs().max(1.0), "{sum} {value}");
        let by_channel: f64 = shared.positions().filter_map(|at| shared.share_of(at, 1)).sum();
        assert!((by_channel - sum).abs() < 1e-4 * sum.abs().max(1.0), "{by_channel} {sum}");
    }

    #[test]
    fn images_of_another_size_are_refused() {
        let error = SpatialActivations::of(&squeezenet(), "fire2", &[0.5; 12], Some([64; 2]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("3x64x64"), "{error}");
    }
}
