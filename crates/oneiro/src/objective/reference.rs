//! What expressions name outside the network: classes, pictures, vectors.

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
    fn class(&self, name: &str) -> Result<usize, String>;
    /// A picture of the size that the network sees, with its channels.
    fn picture(&self, name: &str) -> Result<Reference, String>;
    /// A picture whose brightness is a mask, RGB or one plane, of any size.
    fn mask(&self, name: &str) -> Result<Reference, String> {
        self.picture(name)
    }
    /// The numbers of a file, one a channel.
    fn vector(&self, name: &str) -> Result<Arc<[f32]>, String>;
}

/// Knows no names: expressions of numbers and layers alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNames;

impl NameLookup for NoNames {
    fn class(&self, name: &str) -> Result<usize, String> {
        Err(format!("\"{name}\" should be a whole number"))
    }

    fn picture(&self, name: &str) -> Result<Reference, String> {
        Err(format!("the picture {name} cannot be read here"))
    }

    fn vector(&self, name: &str) -> Result<Arc<[f32]>, String> {
        Err(format!("the file {name} cannot be read here"))
    }
}

/// Takes every name for something: checks the form of an expression before anything is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyNames;

impl NameLookup for AnyNames {
    fn class(&self, _name: &str) -> Result<usize, String> {
        Ok(0)
    }

    fn picture(&self, name: &str) -> Result<Reference, String> {
        Ok(Reference::new(name, Image::filled(1, 1, [0.0; 3])))
    }

    fn vector(&self, _name: &str) -> Result<Arc<[f32]>, String> {
        Ok(Arc::from([1.0]))
    }
}
