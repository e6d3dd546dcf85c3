//! Channels, frames, height and width.

use std::fmt;

/// The shape of a still or a clip. Stills are made of `[C, H, W]`, clips of `[C, T, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Colours or bands; each has `frames` planes in a row.
    pub channels: usize,
    /// 1 for a still.
    pub frames: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

impl Extent {
    /// A still.
    pub fn still(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, frames: 1, height, width }
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Another number of channels, all else kept.
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// Another height and width, all else kept.
    pub fn with_size(self, [height, width]: [usize; 2]) -> Self {
        Self { height, width, ..self }
    }

    /// Axes of the values: `[C, H, W]` of a still, `[C, T, H, W]` of a clip.
    pub fn axes(&self) -> Vec<usize> {
        match self.frames {
            1 => vec![self.channels, self.height, self.width],
            frames => vec![self.channels, frames, self.height, self.width],
        }
    }

    /// Values of a channel: the pixels of all frames.
    pub fn positions(&self) -> usize {
        self.frames * self.plane()
    }

    /// Whether an axis is 0.
    pub fn is_empty(&self) -> bool {
        self.values() == 0
    }

    /// Pixels of a plane.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Planes: frames of all channels.
    pub fn planes(&self) -> usize {
        self.channels * self.frames
    }

    /// Values in all.
    pub fn values(&self) -> usize {
        self.planes() * self.plane()
    }

    /// Values in all; `None` if they are too many to count.
    pub fn checked_values(&self) -> Option<usize> {
        let Self { channels, frames, height, width } = *self;
        channels.checked_mul(frames)?.checked_mul(height)?.checked_mul(width)
    }
}

impl fmt::Display for Extent {
    /// `3x224x224`, `3x16x112x112`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> = self.axes().iter().map(usize::to_string).collect();
        f.write_str(&axes.join("x"))
    }
}

impl From<[usize; 3]> for Extent {
    fn from([channels, height, width]: [usize; 3]) -> Self {
        Self::still(channels, height, width)
    }
}

impl From<[usize; 4]> for Extent {
    fn from([channels, frames, height, width]: [usize; 4]) -> Self {
        Self { channels, frames, height, width }
    }
}
