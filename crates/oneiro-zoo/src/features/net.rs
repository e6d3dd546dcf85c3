//! Building blocks of the feature networks: convolutions whose weights are given by functions, arithmetic
//! with constants, and the layers before the orientations.

use oneiro::preprocess::REC601_LUMA;
use oneiro_net::graph::Attribute;
use oneiro_net::graph::{Builder, Dim, Graph, ValueId};
use oneiro_net::tensor::Tensor;

/// Name of the networks' input, an image.
pub(super) const INPUT: &str = "x";

/// A feature network that is being built.
pub(super) struct Net(Builder);

/// Stride, padding and groups of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Sweep {
    /// Stride along both axes.
    pub stride: usize,
    /// Numbers of zeros padded before and after both axes.
    pub pads: [usize; 2],
    /// Number of groups of channels, as in a grouped convolution.
    pub groups: usize,
}

/// A convolution at every position, without padding and groups.
pub(super) const DENSE: Sweep = Sweep { stride: 1, pads: [0, 0], groups: 1 };

/// Returns an element of the identity matrix.
pub(super) fn identity(row: usize, column: usize) -> f32 {
    f32::from(u8::from(row == column))
}

/// Returns the weight of linear interpolation at a distance: a triangle of height 1 that is zero from
/// distance 1 on.
pub(super) fn triangle(distance: f32) -> f32 {
    (1.0 - distance.abs()).max(0.0)
}

impl Net {
    /// Begins a network with the luminance of its input image; returns the luminance's value, [N, 1, H, W].
    pub fn on_luminance() -> oneiro_net::Result<(Self, ValueId)> {
        let mut net = Net(Builder::new());
        let free = |name: &str| Dim::Free(name.to_owned());
        let x = net.0.input(INPUT, &[free("N"), Dim::Fixed(3), free("H"), free("W")])?;
        let luminance = net.conv("luminance", x, [1, 3, 1, 1], DENSE, |_, c, _, _| REC601_LUMA[c])?;
        Ok((net, luminance))
    }

    /// Adds a convolution whose weights are `weight(out, in, row, column)`, of shape `[out, in per group,
    /// rows, columns]`.
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

    /// Adds the derivatives along x and y by [-1 0 1]·`scale`, without the border: [N, 2, H − 2, W − 2].
    pub fn gradient(&mut self, name: &str, x: ValueId, scale: f32) -> oneiro_net::Result<ValueId> {
        self.conv(name, x, [2, 1, 3, 3], DENSE, |axis, _, row, column| {
            let (along, across) = if axis == 0 { (column, row) } else { (row, column) };
            if across == 1 { scale * (along as f32 - 1.0) } else { 0.0 }
        })
    }

    /// Adds the sum of the squares of all channels: [N, 1, H, W].
    pub fn energy(&mut self, name: &str, x: ValueId, channels: usize) -> oneiro_net::Result<ValueId> {
        let square = self.node("Mul", &format!("{name}.square"), &[x, x])?;
        self.conv(name, square, [1, channels, 1, 1], DENSE, |_, _, _, _| 1.0)
    }

    /// Adds an operator without attributes.
    pub fn node(&mut self, op_type: &str, name: &str, inputs: &[ValueId]) -> oneiro_net::Result<ValueId> {
        self.0.node(op_type, name, inputs, vec![])
    }

    /// Adds an operator with attributes.
    pub fn node_with(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[ValueId],
        attributes: Vec<(&str, Attribute)>,
    ) -> oneiro_net::Result<ValueId> {
        self.0.node(op_type, name, inputs, attributes)
    }

    /// Adds an operator of two operands, the second of which is a constant number.
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

    /// Adds a constant number.
    pub fn number(&mut self, name: &str, number: f32) -> oneiro_net::Result<ValueId> {
        self.0.constant(name, Tensor::floats(&[], vec![number]))
    }

    /// Adds a constant vector of integers.
    pub fn ints(&mut self, name: &str, ints: &[i64]) -> oneiro_net::Result<ValueId> {
        self.0.constant(name, Tensor::ints(&[ints.len()], ints.to_vec()))
    }

    /// Adds a clamp of values to at most `high`.
    pub fn at_most(&mut self, name: &str, x: ValueId, high: f32) -> oneiro_net::Result<ValueId> {
        let number = self.number(&format!("{name}.number"), high)?;
        self.0.node_with("Clip", name, &[Some(x), None, Some(number)], vec![])
    }

    /// Adds padding by `n` rows and columns on every side, in ONNX's padding mode `mode`.
    pub fn pad(&mut self, name: &str, x: ValueId, n: i64, mode: &str) -> oneiro_net::Result<ValueId> {
        let pads = self.ints(&format!("{name}.pads"), &[0, 0, n, n, 0, 0, n, n])?;
        self.node_with("Pad", name, &[x, pads], vec![("mode", Attribute::Text(mode.to_owned()))])
    }

    /// Adds a concatenation along the channels.
    pub fn concat(&mut self, name: &str, parts: &[ValueId]) -> oneiro_net::Result<ValueId> {
        self.node_with("Concat", name, parts, vec![("axis", Attribute::Int(1))])
    }

    /// Returns the finished network, with this value as its output.
    pub fn finish(self, output: ValueId) -> Graph {
        self.0.finish(&[output])
    }
}
