//! Figures on pages: a rendered unit with its caption and values.

use oneiro_media::{Figure, Image, PngText, StillFormat};

use super::render::report::UnitReport;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::numbers::short;
use crate::provenance::{VERSION, kernels};

/// The text that explains the values on pages.
pub(crate) const ABOUT_VALUES: &str = "Each picture was found by optimisation: starting from noise, an image was changed step \
     by step so that one unit of the network answers as strongly as possible. Below it stands the unit's value for the picture, \
     and for the noise: the mean of its activations, or the score of its class before the softmax. Colours and contrast are the \
     optimiser's, not a photograph's.";

/// Returns a unit's figure for a page, still without its picture.
pub(crate) fn of_unit(caption: &str, unit: &UnitReport) -> Figure {
    let value = match unit.failure() {
        Some(failure) => failure.to_owned(),
        None => format!("value {}\nnoise {}", short(unit.value), short(unit.value_at_start)),
    };
    Figure {
        caption: format!("{caption}\n{value}"),
        detail: vec![
            ("unit".into(), unit.unit.clone()),
            ("objective".into(), unit.objective.clone()),
            ("value".into(), format!("{} (start {})", short(unit.value), short(unit.value_at_start))),
            ("preset".into(), unit.preset.clone()),
            ("steps".into(), format!("{} ({})", unit.steps, unit.stop)),
            ("seed".into(), unit.seed.to_string()),
        ],
        ..Figure::default()
    }
}

/// Returns the figure with its picture embedded in the page.
pub(crate) fn with_picture(figure: Figure, picture: &Image) -> Result<Figure> {
    Ok(Figure {
        width: picture.width,
        height: picture.height,
        inside: Some(oneiro_media::encode_png(picture, &PngText::default())?),
        ..figure
    })
}

/// Embeds a picture in a figure of a page, as JPEG if this build can write JPEG.
pub(crate) fn with_jpeg(figure: Figure, picture: &Image) -> Result<Figure> {
    let figure = with_picture(figure, picture)?;
    let inside = figure.inside.map(|png| StillFormat::Jpeg.transcode(&png).unwrap_or(png));
    Ok(Figure { inside, ..figure })
}

/// Returns the footer of a page: program version, preset, kernels and the model's hash.
pub(crate) fn footer(model: &LoadedModel, preset: &str) -> String {
    format!("oneiro {}, preset {preset}, {} kernels, model SHA-256 {}", VERSION, kernels(), &model.hash[..16])
}
