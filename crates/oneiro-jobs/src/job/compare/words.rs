//! What the numbers of two units say, in sentences.

use super::report::{Agreement, ComparedPicture, UnitsReport};
use crate::job::units::plain_class;

/// Share from which on a unit's own picture is said not to be its maximum.
const BEYOND: f64 = 1.05;
/// Units that drive both classes and are named in the summary.
const NAMED: usize = 2;

impl UnitsReport {
    /// What the numbers say, a sentence each.
    pub fn words(&self) -> Vec<String> {
        let number = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.3}"));
        let mut words = vec![self.summary()];
        words.extend(self.own_not_largest());
        words.push(match self.weight_cosine {
            Some(cosine) => format!(
                "cosine of weights {cosine:.3}: 1 if both weigh their inputs alike, 0 if independently, -1 if oppositely"
            ),
            None => "cosine of weights: none, as the units weigh different inputs, or their weights are not known".into(),
        });
        let gradients = &self.gradients;
        let pictures = if self.activations.synthetic { "synthetic pictures" } else { "images" };
        words.push(format!(
            "cosine of input gradients {} (mean of {} {pictures}, deviation {}), {} on A's picture, {} on B's: 1 if the same \
             change of the picture raises both most",
            number(gradients.mean),
            gradients.pictures - gradients.undefined,
            number(gradients.deviation),
            number(gradients.on_a),
            number(gradients.on_b),
        ));
        let of = |agreement: &Agreement| {
            format!("{} (of ranks {})", number(agreement.pearson), number(agreement.spearman))
        };
        words.push(format!(
            "correlation over {} {pictures}: of largest activations {}, of means {}: 1 if the same pictures excite both",
            self.activations.largest.count,
            of(&self.activations.largest),
            of(&self.activations.mean),
        ));
        if let Some(positions) = &self.activations.positions {
            words.push(format!(
                "correlation over {} positions of images: {}: 1 if the same places excite both",
                positions.count,
                of(positions)
            ));
        }
        words
    }

    /// All in short.
    fn summary(&self) -> String {
        let pictures = if self.activations.synthetic { "synthetic pictures" } else { "images" };
        let mut said = Vec::new();
        if let Some(r) = self.activations.largest.pearson {
            let which = match r {
                0.6.. => format!("mostly the same {pictures}"),
                0.2.. => format!("partly the same {pictures}"),
                -0.2.. => format!("different {pictures}"),
                _ => format!("opposite {pictures}"),
            };
            let weights = self.weight_cosine.map_or_else(String::new, |cosine| {
                let how = match cosine {
                    0.6.. => "alike",
                    0.2.. => "somewhat alike",
                    -0.2.. => "independently",
                    _ => "oppositely",
                };
                format!(", and weigh their inputs {how} (cosine {cosine:.2})")
            });
            said.push(format!("A and B answer {which} (correlation {r:.2}){weights}"));
        }
        let does = |kind: &str| {
            self.pictures.iter().find(|picture| picture.kind == kind).map(|picture| picture.missed.is_none())
        };
        if let (Some(a), Some(b), Some(both)) = (does("a-b"), does("b-a"), does("a+b")) {
            let both =
                if both { "one picture excites both" } else { "no picture was found that excites both" };
            let alone = match (a, b) {
                (true, true) => "there are pictures of A without B and of B without A",
                (true, false) => "there is a picture of A without B, but none of B without A was found",
                (false, true) => "there is a picture of B without A, but none of A without B was found",
                (false, false) => "no picture was found of either without the other",
            };
            said.push(format!("{both}; {alone}"));
        }
        let confusions = self.confusions.iter().map(|of| {
            format!(
                "{} of {} images of {} are named {}",
                of.count,
                of.images,
                plain_class(&of.class),
                of.named
            )
        });
        let confusions: Vec<String> = confusions.collect();
        if !confusions.is_empty() {
            said.push(confusions.join(", "));
            let units: Vec<&str> = self.shared.iter().take(NAMED).map(|of| &of.unit[..]).collect();
            said.push(match units[..] {
                [] => "no unit before them drives both".to_owned(),
                [one] => format!("{one} drives both"),
                _ => format!("{} drive both most", units.join(" and ")),
            });
        }
        match said.is_empty() {
            true => "In short: nothing could be measured that both units have in common.".to_owned(),
            false => format!("In short: {}.", said.join("; ")),
        }
    }

    /// Says which units reach more in another picture than in their own.
    fn own_not_largest(&self) -> Vec<String> {
        let mut said = Vec::new();
        for (i, unit) in ["A", "B"].into_iter().enumerate() {
            let of = |picture: &ComparedPicture| [picture.share_a, picture.share_b][i].unwrap_or(f64::MIN);
            let best = self.pictures.iter().max_by(|a, b| of(a).total_cmp(&of(b)));
            if let Some(best) = best.filter(|best| of(best) > BEYOND) {
                said.push(format!(
                    "the own picture of {unit} is not its maximum: that of {} reaches more",
                    best.of
                ));
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{ActivationAgreement, Confusion, GradientAgreement};
    use super::*;

    fn report() -> UnitsReport {
        let picture = |kind: &'static str, share_b: f64, missed: Option<&'static str>| ComparedPicture {
            kind,
            of: kind.to_uppercase(),
            objective: String::new(),
            a: Some(1.0),
            b: Some(1.0),
            share_a: Some(1.0),
            share_b: Some(share_b),
            missed,
        };
        let none = Agreement { count: 3, pearson: Some(0.46), spearman: None };
        UnitsReport {
            a: "class:circle".into(),
            b: "class:square".into(),
            pictures: vec![
                picture("a", 0.1, None),
                picture("b", 1.0, None),
                picture("a-b", -2.0, None),
                picture("b-a", 1.19, Some("no weight")),
                picture("a+b", -0.1, Some("no weights")),
            ],
            weight_cosine: Some(0.1),
            gradients: GradientAgreement {
                pictures: 0,
                undefined: 0,
                mean: None,
                deviation: None,
                of_means: None,
                on_a: None,
                on_b: None,
            },
            activations: ActivationAgreement { synthetic: false, largest: none, mean: none, positions: None },
            data: None,
            best_a: Vec::new(),
            best_b: Vec::new(),
            a_not_b: Vec::new(),
            b_not_a: Vec::new(),
            both: Vec::new(),
            confusions: Vec::new(),
            shared: Vec::new(),
        }
    }

    #[test]
    fn the_first_sentence_sums_up() {
        let mut report = report();
        let short = "In short: A and B answer partly the same images (correlation 0.46), and weigh their inputs independently \
                     (cosine 0.10); no picture was found that excites both; there is a picture of A without B, but none of B \
                     without A was found.";
        assert_eq!(report.words()[0], short);
        assert_eq!(report.words()[1], "the own picture of B is not its maximum: that of B-A reaches more");
        report.confusions.push(Confusion {
            class: "circle".into(),
            named: "class:square".into(),
            count: 9,
            images: 100,
            examples: Vec::new(),
        });
        let said = report.summary();
        assert!(
            said.ends_with(
                "9 of 100 images of circle are named class:square; no unit before them drives both."
            ),
            "{said}"
        );
    }
}
