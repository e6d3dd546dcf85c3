//! Micro-batches give the bits of the whole batch with less memory. Operators that couple the batch's entries
//! are detected.

#![allow(clippy::unwrap_used)] // a test

use std::sync::Arc;

mod network;

use network::{Builder, network};
use oneiro_net::graph::Attribute;
use oneiro_net::graph::{Graph, ValueId};
use oneiro_net::tensor::Tensor;
use oneiro_net::{CpuSession, Plan, ReluRule, Request, Rules, Session};

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.0 - 1.0).collect()
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// Compiles a plan on a pool with this number of threads, which determines the number of replicas.
fn plan_for(
    threads: usize,
    graph: &Graph,
    shapes: &[Vec<usize>],
    targets: &[ValueId],
    micro_batch_size: usize,
) -> Plan {
    let request = Request::of_shapes(shapes.to_vec(), targets.to_vec());
    let request = Request { micro_batch_size: Some(micro_batch_size), ..request };
    pool(threads).install(|| Plan::compile(graph, &request).unwrap())
}

fn plan(graph: &Graph, shapes: &[Vec<usize>], targets: &[ValueId], micro_batch_size: usize) -> Plan {
    plan_for(1, graph, shapes, targets, micro_batch_size)
}

/// Returns the bits of all targets and of all input gradients from the second run, when memory still holds
/// values of the first.
fn bits(plan: Plan) -> Vec<Vec<u32>> {
    let mut session = CpuSession::new(Arc::new(plan)).unwrap();
    let mut last = Vec::new();
    for _ in 0..2 {
        let (inputs, targets) = (session.plan().inputs.len(), session.plan().targets.len());
        for i in 0..inputs {
            let input = session.input_mut(i);
            input.copy_from_slice(&numbers(input.len()));
        }
        session.forward();
        for t in 0..targets {
            let (values, seed) = session.seed(t);
            // Targets that are views of each other share their seed.
            assert!(t > 0 || seed.iter().all(|s| *s == 0.0), "seeds begin at zero");
            seed.iter_mut().zip(values).for_each(|(seed, value)| *seed += 0.3 + value);
        }
        session.backward(&Rules::default());
        let activations = (0..targets).map(|t| session.activation(t));
        let gradients = (0..inputs).map(|i| session.input_gradient(i));
        last = activations.chain(gradients).map(|x| x.iter().map(|v| v.to_bits()).collect()).collect();
    }
    last
}

#[test]
fn micro_batches_change_no_bit_and_take_less_memory() {
    let graph = network();
    let named = |name: &str| {
        let place = graph.nodes.iter().position(|n| n.name.starts_with(name)).unwrap();
        graph.nodes[place].outputs[0].unwrap()
    };
    // Targets: the end alone; then also inner values, of which one is part of a concatenation, and the
    // concatenation.
    let many = [graph.outputs[0], named("Relu1"), named("Add"), named("Concat")];
    for targets in [&many[..1], &many] {
        let shapes = [vec![6, 3, 40, 33]];
        let whole = plan(&graph, &shapes, targets, 6);
        assert_eq!(whole.micro_batches(), 1);
        let (bytes, flops) = (whole.arena_bytes(), whole.forward_flops());
        let wanted = bits(whole);
        for micro_batch_size in [1, 2, 3] {
            let part = plan(&graph, &shapes, targets, micro_batch_size);
            assert_eq!(part.micro_batches(), 6 / micro_batch_size);
            assert_eq!(part.forward_flops(), flops);
            assert_eq!(part.inputs[0].shape, shapes[0]);
            assert!(part.targets.iter().all(|t| t.shape[0] == 6));
            if targets.len() == 1 {
                assert!(part.arena_bytes() < bytes, "{} bytes, {bytes} at once", part.arena_bytes());
            }
            for made_for in [1, 2, 3] {
                for threads in [1, 3] {
                    let part = plan_for(made_for, &graph, &shapes, targets, micro_batch_size);
                    // With inner targets, the pooling after a target runs in the plain layout and uses all
                    // threads itself, so there are no replicas.
                    let apart = targets.len() == 1 && (6 / micro_batch_size).is_multiple_of(made_for);
                    assert_eq!(part.replicas(), if apart { made_for } else { 1 });
                    let same = pool(threads).install(|| bits(part)) == wanted;
                    assert!(same, "{micro_batch_size} at once, made for {made_for}, {threads} threads");
                }
            }
        }
        // Micro-batch sizes that do not divide the batch are ignored.
        assert_eq!(plan(&graph, &shapes, targets, 4).micro_batches(), 1);
        assert_eq!(plan(&graph, &shapes, targets, 0).micro_batches(), 1);
    }
}

#[test]
fn without_gradients_only_inputs_and_targets_are_kept() {
    let graph = network();
    let shapes = vec![vec![8, 3, 32, 32]];
    let of = |micro_batch_size: usize| {
        let request = Request::of_shapes(shapes.clone(), graph.outputs.clone());
        let request = Request { micro_batch_size: Some(micro_batch_size), gradients: false, ..request };
        pool(1).install(|| Plan::compile(&graph, &request).unwrap())
    };
    let values = |plan: Plan| {
        let mut session = CpuSession::new(Arc::new(plan)).unwrap();
        session.input_mut(0).copy_from_slice(&numbers(8 * 3 * 32 * 32));
        session.forward();
        session.activation(0).to_vec()
    };
    let (whole, part) = (of(8), of(1));
    let kept = size_of::<f32>() * (8 * 3 * 32 * 32 + whole.targets[0].shape.iter().product::<usize>());
    assert!(part.arena_bytes() < kept + whole.arena_bytes() / 4, "{} bytes", part.arena_bytes());
    assert_eq!(values(whole), values(part));
}

/// Builds a network with one input and returns whether it takes micro-batches. In either case, the bits must
/// be those of the whole batch.
fn takes_micro_batches(shape: &[usize], build: impl Fn(&mut Builder, ValueId) -> ValueId) -> bool {
    let mut b = Builder::default();
    let x = b.value(None);
    let y = build(&mut b, x);
    let graph = b.graph(&[x], &[y]);
    let shapes = [shape.to_vec()];
    let whole = bits(plan(&graph, &shapes, &[y], shape[0]));
    let mut any = false;
    for micro_batch_size in (1..shape[0]).filter(|&n| shape[0].is_multiple_of(n)) {
        for threads in [1, 2] {
            let part = plan_for(threads, &graph, &shapes, &[y], micro_batch_size);
            let micro_batches = part.micro_batches();
            assert!(
                micro_batches == 1 || micro_batches == shape[0] / micro_batch_size,
                "{micro_batches} micro-batches"
            );
            assert!(bits(part) == whole, "{micro_batch_size} at once");
            any |= micro_batches > 1;
        }
    }
    any
}

#[test]
fn what_couples_entries_is_computed_at_once() {
    let ints = |values: &[i64]| Some(Tensor::ints(&[values.len()], values.to_vec()));
    let floats = |shape: &[usize]| Some(Tensor::floats(shape, numbers(shape.iter().product())));
    let axis = |at: i64| vec![("axis", Attribute::Int(at))];
    let x = [4, 4, 4];

    assert!(takes_micro_batches(&x, |b, x| b.node("Softmax", &[x], axis(1))));
    assert!(!takes_micro_batches(&x, |b, x| b.node("Softmax", &[x], axis(0))));
    assert!(takes_micro_batches(&x, |b, x| b.node("Concat", &[x, x], axis(2))));
    assert!(!takes_micro_batches(&x, |b, x| b.node("Concat", &[x, x], axis(0))));

    let order = |perm: &[i64]| vec![("perm", Attribute::Ints(perm.to_vec()))];
    assert!(takes_micro_batches(&x, |b, x| b.node("Transpose", &[x], order(&[0, 2, 1]))));
    assert!(!takes_micro_batches(&x, |b, x| b.node("Transpose", &[x], order(&[1, 0, 2]))));

    // A mean over another axis is allowed. A mean over the batch, or entries in another order (gathered, or
    // sliced backwards), is not.
    let reduce = |at: i64| vec![("axes", Attribute::Ints(vec![at]))];
    assert!(takes_micro_batches(&x, |b, x| b.node("ReduceMean", &[x], reduce(2))));
    assert!(!takes_micro_batches(&x, |b, x| b.node("ReduceMean", &[x], reduce(0))));
    assert!(!takes_micro_batches(&x, |b, x| {
        let i = b.value(ints(&[3, 2, 1, 0]));
        b.node("Gather", &[x, i], axis(0))
    }));
    assert!(!takes_micro_batches(&x, |b, x| {
        let [start, end, at, step] = [-1, i64::MIN, 0, -1].map(|v| b.value(ints(&[v])));
        b.node("Slice", &[x, start, end, at, step], vec![])
    }));

    // A constant with different values for each entry, stored or computed from the batch, is not allowed; an
    // equal one is.
    assert!(!takes_micro_batches(&x, |b, x| {
        let own = b.value(floats(&[4, 4, 4]));
        b.node("Add", &[x, own], vec![])
    }));
    assert!(takes_micro_batches(&x, |b, x| {
        let same = b.value(floats(&[1, 4, 4]));
        b.node("Add", &[x, same], vec![])
    }));
    assert!(takes_micro_batches(&x, |b, x| {
        let token = b.value(floats(&[1, 1, 4]));
        let (shape, at) = (b.node("Shape", &[x], vec![]), b.value(ints(&[0])));
        let batch = b.node("Gather", &[shape, at], axis(0));
        let one = b.value(ints(&[1]));
        let wanted = b.node("Concat", &[batch, one, one], axis(0));
        let token = b.node("Expand", &[token, wanted], vec![]);
        b.node("Concat", &[token, x], axis(1))
    }));
    assert!(!takes_micro_batches(&x, |b, x| {
        let (zero, one) =
            (b.value(Some(Tensor::ints(&[], vec![0]))), b.value(Some(Tensor::ints(&[], vec![1]))));
        let shape = b.node("Shape", &[x], vec![]);
        let batch = b.node("Gather", &[shape, zero], axis(0));
        let count = b.node("Range", &[zero, batch, one], vec![]);
        let count = b.node("Cast", &[count], vec![("to", Attribute::Int(1))]);
        let places = b.value(ints(&[-1, 1, 1]));
        let own = b.node("Reshape", &[count, places], vec![]);
        b.node("Mul", &[x, own], vec![])
    }));

    // Channels that are folded into the batch and taken out again are allowed.
    assert!(takes_micro_batches(&x, |b, x| {
        let (folded, back) = (b.value(ints(&[-1, 2, 2])), b.value(ints(&[-1, 16])));
        let y = b.node("Reshape", &[x, folded], vec![]);
        let y = b.node("Softmax", &[y], axis(2));
        b.node("Reshape", &[y, back], vec![])
    }));
    // A batch that is folded into the channels is not allowed.
    assert!(!takes_micro_batches(&x, |b, x| {
        let folded = b.value(ints(&[1, 16, 4]));
        b.node("Reshape", &[x, folded], vec![])
    }));
}

/// If the file fixes the batch size, the whole batch is computed at once.
#[test]
fn a_batch_that_is_written_into_the_network_is_kept() {
    assert!(!takes_micro_batches(&[4, 4], |b, x| {
        let shape = b.value(Some(Tensor::ints(&[3], vec![4, 2, 2])));
        b.node("Reshape", &[x, shape], vec![])
    }));
    assert!(takes_micro_batches(&[4, 6], |b, x| {
        let w = b.value(Some(Tensor::floats(&[6, 3], numbers(18))));
        b.node("Gemm", &[x, w], vec![])
    }));
    assert!(!takes_micro_batches(&[4, 4], |b, x| b.node(
        "Gemm",
        &[x, x],
        vec![("transA", Attribute::Int(1))]
    )));
    assert!(!takes_micro_batches(&[4, 4], |b, x| b.node("MatMul", &[x, x], vec![])));
    assert!(takes_micro_batches(&[4, 4, 4], |b, x| b.node("MatMul", &[x, x], vec![])));
}

/// In a dense block, a concatenation that is a target lies inside the memory of the next one if possible.
#[test]
fn targets_of_all_micro_batches_lie_in_one_piece() {
    let mut b = Builder::default();
    let x = b.value(None);
    let axis = || vec![("axis", Attribute::Int(1))];
    let [p, q, r] = ["Tanh", "Exp", "Sigmoid"].map(|op| b.node(op, &[x], vec![]));
    let short = b.node("Concat", &[p, q], axis());
    let long = b.node("Concat", &[p, q, r], axis());
    let end = b.node("Tanh", &[long], vec![]);
    let view = b.node("Flatten", &[x], vec![]);
    let graph = b.graph(&[x], &[end]);
    let shapes = [vec![4, 5]];
    for targets in [&[short, end][..], &[short, long, end, p], &[x, view, end]] {
        for threads in [1, 2, 4] {
            let part = plan_for(threads, &graph, &shapes, targets, 1);
            assert_eq!(part.micro_batches(), 4);
            assert!(bits(part) == bits(plan(&graph, &shapes, targets, 4)));
        }
    }
}

#[test]
fn what_is_by_entry_for_the_whole_batch_only_is_noticed() {
    let ints = |values: &[i64]| Some(Tensor::ints(&[values.len()], values.to_vec()));
    // Padding of the batch axis that happens to give the batch itself for six entries.
    assert!(!takes_micro_batches(&[6, 3], |b, x| {
        let pads = b.value(ints(&[10, 0, -10, 0]));
        b.node("Pad", &[x, pads], vec![("mode", Attribute::Text("reflect".into()))])
    }));
    // Slice parameters that are empty for the whole batch, but reverse an axis for a single entry.
    assert!(!takes_micro_batches(&[4, 4], |b, x| {
        let (four, at) = (b.value(ints(&[4])), b.value(ints(&[0])));
        let shape = b.node("Shape", &[x], vec![]);
        let batch = b.node("Gather", &[shape, at], vec![("axis", Attribute::Int(0))]);
        let missing = b.node("Sub", &[four, batch], vec![]);
        let lists = [-1, i64::MIN, 1, -1].map(|v| {
            let value = Attribute::Tensor(Tensor::ints(&[1], vec![v]));
            b.node("ConstantOfShape", &[missing], vec![("value", value)])
        });
        let [starts, ends, axes, steps] = lists;
        b.node("Slice", &[x, starts, ends, axes, steps], vec![])
    }));
    // Two entries reshaped into one: in micro-batches, the masks of the ReLU would be divided differently.
    assert!(!takes_micro_batches(&[4, 6], |b, x| {
        let pairs = b.value(ints(&[-1, 12]));
        let y = b.node("Reshape", &[x, pairs], vec![]);
        let y = b.node("Relu", &[y], vec![]);
        let back = b.value(ints(&[-1, 6]));
        b.node("Reshape", &[y, back], vec![])
    }));
}

/// Gradient rules for ReLUs act on each entry, whatever the micro-batch size.
#[test]
fn gradient_rules_give_the_same_bits_in_micro_batches() {
    let graph = network();
    let shapes = [vec![4, 3, 32, 32]];
    let run = |micro_batch_size: usize, relu: ReluRule| {
        let plan = plan_for(micro_batch_size, &graph, &shapes, &graph.outputs, micro_batch_size);
        let mut session = CpuSession::new(Arc::new(plan)).unwrap();
        session.input_mut(0).copy_from_slice(&numbers(4 * 3 * 32 * 32));
        session.forward();
        session.seed(0).1[..7].fill(0.5);
        session.backward(&Rules { relu });
        session.input_gradient(0).iter().map(|g| g.to_bits()).collect::<Vec<_>>()
    };
    for relu in [ReluRule::Exact, ReluRule::Guided, ReluRule::Redirected] {
        for micro_batch_size in [1, 2] {
            assert!(run(micro_batch_size, relu) == run(4, relu), "{relu:?}, {micro_batch_size} at once");
        }
    }
}

/// There may be enough memory for a single replica only.
#[test]
fn micro_batches_go_one_after_another_where_memory_is_short() {
    let graph = network();
    let (shapes, targets) = (vec![vec![4, 3, 48, 48]], graph.outputs.clone());
    let bytes = |threads: usize| plan_for(threads, &graph, &shapes, &targets, 1).arena_bytes();
    let (one, apart) = (bytes(1), bytes(4));
    assert!(one < apart, "{one} and {apart} bytes");
    let request = Request::of_shapes(shapes, targets);
    let request = Request { micro_batch_size: Some(1), max_bytes: (one + apart) / 2, ..request };
    let plan = pool(4).install(|| Plan::compile(&graph, &request).unwrap());
    assert_eq!((plan.micro_batches(), plan.replicas()), (4, 1));
}
