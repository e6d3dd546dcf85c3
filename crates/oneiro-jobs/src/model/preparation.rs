//! The preprocessing of a network's inputs: from the request, the model card, the model file, or defaults.

use oneiro::card::{self, Card, ChannelOrder, Collapsed, InputCard, InputKind, TensorLayout, metadata};
use oneiro_net::Graph;
use oneiro_net::graph::Input;
use oneiro_zoo::labels::{self, Labels};

use super::error::ModelError;
use super::inputs::{channels, fixed, is_read, rank};
use super::{ModelSpec, feeding, pictures};
use crate::error::{During as _, Result, Step};
use crate::remark::PreparationRemark;

mod remark;

/// A model card, completed from all sources of information.
pub struct CompletedCard {
    pub card: Card,
    /// Class labels that the model file contains.
    pub labels: Option<Labels>,
    /// A remark on the default preprocessing, if neither card nor flags describe one.
    pub guessed: Option<PreparationRemark>,
    /// Remarks for the user about how the card was completed.
    pub notes: Vec<PreparationRemark>,
}

/// Completes the card that was read (empty if there is none).
///
/// If `begins_inside`, the network begins at an inner tensor. The model file's description of images, which
/// concerns its own inputs, is then ignored.
pub fn complete(
    mut card: Card,
    args: &ModelSpec,
    graph: &Graph,
    begins_inside: bool,
) -> Result<CompletedCard> {
    let mut notes = Vec::new();
    let mut guessed = false;
    let names: Vec<String> = graph.inputs.iter().map(|i| graph.name(i.value).to_owned()).collect();
    let found = metadata::read(&graph.metadata, &names);
    let inside = match &found {
        Ok(Some(found)) if !found.labels.is_empty() => Some(
            Labels::parse(&found.labels.join("\n"))
                .during(|| Step::Labels { labels: "in the model file".into() })?,
        ),
        _ => None,
    };
    if let Some(layout) = args.layout {
        card.layout = layout;
    }
    card.axes.extend(args.axes.iter().cloned());
    let written = !card.input.is_empty();
    if !written {
        let found = if by_flags(args) || begins_inside { None } else { found? };
        if args.layout.is_none() && found.as_ref().is_none_or(|f| f.card.layout == TensorLayout::Nchw) {
            guess_layout(&mut card, graph, &mut notes);
        }
        pictures::guess_layout(&mut card, graph, args.layout.is_some(), &mut notes);
        guessed = !by_flags(args) && found.is_none() && !pictures::all_integers(graph);
        card.input = match found {
            Some(found) => {
                notes.push(PreparationRemark::ByModelFile { source: found.source.to_string() });
                let mut own = found.card;
                // A card inside a model file, which may come from anywhere, must not make the program read
                // other files.
                if let Some(name) = own.labels.as_deref().filter(|name| labels::builtin(name).is_none()) {
                    return Err(ModelError::LabelsElsewhere { labels: name.to_owned() }.into());
                }
                // Flags for images do not apply to other inputs.
                if found.source != metadata::CARD_KEY {
                    for (input, card) in graph.inputs.iter().zip(&mut own.input) {
                        match usual(args, graph, &card.name, input, own.layout)?.kind {
                            InputKind::Tensor => *card = InputCard::tensor(&card.name),
                            kind => card.kind = kind,
                        }
                        let colours = graph.metadata.contains_key(metadata::PIXEL_FORMAT_KEY);
                        if !colours
                            && card.kind != InputKind::Tensor
                            && channels(input, own.layout) == Some(1)
                        {
                            card.to_gray();
                        }
                    }
                }
                card.fill_from(own);
                std::mem::take(&mut card.input)
            }
            None => graph
                .inputs
                .iter()
                .map(|input| match is_read(graph, input) {
                    true => usual(args, graph, graph.name(input.value), input, card.layout),
                    false => Ok(InputCard::tensor(graph.name(input.value))),
                })
                .collect::<Result<_>>()?,
        };
        let of = |i: &Input, c: &InputCard| pictures::channels(graph, i, c, card.layout);
        let mut all = (graph.inputs.iter().zip(&card.input)).map(|(i, c)| (of(i, c), c));
        if all.any(|(n, c)| n == Some(1) && c.order == ChannelOrder::Gray) {
            notes.push(PreparationRemark::Gray);
        }
    }
    feeding::apply(&mut card, &args.feeds, graph)?;
    let unprepared = pictures::apply_axes(&mut card, args, graph, &mut notes)?;
    guessed |= unprepared && !by_flags(args) && !pictures::all_integers(graph);
    let mut has_clip = false;
    for input in &mut card.input {
        let read = graph.inputs.iter().find(|i| graph.name(i.value) == input.name);
        if input.kind != InputKind::Tensor {
            let remark = override_card(
                input,
                args,
                read.and_then(|i| pictures::channels(graph, i, input, card.layout)),
            )?;
            // A remark on a guessed preprocessing contains the values anyway.
            notes.extend(remark.filter(|_| written || !guessed));
        }
        if input.kind == InputKind::Clip && args.frames.is_some() {
            input.frames = args.frames;
            input.complete()?;
            has_clip = true;
        }
        let used = read.is_some_and(|i| is_read(graph, i));
        if input.kind == InputKind::Tensor && used && input.value.is_none() {
            let flat = read.is_some_and(|i| matches!(rank(i), 2 | 3));
            notes.push(PreparationRemark::Zeros { input: input.name.clone(), maybe_picture: flat });
        }
        if !used && args.feeds.iter().any(|feed| feed.name() == input.name) {
            notes.push(PreparationRemark::Unread { input: input.name.clone() });
        }
        if let Some(read) = read.filter(|_| used) {
            notes.extend(pictures::note_on_integers(read, input));
        }
    }
    if let (Some(frames), false) = (args.frames, has_clip) {
        return Err(ModelError::NoClip { frames }.into());
    }
    /// A mean, as a multiple of white, that exceeds the mean of any data set.
    const LARGE_MEAN: f32 = 2.0;
    if let Some(input) = card
        .input
        .iter()
        .find(|i| i.kind == InputKind::Image && i.range == 1.0 && i.mean.iter().any(|m| m.abs() > LARGE_MEAN))
    {
        notes.push(PreparationRemark::LargeMean { mean: input.mean[0] });
    }
    let bands = card.input.iter().find(|i| i.order == ChannelOrder::Bands);
    if let (Some(show), None) = (&args.show, bands) {
        return Err(ModelError::NoBands { show: show.clone() }.into());
    }
    if let (Some(bands), true) = (bands, guessed) {
        guessed = false;
        let given = args.mean.is_some() || args.std.is_some() || args.range.is_some();
        let input = bands.name.clone();
        notes.push(match given {
            false => PreparationRemark::GuessedBands { input },
            true => PreparationRemark::Bands { input, numbers: remark::numbers(bands) },
        });
    }
    if let Some(output) = &args.output {
        card.output = Some(output.clone());
    }
    let guessed = if guessed { remark::guessed(&card, args) } else { None };
    Ok(CompletedCard { card, labels: inside, guessed, notes })
}

/// Whether the request completely describes the preprocessing of pictures.
fn by_flags(args: &ModelSpec) -> bool {
    args.preprocess.is_some() || (args.mean.is_some() && args.std.is_some())
}

/// Numbers of channels with which an input is taken for a picture without a card.
const USUAL_CHANNELS: [usize; 2] = [1, 3];

/// Sets the layout to channels last if an input's shape cannot be anything else.
fn guess_layout(card: &mut Card, graph: &Graph, notes: &mut Vec<PreparationRemark>) {
    let usual = |n: Option<usize>| n.is_some_and(|n| USUAL_CHANNELS.contains(&n));
    let picture = |i: &Input| matches!(rank(i), 4 | 5) && is_read(graph, i);
    let first = |i: &Input| picture(i) && usual(fixed(i, 1));
    // An input whose map has one position could have either layout.
    let last = |i: &&Input| {
        let rank = rank(i);
        picture(i) && usual(fixed(i, rank - 1)) && !first(i) && fixed(i, rank - 2) != Some(1)
    };
    if graph.inputs.iter().any(first) {
        return;
    }
    if let Some(input) = graph.inputs.iter().find(last) {
        card.layout = TensorLayout::Nhwc;
        notes.push(PreparationRemark::ChannelsLast { input: graph.name(input.value).to_owned() });
    }
}

/// Returns the card of an input that no source describes.
fn usual(
    args: &ModelSpec,
    graph: &Graph,
    name: &str,
    input: &Input,
    layout: TensorLayout,
) -> Result<InputCard> {
    let guess = pictures::guess(graph, input);
    let channels = guess.as_ref().map_or_else(|| channels(input, layout), |guess| guess.channels);
    // A picture without a batch or channel axis is treated like one with four axes.
    let rank = if guess.is_some() { 4 } else { rank(input) };
    if args.order.as_deref() == Some("bands") && matches!(rank, 4 | 5) {
        let kind = if rank == 5 { InputKind::Clip } else { InputKind::Image };
        return Ok(InputCard { kind, ..InputCard::bands(args.preprocess.as_deref(), name)? });
    }
    if !matches!(rank, 4 | 5) || channels.is_some_and(|n| !USUAL_CHANNELS.contains(&n)) {
        return Ok(InputCard::tensor(name));
    }
    let unsaid = pictures::preset_for(input, args);
    let mut card = InputCard::preset(args.preprocess.as_deref().unwrap_or(unsaid), name)?;
    if rank == 5 {
        card.kind = InputKind::Clip;
    }
    if channels == Some(1) {
        card.to_gray();
    }
    Ok(card)
}

/// Applies the request's settings to the card. Returns a remark if values were averaged or reordered.
/// `channels` is the number of channels of the network's input, if its file fixes it.
fn override_card(
    input: &mut InputCard,
    args: &ModelSpec,
    channels: Option<usize>,
) -> Result<Option<PreparationRemark>> {
    let mut remark = None;
    // Values that the request replaces need no remark.
    let replaced = args.mean.is_some() && args.std.is_some();
    let order = args.order.as_deref().map(|order| match order {
        "bgr" => ChannelOrder::Bgr,
        "gray" => ChannelOrder::Gray,
        "bands" => ChannelOrder::Bands,
        _ => ChannelOrder::Rgb,
    });
    let takes_bands = order.unwrap_or(input.order) == ChannelOrder::Bands;
    let gray = order.unwrap_or(input.order) == ChannelOrder::Gray;
    if let Some(name) = &args.preprocess {
        let preset = match takes_bands {
            true => InputCard::bands(Some(name), &input.name)?,
            false => InputCard::preset(name, &input.name)?,
        };
        *input = InputCard {
            size: input.size,
            frames: input.frames,
            kind: input.kind,
            show: std::mem::take(&mut input.show),
            axes: input.axes.take(),
            ..preset
        };
    }
    if gray {
        if input.to_gray() == Collapsed::Averaged && !replaced {
            let (preprocess, numbers) = (args.preprocess.clone(), remark::numbers(input));
            remark = Some(PreparationRemark::Averaged { preprocess, numbers });
        }
    } else if let Some(order) = order {
        let wanted = match order {
            // A single value is repeated for all of the network's bands.
            ChannelOrder::Bands => channels,
            _ => Some(3),
        };
        let given = [args.mean.is_some(), args.std.is_some()];
        for (list, given) in [&mut input.mean, &mut input.std].into_iter().zip(given) {
            *list = match wanted {
                _ if given => Vec::new(),
                None => list.clone(),
                // A single value for all bands stays single until the network's number of bands is known.
                Some(_) if takes_bands && card::is_alike(list) => list.iter().take(1).copied().collect(),
                Some(wanted) => card::spread(list, wanted).ok_or_else(|| ModelError::Order {
                    order: args.order.clone().unwrap_or_default(),
                    numbers: remark::list(list),
                    channels: wanted,
                })?,
            };
        }
        if let (Some(name), false) = (&args.preprocess, takes_bands || replaced || input.order == order) {
            let turned = InputCard { order, ..input.clone() };
            let (preprocess, numbers) = (name.clone(), remark::numbers(&turned));
            remark = Some(PreparationRemark::Reordered { preprocess, numbers });
        }
        input.order = order;
        if !takes_bands {
            input.show.clear();
        }
    }
    if gray {
        input.show.clear();
    }
    if let (Some(show), true) = (&args.show, takes_bands) {
        input.show = show.clone();
    }
    if let Some(mean) = &args.mean {
        input.mean = mean.clone();
    }
    if let Some(std) = &args.std {
        input.std = std.clone();
    }
    if let Some(range) = args.range {
        input.range = range;
    }
    let overrides = [
        ("mean", args.mean.is_some()),
        ("std", args.std.is_some()),
        ("range", args.range.is_some()),
        ("order", args.order.is_some()),
        ("show", args.show.is_some()),
    ];
    let given: Vec<&str> = overrides.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    let fits = input.complete().and_then(|()| input.fit_bands(channels));
    if given.is_empty() {
        fits?;
    } else {
        fits.during(|| Step::Overrides { settings: given })?;
    }
    Ok(remark)
}
