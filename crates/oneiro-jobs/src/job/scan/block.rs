//! The statistics of all layers over a block of consecutive images, the unit in which a scan works.

use oneiro::unit_statistics::{
    ClassResponse, Example, LayerStatistics, Moments, Order, Ranking, UnitStatistics,
};

use crate::error::Result;
use crate::job::error::JobError;
use crate::job::parts::Stored;
use crate::source::dataset::{Problem, ProblemKind};

/// An image that the network was run on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeenImage {
    /// Index of the image in the data set.
    pub image: u32,
    /// Height and width of the picture in the image's file.
    pub size: [u32; 2],
    /// The class that the network predicts, and its probability.
    pub named: Option<(u32, f32)>,
}

/// Statistics of all scanned layers over some images.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Statistics of each layer, in the order of the scan's layers.
    pub layers: Vec<LayerStatistics>,
    /// The images that the network was run on, in order.
    pub images: Vec<SeenImage>,
    /// Problems with the images that could not be used.
    pub problems: Vec<Problem>,
    /// Number of images with a logit that is not finite.
    pub not_finite: u32,
}

impl Block {
    /// Creates a block without images. `channels` has each layer's number of channels; example lists hold
    /// `examples` images.
    pub fn new(channels: &[usize], examples: usize) -> Self {
        let layers = channels.iter().map(|channels| LayerStatistics::new(*channels, examples)).collect();
        Self { layers, images: Vec::new(), problems: Vec::new(), not_finite: 0 }
    }

    /// Returns about how many bytes the block takes in a file.
    pub fn bytes(&self) -> usize {
        let example = 16;
        let of_layer = |layer: &LayerStatistics| {
            let lists = layer.units.iter().flat_map(|unit| [&unit.best, &unit.worst, &unit.best_by_mean]);
            let lists: usize = lists.map(|list| list.examples().len()).sum();
            let responses: usize = layer.classes.values().map(|responses| responses.len()).sum();
            60 * layer.units.len() + example * lists + 20 * responses + 4 * layer.samples.len()
        };
        self.layers.iter().map(of_layer).sum::<usize>() + 24 * self.images.len()
    }

    /// Appends the block of the images that follow.
    pub fn merge(&mut self, other: Self) {
        self.layers.iter_mut().zip(&other.layers).for_each(|(own, other)| own.merge(other));
        self.images.extend(other.images);
        self.problems.extend(other.problems);
        self.not_finite += other.not_finite;
    }
}

impl Stored for Block {
    fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = Writer(Vec::with_capacity(self.bytes()));
        out.u32(self.layers.len() as u32);
        for layer in &self.layers {
            out.layer(layer);
        }
        out.u32(self.images.len() as u32);
        for seen in &self.images {
            let (class, probability) = seen.named.unwrap_or((u32::MAX, 0.0));
            [seen.image, seen.size[0], seen.size[1], class].into_iter().for_each(|n| out.u32(n));
            out.f32(probability);
        }
        out.u32(self.not_finite);
        out.0.extend(serde_json::to_vec(&self.problems)?);
        Ok(out.0)
    }

    fn is_final(&self) -> bool {
        // A block with a file that could not be read is not final: the file may be readable next time.
        let passing = [ProblemKind::Unreadable, ProblemKind::Missing];
        !self.problems.iter().any(|problem| passing.contains(&problem.kind))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader(bytes);
        read(&mut from).ok_or_else(|| JobError::CutOff.into())
    }
}

fn read(from: &mut Reader<'_>) -> Option<Block> {
    let layers = from.u32()?;
    let layers = (0..layers).map(|_| from.layer()).collect::<Option<Vec<_>>>()?;
    let images = from.u32()?;
    let mut image = || {
        let [image, height, width, class] = [from.u32()?, from.u32()?, from.u32()?, from.u32()?];
        let probability = from.f32()?;
        let named = (class != u32::MAX).then_some((class, probability));
        Some(SeenImage { image, size: [height, width], named })
    };
    let images = (0..images).map(|_| image()).collect::<Option<Vec<_>>>()?;
    let not_finite = from.u32()?;
    Some(Block { layers, images, problems: serde_json::from_slice(from.0).ok()?, not_finite })
}

/// Version of the encoding. Parts with another one are made anew.
pub(super) const ENCODING: &str = "2";

/// Writes numbers as bytes, in little-endian order.
struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn f32(&mut self, value: f32) {
        self.u32(value.to_bits());
    }

    fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    fn ranking(&mut self, ranking: &Ranking) {
        self.u32(ranking.examples().len() as u32);
        for example in ranking.examples() {
            self.u32(example.image);
            self.f32(example.value);
            self.f32(example.before);
            self.u32(example.place);
        }
    }

    /// Writes the responses to a class column by column. Of a class with one image, all channels have the
    /// same count and image, and their sums are single numbers.
    fn responses(&mut self, responses: &[ClassResponse]) {
        self.column(responses.iter().map(|response| response.count));
        let short = |sum: f64| f64::from(sum as f32).to_bits() == sum.to_bits();
        let all_short = responses.iter().all(|response| short(response.sum));
        self.0.push(u8::from(all_short));
        match all_short {
            true => responses.iter().for_each(|response| self.f32(response.sum as f32)),
            false => responses.iter().for_each(|response| self.f64(response.sum)),
        }
        responses.iter().for_each(|response| self.f32(response.maximum));
        self.column(responses.iter().map(|response| response.best));
    }

    /// Writes numbers, or one number if all are equal.
    fn column(&mut self, mut numbers: impl Iterator<Item = u32> + Clone) {
        let mut rest = numbers.clone();
        let first = rest.next();
        let alike = rest.all(|number| Some(number) == first);
        self.0.push(u8::from(alike));
        match alike {
            true => numbers.next().into_iter().for_each(|number| self.u32(number)),
            false => numbers.for_each(|number| self.u32(number)),
        }
    }

    fn layer(&mut self, layer: &LayerStatistics) {
        self.u32(layer.units.len() as u32);
        for unit in &layer.units {
            self.u32(unit.best.capacity() as u32);
            [&unit.best, &unit.worst, &unit.best_by_mean].into_iter().for_each(|list| self.ranking(list));
            let Moments { count, not_finite, active, maximum, mean, spread } = unit.moments;
            [count, not_finite, active].into_iter().for_each(|n| self.u64(n));
            self.f32(maximum);
            self.f64(mean);
            self.f64(spread);
        }
        self.u32(layer.classes.len() as u32);
        for (class, responses) in &layer.classes {
            self.u32(*class);
            self.responses(responses);
        }
        self.u32(layer.samples.len() as u32);
        layer.samples.iter().for_each(|sample| self.f32(*sample));
    }
}

/// Reads numbers that [`Writer`] wrote; returns `None` if the bytes end early.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn f32(&mut self) -> Option<f32> {
        self.u32().map(f32::from_bits)
    }

    fn f64(&mut self) -> Option<f64> {
        self.u64().map(f64::from_bits)
    }

    fn ranking(&mut self, order: Order, capacity: usize) -> Option<Ranking> {
        let count = self.u32()?;
        let mut example = || {
            Some(Example { image: self.u32()?, value: self.f32()?, before: self.f32()?, place: self.u32()? })
        };
        let examples = (0..count).map(|_| example()).collect::<Option<Vec<_>>>()?;
        Some(Ranking::restored(order, capacity, examples))
    }

    fn unit(&mut self) -> Option<UnitStatistics> {
        let capacity = self.u32()? as usize;
        Some(UnitStatistics {
            best: self.ranking(Order::Largest, capacity)?,
            worst: self.ranking(Order::Smallest, capacity)?,
            best_by_mean: self.ranking(Order::Largest, capacity)?,
            moments: Moments {
                count: self.u64()?,
                not_finite: self.u64()?,
                active: self.u64()?,
                maximum: self.f32()?,
                mean: self.f64()?,
                spread: self.f64()?,
            },
        })
    }

    fn flag(&mut self) -> Option<bool> {
        let (flag, rest) = self.0.split_first()?;
        self.0 = rest;
        (*flag < 2).then_some(*flag == 1)
    }

    fn responses(&mut self, channels: usize) -> Option<Vec<ClassResponse>> {
        let counts = self.column(channels)?;
        let mut sum: fn(&mut Self) -> Option<f64> = Self::f64;
        if self.flag()? {
            sum = |from| from.f32().map(f64::from);
        }
        let sums = (0..channels).map(|_| sum(self)).collect::<Option<Vec<_>>>()?;
        let maxima = (0..channels).map(|_| self.f32()).collect::<Option<Vec<_>>>()?;
        let bests = self.column(channels)?;
        let response =
            |i| ClassResponse { count: counts[i], sum: sums[i], maximum: maxima[i], best: bests[i] };
        Some((0..channels).map(response).collect())
    }

    fn column(&mut self, channels: usize) -> Option<Vec<u32>> {
        if self.flag()? && channels > 0 {
            return Some(vec![self.u32()?; channels]);
        }
        (0..channels).map(|_| self.u32()).collect()
    }

    fn layer(&mut self) -> Option<LayerStatistics> {
        let channels = self.u32()?;
        let units = (0..channels).map(|_| self.unit()).collect::<Option<Vec<_>>>()?;
        let mut layer = LayerStatistics { units, ..LayerStatistics::new(0, 0) };
        for _ in 0..self.u32()? {
            let class = self.u32()?;
            let responses = self.responses(channels as usize)?;
            layer.classes.insert(class, responses);
        }
        let samples = self.u32()?;
        layer.samples = (0..samples).map(|_| self.f32()).collect::<Option<Vec<_>>>()?;
        Some(layer)
    }
}

#[cfg(test)]
mod tests {
    use oneiro::layer_summaries::Summaries;
    use oneiro::unit_statistics::{Seen, Source};
    use oneiro_net::summary;

    use super::*;

    fn block() -> Block {
        let mut block = Block::new(&[2, 1], 3);
        for image in 0..5 {
            let source = Source { image, class: Some(image % 2), samples: 1, listed: true };
            for layer in &mut block.layers {
                let count = layer.units.len() * summary::len(1);
                let numbers: Vec<f32> =
                    (0..count).map(|i| ((i as u32 * 7 + image * 5) % 11) as f32).collect();
                let channels = layer.units.len();
                let summaries = Summaries { numbers: &numbers, channels, clip: [0.0, f32::INFINITY] };
                layer.add(&[Seen { source, pieces: vec![summaries], relevance: None }], 100);
            }
            block.images.push(SeenImage { image, size: [3, 4], named: (image > 0).then_some((1, 0.5)) });
        }
        let why = "it is cut off".to_owned();
        block.problems.push(Problem { file: "a/b.png".into(), kind: ProblemKind::Damaged, why });
        block.not_finite = 1;
        block
    }

    #[test]
    fn a_block_is_read_as_it_was_written() {
        let (block, bytes) = (block(), block().to_bytes().unwrap());
        assert_eq!(Block::from_bytes(&bytes).unwrap(), block);
        for len in [0, 3, bytes.len() / 2, bytes.len() - 1] {
            assert!(Block::from_bytes(&bytes[..len]).is_err(), "{len}");
        }
    }
}
