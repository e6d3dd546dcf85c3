//! Conditions on a report, for scripts: `dead>5%`, `noise>=3`, `suspicion>=0.5`, `right<90%`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::report::HealthReport;
use super::table::ModelHealth;
use super::verdict::Verdict;
use crate::job::scan::Accuracy;
use crate::numbers::rounded;

/// A condition on the health of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailOn {
    what: What,
    /// Whether the bound itself counts.
    or_equal: bool,
    bound: f64,
    /// Whether the bound was given in per cent.
    is_share: bool,
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// The number of filters with a verdict that is no guess; `None` counts all that are not healthy.
    Filters(Option<Verdict>),
    /// The largest suspicion of a class.
    Suspicion,
    /// The share of images that are named rightly. This condition alone has an upper bound.
    Right,
}

/// The numbers of a network that conditions look at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counted {
    /// Number of filters.
    pub filters: usize,
    /// Number of filters with each verdict that is no guess.
    pub sure: BTreeMap<Verdict, usize>,
    /// The class that is suspected most, if any class could be judged: its name and suspicion.
    pub suspected: Option<(String, f64)>,
    /// How many images are named rightly, if the class of any is known.
    pub accuracy: Option<Accuracy>,
}

impl From<&HealthReport> for Counted {
    fn from(report: &HealthReport) -> Self {
        let judged = report.classes.iter().filter(|class| class.is_judged());
        let most = judged.max_by(|a, b| a.suspicion.total_cmp(&b.suspicion));
        Self {
            filters: report.units(),
            sure: Verdict::ALL.map(|verdict| (verdict, report.sure(verdict))).into(),
            suspected: most.map(|class| (class.name.clone(), class.suspicion)),
            accuracy: report.accuracy,
        }
    }
}

impl From<&ModelHealth> for Counted {
    fn from(row: &ModelHealth) -> Self {
        let most = row.most_suspected.as_ref().map(|class| (class.name.clone(), class.suspicion));
        let none = (row.classes_judged > 0).then(|| ("none".to_owned(), 0.0));
        Self {
            filters: row.filters,
            sure: row.sure.clone(),
            suspected: most.or(none),
            accuracy: row.accuracy,
        }
    }
}

impl Counted {
    /// Number of filters with a verdict; `None` counts all that are not healthy.
    fn with(&self, verdict: Option<Verdict>) -> usize {
        let of = |verdict: Verdict| self.sure.get(&verdict).copied().unwrap_or(0);
        let unhealthy = || Verdict::ALL.into_iter().filter(|v| *v != Verdict::Healthy).map(of).sum();
        match verdict {
            None => unhealthy(),
            Some(Verdict::Healthy) => self.filters - unhealthy(),
            Some(verdict) => of(verdict),
        }
    }
}

impl FailOn {
    /// Returns a sentence with the numbers if the condition holds.
    ///
    /// # Errors
    /// A sentence, if the numbers that the condition looks at are not known.
    pub fn holds(&self, of: &Counted) -> Result<Option<String>, String> {
        let (number, said) = match self.what {
            What::Filters(verdict) => {
                let count = of.with(verdict);
                let share = count as f64 / of.filters.max(1) as f64;
                let said = format!("{count} of {} filters, {:.1} %", of.filters, 100.0 * share);
                (if self.is_share { share } else { count as f64 }, said)
            }
            What::Suspicion => {
                let Some((class, suspicion)) = &of.suspected else {
                    return Err(format!("{self}: no class could be judged"));
                };
                (*suspicion, format!("{suspicion:.2} of class {class}"))
            }
            What::Right => {
                let Some(Accuracy { known, right }) = of.accuracy else {
                    return Err(format!("{self}: the data has no classes that the network knows"));
                };
                let share = right as f64 / known.max(1) as f64;
                (share, format!("{right} of {known} images are named rightly, {:.1} %", 100.0 * share))
            }
        };
        let beyond = if self.what == What::Right { number < self.bound } else { number > self.bound };
        let holds = beyond || self.or_equal && number == self.bound;
        Ok(holds.then(|| format!("failed, as {self}: {said}")))
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, sign) = match self.what {
            What::Filters(verdict) => (verdict.map_or("unhealthy", Verdict::name), '>'),
            What::Suspicion => ("suspicion", '>'),
            What::Right => ("right", '<'),
        };
        write!(f, "{name}{sign}{}", if self.or_equal { "=" } else { "" })?;
        match self.is_share {
            true => write!(f, "{}%", rounded(100.0 * self.bound)),
            false => write!(f, "{}", self.bound),
        }
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            let names: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
            format!(
                "\"{text}\": write it as VERDICT>NUMBER or VERDICT>SHARE%, for instance dead>5%, or as suspicion>=0.5 or right<90%; a verdict is one of {}, or unhealthy",
                names.join(", ")
            )
        };
        let at = text.find(['>', '<']).ok_or_else(form)?;
        let (name, bound) = (text[..at].trim(), &text[at + 1..]);
        let what = match name {
            "suspicion" => What::Suspicion,
            "right" => What::Right,
            "unhealthy" => What::Filters(None),
            _ => {
                let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.name() == name);
                What::Filters(Some(verdict.ok_or_else(form)?))
            }
        };
        if (what == What::Right) != text[at..].starts_with('<') {
            return Err(form());
        }
        let (or_equal, bound) = match bound.strip_prefix('=') {
            Some(bound) => (true, bound),
            None => (false, bound),
        };
        let (is_share, bound) = match bound.trim().strip_suffix('%') {
            Some(bound) => (true, bound),
            None => (false, bound.trim()),
        };
        let bound: f64 = bound.trim().parse().map_err(|_| form())?;
        let bound = if is_share { bound / 100.0 } else { bound };
        // All but numbers of filters are shares.
        let most = if is_share || !matches!(what, What::Filters(_)) { 1.0 } else { f64::MAX };
        // A part of a filter is a share that lacks its sign.
        let is_part = !is_share && matches!(what, What::Filters(_)) && bound.fract() != 0.0;
        if !(0.0..=most).contains(&bound) || is_part {
            return Err(form());
        }
        Ok(Self { what, or_equal, bound, is_share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Counted {
        Counted {
            filters: 4,
            sure: [(Verdict::Dead, 1), (Verdict::Noise, 1), (Verdict::Healthy, 2)].into(),
            suspected: Some(("triangle".into(), 0.625)),
            accuracy: Some(Accuracy { known: 40, right: 30 }),
        }
    }

    #[test]
    fn conditions_hold_or_not() {
        let holds = |text: &str| text.parse::<FailOn>().unwrap().holds(&counted()).unwrap();
        assert_eq!(holds("dead>5%").unwrap(), "failed, as dead>5%: 1 of 4 filters, 25.0 %");
        assert_eq!(holds("dead > 25 %"), None);
        assert!(holds("dead>=25%").is_some());
        assert!(holds("unhealthy>1").unwrap().contains("2 of 4"));
        assert_eq!(holds("duplicate>0"), None);
        assert!(holds("healthy>=2").is_some());
        assert_eq!(holds("suspicion>=0.5").unwrap(), "failed, as suspicion>=0.5: 0.62 of class triangle");
        assert_eq!(holds("suspicion>0.625"), None);
        assert!(holds("right<90%").unwrap().contains("30 of 40 images are named rightly, 75.0 %"));
        assert!(holds("right<=0.75").is_some());
        assert_eq!(holds("right<75%"), None);
        assert_eq!("dead>5%".parse::<FailOn>().unwrap().to_string(), "dead>5%");
    }

    #[test]
    fn what_is_not_known_is_no_pass() {
        for text in ["suspicion>0.5", "right<90%"] {
            assert!(text.parse::<FailOn>().unwrap().holds(&Counted::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let wrong = [
            "",
            "dead",
            "dead>",
            "dead>x",
            "ded>5%",
            "dead>-1",
            "dead>101%",
            "dead>NaN",
            "dead<5%",
            "dead>.02",
            "right>5%",
            "right<90",
            "suspicion>2",
            "suspicion<1",
        ];
        for text in wrong {
            assert!(text.parse::<FailOn>().unwrap_err().contains("for instance dead>5%"), "{text}");
        }
    }
}
