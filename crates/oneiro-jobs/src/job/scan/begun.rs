//! Saves the intermediate result of an unfinished block of a scan, so that an interrupted scan can continue.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::block::Block;
use super::gather::Gatherer;
use crate::error::Result;
use crate::job::error::JobError;
use crate::job::parts::{Part, Parts, Stored};
use crate::task::Task;

/// Share of the working time that saving intermediate results may take.
const SHARE_OF_TIME: f64 = 0.02;
/// Bytes that are converted, hashed and written in a second; a slow disk takes longer.
const BYTES_PER_SECOND: f64 = 400e6;
/// Least number of images between two saved intermediate results. The last batch of a step may be incomplete.
const STEP: usize = 64;

/// The intermediate result of a block after some of its images.
#[derive(Debug, Clone, PartialEq)]
struct Begun {
    /// Index of the first image that the block does not include yet.
    next: usize,
    block: Block,
}

impl Stored for Begun {
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = (self.next as u64).to_le_bytes().to_vec();
        bytes.extend(self.block.to_bytes()?);
        Ok(bytes)
    }

    fn is_final(&self) -> bool {
        self.block.is_final()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (next, rest) = bytes.split_first_chunk().ok_or(JobError::CutOff)?;
        Ok(Self { next: u64::from_le_bytes(*next) as usize, block: Block::from_bytes(rest)? })
    }
}

/// Returns the part under which a block's intermediate result is saved.
pub(super) fn part(whole: &Part) -> Part {
    Part::new(&format!("{}-begun", whole.name), &[&whole.key, "begun"])
}

/// Processes a block of images. Its intermediate result is saved in `keep` whenever the work since the last
/// time is worth it, and the block continues from a saved one, if there is any.
pub(super) fn block(
    gatherer: &mut Gatherer<'_>,
    images: Range<usize>,
    keep: Option<(&Parts, &Part)>,
    progress: &mut Task<'_>,
) -> Result<Block> {
    let begun = keep.and_then(|(parts, part)| parts.load::<Begun>(part));
    let begun = begun.filter(|begun| images.contains(&begun.next));
    let Begun { mut next, mut block } =
        begun.unwrap_or_else(|| Begun { next: images.start, block: gatherer.empty() });
    progress.advance((next - images.start) as u64);
    let step = STEP.next_multiple_of(gatherer.batch());
    let mut saved = Instant::now();
    while next < images.end {
        let to = images.end.min(next + step);
        gatherer.add(next..to, &mut block, progress)?;
        next = to;
        // At the end of the block there is no intermediate result to save: the caller saves the block itself.
        if let Some((parts, part)) = keep.filter(|_| next < images.end)
            && is_due(saved.elapsed(), block.bytes())
        {
            let begun = Begun { next, block };
            if begun.is_final() {
                parts.store(part, &begun)?;
            }
            block = begun.block;
            saved = Instant::now();
        }
    }
    Ok(block)
}

/// Returns whether saving an intermediate result of `bytes` bytes takes little time beside the work since the
/// last time.
fn is_due(worked: Duration, bytes: usize) -> bool {
    bytes as f64 / BYTES_PER_SECOND <= worked.as_secs_f64() * SHARE_OF_TIME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_read_as_it_was_written() {
        let begun = Begun { next: 77, block: Block::new(&[2, 1], 3) };
        let bytes = begun.to_bytes().unwrap();
        assert_eq!(Begun::from_bytes(&bytes).unwrap(), begun);
        assert!(Begun::from_bytes(&bytes[..7]).is_err() && Begun::from_bytes(&bytes[..9]).is_err());
    }

    #[test]
    fn large_results_are_saved_less_often() {
        let due = |seconds: f64, bytes: usize| is_due(Duration::from_secs_f64(seconds), bytes);
        assert!(due(0.1, 500_000) && !due(0.1, 1_000_000));
        assert!(due(5.0, 40_000_000) && !due(4.9, 40_000_000));
    }

    #[test]
    fn a_block_knows_its_size_nearly() {
        let mut block = Block::new(&[20, 30], 4);
        let before = block.to_bytes().unwrap().len();
        assert!(block.bytes().abs_diff(before) <= before / 2, "{} of {before}", block.bytes());
        block.layers[0].samples = vec![0.0; 10_000];
        let grown = block.to_bytes().unwrap().len() - before;
        assert_eq!(grown, 40_000);
        assert!(block.bytes() > before + grown / 2);
    }
}
