//! Samples of all channels of layers, from several networks for the same pictures.

use oneiro::input::PictureInput;
use oneiro::layer_maps::LayerMaps;
use oneiro_net::ValueId;

use super::CompareJob;
use super::error::CompareError;
use super::images::Images;
use crate::error::Result;
use crate::job::Run;
use crate::model::LoadedModel;
use crate::task::Task;

/// Rows and columns of the grid over which maps are averaged, at most.
pub(super) const GRID: usize = 4;

/// Samples of groups of layers.
pub(super) struct Samples {
    pub groups: Vec<Group>,
    /// Number of pictures.
    pub pictures: usize,
    /// Indices of the pictures that could not be read.
    pub unread: Vec<usize>,
}

/// Samples of layers of the same places.
pub(super) struct Group {
    /// For each layer and channel, the means over the cells of all pictures.
    pub layers: Vec<Vec<Vec<f32>>>,
    /// Number of samples of a channel.
    pub count: usize,
}

/// A network that is run, and where the maps of its layers belong.
struct Runner {
    input: PictureInput,
    maps: LayerMaps,
    /// For each map, its group and its layer in the group.
    places: Vec<[usize; 2]>,
}

/// Runs networks on pictures. Maps are averaged over the cells of a grid that fits all layers of a group, so
/// that samples of different layers are of the same places. Each network is run once for a picture.
///
/// # Errors
/// If a network does not take the pictures, or none can be read.
pub(super) fn sample(
    run: &Run<'_>,
    job: &CompareJob,
    groups: &[Vec<(&LoadedModel, ValueId)>],
    images: &Images<'_>,
) -> Result<Samples> {
    let mut models: Vec<&LoadedModel> = Vec::new();
    for (model, _) in groups.iter().flatten() {
        if !models.iter().any(|known| std::ptr::eq(*known, *model)) {
            models.push(model);
        }
    }
    let mut runners = Vec::new();
    for model in models {
        let (mut values, mut places) = (Vec::new(), Vec::new());
        for (g, group) in groups.iter().enumerate() {
            for (l, (_, value)) in group.iter().enumerate().filter(|(_, (own, _))| std::ptr::eq(*own, model))
            {
                values.push(*value);
                places.push([g, l]);
            }
        }
        let maps = run.context.compute(|| LayerMaps::new(&model.model, &values))?;
        runners.push(Runner { input: images.check(model)?, maps, places });
    }
    let shapes_of = |group: usize| {
        let of = move |runner: &Runner| {
            let places = runner.places.iter().enumerate().filter(|(_, [of, _])| *of == group);
            places.map(|(i, _)| runner.maps.shape(i).to_vec()).collect::<Vec<_>>()
        };
        runners.iter().flat_map(of).collect::<Vec<_>>()
    };
    let grids: Vec<[usize; 2]> =
        (0..groups.len()).map(|group| grid_of(shapes_of(group).iter().map(Vec::as_slice))).collect();
    let mut found: Vec<Vec<Vec<Vec<f32>>>> =
        groups.iter().map(|group| vec![Vec::new(); group.len()]).collect();
    let mut progress = Task::new(run.context, "comparing", images.len() as u64);
    let (mut pictures, mut unread) = (0, Vec::new());
    for at in 0..images.len() {
        run.context.check()?;
        progress.advance(1);
        let shown =
            runners.iter().map(|runner| images.display(at, &runner.input)).collect::<Result<Vec<_>>>()?;
        let Some(shown) = shown.into_iter().collect::<Option<Vec<_>>>() else {
            unread.push(at);
            continue;
        };
        for (Runner { maps, places, .. }, picture) in runners.iter_mut().zip(&shown) {
            run.context.compute(|| maps.run(picture))?;
            for (i, [group, layer]) in places.iter().enumerate() {
                let cells = run.context.compute(|| maps.map(i).cells(grids[*group]));
                let samples = &mut found[*group][*layer];
                samples.resize(cells.len(), Vec::new());
                samples.iter_mut().zip(cells).for_each(|(samples, cells)| samples.extend(cells));
            }
        }
        pictures += 1;
    }
    if pictures == 0 {
        images.say(run, &unread);
        return Err(CompareError::NothingRead { data: job.data.clone().unwrap_or_default() }.into());
    }
    let group = |layers: Vec<Vec<Vec<f32>>>| {
        let count = layers.first().and_then(|layer| layer.first()).map_or(0, Vec::len);
        Group { layers, count }
    };
    Ok(Samples { groups: found.into_iter().map(group).collect(), pictures, unread })
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
