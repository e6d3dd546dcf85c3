//! Files with recipes: where `--preset` reads one, and where `--save-preset` writes one.

use std::path::Path;

use anyhow::{Result, bail};
use oneiro_jobs::again::Written;
use oneiro_jobs::files::check_writable;

/// Whether a preset is given as a file: a recipe in TOML, or a result whose recipe is to be taken.
pub fn is_file(name: impl AsRef<Path>) -> bool {
    is_toml(&name) || is_result(name)
}

/// Whether a preset is given as a file name that ends in `.toml`.
pub fn is_toml(name: impl AsRef<Path>) -> bool {
    name.as_ref().extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"))
}

/// Whether a preset is given as the name of a result, whose recipe is to be taken.
pub fn is_result(name: impl AsRef<Path>) -> bool {
    Written::of_name(name.as_ref()).is_some()
}

/// Checks that a recipe can be saved to the file of `--save-preset`.
pub fn check(path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    if !is_toml(path) {
        bail!("--save-preset {}: recipes are files whose names end in .toml", path.display());
    }
    Ok(check_writable(path)?)
}

/// Saves a recipe to the file of `--save-preset` and returns the file's name. `command` can use the recipe.
pub fn save(path: Option<&Path>, command: &str, recipe: &impl serde::Serialize) -> Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let name = path.display().to_string();
    let text = format!("# A recipe for {command}: --preset {name}\n{}", toml::to_string(recipe)?);
    oneiro_media::write_atomic(path, text.as_bytes())?;
    Ok(Some(name))
}
