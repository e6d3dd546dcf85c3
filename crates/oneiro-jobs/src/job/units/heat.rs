//! Draws a unit's activation maps over the images that excite it.
//!
//! The network is run on each image again. The unit's map is enlarged bilinearly: a number of the map stands
//! at the centre of what its position sees. Of a clip, the map at the time of the largest activation lies
//! over the frame of that time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use oneiro::card::InputKind;
use oneiro::input::{PictureInput, feed_all};
use oneiro::model::unit_layers::Projection;
use oneiro::objective_session::ObjectiveSession;
use oneiro_media::{Image, colormap};
use oneiro_net::axes::FeatureMap;

use crate::error::{During as _, Result, Step};
use crate::job::Run;
use crate::job::crops::Crops;
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::source::clips::ClipReader;
use crate::store::ScanFile;
use crate::store::read::{ExampleRecord, LayerRecord, UnitRecord};

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
        let is_map = layer.map.len() == 2 || (layer.map.len() == 3 && crops.clips().is_some());
        if !is_map || !layer.has_positions() {
            return Err(JobError::NoMap { unit: scan.name_of(unit, layer)? }.into());
        }
    }
    let mut layers: HashMap<usize, MapReader> = HashMap::new();
    let mut drawn = Vec::new();
    for (unit, layer) in units {
        run.context.check()?;
        let reader = match layers.entry(layer.number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(MapReader::new(run, model, layer, crops)?),
        };
        let mut maps = Vec::new();
        for example in unit.best.iter().take(examples) {
            let picture = crops.picture(example.image, &example.file)?;
            maps.push(match crops.is_gone(&example.file) {
                true => (picture, vec![0.0; plane_of(layer)]),
                false => reader.map_of(run, crops, (unit, layer), example, picture)?,
            });
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

/// Number of positions of a layer at one time.
fn plane_of(layer: &LayerRecord) -> usize {
    layer.map[layer.map.len() - 2..].iter().product()
}

/// A map of rows and columns at the size of a picture.
fn enlarged(map: &[f32], layer: &LayerRecord, size: [usize; 2]) -> Vec<f32> {
    // Time comes before rows and columns.
    let rows_at = layer.map.len() - 2;
    let along = |side: usize| -> Vec<(usize, usize, f32)> {
        let (axis, size) = (rows_at + side, size[side]);
        let count = layer.map[axis];
        // Where the field is not known, the map is taken to cover the picture evenly.
        let even = size as f64 / count as f64;
        let known = layer.field.as_ref().filter(|f| f.is_regular && f.extent.len() == layer.map.len());
        let known = known.filter(|field| !field.sees_all(axis, size));
        let (first, stride) = known.map_or((even / 2.0 - 0.5, even), |field| {
            let middle = field.first[axis] as f64 + (field.extent[axis] as f64 - 1.0) / 2.0;
            (middle, field.stride[axis].max(1) as f64)
        });
        let place = |pixel: usize| {
            let at = ((pixel as f64 - first) / stride).clamp(0.0, (count - 1) as f64);
            let low = at.floor() as usize;
            (low, (low + 1).min(count - 1), (at - low as f64) as f32)
        };
        (0..size).map(place).collect()
    };
    let (rows, columns) = (along(0), along(1));
    let width = layer.map[rows_at + 1];
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
    inputs: Vec<PictureInput>,
    /// Reads the clips of a scan of clips.
    clips: Option<ClipReader>,
    map: FeatureMap,
    /// The matrix from channels to units, if the units are directions, and whether negative results become
    /// zero.
    directions: Option<(Projection, bool)>,
}

impl MapReader {
    fn new(run: &Run<'_>, model: &LoadedModel, layer: &LayerRecord, crops: &Crops<'_>) -> Result<Self> {
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
        let of_photographs = || PictureInput::of_photographs(&model.model, &shapes);
        let photographs = if crops.clips().is_none() { vec![of_photographs()?] } else { Vec::new() };
        let session =
            run.context.compute(|| ObjectiveSession::new(&model.model, &[], &[value], shapes, false))?;
        let (inputs, clips) = match crops.clips() {
            Some((clips, crop)) => {
                let inputs = PictureInput::used(&model.model, session.inputs())?;
                (inputs.clone(), Some(ClipReader::new(inputs, &clips.sampling(crop))?))
            }
            None => (photographs, None),
        };
        Ok(Self { session, inputs, clips, map, directions })
    }

    /// An example's picture with the unit's activations, row by row. Of a clip, both are those of the time of
    /// the largest activation.
    fn map_of(
        &mut self,
        run: &Run<'_>,
        crops: &Crops<'_>,
        (unit, layer): (&UnitRecord, &LayerRecord),
        example: &ExampleRecord,
        picture: Image,
    ) -> Result<(Image, Vec<f32>)> {
        let (Some(reader), Some((clips, _))) = (&self.clips, crops.clips()) else {
            let map = self.map(run, &[picture.colors()], unit.channel);
            return Ok((picture, map));
        };
        let path = crops.path_of_clip(example.image, &example.file)?;
        let flow = clips.flow_file(&path, &example.file);
        let read = run.context.compute(|| reader.read(&path, flow.as_deref()));
        let video = read.during(|| Step::ReadClip { path: example.file.clone() })?;
        let shown = video.clips.into_iter().next().unwrap_or_default();
        let seen: Vec<&[f32]> = shown.iter().map(Image::colors).collect();
        let map = self.map(run, &seen, unit.channel);
        let (time, times) = match layer.map.len() {
            3 => (example.position.first().copied().unwrap_or_default(), layer.map[0]),
            _ => (0, 1),
        };
        let at = self.inputs.iter().position(|input| input.kind != InputKind::Flow);
        let picture = match at.map(|at| &shown[at]) {
            Some(clip) if clip.frames > 1 => still(clip, (2 * time + 1) * clip.frames / (2 * times))?,
            Some(frame) => frame.clone(),
            // Of flow alone, the clip's middle frame.
            None => picture,
        };
        let plane = plane_of(layer);
        Ok((picture, map[time * plane..][..plane].to_vec()))
    }

    /// The activations of a unit for what the inputs see, position by position.
    fn map(&mut self, run: &Run<'_>, seen: &[&[f32]], unit: usize) -> Vec<f32> {
        let Self { session, inputs, map, directions, .. } = self;
        run.context.compute(|| {
            feed_all(inputs, session, 1, |_, input| seen[input]);
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

/// Returns a frame of a clip.
fn still(clip: &Image, at: usize) -> Result<Image> {
    let planes = (0..3).flat_map(|channel| clip.plane(channel * clip.frames + at));
    Ok(Image::rgb(clip.width, clip.height, planes.copied().collect())?)
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
