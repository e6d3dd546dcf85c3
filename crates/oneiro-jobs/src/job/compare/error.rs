//! The error of units, layers or networks that cannot be compared.

/// The reason why units, layers or networks cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A comparison of one thing in several networks was requested of one network, or the other way round.
    #[error(
        "{}",
        if *several {
            "one unit or layer is compared between networks, and there is one network; name another one, or a second unit or layer"
        } else {
            "two units or layers are compared within one network, and there are several networks; name one network, or one unit \
             or layer"
        }
    )]
    Compared {
        /// Whether several networks are needed.
        several: bool,
    },
    /// A unit that cannot be compared.
    #[error(
        "{unit}: only channels, neurons, directions and classes are compared, such as LAYER:CHANNEL or class:NAME"
    )]
    NotCompared {
        /// The unit.
        unit: String,
    },
    /// A layer has different numbers of channels in two networks.
    #[error(
        "layer \"{layer}\" has {} channels in {} and {} in {}; only equal layers are compared channel by channel",
        channels[0], models[0], channels[1], models[1]
    )]
    LayersDiffer {
        /// The layer.
        layer: String,
        /// The networks.
        models: [String; 2],
        /// Number of channels in each.
        channels: [usize; 2],
    },
    /// Networks have no layer that is alike in all of them.
    #[error("{} have no layer with one name and one number of channels in common; name the layers to be compared", models.join(" and "))]
    NoCommonLayers {
        /// The networks.
        models: Vec<String>,
    },
    /// None of the images of a data set can be read.
    #[error("none of the images of {data} can be read")]
    NothingRead {
        /// The data set.
        data: String,
    },
}
