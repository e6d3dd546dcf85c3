//! Computes the maps of images.

use std::path::Path;

use oneiro::attribution::{Attribution, AttributionTarget, Method, Summary, attribute, top_class};
use oneiro::objective::Objective;
use oneiro_media::Image;

use super::asked::{Asked, Explained};
use super::cautions::{Drawn, say_no_relus, say_yes_or_no, warn_of_disagreement};
use super::{AttributionSettings, ImageReport, MapReport};
use crate::context::Context;
use crate::error::{During as _, Result, Step};
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::model::health::broken_weights;
use crate::remark::ResultRemark;
use crate::source::framing::{Framing, framed, squeezed};
use crate::source::places::hash;
use crate::task::Task;

/// An image to attribute.
pub(super) struct InputImage {
    /// The file's name as the user gave it.
    pub file: String,
    pub sha256: String,
    image: Image,
    on_black: bool,
}

/// An image with its maps.
pub(super) struct Row {
    pub report: ImageReport,
    /// The picture that the network read.
    pub shown: Image,
    pub maps: Vec<Attribution>,
}

impl InputImage {
    /// Reads an image file. `file` is its name in reports.
    pub(super) fn read(path: &Path, file: String) -> Result<Self> {
        let bytes = oneiro_media::read_bytes(path)?;
        let (image, on_black) = oneiro_media::decode_image_on_black(&bytes, path)?;
        let sha256 = hash(&bytes);
        Ok(Self { file, sha256, image, on_black })
    }

    /// Returns the part of the image that the network reads.
    fn framed(&self, size: [usize; 2], recipe: &AttributionSettings) -> Result<(Image, Framing)> {
        let framed = match recipe.full {
            true => squeezed(&self.image, size),
            false => framed(&self.image, size, recipe.crop),
        };
        framed.during(|| Step::Scale { path: self.file.clone() })
    }
}

/// Attributes every photo by every method. `asked` has an entry for each photo: the target, and the unit's
/// name in the caption if it is known.
///
/// A method that fails on a photo is named in a remark, and the other maps are kept. A photo on which all
/// methods fail is left out.
///
/// # Errors
///
/// The first failure, if no map of any photo is left, or if the user chose a layer for Grad-CAM, which
/// failed.
pub(super) fn attribute_all(
    context: &Context,
    model: &LoadedModel,
    recipe: &AttributionSettings,
    photos: &[InputImage],
    asked: &[(Asked, Option<String>)],
) -> Result<Vec<Row>> {
    let mut progress = Task::new(context, "attributing", (photos.len() * recipe.methods.len()) as u64);
    let mut compiled: Option<AttributionTarget<'_>> = None;
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let mut explained_all = Vec::new();
    // The size is the same for every objective.
    let size = context.compute(|| shown_size(model, recipe))?;
    for (photo, (asked, label)) in photos.iter().zip(asked) {
        let (shown, framing) = photo.framed(size, recipe)?;
        model.framings.add(&photo.file, framing.on_black(photo.on_black));
        let explained = Explained::new(model, asked, || {
            context.compute(|| Ok(top_class(&model.model, &shown.data, recipe.size)?))
        })?;
        let objective = explained.objective.clone();
        let mut target = match compiled.take().filter(|s| *s.objective() == objective) {
            Some(target) => target,
            None => context.compute(|| AttributionTarget::new(&model.model, &objective, recipe.size))?,
        };
        let mut maps = Vec::new();
        for &method in &recipe.methods {
            context.check()?;
            progress.label(method.name());
            let watch = &mut |done, count| {
                progress.within_step(done, count);
                !context.is_cancelled()
            };
            let map =
                context.compute(|| attribute(&mut target, &shown.data, method, &recipe.settings, watch));
            progress.advance(1);
            let named = method == Method::GradCam && recipe.settings.cam_layer.is_some();
            match map {
                Ok(map) => maps.push(map),
                Err(why @ oneiro::Error::Stopped) => return Err(why.into()),
                Err(why) if named => {
                    let image = photo.file.clone();
                    return Err(why).during(|| Step::Attribute { image, broken_weights: None });
                }
                Err(why) => failures.push((&photo.file, method, why)),
            }
        }
        compiled = Some(target);
        if maps.is_empty() {
            continue;
        }
        let value = maps.first().map_or(f64::NAN, |m| m.value);
        let default_label = explained.label(model, value)?;
        let report = ImageReport {
            file: photo.file.clone(),
            sha256: photo.sha256.clone(),
            unit: explained.unit,
            objective: objective.to_string(),
            label: label.clone().unwrap_or(default_label),
            value,
            maps: maps.iter().map(report_of).collect(),
        };
        rows.push(Row { report, shown, maps });
        explained_all.push(objective);
    }
    drop(progress);
    if rows.is_empty() && !failures.is_empty() {
        let (file, _, why) = failures.swap_remove(0);
        let objectives = asked.iter().filter_map(|(asked, _)| match asked {
            Asked::Unit { objective, .. } => Some(objective),
            Asked::TopClass => None,
        });
        let (image, broken_weights) = (file.clone(), broken_weights(model, objectives));
        return Err(why).during(|| Step::Attribute { image, broken_weights });
    }
    for (file, method, why) in failures {
        let (image, why) = (file.clone(), why.to_string());
        context.remark(ResultRemark::MethodLeftOut { image, method: method.name(), why });
    }
    model.say_output(context);
    say_yes_or_no(context, model, asked.iter().map(|(asked, _)| asked))?;
    model.framings.say(context, "images");
    say_no_relus(context, model, &recipe.methods, explained_all.iter());
    say_one_map(context, &rows, &explained_all);
    for row in &rows {
        let is_flat = row.shown.data.windows(2).all(|pair| pair[0] == pair[1]);
        warn_of_disagreement(context, &row.report.file, &row.report.label, &row.maps);
        for map in &row.report.maps {
            Drawn { of: &row.report.file, map, value: row.report.value, is_flat }
                .warn(context, &recipe.settings);
        }
    }
    Ok(rows)
}

/// Remarks on methods with a rule for ReLUs whose maps of an image are equal for two objectives.
fn say_one_map(context: &Context, rows: &[Row], objectives: &[Objective]) {
    for (at, row) in rows.iter().enumerate() {
        let of_image = |other: &&Row| {
            let (a, b) = (&other.report, &row.report);
            a.sha256 == b.sha256 && a.objective != b.objective
        };
        for (i, other) in rows[..at].iter().enumerate().filter(|(_, other)| of_image(other)) {
            if !objectives[i].subtracts() && !objectives[at].subtracts() {
                continue;
            }
            for map in row.maps.iter().filter(|map| matches!(map.method, Method::Guided | Method::Deconv)) {
                let is_equal = |m: &Attribution| m.method == map.method && m.map == map.map;
                if other.maps.iter().any(is_equal) && map.map.iter().any(|&value| value != 0.0) {
                    context.remark(ResultRemark::OneMap {
                        image: row.report.file.clone(),
                        method: map.method.name(),
                        units: [other.report.label.clone(), row.report.label.clone()],
                    });
                }
            }
        }
    }
}

fn shown_size(model: &LoadedModel, recipe: &AttributionSettings) -> Result<[usize; 2]> {
    let shapes = model.model.input_shapes(1, recipe.size)?;
    let image = |card: &oneiro::card::InputCard| card.kind == oneiro::card::InputKind::Image;
    match model.model.card.input.iter().position(image) {
        Some(at) if shapes[at].len() == 4 => {
            model.model.check_colors(at)?;
            Ok([shapes[at][2], shapes[at][3]])
        }
        Some(at) => Ok(model.model.check_picture(at, &shapes[at]).map(|()| [0; 2])?),
        None => Err(JobError::NoImageInput { model: model.source.clone() }.into()),
    }
}

/// Returns the report on a map.
pub(super) fn report_of(map: &Attribution) -> MapReport {
    let Summary { positive_share, centroid, entropy, scale } = Summary::of(map);
    MapReport {
        method: map.method,
        layer: map.layer.clone(),
        baseline_value: map.completeness.map(|c| c.baseline_value),
        sum: map.completeness.map(|c| c.sum),
        completeness_gap: map.completeness.map(|c| c.gap).filter(|g| g.is_finite()),
        positive_share,
        centroid,
        entropy,
        scale,
    }
}
