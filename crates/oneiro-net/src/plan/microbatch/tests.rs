use super::*;
use crate::graph::{Input, Node, Value};
use crate::ops::{Attribute, Attributes, build};
use crate::passes::testing::Net;
use crate::tensor::Tensor;

/// A 3×3 convolution of `channels` channels. Its weights exist as a shape only.
fn convolution(channels: usize) -> Graph {
    let value = |name: &str, constant| Value { name: name.into(), constant };
    let weights = Tensor::repeated(&[channels, channels, 3, 3], 0.1);
    let pads = Attributes::new(17, vec![("pads", Attribute::Ints(vec![1; 4]))]);
    let [x, w, y] = [0, 1, 2].map(ValueId);
    Graph {
        values: vec![value("x", None), value("w", Some(weights)), value("y", None)],
        nodes: vec![Node {
            name: "y".into(),
            module: None,
            op: build("Conv", &pads),
            inputs: vec![Some(x), Some(w)],
            outputs: vec![Some(y)],
        }],
        inputs: vec![Input { value: x, dims: None, dtype: DType::Float }],
        outputs: vec![y],
        opset: 17,
        notes: vec![],
        metadata: Default::default(),
    }
}

/// Returns micro-batch size and number of replicas that are chosen for a batch of pictures.
fn chosen(channels: usize, batch: usize, side: usize, threads: usize) -> [usize; 2] {
    let graph = convolution(channels);
    let request = Request::of_shapes(vec![vec![batch, channels, side, side]], graph.outputs.clone());
    let typed = Typed::new(&graph, &request.shapes, &request.targets).unwrap();
    let way = Traffic::of(&typed, batch).ways(batch, threads)[0];
    [way.micro_batch_size, way.replicas]
}

#[test]
fn as_many_as_the_caches_hold_are_computed_at_once() {
    // Operand and result of 64 channels of 64² take 2 MB a picture, and the weights 0.15 MB.
    assert_eq!(chosen(64, 4, 64, 2), [2, 2]);
    assert_eq!(chosen(64, 64, 64, 2), [4, 2]);
    assert_eq!(chosen(64, 64, 64, 1), [4, 1]);
    assert_eq!(chosen(64, 64, 64, 16), [4, 16]);
    // Batches of 7 and 13 cannot be divided among two threads.
    assert_eq!(chosen(64, 7, 64, 2), [7, 1]);
    assert_eq!(chosen(64, 13, 64, 2), [1, 1]);
}

#[test]
fn weights_that_outweigh_the_data_are_read_once() {
    // First weights of 2 MB with 0.13 MB of data a picture, then weights of 151 MB with 4 MB a picture.
    assert_eq!(chosen(256, 32, 8, 2), [32, 1]);
    assert_eq!(chosen(2048, 32, 16, 2), [32, 1]);
}

#[test]
fn of_the_ways_of_a_request_all_at_once_is_none() {
    let graph = convolution(16);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let choices = |micro_batch_size: Option<usize>| {
        let request = Request::of_shapes(vec![vec![4, 16, 8, 8]], graph.outputs.clone());
        let request = Request { micro_batch_size, ..request };
        let typed = Typed::new(&graph, &request.shapes, &request.targets).unwrap();
        let ways = pool.install(|| Split::choices(&typed, &request));
        ways.into_iter().map(|way| [way.micro_batch_size, way.replicas]).collect::<Vec<_>>()
    };
    assert_eq!(choices(Some(1)), [[1, 2], [1, 1]]);
    assert_eq!(choices(Some(2)), [[2, 2], [2, 1]]);
    assert!([Some(0), Some(3), Some(4), Some(8)].iter().all(|&n| choices(n).is_empty()));
    assert_eq!(choices(None), [[2, 2]]);
}

#[test]
fn tensors_repeat_along_axis_0_only() {
    let floats = |shape: &[usize], data: &[f32]| Tensor::floats(shape, data.to_vec());
    let part = floats(&[1, 2], &[1.0, 0.0]);
    assert!(floats(&[1, 2], &[1.0, 0.0]).repeats(&part, 1));
    assert!(floats(&[2, 2], &[1.0, 0.0, 1.0, 0.0]).repeats(&part, 2));
    assert!(!floats(&[2, 2], &[1.0, 0.0, 1.0, 0.0]).repeats(&part, 1));
    assert!(!floats(&[2, 2], &[1.0, 0.0, 1.0, -0.0]).repeats(&part, 2));
    assert!(!floats(&[1, 4], &[1.0, 0.0, 1.0, 0.0]).repeats(&part, 2));
    assert!(!floats(&[2], &[1.0, 0.0]).repeats(&part, 1));
    assert!(!floats(&[0, 2], &[]).repeats(&part, 2));
    assert!(floats(&[0, 2], &[]).repeats(&floats(&[0, 2], &[]), 2));
    assert!(!Tensor::ints(&[1, 2], vec![1, 0]).repeats(&part, 1));
    assert!(Tensor::repeated(&[4, 3], 0.5).repeats(&Tensor::repeated(&[2, 3], 0.5), 2));
    assert!(!Tensor::repeated(&[5, 3], 0.5).repeats(&Tensor::repeated(&[2, 3], 0.5), 2));
    assert!(!Tensor::repeated(&[4, 3], 0.5).repeats(&Tensor::repeated(&[2, 3], 0.25), 2));
}

/// A reshape to rows, whose shape follows the batch or fixes it, and a matrix product.
fn flattened(first: i64) -> Graph {
    let (mut net, x) = Net::new(&[4, 2, 3]);
    let shape = net.ints("shape", &[first, 6]);
    let flat = net.node("Reshape", "flat", &[x, shape], &[]);
    let w = net.weights("w", &[6, 5]);
    let y = net.node("MatMul", "y", &[flat, w], &[]);
    net.graph(&[y])
}

#[test]
fn a_part_has_the_nodes_and_constants_of_the_whole_with_fewer_entries() {
    let graph = flattened(-1);
    let request = Request::new(&graph, 4, &graph.outputs).unwrap();
    let whole = typed_of(&graph, &request).unwrap();
    assert!(possible(&whole, &request));
    let split = Split { micro_batch_size: 2, replicas: 1 };
    let part = part(&graph, &request, &whole, split).unwrap();
    assert_eq!(part.request.shapes, [[2, 2, 3]]);
    let shapes = |typed: &Typed| -> Vec<Vec<usize>> {
        typed.nodes.iter().map(|n| typed.fact(n.outputs[0].unwrap()).unwrap().shape.clone()).collect()
    };
    assert_eq!(
        (shapes(&whole), shapes(&part.typed)),
        (vec![vec![4, 6], vec![4, 5]], vec![vec![2, 6], vec![2, 5]])
    );
    let all = shapes(&part.typed).iter().map(|shape| of_all(shape, 2)).collect::<Vec<_>>();
    assert_eq!(all, shapes(&whole));
}

#[test]
fn a_batch_that_the_network_states_has_no_part() {
    let graph = flattened(4);
    let request = Request::new(&graph, 4, &graph.outputs).unwrap();
    let whole = typed_of(&graph, &request).unwrap();
    assert!(part(&graph, &request, &whole, Split { micro_batch_size: 2, replicas: 1 }).is_none());
}

#[test]
fn operators_that_couple_entries_and_inputs_of_another_batch_make_micro_batches_impossible() {
    let is_possible = |op: &str, axis: i64, second: &[usize]| {
        let (mut net, x) = Net::new(&[4, 3]);
        let other = net.input("other", second);
        let a = net.node(op, "a", &[x], &[("axis", Attribute::Int(axis))]);
        let y = net.node("Add", "y", &[a, other], &[]);
        let graph = net.graph(&[y]);
        let request = Request::of_shapes(vec![vec![4, 3], second.to_vec()], graph.outputs.clone());
        let typed = typed_of(&graph, &request).unwrap();
        let possible = possible(&typed, &request);
        assert_eq!(keeps_entries_apart(&graph, &request), possible);
        possible
    };
    assert!(is_possible("Softmax", 1, &[4, 3]));
    assert!(!is_possible("Softmax", 0, &[4, 3]));
    assert!(!is_possible("Softmax", 1, &[1, 3]));
    // A batch with one entry is never split.
    let graph = flattened(-1);
    let request = Request::new(&graph, 1, &graph.outputs).unwrap();
    assert!(!possible(&typed_of(&graph, &request).unwrap(), &request));
}
