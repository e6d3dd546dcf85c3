//! One setting of a preset, changed by `--set KEY=VALUE`.

use anyhow::{Result, anyhow, bail};
use oneiro::preset::{PARAMS, ParamSpec, Preset};

/// Returns a preset with one setting changed by `KEY=VALUE`; the key is a path such as `param.fourier.decay`.
pub fn with_setting(preset: &Preset, assignment: &str) -> Result<Preset> {
    let (key, value) = assignment
        .split_once('=')
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .ok_or_else(|| anyhow!("--set {assignment}: write it as KEY=VALUE"))?;
    let path: Vec<&str> = key.split('.').map(str::trim).collect();
    let mut value = parsed(value);
    check_kind(preset, assignment, &path)?;
    if let (["param"], Some(kind)) = (&path[..], value.as_str()) {
        bail!("--set {assignment}: a parametrization is chosen by --param {kind}");
    }
    if let (["inputs", _, "param"], Some(kind)) = (&path[..], value.as_str()) {
        let spec = ParamSpec::named(kind).ok_or_else(|| {
            anyhow!("--set {assignment}: there is no parametrization {kind}; there are {}", PARAMS.join(", "))
        })?;
        value = toml::Value::try_from(spec)?;
    }
    let (last, tables) =
        path.split_last().ok_or_else(|| anyhow!("--set {assignment}: the key is missing"))?;
    let mut root = toml::Table::try_from(preset)?;
    let mut table = &mut root;
    for name in tables {
        let inner = table.entry((*name).to_owned()).or_insert_with(|| toml::Table::new().into());
        table = inner
            .as_table_mut()
            .ok_or_else(|| anyhow!("--set {assignment}: {name} has no settings of its own"))?;
    }
    table.insert((*last).to_owned(), value);
    root.try_into().map_err(|e: toml::de::Error| anyhow!("--set {assignment}: {}", e.message()))
}

/// Returns the value of an assignment. What TOML does not parse as number, list or boolean is a string.
fn parsed(value: &str) -> toml::Value {
    let table: Option<toml::Table> = toml::from_str(&format!("value = {value}")).ok();
    table.and_then(|mut table| table.remove("value")).unwrap_or_else(|| toml::Value::String(value.to_owned()))
}

/// Checks that a path into a parametrization names the one that the recipe uses.
fn check_kind(preset: &Preset, assignment: &str, path: &[&str]) -> Result<()> {
    let (used, inside) = match path {
        ["param", inside @ ..] => (&preset.param, inside),
        ["inputs", input, "param", inside @ ..] => {
            let own = preset.inputs.get(*input).and_then(|settings| settings.param.as_ref());
            (own.unwrap_or(&preset.param), inside)
        }
        _ => return Ok(()),
    };
    let (used, at) = (used.name(), path.len() - inside.len());
    match inside {
        [] => Ok(()),
        [kind, ..] if *kind == used => Ok(()),
        [kind, ..] if PARAMS.contains(kind) => {
            let choose = match path {
                ["param", ..] => format!("choose --param {kind} as well"),
                _ => format!("put --set {}={kind} in front", path[..at].join(".")),
            };
            bail!("--set {assignment}: the recipe's parametrization is {used}; {choose}")
        }
        _ => bail!(
            "--set {assignment}: the recipe's parametrization is {used}; write {}.{used}.{}",
            path[..at].join("."),
            inside.join(".")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parametrization_is_chosen_by_its_name_and_its_settings_by_their_path() {
        let video = Preset::video();
        let moved = with_setting(&video, "inputs.clip.param.moved.decay=0.5").unwrap();
        assert_ne!(moved.inputs["clip"].param, video.inputs["clip"].param);
        let pixel = with_setting(&video, "inputs.clip.param=pixel").unwrap();
        assert_eq!(pixel.inputs["clip"].param.as_ref().map(ParamSpec::name), Some("pixel"));
    }

    #[test]
    fn an_error_says_how_to_write_the_path() {
        let video = Preset::video();
        let said = |assignment| with_setting(&video, assignment).unwrap_err().to_string();
        assert!(said("inputs.clip.param.decay=0.5").contains("write inputs.clip.param.moved.decay"));
        assert!(
            said("inputs.clip.param.pixel.init_std=1").contains("put --set inputs.clip.param=pixel in front")
        );
        assert!(
            said("inputs.clip.param=photo").contains("there is no parametrization photo; there are fourier")
        );
        assert!(said("param.decay=0.5").contains("write param.fourier.decay"));
        assert!(said("param.cppn.depth=2").contains("choose --param cppn as well"));
        assert!(said("param=cppn").contains("--param cppn"));
    }
}
