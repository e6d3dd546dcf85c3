//! Hints that name command-line flags, added to the libraries' error messages and remarks.
//!
//! Messages of the libraries name no flags. This module adds them, depending on the variant of the error or
//! remark. A hint surrounds a message: the flag stands before it, advice after it.

use oneiro::Error as VisualizationError;
use oneiro::model::{AxesProblem, InputError};
use oneiro::objective::{ExpressionError, LookupError, TermError};
use oneiro::statistics::StatisticsError;
use oneiro_jobs::Error;
use oneiro_jobs::error::chain;
use oneiro_jobs::error::{
    FeedError, FolderError, ModelError, ProvenanceError, SourceError, Step, StoreError,
};
use oneiro_jobs::files::FileError;
use oneiro_jobs::model::FeedProblem;

mod job;
mod remark;
#[cfg(test)]
mod tests;

pub use remark::of_remark;

/// Text to put before and after a library's message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// The flag that the message is about, with its value.
    pub flag: Option<String>,
    /// Advice on how to solve the problem, with the punctuation before it.
    pub advice: Option<String>,
}

impl Hint {
    /// Makes a hint from the flag that a message is about.
    fn flag(flag: impl Into<String>) -> Self {
        Self { flag: Some(flag.into()), advice: None }
    }

    /// Makes a hint from advice.
    fn advice(advice: impl Into<String>) -> Self {
        Self { flag: None, advice: Some(advice.into()) }
    }

    /// Adds advice to the hint.
    fn and(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Returns this hint, completed by the hint for the error's cause.
    fn or(self, cause: Self) -> Self {
        Self { flag: self.flag.or(cause.flag), advice: self.advice.or(cause.advice) }
    }

    /// Returns the message with the hint around it.
    fn around(self, message: &str) -> String {
        let flag = self.flag.map_or(String::new(), |flag| format!("{flag}: "));
        format!("{flag}{message}{}", self.advice.unwrap_or_default())
    }
}

/// Returns the text that is printed for an error: its chain of causes, with hints.
pub fn explained(error: &anyhow::Error) -> String {
    // Only this function looks for the libraries' errors inside a command's error.
    let hint = error.chain().find_map(|cause| {
        let of_jobs = cause.downcast_ref::<Error>().map(of_error);
        let of_jobs = of_jobs.or_else(|| cause.downcast_ref::<FileError>().map(of_file));
        of_jobs.or_else(|| cause.downcast_ref::<VisualizationError>().map(of_visualization))
    });
    hint.unwrap_or_default().around(&chain(error.as_ref()))
}

/// Returns the hint for an error of a job.
pub fn of_error(error: &Error) -> Hint {
    match error {
        Error::Model(error) => of_model(error),
        Error::Source(SourceError::NotFound { .. }) => Hint::advice("; say with --image where it is now"),
        Error::Source(SourceError::OtherContent { .. }) => Hint::advice("; name the right file with --image"),
        Error::Source(SourceError::NoneWanted) => Hint::flag("--limit 0"),
        Error::Folder(FolderError::GrayBands { .. }) => Hint::flag("--gray"),
        Error::Job(error) => job::of_job(error),
        Error::Compare(error) => job::of_comparison(error),
        Error::Flow(error) => job::of_flow(error),
        Error::Store(error) => of_store(error),
        Error::File(error) => of_file(error),
        Error::Feed(FeedError::NothingWanted) => Hint::advice(": give --capture LAYER or --grad EXPR"),
        Error::Feed(FeedError::NoGradient) => {
            Hint::flag("--relu-rule, --max-pool-rule").and(": give --grad EXPR, too")
        }
        Error::Provenance(error) => of_provenance(error),
        Error::Visualization(error) => of_visualization(error),
        Error::Size { wanted, accepted: [h, w], source } => {
            let larger = if *h < wanted[0] {
                " (`oneiro render --preset enlarged` makes larger pictures)"
            } else {
                ""
            };
            Hint::advice(format!("; give --size {h}x{w}{larger}")).or(of_error(source))
        }
        Error::While { step, source } => of_step(step).or(of_error(source)),
        _ => Hint::default(),
    }
}

/// Returns the hint for an error of the visualization library.
pub fn of_visualization(error: &VisualizationError) -> Hint {
    match error {
        VisualizationError::Layer { name, .. } if name.contains(':') && name.contains(',') => {
            Hint::advice("; units of several layers are named one by one: repeat --unit")
        }
        VisualizationError::Blocked { begin_at, .. } => {
            Hint::advice(format!(": give --from-layer \"{begin_at}\""))
        }
        VisualizationError::UnknownChannels { layer, shape, has_batch: true, .. } if shape.len() >= 2 => {
            let rest = ",?".repeat(shape.len() - 2);
            Hint::advice(format!(
                ", or state them: --axes \"{layer}=N,C{rest}\" if axis 1 holds the channels, \"{layer}=N{rest},C\" if the last \
                 one does (? has no meaning), or under [axes] in the model card"
            ))
        }
        VisualizationError::Input(error) => of_input(error),
        VisualizationError::Expression(error) => of_expression(error),
        VisualizationError::Term(error) => of_term(error),
        VisualizationError::Statistics(StatisticsError::Channels { statistics: 1, picture: 3 }) => {
            Hint::advice(
                "; measure pictures in colour, or let a network of one channel read it as a band (--order bands)",
            )
        }
        _ => Hint::default(),
    }
}

fn of_input(error: &InputError) -> Hint {
    match error {
        InputError::Channels { maybe_last: true, .. } => Hint::advice(" (or give --layout nhwc)"),
        InputError::NotAnImage { .. } => Hint::advice("; `oneiro video` renders clips and flow"),
        InputError::Channels { channels, .. } => {
            let orders = match channels {
                1 => "gray",
                3 => "rgb or bgr",
                _ => "bands",
            };
            Hint::advice(format!("; {channels} are --order {orders}"))
        }
        InputError::Axes { problem: AxesProblem::Unknown, .. } => {
            Hint::advice("; --input-axes gives them, too")
        }
        InputError::Axes { problem: AxesProblem::Layout { layout, .. }, .. } => {
            Hint::advice(format!(" (--layout {layout})"))
        }
        InputError::NoPicture { maybe_bands: Some((input, bands)), .. } => Hint::advice(format!(
            "; if \"{input}\" is a picture of {bands} bands, give --order bands with --mean and --std (one number for all or \
             one a band), or a model card with order = \"bands\""
        )),
        _ => Hint::default(),
    }
}

fn of_expression(error: &ExpressionError) -> Hint {
    match error.name.as_deref() {
        Some(LookupError::NoLabels { .. }) => Hint::advice(" (or give --labels)"),
        _ => Hint::default(),
    }
}

fn of_term(error: &TermError) -> Hint {
    match error {
        TermError::NoTransparency => Hint::advice(": give --alpha"),
        TermError::In { why, .. } => of_term(why),
        _ => Hint::default(),
    }
}

fn of_model(error: &ModelError) -> Hint {
    match error {
        ModelError::NoCard { path } => {
            let card = path.display();
            Hint::advice(format!(", or leave --card {card} out for the card beside the model"))
        }
        ModelError::LabelsElsewhere { .. } => Hint::advice(": give --labels, or a card beside the model"),
        ModelError::NoLabels { .. } => Hint::advice(" (or give --labels)"),
        ModelError::LabelCount { classes, outputs, .. } => {
            let advice = match classes {
                1 => ": give one label with --labels, that of the yes",
                _ => "; choose the right list with --labels",
            };
            let other = outputs.as_ref().map_or(String::new(), |outputs| {
                format!(", or another output with --output; there are {outputs}")
            });
            Hint::advice(format!("{advice}{other}"))
        }
        ModelError::IsClass { error, .. } => of_visualization(error),
        ModelError::NoPictures { begin_at: Some(layer), .. } => {
            Hint::advice(format!("; to start behind what cannot be run give --from-layer \"{layer}\""))
        }
        // No flag is named here, because the file may come from the model card and not from `--feed`.
        ModelError::Feed {
            problem: FeedProblem::NotFinite { .. } | FeedProblem::OtherContent { .. },
            ..
        } => Hint::default(),
        ModelError::Feed { input, .. } => Hint::flag(format!("--feed {input}")),
        ModelError::InputAxes { .. } => Hint::advice(" (--input-axes)"),
        ModelError::Order { .. } => Hint::advice("; with --order give --mean and --std, too"),
        ModelError::NoBands { show } => {
            let show: Vec<String> = show.iter().map(usize::to_string).collect();
            Hint::flag(format!("--show {}", show.join(","))).and("; give --order bands, too")
        }
        _ => Hint::default(),
    }
}

fn of_file(error: &FileError) -> Hint {
    let try_it = |kind| Hint::advice(format!("; {}", oneiro_media::write_hint(kind)));
    match error {
        FileError::Create { source, .. } => try_it(source.kind()),
        FileError::NotWritable { kind, .. } => try_it(*kind),
        FileError::Make { source, .. } => of_file(source),
        _ => Hint::default(),
    }
}

fn of_store(error: &StoreError) -> Hint {
    match error {
        StoreError::NoScan { .. } => {
            Hint::advice("; make one with `oneiro scan MODEL DATA --out FOLDER`, and name that folder")
        }
        StoreError::NoImages { .. } => Hint::flag("--images"),
        _ => Hint::default(),
    }
}

fn of_provenance(error: &ProvenanceError) -> Hint {
    use oneiro_jobs::provenance::Drawing;
    match error {
        ProvenanceError::Drawing { drawing } => {
            let command = match drawing {
                Drawing::Plot => "`oneiro invert … --plot`",
                Drawing::Spectrum => "`oneiro statistics … --picture`",
                _ => return Hint::default(),
            };
            Hint::advice(format!(": run {command} with what `oneiro info` prints"))
        }
        ProvenanceError::OtherModel { .. } => {
            Hint::advice("; name the right file with --model, or take this one with --any-model")
        }
        _ => Hint::default(),
    }
}

fn of_step(step: &Step) -> Hint {
    match step {
        Step::Begin { layer } => Hint::flag(format!("--from-layer {layer}")),
        Step::Overrides { settings } => {
            let flags: Vec<String> = settings.iter().map(|name| format!("--{name}")).collect();
            Hint::advice(format!(" ({})", flags.join(", ")))
        }
        Step::Statistics { .. } => Hint::advice(" (--statistics)"),
        Step::Original { .. } => Hint::advice("; if it lies elsewhere, give --model"),
        _ => Hint::default(),
    }
}
