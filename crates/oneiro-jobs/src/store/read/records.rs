//! Records of a scan's file: layers, units, examples, classes.

use oneiro_net::analysis::ReceptiveField;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// An earlier form of some of a layer's channels, by one of its names. A file has it as an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, usize, usize)", into = "(String, usize, usize)")]
pub struct LayerForm {
    /// The form's name.
    pub name: String,
    /// The layer's channel to which the form's first channel corresponds.
    pub first: usize,
    /// Number of the form's channels.
    pub channels: usize,
}

impl From<(String, usize, usize)> for LayerForm {
    fn from((name, first, channels): (String, usize, usize)) -> Self {
        Self { name, first, channels }
    }
}

impl From<LayerForm> for (String, usize, usize) {
    fn from(form: LayerForm) -> Self {
        (form.name, form.first, form.channels)
    }
}

/// A layer of a scan, as its file describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRecord {
    /// The layer's index in the scan.
    pub number: usize,
    /// The layer's name.
    pub name: String,
    /// The layer's other names.
    pub aliases: Vec<String>,
    /// Earlier forms of the layer's values, such as the convolution before its ReLU, by each of their names.
    pub forms: Vec<LayerForm>,
    /// Whether the layer's units are the network's classes.
    pub is_classes: bool,
    /// Number of the layer's channels.
    pub channels: usize,
    /// Height and width of the layer's map, or its extents along other axes.
    pub map: Vec<usize>,
    /// The receptive field of the layer's positions.
    pub field: Option<ReceptiveField>,
}

impl LayerRecord {
    /// Whether the layer's map has more than one position.
    pub fn has_positions(&self) -> bool {
        self.map.iter().product::<usize>() > 1
    }

    /// Converts a position's number, counted row by row, to its index along each axis of the map.
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

    /// Returns the receptive field of a position, which may extend beyond the picture's border: along each
    /// axis the first pixel, and the pixel after the last. Returns `None` if it is not known.
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

    /// Returns the part of a position's receptive field inside a picture of this height and width: along each
    /// axis the first pixel, and the pixel after the last. If it is not known, returns the whole picture.
    pub fn seen(&self, position: &[usize], size: [usize; 2]) -> [[usize; 2]; 2] {
        let field = self.field.as_ref().and_then(|field| field.of_position(position, &size));
        match field.as_deref() {
            Some(&[rows, columns]) if rows[1] > rows[0] && columns[1] > columns[0] => [rows, columns],
            _ => size.map(|side| [0, side]),
        }
    }
}

/// An example image in one of a unit's lists.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleRecord {
    /// Index of the image in the scan.
    pub image: u32,
    /// Path of the image's file, relative to the scanned folder.
    pub file: String,
    /// The image's class, if it is known.
    pub class: Option<String>,
    /// The unit's value by which the list is ordered.
    pub value: f64,
    /// The unit's value before the layer's ReLU.
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

/// Statistics of a unit over the images of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRecord {
    /// The class's name.
    pub name: String,
    /// Mean over the class's images and all positions; `None` without images.
    pub mean: Option<f32>,
    /// Largest activation in any of the class's images.
    pub maximum: Option<f32>,
    /// The image with the largest activation.
    pub best: Option<u32>,
}

/// A unit of a scan, with its statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitRecord {
    /// Index of the unit in the scan's file.
    pub number: i64,
    /// Name of the unit's layer.
    pub layer: String,
    /// Index of the unit's channel in the layer.
    pub channel: usize,
    /// Largest activation; `None` if no position of any image is finite.
    pub maximum: Option<f64>,
    /// Mean over all positions of all images.
    pub mean: Option<f64>,
    /// Variance over all positions of all images.
    pub variance: Option<f64>,
    /// Share of positions whose activation is above zero.
    pub fraction_active: Option<f64>,
    /// Number of positions with a finite activation.
    pub positions: u64,
    /// Number of positions whose activation is not finite.
    pub not_finite: u64,
    /// Images with the largest activations, largest first.
    pub best: Vec<ExampleRecord>,
    /// Images whose largest activation is the smallest, smallest first.
    pub worst: Vec<ExampleRecord>,
    /// Images with the largest mean activations, largest first.
    pub best_by_mean: Vec<ExampleRecord>,
    /// Statistics of the unit over the images of each class.
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
    /// The class's name in the data set.
    pub name: String,
    /// Index of the network's class that corresponds to this class, if it is known.
    pub label: Option<usize>,
    /// Number of images of the class that could be read.
    pub images: usize,
    /// Number of these images for which the network predicts the right class.
    pub right: usize,
}

/// An image of a scan, with the network's prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecord {
    /// Path of the image's file, relative to the scanned folder.
    pub file: String,
    /// The image's class in the data set, if it is known.
    pub class: Option<String>,
    /// Index of the class that the network predicts.
    pub named: Option<usize>,
    /// Probability of the predicted class.
    pub probability: Option<f64>,
    /// Size of the file in bytes at the time of the scan.
    pub bytes: u64,
}
