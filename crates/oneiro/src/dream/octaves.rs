//! Changes from one octave to the next: start picture, network and tiles.

use rayon::prelude::*;

use crate::dream::accepted::accepted_size;
use crate::dream::network::{Network, PreparedGoal};
use crate::dream::planes::resize;
use crate::dream::tiles::Axis;
use crate::dream::{Dream, DreamPreset, OctaveStart};
use crate::error::Result;
use crate::model::Model;

impl Dream<'_> {
    /// Starts a dream on the start image at the size of the smallest octave.
    pub(super) fn begin(&mut self) -> Result<()> {
        (self.octave, self.step) = (0, 0);
        if let Some(base) = &mut self.base {
            base.fit(self.sizes[self.sizes.len() - 1], self.sizes[0]);
            self.x = base.now().to_vec();
        }
        self.refit()
    }

    /// Adapts network, tiles and mask to the size of the octave.
    pub(super) fn refit(&mut self) -> Result<()> {
        let size = self.size();
        if let Some(mask) = &mut self.mask {
            mask.fit(self.sizes[self.sizes.len() - 1], size);
            // The cubic filter overshoots beyond 0 and 1.
            mask.clamp(0.0, 1.0);
        }
        let current = Some(&self.network);
        let (network, axes) = fit(self.model, &self.preset, &self.prepared, size, current)?;
        if let Some(network) = network {
            self.network = network;
        }
        self.axes = axes;
        Ok(())
    }

    /// Starts the next octave if the current one is done. At the end of the dream, mixes it with the start
    /// image.
    pub(super) fn settle(&mut self) -> Result<()> {
        while self.step >= self.preset.steps && self.octave + 1 < self.sizes.len() {
            self.next_octave()?;
        }
        if self.finished()
            && self.preset.strength < 1.0
            && let Some(base) = &self.base
        {
            let share = self.preset.strength as f32;
            self.x.par_iter_mut().zip(&base.full).for_each(|(x, base)| *x = base + share * (*x - base));
        }
        Ok(())
    }

    fn next_octave(&mut self) -> Result<()> {
        let from = self.size();
        self.octave += 1;
        self.step = 0;
        let (to, last) = (self.size(), self.sizes[self.sizes.len() - 1]);
        let detail = self.preset.octave_start == OctaveStart::Detail;
        let mut x = std::mem::take(&mut self.x);
        self.gradient = Vec::new();
        match &mut self.base {
            Some(base) if detail => {
                x.par_iter_mut().zip(base.now()).for_each(|(x, base)| *x -= base);
                x = resize(&x, from, to);
                base.fit(last, to);
                x.par_iter_mut().zip(base.now()).for_each(|(x, base)| *x += base);
            }
            _ => x = resize(&x, from, to),
        }
        self.x = x;
        self.refit()?;
        // Where the mask protects the picture, the start image is restored, because enlarging has blurred it.
        if let (Some(base), Some(mask), false) = (&mut self.base, &self.mask, detail) {
            base.fit(last, to);
            let (mask, base) = (mask.now(), base.now());
            self.x.par_chunks_mut(mask.len()).zip(base.par_chunks(mask.len())).for_each(|(x, base)| {
                for ((x, base), m) in x.iter_mut().zip(base).zip(mask) {
                    *x = base + m * (*x - base);
                }
            });
        }
        Ok(())
    }
}

/// Returns the tiles for an octave. Also returns a network for them, unless `current` has the right size.
pub(super) fn fit(
    model: &Model,
    preset: &DreamPreset,
    prepared: &PreparedGoal,
    size: [usize; 2],
    current: Option<&Network>,
) -> Result<(Option<Network>, [Axis; 2])> {
    let axes = size.map(|n| Axis::free(n, preset.tile, preset.overlap));
    let free = [axes[0].tile, axes[1].tile];
    let fits = |tile: [usize; 2]| current.is_some_and(|network| network.size == tile);
    if fits(free) {
        return Ok((None, axes));
    }
    let tile = accepted_size(model, free, |tile| prepared.accepts(model, tile))?;
    let network = if fits(tile) { None } else { Some(Network::new(model, prepared, tile)?) };
    let fixed = |i: usize| Axis::fixed(size[i], tile[i], preset.overlap);
    Ok((network, if tile == free { axes } else { [fixed(0), fixed(1)] }))
}
