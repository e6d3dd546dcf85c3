//! Records in a scan's file: layers, units, examples, classes.

use oneiro_net::analysis::ReceptiveField;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A layer of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRecord {
    /// The layer's index in the scan.
    pub number: usize,
    /// The layer's name.
    pub name: String,
    /// The layer's other names.
    pub aliases: Vec<String>,
    /// Names of the values whose last form the layer is, such as the convolution before its ReLU. With each,
    /// the layer's channel that corresponds to the value's first channel.
    pub forms: Vec<(String, usize)>,
    /// Whether the units are the network's classes.
    pub is_classes: bool,
    /// Number of channels.
    pub channels: usize,
    /// Extents of the map: height and width, or as many axes as the layer has.
    pub map: Vec<usize>,
    /// The receptive field of one position.
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

    /// Returns the receptive field of a position, which may extend beyond the picture's border. Along each
    /// axis, it is the first pixel and the one after the last. Returns `None` if it is not known.
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

    /// Returns the part of a position's receptive field that lies inside a picture of this height and width.
    /// Along each axis, it is the first pixel and the one after the last. Returns the whole picture if it is
    /// not known.
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
    /// The image's index.
    pub image: u32,
    /// The image's file, relative to the scanned folder.
    pub file: String,
    /// The image's class.
    pub class: Option<String>,
    /// The unit's value.
    pub value: f64,
    /// The value before the layer's ReLU.
    pub before: f64,
    /// The position of the largest activation in the layer's map.
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

/// A unit's responses to the images of a class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRecord {
    /// The class.
    pub name: String,
    /// Mean over the class's images and all positions; `None` without images.
    pub mean: Option<f32>,
    /// Largest activation in any of the class's images.
    pub maximum: Option<f32>,
    /// The image with the largest activation.
    pub best: Option<u32>,
}

/// A unit of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitRecord {
    /// The unit's index in the file.
    pub number: i64,
    /// The unit's layer.
    pub layer: String,
    /// The unit's channel.
    pub channel: usize,
    /// Largest activation; `None` if no position of any image is finite.
    pub maximum: Option<f64>,
    /// Mean over all positions of all images.
    pub mean: Option<f64>,
    /// Variance over all positions of all images.
    pub variance: Option<f64>,
    /// Share of positions above zero.
    pub fraction_active: Option<f64>,
    /// Number of finite positions.
    pub positions: u64,
    /// Number of positions that are not finite.
    pub not_finite: u64,
    /// Images with the largest activations, largest first.
    pub best: Vec<ExampleRecord>,
    /// Images whose largest activation is the smallest, smallest first.
    pub worst: Vec<ExampleRecord>,
    /// Images with the largest means, largest first.
    pub best_by_mean: Vec<ExampleRecord>,
    /// The responses to the images of each class.
    pub classes: Vec<ClassRecord>,
}

impl Serialize for UnitRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Serializes the classes as a JSON object, in their order.
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
    /// The class's name.
    pub name: String,
    /// The network's class that corresponds to the class.
    pub label: Option<usize>,
    /// Number of the class's images that were read.
    pub images: usize,
    /// Number of these images for which the network predicts the class.
    pub right: usize,
}

/// An image of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecord {
    /// The image's file, relative to the scanned folder.
    pub file: String,
    /// The image's class.
    pub class: Option<String>,
    /// The class that the network predicts.
    pub named: Option<usize>,
    /// The probability of the predicted class.
    pub probability: Option<f64>,
    /// Size of the file in bytes at the time of the scan.
    pub bytes: u64,
}
