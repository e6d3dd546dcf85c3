//! Compares receptive fields computed by formulas with the positions at which gradients are not zero.

use super::*;

/// Measures receptive fields by gradients of single positions of `target`, an N,C,H,W map. Along each axis,
/// returns the largest extent among fields that reach no border, and the mean shift between neighbours. If
/// all fields reach both borders, the extent is the input's.
fn measured(graph: &Graph, shape: &[usize], target: ValueId) -> (Vec<usize>, Vec<usize>) {
    let plan = Plan::compile(graph, &Request::new(graph, 1, &[target]).unwrap()).unwrap();
    let map = plan.targets[0].shape.clone();
    let mut session = CpuSession::new(Arc::new(plan)).unwrap();
    let fill = |(i, x): (usize, &mut f32)| *x = 0.1 + (i * 37 % 101) as f32 / 101.0;
    session.input_mut(0).iter_mut().enumerate().for_each(fill);
    let (height, width) = (map[2], map[3]);
    let (mut extents, mut strides) = (Vec::new(), Vec::new());
    for axis in 0..2 {
        let (n, all) = (map[2 + axis], shape[2 + axis]);
        let mut ends = Vec::new();
        for p in 0..n {
            let (y, x) = if axis == 0 { (p, width / 2) } else { (height / 2, p) };
            session.forward();
            let seed = session.seed(0).1;
            seed.fill(0.0);
            seed.chunks_mut(height * width).for_each(|plane| plane[y * width + x] = 1.0);
            session.backward(&Rules::default());
            let gradient = session.input_gradient(0);
            let seen = |i: usize| {
                let at = |k: usize| if axis == 0 { k / shape[3] % shape[2] } else { k % shape[3] };
                gradient.iter().enumerate().any(|(k, g)| *g != 0.0 && at(k) == i)
            };
            let first = (0..all).find(|&i| seen(i));
            ends.push(first.map(|first| (first, (0..all).rfind(|&i| seen(i)).unwrap())));
        }
        let free = |end: &&Option<(usize, usize)>| end.is_some_and(|(a, b)| a > 0 && b + 1 < all);
        let extent = ends.iter().filter(free).flatten().map(|(a, b)| b - a + 1).max();
        extents.push(extent.unwrap_or(all));
        // The mean is taken over a multiple of all periods in which strides may repeat.
        let inner: Vec<(usize, usize)> =
            (0..n).filter_map(|p| ends[p].filter(|_| free(&&ends[p])).map(|e| (p, e.0))).collect();
        let steps = inner.len().saturating_sub(1) / 12 * 12;
        strides.push(if steps > 0 {
            let (from, to) = (inner[0], inner[steps]);
            ((to.1 - from.1) as f64 / (to.0 - from.0) as f64).round().max(1.0) as usize
        } else {
            (all as f64 / n as f64).round() as usize
        });
    }
    (extents, strides)
}

/// A test network: its name, and a function that adds its layers to an input.
type Case = (&'static str, fn(&mut Net, ValueId) -> ValueId);

/// Height and width of the pictures for [`CASES`].
const SIDES: [usize; 2] = [128, 96];

const CASES: &[Case] = &[
    ("plain", |net, x| net.stem(x, 2)),
    ("nearest", |net, x| {
        let x = net.stem(x, 2);

        let x = net.resize(x, [2.0; 2], "nearest", "asymmetric");
        net.conv(x, (2, 2), 3, 1)
    }),
    ("nearest, then every second", |net, x| {
        let x = net.stem(x, 2);
        let x = net.resize(x, [2.0; 2], "nearest", "asymmetric");
        net.conv(x, (2, 2), 3, 2)
    }),
    ("bilinear", |net, x| {
        let x = net.stem(x, 2);
        let x = net.resize(x, [2.0; 2], "linear", "half_pixel");
        net.conv(x, (2, 2), 3, 1)
    }),
    ("bilinear by one and a half", |net, x| {
        let x = net.stem(x, 2);
        let x = net.resize(x, [1.5; 2], "linear", "half_pixel");
        net.conv(x, (2, 2), 3, 1)
    }),
    ("corners", |net, x| {
        let x = net.stem(x, 2);
        net.resize(x, [2.0; 2], "linear", "align_corners")
    }),
    ("halved", |net, x| {
        let x = net.conv(x, (1, 2), 3, 1);
        let x = net.resize(x, [0.5; 2], "linear", "half_pixel");
        net.conv(x, (2, 2), 3, 1)
    }),
    ("enlarged before all else", |net, x| {
        let x = net.resize(x, [2.0, 4.0], "nearest", "asymmetric");
        let x = net.conv(x, (1, 2), 5, 1);
        net.conv(x, (2, 2), 5, 1)
    }),
    ("transposed convolution", |net, x| {
        let x = net.stem(x, 2);
        let weights = net.weights(&[2, 2, 2, 2]);
        let x = net.node("ConvTranspose", &[x, weights], vec![("strides", ints(&[2, 2]))]);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("transposed convolution of four taps", |net, x| {
        let x = net.stem(x, 2);
        let weights = net.weights(&[2, 2, 4, 4]);
        let attributes = vec![("strides", ints(&[2, 2])), ("pads", ints(&[1; 4]))];
        net.node("ConvTranspose", &[x, weights], attributes)
    }),
    ("transposed convolution with dilation", |net, x| {
        let x = net.stem(x, 2);
        let weights = net.weights(&[2, 2, 3, 3]);
        let attributes =
            vec![("strides", ints(&[2, 2])), ("dilations", ints(&[3, 2])), ("pads", ints(&[2; 4]))];
        let x = net.node("ConvTranspose", &[x, weights], attributes);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("depth to space", |net, x| {
        let x = net.stem(x, 8);
        let x = net.node("DepthToSpace", &[x], vec![("blocksize", Attribute::Int(2))]);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("pixel shuffle", |net, x| {
        let x = net.stem(x, 8);
        let x = net.reshape(x, &[1, 2, 2, 2, 32, 24]);
        let x = net.transpose(x, &[0, 1, 4, 2, 5, 3]);
        let x = net.reshape(x, &[1, 2, 64, 48]);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("space to depth", |net, x| {
        let x = net.node("SpaceToDepth", &[x], vec![("blocksize", Attribute::Int(2))]);
        net.conv(x, (4, 2), 3, 1)
    }),
    ("pixel unshuffle", |net, x| {
        let x = net.reshape(x, &[1, 1, 32, 4, 24, 4]);
        let x = net.transpose(x, &[0, 3, 5, 1, 2, 4]);
        let x = net.reshape(x, &[1, 16, 32, 24]);
        let x = net.conv(x, (16, 2), 3, 1);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("pixel unshuffle, then single positions", |net, x| {
        let x = net.conv(x, (1, 1), 3, 1);
        let x = net.reshape(x, &[1, 1, 32, 4, 24, 4]);
        let x = net.transpose(x, &[0, 3, 5, 1, 2, 4]);
        let x = net.reshape(x, &[1, 16, 32, 24]);
        net.conv(x, (16, 2), 1, 1)
    }),
    ("focus", |net, x| {
        let x = net.halves(x, (2, 3), 1);
        let x = net.conv(x, (4, 2), 3, 1);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("patch merging", |net, x| {
        let x = net.stem(x, 2);
        let x = net.transpose(x, &[0, 2, 3, 1]);
        let x = net.halves(x, (1, 2), 3);
        let x = net.dense(x, (8, 2));
        let x = net.transpose(x, &[0, 3, 1, 2]);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("a slice and a border", |net, x| {
        let x = net.slice(x, 2, (3, 1 << 20, 1));
        let pads = net.list(&[0, 0, 2, 0, 0, 0, 1, 4]);
        let x = net.node("Pad", &[x, pads], vec![]);
        net.conv(x, (1, 2), 3, 2)
    }),
    ("rolled", |net, x| {
        let x = net.stem(x, 2);
        let parts = [net.slice(x, 2, (3, 1 << 20, 1)), net.slice(x, 2, (0, 3, 1))];
        let x = net.concat(&parts, 2);
        net.conv(x, (2, 2), 3, 1)
    }),
    ("branches of other resolutions", |net, x| {
        let fine = net.conv(x, (1, 2), 3, 2);
        let coarse = net.conv(fine, (2, 2), 3, 2);
        let up = net.resize(coarse, [2.0; 2], "nearest", "asymmetric");
        let fine = net.node("Add", &[fine, up], vec![]);
        let down = net.conv(fine, (2, 2), 3, 2);
        let coarse = net.node("Add", &[coarse, down], vec![]);
        net.conv(coarse, (2, 2), 1, 1)
    }),
    ("squeeze and excitation", |net, x| {
        let x = net.stem(x, 2);
        let mean = net.mean(x);
        let weights = net.conv(mean, (2, 2), 1, 1);
        let x = net.node("Mul", &[x, weights], vec![]);
        net.conv(x, (2, 2), 3, 2)
    }),
    ("weights from a vector", |net, x| {
        let x = net.stem(x, 2);
        let mean = net.mean(x);
        let mean = net.reshape(mean, &[1, 2]);
        let weights = net.dense(mean, (2, 2));
        let weights = net.reshape(weights, &[1, 2, 1, 1]);
        let x = net.node("Mul", &[x, weights], vec![]);
        net.conv(x, (2, 2), 3, 2)
    }),
    ("attention to fewer keys", |net, x| {
        let mut x = net.stem(x, 2);
        for _ in 0..3 {
            let queries = net.tokens(x, 2);
            let fewer = net.conv(x, (2, 2), 4, 4);
            let keys = net.tokens(fewer, 2);
            let seen = net.attention(queries, keys, 2);
            let seen = net.map(seen, &[1, 2, 32, 24]);
            x = net.node("Add", &[x, seen], vec![]);
        }
        net.conv(x, (2, 2), 3, 1)
    }),
    ("attention alone", |net, x| {
        let x = net.stem(x, 2);
        let tokens = net.tokens(x, 2);
        let seen = net.attention(tokens, tokens, 2);
        net.map(seen, &[1, 2, 32, 24])
    }),
    ("attention within windows", |net, x| {
        let x = net.stem(x, 2);
        let x = net.reshape(x, &[1, 2, 8, 4, 6, 4]);
        let x = net.transpose(x, &[0, 2, 4, 3, 5, 1]);
        let x = net.reshape(x, &[48, 16, 2]);
        let x = net.attention(x, x, 2);
        let x = net.reshape(x, &[1, 8, 6, 4, 4, 2]);
        let x = net.transpose(x, &[0, 5, 1, 3, 2, 4]);
        net.reshape(x, &[1, 2, 32, 24])
    }),
    ("a class token that comes and goes", |net, x| {
        let x = net.stem(x, 2);
        let tokens = net.tokens(x, 2);
        let class = net.weights(&[1, 1, 2]);
        let all = net.concat(&[class, tokens], 1);
        let all = net.dense(all, (2, 2));
        let patches = net.slice(all, 1, (1, 1 << 20, 1));
        let class = net.slice(all, 1, (0, 1, 1));
        let x = net.map(patches, &[1, 2, 32, 24]);
        let x = net.conv(x, (2, 2), 3, 1);
        let tokens = net.tokens(x, 2);
        let all = net.concat(&[class, tokens], 1);
        let all = net.dense(all, (2, 2));
        let patches = net.slice(all, 1, (1, 1 << 20, 1));
        net.map(patches, &[1, 2, 32, 24])
    }),
    ("pooling and a convolution within windows", |net, x| {
        let x = net.stem(x, 2);
        let x = net.reshape(x, &[1, 2, 4, 8, 3, 8]);
        let x = net.transpose(x, &[0, 2, 4, 1, 3, 5]);
        let x = net.reshape(x, &[12, 2, 8, 8]);
        let pooling = vec![("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
        let x = net.node("AveragePool", &[x], pooling);
        let x = net.conv(x, (2, 2), 3, 1);
        let x = net.reshape(x, &[1, 4, 3, 2, 4, 4]);
        let x = net.transpose(x, &[0, 3, 1, 4, 2, 5]);
        net.reshape(x, &[1, 2, 16, 12])
    }),
    ("a product over tokens", |net, x| {
        let x = net.stem(x, 2);
        let flat = net.reshape(x, &[1, 2, 768]);
        let mixed = net.dense(flat, (768, 768));
        let flat = net.node("Add", &[flat, mixed], vec![]);
        let x = net.reshape(flat, &[1, 2, 32, 24]);
        net.conv(x, (2, 2), 3, 2)
    }),
];

#[test]
fn fields_are_what_gradients_reach() {
    let mut failures = Vec::new();
    for (name, make) in CASES {
        let shape = [1, 1, SIDES[0], SIDES[1]];
        let (mut net, x) = Net::new(&shape);
        let target = make(&mut net, x);
        let graph = net.builder.finish(&[target]);
        let field = analyzed(&graph, &shape, target);
        let expected = measured(&graph, &shape, target);
        if (field.extent.clone(), field.stride.clone()) != expected || field.strides_differ {
            failures.push(format!("{name}: {field:?}, gradients say {expected:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
