//! Remarks for the user on clips that a network sees.

use std::fmt;

use crate::context::Context;
use crate::source::clips::VideoClips;

/// A remark on clips that a network sees.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClipRemark {
    /// Videos have fewer frames than the network sees.
    Short {
        /// Path of the first of these videos.
        first: String,
        /// Number of frames of the first of these videos.
        frames: usize,
        /// Number of frames that the network needs.
        needed: usize,
        /// Number of these videos.
        count: usize,
    },
    /// Videos are damaged, and frames up to the damage are used.
    Damaged {
        /// Path of the first of these videos.
        first: String,
        /// How the first of these videos is damaged, as a part of a sentence.
        damage: String,
        /// Number of these videos.
        count: usize,
    },
    /// Where the optical flow comes from.
    Flow {
        /// Number of clips whose flow is read from files.
        from_files: usize,
        /// Number of clips in total.
        clips: usize,
    },
}

impl fmt::Display for ClipRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |count: usize| match count {
            0 | 1 => String::new(),
            _ => format!("; so it is with {} more clips", count - 1),
        };
        match self {
            Self::Short { first, frames, needed, count } => {
                let have = if *frames == 1 { "1 frame".to_owned() } else { format!("{frames} frames") };
                write!(
                    f,
                    "{first} has {have}, and the network sees {needed}: the last is repeated{}",
                    more(*count)
                )
            }
            Self::Damaged { first, damage, count } => {
                write!(f, "{first} is damaged ({damage}): the frames before are used{}", more(*count))
            }
            Self::Flow { from_files: 0, .. } => f.write_str("optical flow is computed by TV-L1"),
            Self::Flow { from_files, clips } if from_files == clips => {
                f.write_str("optical flow is read from files")
            }
            Self::Flow { from_files, clips } => write!(
                f,
                "optical flow of {from_files} of {clips} clips is read from files, that of the others computed by TV-L1"
            ),
        }
    }
}

/// Collects remarks on many clips and keeps one of each kind.
#[derive(Debug, Default)]
pub(crate) struct ClipRemarks {
    short: Option<ClipRemark>,
    damaged: Option<ClipRemark>,
}

impl ClipRemarks {
    /// Adds a video of which the network sees spans of `needed` frames.
    pub(crate) fn add(&mut self, file: &str, video: &VideoClips, needed: usize) {
        if video.missing > 0 {
            let first = file.to_owned();
            let new = ClipRemark::Short { first, frames: video.frames, needed, count: 0 };
            if let ClipRemark::Short { count, .. } = self.short.get_or_insert(new) {
                *count += 1;
            }
        }
        if let Some(damage) = &video.damage {
            let new = ClipRemark::Damaged { first: file.to_owned(), damage: damage.clone(), count: 0 };
            if let ClipRemark::Damaged { count, .. } = self.damaged.get_or_insert(new) {
                *count += 1;
            }
        }
    }

    /// Passes the collected remarks to the observer.
    pub(crate) fn say(self, context: &Context) {
        for remark in [self.short, self.damaged].into_iter().flatten() {
            context.remark(remark);
        }
    }
}
