//! Values of a rendering's pictures without transforms.

use oneiro_image::Extent;

use super::Render;
use super::image_state::ImageState;
use crate::error::{Error, Result};
use crate::parallel;

impl Render {
    /// Sets the extent of the pictures that penalties read: with the margin in steps, without it in
    /// evaluations.
    fn let_penalties_read(&mut self, extent: impl Fn(&ImageState) -> Extent) {
        for state in self.entries.iter().take(1).flat_map(|entry| &entry.states) {
            self.session.shown().reshape(state.input.index, extent(state), self.preset.alpha);
        }
    }

    /// Computes the objectives without transforms, for the pictures of [`Render::pictures`] or for given
    /// ones. `pictures[entry][k]` is the k-th picture of an entry: planar RGB or bands in 0–1, without
    /// margin. Opacity is the last plane. A picture without opacity counts as composed over grey already;
    /// penalties then read the picture's own opacity.
    ///
    /// # Errors
    /// If a picture is missing or has another size.
    pub fn evaluate(&mut self, pictures: Option<&[Vec<Vec<f32>>]>) -> Result<Vec<f64>> {
        self.threads.clone().run(|| self.evaluate_here(pictures))
    }

    fn evaluate_here(&mut self, pictures: Option<&[Vec<Vec<f32>>]>) -> Result<Vec<f64>> {
        if let Some(pictures) = pictures {
            self.check_pictures(pictures)?;
        }
        parallel::each_or_within(self.entries.iter_mut(), |e, entry| {
            entry.evaluate(pictures.map(|pictures| pictures[e].as_slice()));
        });
        self.let_penalties_read(ImageState::result_extent);
        self.session.shown().check()?;
        self.feed(0, ImageState::evaluated);
        self.session.forward();
        let values = (0..self.entries.len()).map(|e| self.session.value(e * self.views_at_once)).collect();
        self.let_penalties_read(|state| state.extent);
        Ok(values)
    }

    fn check_pictures(&self, pictures: &[Vec<Vec<f32>>]) -> Result<()> {
        let counts = |what: &str, values: usize, needed: usize| match values == needed {
            true => Ok(()),
            false => Err(Error::Values { what: what.to_owned(), values, needed: needed.to_string() }),
        };
        counts("the list of pictures by objective", pictures.len(), self.entries.len())?;
        for (entry, pictures) in self.entries.iter().zip(pictures) {
            counts("the pictures of an objective", pictures.len(), entry.states.len())?;
            entry.states.iter().zip(pictures).try_for_each(|(state, picture)| state.check(picture))?;
        }
        Ok(())
    }
}
