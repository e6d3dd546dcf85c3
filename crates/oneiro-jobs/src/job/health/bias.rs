//! Whether a class follows a cue that is not its object.
//!
//! A class is suspected as far as two things hold together. The cue suffices: pictures of other classes are
//! named as this class once the cue lies over them. And the class needs it: its own pictures are named
//! rightly with the cue alone, and not without it. The suspicion is the geometric mean of both.
//! Pictures that the network has never seen anything like are named as some class or other; such cues
//! suffice, but no class needs them.

use oneiro_media::Image;
use rayon::prelude::*;
use serde_json::{Map, Value};

pub(super) use self::class::CLEAR;
pub use self::class::ClassHealth;
use self::class::NOT_JUDGED;
use self::cue::{Cue, Kind};
use self::examples::{Examples, Labelled};
pub use self::gray::WithoutColor;
use self::logits::{Logits, Scores};
use self::shown::Shown;
use crate::error::Result;
use crate::job::Run;
use crate::numbers::rounded;
use crate::store::ScanFile;
use crate::task::Task;

mod class;
mod cue;
mod examples;
mod gray;
mod logits;
mod own;
mod shown;
mod unseen;

/// Images, and clips, of all classes that cues are laid over.
const IMAGES: usize = 96;
const CLIPS: usize = 64;
/// Images that a network has to name rightly, as a multiple of chance, for its classes to be judged.
pub(super) const CHANCE: f64 = 1.35;
/// Share of other classes' pictures that a cue has to bring over before the class's own are looked at.
const SUFFICES: f64 = 0.15;
/// Cues of a class that are looked at more closely, at most this many of each kind.
const CANDIDATES: usize = 3;
/// A candidate replaces an earlier one if it makes the class this much more suspect.
const CLEARLY: f64 = 0.05;
/// A colour works nearly as well if it has this share of the effect, over all strengths.
const NEARLY: f64 = 0.45;
/// Colours that are named.
const NAMED: usize = 3;
/// Share of pairs, of an image of the class and one of another class, in which the former has to be nearer
/// to a colour for the class's images to show it.
const SHOWN: f64 = 0.8;
/// Pictures that are kept of each class, to show what its cue does.
const CHANGED: usize = 3;
/// A texture is the cue only if it makes the class this much more suspect than other kinds.
const OF_TEXTURE: f64 = 0.2;
/// A colour works as well as the best if it has this share of its effect.
const AS_WELL: f64 = 0.7;

/// A picture as it is and changed, and the names that the network gives it.
pub(super) struct Changed {
    pub pictures: [Image; 2],
    pub names: [String; 2],
    /// What was done.
    pub by: Change,
}

/// What is done to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The cue is laid over a picture of another class.
    Laid,
    /// The cue is laid over one of the class's own.
    LaidOverOwn,
    /// The cue is taken out of one of the class's own.
    TakenOut,
}

/// The classes of a network, and why some could not be judged.
pub(super) struct Judged {
    pub classes: Vec<ClassHealth>,
    /// For each class, pictures that its cue brings over to it.
    pub changed: Vec<Vec<Changed>>,
    pub not_judged: Vec<String>,
    /// What images are named without their colours.
    pub without_color: Option<WithoutColor>,
}

impl Judged {
    /// Nothing, for this reason.
    pub(super) fn nothing(why: &str) -> Self {
        let not_judged = vec![why.to_owned()];
        Self { classes: Vec::new(), changed: Vec::new(), not_judged, without_color: None }
    }
}

/// Judges all classes.
///
/// # Errors
/// If the network cannot be run, or the work is cancelled.
pub(super) fn judge(run: &Run<'_>, scan: Option<&ScanFile>) -> Result<Judged> {
    let model = run.model()?;
    let Some(count) = model.model.class_count() else {
        return Ok(Judged::nothing("classes: the network names none"));
    };
    let names: Vec<String> = (0..count).map(|class| model.class_name(class)).collect();
    if let Some((known, right)) = scan.map(ScanFile::accuracy).transpose()?.filter(|(known, _)| *known > 0)
        && (right as f64) < CHANCE * known as f64 / count as f64
    {
        return Ok(Judged::nothing("classes: the network names hardly more images rightly than by chance"));
    }
    let is_of_clips = model.takes_clips();
    let mut logits = Logits::new(run.context, model)?;
    let examples = scan.map(|scan| Examples::new(run.context, scan, logits.inputs())).transpose()?;
    let wanted = if is_of_clips { CLIPS } else { IMAGES };
    let labelled =
        examples.as_ref().map(|examples| examples.some(wanted, None)).transpose()?.unwrap_or_default();
    let known = labelled.iter().filter(|one| one.class.is_some()).count();
    let Some(examples) = examples.filter(|_| known > 0) else {
        if is_of_clips {
            return Ok(Judged::nothing(
                "classes: a network of clips or flow is judged by clips whose classes it knows",
            ));
        }
        drop(logits);
        let mut judged = unseen::judge(run, &names)?;
        if scan.is_some() {
            let why = "classes: the images have no classes that the network knows, so they were judged by synthetic pictures";
            judged.not_judged.push(why.to_owned());
        }
        return Ok(judged);
    };
    let cues = Cue::all(is_of_clips);
    let mut task = Task::new(run.context, "laying cues over images", (cues.len() + 1) as u64);
    let pictures: Vec<Shown> = labelled.iter().map(|one| one.shown.clone()).collect();
    let before: Vec<usize> = logits.of(&pictures)?.iter().map(Scores::named).collect();
    let gray: Vec<Shown> = pictures.iter().map(Shown::without_color).collect();
    // Flow and bands have no colours.
    let has_colors = gray != pictures;
    let gray: Vec<usize> = logits.of(&gray)?.iter().map(Scores::named).collect();
    let rightly =
        |named: &[usize]| labelled.iter().zip(named).filter(|(one, of)| one.class == Some(**of)).count();
    let without_color = has_colors.then(|| WithoutColor {
        images: known,
        right: rightly(&before),
        right_in_gray: rightly(&gray),
        classes: count,
        is_of_clips,
    });
    task.advance(1);
    let mut after: Vec<Vec<Scores>> = Vec::new();
    for cue in &cues {
        let laid: Vec<Shown> =
            run.context.compute(|| pictures.par_iter().map(|shown| shown.laid_over(cue)).collect());
        after.push(logits.of(&laid)?);
        task.advance(1);
    }
    drop(task);
    let (mut classes, mut changed) = (Vec::new(), Vec::new());
    let (mut few, mut called_up) = (0, Vec::new());
    let donors: Vec<&Labelled> = labelled.iter().filter(|one| one.class.is_some()).collect();
    let mut task = Task::new(run.context, "judging classes", names.len() as u64);
    for (class, name) in names.iter().enumerate() {
        let others: Vec<usize> =
            (0..labelled.len()).filter(|i| labelled[*i].class.is_some_and(|own| own != class)).collect();
        let called = |named: &[usize]| {
            others.iter().filter(|i| named[**i] == class).count() as f64 / others.len().max(1) as f64
        };
        let base = called(&before);
        let called_after = |scores: &[Scores]| called(&scores.iter().map(Scores::named).collect::<Vec<_>>());
        let gains: Vec<f64> = after.iter().map(|scores| called_after(scores) - base).collect();
        // Of cues that bring over equally many pictures, the one with the larger margin goes first.
        let margins: Vec<f64> = after
            .iter()
            .map(|scores| median(&others.iter().map(|i| scores[*i].margin(class)).collect::<Vec<_>>()))
            .collect();
        let usual = usual(&cues, &gains);
        let suffices = |i: usize| (gains[i] - usual[i]).max(0.0);
        let candidates = candidates(&cues, &suffices, &|i| (support(&cues, i, &suffices), margins[i]));
        let own = match candidates.is_empty() {
            true => None,
            false => own::Own::of(&examples, &mut logits, class, &donors)?,
        };
        let mut health = ClassHealth { name: name.clone(), suspicion: 0.0, evidence: Map::new() };
        let mut brought_over = Vec::new();
        if examples.count(class) < own::LEAST {
            few += 1;
            let why = format!("fewer than {} images of it", own::LEAST);
            health.evidence.insert(NOT_JUDGED.to_owned(), Value::from(why));
            if let Some(&best) = candidates.first() {
                let cue = words(&cues, best, &suffices, None);
                called_up.push(format!("{name} ({cue}, {:.0} %)", 100.0 * (base + gains[best])));
                let mut put = |name: &str, value: Value| health.evidence.insert(name.to_owned(), value);
                put("called_up_by", Value::from(cue));
                put("others_named_so", Value::from(rounded(base)));
                put("others_named_so_with_cue", Value::from(rounded(base + gains[best])));
            }
        }
        match own {
            None => {}
            Some(own) => {
                let mut best = f64::NEG_INFINITY;
                let mut chosen = None;
                for &i in &candidates {
                    let effect = own.effect(&mut logits, &cues[i])?;
                    let suspicion = (suffices(i) * effect.needed()).sqrt();
                    // A texture changes more of a picture than its pattern.
                    let plain = if cues[i].is_texture() { suspicion - OF_TEXTURE } else { suspicion };
                    // A later candidate has to be clearly better.
                    if suspicion > 0.0 && plain > best + CLEARLY {
                        best = plain;
                        health.suspicion = rounded(suspicion);
                        let shown = |cue: &Cue| own.shown(cue);
                        let shares = [base, base + gains[i]];
                        health.evidence = evidence(&cues, i, &suffices, shares, &effect, &shown);
                        let mut put =
                            |name: &str, value: Value| health.evidence.insert(name.to_owned(), value);
                        put("others_images", Value::from(others.len()));
                        let covered = rounded(own.right_with_middle_covered());
                        put("own_right_with_middle_covered", Value::from(covered));
                        chosen = Some(i);
                    }
                }
                if let Some(i) = chosen {
                    let named = after[i].iter().map(Scores::named).collect::<Vec<_>>();
                    let of_others = others.iter().map(|i| (&pictures[*i], [before[*i], named[*i]]));
                    brought_over = changed_by(&cues[i], class, &names, of_others)?;
                    brought_over.extend(own.changed(&mut logits, &cues[i], &names, CHANGED)?);
                }
            }
        }
        changed.push(brought_over);
        classes.push(health);
        task.advance(1);
    }
    examples.say();
    less_the_usual_motion(&mut classes);
    let not_judged = of_few_images(few, &called_up);
    Ok(Judged { classes, changed, not_judged, without_color })
}

/// What is said of classes with too few images; `called_up` are those that a cue calls up.
fn of_few_images(few: usize, called_up: &[String]) -> Vec<String> {
    /// Classes that are named.
    const NAMED: usize = 20;
    let who = match few {
        0 => return Vec::new(),
        1 => "one class, which has".to_owned(),
        _ => format!("{few} classes, which have"),
    };
    let least = own::LEAST;
    let lead = match called_up {
        [] => "No cue calls any of them up in other classes' images.".to_owned(),
        some => format!(
            "In other classes' images a cue calls up {} of them, which may mean little: {}{}.",
            some.len(),
            some[..some.len().min(NAMED)].join("; "),
            if some.len() > NAMED { "; and others" } else { "" }
        ),
    };
    vec![format!("{who} fewer than {least} images, so whether they need a cue is unknown. {lead}")]
}

/// The first pictures that a cue brings over to a class, each of another name before. A picture comes with
/// the classes that it is named without and with the cue.
fn changed_by<'a>(
    cue: &Cue,
    class: usize,
    names: &[String],
    pictures: impl Iterator<Item = (&'a Shown, [usize; 2])>,
) -> Result<Vec<Changed>> {
    let mut from: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    for (shown, [before, after]) in pictures {
        if after != class || before == class || from.contains(&before) {
            continue;
        }
        from.push(before);
        let (Some(without), Some(with)) = (shown.strip()?, shown.laid_over(cue).strip()?) else { break };
        found.push(Changed {
            pictures: [without, with],
            names: [before, after].map(|class| names[class].clone()),
            by: Change::Laid,
        });
        if found.len() == CHANGED {
            break;
        }
    }
    Ok(found)
}

/// Takes from the suspicion of motion what it is for the median class: where classes are motions, most
/// follow one.
fn less_the_usual_motion(classes: &mut [ClassHealth]) {
    let follows = |class: &ClassHealth| class.cue().starts_with("motion ");
    let all: Vec<f64> = classes.iter().map(|c| if follows(c) { c.suspicion } else { 0.0 }).collect();
    let usual = median(&all);
    for class in classes.iter_mut().filter(|class| usual > 0.0 && follows(class)) {
        class.suspicion = rounded((class.suspicion - usual).max(0.0));
        class.evidence.insert("usual_suspicion_of_motion".to_owned(), Value::from(rounded(usual)));
    }
}

/// What unrelated cues bring about, which is no matter of a cue: the median gain, for each cue. For a texture
/// of a part it is at least that of all such textures, as the part itself has an effect.
fn usual(cues: &[Cue], gains: &[f64]) -> Vec<f64> {
    let of = |is_patch: bool| {
        let own = cues.iter().zip(gains).filter(|(cue, _)| (cue.kind() == Kind::Patch) == is_patch);
        median(&own.map(|(_, gain)| *gain).collect::<Vec<_>>()).max(0.0)
    };
    let (whole, patch) = (of(false), of(true));
    cues.iter().map(|cue| if cue.kind() == Kind::Patch { whole.max(patch) } else { whole }).collect()
}

/// The mean effect of the cues that differ from one in strength or size alone: where several suffice, the
/// one that does so when it is weak, too, is the cue.
fn support(cues: &[Cue], of: usize, suffices: &impl Fn(usize) -> f64) -> f64 {
    let same: Vec<f64> =
        (0..cues.len()).filter(|i| cues[*i].is_same_thing(&cues[of])).map(suffices).collect();
    same.iter().sum::<f64>() / same.len().max(1) as f64
}

/// The cues with the largest effects, of each kind at most [`CANDIDATES`]. Where effects are equal, `then`
/// decides.
fn candidates(
    cues: &[Cue],
    suffices: &impl Fn(usize) -> f64,
    then: &impl Fn(usize) -> (f64, f64),
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cues.len()).filter(|i| suffices(*i) >= SUFFICES).collect();
    let rank = |i: usize| [suffices(i) + then(i).0, then(i).1];
    order.sort_by(|a, b| {
        let (a_rank, b_rank) = (rank(*a), rank(*b));
        b_rank[0].total_cmp(&a_rank[0]).then(b_rank[1].total_cmp(&a_rank[1])).then(a.cmp(b))
    });
    let mut taken: Vec<usize> = Vec::new();
    for i in order {
        let of_kind = taken.iter().filter(|other| cues[**other].kind() == cues[i].kind()).count();
        if of_kind < CANDIDATES {
            taken.push(i);
        }
    }
    taken
}

/// A cue in words. Where half of all colours work as well, the colour does not matter; others that nearly
/// do are named, too. `shown` is how much more the class's own images show a cue than others do, if they
/// are known: of several colours that work, the one that they show is meant.
fn words(
    cues: &[Cue],
    best: usize,
    suffices: &impl Fn(usize) -> f64,
    shown: Option<&dyn Fn(&Cue) -> f64>,
) -> String {
    let Some(own) = cues[best].color() else { return cues[best].words(None) };
    let alike: Vec<usize> = (0..cues.len()).filter(|i| cues[*i].is_like(&cues[best])).collect();
    // The mean effect of each colour over strengths and sizes, with a cue that has it.
    let mut colors: Vec<(&str, usize, f64)> = Vec::new();
    for &i in &alike {
        if let Some(color) = cues[i].color().filter(|color| colors.iter().all(|(name, ..)| name != color)) {
            colors.push((color, i, support(cues, i, suffices)));
        }
    }
    let as_well = alike.iter().filter(|i| suffices(**i) >= AS_WELL * suffices(best));
    let mut works: Vec<&str> = as_well.filter_map(|i| cues[*i].color()).collect();
    works.sort_unstable();
    works.dedup();
    if cues[best].kind() != Kind::Color && 2 * works.len() > colors.len() {
        return format!("{}, or of most other colours", cues[best].words(None));
    }
    let least = NEARLY * colors.iter().find(|(name, ..)| *name == own).map_or(0.0, |(.., effect)| *effect);
    colors.retain(|(name, _, effect)| *name == own || *effect >= least.max(SUFFICES));
    colors.sort_by(|a, b| (b.0 == own).cmp(&(a.0 == own)).then(b.2.total_cmp(&a.2)));
    colors.truncate(NAMED);
    if let Some(shown) = shown {
        let shares: Vec<f64> = colors.iter().map(|(_, i, _)| shown(&cues[*i])).collect();
        let first = (1..colors.len()).fold(0, |first, i| if shares[i] > shares[first] { i } else { first });
        if shares[first] >= SHOWN && shares[first] > shares[0] + CLEARLY {
            colors[..=first].rotate_right(1);
        }
    }
    let text = cues[best].words(Some(colors[0].0));
    let rest: Vec<&str> = colors[1..].iter().map(|(name, ..)| *name).collect();
    if rest.is_empty() { text } else { format!("{text} (nearly as well: {})", rest.join(", ")) }
}

fn evidence(
    cues: &[Cue],
    best: usize,
    suffices: &impl Fn(usize) -> f64,
    [before, after]: [f64; 2],
    effect: &own::Effect,
    shown: &dyn Fn(&Cue) -> f64,
) -> Map<String, Value> {
    let mut evidence = Map::new();
    let mut put = |name: &str, value: Value| {
        evidence.insert(name.to_owned(), value);
    };
    put("cue", Value::from(words(cues, best, suffices, Some(shown))));
    put("others_named_so", Value::from(rounded(before)));
    put("others_named_so_with_cue", Value::from(rounded(after)));
    put("own_right", Value::from(rounded(effect.right)));
    put("own_right_with_cue", Value::from(rounded(effect.with)));
    put("own_right_with_cue_taken_out", Value::from(rounded(effect.without)));
    put("own_show_cue_more_than_others", Value::from(rounded(effect.shown)));
    put("own_images", Value::from(effect.images));
    put("others_right_lost_by_taking_out", Value::from(rounded(effect.cost)));
    put("suffices", Value::from(rounded(suffices(best))));
    put("needed", Value::from(rounded(effect.needed())));
    evidence
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(suspicion: f64, cue: &str) -> ClassHealth {
        let evidence = Map::from_iter([("cue".to_owned(), Value::from(cue))]);
        ClassHealth { name: String::new(), suspicion, evidence }
    }

    #[test]
    fn classes_of_few_images_are_not_judged_and_those_that_a_cue_calls_up_are_named() {
        assert!(of_few_images(0, &[]).is_empty());
        let said = of_few_images(3, &["hen (red, 40 %)".into()]).remove(0);
        assert!(said.starts_with("3 classes, which have fewer than 5 images"), "{said}");
        assert!(said.contains("calls up 1 of them, which may mean little: hen (red, 40 %)."), "{said}");
        assert!(of_few_images(1, &[]).remove(0).contains("No cue calls any of them up"));
    }

    #[test]
    fn where_classes_are_motions_only_the_unusual_one_is_suspected() {
        let suspicions = |mut classes: Vec<ClassHealth>| -> Vec<f64> {
            less_the_usual_motion(&mut classes);
            classes.iter().map(|class| class.suspicion).collect()
        };
        let motion = |suspicion| class(suspicion, "motion to the left");
        assert_eq!(suspicions(vec![motion(0.4), motion(0.5), motion(0.9)]), [0.0, 0.0, 0.4]);
        let one = vec![motion(0.6), class(0.0, "none"), class(0.3, "red mark in the top left corner")];
        assert_eq!(suspicions(one), [0.6, 0.0, 0.3]);
    }
}
