//! Finished units as stored parts of a job, so that an interrupted job can resume.

use oneiro::card::InputKind;
use oneiro::objective::Objective;
use oneiro::render::{Picture, Rendered, Stop};
use oneiro_image::{Extent, Image};
use serde::{Deserialize, Serialize};

use super::report::UnitReport;
use super::saved::{SavedImage, saved};
use super::{Finished, PreparedUnits};
use crate::error::Result;
use crate::job::error::JobError;
use crate::job::parts::{Part, Stored};
use crate::job::render::work::UnitRequest;
use crate::provenance::{VERSION, kernels};
use crate::source::places;

/// Bytes of the number that holds the header's length.
const LENGTH: usize = size_of::<u64>();

/// A finished unit, without data that can be computed from the rest.
pub(super) struct StoredUnit {
    pub report: UnitReport,
    pub images: Vec<Picture>,
    /// The film of the optimisation as bytes, if one was requested.
    pub film: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    report: UnitReport,
    images: Vec<StoredPicture>,
}

#[derive(Serialize, Deserialize)]
struct StoredPicture {
    input: String,
    channels: usize,
    frames: usize,
    height: usize,
    width: usize,
    has_alpha: bool,
    shown: [usize; 3],
    #[serde(default)]
    kind: InputKind,
}

impl Stored for StoredUnit {
    fn to_bytes(&self) -> Result<Vec<u8>> {
        if self.film.is_some() {
            return Err(JobError::FilmInParts.into());
        }
        let images = self.images.iter().map(|p| StoredPicture {
            input: p.input.clone(),
            channels: p.image.channels,
            frames: p.image.frames,
            height: p.image.height,
            width: p.image.width,
            has_alpha: p.image.has_alpha,
            shown: p.shown,
            kind: p.kind,
        });
        let header = Header { report: self.report.clone(), images: images.collect() };
        let header = serde_json::to_vec(&header)?;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(&header);
        for picture in &self.images {
            bytes.extend(picture.image.data.iter().flat_map(|x| x.to_le_bytes()));
        }
        Ok(bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (length, rest) = bytes.split_first_chunk::<LENGTH>().ok_or(JobError::CutOff)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| JobError::CutOff)?;
        let (header, mut rest) = rest.split_at_checked(length).ok_or(JobError::CutOff)?;
        let Header { report, images } = serde_json::from_slice(header)?;
        let mut pictures = Vec::with_capacity(images.len());
        for StoredPicture { input, channels, frames, height, width, has_alpha, shown, kind } in images {
            let extent = Extent { channels, frames, height, width };
            let opacity = if has_alpha { frames * extent.plane() } else { 0 };
            let size = (extent.values() + opacity) * size_of::<f32>();
            let (own, others) = rest.split_at_checked(size).ok_or(JobError::CutOff)?;
            let data = own.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            let image = if has_alpha { Image::transparent(extent, data)? } else { Image::new(extent, data)? };
            pictures.push(Picture { input, kind, image, shown });
            rest = others;
        }
        Ok(Self { report, images: pictures, film: None })
    }
}

impl StoredUnit {
    /// Returns the finished unit. `objective` is the unit's objective.
    pub(super) fn finished(self, objective: &Objective) -> Result<Finished> {
        let Self { report, images, film } = self;
        let stops = [Stop::Steps, Stop::Converged, Stop::Asked];
        let rendered = Rendered {
            objective: objective.clone(),
            value: report.value,
            value_at_start: report.value_at_start,
            shares: report.shares.iter().map(|(_, shares)| *shares).collect(),
            steps: report.steps,
            stop: stops.into_iter().find(|s| s.describe() == report.stop).unwrap_or(Stop::Steps),
            images,
        };
        let SavedImage { data: levels, alpha, .. } = SavedImage::of(&rendered.images)?;
        let picture = saved(&rendered.images)?;
        Ok(Finished { rendered, report, picture, levels, alpha, film })
    }
}

/// Returns a part for each unit. Its key is the hash of the program, the network and its preprocessing, the
/// unit, the preset and the content of all files. The units on which the picture depends are included.
pub(super) fn parts(work: &PreparedUnits<'_>, robustness: bool) -> Result<Vec<Part>> {
    let card = work.model.recorded_card().to_toml()?;
    let mut parts = Vec::with_capacity(work.units.len());
    for (i, unit) in work.units.iter().enumerate() {
        let members = work.companions(i);
        let companions: Vec<_> = members.iter().map(|&i| &work.units[i]).collect();
        let requests: Vec<UnitRequest> = companions.iter().map(|u| UnitRequest::of(u)).collect();
        let names = super::text::source_names(work, &companions);
        let key = serde_json::json!({
            "version": VERSION,
            "kernels": kernels(),
            "model": work.model.hash,
            "card": card,
            "units": requests,
            "place": members.iter().position(|&member| member == i),
            "setting": work.settings[unit.setting],
            "mask": work.mask(),
            "statistics": work.statistics_path,
            "sources": places::hashed(&names, &work.model.places)?,
            "robustness": robustness,
        });
        parts.push(Part::new(&unit.unit, &[&serde_json::to_string(&key)?]));
    }
    Ok(parts)
}
