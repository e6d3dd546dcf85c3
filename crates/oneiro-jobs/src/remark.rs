//! Remarks for users on a job and its results, one variant for each kind.
//!
//! Each is one sentence without a full stop, and names no flag: a command line adds its hints by the variant.

use std::fmt;

mod classes;
mod preparation;
mod result;
mod scan;

pub use classes::ClassRemark;
pub use preparation::PreparationRemark;
pub use result::{Relus, ResultRemark, ZeroMap};
pub use scan::ScanRemark;

/// A remark for people on what a job does or found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Remark {
    /// On how a model is read and its inputs are prepared.
    Preparation(PreparationRemark),
    /// On results that show nothing, or should not be believed.
    Result(ResultRemark),
    /// On the classes of a network, or on folders that stand for them.
    Classes(ClassRemark),
    /// On scans of data sets.
    Scan(ScanRemark),
    /// The output that classes are read from, of several.
    ClassOutput {
        /// The output.
        output: String,
        /// Number of classes, if it is known.
        classes: Option<usize>,
        /// The network's outputs, in words.
        outputs: String,
    },
    /// The scores that are taken, in front of an operator that picks among them.
    ScoresBefore {
        /// The output.
        output: String,
        /// The operator.
        op: String,
        /// The tensor of the scores.
        logits: String,
    },
    /// Units that depend on weights that are not finite are left out.
    LeftOut {
        /// The weights, in words.
        weights: String,
        /// The units.
        units: Vec<String>,
    },
    /// Photos that were brought to the network's size.
    Framed {
        /// The photo, or their number: "3 images".
        which: String,
        /// How.
        how: String,
    },
    /// Further photos, of other sizes.
    FramedOthers {
        /// Number of photos.
        count: usize,
    },
    /// A size that the network does not accept, replaced by its own.
    OwnSize {
        /// Height and width asked for.
        wanted: [usize; 2],
        /// Height and width of the network.
        own: [usize; 2],
    },
    /// Tiles of a dream that are of the network's own size.
    FixedTiles {
        /// Height and width.
        size: [usize; 2],
    },
    /// Pictures that are rendered one by one, as the network mixes the pictures of a batch.
    Alone {
        /// The objective.
        objective: String,
    },
    /// Parts of a job that earlier runs made.
    PartsDone {
        /// Parts that are there.
        done: usize,
        /// Parts in all.
        total: usize,
    },
    /// A picture that is left out of statistics.
    Skipped {
        /// Why it cannot be read; names it.
        why: String,
    },
    /// The number of pictures that are left out of statistics.
    SkippedInAll {
        /// Pictures that are left out.
        skipped: usize,
        /// Pictures in all.
        total: usize,
    },
    /// Results that hold NaN or infinite numbers.
    NotFinite {
        /// Their names.
        tensors: Vec<String>,
        /// Inputs that do, too.
        inputs: Vec<String>,
    },
    /// A result that another version or other kernels made.
    OtherProgram {
        /// Version and kernels that made it.
        made_by: [String; 2],
        /// Version and kernels of this program.
        this: [String; 2],
    },
    /// A result that is made again with another model, as was asked.
    OtherModel {
        /// The model that is used.
        model: String,
        /// The model that it was made with.
        original: String,
        /// Hash of that, hexadecimal.
        sha256: String,
    },
    /// Of a kind of job that is not this library's.
    Custom(String),
}

impl Remark {
    /// Whether the remark matters only once the work begins. A job that is refused before that needs none.
    pub fn waits_for_work(&self) -> bool {
        matches!(self, Self::Preparation(_))
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preparation(remark) => remark.fmt(f),
            Self::Result(remark) => remark.fmt(f),
            Self::Classes(remark) => remark.fmt(f),
            Self::Scan(remark) => remark.fmt(f),
            Self::ClassOutput { output, classes, outputs } => {
                let count = classes.map_or(String::new(), |n| format!(", of {n}"));
                write!(f, "classes are those of output \"{output}\"{count}; the outputs are {outputs}")
            }
            Self::ScoresBefore { output, op, logits } => write!(
                f,
                "output \"{output}\" holds no scores but what {op} makes of them; the scores before it, \"{logits}\", are taken"
            ),
            Self::LeftOut { weights, units } => {
                let verb = if units.len() == 1 { "is" } else { "are" };
                let units = units.join(", ");
                write!(f, "weights of the network are not finite: {weights}; {units} {verb} left out")
            }
            Self::Framed { which, how } => write!(f, "{which}: {how}"),
            Self::FramedOthers { count } => {
                write!(f, "{count} images of other sizes were brought to the same size likewise")
            }
            Self::OwnSize { wanted: [ph, pw], own: [h, w] } => {
                write!(f, "the network does not accept {ph}x{pw} for this unit; using its own size {h}x{w}")
            }
            Self::FixedTiles { size: [h, w] } => write!(
                f,
                "the network does not accept every size that is dreamt on; tiles of {h}x{w}, its own size, are used there"
            ),
            Self::Alone { objective } => write!(
                f,
                "the network mixes the pictures of a batch on the way to {objective}, or may do so; each is made by itself"
            ),
            Self::PartsDone { done, total } => {
                let them = if *done == 1 { "is" } else { "are" };
                write!(f, "{done} of {total} parts {them} done already")
            }
            Self::Skipped { why } => f.write_str(why),
            Self::SkippedInAll { skipped, total } => {
                write!(f, "{skipped} of {total} pictures could not be read and were skipped")
            }
            Self::NotFinite { tensors, inputs } => {
                let given = match &inputs[..] {
                    [] => String::new(),
                    inputs => format!(", and so do the inputs {}", inputs.join(", ")),
                };
                write!(f, "{} hold NaN or infinite numbers{given}", tensors.join(", "))
            }
            Self::OtherProgram { made_by: [version, kernels], this: [own, own_kernels] } => write!(
                f,
                "the picture was made by version {version} with {kernels} kernels, this is {own} with {own_kernels}: bits \
                 may differ"
            ),
            Self::OtherModel { model, original, sha256 } => write!(
                f,
                "{model} is not the model that the picture was made with ({original} was, SHA-256 {sha256})"
            ),
            Self::Custom(text) => f.write_str(text),
        }
    }
}

impl From<PreparationRemark> for Remark {
    fn from(remark: PreparationRemark) -> Self {
        Self::Preparation(remark)
    }
}

impl From<ClassRemark> for Remark {
    fn from(remark: ClassRemark) -> Self {
        Self::Classes(remark)
    }
}

impl From<ScanRemark> for Remark {
    fn from(remark: ScanRemark) -> Self {
        Self::Scan(remark)
    }
}

impl From<ResultRemark> for Remark {
    fn from(remark: ResultRemark) -> Self {
        Self::Result(remark)
    }
}
