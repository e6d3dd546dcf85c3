//! Lists of units as text: `conv1:0-15`, `conv1:all`, `class:0-9`, `class:goldfish,zebra`.

pub(crate) mod error;

use oneiro::objective::{Objective, Unit, UnitTarget};

use super::LoadedModel;
use crate::context::Context;
use crate::error::Result;
use crate::numbers::parse_list;
use crate::remark::ScanRemark;
use crate::store::ScanFile;

pub use error::UnitListError;

/// Maximum number of elements of a range. A longer range counts as a typing error.
const MOST: u64 = 100_000;

/// The channels or classes of a list, given by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbers {
    /// All channels or classes.
    All,
    /// The channels or classes with these indices.
    Of(Vec<usize>),
}

/// Units in the notation of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitList {
    /// One unit: `conv1:5`, `conv1`, `class:zebra`. Also several classes by name, which can be distinguished
    /// from one class only by the labels.
    Single {
        /// The unit as the user wrote it.
        text: String,
        /// The unit that the text means.
        unit: Unit,
    },
    /// Channels of a layer: `conv1:0-15`, `conv1:5,12@center`.
    Channels {
        /// The layer as written, with or without quotes.
        layer: String,
        /// The channels of the layer.
        channels: Numbers,
        /// The position as written: `@3,7`; empty for the mean over all positions.
        position: String,
    },
    /// Classes by index: `class:0-9`, `class:all`.
    Classes(Numbers),
    /// The unit of a layer that responds most to a class, according to a scan: `class-best:goldfish@fire8`.
    ClassBest(String),
}

/// A unit of a list, with its name and objective.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedUnit {
    /// Name of the layer, or "classes".
    pub group: String,
    /// The unit's label within its group: "channel 5", "goldfish".
    pub caption: String,
    /// The unit in the command line's notation.
    pub unit: String,
    /// The objective that shows the unit.
    pub objective: Objective,
}

/// Prefix of the text of a unit that is determined by a scan.
pub const CLASS_BEST: &str = "class-best:";

/// Name of the group in which classes are listed.
pub const CLASSES: &str = "classes";

impl Numbers {
    /// Parses a list of indices: `all`, `0-15`, `5,12,40`, or a combination.
    ///
    /// # Errors
    /// The error names the part that is no number and no range.
    pub fn parse(text: &str) -> Result<Self, UnitListError> {
        if text.trim() == "all" {
            return Ok(Self::All);
        }
        Ok(Self::Of(parse_list(text, MOST)?.into_iter().map(|n| n as usize).collect()))
    }

    /// Returns the indices. `count` computes the number of all channels or classes.
    fn listed(&self, count: impl FnOnce() -> Result<usize>) -> Result<Vec<usize>> {
        match self {
            Self::All => Ok((0..count()?).collect()),
            Self::Of(numbers) => Ok(numbers.clone()),
        }
    }
}

impl UnitList {
    /// Parses units. Names are not checked, since only a network knows them.
    ///
    /// # Errors
    /// Those of [`Numbers::parse`], and if the text is no unit either.
    pub fn parse(text: &str) -> Result<Self> {
        let is_list = |t: &str| {
            let marks = t.contains(['-', ',']) && t.starts_with(|c: char| c.is_ascii_digit());
            t == "all" || marks && t.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ',' | ' '))
        };
        match text.rsplit_once(':') {
            _ if text.starts_with(CLASS_BEST) => Ok(Self::ClassBest(text.to_owned())),
            Some(("class", numbers)) if is_list(numbers.trim()) => {
                Ok(Self::Classes(Numbers::parse(numbers)?))
            }
            Some((layer, rest)) if layer != "class" && !layer.is_empty() => {
                let (channels, position) = rest.split_at(rest.find('@').unwrap_or(rest.len()));
                if !is_list(channels.trim()) {
                    return Ok(Self::Single { text: text.to_owned(), unit: text.parse()? });
                }
                let (layer, position) = (layer.to_owned(), position.to_owned());
                Ok(Self::Channels { layer, channels: Numbers::parse(channels)?, position })
            }
            _ => Ok(Self::Single { text: text.to_owned(), unit: text.parse()? }),
        }
    }

    /// Replaces a unit that is determined by a scan by the unit itself.
    ///
    /// # Errors
    /// If the scan has no such class or layer.
    pub fn by_scan(self, context: &Context, scan: &ScanFile) -> Result<Self> {
        let Self::ClassBest(text) = self else { return Ok(self) };
        let (unit, named) = scan.unit_named(&text)?;
        let found = format!("\"{}\":{}", named.layer.name, unit.channel);
        context.remark(ScanRemark::ClassBest {
            unit: text,
            found: format!("{}:{}", named.layer.name, unit.channel),
        });
        Self::parse(&found)
    }

    /// Returns the names of all units that a text means in a scan: `conv1:0-15` is sixteen. Other texts are
    /// returned unchanged.
    ///
    /// # Errors
    /// Those of [`Numbers::parse`], and if the scan does not have the layer.
    pub fn in_scan(text: &str, scan: &ScanFile) -> Result<Vec<String>> {
        let (prefix, numbers, count) = match Self::parse(text) {
            Ok(Self::Channels { layer, channels, position }) if position.is_empty() => {
                let named = scan.layer(layer.trim_matches('"'))?;
                let count = named.form.map_or(named.layer.channels, |form| form.channels);
                (layer, channels, count)
            }
            Ok(Self::Classes(numbers)) => ("class".to_owned(), numbers, scan.layer("class")?.layer.channels),
            // A label may contain commas.
            Ok(Self::Single { unit: Unit { target: UnitTarget::Class(names), .. }, .. })
                if names.contains(',') && !text.contains('"') && scan.unit_named(text).is_err() =>
            {
                return Ok(names.split(',').map(|name| format!("class:{}", name.trim())).collect());
            }
            _ => return Ok(vec![text.to_owned()]),
        };
        let numbers = numbers.listed(|| Ok(count))?;
        Ok(numbers.into_iter().map(|number| format!("{prefix}:{number}")).collect())
    }

    /// Parses classes: a name, an index, or several of them: `goldfish,zebra`, `0-9`, `all`.
    ///
    /// # Errors
    /// The errors of [`UnitList::parse`].
    pub fn parse_classes(text: &str) -> Result<Self> {
        Self::parse(&format!("class:{text}"))
    }

    /// Returns the units of a network. `size` is the height and width of the pictures, if they are not the
    /// network's own.
    ///
    /// # Errors
    /// If the network does not have a layer or class, or if the number of channels or classes is not known.
    pub fn resolve(
        &self,
        context: &Context,
        model: &LoadedModel,
        size: Option<[usize; 2]>,
    ) -> Result<Vec<NamedUnit>> {
        match self {
            Self::Single { text, unit } => single(model, text, unit),
            Self::Channels { layer, channels, position } => {
                let count = || model.channels_of(context, layer.trim_matches('"'), size);
                let of_channel = |channel: usize| {
                    let text = format!("{layer}:{channel}{position}");
                    of_layer(model, &text, &text.parse()?)
                };
                channels.listed(count)?.into_iter().map(of_channel).collect()
            }
            Self::ClassBest(text) => Err(UnitListError::NeedsScan { unit: text.clone() }.into()),
            Self::Classes(numbers) => {
                let count = || model.model.class_count().ok_or_else(|| UnitListError::ClassCount.into());
                let of_class = |class: usize| of_class(model, &class.to_string());
                numbers.listed(count)?.into_iter().map(of_class).collect()
            }
        }
    }
}

fn single(model: &LoadedModel, text: &str, unit: &Unit) -> Result<Vec<NamedUnit>> {
    let UnitTarget::Class(names) = &unit.target else { return Ok(vec![of_layer(model, text, unit)?]) };
    // A label may contain commas: "great white shark, white shark".
    match of_class(model, names) {
        Err(_) if names.contains(',') && !text.contains('"') => {
            names.split(',').map(|name| of_class(model, name.trim())).collect()
        }
        class => Ok(vec![NamedUnit { unit: text.to_owned(), ..class? }]),
    }
}

/// Returns the unit of a text that names no class.
fn of_layer(model: &LoadedModel, text: &str, unit: &Unit) -> Result<NamedUnit> {
    let (group, caption) = match &unit.target {
        UnitTarget::Channel(layer, row) if model.directions_of(layer).is_some() => {
            (layer, format!("direction {row}"))
        }
        UnitTarget::Channel(layer, channel) => (layer, format!("channel {channel}")),
        UnitTarget::Neuron(layer, channel, _) => {
            let position = text.rsplit_once('@').map_or("", |(_, position)| position);
            (layer, format!("channel {channel}@{position}"))
        }
        UnitTarget::Layer(name) | UnitTarget::Class(name) => (name, "all channels".to_owned()),
    };
    let objective = model.objective(unit)?;
    Ok(NamedUnit { group: group.clone(), caption, unit: text.to_owned(), objective })
}

/// Returns a class by its name or index. A class given by index is named by its label.
fn of_class(model: &LoadedModel, name: &str) -> Result<NamedUnit> {
    let class = model.class_index(name)?;
    let objective = Objective::logit(class);
    let of =
        |caption: String, unit: String| NamedUnit { group: CLASSES.to_owned(), caption, unit, objective };
    if name.parse() != Ok(class) {
        return Ok(of(name.to_owned(), format!("class:{name}")));
    }
    let label = model.class_name(class);
    let short = label.split(',').next().unwrap_or(&label).trim();
    // If two classes have the same name, only the index identifies the class.
    Ok(match model.class_index(short) {
        Ok(found) if found == class => of(short.to_owned(), format!("class:{short}")),
        _ => of(format!("{short} ({class})"), format!("class:{class}")),
    })
}

impl LoadedModel {
    /// Returns the number of channels of a layer. `size` is the height and width of the pictures, if they are
    /// not the network's own.
    ///
    /// # Errors
    /// If there is no such layer, or if its channels are not known.
    pub fn channels_of(&self, context: &Context, layer: &str, size: Option<[usize; 2]>) -> Result<usize> {
        if let Some((_, file)) = self.directions_of(layer) {
            return Ok(self.directions(file)?.count);
        }
        let value = self.model.resolve(layer)?;
        let shapes = self.model.input_shapes(1, size)?;
        Ok(context.compute(|| self.model.map_of(value, &shapes))?.shape()[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_mix_ranges_and_numbers() {
        assert_eq!(Numbers::parse("0-2,7, 9"), Ok(Numbers::Of(vec![0, 1, 2, 7, 9])));
        assert_eq!(Numbers::parse("all"), Ok(Numbers::All));
        for bad in ["", "a", "3-1", "1-", "-1", "0-200000", "all,3"] {
            assert!(Numbers::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_lists_of_numbers_are_lists() {
        let channels = |text: &str| match UnitList::parse(text).unwrap() {
            UnitList::Channels { layer, channels, position } => Some((layer, channels, position)),
            _ => None,
        };
        let of = |numbers: &[usize]| Numbers::Of(numbers.to_vec());
        assert_eq!(channels("a.b:0-2"), Some(("a.b".into(), of(&[0, 1, 2]), String::new())));
        assert_eq!(channels("\"a:b\":4,6@1,2"), Some(("\"a:b\"".into(), of(&[4, 6]), "@1,2".into())));
        assert_eq!(channels("conv:all@center"), Some(("conv".into(), Numbers::All, "@center".into())));
        for single in ["conv1:3", "conv1:3@1,2", "conv1", "class:goldfish", "class:great white shark, shark"]
        {
            assert!(matches!(UnitList::parse(single).unwrap(), UnitList::Single { .. }), "{single}");
        }
        assert_eq!(UnitList::parse_classes("0-1").unwrap(), UnitList::Classes(of(&[0, 1])));
        assert_eq!(UnitList::parse_classes("all").unwrap(), UnitList::Classes(Numbers::All));
        for bad in ["conv1:2-", "conv1:5-3", "conv1:-1", "class:"] {
            assert!(UnitList::parse(bad).is_err(), "{bad}");
        }
    }
}
