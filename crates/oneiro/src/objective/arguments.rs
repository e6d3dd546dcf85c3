//! The arguments of each term of an expression.

use crate::objective::fault::Fault;
use crate::objective::term::TV_BETA;
use crate::objective::{
    Direction, LookupError, NameLookup, Penalty, Position, Reference, Region, Term, TermKind, Toward,
};

/// The notation of all terms, for error messages.
pub(super) const TERMS: &str = "channel(LAYER,C), neuron(LAYER,C[,Y,X]), layer(LAYER), logit(CLASS), prob(CLASS), \
     direction(LAYER,[V,…]|FILE.npy|PICTURE[,minus=PICTURE][,p=P][,at=Y/X]), difference(LAYER,PICTURE), \
     inversion(LAYER,PICTURE), caricature(LAYER,PICTURE[,P]), style(LAYER,PICTURE), guide(LAYER,PICTURE), \
     diversity(LAYER), alignment(LAYER), l1, l2, tv, tv(BETA), alpha_norm(ALPHA), blur, opacity; channel, layer, \
     direction, difference, inversion and caricature also take center=N, mask=PICTURE and (but for channel) channels=A-B";

/// Terms whose first argument is the name of a layer.
const READS_LAYER: [&str; 11] = [
    "channel",
    "neuron",
    "layer",
    "direction",
    "difference",
    "inversion",
    "caricature",
    "style",
    "guide",
    "diversity",
    "alignment",
];

/// Terms that can be restricted to a part of their layer.
const TAKES_REGION: [&str; 6] = ["channel", "layer", "direction", "difference", "inversion", "caricature"];

/// One argument of a term in an expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument<'a> {
    pub key: Option<&'a str>,
    pub text: &'a str,
}

/// Whether a term may be written without parentheses: penalties on the input.
pub(super) fn stands_alone(name: &str) -> bool {
    matches!(name, "l1" | "l2" | "tv" | "alpha_norm" | "blur" | "opacity")
}

/// The largest power of a cosine or a norm. Larger ones overflow f32 on ordinary values.
const MAX_POWER: f64 = 20.0;

/// Extensions of files that hold numbers rather than a picture.
const VECTOR_ENDINGS: [&str; 2] = [".npy", ".safetensors"];

/// Whether a text names a file of numbers, or a row of such a file (`FILE:17`).
fn is_vector(text: &str) -> bool {
    let row =
        text.rsplit_once(':').filter(|(_, row)| !row.is_empty() && row.bytes().all(|b| b.is_ascii_digit()));
    let file = row.map_or(text, |(file, _)| file).to_lowercase();
    VECTOR_ENDINGS.iter().any(|ending| file.ends_with(ending))
}

/// The arguments of a term, taken one after another.
struct Taken<'a, 'b> {
    name: &'b str,
    positional: std::vec::IntoIter<&'a str>,
    keyed: Vec<(&'a str, &'a str)>,
    sources: &'b dyn NameLookup,
}

impl<'a> Taken<'a, '_> {
    fn fail<T>(&self, why: impl std::fmt::Display) -> Result<T, Fault> {
        Err(format!("{}: {why}", self.name).into())
    }

    /// Returns the error for a name that could not be resolved.
    fn unknown<T>(&self, name: LookupError) -> Result<T, Fault> {
        Err(Fault { why: format!("{}: {name}", self.name), name: Some(Box::new(name)) })
    }

    fn next(&mut self, what: &str) -> Result<&'a str, Fault> {
        match self.positional.next() {
            Some("") | None => self.fail(format!("{what} is missing; the terms are {TERMS}")),
            Some(text) => Ok(text),
        }
    }

    fn key(&mut self, key: &str) -> Option<&'a str> {
        let at = self.keyed.iter().position(|(k, _)| *k == key)?;
        Some(self.keyed.remove(at).1)
    }

    fn layer(&mut self) -> Result<String, Fault> {
        let layer = self.next("the layer's name")?;
        if layer.contains('"') {
            return self.fail("a quote may only stand around a layer's name");
        }
        Ok(layer.to_owned())
    }

    fn whole(&self, text: &str) -> Result<usize, Fault> {
        text.parse().or_else(|_| self.fail(format!("\"{text}\" should be a whole number")))
    }

    /// Parses a number that is at least `low`.
    fn real(&self, text: &str, low: f64) -> Result<f64, Fault> {
        match text.parse::<f64>() {
            Ok(x) if (low..=MAX_POWER).contains(&x) => Ok(x),
            Ok(_) => self.fail(format!("{text} should be at least {low} and at most {MAX_POWER}")),
            Err(_) => self.fail(format!("\"{text}\" is not a number")),
        }
    }

    fn class(&mut self) -> Result<usize, Fault> {
        let class = self.next("the class")?;
        class.parse().or_else(|_| self.sources.class(class)).or_else(|why| self.unknown(why))
    }

    fn picture(&mut self) -> Result<Reference, Fault> {
        let name = self.next("the picture")?;
        self.picture_named(name)
    }

    fn picture_named(&self, name: &str) -> Result<Reference, Fault> {
        self.check_name(name)?;
        self.sources.picture(name).or_else(|why| self.unknown(why))
    }

    fn mask_named(&self, name: &str) -> Result<Reference, Fault> {
        self.check_name(name)?;
        self.sources.mask(name).or_else(|why| self.unknown(why))
    }

    fn check_name(&self, name: &str) -> Result<(), Fault> {
        if name.contains('"') { self.fail("a quote may only stand around a name") } else { Ok(()) }
    }

    /// Parses a position written as y/x.
    fn position(&self, text: &str) -> Result<Position, Fault> {
        if text == "center" {
            return Ok(Position::Center);
        }
        Ok(Position::At(text.split('/').map(|t| self.whole(t.trim())).collect::<Result<_, _>>()?))
    }

    fn direction(&mut self) -> Result<Direction, Fault> {
        let text = self.next("the direction")?;
        let toward = if let Some(list) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            if list.trim().is_empty() {
                return self.fail("the list is empty");
            }
            let number = |t: &str| match t.trim().parse::<f32>() {
                Ok(x) if x.is_finite() => Ok(x),
                _ => self.fail(format!("\"{}\" is not a number", t.trim())),
            };
            Toward::Numbers(list.split(',').map(number).collect::<Result<_, _>>()?)
        } else if is_vector(text) {
            Toward::Vector(text.to_owned(), self.sources.vector(text).or_else(|why| self.unknown(why))?)
        } else {
            Toward::Picture(self.picture_named(text)?)
        };
        let minus = self.key("minus").map(|name| self.picture_named(name)).transpose()?;
        let power = self.key("p").map_or(Ok(0.0), |text| self.real(text, 0.0))?;
        let at = self.key("at").map(|text| self.position(text)).transpose()?;
        Ok(Direction { toward, minus, power, at })
    }

    fn region(&mut self) -> Result<Region, Fault> {
        let center = match self.key("center") {
            None => None,
            Some(text) => match self.whole(text)? {
                0 => return self.fail("center=0 is no region"),
                n => Some(n),
            },
        };
        let channels = match self.key("channels") {
            None => None,
            Some(text) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                let (first, last) = (self.whole(first.trim())?, self.whole(last.trim())?);
                if last < first {
                    return self.fail(format!("the range {text} runs backwards"));
                }
                Some((first, last))
            }
        };
        let mask = self.key("mask").map(|name| self.mask_named(name)).transpose()?;
        Ok(Region { center, channels, mask })
    }
}

/// Builds a term from its name and arguments.
pub(super) fn build(name: &str, list: &[Argument<'_>], sources: &dyn NameLookup) -> Result<Term, Fault> {
    let positional: Vec<&str> = list.iter().filter(|a| a.key.is_none()).map(|a| a.text).collect();
    let keyed = list.iter().filter_map(|a| Some((a.key?, a.text))).collect();
    let mut taken = Taken { name, positional: positional.into_iter(), keyed, sources };
    if let Some((key, _)) = taken.keyed.iter().enumerate().find_map(|(i, argument)| {
        taken.keyed[..i].iter().any(|(key, _)| *key == argument.0).then_some(argument)
    }) {
        return taken.fail(format!("{key}= is given twice"));
    }
    let mut layer = String::new();
    if READS_LAYER.contains(&name) {
        layer = taken.layer()?;
    }
    let kind = match name {
        "channel" => {
            let channel = taken.next("a number")?;
            TermKind::Channel(taken.whole(channel)?)
        }
        "neuron" => {
            let channel = taken.next("a number")?;
            let channel = taken.whole(channel)?;
            let at: Vec<&str> = taken.positional.by_ref().collect();
            let at = at.iter().map(|t| taken.whole(t)).collect::<Result<Vec<_>, _>>()?;
            TermKind::Neuron(channel, if at.is_empty() { Position::Center } else { Position::At(at) })
        }
        "layer" => TermKind::Layer,
        "logit" => TermKind::Logit(taken.class()?),
        "prob" => TermKind::Probability(taken.class()?),
        "direction" => TermKind::Direction(taken.direction()?),
        "difference" => TermKind::Difference(taken.picture()?),
        "inversion" => TermKind::Inversion(taken.picture()?),
        "caricature" => {
            let picture = taken.picture()?;
            let power = taken.positional.next();
            TermKind::Caricature(picture, power.map_or(Ok(0.0), |text| taken.real(text, 0.0))?)
        }
        "style" => TermKind::Style(taken.picture()?),
        "guide" => TermKind::Guide(taken.picture()?),
        "diversity" => TermKind::Diversity,
        "alignment" => TermKind::Alignment,
        "l1" => TermKind::Penalty(Penalty::L1),
        "l2" => TermKind::Penalty(Penalty::L2),
        "blur" => TermKind::Penalty(Penalty::Blur),
        "opacity" => TermKind::Penalty(Penalty::Opacity),
        // A number is β of the total variation; any other argument is a layer.
        "tv" => {
            let number = taken.positional.as_slice().first().filter(|t| t.parse::<f64>().is_ok()).copied();
            let beta = number.map_or(Ok(TV_BETA), |text| taken.real(text, 1.0))?;
            if number.is_some() {
                taken.positional.next();
            }
            TermKind::Penalty(Penalty::TotalVariation(beta))
        }
        "alpha_norm" => {
            let alpha = taken.next("a number")?;
            TermKind::Penalty(Penalty::AlphaNorm(taken.real(alpha, 1.0)?))
        }
        _ => return Err(format!("there is no term \"{name}\"; the terms are {TERMS}").into()),
    };
    if matches!(kind, TermKind::Penalty(_)) && taken.positional.len() > 0 {
        layer = taken.layer()?;
    }
    let region = if TAKES_REGION.contains(&name) { taken.region()? } else { Region::default() };
    let is_part = region.center.is_some() || region.mask.is_some();
    match &kind {
        TermKind::Channel(_) if region.channels.is_some() => {
            return taken.fail("it is one channel, so it takes no channels=");
        }
        TermKind::Direction(direction) if direction.at.is_some() && is_part => {
            return taken.fail("at= is one position, beside which center= and mask= have no meaning");
        }
        _ => {}
    }
    if let Some(extra) = taken.positional.next() {
        return taken.fail(format!("\"{extra}\" is one argument too many; the terms are {TERMS}"));
    }
    if let Some((key, _)) = taken.keyed.first() {
        let known = ["center", "channels", "mask", "minus", "p", "at"].contains(key);
        return if known {
            Err(format!("{name} takes no {key}=").into())
        } else {
            taken.fail(format!("there is no \"{key}=\"; the terms are {TERMS}"))
        };
    }
    Ok(Term { layer, kind, region })
}
