//! Judges classes without images of theirs.
//!
//! Synthetic pictures take the place of other classes' images. Whether a class needs a cue is read from the
//! best picture that the optimiser finds for it. Where a plain cue excites a class about as much as that
//! picture does, there is little else that the class looks for.

use oneiro::Extent;
use oneiro::filters::probes::{Probe, probe};
use oneiro::preset::Preset;
use oneiro::transform::Chain;
use oneiro_media::Image;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::cue::Cue;
use super::logits::{Logits, Scores};
use super::shown::Shown;
use super::{ClassHealth, Judged, candidates, changed_by, median, support, usual, words};
use crate::error::Result;
use crate::job::error::JobError;
use crate::job::render::{RenderJob, Setting};
use crate::job::{Job as _, Kept, Place, Run};
use crate::numbers::rounded;
use crate::source::references::picture_size;
use crate::task::Task;

/// Synthetic pictures.
const PICTURES: usize = 24;
/// Classes for which pictures are optimised: those that a cue excites most.
const OPTIMISED: usize = 12;
/// Seeds of these pictures.
const SEEDS: [u64; 2] = [0, 1];
/// Transforms, views and rate of these pictures. They are not the default recipe's, but those with which
/// [`HALF`] was calibrated: another recipe reaches other margins.
const TRANSFORMS: &str = "roll(textures)|pad(25%,reflect)|jitter(6%)|scale(0.88,0.91,0.94,0.97,1,1,1.03,1.06,1.09,1.12)\
                          |rotate(-14,-11,-9,-7,-5,-3,-1,0,1,3,5,7,9,11,14)|jitter(3%)";
const VIEWS: usize = 2;
const RATE: f32 = 0.12;
/// The cue's margin as a share of the optimum's at which the class is half as likely as not to look for
/// more, and how sharply that turns. Calibrated on networks made for it (`docs/health.md`).
const HALF: f64 = 0.4;
const SHARPNESS: i32 = 3;

pub(super) fn judge(run: &Run<'_>, names: &[String]) -> Result<Judged> {
    let model = run.model()?;
    let size = picture_size(model, None)?;
    let mut logits = Logits::new(run.context, model)?;
    let leaves = |i: u64| probe(Probe::DeadLeaves, &Extent::still(3, size[0], size[1]), i);
    let pictures: Vec<Shown> = (0..PICTURES as u64)
        .map(|i| Ok(Shown::picture(Image::rgb(size[1], size[0], leaves(i))?)))
        .collect::<Result<_>>()?;
    let cues = Cue::all(false);
    let mut task = Task::new(run.context, "laying cues over synthetic pictures", (cues.len() + 1) as u64);
    let before = logits.of(&pictures)?;
    task.advance(1);
    let mut after = Vec::new();
    for cue in &cues {
        let laid: Vec<Shown> =
            run.context.compute(|| pictures.par_iter().map(|shown| shown.laid_over(cue)).collect());
        after.push(logits.of(&laid)?);
        task.advance(1);
    }
    drop(task);
    let share = |scores: &[Scores], class: usize| {
        scores.iter().filter(|scores| scores.named() == class).count() as f64 / PICTURES as f64
    };
    let mut found = Vec::new();
    for class in 0..names.len() {
        let base = share(&before, class);
        let gains: Vec<f64> = after.iter().map(|scores| share(scores, class) - base).collect();
        let usual = usual(&cues, &gains);
        let suffices: Vec<f64> =
            gains.iter().zip(usual).map(|(gain, usual)| (gain - usual).max(0.0)).collect();
        let margin = |i: usize| median_margin(&after[i], class);
        let support = |i: usize| support(&cues, i, &|i| suffices[i]);
        let best = candidates(&cues, &|i| suffices[i], &|i| (support(i), margin(i))).into_iter().next();
        found.push((base, best, suffices));
    }
    let mut order: Vec<usize> = (0..names.len()).filter(|class| found[*class].1.is_some()).collect();
    let strength = |class: usize| found[class].1.map_or(0.0, |best| found[class].2[best]);
    order.sort_by(|a, b| strength(*b).total_cmp(&strength(*a)).then(a.cmp(b)));
    let left = order.len().saturating_sub(OPTIMISED);
    order.truncate(OPTIMISED);
    let optimal = optimal_margins(run, &mut logits, &order)?;
    let (mut classes, mut changed) = (Vec::new(), Vec::new());
    for (class, name) in names.iter().enumerate() {
        let mut health = ClassHealth { name: name.clone(), suspicion: 0.0, evidence: Map::new() };
        let (base, best, suffices) = &found[class];
        if let (Some(best), Some(at)) = (*best, order.iter().position(|other| *other == class)) {
            let reached = median_margin(&after[best], class);
            let needed = needed(reached, optimal[at]);
            health.suspicion = rounded((suffices[best] * needed).sqrt());
            let mut put = |name: &str, value: Value| {
                health.evidence.insert(name.to_owned(), value);
            };
            put("cue", Value::from(words(&cues, best, &|i| suffices[i], None)));
            put("synthetic_pictures_named_so", Value::from(rounded(*base)));
            put("synthetic_pictures_named_so_with_cue", Value::from(rounded(share(&after[best], class))));
            put("margin_with_cue", Value::from(rounded(reached)));
            put("margin_of_optimised_picture", Value::from(rounded(optimal[at])));
        }
        let with = best.map(|best| {
            let named = before.iter().zip(&after[best]).map(|(a, b)| [a.named(), b.named()]);
            changed_by(&cues[best], class, names, pictures.iter().zip(named))
        });
        changed.push(with.transpose()?.unwrap_or_default());
        classes.push(health);
    }
    let mut not_judged = vec![
        "whether classes need their cues: no images of theirs were given, so it is guessed from optimised pictures"
            .to_owned(),
    ];
    if left > 0 {
        not_judged.push(format!(
            "{left} classes: only the {OPTIMISED} that cues excite most were looked at closely"
        ));
    }
    Ok(Judged { classes, changed, not_judged, without_color: None })
}

/// How little a class looks for beside a cue, from the margins that the cue and the optimised picture reach.
fn needed(reached: f64, optimal: f64) -> f64 {
    if reached <= 0.0 {
        return 0.0;
    }
    if optimal <= 0.0 {
        return 1.0;
    }
    let share = (reached / optimal).powi(SHARPNESS);
    share / (share + HALF.powi(SHARPNESS))
}

fn median_margin(scores: &[Scores], class: usize) -> f64 {
    median(&scores.iter().map(|scores| scores.margin(class)).collect::<Vec<_>>())
}

/// The largest margin of each class over pictures that are optimised for it.
fn optimal_margins(run: &Run<'_>, logits: &mut Logits<'_>, classes: &[usize]) -> Result<Vec<f64>> {
    let mut best = vec![f64::NEG_INFINITY; classes.len()];
    if classes.is_empty() {
        return Ok(best);
    }
    let units: Vec<String> = classes.iter().map(|class| format!("class:{class}")).collect();
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    let size = Some(picture_size(run.model()?, None)?);
    for seed in SEEDS {
        let mut kept = Kept::all();
        RenderJob::new(&units, Setting { preset: recipe(size)?, seed }).run(run, &mut kept)?;
        let mut pictures = Vec::new();
        for (i, unit) in units.iter().enumerate() {
            let bytes = kept.take(Place::picture(i)).ok_or(JobError::NotMade { what: "a picture" })?;
            pictures.push(Shown::picture(oneiro_media::decode_image(&bytes, unit)?));
        }
        for ((best, scores), class) in best.iter_mut().zip(logits.of(&pictures)?).zip(classes) {
            *best = best.max(scores.margin(*class));
        }
    }
    Ok(best)
}

/// The recipe of the optimised pictures.
fn recipe(size: Option<[usize; 2]>) -> Result<Preset> {
    let mut preset = Preset {
        name: "health".into(),
        size,
        views: VIEWS,
        transform: Chain::parse(TRANSFORMS)?,
        ..Preset::default()
    };
    preset.optimizer.learning_rate = RATE;
    Ok(preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cue_that_does_all_is_needed() {
        assert_eq!(needed(3.0, -1.0), 1.0);
        assert_eq!(needed(-0.5, -1.0), 0.0);
        assert!(needed(5.0, 100.0) < 0.01 && needed(5.0, 5.0) > 0.9);
        assert!((needed(0.4, 1.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_recipe_is_one() {
        let recipe = recipe(Some([32, 32])).unwrap();
        recipe.check().unwrap();
        assert_eq!(recipe.transform.to_string(), TRANSFORMS);
    }
}
