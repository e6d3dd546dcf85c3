//! References of expressions to things outside the network: classes, pictures, vectors.

use std::fmt;
use std::sync::Arc;

use oneiro_image::Image;

/// A picture that a term compares with, planar in display units, of the size that the network sees.
#[derive(Clone, PartialEq)]
pub struct Reference {
    /// As the expression names it: a path, for the command line.
    pub name: String,
    /// RGB or bands in 0–1.
    pub image: Arc<Image>,
}

impl Reference {
    /// A picture under its name.
    pub fn new(name: impl Into<String>, image: Image) -> Self {
        Self { name: name.into(), image: Arc::new(image) }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({}, {:?})", self.name, self.image.shape())
    }
}

/// Finds what the names in an expression mean.
pub trait NameLookup {
    /// The output's index of a class, by its name.
    fn class(&self, name: &str) -> Result<usize, LookupError>;
    /// A picture of the size that the network sees, with its channels.
    fn picture(&self, name: &str) -> Result<Reference, LookupError>;
    /// A picture whose brightness is a mask, RGB or one plane, of any size.
    fn mask(&self, name: &str) -> Result<Reference, LookupError> {
        self.picture(name)
    }
    /// The numbers of a file, one a channel.
    fn vector(&self, name: &str) -> Result<Arc<[f32]>, LookupError>;
}

/// Why a name in an expression means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// A class by its name, of a model without labels.
    #[error("the model has no class labels, so \"{name}\" must be an index")]
    NoLabels {
        /// The class's name.
        name: String,
    },
    /// A class that the labels do not have, or several times.
    #[error("{why}")]
    Class {
        /// The class's name.
        name: String,
        /// Indices and labels of the classes that it may mean, or that are nearest.
        nearest: Vec<(usize, String)>,
        /// The error of the list of labels.
        why: String,
    },
    /// A name where only numbers are known.
    #[error("\"{name}\" should be a whole number")]
    NoClasses {
        /// The class's name.
        name: String,
    },
    /// A file where none is read.
    #[error("{name}: {why}")]
    NoFiles {
        /// The file.
        name: String,
        /// Why none is read.
        why: &'static str,
    },
    /// A file that cannot be read, or holds something else.
    #[error("{why}")]
    File {
        /// The file.
        name: String,
        /// The fault; names the file.
        why: String,
    },
}

/// Knows no names: expressions of numbers and layers alone.
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

/// Takes every name for something: checks the form of an expression before anything is read.
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
