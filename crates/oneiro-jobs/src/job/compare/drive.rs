//! Units before two classes: those that tell A from B, and those that raise both.

use super::board::{BoardRow, Tile};
use super::in_scan::InScan;
use super::report::Driver;
use crate::error::Result;
use crate::job::Run;
use crate::job::contributions::{ToClasses, to_classes};
use crate::job::crops::Crops;
use crate::job::tiles::{SIDE, crossed_out, squares};
use crate::numbers::signed;
use crate::store::read::LayerRecord;

/// Best images over which contributions to classes are averaged.
const EXAMPLES: usize = 9;
/// Share of its layer's largest contribution that a unit has to reach in order to drive a class.
const MATTERS: f64 = 0.1;
/// Units of each list.
const LISTED: usize = 6;
/// Side of a unit's crops as they are drawn together.
const CROPS: usize = 289;

/// What is said of both differences and of the units that raise both.
const NOTES: [&str; 3] = [
    "Units of the layers before the classes by what they add to A's score more than to B's: weight times activation, the mean over A's \
     best images. A unit that lowers B drives A, too.",
    "Units of the layers before the classes by what they add to B's score more than to A's, the mean over B's best images.",
    "Units that raise both scores: A's on A's best images, and B's on B's. The smaller of both numbers counts.",
];

/// Three lists of units: those that drive A and not B, B and not A, and both.
type Lists<T> = [Vec<T>; 3];

/// A unit of a list: its layer, its channel, and what it adds to A and to B.
struct Found<'s> {
    layer: &'s LayerRecord,
    channel: usize,
    added: [f64; 2],
    /// The number that orders the list.
    by: f64,
}

/// Which units drive two classes, as rows and as reports.
///
/// # Errors
/// If the network is not the scan's, or an image is missing.
pub(super) fn drive(
    run: &Run<'_>,
    found: &InScan<'_>,
    crops: &Crops<'_>,
) -> Result<(Vec<BoardRow>, Lists<Driver>)> {
    let layers = to_classes(run, found.scan, [&found.units[0], &found.units[1]], EXAMPLES)?;
    let headings = ["drive A more than B", "drive B more than A", "drive both"];
    let (mut rows, mut reports) = (Vec::new(), [const { Vec::new() }; 3]);
    for ((list, report), (heading, note)) in
        lists(&layers).iter().zip(&mut reports).zip(headings.into_iter().zip(NOTES))
    {
        let mut tiles = Vec::new();
        for of in list {
            let driver =
                Driver { unit: format!("{}:{}", of.layer.name, of.channel), a: of.added[0], b: of.added[1] };
            let lines = vec![driver.unit.clone(), format!("A {}, B {}", signed(driver.a), signed(driver.b))];
            tiles.extend(tile(found, crops, of, lines)?);
            report.push(driver);
        }
        let end = match tiles.is_empty() {
            true => "There is no such unit.",
            false => "Each is drawn by its nine best images.",
        };
        rows.push(BoardRow::new(heading, format!("{note} {end}"), tiles));
    }
    Ok((rows, reports))
}

/// The units of all layers that matter, the strongest first.
fn lists<'s>(layers: &[ToClasses<'s>]) -> Lists<Found<'s>> {
    let mut lists = [const { Vec::new() }; 3];
    for layer in layers {
        let [on_a, on_b] = &layer.on;
        let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let a_less_b = less(&on_a[0], &on_a[1]);
        let b_less_a = less(&on_b[1], &on_b[0]);
        // A unit raises both classes only if it matters to each of them.
        let shares = [&on_a[0], &on_b[1]].map(|of| of.iter().copied().fold(0.0, f64::max) * MATTERS);
        let smaller = |channel: usize| {
            let added = [on_a[0][channel], on_b[1][channel]];
            (added[0] >= shares[0] && added[1] >= shares[1]).then(|| added[0].min(added[1]))
        };
        for channel in 0..a_less_b.len() {
            let of = |added: [f64; 2], by: f64| Found { layer: layer.layer, channel, added, by };
            lists[0].push(of([on_a[0][channel], on_a[1][channel]], a_less_b[channel]));
            lists[1].push(of([on_b[0][channel], on_b[1][channel]], b_less_a[channel]));
            lists[2].extend(smaller(channel).map(|by| of([on_a[0][channel], on_b[1][channel]], by)));
        }
    }
    for list in &mut lists {
        list.retain(|of| of.by > 0.0);
        list.sort_by(|a, b| b.by.total_cmp(&a.by));
        let least = MATTERS * list.first().map_or(0.0, |first| first.by);
        list.retain(|of| of.by >= least);
        list.truncate(LISTED);
    }
    lists
}

/// The best crops of a unit; crossed out if no image excites it, none if the scan kept no image.
fn tile(found: &InScan<'_>, crops: &Crops<'_>, of: &Found<'_>, lines: Vec<String>) -> Result<Option<Tile>> {
    let unit = found.scan.unit(of.layer, of.channel)?;
    let best = unit.best.iter().take(SIDE * SIDE);
    let parts = best.map(|best| crops.crop(best, of.layer)).collect::<Result<Vec<_>>>()?;
    if parts.is_empty() {
        return Ok(None);
    }
    let mut square = squares(&parts, CROPS)?;
    if unit.maximum.unwrap_or(0.0) <= 0.0 {
        crossed_out(&mut square);
    }
    Ok(Some(Tile::several(square, lines)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_tell_one_class_from_the_other_or_raise_both() {
        let layer = LayerRecord {
            number: 0,
            name: "l".into(),
            aliases: Vec::new(),
            forms: Vec::new(),
            is_classes: false,
            channels: 5,
            map: Vec::new(),
            field: None,
        };
        // Raises both; raises A alone; lowers B alone; is small; raises B alone.
        let on_a = [vec![5.0, 3.0, 0.0, 0.1, 0.0], vec![4.9, 0.0, -1.0, 0.0, 0.2]];
        let on_b = [vec![2.0, 0.3, 0.0, 0.0, 0.0], vec![2.5, 0.0, -1.0, 0.02, 4.0]];
        let found = lists(&[ToClasses { layer: &layer, on: [on_a, on_b] }]);
        let channels = found.each_ref().map(|list| list.iter().map(|of| of.channel).collect::<Vec<_>>());
        assert_eq!(channels, [vec![1, 2], vec![4, 0], vec![0]]);
        assert_eq!(found[0][1].added, [0.0, -1.0]);
        assert_eq!(found[2][0].added, [5.0, 2.5]);
    }
}
