//! Pictures record how they were made, and `oneiro again` makes them again byte for byte.

mod bytes;
mod sources;

use crate::onnx::Network;
use crate::place::Place;

/// A new folder with the tiny network, its card and its labels.
pub fn place() -> Place {
    let place = Place::new();
    place.write("models/net.onnx", Network::default().bytes());
    place.write(
        "models/net.toml",
        "name = \"tiny\"\nlabels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 20]\nmean = [0.4, 0.5, 0.6]\n\
         [layers]\nearly = \"left.conv\"\n",
    );
    place.write("models/classes.txt", "cat\ndog\nred fox\nowl\n");
    place
}

/// Output files and the commands that make them. They cover everything that changes bytes: flags of the
/// model, settings, several units, films, robustness.
pub const MADE: &[(&str, &[&str])] = &[
    (
        "unit.png",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "early:1",
            "--size",
            "20",
            "--steps",
            "3",
            "--out",
            "unit.png",
        ],
    ),
    (
        "flags.png",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "class:red fox",
            "--steps",
            "4",
            "--size",
            "24x20",
            "--seed",
            "9",
            "--mean",
            "0.1,0.2,0.3",
            "--std",
            "0.5,0.5,0.4",
            "--order",
            "bgr",
            "--preset",
            "conveiro",
            "--optimizer",
            "accumulated-squares",
            "--learning-rate",
            "0.1",
            "--momentum",
            "0.8",
            "--schedule",
            "steps(0.5@0.5)",
            "--param",
            "pixel",
            "--transform",
            "jitter(3)",
            "--relu-rule",
            "leaky(0.2)",
            "--max-pool-rule",
            "smoothed",
            "--until-converged",
            "0.5",
            "--robustness",
            "--out",
            "flags.png",
        ],
    ),
    (
        "many/1-layer-early.png",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "early:1",
            "--objective",
            "-1*layer(early)",
            "--size",
            "20",
            "--steps",
            "3",
            "--out",
            "many",
        ],
    ),
    (
        "sheet.png",
        &[
            "sheet",
            "models/net.onnx",
            "--layer",
            "early",
            "--layer",
            "right.conv",
            "--units",
            "0,2",
            "--class",
            "owl",
            "--size",
            "20",
            "--steps",
            "2",
            "--columns",
            "2",
            "--out",
            "sheet.png",
        ],
    ),
    (
        "robust.png",
        &[
            "sheet",
            "models/net.onnx",
            "--class",
            "cat",
            "--size",
            "20",
            "--steps",
            "2",
            "--robustness",
            "--out",
            "robust.png",
        ],
    ),
    (
        "film.png",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "early:1",
            "--size",
            "20",
            "--steps",
            "9",
            "--out",
            "still.png",
            "--film",
            "film.png",
        ],
    ),
    (
        "film.gif",
        &[
            "render",
            "models/net.onnx",
            "--unit",
            "early:1",
            "--size",
            "20",
            "--steps",
            "9",
            "--out",
            "still.png",
            "--film",
            "film.gif",
        ],
    ),
];
