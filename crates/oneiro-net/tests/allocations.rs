//! A step allocates nothing but a word to each other thread of its team: counted by an allocator of this test's own.
//!
//! One test in a file of its own, since the count is of the whole process.

#![allow(unsafe_code)] // an allocator
#![allow(clippy::unwrap_used)] // a test

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oneiro_net::graph::{Graph, Input, Node, Value, ValueId};
use oneiro_net::ops::{Attribute, Attributes, build};
use oneiro_net::tensor::{DType, Tensor};
use oneiro_net::{CpuSession, Plan, Request, Rules, Session};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is done by the system's allocator; counting changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A network that grows node by node.
#[derive(Default)]
struct Builder {
    values: Vec<Value>,
    nodes: Vec<Node>,
}

impl Builder {
    fn value(&mut self, constant: Option<Tensor>) -> ValueId {
        self.values.push(Value { name: format!("v{}", self.values.len()), constant });
        ValueId(self.values.len() as u32 - 1)
    }

    fn node(&mut self, op: &str, inputs: &[ValueId], attributes: Vec<(&'static str, Attribute)>) -> ValueId {
        let output = self.value(None);
        self.nodes.push(Node {
            name: format!("{op}{}", self.nodes.len()),
            module: None,
            op: build(op, &Attributes::new(17, attributes)),
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![Some(output)],
        });
        output
    }

    /// A convolution that keeps the size, up to its step, and a ReLU.
    fn conv(&mut self, input: ValueId, shape: [usize; 4], stride: i64, group: i64) -> ValueId {
        let (n, fan): (usize, usize) = (shape.iter().product(), shape[1..].iter().product());
        let data = (0..n).map(|i| ((i * 7919 % 1009) as f32 / 504.0 - 1.0) / (fan as f32).sqrt()).collect();
        let weights = self.value(Some(Tensor::floats(&shape, data)));
        let (y, x) = ((shape[2] / 2) as i64, (shape[3] / 2) as i64);
        let attributes = vec![
            ("strides", Attribute::Ints(vec![stride; 2])),
            ("pads", Attribute::Ints(vec![y, x, y, x])),
            ("group", Attribute::Int(group)),
        ];
        let y = self.node("Conv", &[input, weights], attributes);
        self.node("Relu", &[y], vec![])
    }
}

/// Convolutions of every engine (merged pixels, direct, transformed in the plane and along a line, depthwise), pooling, a
/// sum, a concatenation and a mean.
fn network() -> Graph {
    let mut b = Builder::default();
    let x = b.value(None);
    let stem = b.conv(x, [32, 3, 7, 7], 2, 1);
    let plane = b.conv(stem, [32, 32, 3, 3], 1, 1);
    let deep = b.conv(plane, [32, 32, 1, 1], 1, 1);
    let line = b.conv(deep, [48, 32, 1, 7], 1, 1);
    let small = b.conv(line, [48, 1, 3, 3], 2, 48);
    let strided = b.conv(line, [48, 48, 3, 3], 2, 1);
    let sum = b.node("Add", &[small, strided], vec![]);
    let joined = b.node("Concat", &[sum, strided], vec![("axis", Attribute::Int(1))]);
    let window = || Attribute::Ints(vec![2, 2]);
    let pooled = b.node("MaxPool", &[joined], vec![("kernel_shape", window()), ("strides", window())]);
    let mean = b.node("GlobalAveragePool", &[pooled], vec![]);
    Graph {
        values: b.values,
        nodes: b.nodes,
        inputs: vec![Input { value: x, dims: None, dtype: DType::Float }],
        outputs: vec![mean],
        opset: 17,
        notes: vec![],
        metadata: BTreeMap::new(),
        used: Default::default(),
    }
}

#[test]
fn a_step_allocates_nothing_for_its_kernels() {
    let graph = network();
    let request = Request {
        shapes: vec![vec![2, 3, 64, 64]],
        targets: graph.outputs.clone(),
        gradients: true,
        max_pool: Default::default(),
        isa: oneiro_net::Isa::detect(),
        max_bytes: oneiro_net::plan::MAX_BYTES,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let mut session = CpuSession::new(Arc::new(Plan::compile(&graph, &request).unwrap())).unwrap();
    let mut step = || {
        session.input_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x = (i % 17) as f32 / 8.0 - 1.0);
        session.forward();
        session.seed(0).1.fill(1.0);
        session.backward(&Rules::default());
        session.input_gradient(0).iter().map(|g| g.abs()).sum::<f32>()
    };
    let counted = pool.install(|| {
        // Scratch grows on each thread until it has met the largest of its tasks.
        (0..50).for_each(|_| _ = step());
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let size: f32 = (0..10).map(|_| step()).sum();
        assert!(size > 0.0, "the gradient is zero");
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    // One job for the other thread of the team, forward and back: `rayon`'s, and the same however large the network is.
    let per_step = counted / 10;
    assert!(per_step <= 2, "{per_step} allocations in a step");
}
