//! Makes small pictures (thumbnails) of example images, as the network saw them.

use std::collections::BTreeSet;

use oneiro_media::{PngText, StillFormat};
use rayon::prelude::*;

use super::block::Block;
use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::source::clips::middle_frame;
use crate::source::dataset::Dataset;
use crate::source::framing::framed;
use crate::task::Task;

/// How many images are read in parallel.
const AT_ONCE: usize = 32;

/// Returns thumbnails of all images in example lists: JPEG, or PNG in a build without JPEG. A clip of `span`
/// frames is shown by its middle frame.
pub(super) fn of_lists(
    context: &Context,
    dataset: &Dataset,
    found: &Block,
    (model, crop): (&LoadedModel, Option<f64>),
    span: Option<usize>,
) -> Result<Vec<(u32, Vec<u8>)>> {
    let size = crate::source::references::picture_size(model, None)?;
    let units = found.layers.iter().flat_map(|layer| &layer.units);
    let lists = units.flat_map(|unit| [&unit.best, &unit.worst, &unit.best_by_mean]);
    let images: BTreeSet<u32> =
        lists.flat_map(|list| list.examples().iter().map(|example| example.image)).collect();
    let images: Vec<u32> = images.into_iter().collect();
    let mut progress = Task::new(context, "thumbnails", images.len() as u64);
    let mut pictures = Vec::new();
    let picture = |image: &u32| -> Result<(u32, Vec<u8>)> {
        let path = dataset.path(&dataset.images[*image as usize]);
        let seen = match span {
            Some(frames) => middle_frame(&path, frames)?,
            None => oneiro_media::read_image(path)?,
        };
        let (shown, _) = framed(&seen, size, crop)?;
        let png = oneiro_media::encode_png(&shown, &PngText::default())?;
        Ok((*image, StillFormat::Jpeg.transcode(&png).unwrap_or(png)))
    };
    for some in images.chunks(AT_ONCE) {
        context.check()?;
        // An image whose file has disappeared since it was scanned gets no thumbnail.
        let made: Vec<Result<(u32, Vec<u8>)>> = context.compute(|| some.par_iter().map(picture).collect());
        pictures.extend(made.into_iter().flatten());
        progress.advance(some.len() as u64);
    }
    Ok(pictures)
}
