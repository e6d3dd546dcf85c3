//! Concatenation in place: operands are computed inside the concatenation's result. Their gradients lie
//! inside the result's gradient.

use crate::plan::lowered::{BackwardLowered, Home, LoweredOperand, LoweredStep, Storage, home};

/// Places operands of concatenations inside their results. This is possible if an operand needs a single
/// place and `apart` does not forbid it. Sets `in_place` in the steps.
///
/// An operand may belong to several concatenations if one extends another, as in a densely connected block.
/// The shorter result then lies inside the longer one, with all its operands.
pub(super) fn values(
    storages: &[Storage],
    steps: &mut [LoweredStep],
    producers: &[Option<usize>],
    apart: impl Fn(usize) -> bool,
) -> Vec<Option<Home>> {
    let mut inside: Vec<Option<Home>> = vec![None; storages.len()];
    for step in steps.iter_mut() {
        let Some(parts) = step.kernel.concat_parts().filter(|_| step.epilogue.is_none()) else { continue };
        // For each operand, its outermost storage and the offset that this storage would need in the result.
        let wanted: Vec<Option<(usize, isize)>> = step
            .operands
            .iter()
            .zip(parts)
            .map(|(operand, &(offset, _))| {
                let LoweredOperand::Storage(s) = operand else { return None };
                producers[*s]?;
                let (outer, by) = home(&inside, *s);
                if apart(*s) || apart(outer) {
                    return None;
                }
                (outer != step.output).then_some((outer, offset as isize - by as isize))
            })
            .collect();
        for k in 0..wanted.len() {
            let Some((outer, begin)) = wanted[k] else { continue };
            if inside[outer].is_some() || begin < 0 {
                continue;
            }
            let same: Vec<usize> =
                (0..wanted.len()).filter(|&j| wanted[j].is_some_and(|w| w.0 == outer)).collect();
            let covered: usize = same.iter().map(|&j| parts[j].1).sum();
            let agreed = same.iter().all(|&j| wanted[j] == wanted[k]);
            if agreed && covered == storages[outer].len {
                inside[outer] = Some((step.output, begin as usize));
                same.iter().for_each(|&j| step.in_place[j] = true);
            }
        }
    }
    inside
}

/// Places gradients of operands inside the gradient of the concatenation, which then need not be copied to
/// them.
///
/// A contribution to the whole gradient adds to earlier contributions to its parts. If these cover the whole
/// only partly, all operands of that concatenation keep gradients of their own.
pub(super) fn gradients(
    storages: &[Storage],
    steps: &[LoweredStep],
    inside: &[Option<Home>],
    backward: &mut [BackwardLowered],
) -> Vec<Option<Home>> {
    let homes: Vec<Home> = (0..storages.len()).map(|s| home(inside, s)).collect();
    let mut fine: Vec<bool> = vec![true; storages.len()];
    for (s, storage) in storages.iter().enumerate() {
        fine[homes[s].0] &= !storage.seeded && !storage.kept && storage.differentiable;
    }
    let concatenated = |step: &LoweredStep| {
        step.kernel.concat_parts().is_some() && step.in_place.iter().all(|&p| p) && step.epilogue.is_none()
    };
    for step in steps.iter().filter(|s| s.kernel.concat_parts().is_some() && s.in_place.contains(&true)) {
        fine[homes[step.output].0] &= concatenated(step);
    }
    // For each concatenation, the ranges of its gradient to which steps have contributed.
    let mut written: Vec<Vec<(usize, usize)>> = vec![Vec::new(); storages.len()];
    let mut accumulates: Vec<(usize, usize, bool)> = Vec::new();
    for (i, b) in backward.iter().enumerate() {
        let step = &steps[b.step];
        for (j, c) in b.contributions.iter().enumerate() {
            let (whole, begin) = homes[c.storage];
            if !fine[whole] || concatenated(step) {
                continue;
            }
            let end = begin + storages[c.storage].len;
            let covered = overlap(&written[whole], begin, end);
            if covered != 0 && covered != end - begin {
                fine[whole] = false;
                continue;
            }
            if covered == 0 {
                written[whole].push((begin, end));
            }
            accumulates.push((i, j, covered > 0));
        }
    }
    // Whether a storage lies in another storage or contains one.
    let mut in_place = vec![false; storages.len()];
    for (s, &(outer, _)) in homes.iter().enumerate().filter(|(s, h)| h.0 != *s) {
        (in_place[s], in_place[outer]) = (true, true);
    }
    for (i, j, accumulate) in accumulates {
        let c = &mut backward[i].contributions[j];
        if fine[homes[c.storage].0] && in_place[c.storage] {
            c.accumulate = accumulate;
        }
    }
    for b in backward.iter_mut() {
        let step = &steps[b.step];
        if concatenated(step) && fine[homes[step.output].0] {
            b.contributions.iter_mut().for_each(|c| c.aliased = true);
        }
    }
    (0..storages.len()).map(|s| inside[s].filter(|_| fine[homes[s].0])).collect()
}

/// Number of elements of `begin .. end` that the disjoint ranges cover.
fn overlap(ranges: &[(usize, usize)], begin: usize, end: usize) -> usize {
    ranges.iter().map(|&(from, to)| to.min(end).saturating_sub(from.max(begin))).sum()
}

#[cfg(test)]
mod tests {
    use crate::graph::{Graph, ValueId};
    use crate::ops::Attribute;
    use crate::passes::testing::Net;
    use crate::plan::Request;
    use crate::plan::testing::{inside, lowered, lowered_by, optimised, request};

    /// Nodes `Tanh`, `Exp` and `Sigmoid` of x, called `p`, `q` and `r`.
    fn parts(shape: &[usize]) -> (Net, [ValueId; 4]) {
        let (mut net, x) = Net::new(shape);
        let [p, q, r] =
            [("Tanh", "p"), ("Exp", "q"), ("Sigmoid", "r")].map(|(op, name)| net.node(op, name, &[x], &[]));
        (net, [x, p, q, r])
    }

    fn concat(net: &mut Net, name: &str, parts: &[ValueId], axis: i64) -> ValueId {
        net.node("Concat", name, parts, &[("axis", Attribute::Int(axis))])
    }

    /// Lists the values that lie in other values, and the gradients that lie in other gradients.
    fn places(graph: &Graph) -> [Vec<String>; 2] {
        let mut lowering = lowered(graph, &request(graph));
        let places = lowering.timetable().places;
        [&places.values, &places.gradients].map(|homes| inside(&lowering, homes))
    }

    const NOTHING: [&str; 0] = [];
    /// Shape of each operand of the concatenation.
    const SHAPE: [usize; 3] = [1, 2, 3];

    #[test]
    fn parts_and_their_gradients_lie_in_the_whole() {
        let (mut net, [_, p, q, _]) = parts(&SHAPE);
        let whole = concat(&mut net, "whole", &[p, q], 1);
        let y = net.node("Tanh", "y", &[whole], &[]);
        let graph = net.graph(&[y]);
        let wanted = ["p in whole at 0", "q in whole at 6"];
        assert_eq!(places(&graph), [wanted, wanted]);
        let mut lowering = lowered(&graph, &request(&graph));
        let timetable = lowering.timetable();
        let of_whole = timetable.backward.iter().find(|b| lowering.steps[b.step].name == "whole").unwrap();
        assert!(of_whole.contributions.iter().all(|c| c.aliased), "{of_whole:?}");
        // In the plan, the regions of the operands lie inside the result's region, and the step copies
        // nothing.
        let plan = lowering.place(&timetable);
        let [p, q, whole] = [0, 1, 2].map(|i| plan.steps[i].output);
        assert_eq!((p.offset, q.offset), (whole.offset, whole.offset + 6));
        assert_eq!((p.len, q.len, whole.len), (6, 6, 12));
        assert_eq!(plan.steps[2].in_place, [true, true]);
        let gradients = plan.backward.iter().find(|b| b.step == 2).unwrap();
        assert!(gradients.gradients.is_empty());
    }

    #[test]
    fn rows_of_several_parts_are_copied() {
        for (axis, wanted) in [(1, &NOTHING[..]), (0, &["p in whole at 0", "q in whole at 12"])] {
            let (mut net, [_, p, q, _]) = parts(&[2, 2, 3]);
            let whole = concat(&mut net, "whole", &[p, q], axis);
            let y = net.node("Tanh", "y", &[whole], &[]);
            assert_eq!(places(&net.graph(&[y])), [wanted, wanted]);
        }
    }

    #[test]
    fn inputs_and_parts_that_come_twice_are_copied() {
        let (mut net, [x, p, ..]) = parts(&SHAPE);
        let whole = concat(&mut net, "whole", &[x, p], 1);
        let y = net.node("Tanh", "y", &[whole], &[]);
        // The gradient of the concatenation is then copied to all operands.
        assert_eq!(places(&net.graph(&[y])), [vec!["p in whole at 6"], vec![]]);

        let (mut net, [_, p, ..]) = parts(&SHAPE);
        let whole = concat(&mut net, "whole", &[p, p], 1);
        let y = net.node("Tanh", "y", &[whole], &[]);
        assert_eq!(places(&net.graph(&[y])), [NOTHING, NOTHING]);
    }

    #[test]
    fn a_whole_that_is_continued_lies_in_the_longer_one_with_its_parts() {
        let (mut net, [_, p, q, r]) = parts(&SHAPE);
        let short = concat(&mut net, "short", &[p, q], 1);
        let long = concat(&mut net, "long", &[p, q, r], 1);
        let a = net.node("Tanh", "a", &[short], &[]);
        let b = net.node("Tanh", "b", &[long], &[]);
        let [values, _] = places(&net.graph(&[a, b]));
        assert_eq!(values, ["p in long at 0", "q in long at 6", "r in long at 12", "short in long at 0"]);
        // Two concatenations in different order cannot share memory for their operands.
        let (mut net, [_, p, q, _]) = parts(&SHAPE);
        let first = concat(&mut net, "first", &[p, q], 1);
        let second = concat(&mut net, "second", &[q, p], 1);
        let a = net.node("Tanh", "a", &[first], &[]);
        let b = net.node("Tanh", "b", &[second], &[]);
        let [values, _] = places(&net.graph(&[a, b]));
        assert_eq!(values, ["p in first at 0", "q in first at 6"]);
    }

    #[test]
    fn a_whole_with_an_activation_function_has_parts_of_their_own() {
        let (mut net, [_, p, q, _]) = parts(&SHAPE);
        let whole = concat(&mut net, "whole", &[p, q], 1);
        let y = net.node("Relu", "y", &[whole], &[]);
        let graph = net.graph(&[y]);
        let mut lowering = optimised(&graph, &request(&graph));
        assert_eq!(lowering.steps.len(), 3);
        let places = lowering.timetable().places;
        assert!(inside(&lowering, &places.values).is_empty());
        assert!(lowering.steps[2].in_place.iter().all(|&p| !p));
    }

    #[test]
    fn a_target_has_a_gradient_of_its_own_and_in_micro_batches_a_place() {
        let (mut net, [_, p, q, _]) = parts(&SHAPE);
        let whole = concat(&mut net, "whole", &[p, q], 1);
        let y = net.node("Tanh", "y", &[whole], &[]);
        let graph = net.graph(&[y, p]);
        assert_eq!(places(&graph), [vec!["p in whole at 0", "q in whole at 6"], vec![]]);
        let mut lowering = lowered_by(&graph, &request(&graph), false, 2);
        let places = lowering.timetable().places;
        assert_eq!(inside(&lowering, &places.values), ["q in whole at 6"]);
    }

    #[test]
    fn gradients_that_are_kept_or_not_wanted_lie_apart() {
        let (mut net, [_, p, q, _]) = parts(&SHAPE);
        let whole = concat(&mut net, "whole", &[p, q], 1);
        let y = net.node("Tanh", "y", &[whole], &[]);
        let graph = net.graph(&[y]);
        let request = Request { inner_gradients: vec![p], ..request(&graph) };
        let mut lowering = lowered(&graph, &request);
        let places = lowering.timetable().places;
        assert!(!inside(&lowering, &places.values).is_empty());
        assert!(inside(&lowering, &places.gradients).is_empty());
    }

    #[test]
    fn another_reader_of_a_part_adds_behind_the_whole_or_keeps_the_gradients_apart() {
        // `reader` runs backward before `y`, so its contribution covers half of the concatenation.
        let wanted = ["p in whole at 0", "q in whole at 6"];
        for (reader_first, gradients) in [(false, &NOTHING[..]), (true, &wanted)] {
            let (mut net, [_, p, q, _]) = parts(&SHAPE);
            let before = reader_first.then(|| net.node("Neg", "reader", &[p], &[]));
            let whole = concat(&mut net, "whole", &[p, q], 1);
            let y = net.node("Tanh", "y", &[whole], &[]);
            let reader = before.unwrap_or_else(|| net.node("Neg", "reader", &[p], &[]));
            let graph = net.graph(&[y, reader]);
            assert_eq!(places(&graph), [&wanted[..], gradients]);
            let mut lowering = lowered(&graph, &request(&graph));
            let timetable = lowering.timetable();
            let of =
                |name: &str| timetable.backward.iter().find(|b| lowering.steps[b.step].name == name).unwrap();
            assert_eq!(of("reader").contributions[0].accumulate, reader_first);
            assert!(!of("y").contributions[0].accumulate);
        }
    }
}
