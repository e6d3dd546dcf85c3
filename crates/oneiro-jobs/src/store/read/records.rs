//! What a scan's file says: layers, units, examples, classes.

use oneiro_net::analysis::ReceptiveField;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A layer of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRecord {
    /// Its number in the scan.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Names of values of which it is the last form, such as the convolution in front of its ReLU, each
    /// with the layer's channel that its first channel is.
    pub forms: Vec<(String, usize)>,
    /// Whether its units are the network's classes.
    pub is_classes: bool,
    /// Number of channels.
    pub channels: usize,
    /// Extents of its map: height and width, or as many axes as it has.
    pub map: Vec<usize>,
    /// What one of its positions sees in the picture.
    pub field: Option<ReceptiveField>,
}

impl LayerRecord {
    /// Whether its map has more than one position.
    pub fn has_positions(&self) -> bool {
        self.map.iter().product::<usize>() > 1
    }

    /// The index along each axis of a position that is counted row by row.
    pub fn position(&self, place: usize) -> Vec<usize> {
        let mut rest = place;
        let mut position: Vec<usize> = self
            .map
            .iter()
            .rev()
            .map(|extent| {
                let at = rest % extent.max(&1);
                rest /= extent.max(&1);
                at
            })
            .collect();
        position.reverse();
        position
    }

    /// The pixels that a position sees, also beyond the picture's border: from the first to the one behind
    /// the last, along each axis. `None` where that is not known.
    pub fn field_at(&self, position: &[usize], size: [usize; 2]) -> Option<[[i64; 2]; 2]> {
        let field = self.field.as_ref()?;
        if !field.is_regular || field.extent.len() != 2 || position.len() != 2 {
            return None;
        }
        let along = |axis: usize| {
            if field.sees_all(axis, size[axis]) {
                return [0, size[axis] as i64];
            }
            let from = field.first[axis] + (position[axis] * field.stride[axis]) as i64;
            [from, from + field.extent[axis] as i64]
        };
        Some([along(0), along(1)])
    }

    /// The pixels that a position sees in a picture of this height and width: from the first to the one
    /// behind the last, along each axis. The whole picture where that is not known.
    pub fn seen(&self, position: &[usize], size: [usize; 2]) -> [[usize; 2]; 2] {
        let field = self.field.as_ref().and_then(|field| field.of_position(position, &size));
        match field.as_deref() {
            Some(&[rows, columns]) if rows[1] > rows[0] && columns[1] > columns[0] => [rows, columns],
            _ => size.map(|side| [0, side]),
        }
    }
}

/// An image in a list of a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleRecord {
    /// Its number.
    pub image: u32,
    /// Its file, relative to the scanned folder.
    pub file: String,
    /// Its class.
    pub class: Option<String>,
    /// The unit's value.
    pub value: f64,
    /// The value in front of the layer's ReLU.
    pub before: f64,
    /// The position of the largest activation, in the layer's map.
    pub position: Vec<usize>,
}

impl Serialize for ExampleRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("file", &self.file)?;
        map.serialize_entry("class", &self.class)?;
        map.serialize_entry("value", &self.value)?;
        for (name, at) in ["x", "y", "t"].into_iter().zip(self.position.iter().rev()) {
            map.serialize_entry(name, at)?;
        }
        map.end()
    }
}

/// What the images of a class do to a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRecord {
    /// The class.
    pub name: String,
    /// Mean over its images and all positions; `None` without images.
    pub mean: Option<f32>,
    /// Largest activation in any of its images.
    pub maximum: Option<f32>,
    /// The image that it is in.
    pub best: Option<u32>,
}

/// A unit of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitRecord {
    /// Its number in the file.
    pub number: i64,
    /// Its layer.
    pub layer: String,
    /// Its channel.
    pub channel: usize,
    /// Largest activation; `None` if no position of any image is a number.
    pub maximum: Option<f64>,
    /// Mean over all positions of all images.
    pub mean: Option<f64>,
    /// Variance over all positions of all images.
    pub variance: Option<f64>,
    /// Share of positions above zero.
    pub fraction_active: Option<f64>,
    /// Positions that are numbers.
    pub positions: u64,
    /// Positions that are none.
    pub not_finite: u64,
    /// Images with the largest activations, the largest first.
    pub best: Vec<ExampleRecord>,
    /// Images whose largest activation is the smallest, the smallest first.
    pub worst: Vec<ExampleRecord>,
    /// Images with the largest means.
    pub best_by_mean: Vec<ExampleRecord>,
    /// What the images of each class do.
    pub classes: Vec<ClassRecord>,
}

impl Serialize for UnitRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Classes as an object, in their order.
        struct Classes<'a>(&'a [ClassRecord]);
        impl Serialize for Classes<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let entries = self.0.iter().map(|class| {
                    (&class.name, serde_json::json!({ "maximum": class.maximum, "mean": class.mean }))
                });
                serializer.collect_map(entries)
            }
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("layer", &self.layer)?;
        map.serialize_entry("channel", &self.channel)?;
        map.serialize_entry("maximum", &self.maximum)?;
        map.serialize_entry("mean", &self.mean)?;
        map.serialize_entry("variance", &self.variance)?;
        map.serialize_entry("fraction_active", &self.fraction_active)?;
        if self.not_finite > 0 {
            map.serialize_entry("not_finite", &self.not_finite)?;
        }
        map.serialize_entry("best", &self.best)?;
        map.serialize_entry("worst", &self.worst)?;
        map.serialize_entry("best_by_mean", &self.best_by_mean)?;
        map.serialize_entry("classes", &Classes(&self.classes))?;
        map.end()
    }
}

/// A class of the scanned images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataClass {
    /// Its name.
    pub name: String,
    /// The network's class that it stands for.
    pub label: Option<usize>,
    /// Number of its images that were seen.
    pub images: usize,
    /// Number of them that the network names as its class.
    pub right: usize,
}

/// An image of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecord {
    /// Its file, relative to the scanned folder.
    pub file: String,
    /// Its class.
    pub class: Option<String>,
    /// The network's class that was named first.
    pub named: Option<usize>,
    /// Its probability.
    pub probability: Option<f64>,
    /// Bytes of its file when it was scanned.
    pub bytes: u64,
}
