//! Channels, frames, height and width.

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
