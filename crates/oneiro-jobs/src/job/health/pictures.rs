//! Images of a scan, to run again.

use oneiro_media::Image;

use crate::context::Context;
use crate::error::Result;
use crate::job::crops::Crops;
use crate::remark::ScanRemark;
use crate::store::ScanFile;

/// Reads up to `count` images of a scan, evenly spread over it. Images that are gone are left out, and a
/// remark says so.
///
/// # Errors
/// If the scan cannot be read.
pub(super) fn some_images(context: &Context, scan: &ScanFile, count: usize) -> Result<Vec<Image>> {
    let crops = Crops::new(scan)?;
    let seen = scan.seen_images()?;
    let taken = count.min(seen.len());
    let mut found = Vec::new();
    for i in 0..taken {
        context.check()?;
        let (image, file) = &seen[i * seen.len() / taken];
        let picture = crops.picture(*image, file)?;
        if !crops.is_gone(file) {
            found.push(picture);
        }
    }
    if let Some((file, count)) = crops.gone() {
        context.remark(ScanRemark::SourcesGone { count, file });
    }
    Ok(found)
}
