//! Building blocks of the feature networks: convolutions with weights given as functions, arithmetic with a
//! constant, and the layers before the orientations.

use oneiro::preprocess::REC601_LUMA;
use oneiro_net::graph::Attribute;
use oneiro_net::graph::{Builder, Dim, Graph, ValueId};
use oneiro_net::tensor::Tensor;

/// Name of the image that goes in.
pub(super) const INPUT: &str = "x";

/// A network that is being built.
pub(super) struct Net(Builder);

/// How a convolution's window goes over its input.
#[derive(Clone, Copy)]
pub(super) struct Sweep {
    /// Step along both axes.
    pub stride: usize,
    /// Zeros before and behind both axes.
    pub pads: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// Every position, no padding, all channels together.
pub(super) const DENSE: Sweep = Sweep { stride: 1, pads: [0, 0], groups: 1 };

/// One weight of an identity matrix.
pub(super) fn identity(row: usize, column: usize) -> f32 {
    f32::from(u8::from(row == column))
}

/// A triangle of height 1, zero from `distance` 1 on: bilinear interpolation.
pub(super) fn triangle(distance: f32) -> f32 {
    (1.0 - distance.abs()).max(0.0)
}

impl Net {
    /// A network that starts with the luminance of an image: the value, [N, 1, H, W].
    pub fn on_luminance() -> oneiro_net::Result<(Self, ValueId)> {
        let mut net = Net(Builder::new());
        let free = |name: &str| Dim::Free(name.to_owned());
        let x = net.0.input(INPUT, &[free("N"), Dim::Fixed(3), free("H"), free("W")])?;
        let luminance = net.conv("luminance", x, [1, 3, 1, 1], DENSE, |_, c, _, _| REC601_LUMA[c])?;
        Ok((net, luminance))
    }

    /// A convolution with weights `weight(out, in, row, column)` of shape `[out, in per group, rows,
    /// columns]`.
    pub fn conv(
        &mut self,
        name: &str,
        x: ValueId,
        shape: [usize; 4],
        sweep: Sweep,
        weight: impl Fn(usize, usize, usize, usize) -> f32,
    ) -> oneiro_net::Result<ValueId> {
        let [outs, ins, rows, columns] = shape;
        let mut weights = Vec::with_capacity(outs * ins * rows * columns);
        for o in 0..outs {
            for i in 0..ins {
                for r in 0..rows {
                    weights.extend((0..columns).map(|c| weight(o, i, r, c)));
                }
            }
        }
        let weights = self.0.constant(&format!("{name}.weight"), Tensor::floats(&shape, weights))?;
        let Sweep { stride, pads: [before, behind], groups } = sweep;
        let ints = |v: &[usize]| Attribute::Ints(v.iter().map(|&i| i as i64).collect());
        let attributes = vec![
            ("kernel_shape", ints(&[rows, columns])),
            ("strides", ints(&[stride, stride])),
            ("pads", ints(&[before, before, behind, behind])),
            ("group", Attribute::Int(groups as i64)),
        ];
        self.0.node("Conv", name, &[x, weights], attributes)
    }

    /// The derivatives along x and y by [-1 0 1]·`scale`, without the border: [N, 2, H − 2, W − 2].
    pub fn gradient(&mut self, name: &str, x: ValueId, scale: f32) -> oneiro_net::Result<ValueId> {
        self.conv(name, x, [2, 1, 3, 3], DENSE, |axis, _, row, column| {
            let (along, across) = if axis == 0 { (column, row) } else { (row, column) };
            if across == 1 { scale * (along as f32 - 1.0) } else { 0.0 }
        })
    }

    /// The sum of the squares of all channels: [N, 1, H, W].
    pub fn energy(&mut self, name: &str, x: ValueId, channels: usize) -> oneiro_net::Result<ValueId> {
        let square = self.node("Mul", &format!("{name}.square"), &[x, x])?;
        self.conv(name, square, [1, channels, 1, 1], DENSE, |_, _, _, _| 1.0)
    }

    /// A node without attributes.
    pub fn node(&mut self, op_type: &str, name: &str, inputs: &[ValueId]) -> oneiro_net::Result<ValueId> {
        self.0.node(op_type, name, inputs, vec![])
    }

    /// A node with attributes.
    pub fn node_with(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[ValueId],
        attributes: Vec<(&str, Attribute)>,
    ) -> oneiro_net::Result<ValueId> {
        self.0.node(op_type, name, inputs, attributes)
    }

    /// A function of two variables with a number as the second.
    pub fn with(
        &mut self,
        op_type: &str,
        name: &str,
        x: ValueId,
        number: f32,
    ) -> oneiro_net::Result<ValueId> {
        let number = self.number(&format!("{name}.number"), number)?;
        self.node(op_type, name, &[x, number])
    }

    /// A constant number.
    pub fn number(&mut self, name: &str, number: f32) -> oneiro_net::Result<ValueId> {
        self.0.constant(name, Tensor::floats(&[], vec![number]))
    }

    /// Constant integers.
    pub fn ints(&mut self, name: &str, ints: &[i64]) -> oneiro_net::Result<ValueId> {
        self.0.constant(name, Tensor::ints(&[ints.len()], ints.to_vec()))
    }

    /// Nothing above `high`.
    pub fn at_most(&mut self, name: &str, x: ValueId, high: f32) -> oneiro_net::Result<ValueId> {
        let number = self.number(&format!("{name}.number"), high)?;
        self.0.node_with("Clip", name, &[Some(x), None, Some(number)], vec![])
    }

    /// `n` more rows and columns on every side, as ONNX's `mode` says.
    pub fn pad(&mut self, name: &str, x: ValueId, n: i64, mode: &str) -> oneiro_net::Result<ValueId> {
        let pads = self.ints(&format!("{name}.pads"), &[0, 0, n, n, 0, 0, n, n])?;
        self.node_with("Pad", name, &[x, pads], vec![("mode", Attribute::Text(mode.to_owned()))])
    }

    /// Values one after another along the channels.
    pub fn concat(&mut self, name: &str, parts: &[ValueId]) -> oneiro_net::Result<ValueId> {
        self.node_with("Concat", name, parts, vec![("axis", Attribute::Int(1))])
    }

    /// The network with this output.
    pub fn finish(self, output: ValueId) -> Graph {
        self.0.finish(&[output])
    }
}
