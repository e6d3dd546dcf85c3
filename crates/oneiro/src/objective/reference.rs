//! References in expressions to things outside the network: classes, pictures, vectors.

use std::fmt;
use std::sync::Arc;

use oneiro_image::Image;

/// A picture with which a term compares, planar, in display units and of the size that the network sees.
#[derive(Clone, PartialEq)]
pub struct Reference {
    /// The picture's name in the expression, which is a path on the command line.
    pub name: String,
    /// The picture: RGB or bands, from 0 to 1.
    pub image: Arc<Image>,
}

impl Reference {
    /// Creates a reference from a picture and its name.
    pub fn new(name: impl Into<String>, image: Image) -> Self {
        Self { name: name.into(), image: Arc::new(image) }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({}, {:?})", self.name, self.image.shape())
    }
}

/// Finds the classes, pictures and files that an expression names.
pub trait NameLookup {
    /// Returns the output's index of a class, by its name.
    fn class(&self, name: &str) -> Result<usize, LookupError>;
    /// Returns a picture of the size and channels that the network sees.
    fn picture(&self, name: &str) -> Result<Reference, LookupError>;
    /// Returns a picture whose brightness is a mask: RGB or one plane, of any size.
    fn mask(&self, name: &str) -> Result<Reference, LookupError> {
        self.picture(name)
    }
    /// Returns the numbers of a file, one for each channel.
    fn vector(&self, name: &str) -> Result<Arc<[f32]>, LookupError>;
}

/// The reason why a name in an expression cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// A class is given by name, but the model has no labels.
    #[error("the model has no class labels, so \"{name}\" must be an index")]
    NoLabels {
        /// Name of the class.
        name: String,
    },
    /// No label, or several labels, match the name of a class.
    #[error("{why}")]
    Class {
        /// Name of the class.
        name: String,
        /// Indices and labels of the classes that match, or that are most similar.
        nearest: Vec<(usize, String)>,
        /// Why the list of labels cannot be used.
        why: String,
    },
    /// A class is given by name, but only numbers are accepted.
    #[error("\"{name}\" should be a whole number")]
    NoClasses {
        /// Name of the class.
        name: String,
    },
    /// A file is given, but files are not accepted.
    #[error("{name}: {why}")]
    NoFiles {
        /// Name of the file.
        name: String,
        /// Why files are not accepted here.
        why: &'static str,
    },
    /// A file cannot be read or has unsuitable content.
    #[error("{why}")]
    File {
        /// Name of the file.
        name: String,
        /// What is wrong with the file. The text includes its name.
        why: String,
    },
}

/// Resolves no names, for expressions of numbers and layers alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNames;

impl NameLookup for NoNames {
    fn class(&self, name: &str) -> Result<usize, LookupError> {
        Err(LookupError::NoClasses { name: name.to_owned() })
    }

    fn picture(&self, name: &str) -> Result<Reference, LookupError> {
        Err(LookupError::NoFiles { name: name.to_owned(), why: "the picture cannot be read here" })
    }

    fn vector(&self, name: &str) -> Result<Arc<[f32]>, LookupError> {
        Err(LookupError::NoFiles { name: name.to_owned(), why: "the file cannot be read here" })
    }
}

/// Accepts every name, so that the form of an expression can be checked before anything is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyNames;

impl NameLookup for AnyNames {
    fn class(&self, _name: &str) -> Result<usize, LookupError> {
        Ok(0)
    }

    fn picture(&self, name: &str) -> Result<Reference, LookupError> {
        Ok(Reference::new(name, Image::filled(1, 1, [0.0; 3])))
    }

    fn vector(&self, _name: &str) -> Result<Arc<[f32]>, LookupError> {
        Ok(Arc::from([1.0]))
    }
}
