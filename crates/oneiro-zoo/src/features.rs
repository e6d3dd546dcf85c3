//! Hand-made image features as networks: HOG, HOG with hard or bilinear orientations, and dense SIFT.
//!
//! They are graphs of ordinary operators on `x`, \[N, 3, H, W\] RGB in 0–1, so every technique for trained
//! networks works on them. The construction is that of Mahendran & Vedaldi, "Visualizing Deep Convolutional
//! Neural Networks Using Natural Pre-images" (IJCV 2016, §2.2–2.3); the numbers are those of VLFeat 0.9.21 on
//! the image's luminance, to within rounding. `docs/features.md` has the formulas, layer by layer.

use oneiro_net::graph::Graph;

pub mod dsift;
pub mod hog;
mod net;
mod orientation;

/// Version of the features' definition, a part of [`Feature::description`]. It is raised when the computed
/// numbers change.
const VERSION: u32 = 1;

/// A hand-made image feature, computed by a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// HOG (UoCTTI variant); each gradient counts fully in the nearest orientation bin.
    Hog,
    /// HOG; each gradient is divided between the two nearest orientation bins by linear interpolation.
    HogB,
    /// Dense SIFT.
    Dsift,
}

impl Feature {
    /// All hand-made feature networks.
    pub const ALL: [Feature; 3] = [Feature::Hog, Feature::HogB, Feature::Dsift];

    /// Returns the feature network with this name, or `None`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }

    /// Returns the network's name, by which users ask for it; its output has the same name.
    pub fn name(self) -> &'static str {
        match self {
            Feature::Hog => "hog",
            Feature::HogB => "hogb",
            Feature::Dsift => "dsift",
        }
    }

    /// Builds the feature's network.
    ///
    /// # Errors
    /// None in practice; the tests build every network.
    pub fn graph(self) -> oneiro_net::Result<Graph> {
        match self {
            Feature::Hog => hog::graph(self.name(), hog::Assignment::Hard),
            Feature::HogB => hog::graph(self.name(), hog::Assignment::Bilinear),
            Feature::Dsift => dsift::graph(self.name()),
        }
    }

    /// Returns the network's model card as TOML: RGB in 0–1 without normalisation, 224×224 by default.
    pub fn card(self) -> String {
        format!(
            "name = \"{}\"\n\n[[input]]\nname = \"{}\"\nkind = \"image\"\nsize = [224, 224]\norder = \"rgb\"\nrange = 1.0\n\
             mean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n\
             luminance = true\n",
            self.name(),
            net::INPUT
        )
    }

    /// Returns the bytes whose hash identifies the network, in place of a model file's bytes.
    pub fn description(self) -> String {
        format!("oneiro feature network {} {VERSION}", self.name())
    }
}
