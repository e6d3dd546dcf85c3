//! Hints for errors of jobs.

use oneiro_jobs::error::{CompareError, FlowError, JobError};
use oneiro_jobs::job::error::{Large, Setting};

use super::Hint;

/// Returns the hint for an error of a job.
pub fn of_job(error: &JobError) -> Hint {
    match error {
        JobError::Setting { setting: Setting::Center, value, .. } => Hint::flag(format!("--center {value}")),
        JobError::UnusedStatistics { param, other_colors: true, .. } => {
            Hint::advice(format!(": add --set param.{param}.decorrelate=data, or leave --statistics out"))
        }
        JobError::UnusedStatistics { .. } => {
            Hint::advice("; choose another --param, or leave --statistics out")
        }
        JobError::TooLarge { result, .. } => match result {
            Large::Film => Hint::advice("; choose a smaller --size"),
            Large::Gif => {
                Hint::advice("; choose fewer --frames, a smaller --size, or an animated PNG (.png)")
            }
            Large::WebP => {
                Hint::advice("; choose fewer frames, a smaller --size, or a name that ends in .png or .mp4")
            }
            Large::Sheet => Hint::advice("; choose fewer --units, a smaller --size, or `oneiro render`"),
            Large::Mosaic => Hint::advice("; choose fewer --cells or a smaller --cell-size"),
            _ => Hint::default(),
        },
        JobError::Crop { crop } => Hint::flag(format!("--crop {crop}")),
        JobError::NoOutput => Hint::advice(" with --capture"),
        JobError::NotOnePicture { .. } => Hint::flag("--data"),
        JobError::PictureInDream(_) => Hint::advice("; --guide does"),
        JobError::Position { position: [y, x], .. } => Hint::flag(format!("--dictionary {y},{x}")),
        JobError::SourceGone { .. } => {
            Hint::advice("; if the images have moved, --images FOLDER says where they are")
        }
        JobError::Setting { setting: Setting::Stride, value, .. } => Hint::flag(format!("--every {value}")),
        JobError::Setting { setting: Setting::Count, value, .. } => Hint::flag(format!("--count {value}")),
        JobError::Setting { setting: Setting::Enlargement, value, .. } => {
            Hint::flag(format!("--enlarge {value}"))
        }
        JobError::Setting { setting: Setting::Drawn, value, .. } => Hint::flag(format!("--top {value}")),
        _ => Hint::default(),
    }
}

/// Returns the hint for an error of a comparison.
pub fn of_comparison(error: &CompareError) -> Hint {
    match error {
        CompareError::Compared { several: true } => {
            Hint::advice(": oneiro compare MODEL --unit A --unit B, or oneiro compare MODEL MODEL --unit A")
        }
        _ => Hint::default(),
    }
}

/// Returns the hint for an error of optical flow.
pub fn of_flow(error: &FlowError) -> Hint {
    match error {
        FlowError::Bound { bound } => Hint::flag(format!("--bound {bound}")),
        FlowError::FewFrames { chosen: true, .. } => Hint::advice(" (--start, --count, --every)"),
        FlowError::NoFields { start, .. } => Hint::flag(format!("--start {start}")),
        FlowError::SeveralFields { .. } => {
            Hint::advice(", such as with --start 10 --count 2, or one field of flow with --count 1")
        }
        _ => Hint::default(),
    }
}
