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
const ROUNDS: usize = 8;
/// The first change of a binary logarithm of factors; each further one in the same direction is twice as
/// large.
const STEP: f64 = 0.5;
/// Largest binary logarithm of factors. Beyond it the other unit hardly counts.
const MOST: f64 = 4.0;
/// Binary logarithms of factors that are closer make about the same picture.
const NEAR: f64 = 0.1;
/// Share of its own gain that a unit to be excited has to reach.
const ENOUGH: f64 = 0.5;
/// Share of its own gain that a unit to be left out may reach.
const LOW: f64 = 0.3;

/// What a picture maximises of two units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mixture {
    of: Of,
    /// The binary logarithm of a factor, in units of the gains: in a difference that of the unit to be left
    /// out, in a sum that of A over that of B.
    ratio: f64,
    /// Where the factor is known to be too small, and too large.
    bounds: [f64; 2],
    step: f64,
}

/// Which units a picture is to excite.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Of {
    /// A and not B.
    A,
    /// B and not A.
    B,
    /// A and B.
    Both,
}

impl Mixture {
    /// The first without the second, the second without the first, and both.
    const ALL: [Self; 3] = [Self::of(Of::A), Self::of(Of::B), Self::of(Of::Both)];

    const fn of(of: Of) -> Self {
        Self { of, ratio: 0.0, bounds: [f64::NEG_INFINITY, f64::INFINITY], step: STEP }
    }

    /// Its name for programs.
    pub(super) fn kind(self) -> &'static str {
        match self.of {
            Of::A => "a-b",
            Of::B => "b-a",
            Of::Both => "a+b",
        }
    }

    /// Factors of A and of B, in units of their gains.
    fn factors(self) -> [f64; 2] {
        match self.of {
            Of::A => [1.0, -two_digits(self.ratio.exp2())],
            Of::B => [-two_digits(self.ratio.exp2()), 1.0],
            Of::Both => [self.ratio, -self.ratio].map(|ratio| two_digits(ratio.min(0.0).exp2())),
        }
    }

    /// Its name for people, such as "A − 0.5 B".
    pub(super) fn name(self) -> String {
        let [a, b] = self.factors();
        let times = |factor: f64, unit: &str| match factor.abs() == 1.0 {
            true => unit.to_owned(),
            false => format!("{} {unit}", factor.abs()),
        };
        match self.of {
            Of::A => format!("A − {}", times(b, "B")),
            Of::B => format!("B − {}", times(a, "A")),
            Of::Both => format!("{} + {}", times(a, "A"), times(b, "B")),
        }
    }

    /// Whether a picture does what it is for, and how well: of a sum the smaller share, of a difference how
    /// far the units' shares are apart.
    fn score(self, [a, b]: [f64; 2]) -> (bool, f64) {
        let apart = |own: f64, other: f64| (own >= ENOUGH && other <= LOW, own.min(1.0) - other.max(0.0));
        match self.of {
            Of::A => apart(a, b),
            Of::B => apart(b, a),
            Of::Both => (a.min(b) >= ENOUGH, a.min(b)),
        }
    }

    /// What the picture was to show and does not, in words.
    pub(super) fn missed(self, shares: [f64; 2]) -> Option<&'static str> {
        if self.score(shares).0 {
            return None;
        }
        Some(match self.of {
            Of::A => "no weight was found that excites A and not B",
            Of::B => "no weight was found that excites B and not A",
            Of::Both => "no weights were found that excite both",
        })
    }

    /// The mixture to try next. The unit to be left out counts less where the other one is not excited
    /// enough, and else more; in a sum the unit with the smaller share counts more. `None` if the picture
    /// does what it is for, or no other factor is left.
    fn next(self, shares: [f64; 2]) -> Option<Self> {
        let [a, b] = shares;
        if self.score(shares).0 {
            return None;
        }
        let is_more = match self.of {
            Of::A => a >= ENOUGH,
            Of::B => b >= ENOUGH,
            Of::Both => a < b,
        };
        let mut next = self;
        next.bounds[usize::from(!is_more)] = self.ratio;
        next.ratio = match next.bounds {
            [low, high] if low.is_finite() && high.is_finite() => (low + high) / 2.0,
            _ if is_more => (self.ratio + self.step).min(MOST),
            _ => (self.ratio - self.step).max(-MOST),
        };
        next.step = 2.0 * self.step;
        ((next.ratio - self.ratio).abs() >= NEAR).then_some(next)
    }

    /// The objective. Each value is divided by what the optimisation for this unit alone gained over noise; a
    /// common factor, the geometric mean of both gains, keeps the scale.
    fn objective(self, [a, b]: [&Objective; 2], gains: [f64; 2]) -> Objective {
        let common = (gains[0] * gains[1]).sqrt();
        let factors = self.factors();
        let [of_a, of_b] = [0, 1].map(|i: usize| rounded(common / gains[i] * factors[i].abs()));
        let (a, b) = (of_a * a.clone(), of_b * b.clone());
        match self.of {
            Of::A => a - b,
            Of::B => b - a,
            Of::Both => a + b,
        }
    }
}

/// A positive number with two significant digits.
fn two_digits(factor: f64) -> f64 {
    let scale = 10f64.powi(1 - factor.log10().floor() as i32);
    (factor * scale).round() / scale
}

/// Renders A − B, B − A and A + B. Searches weights with which a sum excites both units, and a difference
/// only its first one; the nearest picture is kept. Returns nothing if one of the units gained nothing over
/// noise in its own picture.
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
    // For each kind of mixture, the best so far with its score.
    let mut best = [const { None }; 3];
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
            if best[at].as_ref().is_none_or(|(known, _, _): &((bool, f64), Mixture, Finished)| score > *known)
            {
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
    fn factors_are_searched_until_the_picture_does_what_it_is_for() {
        let [difference, other, sum] = Mixture::ALL;
        assert_eq!([difference.name(), other.name(), sum.name()], ["A − B", "B − A", "A + B"]);
        // A is not excited: B counts for less.
        let milder = difference.next([-0.5, -2.0]).unwrap();
        assert_eq!((milder.name().as_str(), milder.kind()), ("A − 0.71 B", "a-b"));
        assert_eq!(milder.next([0.4, 0.1]).unwrap().name(), "A − 0.35 B");
        // Now B is excited, too: the truth lies between.
        assert_eq!(milder.next([0.9, 0.48]).unwrap().name(), "A − 0.84 B");
        assert_eq!(difference.next([0.6, -2.0]), None);
        assert_eq!(difference.next([0.9, 0.6]).unwrap().name(), "A − 1.4 B");
        assert_eq!(other.next([-2.0, 0.1]).unwrap().name(), "B − 0.71 A");
        let less_of_a = sum.next([0.9, 0.1]).unwrap();
        assert_eq!(less_of_a.name(), "0.71 A + B");
        let least = less_of_a.next([0.9, 0.1]).unwrap();
        assert_eq!(least.name(), "0.35 A + B");
        assert_eq!(least.next([0.1, 0.9]).unwrap().name(), "0.5 A + B");
        assert_eq!(sum.next([0.1, 0.9]).unwrap().name(), "A + 0.71 B");
        assert_eq!(sum.next([0.6, 0.5]), None);
    }

    #[test]
    fn searches_end() {
        for shares in [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.4, 0.4]] {
            for mut mixture in Mixture::ALL {
                let mut tried = 1;
                while let Some(next) = mixture.next(shares) {
                    assert!((0.05..=20.0).contains(&next.factors()[0].abs()), "{}", next.name());
                    (mixture, tried) = (next, tried + 1);
                }
                assert!(tried <= ROUNDS, "{tried}");
            }
        }
    }

    #[test]
    fn a_picture_that_does_not_what_it_is_for_says_so() {
        let [difference, other, sum] = Mixture::ALL;
        assert_eq!(sum.missed([0.82, -0.06]), Some("no weights were found that excite both"));
        assert_eq!(sum.missed([0.52, 1.2]), None);
        assert_eq!(difference.missed([0.9, 0.48]), Some("no weight was found that excites A and not B"));
        assert_eq!(other.missed([0.1, 0.6]), None);
        // One that does goes before one that is better on one side.
        assert!(difference.score([0.6, 0.2]) > difference.score([1.0, 0.35]));
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
