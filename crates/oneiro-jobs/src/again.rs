//! Makes a result again from its metadata.

mod kinds;
mod legacy;

use std::path::{Path, PathBuf};

use oneiro_media::{Image, PngText, StillFormat};
use serde_json::Value;

use crate::context::Context;
use crate::error::{During as _, Result, Step};
use crate::job::render::film::Format;
use crate::job::{AnyJob, Place, Role, Run};
use crate::model::{LoadedModel, ModelSpec, fed_from, load_for_shapes};
use crate::provenance::{self, JOB, Network, Origin, ProvenanceError, SCHEMA, Sealed, VERSION, kernels};
use crate::remark::Remark;
use crate::source::places::{Places, SourceFile};

pub use kinds::Kinds;

/// How a result was made, read back.
struct Provenance {
    /// The job.
    job: Box<dyn AnyJob>,
    /// The role and index of the result among the job's results.
    output: Place,
    /// Files that the job is made from, with their hashes.
    sources: Vec<SourceFile>,
    /// Whether it is a file of version 0.1.0, whose job was read out of other entries.
    legacy: bool,
}

impl Provenance {
    /// Reads a result's metadata. `format`: the format of its file, if it is a film.
    ///
    /// # Errors
    /// If it does not say enough, or says what this version does not know.
    fn read(text: &PngText, kinds: &Kinds, format: Format) -> Result<Self> {
        let Some(json) = text.get(JOB) else { return legacy::read(text, format) };
        let sealed: Sealed<Value> = provenance::json("its job", json)?;
        if sealed.schema > SCHEMA {
            return Err(ProvenanceError::NewerSchema { schema: sealed.schema, known: SCHEMA }.into());
        }
        let job = kinds.read(&sealed.kind, sealed.job)?;
        Ok(Self { job, output: sealed.output, sources: sealed.sources, legacy: false })
    }
}

/// Format of a file that says how it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Written {
    /// A picture; a film in PNG is one.
    Still(StillFormat),
    /// A film as GIF.
    Gif,
    /// A page of pictures.
    Page,
}

impl Written {
    /// The format that a file's name says, if any.
    pub fn of_name(path: &Path) -> Option<Self> {
        let is_page = |e: &std::ffi::OsStr| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm");
        match Format::of_name(path) {
            Some(Format::Gif) => Some(Self::Gif),
            Some(Format::Apng) => Some(Self::Still(StillFormat::Png)),
            None if path.extension().is_some_and(is_page) => Some(Self::Page),
            None => StillFormat::of_name(path).map(Self::Still),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Still(format) => format.name(),
            Self::Gif => "GIF",
            Self::Page => "page",
        }
    }
}

/// A result's file with its metadata.
pub struct Original {
    /// Where it is.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// What it says.
    pub text: PngText,
}

impl Original {
    /// Reads a picture or film that oneiro wrote.
    ///
    /// # Errors
    /// If the file is cut off or says nothing.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = oneiro_media::read_bytes(path)?;
        let text = oneiro_media::decode_text(&bytes, path)?;
        if text.0.is_empty() {
            return Err(ProvenanceError::Nothing { path: path.to_owned() }.into());
        }
        let original = Self { path: path.to_owned(), bytes, text };
        // The text stands before the pixels: only decoding them tells whether the file is whole.
        if original.format() != Written::Page {
            oneiro_media::decode_image(&original.bytes, path)?;
        }
        Ok(original)
    }

    /// Its format.
    pub fn format(&self) -> Written {
        match StillFormat::of_bytes(&self.bytes) {
            Some(format) => Written::Still(format),
            None if Format::of_bytes(&self.bytes) == Format::Gif => Written::Gif,
            None => Written::Page,
        }
    }
}

/// A result to be made again, its job, network and files found.
pub struct Again {
    original: Original,
    provenance: Provenance,
    /// The network, where the job has one.
    pub model: Option<LoadedModel>,
    places: Places,
}

/// What was made.
pub struct Remade {
    /// Its content.
    pub bytes: Vec<u8>,
    /// The difference from the original.
    pub difference: Difference,
}

impl Again {
    /// Finds what a result was made from. `model`: where its model is now, if not where it was; `images`:
    /// files that it was made from, recognised by their content; `any_model`: whether another model will do.
    ///
    /// # Errors
    /// If the result does not say enough, or a file that it was made from is not found.
    pub fn find(
        context: &Context,
        original: Original,
        kinds: &Kinds,
        model: Option<&str>,
        images: &[PathBuf],
        any_model: bool,
    ) -> Result<Self> {
        let reading = || Step::Remake { path: original.path.display().to_string() };
        let origin = Origin::read(&original.text).during(reading)?;
        if origin.version != VERSION || origin.kernels != kernels() {
            context.remark(Remark::OtherProgram {
                made_by: [origin.version.clone(), origin.kernels.clone()],
                this: [VERSION, kernels()].map(str::to_owned),
            });
        }
        let format = Format::of_bytes(&original.bytes);
        let provenance = Provenance::read(&original.text, kinds, format).during(reading)?;
        let places = Places::find(&provenance.sources, &original.path, images)?;
        let model = match &origin.network {
            None => None,
            Some(network) => {
                let mut model = load(context, &original.path, network, model, images, any_model)?;
                model.places = places.clone();
                Some(model)
            }
        };
        Ok(Self { original, provenance, model, places })
    }

    /// Whether it is a film.
    pub fn is_film(&self) -> bool {
        self.provenance.output.role == Role::Film
    }

    /// The files that it is made from, where they are now.
    pub fn sources(&self) -> Vec<PathBuf> {
        let sources = self.provenance.sources.iter();
        sources.map(|file| self.places.of(&file.path).to_owned()).collect()
    }

    /// Makes it.
    ///
    /// # Errors
    /// As the job's own.
    pub fn run(&self, context: &Context) -> Result<Remade> {
        let run = match &self.model {
            Some(model) => Run::new(model, context),
            None => Run::without_model(context).with_places(&self.places),
        };
        let run = run.with_legacy(self.provenance.legacy);
        let bytes = self.provenance.job.remake(&run, self.provenance.output)?;
        let written = self.original.format();
        let bytes = match written {
            Written::Still(format) if format != StillFormat::Png => format.transcode(&bytes)?,
            _ => bytes,
        };
        let difference = match written {
            Written::Page if self.original.bytes != bytes => Difference::Page,
            Written::Page => Difference::None,
            _ => Difference::between(&self.original.bytes, &bytes, &self.original.path)?,
        };
        Ok(Remade { bytes, difference })
    }
}

/// The result's model, prepared as then: where it was, beside the result, or at `elsewhere`.
fn load(
    context: &Context,
    picture: &Path,
    network: &Network,
    elsewhere: Option<&str>,
    images: &[PathBuf],
    any_model: bool,
) -> Result<LoadedModel> {
    let source = match elsewhere {
        Some(path) => path.to_owned(),
        None => {
            let beside = picture.parent().map(|folder| folder.join(&network.model));
            match beside {
                Some(path) if !Path::new(&network.model).exists() && path.is_file() => {
                    path.to_string_lossy().into_owned()
                }
                _ => network.model.clone(),
            }
        }
    };
    let spec = ModelSpec {
        model: source.clone(),
        places: Places::find(&fed_from(&network.card), picture, images)?,
        prepared: Some(network.card.clone()),
        ..ModelSpec::default()
    };
    let loaded = load_for_shapes(context, &spec);
    let mut model = match elsewhere {
        None => loaded.during(|| Step::Original { model: network.model.clone() })?,
        Some(_) => loaded?,
    };
    if model.hash == network.hash {
        // The picture does not depend on the model's present file name.
        model.source.clone_from(&network.model);
    } else if any_model {
        let (original, sha256) = (network.model.clone(), network.hash.clone());
        context.remark(Remark::OtherModel { model: source, original, sha256 });
    } else {
        let (sha256, original) = (model.hash, network.hash.clone());
        return Err(ProvenanceError::OtherModel { model: source, sha256, original }.into());
    }
    Ok(model)
}

/// The difference between a picture that was made again and the original.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Difference {
    /// Not at all.
    None,
    /// The pixels are the same, what stands beside them is not.
    Text,
    /// This share of the pixels, by this many of 255 levels at most.
    Pixels {
        /// From 0 to 1.
        share: f64,
        /// From 0 to 255.
        levels: u8,
    },
    /// In size.
    Size,
    /// In a page's words or numbers.
    Page,
}

impl Difference {
    /// Of two files; of films it compares their still images.
    fn between(original: &[u8], again: &[u8], path: &Path) -> Result<Self> {
        if original == again {
            return Ok(Self::None);
        }
        let (a, b) = (oneiro_media::decode_image(original, path)?, oneiro_media::decode_image(again, path)?);
        if (a.width, a.height) != (b.width, b.height) {
            return Ok(Self::Size);
        }
        let (a, b) = (Image::to_rgb8(&a), Image::to_rgb8(&b));
        let differ = a.chunks(3).zip(b.chunks(3)).filter(|(a, b)| a != b).count();
        let levels = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        Ok(if differ == 0 {
            Self::Text
        } else {
            Self::Pixels { share: differ as f64 / (a.len() / 3) as f64, levels }
        })
    }

    /// In words.
    pub fn describe(self, original: &Path, film: bool) -> String {
        let name = original.display();
        match self {
            Self::None => format!("identical to {name}, byte for byte"),
            Self::Text if film => format!("its still image is that of {name}, other bytes differ"),
            Self::Text => format!("its pixels are those of {name}, what it says of itself differs"),
            Self::Pixels { share, levels } => format!(
                "{:.2} % of its pixels differ from {name}, by at most {levels} of 255 levels",
                100.0 * share
            ),
            Self::Size => format!("its size is not that of {name}"),
            Self::Page => format!("words or numbers of the page are not those of {name}"),
        }
    }
}
