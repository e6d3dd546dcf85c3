//! Networks that take no pictures at all: refused in one line by every command that feeds pictures.

use oneiro::card::InputKind;
use oneiro_net::graph::Dim;

use super::LoadedModel;

/// Axes of pictures and of clips.
const PICTURE_RANKS: [usize; 2] = [4, 5];

/// Why the network cannot be fed with pictures; `None` if an input takes some, or has as many axes as
/// pictures have.
pub fn no_pictures(model: &LoadedModel) -> Option<String> {
    let inputs = model.model.graph.inputs.iter().zip(&model.model.card.input).enumerate();
    let read: Vec<_> = inputs.filter(|(i, _)| model.model.is_read(*i)).map(|(_, input)| input).collect();
    let may_be = |(input, card): &(&oneiro_net::graph::Input, &oneiro::card::InputCard)| {
        card.kind != InputKind::Tensor
            || input.dims.as_ref().is_none_or(|dims| PICTURE_RANKS.contains(&dims.len()))
    };
    let (first, _) = read.first()?;
    if read.iter().any(may_be) {
        return None;
    }
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(n) => n.to_string(),
        Dim::Free(name) if name.is_empty() => "?".into(),
        Dim::Free(name) => name.clone(),
    };
    let shape: Vec<String> = first.dims.iter().flatten().map(extent).collect();
    let signal = if shape.len() == 3 { ": signals and tokens cannot be visualized yet" } else { "" };
    let behind = model.model.beginning(&[], None).map_or(String::new(), |name| {
        format!("; to start behind what cannot be run give --from-layer \"{name}\"")
    });
    Some(format!(
        "{} takes no pictures: its input \"{}\" has shape [{}], and pictures have batch, channels, height and width{signal}; \
         `oneiro run` and `oneiro check` work on raw tensors{behind}",
        model.source,
        model.model.graph.name(first.value),
        shape.join(", ")
    ))
}
