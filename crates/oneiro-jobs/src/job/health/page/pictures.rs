//! Pictures of units on the page, and whether they may be believed.

use oneiro_media::Image;

use super::RECIPE;
use crate::error::Result;
use crate::job::belief::{Belief, Pictured, belief_of};
use crate::job::error::JobError;
use crate::job::render::{RenderJob, Setting};
use crate::job::tiles::crossed_out;
use crate::job::{Job as _, Kept, Place, Run};
use crate::store::ScanFile;
use crate::store::read::{LayerRecord, UnitRecord};

/// A picture that was made for a unit.
pub(super) struct Made {
    /// As it was optimised.
    pub picture: Image,
    /// Whether nothing excited the unit.
    pub has_failed: bool,
}

impl Made {
    /// The picture as a square of this side, crossed out if nothing excited the unit.
    ///
    /// # Errors
    /// If the picture has no pixels.
    pub(super) fn tile(&self, side: usize) -> Result<Image> {
        let mut picture = self.picture.clone();
        if self.has_failed {
            crossed_out(&mut picture);
        }
        Ok(oneiro_media::resize(&picture, side, side, oneiro_media::Filter::Triangle)?)
    }
}

/// Makes pictures of units; none for networks of clips and flow.
///
/// # Errors
/// If a unit cannot be rendered.
pub(super) fn made(run: &Run<'_>, units: &[String]) -> Result<Vec<Option<Made>>> {
    if units.is_empty() || run.model()?.takes_clips() {
        return Ok(units.iter().map(|_| None).collect());
    }
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    let mut kept = Kept::all();
    let report = RenderJob::new(&units, Setting::named(RECIPE, 0)?).run(run, &mut kept)?;
    let mut pictures = Vec::new();
    for (i, unit) in report.units.iter().enumerate() {
        let bytes = kept.take(Place::picture(i)).ok_or(JobError::NotMade { what: "a picture" })?;
        let picture = oneiro_media::decode_image(&bytes, &unit.unit)?;
        pictures.push(Some(Made { picture, has_failed: unit.failure().is_some() }));
    }
    Ok(pictures)
}

/// What a scan knows of a unit, with its layer.
pub(super) type Known<'a> = (UnitRecord, &'a LayerRecord);

/// For each unit that the scan knows, lines on whether its picture may be believed. Units without a picture
/// have none.
///
/// # Errors
/// If the scan or its images cannot be read.
pub(super) fn beliefs(
    run: &Run<'_>,
    scan: Option<&ScanFile>,
    units: &[(Option<Known<'_>>, Option<&Made>)],
) -> Result<Vec<Vec<String>>> {
    let mut lines = vec![Vec::new(); units.len()];
    let Some(scan) = scan.filter(|_| units.iter().any(|(_, made)| made.is_some())) else { return Ok(lines) };
    let (mut pictured, mut of) = (Vec::new(), Vec::new());
    for (i, unit) in units.iter().enumerate() {
        if let (Some((unit, layer)), Some(made)) = unit
            && !made.has_failed
        {
            pictured.push(Pictured { unit, layer, picture: Some(made.picture.clone()) });
            of.push(i);
        }
    }
    for (i, belief) in of.into_iter().zip(belief_of(run, scan, &pictured)?) {
        lines[i] = Belief::lines(&belief);
    }
    Ok(lines)
}
