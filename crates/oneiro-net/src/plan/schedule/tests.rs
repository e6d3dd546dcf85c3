use super::*;
use crate::graph::Graph;
use crate::ops::Attribute;
use crate::passes::testing::{Net, ints};
use crate::plan::testing::{lowered, lowered_by, names, optimised, request, storage};

/// Names of storages, with the lives of value and gradient.
type Lives = Vec<(String, [Option<Life>; 2])>;

fn timetable_of(lowering: &mut Lowering<'_>) -> (Timetable, Lives) {
    let timetable = lowering.timetable();
    let lives = lowering.storages.iter().map(|s| [s.value, s.gradient]);
    let named = names(lowering).into_iter().zip(lives).collect();
    (timetable, named)
}

fn lives_of(graph: &Graph, request: &Request) -> Lives {
    timetable_of(&mut lowered(graph, request)).1
}

fn named(lives: &[(&str, [Option<Life>; 2])]) -> Lives {
    lives.iter().map(|&(name, lives)| (name.to_owned(), lives)).collect()
}

/// Creates a graph in which `Tanh` and `Exp` follow each other.
fn chain() -> (Net, [ValueId; 3]) {
    let (mut net, x) = Net::new(&[2, 4]);
    let a = net.node("Tanh", "a", &[x], &[]);
    let b = net.node("Exp", "b", &[a], &[]);
    (net, [x, a, b])
}

#[test]
fn values_live_to_their_last_reader_and_gradients_from_their_first_writer() {
    let (net, [.., b]) = chain();
    let graph = net.graph(&[b]);
    // Moments: 0 inputs, 1 and 2 forward, 3 seeds, 4 and 5 backward, 6 the end. Both steps read their operand
    // in the backward pass.
    let wanted = [
        ("x", [Some((0, 5)), Some((5, 6))]),
        ("a", [Some((1, 4)), Some((4, 5))]),
        ("b", [Some((2, 6)), Some((3, 4))]),
    ];
    assert_eq!(lives_of(&graph, &request(&graph)), named(&wanted));
    let forward = Request { gradients: false, ..request(&graph) };
    let wanted = [("x", [Some((0, 1)), None]), ("a", [Some((1, 2)), None]), ("b", [Some((2, 6)), None])];
    assert_eq!(lives_of(&graph, &forward), named(&wanted));
}

#[test]
fn a_convolution_keeps_no_operand_and_a_relu_only_its_mask() {
    let (mut net, x) = Net::new(&[1, 2, 4, 4]);
    let w = net.weights("w", &[2, 2, 1, 1]);
    let conv = net.node("Conv", "conv", &[x, w], &[]);
    let y = net.node("Relu", "y", &[conv], &[]);
    let z = net.node("Conv", "z", &[y, w], &[]);
    let graph = net.graph(&[z]);
    let mut lowering = optimised(&graph, &request(&graph));
    let (timetable, lives) = timetable_of(&mut lowering);
    let values: Vec<_> = lives.iter().map(|(name, [value, _])| (name.as_str(), *value)).collect();
    assert_eq!(values, [("x", Some((0, 1))), ("y", Some((1, 2))), ("z", Some((2, 6)))]);
    let plan = lowering.place(&timetable);
    let Some(EpilogueFunction::Clip { below, above, .. }) = &plan.steps[0].epilogue else { panic!() };
    // One word for each of two planes of 16 positions.
    assert_eq!((below.map(|r| r.len), *above), (Some(2), None));
    assert!(plan.steps[1].epilogue.is_none());
    // Without a backward pass there is no mask.
    let forward = Request { gradients: false, ..request(&graph) };
    let plan = optimised(&graph, &forward).schedule();
    let Some(EpilogueFunction::Clip { below, above, .. }) = &plan.steps[0].epilogue else { panic!() };
    assert_eq!((*below, *above), (None, None));
}

#[test]
fn steps_run_back_in_reverse_and_later_contributions_add() {
    let (mut net, x) = Net::new(&[2, 4]);
    let [a, b] = [("Tanh", "a"), ("Exp", "b")].map(|(op, name)| net.node(op, name, &[x], &[]));
    let y = net.node("Mul", "y", &[a, b], &[]);
    let graph = net.graph(&[y]);
    let mut lowering = lowered(&graph, &request(&graph));
    let timetable = lowering.timetable();
    let of = |name: &str| storage(&lowering, name);
    let found: Vec<Vec<(usize, bool)>> = timetable
        .backward
        .iter()
        .map(|b| b.contributions.iter().map(|c| (c.storage, c.accumulate)).collect())
        .collect();
    assert_eq!(timetable.backward.iter().map(|b| b.step).collect::<Vec<_>>(), [2, 1, 0]);
    assert_eq!(
        found,
        [vec![(of("a"), false), (of("b"), false)], vec![(of("x"), false)], vec![(of("x"), true)]]
    );
}

#[test]
fn a_seed_in_the_middle_is_added_to() {
    let (net, [_, a, b]) = chain();
    let graph = net.graph(&[b, a]);
    let mut lowering = lowered(&graph, &request(&graph));
    let (timetable, lives) = timetable_of(&mut lowering);
    assert_eq!(lives[1], ("a".to_owned(), [Some((1, 6)), Some((3, 5))]));
    assert!(timetable.backward[0].contributions[0].accumulate);
}

#[test]
fn what_no_target_reads_has_a_gradient_of_zero() {
    let (mut net, [.., b]) = chain();
    net.input("unread", &[3]);
    let graph = net.graph(&[b]);
    let plan = lowered(&graph, &request(&graph)).schedule();
    assert_eq!(plan.inputs.iter().map(|i| i.used).collect::<Vec<_>>(), [true, false]);
    assert_eq!(plan.zeroed, [plan.inputs[1].gradient.unwrap()]);
    assert_eq!(plan.zeroed[0].len, 3);
}

#[test]
fn without_input_gradients_the_way_back_ends_at_the_kept_ones() {
    let (net, [_, a, b]) = chain();
    let graph = net.graph(&[b]);
    let request = Request { input_gradients: false, inner_gradients: vec![a], ..request(&graph) };
    let plan = lowered(&graph, &request).schedule();
    let ran: Vec<&str> = plan.backward.iter().map(|b| plan.steps[b.step].name.as_str()).collect();
    assert_eq!(plan.steps.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
    // The tap keeps its gradient; no gradient flows to earlier nodes.
    assert_eq!((ran[0], plan.inputs[0].gradient), ("b", None));
    assert_eq!(plan.inner[0].gradient, plan.backward[0].gradients[0].region);
    assert!(plan.backward[1..].iter().all(|b| b.gradients.is_empty()));
}

/// Two convolutions of 16 channels with a function between them, which `passes` attach to the first.
fn two_convolutions(function: &str) -> (Net, [ValueId; 2]) {
    let (mut net, x) = Net::new(&[1, 16, 4, 4]);
    let w = net.weights("w", &[16, 16, 1, 1]);
    let conv = net.node("Conv", "conv", &[x, w], &[]);
    let attributes = [("alpha", Attribute::Float(1.0))];
    let y = net.node(function, "y", &[conv], &attributes[..usize::from(function == "Swish")]);
    let z = net.node("Conv", "z", &[y, w], &[]);
    (net, [y, z])
}

#[test]
fn the_last_contribution_applies_the_mask_where_its_kernel_can() {
    for function in ["Relu", "Swish"] {
        let (net, [_, z]) = two_convolutions(function);
        let graph = net.graph(&[z]);
        let mut lowering = optimised(&graph, &request(&graph));
        let timetable = lowering.timetable();
        let at = |name: &str| lowering.steps.iter().position(|step| step.name == name).unwrap();
        let of = |name: &str| timetable.backward.iter().find(|b| b.step == at(name)).unwrap();
        assert_eq!(of("z").contributions[0].activation_mask_of, Some(at("y")), "{function}");
        assert!(timetable.masked[at("y")] && !timetable.masked[at("z")]);
    }
    // With a second reader in plain order, that reader's backward step comes last.
    let (mut net, x) = Net::new(&[1, 16, 4, 4]);
    let w = net.weights("w", &[16, 16, 1, 1]);
    let conv = net.node("Conv", "conv", &[x, w], &[]);
    let y = net.node("Relu", "y", &[conv], &[]);
    let t = net.node("Transpose", "t", &[y], &[("perm", ints(&[0, 2, 3, 1]))]);
    let z = net.node("Conv", "z", &[y, w], &[]);
    let graph = net.graph(&[z, t]);
    let mut lowering = optimised(&graph, &request(&graph));
    let timetable = lowering.timetable();
    assert!(timetable.masked.iter().all(|masked| !masked));
    assert!(timetable.backward.iter().flat_map(|b| &b.contributions).all(|c| c.activation_mask_of.is_none()));
}

/// A block of a plan: name, index of its outermost storage, region and life.
type Occupied = (String, usize, Region, Life);

/// Returns all blocks that a plan keeps in its arena, and the arena's length.
fn occupied(mut lowering: Lowering<'_>) -> (Vec<Occupied>, usize) {
    let (timetable, lives) = timetable_of(&mut lowering);
    let count = lives.len();
    let outputs: Vec<usize> = lowering.steps.iter().map(|step| step.output).collect();
    let homes = [&timetable.places.values, &timetable.places.gradients];
    let homes: Vec<[usize; 2]> = (0..count).map(|s| homes.map(|homes| homes[s].0)).collect();
    let plan = lowering.place(&timetable);
    let mut places: Vec<[Option<Region>; 2]> = vec![[None; 2]; count];
    for (step, &s) in plan.steps.iter().zip(&outputs) {
        places[s][0] = Some(step.output);
    }
    for back in &plan.backward {
        places[outputs[back.step]][1] = Some(back.output_gradient);
    }
    for (input, &s) in plan.inputs.iter().zip(&timetable.inputs) {
        places[s] = [Some(input.region), input.gradient];
    }
    let mut found = Vec::new();
    for (s, (name, lives)) in lives.iter().enumerate() {
        for (kind, (place, life)) in places[s].iter().zip(lives).enumerate() {
            if let (Some(place), Some(life)) = (place, life) {
                found.push((format!("{name} {kind}"), homes[s][kind] + kind * count, *place, *life));
            }
        }
    }
    for back in &plan.backward {
        let step = &plan.steps[back.step];
        let life = (timetable.clock.forward(back.step), timetable.clock.backward(back.step));
        let kept = match &step.epilogue {
            Some(EpilogueFunction::Clip { below, above, .. }) => vec![*below, *above],
            Some(EpilogueFunction::Swish { slopes, .. }) => vec![*slopes],
            None => vec![],
        };
        let kept = kept.into_iter().flatten().chain([step.saved]).filter(|r| r.len > 0);
        for (i, place) in kept.enumerate() {
            found.push((format!("{} kept {i}", step.name), (2 + i) * count + back.step, place, life));
        }
    }
    (found, plan.arena_len)
}

/// A residual block, a concatenation, a pooling, and functions of every kind.
fn network() -> Graph {
    let (mut net, x) = Net::new(&[1, 3, 8, 8]);
    let w = net.weights("w", &[16, 3, 3, 3]);
    let pads = [("pads", ints(&[1; 4]))];
    let first = net.node("Conv", "first", &[x, w], &pads);
    let first = net.node("Relu", "relu", &[first], &[]);
    let w = net.weights("w2", &[16, 16, 3, 3]);
    let second = net.node("Conv", "second", &[first, w], &pads);
    let sum = net.node("Add", "sum", &[second, first], &[]);
    let sum = net.node("Swish", "swish", &[sum], &[("alpha", Attribute::Float(1.0))]);
    let third = net.node("Conv", "third", &[sum, w], &pads);
    let both = net.node("Concat", "both", &[sum, third], &[("axis", Attribute::Int(1))]);
    let window = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
    let pooled = net.node("MaxPool", "pooled", &[both], &window);
    let flat = net.node("Flatten", "flat", &[pooled], &[]);
    let w = net.weights("w3", &[512, 4]);
    let y = net.node("Gemm", "y", &[flat, w], &[]);
    let p = net.node("Softmax", "p", &[y], &[]);
    net.graph(&[p, third])
}

#[test]
fn nothing_overlaps_while_both_are_alive() {
    let graph = network();
    let ways = [(true, 1), (false, 1), (true, 3)];
    for (passes, micro_batches) in ways {
        for gradients in [true, false] {
            let request = Request { gradients, ..request(&graph) };
            let (found, arena_len) = occupied(lowered_by(&graph, &request, passes, micro_batches));
            assert!(found.len() >= 10, "{}", found.len());
            let end = |r: &Region| r.offset + r.stride * (micro_batches - 1) + r.len;
            for (i, (name, home, place, life)) in found.iter().enumerate() {
                assert!(end(place) <= arena_len, "{name}");
                for (other, other_home, at, lives) in &found[..i] {
                    let together = life.0 <= lives.1 && lives.0 <= life.1 && home != other_home;
                    let overlap = place.offset < end(at) && at.offset < end(place);
                    assert!(!(together && overlap), "{name} {place:?} {life:?}, {other} {at:?} {lives:?}");
                }
            }
            // Blocks share memory: their total length exceeds the arena's.
            let mut homes: Vec<(usize, usize)> =
                found.iter().map(|f| (f.1, end(&f.2) - f.2.offset)).collect();
            homes.sort_unstable_by_key(|&(home, len)| (home, std::cmp::Reverse(len)));
            homes.dedup_by_key(|(home, _)| *home);
            let sum: usize = homes.iter().map(|(_, len)| len).sum();
            assert!(arena_len < sum, "{arena_len}, {sum}");
        }
    }
}

#[test]
fn rows_of_masks_are_planes_or_entries() {
    let rows = |shape: &[usize], batch: usize, layout: Layout| {
        let (net, [.., b]) = chain();
        let graph = net.graph(&[b]);
        let mut request = request(&graph);
        request.shapes[0][0] = batch;
        let mut lowering = lowered(&graph, &request);
        let step = &mut lowering.steps[0];
        (step.shape, step.layout) = (shape.to_vec(), layout);
        let rows = mask_rows(step, &request);
        (rows.entries, rows.per_entry, rows.row_len, rows.interleaved)
    };
    assert_eq!(rows(&[2, 3, 4, 5], 2, Layout::Plain), (2, 3, 20, false));
    assert_eq!(rows(&[2, 30], 2, Layout::Plain), (2, 1, 30, false));
    // Rows that cannot be divided by the number of batch entries.
    assert_eq!(rows(&[3, 10], 2, Layout::Plain), (1, 3, 10, false));
    assert_eq!(rows(&[1, 2, 20, 16], 2, Layout::Blocked), (2, 1, 320, true));
}
