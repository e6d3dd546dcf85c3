//! A temporary file that holds flow fields until all are computed.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use oneiro_media::flow::Flow;

use super::error::FlowError;
use crate::error::Result;

/// Bytes of one number in the file.
const NUMBER: usize = size_of::<f32>();
/// Colour channels of a frame's pixel.
const COLORS: usize = 3;

/// A temporary file of equally large flow fields, each with its video frame if frames are kept. The file is
/// deleted when this value is dropped.
pub struct Spool {
    height: usize,
    width: usize,
    has_frames: bool,
    len: usize,
    file: BufWriter<File>,
}

/// A flow field and, as interleaved 8-bit RGB, the video frame from which its motion starts.
pub struct Spooled {
    pub field: Flow,
    pub rgb: Option<Vec<u8>>,
}

impl Spool {
    /// Creates an empty temporary file for fields of this height and width.
    pub fn new(height: usize, width: usize, has_frames: bool) -> Result<Self> {
        let file = tempfile::tempfile().map_err(|source| refused(height, width, source))?;
        Ok(Self { height, width, has_frames, len: 0, file: BufWriter::new(file) })
    }

    /// Returns the number of flow fields in the file.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of rows of each field.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the number of pixels in each row of a field.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Appends a flow field, with its video frame if frames are kept.
    pub fn push(&mut self, field: &Flow, rgb: Option<&[u8]>) -> Result<()> {
        let bytes: Vec<u8> = field.data.iter().flat_map(|value| value.to_le_bytes()).collect();
        let written = self.file.write_all(&bytes).and_then(|()| match rgb.filter(|_| self.has_frames) {
            Some(rgb) => self.file.write_all(rgb),
            None => Ok(()),
        });
        written.map_err(|source| refused(self.height, self.width, source))?;
        self.len += 1;
        Ok(())
    }

    /// Calls `each` with the index and the content of every field, in order.
    pub fn read(&mut self, mut each: impl FnMut(usize, Spooled) -> Result<()>) -> Result<()> {
        let (height, width) = (self.height, self.width);
        let refused = |source| refused(height, width, source);
        self.file.flush().map_err(refused)?;
        let mut file = self.file.get_ref();
        file.seek(SeekFrom::Start(0)).map_err(refused)?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let pixels = height * width;
        for index in 0..self.len {
            let mut bytes = vec![0; 2 * NUMBER * pixels];
            file.read_exact(&mut bytes).map_err(refused)?;
            let numbers = bytes.as_chunks::<NUMBER>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            let field = Flow::new(1, height, width, numbers.collect())?;
            let rgb = if self.has_frames {
                let mut rgb = vec![0; COLORS * pixels];
                file.read_exact(&mut rgb).map_err(refused)?;
                Some(rgb)
            } else {
                None
            };
            each(index, Spooled { field, rgb })?;
        }
        Ok(())
    }
}

fn refused(height: usize, width: usize, source: std::io::Error) -> crate::Error {
    let bytes = (2 * NUMBER * height * width) as u64;
    FlowError::Spool { size: [height, width], bytes, source }.into()
}
