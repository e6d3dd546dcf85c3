//! Optimised pictures of units and of their differences, and what each unit makes of them.

use oneiro::objective::Objective;
use oneiro::render::Render;

use super::CompareJob;
use crate::error::Result;
use crate::job::Run;
use crate::job::render::work::UnitRequest;
use crate::job::render::{Finished, Setting, render_all};
use crate::model::LoadedModel;
use crate::model::health::require_healthy;
use crate::numbers::rounded;

/// Renders units. Also returns the setting, at a size that the network accepts.
///
/// # Errors
/// Those of rendering.
pub(super) fn render(
    run: &Run<'_>,
    job: &CompareJob,
    units: &[(String, Objective)],
) -> Result<(Vec<Finished>, Setting)> {
    let request = |(unit, objective): &(String, Objective)| UnitRequest {
        objective: Some(objective.to_string()),
        ..UnitRequest::new(unit.clone())
    };
    let work = job.work(&units.iter().map(request).collect::<Vec<_>>());
    let prepared = work.prepare(run)?;
    let setting = prepared.settings[0].clone();
    let named: Vec<(&str, &Objective)> = units.iter().map(|(unit, o)| (unit.as_str(), o)).collect();
    require_healthy(run.context, run.model()?, &named, setting.preset.size)?;
    Ok((render_all(run, &prepared, &work.options(None))?, setting))
}

/// Returns a unit's value for each picture, as its own optimisation measures it: without transforms, of the
/// picture before it is clipped. `None` for pictures of a size or of channels that the network does not take.
///
/// # Errors
/// If the network cannot be compiled.
pub(super) fn values(
    run: &Run<'_>,
    model: &LoadedModel,
    setting: &Setting,
    objective: &Objective,
    pictures: &[&Finished],
) -> Result<Vec<Option<f64>>> {
    let Setting { preset, seed } = setting;
    let objectives = std::slice::from_ref(objective);
    let mut render = run.context.compute(|| Render::new(&model.model, preset, objectives, *seed))?;
    let mut found = Vec::new();
    for picture in pictures {
        run.context.check()?;
        let planes = picture.rendered.images.iter().map(|image| image.image.data.clone()).collect();
        found.push(render.evaluate(Some(&[planes])).ok().map(|values| values[0]));
    }
    Ok(found)
}

/// Renderings of a mixture at most, each with other factors.
const ROUNDS: usize = 5;
/// The binary logarithm of the factor from one rendering of a mixture to the next: half in two steps.
const STEP: f64 = 0.5;
/// Share of its own gain that the unit to be excited has to reach, and of the other's share the smaller one.
const ENOUGH: f64 = 0.5;

/// What a picture maximises of two units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mixture {
    /// Factors of A and of B, in units of their gains.
    factors: [f64; 2],
    /// Of a sum, the binary logarithms of ratios of the factors under which B, and A, outweighs the other.
    bounds: [f64; 2],
}

impl Mixture {
    /// The first without the second, the second without the first, and both.
    const ALL: [Self; 3] = [Self::of([1.0, -1.0]), Self::of([-1.0, 1.0]), Self::of([1.0, 1.0])];

    const fn of(factors: [f64; 2]) -> Self {
        Self { factors, bounds: [f64::NEG_INFINITY, f64::INFINITY] }
    }

    /// Its name for programs.
    pub(super) fn kind(self) -> &'static str {
        match self.factors {
            [_, b] if b < 0.0 => "a-b",
            [a, _] if a < 0.0 => "b-a",
            _ => "a+b",
        }
    }

    /// Its name for people, such as "A − 0.5 B".
    pub(super) fn name(self) -> String {
        let [a, b] = self.factors;
        let times = |factor: f64, unit: &str| match factor.abs() == 1.0 {
            true => unit.to_owned(),
            false => format!("{} {unit}", factor.abs()),
        };
        match self.kind() {
            "a-b" => format!("A − {}", times(b, "B")),
            "b-a" => format!("B − {}", times(a, "A")),
            _ => format!("{} + {}", times(a, "A"), times(b, "B")),
        }
    }

    /// How well a picture does what it is for: the share of the unit to be excited, or the smaller share.
    fn score(self, [a, b]: [f64; 2]) -> f64 {
        match self.kind() {
            "a-b" => a,
            "b-a" => b,
            _ => a.min(b),
        }
    }

    /// The mixture to try next: what outweighs the other counts less. Where that made the other one outweigh
    /// it, the geometric mean of both ratios. `None` if nothing outweighs anything.
    fn next(self, [a, b]: [f64; 2]) -> Option<Self> {
        let [of_a, of_b] = self.factors;
        match self.kind() {
            "a-b" if a < ENOUGH => return Some(Self::of([of_a, less(of_b)])),
            "b-a" if b < ENOUGH => return Some(Self::of([less(of_a), of_b])),
            "a+b" if a < ENOUGH * b || b < ENOUGH * a => {}
            _ => return None,
        }
        let ratio = (of_a / of_b).log2();
        let (mut bounds, step) = (self.bounds, if a < b { STEP } else { -STEP });
        bounds[usize::from(a > b)] = ratio;
        let ratio = match bounds {
            [low, high] if low.is_finite() && high.is_finite() => (low + high) / 2.0,
            _ => ratio + step,
        };
        let factors = [two_digits(ratio.min(0.0).exp2()), two_digits((-ratio).min(0.0).exp2())];
        Some(Self { factors, bounds })
    }

    /// The objective. Each value is divided by what the optimisation for this unit alone gained over noise; a
    /// common factor, the geometric mean of both gains, keeps the scale.
    fn objective(self, [a, b]: [&Objective; 2], gains: [f64; 2]) -> Objective {
        let common = (gains[0] * gains[1]).sqrt();
        let [of_a, of_b] = [0, 1].map(|i: usize| rounded(common / gains[i] * self.factors[i].abs()));
        let (a, b) = (of_a * a.clone(), of_b * b.clone());
        match self.kind() {
            "a-b" => a - b,
            "b-a" => b - a,
            _ => a + b,
        }
    }
}

/// A factor that is smaller by a step.
fn less(factor: f64) -> f64 {
    factor.signum() * two_digits((factor.abs().log2() - STEP).exp2())
}

fn two_digits(factor: f64) -> f64 {
    (100.0 * factor).round() / 100.0
}

/// Renders A − B, B − A and A + B. Factors keep either unit from outweighing the other: the stronger unit
/// gets less weight, down to a quarter. Returns nothing if one of the units gained nothing over noise in its
/// own picture.
///
/// # Errors
/// Those of rendering.
pub(super) fn mixtures(
    run: &Run<'_>,
    job: &CompareJob,
    objectives: [&Objective; 2],
    own: [&Finished; 2],
) -> Result<Vec<(Mixture, Finished)>> {
    let gains = own.map(|own| match own.report.failure() {
        None => own.report.value - own.report.value_at_start,
        Some(_) => 0.0,
    });
    if !gains.iter().all(|gain| gain.is_finite() && *gain > 0.0) {
        return Ok(Vec::new());
    }
    let model = run.model()?;
    let mut best: [Option<(f64, Mixture, Finished)>; 3] = [const { None }; 3];
    let mut next: Vec<(usize, Mixture)> = Mixture::ALL.into_iter().enumerate().collect();
    for _ in 0..ROUNDS {
        if next.is_empty() {
            break;
        }
        let unit = |(_, mixture): &(usize, Mixture)| (mixture.name(), mixture.objective(objectives, gains));
        let units: Vec<(String, Objective)> = next.iter().map(unit).collect();
        let (finished, setting) = render(run, job, &units)?;
        let shown: Vec<&Finished> = finished.iter().collect();
        let of_a = values(run, model, &setting, objectives[0], &shown)?;
        let of_b = values(run, model, &setting, objectives[1], &shown)?;
        drop(shown);
        let mut after = Vec::new();
        for (((at, mixture), finished), (a, b)) in
            next.into_iter().zip(finished).zip(of_a.into_iter().zip(of_b))
        {
            let of = |value: Option<f64>, own| value.and_then(|value| share(value, own)).unwrap_or(0.0);
            let shares = [of(a, own[0]), of(b, own[1])];
            let score = mixture.score(shares);
            if best[at].as_ref().is_none_or(|(known, ..)| score > *known) {
                best[at] = Some((score, mixture, finished));
            }
            after.extend(mixture.next(shares).map(|mixture| (at, mixture)));
        }
        next = after;
    }
    Ok(best.into_iter().flatten().map(|(_, mixture, finished)| (mixture, finished)).collect())
}

/// The share of a unit's own gain that another picture reaches: 1 for its own picture, 0 for noise.
pub(super) fn share(value: f64, own: &Finished) -> Option<f64> {
    let gain = own.report.value - own.report.value_at_start;
    (gain > 0.0).then(|| (value - own.report.value_at_start) / gain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outweighs_the_other_counts_less() {
        let [difference, other, sum] = Mixture::ALL;
        assert_eq!([difference.name(), other.name(), sum.name()], ["A − B", "B − A", "A + B"]);
        // A lowers both: B counts for less.
        let milder = difference.next([-0.5, -2.0]).unwrap();
        assert_eq!((milder.name().as_str(), milder.kind()), ("A − 0.71 B", "a-b"));
        assert_eq!(milder.next([0.4, 0.1]).unwrap().name(), "A − 0.5 B");
        assert_eq!(difference.next([0.6, -2.0]), None);
        assert_eq!(other.next([-2.0, 0.1]).unwrap().name(), "B − 0.71 A");
        let less_of_a = sum.next([0.9, 0.1]).unwrap();
        assert_eq!(less_of_a.name(), "0.71 A + B");
        assert_eq!(less_of_a.next([0.9, 0.1]).unwrap().name(), "0.5 A + B");
        // Now B outweighs A: the truth lies between.
        assert_eq!(less_of_a.next([0.1, 0.9]).unwrap().name(), "0.84 A + B");
        assert_eq!(sum.next([0.1, 0.9]).unwrap().name(), "A + 0.71 B");
        assert_eq!(sum.next([0.6, 0.4]), None);
    }

    #[test]
    fn values_are_divided_by_their_gains() {
        let (a, b) = (Objective::logit(0), Objective::logit(1));
        let [difference, other, sum] = Mixture::ALL.map(|mixture| mixture.objective([&a, &b], [2.0, 8.0]));
        assert_eq!(difference.to_string(), "2*logit(0) - 0.5*logit(1)");
        assert_eq!(other.to_string(), "0.5*logit(1) - 2*logit(0)");
        assert_eq!(sum.to_string(), "2*logit(0) + 0.5*logit(1)");
    }
}
