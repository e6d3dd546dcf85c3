//! Draws a unit's activation maps over the images that excite it.
//!
//! The network is run on each image again. The unit's map is enlarged bilinearly. Each value of the map is
//! placed at the centre of its position's receptive field.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use oneiro::input::PictureInput;
use oneiro::model::unit_layers::Projection;
use oneiro::objective_session::ObjectiveSession;
use oneiro_media::{Image, colormap};
use oneiro_net::axes::FeatureMap;

use crate::error::Result;
use crate::job::Run;
use crate::job::crops::Crops;
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::store::ScanFile;
use crate::store::read::{LayerRecord, UnitRecord};

/// Returns for each unit at most `examples` of its best images, with its activation map over them in colours.
/// The strongest colour is the largest activation in the unit's images.
///
/// # Errors
/// If the run's network is not the scanned one, or a unit's layer is no map of rows and columns.
pub(super) fn over_images(
    run: &Run<'_>,
    scan: &ScanFile,
    crops: &Crops<'_>,
    units: &[(UnitRecord, &LayerRecord)],
    examples: usize,
) -> Result<Vec<Vec<Image>>> {
    let model = run.model()?;
    scan.check_model(model)?;
    for (unit, layer) in units {
        if layer.map.len() != 2 || !layer.has_positions() {
            return Err(JobError::NoMap { unit: scan.name_of(unit, layer)? }.into());
        }
    }
    let mut layers: HashMap<usize, MapReader> = HashMap::new();
    let mut drawn = Vec::new();
    for (unit, layer) in units {
        run.context.check()?;
        let reader = match layers.entry(layer.number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(MapReader::new(run, model, layer)?),
        };
        let mut maps = Vec::new();
        for example in unit.best.iter().take(examples) {
            let picture = crops.picture(example.image, &example.file)?;
            let map = match crops.is_gone(&example.file) {
                true => vec![0.0; layer.map.iter().product()],
                false => reader.map(run, &picture, unit.channel),
            };
            maps.push((picture, map));
        }
        drawn.push(overlaid(maps, layer)?);
    }
    Ok(drawn)
}

/// Draws activation maps over pictures, all with the same colour scale.
fn overlaid(maps: Vec<(Image, Vec<f32>)>, layer: &LayerRecord) -> Result<Vec<Image>> {
    let numbers = || maps.iter().flat_map(|(_, map)| map).copied().filter(|value| value.is_finite());
    let scale = f64::from(numbers().fold(0.0f32, |scale, value| scale.max(value.abs())));
    let is_signed = numbers().any(|value| value < 0.0);
    let mut drawn = Vec::new();
    for (picture, map) in &maps {
        let large = enlarged(map, layer, [picture.height, picture.width]);
        drawn.push(match is_signed {
            true => colormap::overlaid(picture, &large, scale, colormap::diverging)?,
            false => colormap::overlaid(picture, &large, scale, colormap::sequential)?,
        });
    }
    Ok(drawn)
}

/// Enlarges an activation map to the size of a picture.
fn enlarged(map: &[f32], layer: &LayerRecord, size: [usize; 2]) -> Vec<f32> {
    let along = |axis: usize| -> Vec<(usize, usize, f32)> {
        let count = layer.map[axis];
        // If the receptive field is not known, the map is assumed to cover the picture evenly.
        let even = size[axis] as f64 / count as f64;
        let known = layer.field.as_ref().filter(|f| f.is_regular && f.extent.len() == 2);
        let known = known.filter(|field| !field.sees_all(axis, size[axis]));
        let (first, stride) = known.map_or((even / 2.0 - 0.5, even), |field| {
            let middle = field.first[axis] as f64 + (field.extent[axis] as f64 - 1.0) / 2.0;
            (middle, field.stride[axis].max(1) as f64)
        });
        let place = |pixel: usize| {
            let at = ((pixel as f64 - first) / stride).clamp(0.0, (count - 1) as f64);
            let low = at.floor() as usize;
            (low, (low + 1).min(count - 1), (at - low as f64) as f32)
        };
        (0..size[axis]).map(place).collect()
    };
    let (rows, columns) = (along(0), along(1));
    let width = layer.map[1];
    let mut large = Vec::with_capacity(size[0] * size[1]);
    for (top, bottom, down) in rows {
        for &(left, right, across) in &columns {
            let row = |y: usize| {
                let (a, b) = (map[y * width + left], map[y * width + right]);
                a + across * (b - a)
            };
            large.push(row(top) + down * (row(bottom) - row(top)));
        }
    }
    large
}

/// A compiled network that computes the activation maps of one layer.
struct MapReader {
    session: ObjectiveSession,
    input: PictureInput,
    map: FeatureMap,
    /// The matrix from channels to units, if the units are directions, and whether negative results become
    /// zero.
    directions: Option<(Projection, bool)>,
}

impl MapReader {
    fn new(run: &Run<'_>, model: &LoadedModel, layer: &LayerRecord) -> Result<Self> {
        let shapes = model.model.input_shapes(1, None)?;
        let (name, directions) = match model.directions_of(&layer.name) {
            Some((name, file)) => {
                let read = model.directions(file)?;
                (name, Some((read.encoder.clone(), read.is_rectified)))
            }
            None => (layer.name.as_str(), None),
        };
        let value = model.model.resolve(name)?;
        let map = model.model.map_of(value, &shapes)?;
        let input = PictureInput::of_photographs(&model.model, &shapes)?;
        let session =
            run.context.compute(|| ObjectiveSession::new(&model.model, &[], &[value], shapes, false))?;
        Ok(Self { session, input, map, directions })
    }

    /// Returns a unit's activations for a picture, row by row.
    fn map(&mut self, run: &Run<'_>, picture: &Image, unit: usize) -> Vec<f32> {
        let Self { session, input, map, directions } = self;
        run.context.compute(|| {
            input.feed(session, 1, |_| picture.colors());
            session.forward();
        });
        let activations = map.gather(session.captured(0).1);
        let channels = map.shape()[1];
        let positions = activations.len() / channels;
        let Some((projection, is_rectified)) = directions else {
            return activations[unit * positions..(unit + 1) * positions].to_vec();
        };
        let row = &projection.weights[unit * channels..(unit + 1) * channels];
        let response = |position: usize| {
            let terms = row.iter().enumerate().map(|(c, w)| w * activations[c * positions + position]);
            let sum = projection.bias[unit] + terms.sum::<f32>();
            if *is_rectified { sum.max(0.0) } else { sum }
        };
        (0..positions).map(response).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(map: [usize; 2]) -> LayerRecord {
        LayerRecord {
            number: 0,
            name: "x".into(),
            aliases: Vec::new(),
            forms: Vec::new(),
            is_classes: false,
            channels: 1,
            map: map.to_vec(),
            field: None,
        }
    }

    #[test]
    fn maps_are_enlarged_between_the_centres_of_their_positions() {
        // Two positions that cover two pixels each have their centres at 0.5 and 2.5.
        let large = enlarged(&[0.0, 4.0], &layer([1, 2]), [1, 4]);
        assert_eq!(large, [0.0, 1.0, 3.0, 4.0]);
        let field = oneiro_net::analysis::ReceptiveField {
            extent: vec![1, 3],
            stride: vec![1, 2],
            first: vec![0, -1],
            is_regular: true,
            strides_differ: false,
        };
        // With this receptive field, the two positions have their centres at pixels 0 and 2.
        let large = enlarged(&[0.0, 4.0], &LayerRecord { field: Some(field), ..layer([1, 2]) }, [1, 4]);
        assert_eq!(large, [0.0, 2.0, 4.0, 4.0]);
    }

    #[test]
    fn what_is_not_active_shows_the_image_in_grey() {
        let picture = Image::filled(2, 1, [0.9, 0.5, 0.1]);
        let drawn = overlaid(vec![(picture, vec![0.0, 2.0])], &layer([1, 2])).unwrap();
        let [r, g, b] = drawn[0].pixel(0, 0);
        assert!(r == g && g == b, "{r} {g} {b}");
        assert_ne!(drawn[0].pixel(1, 0), [r, g, b]);
    }
}
