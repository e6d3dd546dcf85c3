//! What the numbers of two units say, in sentences.

use super::report::percent;
use super::report::{Agreement, Baseline, ComparedPicture, Driver, MeanProbabilities, UnitsReport};
use crate::job::units::plain_class;
use crate::prose::capitalized;

/// Share from which on a unit's own picture is said not to be its maximum.
const BEYOND: f64 = 1.05;
/// Units of a list that are named in the summary.
const NAMED: usize = 2;
/// Share of other units from which on two units are more alike than usual; up to the rest they are less so.
const UNUSUAL: f64 = 0.9;

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
            said.push(format!("A and B answer {}{}", self.answers(r, pictures), self.weighs()));
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
            let class = plain_class(&of.class);
            let nearly = of.probabilities.map_or_else(String::new, |mean| {
                let images = if mean.images == 1 { "1 image" } else { &format!("{} images", mean.images) };
                format!(
                    "; over {images} of {class}, the mean probability of {} is {}, that of {class} {}",
                    of.named,
                    in_percent(mean.other),
                    in_percent(mean.own)
                )
            });
            format!("{} of {} images of {class} are named {}{nearly}", of.count, of.images, of.named)
        });
        let confusions: Vec<String> = confusions.collect();
        if !confusions.is_empty() {
            said.extend(confusions);
            let named = |list: &[Driver]| -> Option<String> {
                let units: Vec<&str> = list.iter().take(NAMED).map(|of| &of.unit[..]).collect();
                (!units.is_empty()).then(|| units.join(" and "))
            };
            let lists = [("A above B", &self.drive_a), ("B above A", &self.drive_b), ("both", &self.shared)];
            let list = |(what, list): (&str, &Vec<Driver>)| {
                format!("{what}: {}", named(list).unwrap_or_else(|| "none".to_owned()))
            };
            said.push(format!("units before them that raise {}", lists.map(list).join("; ")));
        }
        match said.is_empty() {
            true => "In short: nothing could be measured that both units have in common.".to_owned(),
            false => {
                let sentences: Vec<String> = said.iter().map(|said| capitalized(said)).collect();
                format!("In short: {}.", sentences.join(". "))
            }
        }
    }

    /// How alike the activations are: beside those of other units, or in themselves.
    fn answers(&self, r: f64, pictures: &str) -> String {
        match &self.activations.baseline {
            Some(baseline) => {
                let of = baseline.of;
                format!(
                    "{pictures} {} A and other {of} do (correlation {r:.2}, {})",
                    degree(baseline),
                    baseline.words()
                )
            }
            None => {
                let which = match r {
                    0.8.. => "mostly the same",
                    0.2.. => "partly the same",
                    -0.2.. => "different",
                    -0.6.. => "partly opposite",
                    _ => "opposite",
                };
                format!("{which} {pictures} (correlation {r:.2})")
            }
        }
    }

    /// How alike the weights are; empty if they are not known.
    fn weighs(&self) -> String {
        let Some(cosine) = self.weight_cosine else { return String::new() };
        match &self.weight_baseline {
            Some(baseline) => format!(
                ", and weigh their inputs {} these do (cosine {cosine:.2}, {})",
                degree(baseline),
                baseline.words()
            ),
            None => {
                let how = match cosine {
                    0.6.. => "alike",
                    0.2.. => "somewhat alike",
                    -0.2.. => "independently",
                    _ => "oppositely",
                };
                format!(", and weigh their inputs {how} (cosine {cosine:.2})")
            }
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
                    "the own picture of {unit} is not its maximum: that of {} reaches {}",
                    best.of,
                    percent(of(best))
                ));
            }
        }
        said
    }
}

/// How alike two units are beside others.
fn degree(baseline: &Baseline) -> &'static str {
    match baseline.share() {
        share if share >= UNUSUAL => "more alike than",
        share if share <= 1.0 - UNUSUAL => "less alike than",
        _ => "about as alike as",
    }
}

/// A probability in percent.
fn in_percent(probability: f64) -> String {
    format!("{:.1} %", 100.0 * probability)
}

impl MeanProbabilities {
    /// Both probabilities, given the letters of the images' class and of the other.
    pub(super) fn words(&self, [own, other]: [&str; 2]) -> String {
        let over =
            if self.images == 1 { String::new() } else { format!(", means over {} images", self.images) };
        format!("Probability of {own} {}, of {other} {}{over}.", in_percent(self.own), in_percent(self.other))
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
            weight_baseline: None,
            gradients: GradientAgreement {
                pictures: 0,
                undefined: 0,
                mean: None,
                deviation: None,
                of_means: None,
                on_a: None,
                on_b: None,
            },
            activations: ActivationAgreement {
                synthetic: false,
                largest: none,
                baseline: None,
                mean: none,
                positions: None,
            },
            data: None,
            best_a: Vec::new(),
            best_b: Vec::new(),
            a_not_b: Vec::new(),
            b_not_a: Vec::new(),
            both: Vec::new(),
            confusions: Vec::new(),
            drive_a: vec![Driver { unit: "fire9:1".into(), a: 3.0, b: -1.0 }],
            drive_b: Vec::new(),
            shared: Vec::new(),
        }
    }

    #[test]
    fn the_first_sentence_sums_up() {
        let mut report = report();
        let short = "In short: A and B answer partly the same images (correlation 0.46), and weigh their inputs independently \
                     (cosine 0.10). No picture was found that excites both; there is a picture of A without B, but none of B \
                     without A was found.";
        assert_eq!(report.words()[0], short);
        assert_eq!(report.words()[1], "the own picture of B is not its maximum: that of B-A reaches 119 %");
        report.confusions.push(Confusion {
            class: "circle".into(),
            named: "class:square".into(),
            count: 0,
            images: 1,
            probabilities: Some(MeanProbabilities { images: 1, own: 0.3224, other: 0.3199 }),
            examples: Vec::new(),
        });
        let said = report.summary();
        let end = "0 of 1 images of circle are named class:square; over 1 image of circle, the mean probability of class:square is \
                   32.0 %, that of circle 32.2 %. \
                   Units before them that raise A above B: fire9:1; B above A: none; both: none.";
        assert!(said.ends_with(end), "{said}");
    }

    #[test]
    fn units_are_alike_beside_others() {
        let mut report = report();
        let beside = |smaller| Some(Baseline { of: "classes", others: 100, smaller, median: 0.3 });
        report.activations.baseline = beside(97);
        report.weight_baseline = beside(40);
        let short = "In short: A and B answer images more alike than A and other classes do (correlation 0.46, higher than A's \
                     with 97 % of the 100 other classes, median 0.30), and weigh their inputs about as alike as these do \
                     (cosine 0.10, higher than A's with 40 % of the 100 other classes, median 0.30). ";
        assert!(report.summary().starts_with(short), "{}", report.summary());
        report.activations.baseline = beside(3);
        assert!(report.summary().contains("images less alike than A and"), "{}", report.summary());
    }
}
