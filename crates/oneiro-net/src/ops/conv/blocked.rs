//! Convolution over blocks of channels.

use crate::kernels::blocked::{Dense, Depthwise, Ending};
use crate::kernels::{ConvGeometry, Correlation};
use crate::ops::{Backward, Forward, Kernel, Site};

/// A convolution and its adjoint.
#[derive(Debug)]
pub(super) struct BlockedConv {
    forward: Engine,
    /// One for every phase of the stride; empty if no gradient is wanted.
    backward: Vec<Engine>,
}

/// What computes a correlation.
#[derive(Debug)]
enum Engine {
    /// Tiles straight over the source.
    Dense(Dense),
    /// Each channel with a kernel of its own.
    Depthwise(Depthwise),
}

impl Engine {
    fn run(&self, src: &[f32], dst: &mut [f32], accumulate: bool, ending: &mut Ending<'_>) {
        match self {
            Engine::Dense(dense) => dense.run(src, dst, accumulate, ending),
            Engine::Depthwise(depthwise) => depthwise.run(src, dst, accumulate, ending),
        }
    }
}

impl BlockedConv {
    /// `None` for groups that share blocks.
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
            Engine::Dense(Dense::new(correlation, isa, weight, bias.as_deref()))
        };
        let phases = if site.gradients { Correlation::backward_of(geometry) } else { Vec::new() };
        let backward = phases
            .into_iter()
            .map(|phase| {
                if depthwise {
                    let weights = phase.depthwise_weights(geometry, data);
                    return Engine::Depthwise(Depthwise::new(phase.correlation, isa, &weights, None));
                }
                let taps = phase.kernel_taps;
                let weight =
                    |group, out, input, tap| data[geometry.weight_index(group, input, out, taps[tap])];
                Engine::Dense(Dense::new(phase.correlation, isa, weight, None))
            })
            .collect();
        Some(Self { forward, backward })
    }
}

impl Kernel for BlockedConv {
    fn applies_clip(&self) -> bool {
        true
    }

    fn applies_gates(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let mut ending = io.ending();
        let (x, y) = io.io(0);
        self.forward.run(x, y, false, &mut ending);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, mut ending) = (io.accumulate, io.ending());
        let (dy, dx) = io.io();
        for phase in &self.backward {
            phase.run(dy, dx, accumulate, &mut ending);
        }
    }
}
