//! The shape of a picture or clip: channels, frames, height and width.

use std::fmt;

/// The shape of a still or a clip. A still has the axes `[C, H, W]`, a clip `[C, T, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Number of channels (colours or bands); each has one plane for every frame.
    pub channels: usize,
    /// Number of frames; 1 for a still.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl Extent {
    /// Makes the shape of a still.
    pub fn still(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, frames: 1, height, width }
    }

    /// Returns height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Returns the shape with another number of channels.
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// Returns the shape with another height and width.
    pub fn with_size(self, [height, width]: [usize; 2]) -> Self {
        Self { height, width, ..self }
    }

    /// Returns the lengths of all axes: `[C, H, W]` for a still, `[C, T, H, W]` for a clip.
    pub fn axes(&self) -> Vec<usize> {
        match self.frames {
            1 => vec![self.channels, self.height, self.width],
            frames => vec![self.channels, frames, self.height, self.width],
        }
    }

    /// Returns the number of values in a channel: the pixels of all its frames.
    pub fn positions(&self) -> usize {
        self.frames * self.plane()
    }

    /// Whether any axis has length 0.
    pub fn is_empty(&self) -> bool {
        self.values() == 0
    }

    /// Returns the number of pixels in a plane.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Returns the number of planes: one for each frame of each channel.
    pub fn planes(&self) -> usize {
        self.channels * self.frames
    }

    /// Returns the number of all values.
    pub fn values(&self) -> usize {
        self.planes() * self.plane()
    }

    /// Returns the number of all values; `None` if it overflows.
    pub fn checked_values(&self) -> Option<usize> {
        let Self { channels, frames, height, width } = *self;
        channels.checked_mul(frames)?.checked_mul(height)?.checked_mul(width)
    }
}

impl fmt::Display for Extent {
    /// Formats the shape as `3x224x224`, or `3x16x112x112` for a clip.
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
