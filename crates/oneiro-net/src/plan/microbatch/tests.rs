use super::*;
use crate::graph::{Input, Node, Value};
use crate::ops::{Attribute, Attributes, build};
use crate::tensor::Tensor;

/// A convolution 3×3 of so many channels; its weights are no data of this process.
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

/// How a batch of pictures is taken on so many threads.
fn chosen(channels: usize, batch: usize, side: usize, threads: usize) -> [usize; 2] {
    let graph = convolution(channels);
    let request = Request::of_shapes(vec![vec![batch, channels, side, side]], graph.outputs.clone());
    let typed = Typed::new(&graph, &request.shapes, &request.targets).unwrap();
    let way = Traffic::of(&typed, batch).ways(batch, threads)[0];
    [way.micro_batch_size, way.replicas]
}

#[test]
fn as_many_as_the_caches_hold_are_computed_at_once() {
    // Operand and result of 64 channels of 64² take 2 MB for each picture, the weights 0.15.
    assert_eq!(chosen(64, 4, 64, 2), [2, 2]);
    assert_eq!(chosen(64, 64, 64, 2), [4, 2]);
    assert_eq!(chosen(64, 64, 64, 1), [4, 1]);
    assert_eq!(chosen(64, 64, 64, 16), [4, 16]);
    // 7 and 13 divide by nothing but 1 and themselves.
    assert_eq!(chosen(64, 7, 64, 2), [7, 1]);
    assert_eq!(chosen(64, 13, 64, 2), [1, 1]);
}

#[test]
fn weights_that_outweigh_the_data_are_read_once() {
    // Weights of 2 MB and 0.13 of data a picture; weights of 151 MB and 4.
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
