//! Says in a sentence why a filter has its verdict, and what to do about it.

use serde_json::Value;

use super::report::UnitHealth;
use super::verdict::Verdict;
use crate::numbers::short;

/// Why a unit has its verdict, in a sentence with its numbers; empty for a healthy one.
pub(super) fn reason(unit: &UnitHealth) -> String {
    let number = |name: &str| unit.evidence.get(name).and_then(Value::as_f64);
    let said = |name: &str| number(name).map_or_else(|| "?".to_owned(), short);
    // Two digits are all that a reader compares.
    let brief = |name: &str| {
        let digits =
            |value: f64| if value.abs() < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        number(name).map_or_else(|| "?".to_owned(), digits)
    };
    let images = number("images").unwrap_or(0.0);
    let on = match images > 0.0 {
        true => format!("on {images} images"),
        false => "on synthetic pictures and noise".to_owned(),
    };
    match unit.verdict {
        Verdict::Dead => match number("maximum_before_activation") {
            Some(before) => format!(
                "never active {on}: in front of the activation function it is at most {} (of a sample: mean {}, deviation {})",
                short(before),
                said("mean_before_activation"),
                said("deviation_before_activation")
            ),
            None => format!("never active {on}: its largest activation is {}", said("maximum")),
        },
        Verdict::AlwaysOn => format!(
            "active at every position {on}: in front of the activation function its mean is {}, its deviation {}, of a sample",
            said("mean_before_activation"),
            said("deviation_before_activation")
        ),
        Verdict::Noise => format!(
            "its answer is {} times as strong on noise as on pictures (typical of the layer: {}); with its input's positions \
             shuffled it varies {} times as much ({}); its kernel's neighbouring weights correlate by {}",
            brief("answer_to_noise"),
            brief("answer_to_noise_of_layer"),
            brief("shuffled_gain"),
            brief("shuffled_gain_of_layer"),
            number("kernel_smoothness").map_or_else(|| "?".to_owned(), |r| format!("{r:.2}"))
        ),
        Verdict::Duplicate => format!(
            "its values are {} times those of channel {}: they correlate by {}",
            said("factor"),
            unit.of.map_or_else(|| "?".to_owned(), |of| of.to_string()),
            number("correlation").map_or_else(|| "?".to_owned(), |r| format!("{r:.5}"))
        ),
        Verdict::Healthy => String::new(),
    }
}
