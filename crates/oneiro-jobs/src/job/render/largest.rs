//! The largest value of an objective over pictures.

use oneiro::input::PictureInput;
use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;

use crate::context::Context;
use crate::error::Result;
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::source::references::Files;
use crate::task::Task;

/// Returns the largest value of an objective over pictures, with which a unit's optimised picture can be
/// compared.
pub fn largest_value(
    context: &Context,
    model: &LoadedModel,
    objective: &Objective,
    size: Option<[usize; 2]>,
    pictures: &[String],
) -> Result<f64> {
    let files = Files::new(model, size)?;
    let shapes = model.model.input_shapes(1, size)?;
    let mut session = context.compute(|| {
        ObjectiveSession::new(&model.model, std::slice::from_ref(objective), &[], shapes, false)
    })?;
    let images = PictureInput::used(&model.model, session.inputs())?;
    let [input] = &images[..] else {
        return Err(JobError::NotOnePicture { inputs: images.len() }.into());
    };
    let mut progress = Task::new(context, "largest activation", pictures.len() as u64);
    let mut largest = f64::NEG_INFINITY;
    for path in pictures {
        context.check()?;
        let picture = files.reference(path)?;
        input.check_picture(path, &picture.image)?;
        input.feed(&mut session, 1, |_| picture.image.colors());
        context.compute(|| session.show_inputs().map(|()| session.forward()))?;
        largest = largest.max(session.value(0));
        progress.advance(1);
    }
    Ok(largest)
}
