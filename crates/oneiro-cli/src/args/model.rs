//! The argument MODEL, and flags that say how the model's inputs are prepared.

use std::path::PathBuf;

use anyhow::Result;
use oneiro::card::{InputAxes, TensorLayout};
use oneiro_jobs::model::{self, Feed, LoadedModel, ModelSpec, parse_feed};

use crate::context::Context;

/// The argument MODEL, and flags that say how its inputs are prepared.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// An .onnx file, or a built-in network: squeezenet1_1; hog, hogb, dsift (hand-made features)
    #[arg(value_name = "MODEL")]
    pub model: String,
    #[command(flatten)]
    preparation: PreparationArgs,
}

/// Flags that say how a model's inputs are prepared. They complete or override the model's card.
#[derive(clap::Args)]
pub struct PreparationArgs {
    /// Model card; NAME.toml beside the model by default
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// How images are prepared where the card does not say, or differently
    #[arg(long, value_parser = oneiro::card::PREPROCESS_PRESETS)]
    preprocess: Option<String>,
    /// Mean of each channel, in the network's order and units
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "M,M,M")]
    mean: Option<Vec<f32>>,
    /// Standard deviation of each channel
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "S,S,S")]
    std: Option<Vec<f32>>,
    /// The value of white before the mean is subtracted
    #[arg(long, allow_negative_numbers = true, value_name = "1|255")]
    range: Option<f32>,
    /// Order of the channels; bands for any number of channels that are no colours (satellites, RGB with
    /// depth), which then have one --mean and --std for all or one a band
    #[arg(long, value_parser = ["rgb", "bgr", "gray", "bands"])]
    order: Option<String>,
    /// Bands, from 0, that are drawn as red, green and blue; one alone is drawn grey [default: the first
    /// three]
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "R,G,B")]
    show: Option<Vec<usize>>,
    /// Where the network's channels are: nchw (PyTorch) or nhwc (TensorFlow)
    #[arg(long, value_parser = parse_layout, value_name = "nchw|nhwc")]
    layout: Option<TensorLayout>,
    /// The axes of a layer, if oneiro cannot infer them from the network: N, C, H, W, T, L, tokens, or ? for
    /// one of no meaning, such as --axes "blocks.3=N,tokens,C"; repeat it for other layers
    #[arg(long, value_parser = parse_axes, value_name = "LAYER=AXES")]
    axes: Vec<(String, String)>,
    /// Class labels: a built-in list (imagenet1k, cifar10) or a text file, one label a line
    #[arg(long, value_name = "LIST")]
    labels: Option<String>,
    /// Feed an input that is no picture with a number (also true or false) or a file, instead of zeros; once
    /// for every such input. A file holds one entry, which is repeated for the batch
    #[arg(long = "feed", value_parser = parse_feed, value_name = "NAME=VALUE|FILE.npy")]
    feeds: Vec<Feed>,
    /// Let the network begin at this layer, which becomes its input: all operators before it are removed
    #[arg(long, value_name = "LAYER")]
    from_layer: Option<String>,
    /// Axes of the picture input as the file has them, if nothing tells: C,H,W (no batch), N,H,W (no
    /// channels), N,H*W or N,C*H*W (flat)
    #[arg(long, value_name = "AXES")]
    input_axes: Option<InputAxes>,
    /// The output that holds the classes, if the network has several [default: the output whose length fits
    /// the labels, else the one that looks like classes]
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
}

impl ModelArgs {
    /// Returns the model and its preparation as jobs store them.
    pub fn spec(&self) -> ModelSpec {
        self.preparation.spec(&self.model)
    }
}

impl PreparationArgs {
    /// Returns a model, prepared as the flags say, as jobs store it.
    pub fn spec(&self, model: &str) -> ModelSpec {
        ModelSpec {
            model: model.to_owned(),
            card: self.card.clone(),
            preprocess: self.preprocess.clone(),
            mean: self.mean.clone(),
            std: self.std.clone(),
            range: self.range,
            order: self.order.clone(),
            show: self.show.clone(),
            layout: self.layout,
            axes: self.axes.clone(),
            labels: self.labels.clone(),
            feeds: self.feeds.clone(),
            from_layer: self.from_layer.clone(),
            input_axes: self.input_axes.clone(),
            output: self.output.clone(),
            ..ModelSpec::default()
        }
    }
}

/// Loads the model with its card and labels, to run it on images.
pub fn load(context: &Context, args: &ModelArgs) -> Result<LoadedModel> {
    Ok(model::load(context, &args.spec())?)
}

/// Loads the model to look at its layers' shapes; the preparation of images does not matter.
pub fn load_for_shapes(context: &Context, args: &ModelArgs) -> Result<LoadedModel> {
    Ok(model::load_for_shapes(context, &args.spec())?)
}

/// Loads the model to feed these inputs with raw tensors.
pub fn load_for_tensors(context: &Context, args: &ModelArgs, given: &[&str]) -> Result<LoadedModel> {
    Ok(model::load_for_tensors(context, &args.spec(), given)?)
}

fn parse_layout(text: &str) -> Result<TensorLayout, String> {
    match text {
        "nchw" => Ok(TensorLayout::Nchw),
        "nhwc" => Ok(TensorLayout::Nhwc),
        _ => Err("use nchw (channels first, as PyTorch exports) or nhwc (channels last, as TensorFlow does)"
            .into()),
    }
}

fn parse_axes(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((layer, axes)) if !layer.trim().is_empty() && !axes.trim().is_empty() => {
            Ok((layer.trim().trim_matches('"').to_owned(), axes.trim().to_owned()))
        }
        _ => Err("use LAYER=AXES, such as blocks.3=N,tokens,C".into()),
    }
}
