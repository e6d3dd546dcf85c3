//! Samples of all channels of layers, from several networks for the same pictures.

use oneiro::layer_maps::LayerMaps;
use oneiro_net::ValueId;

use super::CompareJob;
use super::images::Images;
use crate::error::Result;
use crate::job::Run;
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::task::Task;

/// Rows and columns of the grid over which maps are averaged, at most.
const GRID: usize = 4;

/// Samples of layers.
pub(super) struct Samples {
    /// For each layer and channel, the means over the cells of all pictures.
    pub layers: Vec<Vec<Vec<f32>>>,
    /// Number of pictures.
    pub pictures: usize,
    /// Number of samples of a channel.
    pub count: usize,
}

/// Runs networks on pictures up to a layer each. Maps are averaged over the cells of a grid that fits all of
/// them, so that samples of different layers are of the same places.
///
/// # Errors
/// If a network does not take the pictures, or none can be read.
pub(super) fn sample(
    run: &Run<'_>,
    job: &CompareJob,
    layers: &[(&LoadedModel, ValueId)],
    images: &Images<'_>,
) -> Result<Samples> {
    let mut maps = Vec::new();
    for (model, layer) in layers {
        let input = images.check(model)?;
        maps.push((input, run.context.compute(|| LayerMaps::new(&model.model, &[*layer]))?));
    }
    let grid = grid_of(maps.iter().map(|(_, maps)| maps.shape(0)));
    let mut progress = Task::new(run.context, "comparing", images.len() as u64);
    let mut found: Vec<Vec<Vec<f32>>> =
        maps.iter().map(|(_, maps)| vec![Vec::new(); maps.shape(0)[0]]).collect();
    let (mut pictures, mut unread) = (0, Vec::new());
    for at in 0..images.len() {
        run.context.check()?;
        progress.advance(1);
        let shown = maps.iter().map(|(input, _)| images.display(at, input)).collect::<Result<Vec<_>>>()?;
        let Some(shown) = shown.into_iter().collect::<Option<Vec<_>>>() else {
            unread.push(at);
            continue;
        };
        for (((_, maps), picture), samples) in maps.iter_mut().zip(&shown).zip(&mut found) {
            let cells = run.context.compute(|| {
                maps.run(picture)?;
                Ok::<_, crate::Error>(maps.map(0).cells(grid))
            })?;
            samples.iter_mut().zip(cells).for_each(|(samples, cells)| samples.extend(cells));
        }
        pictures += 1;
    }
    images.say(run, &unread);
    if pictures == 0 {
        return Err(JobError::NothingRead { data: job.data.clone().unwrap_or_default() }.into());
    }
    let count = found.first().and_then(|layer| layer.first()).map_or(0, Vec::len);
    Ok(Samples { layers: found, pictures, count })
}

/// The largest grid that all maps have room for; one cell if one of them has no height and width.
fn grid_of<'s>(shapes: impl Iterator<Item = &'s [usize]>) -> [usize; 2] {
    shapes.fold([GRID; 2], |[rows, columns], shape| match shape {
        [_, height, width] => [rows.min(*height), columns.min(*width)],
        _ => [1, 1],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_fits_all_maps() {
        let of = |shapes: &[&[usize]]| grid_of(shapes.iter().copied());
        assert_eq!(of(&[&[9, 8, 8], &[9, 3, 6]]), [3, 4]);
        assert_eq!(of(&[&[9, 8, 8], &[9]]), [1, 1]);
        assert_eq!(of(&[&[9, 2, 8, 8]]), [1, 1]);
    }
}
