//! Gradients of units with respect to the picture, and how two units' gradients agree.

use oneiro::input::PictureInput;
use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro::similarity::cosine;
use oneiro_net::Rules;

use super::images::{Images, fitted};
use super::report::GradientAgreement;
use crate::error::Result;
use crate::job::Run;
use crate::job::render::Finished;
use crate::model::LoadedModel;
use crate::task::Task;

/// Pictures at which gradients are compared at most.
const PICTURES: usize = 32;

/// A unit's value as a function of the picture, with its gradient.
struct UnitGradient {
    session: ObjectiveSession,
    input: PictureInput,
}

impl UnitGradient {
    fn new(model: &LoadedModel, objective: &Objective) -> Result<Self> {
        let model = &model.model;
        let shapes = model.input_shapes(1, None)?;
        let input = PictureInput::only(model, &shapes)?;
        let session = ObjectiveSession::new(model, std::slice::from_ref(objective), &[], shapes, true)?;
        Ok(Self { session, input })
    }

    /// The gradient with respect to a display image.
    fn at(&mut self, picture: &[f32]) -> Result<Vec<f32>> {
        self.input.check(picture)?;
        let mut gradient = vec![0.0; picture.len()];
        self.input.feed(&mut self.session, 1, |_| picture);
        self.session.forward();
        self.session.seed(0, 1.0);
        self.session.backward(&Rules::default());
        self.input.gradient(&self.session, [0, 1], picture, &mut gradient);
        Ok(gradient)
    }
}

/// Compares the gradients of two units at pictures, and at each one's optimised picture.
///
/// # Errors
/// If the networks do not take single pictures.
pub(super) fn agreement(
    run: &Run<'_>,
    units: [(&LoadedModel, &Objective); 2],
    images: &Images<'_>,
    optimised: [&Finished; 2],
) -> Result<GradientAgreement> {
    let context = run.context;
    let [mut a, mut b] = {
        let compile = |(model, objective)| context.compute(|| UnitGradient::new(model, objective));
        [compile(units[0])?, compile(units[1])?]
    };
    let count = images.len().min(PICTURES);
    let mut progress = Task::new(context, "gradients", count as u64);
    let (mut cosines, mut sums, mut pictures) = (Vec::new(), [Vec::new(), Vec::new()], 0);
    for i in 0..count {
        context.check()?;
        let at = i * images.len() / count;
        progress.advance(1);
        let (Some(of_a), Some(of_b)) = (images.display(at, &a.input)?, images.display(at, &b.input)?) else {
            continue;
        };
        pictures += 1;
        let found = context.compute(|| Ok::<_, crate::Error>([a.at(&of_a)?, b.at(&of_b)?]))?;
        cosines.extend(cosine(&found[0], &found[1]));
        for (sum, gradient) in sums.iter_mut().zip(&found) {
            sum.resize(gradient.len(), 0.0f32);
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
    }
    drop(progress);
    let mut at_optimised = |finished: &Finished| -> Result<Option<f64>> {
        let Some(of_a) = display(finished, &a.input)? else { return Ok(None) };
        let Some(of_b) = display(finished, &b.input)? else { return Ok(None) };
        let found = context.compute(|| Ok::<_, crate::Error>([a.at(&of_a)?, b.at(&of_b)?]))?;
        Ok(cosine(&found[0], &found[1]))
    };
    let (on_a, on_b) = (at_optimised(optimised[0])?, at_optimised(optimised[1])?);
    let n = cosines.len() as f64;
    let mean = (!cosines.is_empty()).then(|| cosines.iter().sum::<f64>() / n);
    let spread = |mean: f64| (cosines.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n).sqrt();
    Ok(GradientAgreement {
        pictures,
        undefined: pictures - cosines.len(),
        mean,
        deviation: mean.map(spread),
        of_means: cosine(&sums[0], &sums[1]),
        on_a,
        on_b,
    })
}

/// An optimised picture as the display image of an input; `None` if the input takes other channels.
fn display(finished: &Finished, input: &PictureInput) -> Result<Option<Vec<f32>>> {
    let own = finished.rendered.images.iter().find(|picture| picture.colors().len() == input.extent.values());
    if let Some(picture) = own {
        return Ok(Some(picture.colors().to_vec()));
    }
    let picture = fitted(finished.picture.clone(), input.extent.size())?;
    let values = picture.colors().to_vec();
    Ok((values.len() == input.extent.values()).then_some(values))
}
