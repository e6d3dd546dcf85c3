//! Remarks for users on a job and its results, one variant for each kind.
//!
//! Each remark is one sentence without a full stop, and names no command-line flag: the program adds such
//! hints for each variant.

use std::fmt;

use crate::numbers::short;

mod classes;
mod clips;
mod preparation;
mod result;
mod scan;

pub use classes::ClassRemark;
pub use clips::ClipRemark;
pub(crate) use clips::ClipRemarks;
pub use preparation::PreparationRemark;
pub use result::{Relus, ResultRemark, ZeroMap};
pub use scan::ScanRemark;

/// A remark for users on what a job does or found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Remark {
    /// How a model is read and its inputs are preprocessed.
    Preparation(PreparationRemark),
    /// Results that show nothing, or that are unreliable.
    Result(ResultRemark),
    /// The classes of a network, or folders that represent classes.
    Classes(ClassRemark),
    /// Problems and findings in scans of data sets.
    Scan(ScanRemark),
    /// How clips are taken from videos.
    Clips(ClipRemark),
    /// Classes are read from one of several outputs.
    ClassOutput {
        /// Name of the output.
        output: String,
        /// Number of classes, if it is known.
        classes: Option<usize>,
        /// Names of the network's outputs, with their shapes.
        outputs: String,
    },
    /// The scores before an operator that selects among them are used as logits.
    ScoresBefore {
        /// Name of the output.
        output: String,
        /// The operator that selects among the scores.
        op: String,
        /// Name of the tensor that holds the scores.
        logits: String,
    },
    /// Units are left out because they depend on weights that are not finite.
    LeftOut {
        /// Description of the weights that are not finite.
        weights: String,
        /// Names of the units that are left out.
        units: Vec<String>,
    },
    /// Photos were cropped or resized to the network's size.
    Framed {
        /// The photo, or the number of photos: "3 images".
        which: String,
        /// What was done to the photos.
        how: String,
    },
    /// Further photos, in other ways, were also cropped or resized.
    FramedOthers {
        /// Number of these further photos.
        count: usize,
    },
    /// The network does not accept the requested size, so its own size is used.
    OwnSize {
        /// The requested height and width.
        wanted: [usize; 2],
        /// The height and width that the network accepts.
        own: [usize; 2],
    },
    /// The tiles of a dream have the network's own size.
    FixedTiles {
        /// Height and width of the tiles.
        size: [usize; 2],
    },
    /// Pictures are rendered one by one, since the network mixes the entries of a batch.
    Alone {
        /// The objective, as an expression.
        objective: String,
    },
    /// Earlier runs have finished parts of the job.
    PartsDone {
        /// Number of parts that are finished.
        done: usize,
        /// Number of parts that the job has in total.
        total: usize,
    },
    /// A picture is left out of statistics.
    Skipped {
        /// Why the picture cannot be read. The text names the picture.
        why: String,
    },
    /// Several pictures are left out of statistics.
    SkippedInAll {
        /// Number of pictures that are left out.
        skipped: usize,
        /// Number of pictures in total.
        total: usize,
    },
    /// A video is damaged behind the frames that were read.
    DamagedVideo {
        /// Path of the video.
        video: String,
        /// What is wrong with the video.
        damage: String,
        /// Number of frames that could be read.
        frames: usize,
    },
    /// Results contain NaN or infinite values.
    NotFinite {
        /// Names of the results with such values.
        tensors: Vec<String>,
        /// Names of inputs that contain such values, too.
        inputs: Vec<String>,
    },
    /// Another version or other kernels made the result.
    OtherProgram {
        /// Version and kernels of the program that made the result.
        made_by: [String; 2],
        /// Version and kernels of this program.
        this: [String; 2],
    },
    /// The result is recreated with another model, as requested.
    OtherModel {
        /// Name of the model that is used.
        model: String,
        /// The model with which the result was made.
        original: String,
        /// Hash of the model with which the result was made, in hexadecimal.
        sha256: String,
    },
    /// A unit does not depend on some inputs of clips, flow or images.
    InputsLeftOut {
        /// Name of the unit.
        unit: String,
        /// Names of the inputs on which the unit does not depend.
        inputs: Vec<String>,
    },
    /// The largest value of a unit over data.
    Largest {
        /// The unit.
        unit: String,
        /// The value.
        value: f64,
    },
    /// Penalties keep units below half of the value that they have without that penalty.
    BelowHalf {
        /// Names of the units, each with its γ or κ.
        units: Vec<String>,
    },
    /// A remark of a kind of job that another crate defines.
    Custom(String),
}

impl Remark {
    /// Whether the remark is shown only when the work begins. A job that fails before needs no such remark.
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
            Self::Clips(remark) => remark.fmt(f),
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
                write!(
                    f,
                    "the network does not accept pictures of {ph}x{pw} here; its own size {h}x{w} is used"
                )
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
            Self::DamagedVideo { video, damage, frames } => {
                write!(f, "{video}: {damage}; the {frames} frames before the damage were read")
            }
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
            Self::InputsLeftOut { unit, inputs } => {
                write!(f, "{unit} does not depend on {}, which is left out", inputs.join(" and "))
            }
            Self::Largest { unit, value } => {
                write!(f, "the largest value of {unit} over the data is {}", short(*value))
            }
            Self::BelowHalf { units } => {
                write!(f, "{}: below half of the value without that penalty", units.join(", "))
            }
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

impl From<ClipRemark> for Remark {
    fn from(remark: ClipRemark) -> Self {
        Self::Clips(remark)
    }
}

impl From<ResultRemark> for Remark {
    fn from(remark: ResultRemark) -> Self {
        Self::Result(remark)
    }
}
