//! Images and clips of a scan, as a network takes them.

use oneiro::input::PictureInput;

use super::shown::Shown;
use crate::context::Context;
use crate::error::Result;
use crate::job::crops::Crops;
use crate::job::scan::ScannedClips;
use crate::remark::ScanRemark;
use crate::source::clips::ClipReader;
use crate::store::ScanFile;

/// What a network is shown, with its class, if the network knows it.
pub(super) struct Labelled {
    pub shown: Shown,
    pub class: Option<usize>,
}

/// Reads the images or clips of a scan.
pub(super) struct Examples<'a> {
    context: &'a Context,
    crops: Crops<'a>,
    /// Reads clips, in scans of clips.
    clips: Option<(ClipReader, ScannedClips)>,
    inputs: Vec<PictureInput>,
    /// All images that the scan has seen: index, file, class.
    all: Vec<(u32, String, Option<usize>)>,
}

impl<'a> Examples<'a> {
    /// # Errors
    /// If the scan cannot be read.
    pub(super) fn new(context: &'a Context, scan: &'a ScanFile, inputs: &[PictureInput]) -> Result<Self> {
        let crops = Crops::new(scan)?;
        let reader = crops.clips().map(|(clips, crop)| -> Result<_> {
            Ok((ClipReader::new(inputs.to_vec(), &clips.sampling(crop))?, clips.clone()))
        });
        let clips = reader.transpose()?;
        Ok(Self { context, crops, clips, inputs: inputs.to_vec(), all: scan.labelled_images()? })
    }

    /// Reads up to `count` images or clips of all classes, or of one, evenly spread. Those that are gone are
    /// left out.
    ///
    /// # Errors
    /// If the scan cannot be read, or the work is cancelled.
    pub(super) fn some(&self, count: usize, class: Option<usize>) -> Result<Vec<Labelled>> {
        let all: Vec<_> =
            self.all.iter().filter(|(_, _, of)| class.is_none_or(|class| *of == Some(class))).collect();
        let taken = count.min(all.len());
        let mut found = Vec::new();
        for i in 0..taken {
            self.context.check()?;
            let (image, file, class) = all[i * all.len() / taken];
            if let Some(shown) = self.read(*image, file)? {
                found.push(Labelled { shown, class: *class });
            }
        }
        Ok(found)
    }

    /// Number of images or clips of a class.
    pub(super) fn count(&self, class: usize) -> usize {
        self.all.iter().filter(|(_, _, of)| *of == Some(class)).count()
    }

    /// Says which files are gone.
    pub(super) fn say(&self) {
        if let Some((file, count)) = self.crops.gone() {
            self.context.remark(ScanRemark::SourcesGone { count, file });
        }
    }

    fn read(&self, image: u32, file: &str) -> Result<Option<Shown>> {
        let Some((reader, clips)) = &self.clips else {
            let picture = self.crops.picture(image, file)?;
            return Ok((!self.crops.is_gone(file)).then(|| Shown::picture(picture)));
        };
        let Ok(path) = self.crops.path_of_clip(image, file) else {
            // Reading it as a picture notes that the clip is gone.
            self.crops.picture(image, file)?;
            return Ok(None);
        };
        let flow = clips.flow_file(&path, file);
        let read = self.context.compute(|| reader.read(&path, flow.as_deref()))?;
        let pictures = read.clips.into_iter().next().unwrap_or_default();
        Ok(Some(Shown { inputs: self.inputs.iter().map(|input| input.kind).zip(pictures).collect() }))
    }
}
