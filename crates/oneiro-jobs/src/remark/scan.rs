//! Remarks for the user on scans of data sets.

use std::fmt;

use crate::source::dataset::ProblemKind;

/// A remark on a scan of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanRemark {
    /// A file or folder could not be used as it is.
    Problem {
        /// The file or folder, relative to the data set's folder.
        file: String,
        /// The kind of problem with the file or folder.
        kind: ProblemKind,
        /// Description of the problem in words.
        why: String,
    },
    /// There are further problems that are not named.
    MoreProblems {
        /// The number of further problems.
        count: usize,
    },
    /// The network's scores for some images are not finite.
    LogitsNotFinite {
        /// The number of images with scores that are not finite.
        images: usize,
    },
    /// The user named a layer by the convolution before its activation function.
    LastForm {
        /// The layer's name as the user gave it.
        name: String,
        /// Name of the layer that is shown instead.
        layer: String,
    },
    /// The unit of a layer that responds most to a class.
    ClassBest {
        /// The unit as the user described it.
        unit: String,
        /// Name of the unit that was found.
        found: String,
    },
    /// Files of scanned images no longer exist.
    SourcesGone {
        /// The number of files that no longer exist.
        count: usize,
        /// Path of one of these files.
        file: String,
    },
    /// The program has no network that tells how alike images are.
    NoPerception,
    /// The scan has too few examples for predictability.
    FewExamples {
        /// The unit.
        unit: String,
        /// Images in each of its lists, up to where they meet.
        found: usize,
        /// Images that each list needs.
        needed: usize,
        /// Images of the scan, if there are too few for two such lists.
        few_images: Option<usize>,
        /// Whether the scan keeps fewer images in each list than it has and than are needed.
        short_lists: bool,
    },
}

impl fmt::Display for ScanRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem { file, kind: ProblemKind::Duplicate, why } => {
                write!(f, "{file}: {why}; it counts, but stands in no list of examples")
            }
            Self::Problem { file, why, .. } => write!(f, "{file}: {why}; left out"),
            Self::MoreProblems { count } => {
                write!(
                    f,
                    "{count} more files or folders had problems; the scan's table \"problems\" names all"
                )
            }
            Self::LogitsNotFinite { images } => {
                write!(f, "the network's scores are no numbers for {images} images; they count for no class")
            }
            Self::LastForm { name, layer } => {
                write!(f, "\"{name}\" is shown behind its activation function, as layer \"{layer}\"")
            }
            Self::ClassBest { unit, found } => write!(f, "{unit} is {found}"),
            Self::NoPerception => {
                write!(
                    f,
                    "this program was built without the embedded network, which tells how alike images are: no predictability"
                )
            }
            Self::FewExamples { unit, found, needed, few_images, short_lists } => {
                write!(
                    f,
                    "{unit}: no predictability, which needs {needed} images that excite it most and as many that excite it least: "
                )?;
                if let Some(images) = few_images {
                    write!(f, "the scan has {images} images; scan {} or more", 2 * needed)?;
                }
                match (short_lists, few_images) {
                    (true, Some(_)) => write!(f, ", and keep more than {found} in each list"),
                    (true, None) => {
                        write!(f, "its lists have {found}; scan again and keep more images in each list")
                    }
                    (false, Some(_)) => Ok(()),
                    (false, None) => write!(f, "{found} of its lists differ; scan more images"),
                }
            }
            Self::SourcesGone { count, file } => {
                write!(
                    f,
                    "{count} of the scanned images cannot be read any more, or have changed, {file} among them"
                )
            }
        }
    }
}
