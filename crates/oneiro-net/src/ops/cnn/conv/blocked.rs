//! Convolution over values whose channels are stored in blocks.

use crate::kernels::blocked::{
    self, BLOCK, Dense, Depthwise, LineOutputs, LineWinograd, Map, Outputs, Per, Winograd,
};
use crate::kernels::{ConvGeometry, Correlation, Epilogue, Isa};
use crate::ops::blocked::Maps;
use crate::ops::{Backward, Forward, Kernel, Site};

/// The kernel of a convolution, with the adjoint that computes its gradient.
#[derive(Debug)]
pub(super) struct BlockedConv {
    forward: Engine,
    /// Engines of the adjoint, one for every phase of the stride; empty if no gradient is wanted.
    backward: Vec<Engine>,
    /// Elementwise maps that are applied to the result.
    maps: Maps,
}

/// The algorithm that computes a correlation.
#[derive(Debug)]
enum Engine {
    /// Direct convolution by register tiles.
    Dense(Dense),
    /// Winograd's transforms in the plane, which need fewer products.
    Winograd(Winograd),
    /// Winograd's transform along one axis.
    Line(Box<LineWinograd>),
    /// Direct convolution with one channel for each group.
    Depthwise(Depthwise),
}

/// The Winograd transform of an engine, if it has one.
#[derive(Clone, Copy)]
enum Transform {
    None,
    Plane(Outputs),
    Line(LineOutputs),
}

impl Engine {
    /// Chooses the cheapest engine for a correlation that mixes channels. `exact` excludes transforms whose
    /// rounding errors exceed those of the direct convolution. If `of` is given, this is the adjoint of that
    /// engine with these taps, and may share its weights.
    fn dense(
        correlation: Correlation,
        isa: Isa,
        exact: bool,
        of: Option<(&Self, &[usize])>,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
        bias: Option<&[f32]>,
    ) -> Self {
        let mixes = correlation.c_in >= BLOCK && correlation.c_out >= BLOCK;
        let planes = [Outputs::Two, Outputs::Four]
            .into_iter()
            .filter(|&o| mixes && Winograd::takes(&correlation) && (!exact || o.is_exact()))
            .map(|o| (Winograd::cost(&correlation, o), Transform::Plane(o)));
        let lines = LineOutputs::ALL
            .into_iter()
            .filter(|&o| mixes && LineWinograd::takes(&correlation, o) && (!exact || o.is_exact()))
            .map(|o| (LineWinograd::cost(&correlation, o), Transform::Line(o)));
        let direct = (Dense::cost(&correlation), Transform::None);
        let best = std::iter::once(direct).chain(planes).chain(lines).min_by(|a, b| a.0.total_cmp(&b.0));
        match best.map_or(Transform::None, |(_, transform)| transform) {
            Transform::None => {
                let shared = match of {
                    Some((Engine::Dense(of), taps)) if Dense::shares_weights(&correlation) => {
                        of.adjoint_of(correlation.clone(), taps)
                    }
                    _ => None,
                };
                Engine::Dense(shared.unwrap_or_else(|| Dense::new(correlation, isa, weight, bias)))
            }
            Transform::Plane(outputs) => {
                Engine::Winograd(Winograd::new(correlation, isa, outputs, |o, i, t| weight(0, o, i, t), bias))
            }
            Transform::Line(outputs) => Engine::Line(Box::new(LineWinograd::new(
                correlation,
                isa,
                outputs,
                |o, i, t| weight(0, o, i, t),
                bias,
            ))),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Engine::Dense(_) => "direct",
            Engine::Winograd(w) => match w.outputs() {
                Outputs::Two => "F(2x2,3x3)",
                Outputs::Four => "F(4x4,3x3)",
            },
            Engine::Line(line) => line.outputs().name(),
            Engine::Depthwise(_) => "depthwise",
        }
    }

    fn run(&self, src: &[f32], dst: &mut [f32], accumulate: bool, epilogue: &mut Epilogue<'_>) {
        match self {
            Engine::Dense(dense) => dense.run(src, dst, accumulate, epilogue),
            Engine::Winograd(winograd) => winograd.run(src, dst, accumulate, epilogue),
            Engine::Line(line) => line.run(src, dst, accumulate, epilogue),
            Engine::Depthwise(depthwise) => depthwise.run(src, dst, accumulate, epilogue),
        }
    }
}

impl BlockedConv {
    /// Returns `None` if a block would contain channels of two groups.
    pub(super) fn new(
        site: Site<'_>,
        geometry: &ConvGeometry,
        depthwise: bool,
        data: &[f32],
        bias: Option<Vec<f32>>,
    ) -> Option<Self> {
        let isa = site.isa;
        let correlation = Correlation::forward_of(geometry);
        if !depthwise && !Dense::takes(&correlation) {
            return None;
        }
        let forward = if depthwise {
            Engine::Depthwise(Depthwise::new(correlation, isa, data, bias.as_deref()))
        } else {
            let weight = |group, out, input, tap| data[geometry.weight_index(group, out, input, tap)];
            Engine::dense(correlation, isa, true, None, weight, bias.as_deref())
        };
        let phases = if site.gradients { Correlation::backward_of(geometry) } else { Vec::new() };
        let backward = phases
            .into_iter()
            .map(|phase| {
                if depthwise {
                    let weights = phase.depthwise_weights(geometry, data);
                    return Engine::Depthwise(Depthwise::new(phase.correlation, isa, &weights, None));
                }
                let taps = phase.kernel_taps.as_slice();
                let weight =
                    |group, out, input, tap| data[geometry.weight_index(group, input, out, taps[tap])];
                // No branch depends on a gradient, so transforms with larger rounding errors are allowed.
                Engine::dense(phase.correlation, isa, false, Some((&forward, taps)), weight, None)
            })
            .collect();
        Some(Self { forward, backward, maps: Maps::over(isa, site.output) })
    }
}

impl Kernel for BlockedConv {
    fn joins_team(&self) -> bool {
        true
    }

    fn applies_clip(&self) -> bool {
        true
    }

    fn applies_swish(&self) -> bool {
        true
    }

    fn applies_activation_mask(&self, _operand: usize) -> bool {
        true
    }

    fn method(&self) -> String {
        match self.backward.as_slice() {
            [] => self.forward.name().into(),
            [one] => format!("{}, back {}", self.forward.name(), one.name()),
            phases => {
                let mut names: Vec<&str> = Vec::new();
                for name in phases.iter().map(Engine::name) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                format!("{}, back {} x {}", self.forward.name(), phases.len(), names.join("/"))
            }
        }
    }

    fn passes_gradient(&self, operand: usize) -> bool {
        operand == 1
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let mut epilogue = io.epilogue();
        let Forward { reader, operands, output, .. } = io;
        epilogue.add = operands.get(1).map(|added| added.data(reader));
        self.forward.run(operands[0].data(reader), output, false, &mut epilogue);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, which, mut epilogue) = (io.accumulate, io.operand, io.epilogue());
        let (dy, dx) = io.io();
        if which == 1 {
            self.maps.run(Map::Copy, [Per::Element(dy), Per::None, Per::None], dx, accumulate, &mut epilogue);
            return;
        }
        for phase in &self.backward {
            phase.run(dy, dx, accumulate, &mut epilogue);
        }
    }
}

/// The first convolution of a network, which reads an image in plain order.
#[derive(Debug)]
pub(super) struct FirstConv(blocked::FirstConv);

impl FirstConv {
    /// Returns `None` if the convolution does not have the form of a first convolution.
    pub(super) fn new(
        site: Site<'_>,
        geometry: &ConvGeometry,
        data: &[f32],
        bias: Option<&[f32]>,
    ) -> Option<Self> {
        blocked::FirstConv::takes(geometry)
            .then(|| Self(blocked::FirstConv::new(geometry, site.isa, data, bias, site.gradients)))
    }
}

impl Kernel for FirstConv {
    fn joins_team(&self) -> bool {
        true
    }

    fn method(&self) -> String {
        self.0.method()
    }

    fn applies_clip(&self) -> bool {
        true
    }

    fn applies_swish(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let mut epilogue = io.epilogue();
        let (x, y) = io.io(0);
        self.0.run(x, y, &mut epilogue);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        self.0.run_backward(dy, dx, accumulate);
    }
}
