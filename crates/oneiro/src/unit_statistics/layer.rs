//! Statistics of all units of a layer.

use std::collections::BTreeMap;

use oneiro_net::summary::{self, ChannelSummary};

use super::{ClassResponse, Response, UnitStatistics};

/// An image of a data set, as statistics know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its number.
    pub image: u32,
    /// Its class in the data set, if it has one.
    pub class: Option<u32>,
    /// Samples that are taken from it.
    pub samples: usize,
}

/// What data does to the units of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerStatistics {
    /// The units, by channel.
    pub units: Vec<UnitStatistics>,
    /// What the images of each class do to each unit.
    pub classes: BTreeMap<u32, Vec<ClassResponse>>,
    /// Activations at positions drawn at random: one after another those of all units, so that the k-th of
    /// every unit is of the same image and position.
    pub samples: Vec<f32>,
}

impl LayerStatistics {
    /// Nothing yet, of so many channels. Lists hold `examples` images.
    pub fn new(channels: usize, examples: usize) -> Self {
        Self {
            units: vec![UnitStatistics::new(examples); channels],
            classes: BTreeMap::new(),
            samples: Vec::new(),
        }
    }

    /// Takes an image: the summaries of all channels, one after another, of maps of so many positions that
    /// the layer clips to `clip`.
    ///
    /// # Panics
    /// If the summaries are not those of all channels.
    pub fn add(&mut self, source: Source, summaries: &[f32], positions: usize, clip: [f32; 2]) {
        let channels = self.units.len();
        let len = summaries.len() / channels.max(1);
        assert_eq!(summaries.len(), len * channels, "summaries of {channels} channels");
        let mut of_class = source.class.map(|class| {
            self.classes.entry(class).or_insert_with(|| vec![ClassResponse::default(); channels])
        });
        for (channel, (unit, numbers)) in self.units.iter_mut().zip(summaries.chunks_exact(len)).enumerate() {
            let response = Response::new(source.image, ChannelSummary::new(numbers), positions, clip);
            unit.add(&response);
            if let Some(of_class) = &mut of_class {
                of_class[channel].add(&response);
            }
        }
        for sample in 0..source.samples.min(len - summary::len(0)) {
            let at = |channel: usize| summaries[channel * len + summary::len(sample)];
            self.samples.extend((0..channels).map(|channel| at(channel).max(clip[0]).min(clip[1])));
        }
    }

    /// Takes what another has gathered of the same layer from the images behind these.
    pub fn merge(&mut self, other: &Self) {
        for (unit, other) in self.units.iter_mut().zip(&other.units) {
            unit.merge(other);
        }
        for (class, responses) in &other.classes {
            let own = self.classes.entry(*class);
            let own = own.or_insert_with(|| vec![ClassResponse::default(); responses.len()]);
            own.iter_mut().zip(responses).for_each(|(own, other)| own.merge(other));
        }
        self.samples.extend(&other.samples);
    }

    /// The sampled activations of a unit.
    pub fn samples_of(&self, channel: usize) -> Vec<f32> {
        self.samples.iter().skip(channel).step_by(self.units.len().max(1)).copied().collect()
    }
}
