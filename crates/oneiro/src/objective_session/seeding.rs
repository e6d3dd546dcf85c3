//! Gradients that the caller computes, for objectives that the expression language does not have.

use oneiro_net::Session;

use crate::error::{Error, Result};
use crate::objective_session::ObjectiveSession;

impl ObjectiveSession {
    /// Returns the data of a captured value, and its gradient. Both have the shape of
    /// [`ObjectiveSession::captured`], the batch first. The gradient is zero after
    /// [`ObjectiveSession::forward`], and the caller adds to it. Then [`ObjectiveSession::backward`] carries
    /// it to the inputs, together with the gradients that [`ObjectiveSession::seed`] adds for objectives.
    ///
    /// Captured values have the graph's layout: channels are last if the network has them last.
    ///
    /// ```no_run
    /// # fn seed(model: &oneiro::Model, image: &[f32]) -> oneiro::Result<Vec<f32>> {
    /// use oneiro::objective_session::ObjectiveSession;
    ///
    /// let layer = model.resolve("fire4")?;
    /// let mut session = ObjectiveSession::new(model, &[], &[layer], model.input_shapes(1, None)?, true)?;
    /// session.input_mut(0).copy_from_slice(image);
    /// session.forward();
    /// // The gradient of the sum of all activations' fourth powers.
    /// let (activations, gradient) = session.seed_captured(0)?;
    /// gradient.iter_mut().zip(activations).for_each(|(g, a)| *g += 4.0 * a.powi(3));
    /// session.backward(&Default::default());
    /// Ok(session.input_gradient(0).to_vec())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If no value was captured with this index, the session was compiled without gradients, or the value
    /// depends on no input.
    pub fn seed_captured(&mut self, index: usize) -> Result<(&[f32], &mut [f32])> {
        if index >= self.captured {
            return Err(Error::Settings(format!(
                "there is no captured value {index}: {} were captured, counted from 0",
                self.captured
            )));
        }
        let target = &self.plan().targets[index];
        if !target.has_seed() {
            return Err(Error::Settings(format!(
                "no gradient runs back from \"{}\": the session was made without gradients, or no input leads there",
                target.name
            )));
        }
        Ok(self.session.seed(index))
    }
}
