//! Settings that are refused whatever the network is.

use anyhow::{Result, bail};
use oneiro::preset::Preset;

/// The largest side of a picture: beyond it, memory runs out before anything is seen.
pub const MAX_SIDE: usize = 8192;
/// More steps than anybody waits for.
pub const MAX_STEPS: u32 = 1_000_000;

/// An error unless flags could have made this preset: for settings that come from a file.
pub fn check_preset(preset: &Preset) -> Result<()> {
    let settling = preset.settle.map_or(0, |settle| settle.steps);
    if preset.steps.saturating_add(settling) > MAX_STEPS as usize {
        bail!("{} steps are more than {MAX_STEPS}", preset.steps);
    }
    for size in [preset.size, preset.picture].into_iter().flatten() {
        if let Some(n) = size.iter().find(|n| !(1..=MAX_SIDE).contains(n)) {
            bail!("the size {n} is not from 1 to {MAX_SIDE}");
        }
    }
    Ok(preset.check()?)
}
