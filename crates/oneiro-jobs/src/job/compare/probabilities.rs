//! The mean probabilities of two classes on images of each.

use oneiro::layer_maps::LayerMaps;

use super::images::{Images, spread};
use super::report::MeanProbabilities;
use crate::error::Result;
use crate::job::Run;
use crate::job::crops::Crops;
use crate::store::ScanFile;
use crate::task::Task;

/// Images of a class that are run, at most; they are spread evenly.
const IMAGES: usize = 64;

/// For images of each of both classes, given by the classes of the data, the mean probability of their own
/// class and of the other; `None` if no image can be read, or the network has classes at several positions.
///
/// # Errors
/// If the scan cannot be read, or the network has no classes.
pub(super) fn mean_probabilities(
    run: &Run<'_>,
    scan: &ScanFile,
    classes: [usize; 2],
    folders: [&[String]; 2],
) -> Result<[Option<MeanProbabilities>; 2]> {
    let model = run.model()?;
    let head = model.model.head()?;
    let mut maps = run.context.compute(|| LayerMaps::new(&model.model, &[head.logits]))?;
    let mut found = [None; 2];
    if maps.shape(0).iter().skip(1).product::<usize>() != 1 {
        return Ok(found);
    }
    let pairs = [classes, [classes[1], classes[0]]];
    for ((found, [own, other]), folders) in found.iter_mut().zip(pairs).zip(folders) {
        let mut of_class = Vec::new();
        for folder in folders {
            of_class.extend(scan.images_of(folder)?);
        }
        let seen = spread(of_class.len(), IMAGES).map(|i| of_class[i].clone()).collect();
        let images = Images::Scan { crops: Crops::new(scan)?, seen };
        let input = images.check(model)?;
        let mut progress = Task::new(run.context, "classifying", images.len() as u64);
        let (mut sums, mut count) = ([0.0; 2], 0);
        for at in 0..images.len() {
            run.context.check()?;
            progress.advance(1);
            let Some(picture) = images.display(at, &input)? else { continue };
            run.context.compute(|| maps.run(&picture))?;
            let probabilities = head.activation.probabilities(&maps.map(0).activations);
            let of = |class: usize| probabilities.get(class).copied().filter(|p| p.is_finite());
            let (Some(of_own), Some(of_other)) = (of(own), of(other)) else { continue };
            sums = [sums[0] + of_own, sums[1] + of_other];
            count += 1;
        }
        if count > 0 {
            let [own, other] = sums.map(|sum| sum / count as f64);
            *found = Some(MeanProbabilities { images: count, own, other });
        }
    }
    Ok(found)
}
