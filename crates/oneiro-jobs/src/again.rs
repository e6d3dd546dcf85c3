//! Recreates a result from its metadata.

mod kinds;
mod legacy;
mod recipe;

use std::path::{Path, PathBuf};

use oneiro_media::{FilmFormat, Image, PngText, StillFormat};
use serde_json::Value;

use crate::context::Context;
use crate::error::{During as _, Result, Step};
use crate::job::film_kind::FilmKind;
use crate::job::render::Setting;
use crate::job::{AnyJob, Place, Role, Run};
use crate::model::{LoadedModel, ModelSpec, fed_from, load_for_shapes};
use crate::provenance::{self, JOB, Network, Origin, ProvenanceError, SCHEMA, Sealed, VERSION, kernels};
use crate::remark::Remark;
use crate::source::places::{Places, SourceFile};

pub use kinds::Kinds;
pub use recipe::{dream_preset_of, setting_of};

/// A result's metadata: how the result was made.
struct Provenance {
    /// The job that made the result.
    job: Box<dyn AnyJob>,
    /// The role and index of the result among the job's results.
    output: Place,
    /// Files from which the job was made, with their hashes.
    sources: Vec<SourceFile>,
    /// Whether version 0.1.0 wrote the file. Its job is then reconstructed from other metadata entries.
    legacy: bool,
}

impl Provenance {
    /// Reads a result's metadata. If the result is a film, `format` is its file format.
    ///
    /// # Errors
    /// If entries are missing, or if this version does not know them.
    fn read(text: &PngText, kinds: &Kinds, format: FilmKind) -> Result<Self> {
        let Some(json) = text.get(JOB) else { return legacy::read(text, format) };
        let sealed: Sealed<Value> = provenance::json("its job", json)?;
        if sealed.schema > SCHEMA {
            return Err(ProvenanceError::NewerSchema { schema: sealed.schema, known: SCHEMA }.into());
        }
        let job = kinds.read(&sealed.kind, sealed.job)?;
        Ok(Self { job, output: sealed.output, sources: sealed.sources, legacy: false })
    }
}

/// File formats of results that can be recreated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Written {
    /// A picture, or a film in PNG or WebP.
    Still(StillFormat),
    /// A film in GIF.
    Gif,
    /// A film in MP4 or WebM.
    Video(FilmFormat),
    /// An HTML page with pictures.
    Page,
}

impl Written {
    /// Returns the format for a file name's extension, if there is one.
    pub fn of_name(path: &Path) -> Option<Self> {
        let is_page = |e: &std::ffi::OsStr| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm");
        match FilmFormat::of_name(path) {
            Some(FilmFormat::Gif) => Some(Self::Gif),
            Some(FilmFormat::Apng) => Some(Self::Still(StillFormat::Png)),
            Some(video) if video.needs_ffmpeg() => Some(Self::Video(video)),
            _ if path.extension().is_some_and(is_page) => Some(Self::Page),
            _ => StillFormat::of_name(path).map(Self::Still),
        }
    }

    /// Returns the name of the file format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Still(format) => format.name(),
            Self::Gif => "GIF",
            Self::Video(format) => format.name(),
            Self::Page => "page",
        }
    }
}

/// A result's file, read with its metadata.
pub struct Original {
    /// Path of the result's file.
    pub path: PathBuf,
    /// Content of the result's file.
    pub bytes: Vec<u8>,
    /// The metadata of the result.
    pub text: PngText,
}

impl Original {
    /// Reads a picture, film or page that oneiro wrote.
    ///
    /// # Errors
    /// If the file is truncated or has no metadata.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = oneiro_media::read_bytes(path)?;
        let text = oneiro_media::decode_text(&bytes, path)?;
        if text.0.is_empty() {
            return Err(ProvenanceError::Nothing { path: path.to_owned() }.into());
        }
        let original = Self { path: path.to_owned(), bytes, text };
        // The metadata is stored before the pixels. Only decoding the pixels tells whether the file is
        // complete.
        if !matches!(original.format(), Written::Page | Written::Video(_)) {
            oneiro_media::decode_image(&original.bytes, path)?;
        }
        Ok(original)
    }

    /// Returns the format of the result's file.
    pub fn format(&self) -> Written {
        match StillFormat::of_bytes(&self.bytes) {
            Some(format) => Written::Still(format),
            None => match FilmFormat::of_bytes(&self.bytes) {
                Some(FilmFormat::Gif) => Written::Gif,
                Some(video) if video.needs_ffmpeg() => Written::Video(video),
                _ => Written::Page,
            },
        }
    }
}

/// A result to be recreated, with its job, network and files found.
pub struct Again {
    original: Original,
    provenance: Provenance,
    /// The network that the job uses, if it uses one.
    pub model: Option<LoadedModel>,
    places: Places,
    /// Whether settings of the job were changed, so that another result is expected.
    changed: bool,
}

/// A recreated result, compared with the original.
pub struct Remade {
    /// Content of the recreated file.
    pub bytes: Vec<u8>,
    /// The difference from the original. With changed settings, the files are not compared.
    pub difference: Option<Difference>,
}

impl Again {
    /// Finds the job, the network and the files of a result. `model` is the model's new path, if the model is
    /// no longer at its old one. `images` are files that the result was made from, recognised by their
    /// content. If `any_model`, another model is accepted, too.
    ///
    /// # Errors
    /// If the metadata is incomplete, or if a file that the result was made from is not found.
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
        let format = FilmKind::of_bytes(&original.bytes);
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
        Ok(Self { original, provenance, model, places, changed: false })
    }

    /// Whether the result to be recreated is a film.
    pub fn is_film(&self) -> bool {
        self.provenance.output.role == Role::Film
    }

    /// Returns the current paths of the files that the result is made from.
    pub fn sources(&self) -> Vec<PathBuf> {
        let sources = self.provenance.sources.iter();
        sources.map(|file| self.places.of(&file.path).to_owned()).collect()
    }

    /// Changes the presets and seeds of the job, so that another result is made. `change` returns the new
    /// preset and seed.
    ///
    /// # Errors
    /// Those of `change`, if nothing was optimised for the result, if version 0.1.0 wrote the file, or if no
    /// model could be used with the new settings.
    pub fn change<E: From<crate::Error>>(
        &mut self,
        change: impl Fn(&Setting) -> std::result::Result<Setting, E>,
    ) -> std::result::Result<(), E> {
        let reading = || Step::Recipe { path: self.original.path.display().to_string() };
        if self.provenance.legacy {
            return Err(ProvenanceError::OldRecipe).during(reading).map_err(E::from);
        }
        let kind = self.provenance.job.kind();
        let settings = self.provenance.job.settings_mut();
        if settings.is_empty() {
            return Err(ProvenanceError::NoRecipe { kind }).during(reading).map_err(E::from);
        }
        let distinct = |settings: &[&mut Setting]| {
            settings.iter().enumerate().filter(|(i, setting)| !settings[..*i].contains(setting)).count()
        };
        let mut settings = settings;
        let before = distinct(&settings);
        for setting in &mut settings {
            **setting = change(setting)?;
        }
        if distinct(&settings) < before {
            return Err(ProvenanceError::EqualRows).during(reading).map_err(E::from);
        }
        self.provenance.job.check()?;
        self.changed = true;
        Ok(())
    }

    /// Recreates the result and compares it with the original.
    ///
    /// # Errors
    /// If the job fails, or its result cannot be encoded or compared.
    pub fn run(&self, context: &Context) -> Result<Remade> {
        let run = match &self.model {
            Some(model) => Run::new(model, context),
            None => Run::without_model(context).with_places(&self.places),
        };
        let run = run.with_legacy(self.provenance.legacy);
        let bytes = self.provenance.job.remake(&run, self.provenance.output)?;
        let written = self.original.format();
        let bytes = match written {
            Written::Still(format) if format != StillFormat::Png && !self.is_film() => {
                format.transcode(&bytes)?
            }
            _ => bytes,
        };
        if self.changed {
            return Ok(Remade { bytes, difference: None });
        }
        let difference = match written {
            Written::Page | Written::Video(_) if self.original.bytes == bytes => Difference::None,
            Written::Page => Difference::Page,
            Written::Video(_) => Difference::Video,
            _ => Difference::between(&self.original.bytes, &bytes, &self.original.path)?,
        };
        Ok(Remade { bytes, difference: Some(difference) })
    }
}

/// Loads the result's model with the stored preparation of its inputs. The model is read from `elsewhere` or,
/// without it, from its old path or the result's folder.
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
        // The picture's metadata must not depend on the model's present file name.
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

/// The difference between a recreated file and the original.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Difference {
    /// The files are identical.
    None,
    /// The pixels are identical, other bytes differ.
    Text,
    /// Some pixels differ.
    Pixels {
        /// Share of the pixels that differ, from 0 to 1.
        share: f64,
        /// The largest difference of a pixel's level, from 0 to 255.
        levels: u8,
    },
    /// The sizes of the pictures differ.
    Size,
    /// Text or values of an HTML page differ.
    Page,
    /// The bytes of an MP4 or WebM film differ.
    Video,
}

impl Difference {
    /// Compares two files. For films, only the still images are compared.
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

    /// Describes in words how the recreated file differs.
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
            Self::Video => {
                format!("its bytes are not those of {name}; other versions of ffmpeg write others")
            }
            Self::Page => format!("words or numbers of the page are not those of {name}"),
        }
    }
}
