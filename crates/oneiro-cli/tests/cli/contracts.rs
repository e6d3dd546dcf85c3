//! Names and formats of results on which scripts rely: JSON keys, file names, tensors.

mod classes;
mod layers;
mod numbers;
mod pictures;
mod text;
mod timing;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::onnx::Network;
use crate::place::Place;

/// A new folder with the tiny network, its card and its labels.
pub fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write(
        "net.toml",
        "name = \"tiny\"\nlabels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 20]\nmean = [0.4, 0.5, 0.6]\n",
    );
    place.write("classes.txt", "cat\ndog\nred fox\nowl\n");
    place
}

pub fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

pub fn set<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    names.iter().copied().collect()
}
