//! What is read back of a picture, so that it can be made again.

use anyhow::{Context as _, Result, anyhow, bail};
use oneiro::card::Card;
use oneiro_media::PngText;
use serde::{Deserialize, Serialize};

use super::{INTERPOLATION, Layout, StoredSetting, UnitReport, is_first, required};
use crate::job::render::display::Display;
use crate::job::render::{Job, Setting};
use crate::source::references::SourceFile;

/// What it takes to make one unit again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRecord {
    pub unit: String,
    pub objective: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    #[serde(default, skip_serializing_if = "is_first")]
    pub copy: usize,
    #[serde(default, skip_serializing_if = "is_first")]
    pub setting: usize,
}

impl UnitRecord {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            unit: job.unit.clone(),
            objective: job.objective.to_string(),
            start: job.start.as_ref().map(|s| s.name.clone()),
            copy: job.copy,
            // A picture that is no sheet holds one setting.
            setting: 0,
        }
    }
}

/// What a picture shows, as its text says.
#[derive(Debug, Clone)]
pub enum Shown {
    Picture,
    Film,
    Sheet(Layout),
    /// A film of what a sheet shows side by side.
    Interpolation(Layout),
}

/// What a picture was made with.
#[derive(Debug, Clone)]
pub struct Origin {
    pub version: String,
    pub kernels: String,
    pub model: String,
    pub hash: String,
    pub card: Card,
}

impl Origin {
    /// Reads what a picture says of its program and model.
    pub fn read(text: &PngText) -> Result<Self> {
        let get = |key: &str| required(text, key);
        Ok(Self {
            version: get("version")?,
            kernels: get("kernels")?,
            model: get("model")?,
            hash: get("model-sha256")?,
            card: Card::parse(&get("preparation")?).context("how its inputs were prepared cannot be read")?,
        })
    }
}

/// All that it takes to make a picture again, beside its [`Origin`].
#[derive(Debug, Clone)]
pub struct Record {
    pub settings: Vec<Setting>,
    pub units: Vec<UnitRecord>,
    /// Which of the units is shown, where a single picture had companions.
    pub place: usize,
    /// The files that it was made from.
    pub sources: Vec<SourceFile>,
    pub mask: Option<String>,
    pub statistics: Option<String>,
    /// Whether it says what of the units' values survives disturbances.
    pub robustness: bool,
    /// How its pictures are shown.
    pub display: Display,
    pub shown: Shown,
}

impl Record {
    /// Reads what a picture carries.
    pub fn read(text: &PngText) -> Result<Self> {
        let get = |key: &str| required(text, key);
        let (units, robustness, shown) = match text.get("layout") {
            Some(layout) => {
                let layout: Layout = serde_json::from_str(layout).context("its layout cannot be read")?;
                let units: Vec<UnitReport> =
                    serde_json::from_str(&get("units")?).context("its list of units cannot be read")?;
                if layout.rows.iter().map(|r| r.captions.len()).sum::<usize>() != units.len() {
                    bail!("its layout is not one of {} units", units.len());
                }
                let robustness = units.iter().any(|u| u.robustness.is_some());
                let record = |u: UnitReport| UnitRecord {
                    unit: u.unit,
                    objective: u.objective,
                    start: u.start,
                    copy: u.copy,
                    setting: u.setting,
                };
                let units = units.into_iter().map(record).collect();
                let is_film = text.get(INTERPOLATION).is_some();
                let shown = if is_film { Shown::Interpolation(layout) } else { Shown::Sheet(layout) };
                (units, robustness, shown)
            }
            None => {
                let shown = if text.get("film").is_some() { Shown::Film } else { Shown::Picture };
                let units = match text.get("batch") {
                    Some(batch) => serde_json::from_str(batch).context("its batch cannot be read")?,
                    None => {
                        let copy = text.get("copy").map_or(Ok(0), str::parse);
                        vec![UnitRecord {
                            unit: get("unit")?,
                            objective: get("objective")?,
                            start: text.get("start").map(str::to_owned),
                            copy: copy.context("its copy cannot be read")?,
                            setting: 0,
                        }]
                    }
                };
                (units, false, shown)
            }
        };
        let settings = match text.get("all-settings") {
            None => {
                let seed = get("seed")?.parse().context("its seed cannot be read")?;
                vec![StoredSetting { settings: get("settings")?, seed }]
            }
            Some(all) => serde_json::from_str(all).context("its settings cannot be read")?,
        };
        let settings = settings.iter().map(StoredSetting::read).collect::<Result<Vec<_>>>()?;
        if units.iter().any(|u| u.setting >= settings.len()) {
            bail!("a unit of it has settings that it does not hold");
        }
        let sources = match text.get("sources") {
            None => Vec::new(),
            Some(list) => {
                serde_json::from_str(list).context("the files that it was made from cannot be read")?
            }
        };
        Ok(Self {
            settings,
            place: text.get("place").map_or(Ok(0), str::parse).context("its place cannot be read")?,
            units,
            sources,
            mask: text.get("mask").map(str::to_owned),
            statistics: text.get("statistics").map(str::to_owned),
            robustness,
            display: text
                .get("display")
                .map_or(Ok(Display::default()), str::parse)
                .map_err(|e| anyhow!("how it is shown cannot be read: {e}"))?,
            shown,
        })
    }
}
