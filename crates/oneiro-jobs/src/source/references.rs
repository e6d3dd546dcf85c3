//! Reads the files to which objectives refer: pictures, masks, vectors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use oneiro::card::{ChannelOrder, InputCard, InputKind};
use oneiro::objective::{LookupError, NameLookup, Objective, Reference, Term};
use oneiro::preprocess::Preprocess;
use oneiro_media::{Image, read_bands};
use oneiro_zoo::labels::LabelError;

use super::error::SourceError;
use crate::error::{Error, ModelError, Result, chain};
use crate::model::LoadedModel;
use crate::source::directions::row_of;
use crate::source::framing::Framing;
use crate::source::places::is_npy;

/// Reads files to which objectives refer. Pictures are scaled, and cropped at the centre, to the network's
/// input size.
pub struct Files<'a> {
    model: &'a LoadedModel,
    /// Height and width to which pictures are scaled; `None` if the network takes no pictures. That is an
    /// error only if an objective refers to a picture.
    size: Option<[usize; 2]>,
    /// Pictures that have been read, by name, so that each is read once.
    known: RefCell<BTreeMap<String, (Image, bool)>>,
}

impl<'a> Files<'a> {
    /// Makes a reader that scales pictures to this size, by default the network's own.
    pub fn new(model: &'a LoadedModel, size: Option<[usize; 2]>) -> Result<Self> {
        let shapes = model.model.input_shapes(1, size)?;
        Ok(Self { model, size: model.model.plane(&shapes), known: RefCell::default() })
    }

    /// Makes a reader that scales pictures to exactly this size.
    pub fn of_size(model: &'a LoadedModel, size: [usize; 2]) -> Self {
        Self { model, size: Some(size), known: RefCell::default() }
    }

    fn fitted(&self, name: &str) -> Result<Image> {
        let known = self.known.borrow().get(name).cloned();
        let (image, on_black) = match known {
            Some(known) => known,
            None => {
                let path = self.model.places.of(name);
                let photo = oneiro_media::decode_image_on_black(&oneiro_media::read_bytes(path)?, path)?;
                self.known.borrow_mut().insert(name.to_owned(), photo.clone());
                photo
            }
        };
        let Some([h, w]) = self.size else {
            return Err(SourceError::NoPictureInput { name: Some(name.to_owned()) }.into());
        };
        let framing = Framing::covering([image.height, image.width], [h, w]);
        self.model.framings.add(name, framing.on_black(on_black));
        Ok(oneiro_media::fit_center_crop(&image, h, w)?)
    }

    /// Returns the picture in a file: a photograph, or the bands of a `.npy` file for a network whose input
    /// is bands.
    pub fn reference(&self, name: &str) -> Result<Reference> {
        let images = || self.model.model.card.input.iter().filter(|card| card.kind == InputKind::Image);
        let bands = images().find(|card| card.order == ChannelOrder::Bands);
        match bands {
            Some(card) if is_npy(name) => self.bands(name, card),
            Some(card) if images().all(|card| card.order == ChannelOrder::Bands) => {
                Err(SourceError::Photograph { name: name.to_owned(), bands: card.channels() }.into())
            }
            _ => self.photograph(name),
        }
    }

    fn photograph(&self, name: &str) -> Result<Reference> {
        let image = self.fitted(name)?;
        Ok(Reference::new(name, image))
    }

    /// Returns the bands (channels) of a `.npy` file. Their number must match the card of one of the
    /// network's inputs.
    fn bands(&self, name: &str, card: &InputCard) -> Result<Reference> {
        let (bands, wanted) = (read_bands(self.model.places.of(name))?, card.channels());
        if bands.channels != wanted {
            let shape = [bands.channels, bands.height, bands.width];
            return Err(SourceError::Bands { name: name.to_owned(), shape, bands: wanted }.into());
        }
        self.fitted_bands(name, &bands)
    }

    fn fitted_bands(&self, name: &str, bands: &Image) -> Result<Reference> {
        let Some([h, w]) = self.size else {
            return Err(SourceError::NoPictureInput { name: Some(name.to_owned()) }.into());
        };
        self.model.framings.add(name, Framing::covering([bands.height, bands.width], [h, w]));
        Ok(Reference::new(name, oneiro_media::fit_center_crop(bands, h, w)?))
    }

    /// Returns a picture whose brightness is the mask: a photograph, or a `.npy` file with one band.
    pub fn mask(&self, name: &str) -> Result<Reference> {
        if !is_npy(name) {
            return self.photograph(name);
        }
        let bands = read_bands(self.model.places.of(name))?;
        if bands.channels != 1 {
            return Err(SourceError::Mask { name: name.to_owned(), bands: bands.channels }.into());
        }
        self.fitted_bands(name, &bands)
    }
}

impl NameLookup for Files<'_> {
    fn class(&self, name: &str) -> Result<usize, LookupError> {
        class(self.model, name)
    }

    fn picture(&self, name: &str) -> Result<Reference, LookupError> {
        self.reference(name).map_err(|error| unreadable(name, &error))
    }

    fn mask(&self, name: &str) -> Result<Reference, LookupError> {
        self.mask(name).map_err(|error| unreadable(name, &error))
    }

    fn vector(&self, name: &str) -> Result<Arc<[f32]>, LookupError> {
        let wrong = |why| Err(LookupError::File { name: name.to_owned(), why });
        if let Some((file, row)) = row_of(name) {
            let directions = self.model.directions(file).map_err(|error| unreadable(name, &error))?;
            return match directions.row(row) {
                Ok(row) => Ok(Arc::from(row)),
                Err(why) => wrong(format!("{file}: {why}")),
            };
        }
        let (shape, data) =
            oneiro_media::read_npy(self.model.places.of(name)).map_err(|error| unreadable(name, &error))?;
        if shape.iter().filter(|n| **n != 1).count() > 1 {
            return wrong(format!("{name}: its shape is {shape:?}; a direction has one number a channel"));
        }
        if data.iter().any(|x| !x.is_finite()) {
            return wrong(format!("{name}: some of its numbers are not finite"));
        }
        Ok(Arc::from(data))
    }
}

/// Returns the index of a network's class by its name.
fn class(model: &LoadedModel, name: &str) -> Result<usize, LookupError> {
    model.class_index(name).map_err(|error| {
        let name = name.to_owned();
        let nearest = match &error {
            Error::Model(ModelError::NoLabels { .. }) => return LookupError::NoLabels { name },
            Error::Label(LabelError::Unknown { nearest, .. }) => nearest.clone(),
            Error::Label(LabelError::Ambiguous { found, .. }) => found.clone(),
            _ => Vec::new(),
        };
        LookupError::Class { name, nearest, why: error.to_string() }
    })
}

/// Makes the error of a file that cannot be used, with the messages of all underlying errors.
fn unreadable(name: &str, error: &dyn std::error::Error) -> LookupError {
    LookupError::File { name: name.to_owned(), why: chain(error) }
}

/// Returns the channels in which a picture is drawn as red, green and blue; for bands, the network's card
/// selects them.
pub fn drawn(model: &LoadedModel, picture: &Reference) -> Result<Image> {
    let image = picture.image.as_ref();
    let of_bands = |card: &&InputCard| card.order == ChannelOrder::Bands && card.channels() == image.channels;
    let shown = model.model.card.input.iter().find(of_bands).map_or([0, 1, 2], InputCard::shown);
    let data = shown.iter().flat_map(|&channel| image.plane(channel)).copied().collect();
    Ok(Image::rgb(image.width, image.height, data)?)
}

/// Returns a picture's drawn channels; they are grey if the network's preprocessing discards colour.
pub fn visible(model: &LoadedModel, picture: &Reference) -> Result<Image> {
    let mut seen = picture.clone();
    let card = model.model.card.input.iter().find(|card| card.kind == InputKind::Image);
    if let Some(preprocess) = card.map(Preprocess::from_card).filter(Preprocess::sees_gray) {
        let mut image = picture.image.as_ref().clone();
        preprocess.visible(&mut image.data);
        seen = Reference::new(&picture.name, image);
    }
    drawn(model, &seen)
}

/// A lookup of class names only, for objectives that may not refer to files.
pub struct Classes<'a> {
    /// The network whose classes are looked up.
    pub model: &'a LoadedModel,
    /// The reason why the objective may not refer to files.
    pub why: &'static str,
}

impl NameLookup for Classes<'_> {
    fn class(&self, name: &str) -> Result<usize, LookupError> {
        class(self.model, name)
    }

    fn picture(&self, name: &str) -> Result<Reference, LookupError> {
        Err(LookupError::NoFiles { name: name.to_owned(), why: self.why })
    }

    fn vector(&self, name: &str) -> Result<Arc<[f32]>, LookupError> {
        Err(LookupError::NoFiles { name: name.to_owned(), why: self.why })
    }
}

/// Returns height and width of the network's pictures: the requested size, or the network's default.
pub fn picture_size(model: &LoadedModel, size: Option<[usize; 2]>) -> Result<[usize; 2]> {
    match model.model.plane(&model.model.input_shapes(1, size)?) {
        Some(size) => Ok(size),
        None => Err(SourceError::NoPictureInput { name: None }.into()),
    }
}

/// Returns an objective with the pictures that it refers to scaled to another size.
pub fn refitted(files: &Files<'_>, objective: &Objective) -> Result<Objective> {
    let mut objective = objective.clone();
    for term in objective.terms_mut() {
        for picture in term.references_mut() {
            *picture = files.reference(&picture.name)?;
        }
        if let Some(mask) = &mut term.region.mask {
            *mask = files.mask(&mask.name)?;
        }
    }
    Ok(objective)
}

/// Returns the names of all files to which objectives refer, each once, in order of appearance.
pub fn named(objectives: &[Objective]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for term in objectives.iter().flat_map(Objective::terms) {
        let pictures = term.references().into_iter().chain(&term.region.mask).map(|r| r.name.clone());
        for name in pictures.chain(vector_of(term)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn vector_of(term: &Term) -> Option<String> {
    use oneiro::objective::{TermKind, Toward};
    match &term.kind {
        TermKind::Direction(d) => match &d.toward {
            Toward::Vector(name, _) => Some(row_of(name).map_or(name.as_str(), |(file, _)| file).to_owned()),
            _ => None,
        },
        _ => None,
    }
}

impl LoadedModel {
    /// Parses an objective's expression. Classes are found by name. Pictures are read and scaled to this
    /// size, by default the network's own.
    pub fn expression(&self, text: &str, size: Option<[usize; 2]>) -> Result<Objective> {
        Ok(Objective::parse(text, &Files::new(self, size)?)?)
    }

    /// Parses an objective that may refer to classes, but not to files, for the reason `why`.
    pub fn expression_of_classes(&self, text: &str, why: &'static str) -> Result<Objective> {
        Ok(Objective::parse(text, &Classes { model: self, why })?)
    }
}
