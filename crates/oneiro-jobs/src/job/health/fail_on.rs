//! Conditions on a report, for scripts: `dead>5%`, `noise>=3`, `duplicate>0`.

use std::fmt;
use std::str::FromStr;

use super::verdict::Verdict;

/// A condition on the number or the share of filters with a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailOn {
    /// Which filters are counted; `None` counts all that are not healthy.
    verdict: Option<Verdict>,
    /// Whether the bound itself counts.
    or_equal: bool,
    bound: f64,
    /// Whether the bound is a share of all filters.
    is_share: bool,
}

impl FailOn {
    /// Returns the number of filters that count, if the condition holds for a network of `filters` filters.
    /// `count` returns their number for each verdict.
    pub fn holds(&self, count: impl Fn(Verdict) -> usize, filters: usize) -> Option<usize> {
        let count = match self.verdict {
            Some(verdict) => count(verdict),
            None => filters - count(Verdict::Healthy),
        };
        let number = match self.is_share {
            true => count as f64 / filters.max(1) as f64,
            false => count as f64,
        };
        let holds = if self.or_equal { number >= self.bound } else { number > self.bound };
        holds.then_some(count)
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.or_equal { ">=" } else { ">" };
        let name = self.verdict.map_or("unhealthy", Verdict::name);
        match self.is_share {
            true => write!(f, "{name}{sign}{}%", crate::numbers::rounded(100.0 * self.bound)),
            false => write!(f, "{name}{sign}{}", self.bound),
        }
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            let names: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
            format!(
                "\"{text}\": write it as VERDICT>NUMBER or VERDICT>SHARE%, for instance dead>5%; a verdict is one of {}, or unhealthy",
                names.join(", ")
            )
        };
        let (name, bound) = text.split_once('>').ok_or_else(form)?;
        let (or_equal, bound) = match bound.strip_prefix('=') {
            Some(bound) => (true, bound),
            None => (false, bound),
        };
        let name = name.trim();
        let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.name() == name);
        if verdict.is_none() && name != "unhealthy" {
            return Err(form());
        }
        let (is_share, bound) = match bound.trim().strip_suffix('%') {
            Some(bound) => (true, bound),
            None => (false, bound.trim()),
        };
        let bound: f64 = bound.trim().parse().map_err(|_| form())?;
        let most = if is_share { 100.0 } else { f64::MAX };
        if !(0.0..=most).contains(&bound) {
            return Err(form());
        }
        Ok(Self { verdict, or_equal, bound: if is_share { bound / 100.0 } else { bound }, is_share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_or_not() {
        let all = [Verdict::Dead, Verdict::Noise, Verdict::Healthy, Verdict::Healthy];
        let count = |verdict| all.iter().filter(|other| **other == verdict).count();
        let holds = |text: &str| text.parse::<FailOn>().unwrap().holds(count, all.len());
        assert_eq!(holds("dead>5%"), Some(1));
        assert_eq!(holds("dead > 25 %"), None);
        assert_eq!(holds("dead>=25%"), Some(1));
        assert_eq!(holds("unhealthy>1"), Some(2));
        assert_eq!(holds("duplicate>0"), None);
        assert_eq!("dead>5%".parse::<FailOn>().unwrap().to_string(), "dead>5%");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "dead", "dead>", "dead>x", "ded>5%", "dead>-1", "dead>101%", "dead>NaN", "dead<5%"] {
            assert!(text.parse::<FailOn>().unwrap_err().contains("for instance dead>5%"), "{text}");
        }
    }
}
