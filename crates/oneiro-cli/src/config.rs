//! The configuration file, which holds defaults for command-line flags.
//!
//! It has few settings on purpose. Those that change results (preset, size, steps) are printed on stderr and
//! recorded in every picture, so that `oneiro again` does not need the file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use oneiro::preset::Preset;
use serde::{Deserialize, Deserializer};

use oneiro_jobs::job::render::limits::MAX_STEPS;

use crate::args::size::parse_size;

/// The environment variable that names the configuration file; an empty value means no file.
const VARIABLE: &str = "ONEIRO_CONFIG";
/// Path of the configuration file inside the system's configuration folder.
const FILE: &str = "oneiro/config.toml";
/// The largest number of threads in the configuration, the same as for `--threads`.
const MAX_THREADS: u16 = 1024;

/// The content of the configuration file: defaults for flags.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Default for `--threads`.
    pub threads: Option<u16>,
    /// Default for `--quiet`.
    #[serde(default)]
    pub quiet: bool,
    /// Default for `--preset`.
    pub preset: Option<String>,
    /// Default for `--size`: a number or "HxW".
    #[serde(default, deserialize_with = "size")]
    pub size: Option<[usize; 2]>,
    /// Default for `--steps`.
    pub steps: Option<u32>,
    /// The folder in which pictures are saved if `--out` is not given.
    pub out: Option<PathBuf>,
    /// Path of the configuration file itself.
    #[serde(skip)]
    pub path: PathBuf,
}

/// Deserializes a size that is a number or a text, as `--size` accepts it.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[usize; 2]>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Number(u64),
        Text(String),
    }
    let text = match Size::deserialize(deserializer)? {
        Size::Number(n) => n.to_string(),
        Size::Text(text) => text,
    };
    parse_size(&text).map(Some).map_err(serde::de::Error::custom)
}

impl Config {
    /// Reads the configuration file that `--config` or the environment variable names, or else the one at the
    /// usual place, if there is one.
    pub fn find(flag: Option<&Path>) -> Result<Self> {
        let named = std::env::var_os(VARIABLE);
        match (flag, named) {
            (Some(path), _) => Self::read(path, "--config"),
            (None, Some(path)) if path.is_empty() => Ok(Self::default()),
            (None, Some(path)) => Self::read(Path::new(&path), VARIABLE),
            (None, None) => match usual_place() {
                Some(path) if path.exists() => Self::read(&path, "the configuration file"),
                _ => Ok(Self::default()),
            },
        }
    }

    /// Reads a configuration file. `named` says in error messages what named the file: the flag or the
    /// environment variable.
    fn read(path: &Path, named: &str) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("{named} {shown}: the file cannot be read; check the path, or go without by --no-config")
        })?;
        let mut config = Self::parse(&text)
            .with_context(|| format!("{named} {shown}: correct it, or go without by --no-config"))?;
        config.path = path.to_owned();
        // A folder is relative to the configuration file, not to the current folder.
        if let (Some(out), Some(folder)) = (&mut config.out, path.parent()) {
            *out = folder.join(&*out);
        }
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self> {
        let config: Self =
            toml::from_str(text).map_err(|e| anyhow::anyhow!("{}", e.to_string().trim_end()))?;
        if let Some(threads) = config.threads.filter(|n| !(1..=MAX_THREADS).contains(n)) {
            bail!("threads = {threads}: a number from 1 to {MAX_THREADS} is needed");
        }
        if let Some(steps) = config.steps.filter(|n| *n > MAX_STEPS) {
            bail!("steps = {steps}: at most {MAX_STEPS} are possible");
        }
        if let Some(name) = config.preset.as_deref().filter(|name| Preset::named(name).is_none()) {
            let known: Vec<String> = Preset::all().into_iter().map(|p| p.name).collect();
            bail!("preset = \"{name}\": there is no such preset; there are {}", known.join(", "));
        }
        Ok(config)
    }
}

/// Returns the configuration file's usual path on this operating system.
fn usual_place() -> Option<PathBuf> {
    let folder = |variable: &str| std::env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| {
        if cfg!(target_os = "windows") {
            folder("APPDATA")
        } else if cfg!(target_os = "macos") {
            Some(folder("HOME")?.join("Library/Application Support"))
        } else {
            Some(folder("HOME")?.join(".config"))
        }
    });
    base.map(|base| base.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let text = "threads = 2\nquiet = true\npreset = \"conveiro\"\nsize = \"160x120\"\nsteps = 64\nout = \"pictures\"";
        let config = Config::parse(text).unwrap();
        assert_eq!((config.threads, config.quiet, config.size), (Some(2), true, Some([160, 120])));
        assert_eq!((config.preset.as_deref(), config.steps), (Some("conveiro"), Some(64)));
        assert_eq!(config.out, Some("pictures".into()));
        assert_eq!(Config::parse("size = 96").unwrap().size, Some([96, 96]));
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn errors_say_what_there_is() {
        for (text, word) in [
            ("tread = 2", "`threads`, `quiet`, `preset`, `size`, `steps`, `out`"),
            ("threads = 0", "from 1 to 1024"),
            ("threads = \"all\"", "threads"),
            ("preset = \"best\"", "lucid, conveiro"),
            ("size = \"large\"", "\"large\""),
            ("steps = 9999999", "1000000"),
            ("quiet", "line 1"),
        ] {
            let error = format!("{:#}", Config::parse(text).unwrap_err());
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
