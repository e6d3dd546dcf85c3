//! What is said of pictures that may or may not be believed.

use super::{Belief, Predictability, Standing};

/// Decimals at most.
const MOST_DECIMALS: usize = 4;
/// Units that a sentence names at most.
const NAMED: usize = 12;

/// Explains the lines of captions on pages.
pub(crate) const ABOUT: &str = "The line in words is the conclusion, if both numbers could be measured. Path tells how the picture reaches the filter: low values, in another way than images do. \
     Predictability tells whether the picture looks like the images: it is the share of pairs of images that the nine best images (natural), or \
     the picture, put into the filter's order; .5 is chance. Path decides whether to believe a picture. Both judge the picture, not the \
     filter: a filter of noise may score high, as it has an order, too.";

impl Predictability {
    /// The scores in a line of a caption.
    fn line(&self) -> String {
        let scores = [Some((self.natural, "natural", self.natural_standing))];
        let scores = scores
            .into_iter()
            .chain([self.synthetic.zip(self.synthetic_standing).map(|(s, of)| (s, "picture", of))]);
        let scores: Vec<(f64, &str, Standing)> = scores.flatten().collect();
        // As many decimals as tell a score from the bounds of chance.
        let hides = |n: usize| {
            let bounds = self.chance.map(|bound| short(bound, n));
            scores.iter().any(|(s, ..)| !self.chance.contains(s) && bounds.contains(&short(*s, n)))
        };
        let decimals = (2..MOST_DECIMALS).find(|n| !hides(*n)).unwrap_or(MOST_DECIMALS);
        let score = |&(value, of, standing): &(f64, &str, Standing)| {
            let mark = match standing {
                Standing::AboveChance => "",
                Standing::Chance => " [as chance]",
                Standing::BelowChance => " [below chance]",
            };
            format!("{} {of}{mark}", short(value, decimals))
        };
        let [low, high] = self.chance.map(|bound| short(bound, decimals));
        let scores: Vec<String> = scores.iter().map(score).collect();
        format!("predictability {} (chance {low} to {high})", scores.join(", "))
    }
}

impl Belief {
    /// Returns what follows from both measures, if both were taken.
    pub fn conclusion(&self) -> Option<&'static str> {
        let found = self.predictability.as_ref()?;
        let (natural, picture) = (found.natural_standing, found.synthetic_standing?);
        let above = Standing::AboveChance;
        Some(match (self.path_flagged?, natural == above, picture == above) {
            (false, true, true) => "believe the picture: it shows what the images show",
            (false, true, false) if found.synthetic_standing == Some(Standing::BelowChance) => {
                "true to the unit, but unlike its images: look at both"
            }
            (false, true, false) => "true to the unit; no likeness to its images was found: look at both",
            (true, true, false) => "do not believe the picture: it shows something else",
            (true, ..) => "do not believe the picture: it excites otherwise than images",
            (false, false, _) => "true to the unit; its images have nothing in common",
        })
    }

    /// The conclusion and the measures in lines of a caption.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.conclusion().into_iter().map(str::to_owned).collect();
        if let Some(path) = self.path {
            let warning = if self.path_flagged == Some(true) { ", not as natural images" } else { "" };
            let threshold = short(self.path_threshold, 2);
            // As many decimals as tell the value from the threshold.
            let decimals = (2..MOST_DECIMALS).find(|&n| short(path, n) != short(self.path_threshold, n));
            let path = short(path, decimals.unwrap_or(MOST_DECIMALS));
            let threshold = threshold.trim_end_matches('0');
            lines.push(format!("path {path}{warning} (honest units: above {threshold})"));
        }
        lines.extend(self.predictability.iter().map(Predictability::line));
        lines
    }
}

/// What is found of several units' pictures, a sentence each. Units have a name and, if it was measured, what
/// is known of their picture.
pub fn summary<'b>(units: impl Iterator<Item = (&'b str, Option<&'b Belief>)>) -> Vec<String> {
    let known: Vec<(&str, &Belief)> = units.filter_map(|(unit, belief)| Some((unit, belief?))).collect();
    let mut paths: Vec<(&str, f64)> =
        known.iter().filter_map(|(unit, belief)| Some((*unit, belief.path?))).collect();
    paths.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut words = Vec::new();
    if let (Some((_, belief)), false) = (known.first(), paths.is_empty()) {
        let flagged: Vec<(&str, f64)> =
            paths.iter().copied().filter(|(_, path)| *path < belief.path_threshold).collect();
        let threshold = short(belief.path_threshold, 2);
        let listed = listed(&flagged);
        let which = if flagged.is_empty() { String::new() } else { format!(": {listed}") };
        words.push(format!(
            "{} of {} pictures {} flagged (path below {threshold}){which}",
            flagged.len(),
            paths.len(),
            if flagged.len() == 1 { "is" } else { "are" }
        ));
    }
    let unmeasured = known.len() - paths.len();
    if unmeasured > 0 {
        let verb = if unmeasured == 1 { "has" } else { "have" };
        words.push(format!("{unmeasured} of {} pictures {verb} no path", known.len()));
    }
    let judged: Vec<(&str, Predictability)> =
        known.iter().filter_map(|(unit, belief)| Some((*unit, belief.predictability?))).collect();
    let is_alike = |found: &Predictability| found.natural_standing == Standing::AboveChance;
    let unlike: Vec<(&str, f64)> = judged
        .iter()
        .filter(|(_, found)| !is_alike(found))
        .map(|(unit, found)| (*unit, found.natural))
        .collect();
    let scored: Vec<(&str, f64, Standing)> = judged
        .iter()
        .filter(|(_, found)| is_alike(found))
        .filter_map(|(unit, found)| Some((*unit, found.synthetic?, found.synthetic_standing?)))
        .collect();
    for (standing, what) in [
        (Standing::Chance, "unit no better than chance"),
        (Standing::BelowChance, "unit the wrong way round, below chance"),
    ] {
        let mut of: Vec<(&str, f64)> = scored
            .iter()
            .filter(|(.., found)| *found == standing)
            .map(|(unit, score, _)| (*unit, *score))
            .collect();
        of.sort_by(|a, b| a.1.total_cmp(&b.1));
        if !of.is_empty() {
            let (verb, their) = if of.len() == 1 { ("predicts", "its") } else { ("predict", "their") };
            let whose = if scored.len() < judged.len() { " whose images have a likeness" } else { "" };
            let count = format!("{} of {} pictures{whose} {verb} {their}", of.len(), scored.len());
            words.push(format!("{count} {what}: {}", listed(&of)));
        }
    }
    if !unlike.is_empty() {
        let verb = if unlike.len() == 1 { "has" } else { "have" };
        let listed = listed(&unlike);
        words.push(format!(
            "{} of {} units {verb} images without likeness, which tell nothing of the picture's looks: {listed}",
            unlike.len(),
            judged.len()
        ));
    }
    for group in paths.chunk_by(|a, b| a.1 == b.1).filter(|group| group.len() > 1) {
        let units: Vec<&str> = group.iter().map(|(unit, _)| *unit).collect();
        words.push(format!(
            "{} have one path, {}: they are reached by one way, and differ only behind it",
            units.join(", "),
            short(group[0].1, 2)
        ));
    }
    words
}

/// Units with their numbers, as many as a line takes.
fn listed(units: &[(&str, f64)]) -> String {
    let one = |(unit, value): &(&str, f64)| format!("{unit} ({})", short(*value, 2));
    let mut named: Vec<String> = units.iter().take(NAMED).map(one).collect();
    if units.len() > NAMED {
        named.push(format!("and {} more", units.len() - NAMED));
    }
    named.join(", ")
}

/// Writes a number with `decimals` decimals, without a zero before the point.
fn short(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // Zero has no sign.
    let text = text.parse::<f64>().map_or(text, |value| format!("{:.decimals$}", value + 0.0));
    match text.strip_prefix("-0.") {
        Some(rest) => format!("-.{rest}"),
        None => text.strip_prefix("0.").map_or_else(|| text.clone(), |rest| format!(".{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_say_what_was_measured() {
        let all = Belief {
            path: Some(0.834),
            path_threshold: 0.4,
            path_flagged: Some(false),
            predictability: Some(Predictability::new(0.9, Some(0.801), 23)),
        };
        let lines = [
            "believe the picture: it shows what the images show",
            "path .83 (honest units: above .4)",
            "predictability .90 natural, .80 picture (chance .33 to .67)",
        ];
        assert_eq!(all.lines(), lines);
        let flagged = Belief { path: Some(-0.3), path_flagged: Some(true), predictability: None, ..all };
        assert_eq!(flagged.lines(), ["path -.30, not as natural images (honest units: above .4)"]);
        let nothing = Belief { path: None, path_flagged: None, ..flagged };
        assert!(nothing.lines().is_empty());
        let numbers = [1.0, 0.0, -0.001, 1.25].map(|value| short(value, 2));
        assert_eq!(numbers, ["1.00", ".00", ".00", "1.25"].map(str::to_owned));
        assert_eq!(short(-0.0123, 3), "-.012");
        // Two decimals would hide why it is flagged.
        let close = Belief { path: Some(0.3974), path_flagged: Some(true), ..nothing.clone() };
        assert_eq!(close.lines(), ["path .397, not as natural images (honest units: above .4)"]);
        let doubtful = Predictability::new(0.38, Some(0.22), 23);
        let line = "predictability .38 natural [as chance], .22 picture [below chance] (chance .33 to .67)";
        assert_eq!(doubtful.line(), line);
        assert_eq!(doubtful.pairs, 529);
        // Two decimals would hide that the score is beyond the bound.
        let close = Predictability::new(0.6733, Some(0.9), 23);
        assert_eq!(close.line(), "predictability .673 natural, .900 picture (chance .328 to .672)");
        let equal = Belief { path: Some(0.4), ..nothing };
        assert_eq!(equal.lines(), ["path .4000 (honest units: above .4)"]);
    }

    #[test]
    fn a_conclusion_needs_both_measures() {
        let of = |flagged: bool, natural: f64, picture: f64| Belief {
            path: Some(0.5),
            path_threshold: 0.45,
            path_flagged: Some(flagged),
            predictability: Some(Predictability::new(natural, Some(picture), 23)),
        };
        let said = |belief: Belief| belief.conclusion().unwrap_or("nothing");
        assert!(said(of(false, 0.9, 0.9)).starts_with("believe the picture"));
        assert!(said(of(false, 0.9, 0.5)).contains("no likeness to its images was found"));
        assert!(said(of(false, 0.9, 0.2)).contains("unlike its images"));
        assert!(said(of(true, 0.9, 0.9)).ends_with("otherwise than images"));
        assert!(said(of(true, 0.9, 0.2)).ends_with("something else"));
        assert!(said(of(false, 0.5, 0.9)).ends_with("nothing in common"));
        assert_eq!(said(Belief { path_flagged: None, ..of(false, 0.9, 0.9) }), "nothing");
        assert_eq!(said(Belief { predictability: None, ..of(false, 0.9, 0.9) }), "nothing");
    }

    #[test]
    fn a_summary_names_flagged_pictures() {
        let of = |path: Option<f64>, synthetic: f64| Belief {
            path,
            path_threshold: 0.45,
            path_flagged: path.map(|path| path < 0.45),
            predictability: Some(Predictability::new(0.9, Some(synthetic), 23)),
        };
        let all = [of(Some(0.4), 0.9), of(Some(-0.1), 0.2), of(None, 0.5), of(Some(0.4), 0.8)];
        let named = ["a:0", "a:1", "a:2", "a:3"].into_iter().zip(all.iter().map(Some));
        assert_eq!(
            summary(named),
            [
                "3 of 3 pictures are flagged (path below .45): a:1 (-.10), a:0 (.40), a:3 (.40)",
                "1 of 4 pictures has no path",
                "1 of 4 pictures predicts its unit no better than chance: a:2 (.50)",
                "1 of 4 pictures predicts its unit the wrong way round, below chance: a:1 (.20)",
                "a:0, a:3 have one path, .40: they are reached by one way, and differ only behind it",
            ]
        );
        let diverse =
            Belief { predictability: Some(Predictability::new(0.5, Some(0.5), 23)), ..of(None, 0.5) };
        let words = summary([("a:0", Some(&diverse))].into_iter());
        assert!(words[1].starts_with("1 of 1 units has images without likeness"), "{words:?}");
        assert_eq!(words.len(), 2);
        let good = of(Some(0.9), 0.9);
        assert_eq!(
            summary([("a:0", Some(&good)), ("a:1", None)].into_iter()),
            ["0 of 1 pictures are flagged (path below .45)"]
        );
        assert!(summary([("a:0", None)].into_iter()).is_empty());
    }
}
