//! Descriptions of the preprocessing of images, with the values that are used.

use oneiro::card::{Card, ChannelOrder, InputCard, InputKind};

use crate::model::ModelSpec;
use crate::remark::PreparationRemark;

/// Returns the remark for a guessed preprocessing; `None` if the network takes no pictures.
pub fn guessed(card: &Card, args: &ModelSpec) -> Option<PreparationRemark> {
    let mut ways: Vec<String> =
        card.input.iter().filter(|i| i.kind != InputKind::Tensor).map(numbers).collect();
    ways.dedup();
    if ways.is_empty() {
        return None;
    }
    Some(PreparationRemark::Guessed { in_part: args.mean.is_some() || args.std.is_some(), ways })
}

/// Formats a card's values: `RGB in 0-1, mean .485 .456 .406, std .229 .224 .225`.
pub fn numbers(card: &InputCard) -> String {
    let order = match card.order {
        ChannelOrder::Rgb => "RGB in ",
        ChannelOrder::Bgr => "BGR in ",
        ChannelOrder::Gray => "grey in ",
        ChannelOrder::Bands => "",
    };
    format!("{order}0-{}, mean {}, std {}", number(card.range), list(&card.mean), list(&card.std))
}

/// Formats a list of numbers, with an ellipsis if it is long.
pub fn list(numbers: &[f32]) -> String {
    /// Most values that a remark lists.
    const SHOWN: usize = 4;
    let shown: Vec<String> = numbers.iter().take(SHOWN).map(|n| number(*n)).collect();
    let more = if numbers.len() > SHOWN { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// Formats a number with at most four decimals: .485, 103.939, 0.
fn number(value: f32) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text.strip_prefix("0.").or_else(|| text.strip_prefix("-0.")) {
        Some(decimals) if value < 0.0 => format!("-.{decimals}"),
        Some(decimals) => format!(".{decimals}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_name_the_numbers_that_are_used() {
        let card = InputCard::preset("imagenet", "x").unwrap();
        assert_eq!(numbers(&card), "RGB in 0-1, mean .485 .456 .406, std .229 .224 .225");
        let mut gray = card.clone();
        gray.to_gray();
        assert_eq!(numbers(&gray), "grey in 0-1, mean .449, std .226");
        let caffe = InputCard::preset("caffe", "x").unwrap();
        assert_eq!(numbers(&caffe), "BGR in 0-255, mean 103.939 116.779 123.68, std 1 1 1");
        assert_eq!([0.0, -0.5, 1e-5, -2.25].map(number), ["0", "-.5", "0", "-2.25"]);
        assert_eq!(list(&[1.0, 2.0, 3.0, 4.0, 5.0]), "1 2 3 4 …");
    }
}
