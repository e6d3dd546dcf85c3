//! The path of a response: which channels of earlier layers carry it.
//!
//! Interface: a [`PathSession`] is compiled for a layer of units, earlier layers and a size. Each run takes
//! an image and a channel, and returns a [`Path`]: for each earlier layer the contributions of its channels
//! to the unit, activations times gradients, and the slopes, the sizes of the gradients. [`similarity`]
//! compares a picture's path with those of natural images.
//!
//! # Rationale
//! Geirhos et al. (2024) compare mean activations of the layers. Those also hold whatever else an image
//! shows, so an honest unit's picture differs from photographs in most layers. Contributions leave out what
//! the unit does not read, but in the first layers an honest picture may still have other edges and colours
//! than photographs. Slopes tell which channels the unit reads and not how often the image shows them: silent
//! units pass no gradient. Contributions tell two ways apart that both are read, as the last layer's are.

use std::sync::Arc;

use oneiro_net::axes::FeatureMap;
use oneiro_net::{CpuSession, Request, Rules, Session, ValueId, analysis};

use crate::error::Result;
use crate::input::PictureInput;
use crate::model::{Model, Target, View};

/// Share of the strongest layer's contributions below which a layer does not lie on the path. Branches that
/// only switch a unit on or off are far below.
const LEAST_SHARE: f64 = 0.05;
/// Mean ρ among natural images below which their paths have too little in common in a layer.
const LEAST_IN_COMMON: f64 = 0.3;
/// Layers whose similarities are averaged, those with the lowest: this share of all, and this many at least.
/// Two ways to a unit may share most layers.
const LOWEST: (usize, usize) = (3, 2);
/// Similarity below which a picture does not reach its unit as natural images do. Chosen on planted networks,
/// midway between honest units and fooled ones (`docs/belief.md`).
pub const THRESHOLD: f64 = 0.45;

/// A network that computes paths to the units of a layer, one image at a time.
#[allow(missing_debug_implementations)]
pub struct PathSession {
    session: CpuSession,
    layers: Vec<FeatureMap>,
    input: PictureInput,
    /// Shape of the units' map: 1, C, positions.
    shape: Vec<usize>,
}

/// How an image reaches a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The unit's largest value, before its activation function if the session reads it there.
    pub value: f32,
    /// The positions of the unit's map, counted row by row, from the largest value to the smallest.
    pub places: Vec<usize>,
    /// For each earlier layer and each of its channels, activations times gradients of `value`, summed over
    /// the positions.
    pub contributions: Vec<Vec<f64>>,
    /// For each earlier layer and each of its channels, the Euclidean norm over the positions of the gradient
    /// of `value`.
    pub slopes: Vec<Vec<f64>>,
}

impl PathSession {
    /// Compiles a model for units of the value `read` and for images of this size, by default the model's
    /// own. Of `layers`, those are kept that `read` depends on.
    ///
    /// # Errors
    /// If the channels of a layer are unknown, or if the network takes no photographs or not this size.
    pub fn new(model: &Model, read: ValueId, layers: &[ValueId], size: Option<[usize; 2]>) -> Result<Self> {
        let shapes = model.input_shapes(1, size)?;
        let input = PictureInput::of_photographs(model, &shapes)?;
        let needed = analysis::ancestors(&model.graph, &[read]);
        let is_before =
            |layer: &ValueId| *layer != read && model.graph.producer(*layer).is_some_and(|node| needed[node]);
        let layers: Vec<ValueId> = layers.iter().copied().filter(is_before).collect();
        let shape = model.map_of(read, &shapes)?.shape().to_vec();
        let (graph, viewed) = model.viewed(&[Target { value: read, view: View::Map }], &shapes)?;
        let request = Request {
            input_gradients: false,
            inner_gradients: layers.clone(),
            ..Request::of_shapes(shapes.clone(), [&layers[..], &viewed].concat())
        };
        let plan = model.compile(&graph, &request)?;
        let layers = layers.iter().map(|layer| model.map_of(*layer, &shapes)).collect::<Result<_>>()?;
        Ok(Self { session: CpuSession::new(Arc::new(plan))?, layers, input, shape })
    }

    /// Number of earlier layers on which the units depend.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Number of units.
    pub fn channels(&self) -> usize {
        self.shape[1]
    }

    /// Extents of the units' map: height and width; none for a vector.
    pub fn map(&self) -> &[usize] {
        &self.shape[2..]
    }

    /// Height and width of the images.
    pub fn size(&self) -> [usize; 2] {
        self.input.extent.size()
    }

    /// Runs the network on a display image, planar RGB in 0–1, and follows the largest value of a channel
    /// back.
    ///
    /// # Panics
    /// If the image's length differs from the display image's, or there is no such channel.
    pub fn run(&mut self, image: &[f32], channel: usize) -> Path {
        assert!(channel < self.channels(), "channel {channel} of {}", self.channels());
        let positions: usize = self.map().iter().product();
        self.input.feed(&mut self.session, 1, |_| image);
        self.session.forward();
        let target = self.layers.len();
        let (values, seed) = self.session.seed(target);
        let first = channel * positions;
        let values = &values[first..][..positions];
        let places = ordered(values);
        let value = places.first().map_or(f32::NAN, |place| values[*place]);
        if let Some(place) = places.first() {
            seed[first + place] = 1.0;
        }
        self.session.backward(&Rules::default());
        let (contributions, slopes) = (0..self.layers.len()).map(|layer| self.of_layer(layer)).unzip();
        Path { value, places, contributions, slopes }
    }

    /// The contributions and the slopes of a layer's channels.
    fn of_layer(&self, layer: usize) -> (Vec<f64>, Vec<f64>) {
        let map = &self.layers[layer];
        let activations = map.gather(self.session.activation(layer));
        let gradients = map.gather(self.session.inner_gradient(layer));
        let positions = map.shape()[2..].iter().product::<usize>().max(1);
        let channels = activations.chunks_exact(positions).zip(gradients.chunks_exact(positions));
        let product =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        channels.map(|(a, g)| (product(a, g), f64::sqrt(product(g, g)))).unzip()
    }
}

/// The indices of the finite values, largest value first.
fn ordered(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).filter(|i| values[*i].is_finite()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    order
}

/// Compares a picture's path with the paths of natural images. Returns 1 if the picture uses the channels of
/// earlier layers as the natural images do among themselves, 0 if it uses unrelated ones, and less for
/// opposite ones.
///
/// For each layer, Spearman's ρ of the contributions is divided by its mean among the natural images, the
/// same is done with the slopes, and both are averaged. The result is the mean of the lowest third of the
/// layers, two at least, where the paths part. Layers count that carry a part of the response, and in which
/// natural images have a path in common. `None` with fewer than two natural images, or if no layer counts.
pub fn similarity(picture: &Path, natural: &[Path]) -> Option<f64> {
    if natural.len() < 2 {
        return None;
    }
    let layers = picture.contributions.len();
    let size = |path: &Path, layer: usize| path.contributions[layer].iter().map(|c| c.abs()).sum::<f64>();
    let sizes: Vec<f64> = (0..layers)
        .map(|layer| size(picture, layer) + natural.iter().map(|path| size(path, layer)).sum::<f64>())
        .collect();
    let largest = sizes.iter().copied().fold(0.0, f64::max);
    let on_path = (0..layers).filter(|layer| sizes[*layer] >= LEAST_SHARE * largest);
    let mut found: Vec<f64> = on_path.filter_map(|layer| of_layer(picture, natural, layer)).collect();
    found.sort_by(f64::total_cmp);
    let (share, least) = LOWEST;
    found.truncate(found.len().div_ceil(share).max(least));
    mean(&found)
}

/// The similarity in one layer; `None` if natural images have too little in common there.
fn of_layer(picture: &Path, natural: &[Path], layer: usize) -> Option<f64> {
    let contributions: Vec<&[f64]> = natural.iter().map(|path| &path.contributions[layer][..]).collect();
    let slopes: Vec<&[f64]> = natural.iter().map(|path| &path.slopes[layer][..]).collect();
    let similar = [
        of_vectors(&picture.contributions[layer], &contributions),
        of_vectors(&picture.slopes[layer], &slopes),
    ];
    mean(&similar.into_iter().flatten().collect::<Vec<_>>())
}

/// The mean ρ of a vector and others, divided by that of the others among themselves; `None` if these have
/// too little in common.
fn of_vectors(own: &[f64], others: &[&[f64]]) -> Option<f64> {
    let others: Vec<_> = others.iter().map(|other| centred_ranks(other)).collect();
    let own = centred_ranks(own);
    let pairs = (1..others.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let among = mean(&pairs.map(|(i, j)| correlation(&others[i], &others[j])).collect::<Vec<_>>())?;
    let similar = mean(&others.iter().map(|other| correlation(&own, other)).collect::<Vec<_>>())?;
    (among >= LEAST_IN_COMMON).then(|| similar / among)
}

fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// Spearman's rank correlation: Pearson's correlation of the ranks. Equal values share their mean rank. 0 if
/// all values of one list are equal.
///
/// # Panics
/// If the lists differ in length.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "ranks of lists of one length");
    correlation(&centred_ranks(a), &centred_ranks(b))
}

/// The ranks less their mean.
fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let tied = order[from..].iter().take_while(|i| values[**i] == values[order[from]]).count().max(1);
        let rank = from as f64 + (tied - 1) as f64 / 2.0;
        order[from..from + tied].iter().for_each(|i| ranks[*i] = rank - middle);
        from += tied;
    }
    ranks
}

/// The correlation of centred numbers.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    if norm > 0.0 { dot(a, b) / norm } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use oneiro_net::graph::{Attribute, Builder, Dim};
    use oneiro_net::tensor::Tensor;

    use super::*;
    use crate::card::Card;

    #[test]
    fn ranks_correlate_whatever_the_distances() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 10.0, 1000.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[0.0, -5.0, -6.0]), -1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[7.0, 7.0, 7.0]), 0.0);
        // As scipy.stats.spearmanr has it.
        let tied = spearman(&[1.0, 2.0, 2.0, 4.0], &[3.0, 1.0, 2.0, 4.0]);
        assert!((tied - 0.316_227_766_016_837_94).abs() < 1e-12, "{tied}");
    }

    /// A path with these contributions, and with slopes that are their sizes.
    fn path(layers: &[&[f64]]) -> Path {
        let slopes = layers.iter().map(|l| l.iter().map(|c| c.abs()).collect()).collect();
        Path {
            value: 1.0,
            places: vec![0],
            contributions: layers.iter().map(|l| l.to_vec()).collect(),
            slopes,
        }
    }

    /// This path with other slopes.
    fn with_slopes(path: &Path, slopes: &[&[f64]]) -> Path {
        Path { slopes: slopes.iter().map(|l| l.to_vec()).collect(), ..path.clone() }
    }

    #[test]
    fn a_picture_on_the_natural_path_has_one_and_a_picture_on_another_has_less_than_nothing() {
        let natural = [path(&[&[0.0, 1.0, 2.0, 3.0]]), path(&[&[0.1, 0.9, 2.0, 4.0]])];
        let on = path(&[&[0.0, 2.0, 3.0, 9.0]]);
        let off = path(&[&[5.0, 1.0, 0.5, 0.0]]);
        assert_eq!(similarity(&on, &natural), Some(1.0));
        assert_eq!(similarity(&off, &natural), Some(-1.0));
        assert_eq!(similarity(&on, &natural[..1]), None);
    }

    #[test]
    fn contributions_and_slopes_count_alike_where_natural_images_agree() {
        let natural = vec![path(&[&[0.0, 1.0, 2.0, 3.0]]); 3];
        let other_content = with_slopes(&path(&[&[3.0, 2.0, 1.0, 0.0]]), &[&[0.0, 1.0, 2.0, 3.0]]);
        assert_eq!(similarity(&other_content, &natural), Some(0.0), "-1 of contributions, 1 of slopes");
        // Slopes that are equal for all channels, as behind a mean, tell nothing and do not count.
        let flat: Vec<Path> = natural.iter().map(|path| with_slopes(path, &[&[1.0; 4]])).collect();
        assert_eq!(similarity(&with_slopes(&natural[0], &[&[2.0; 4]]), &flat), Some(1.0));
        assert_eq!(similarity(&with_slopes(&other_content, &[&[2.0; 4]]), &flat), Some(-1.0));
    }

    #[test]
    fn the_lowest_third_of_the_layers_decides_and_two_at_least() {
        let (up, down): (&[f64], &[f64]) = (&[0.0, 1.0, 2.0], &[2.0, 1.0, 0.0]);
        let of = |low: usize, all: usize| {
            let natural = vec![path(&vec![up; all]); 2];
            similarity(&path(&[vec![up; all - low], vec![down; low]].concat()), &natural).unwrap()
        };
        // Here, slopes and contributions agree.
        assert_eq!([of(0, 3), of(1, 3), of(2, 3), of(1, 1)], [1.0, 0.0, -1.0, -1.0]);
        assert_eq!([of(1, 6), of(2, 6)], [0.0, -1.0]);
        assert!((of(1, 9) - 1.0 / 3.0).abs() < 1e-12 && (of(1, 7) - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn layers_beside_the_path_do_not_count() {
        // The second layer is a switch with next to no contribution, and differs.
        let natural =
            [path(&[&[0.0, 1.0, 2.0], &[0.0, 1e-3, 0.0]]), path(&[&[0.0, 1.0, 2.0], &[0.0, 1e-3, 0.0]])];
        let picture = path(&[&[0.0, 1.0, 2.0], &[1e-3, 0.0, 0.0]]);
        assert_eq!(similarity(&picture, &natural), Some(1.0));
    }

    #[test]
    fn natural_images_that_have_nothing_in_common_say_nothing() {
        let natural = [path(&[&[0.0, 1.0, 2.0]]), path(&[&[2.0, 1.0, 0.0]])];
        assert_eq!(similarity(&natural[0], &natural), None);
    }

    #[test]
    fn contributions_of_a_linear_unit_add_up_to_its_value() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, 4, 4].map(Dim::Fixed)).unwrap();
        let numbers = |n: usize| (0..n).map(|i| ((i * 7 % 11) as f32 - 5.0) / 6.0).collect::<Vec<_>>();
        let w = net.constant("w", Tensor::floats(&[4, 3, 1, 1], numbers(12))).unwrap();
        let conv = net.node("Conv", "conv", &[x, w], vec![]).unwrap();
        let relu = net.node("Relu", "relu", &[conv], vec![]).unwrap();
        let v = net.constant("v", Tensor::floats(&[5, 4, 3, 3], numbers(180))).unwrap();
        let pads = vec![("pads", Attribute::Ints(vec![1; 4]))];
        let unit = net.node("Conv", "unit", &[relu, v], pads).unwrap();
        let card = "[[input]]\nname = \"x\"\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]";
        let model = Model::new(net.finish(&[unit]), Card::parse(card).unwrap()).unwrap();
        let mut session = PathSession::new(&model, unit, &[relu, unit], None).unwrap();
        assert_eq!([session.layers(), session.channels()], [1, 5]);
        let image: Vec<f32> = (0..48).map(|i| (i * 5 % 13) as f32 / 12.0).collect();
        for channel in [3, 0, 3] {
            let path = session.run(&image, channel);
            let sum: f64 = path.contributions[0].iter().sum();
            assert!((sum - f64::from(path.value)).abs() < 1e-5, "{sum} {}", path.value);
            // The window of an inner position is the whole kernel; at the border a part is outside.
            let whole =
                |c: usize| numbers(180)[(channel * 4 + c) * 9..][..9].iter().map(|w| w * w).sum::<f32>();
            let (at, slopes) = (path.places[0], &path.slopes[0]);
            let inner = [at / 4, at % 4].iter().all(|i| (1..3).contains(i));
            for (c, slope) in slopes.iter().enumerate() {
                let norm = f64::from(whole(c)).sqrt();
                assert!(
                    if inner { (slope - norm).abs() < 1e-6 } else { *slope <= norm + 1e-6 },
                    "{slope} {norm}"
                );
                assert!(*slope > 0.0);
            }
            assert_eq!(path.places.len(), 16);
        }
    }

    #[test]
    fn a_unit_that_optimised_pictures_fool_is_flagged_and_its_honest_neighbour_is_not() {
        // Unit 0 is red on pictures without blue, and green on those with blue; unit 1 is always red.
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, 4, 4].map(Dim::Fixed)).unwrap();
        let w = vec![1.0, 0.0, -10.0, 0.0, 1.0, 10.0, 1.0, 0.0, 0.0];
        let w = net.constant("w", Tensor::floats(&[3, 3, 1, 1], w)).unwrap();
        let bias = net.constant("b", Tensor::floats(&[3], vec![0.0, -10.0, 0.0])).unwrap();
        let conv = net.node("Conv", "conv", &[x, w, bias], vec![]).unwrap();
        let relu = net.node("Relu", "relu", &[conv], vec![]).unwrap();
        let v = vec![1.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let v = net.constant("v", Tensor::floats(&[2, 3, 1, 1], v)).unwrap();
        let unit = net.node("Conv", "unit", &[relu, v], vec![]).unwrap();
        let card = "[[input]]\nname = \"x\"\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]";
        let model = Model::new(net.finish(&[unit]), Card::parse(card).unwrap()).unwrap();
        let mut session = PathSession::new(&model, unit, &[relu], None).unwrap();
        let image = |color: [f32; 3]| color.iter().flat_map(|c| [*c; 16]).collect::<Vec<f32>>();
        let mut of = |color, channel| session.run(&image(color), channel);
        for (channel, honest) in [(0, false), (1, true)] {
            let natural = [of([0.9, 0.2, 0.0], channel), of([0.7, 0.5, 0.0], channel)];
            let found = similarity(&of([0.8, 0.9, 1.0], channel), &natural).unwrap();
            assert_eq!(found >= THRESHOLD, honest, "{found}");
        }
    }
}
