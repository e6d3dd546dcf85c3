//! Limits of settings that do not depend on the network.

use oneiro::preset::Preset;

use crate::error::Result;
use crate::job::error::{JobError, Setting};

/// Maximum side of a picture. Larger pictures would exceed memory.
pub const MAX_SIDE: usize = 8192;
/// Most optimisation steps that a job may request.
pub const MAX_STEPS: u32 = 1_000_000;

/// Returns an error unless command-line flags could give this preset. Used for settings that come from a
/// file.
pub fn check_preset(preset: &Preset) -> Result<()> {
    let steps = preset.steps.saturating_add(preset.settle.map_or(0, |settle| settle.steps));
    if steps > MAX_STEPS as usize {
        let needed = format!("a number of at most {MAX_STEPS}");
        return Err(JobError::Setting { setting: Setting::Steps, value: steps, needed }.into());
    }
    for size in [preset.size, preset.picture].into_iter().flatten() {
        if let Some(&value) = size.iter().find(|n| !(1..=MAX_SIDE).contains(n)) {
            let needed = format!("a number from 1 to {MAX_SIDE}");
            return Err(JobError::Setting { setting: Setting::Side, value, needed }.into());
        }
    }
    Ok(preset.check()?)
}
