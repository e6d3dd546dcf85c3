//! Conditions on a classification, for scripts: `right<90%`, `each<50%`, `images<20`.

use std::fmt;
use std::str::FromStr;

use super::confusion::Confusion;
use crate::numbers::rounded;

/// A condition on how many images of class folders are named rightly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailOn {
    what: What,
    /// Whether the bound itself counts.
    or_equal: bool,
    /// A share from 0 to 1, or a number of images.
    bound: f64,
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// The share of all images of known class that are named rightly.
    Right,
    /// The smallest share of a class folder's images that are named rightly.
    Each,
    /// The number of images of known class.
    Images,
}

impl What {
    const ALL: [Self; 3] = [Self::Right, Self::Each, Self::Images];

    fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Each => "each",
            Self::Images => "images",
        }
    }
}

impl FailOn {
    /// Returns a sentence with the numbers if the condition holds.
    ///
    /// # Errors
    /// A sentence, if a share is asked of images whose class is not known.
    pub fn holds(&self, of: &Confusion) -> Result<Option<String>, String> {
        // The bound is divided by 100, too: multiplied, 55 % would be more than 55.
        let share = |right: usize, of: usize| right as f64 / of.max(1) as f64;
        let named = |right: usize, known: usize| {
            format!("{right} of {known} images are named rightly, {:.1} %", 100.0 * share(right, known))
        };
        let (number, said) = match self.what {
            What::Images => (of.known as f64, format!("there are {} images of known class", of.known)),
            _ if of.known == 0 => {
                return Err(format!("{self}: no image lies in a folder with the name of a class"));
            }
            What::Right => (share(of.right, of.known), named(of.right, of.known)),
            What::Each => {
                let judged = of.folders.iter().filter(|folder| folder.class.is_some());
                let worst = judged.min_by(|a, b| a.share().total_cmp(&b.share()));
                let Some(worst) = worst else { return Err(format!("{self}: no folder is a class")) };
                (
                    share(worst.right, worst.images),
                    format!("of {}, {}", worst.folder, named(worst.right, worst.images)),
                )
            }
        };
        let holds = number < self.bound || self.or_equal && number == self.bound;
        Ok(holds.then(|| format!("failed, as {self}: {said}")))
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}<{}", self.what.name(), if self.or_equal { "=" } else { "" })?;
        match self.what {
            What::Images => write!(f, "{}", self.bound),
            _ => write!(f, "{}%", rounded(100.0 * self.bound)),
        }
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("\"{text}\": write it as right<90%, each<50% or images<20");
        let (name, bound) = text.split_once('<').ok_or_else(form)?;
        let what = What::ALL.into_iter().find(|what| what.name() == name.trim()).ok_or_else(form)?;
        let (or_equal, bound) = match bound.strip_prefix('=') {
            Some(bound) => (true, bound),
            None => (false, bound),
        };
        let (is_percentage, bound) = match bound.trim().strip_suffix('%') {
            Some(bound) => (true, bound),
            None => (false, bound.trim()),
        };
        let bound: f64 = bound.trim().parse().map_err(|_| form())?;
        let bound = if is_percentage { bound / 100.0 } else { bound };
        let is_number = what == What::Images && !is_percentage && bound >= 0.0 && bound.fract() == 0.0;
        let is_share = what != What::Images && (0.0..=1.0).contains(&bound);
        if !is_number && !is_share {
            return Err(form());
        }
        Ok(Self { what, or_equal, bound })
    }
}

#[cfg(test)]
mod tests {
    use super::super::confusion::ClassFolder;
    use super::*;

    fn confusion() -> Confusion {
        let folder = |name: &str, class, images, right| ClassFolder {
            folder: name.into(),
            class,
            label: class.map(|_| name.to_owned()),
            images,
            right,
            named: Vec::new(),
        };
        let folders = vec![
            folder("cat", Some(0), 10, 10),
            folder("dog", Some(1), 10, 5),
            folder("unknown", None, 10, 0),
        ];
        Confusion { known: 20, right: 15, top: 1, right_among_top: 15, folders }
    }

    #[test]
    fn conditions_look_at_all_images_at_the_worst_class_and_at_their_number() {
        let holds = |text: &str| text.parse::<FailOn>().unwrap().holds(&confusion()).unwrap();
        assert_eq!(holds("right<75%"), None);
        assert!(holds("right<=75%").unwrap().contains("15 of 20 images are named rightly, 75.0 %"));
        assert_eq!(holds("each<50%"), None);
        assert!(holds("each<.51").unwrap().starts_with("failed, as each<51%: of dog, 5 of 10"));
        for percent in 1..100 {
            let of = Confusion { known: 100, right: percent, ..confusion() };
            let holds = |text: String| text.parse::<FailOn>().unwrap().holds(&of).unwrap().is_some();
            assert!(!holds(format!("right<{percent}%")) && holds(format!("right<={percent}%")), "{percent}");
        }
        assert_eq!(holds("images<20"), None);
        assert!(holds("images<21").is_some());
    }

    #[test]
    fn shares_of_images_without_class_are_errors() {
        let none = Confusion { known: 0, right: 0, top: 1, right_among_top: 0, folders: Vec::new() };
        assert!("right<90%".parse::<FailOn>().unwrap().holds(&none).is_err());
        assert!("each<90%".parse::<FailOn>().unwrap().holds(&none).is_err());
        assert!("images<1".parse::<FailOn>().unwrap().holds(&none).unwrap().is_some());
    }

    #[test]
    fn what_is_no_condition_says_how_to_write_one() {
        for text in ["right>90%", "right<90", "each<1.5", "images<20%", "images<1.5", "wrong<3", "right"] {
            assert!(text.parse::<FailOn>().unwrap_err().contains("write it as right<90%"), "{text}");
        }
    }
}
