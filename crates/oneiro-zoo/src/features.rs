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

/// Counts the changes of the numbers that the networks compute: part of [`Feature::description`].
const VERSION: u32 = 1;

/// A feature network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// HOG (UoCTTI variant), each gradient in the one orientation bin nearest to it.
    Hog,
    /// HOG with each gradient shared bilinearly between the two orientation bins nearest to it.
    HogB,
    /// Dense SIFT.
    Dsift,
}

impl Feature {
    /// All feature networks.
    pub const ALL: [Feature; 3] = [Feature::Hog, Feature::HogB, Feature::Dsift];

    /// The feature network of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }

    /// The name under which it is asked for, and that of its output.
    pub fn name(self) -> &'static str {
        match self {
            Feature::Hog => "hog",
            Feature::HogB => "hogb",
            Feature::Dsift => "dsift",
        }
    }

    /// The network.
    ///
    /// # Errors
    /// None that depends on anything: the tests build all of them.
    pub fn graph(self) -> oneiro_net::Result<Graph> {
        match self {
            Feature::Hog => hog::graph(self.name(), hog::Assignment::Hard),
            Feature::HogB => hog::graph(self.name(), hog::Assignment::Bilinear),
            Feature::Dsift => dsift::graph(self.name()),
        }
    }

    /// Its model card, TOML: RGB in 0–1 as it is, 224×224 unless something else is asked for.
    pub fn card(self) -> String {
        format!(
            "name = \"{}\"\n\n[[input]]\nname = \"{}\"\nkind = \"image\"\nsize = [224, 224]\norder = \"rgb\"\nrange = 1.0\n\
             mean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n\
             luminance = true\n",
            self.name(),
            net::INPUT
        )
    }

    /// The bytes whose hash identifies the network, in place of a model file's bytes.
    pub fn description(self) -> String {
        format!("oneiro feature network {} {VERSION}", self.name())
    }
}
