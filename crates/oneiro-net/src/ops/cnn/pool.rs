//! `MaxPool`, `AveragePool` and their global forms.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::{self, Isa, MaxPoolRule, PoolGeometry};
use crate::ops::cnn::window::{MAX_SPATIAL, Window, WindowAttributes, three};
use crate::ops::math::reduce::{Kind, Reduce};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, exact_positions,
};
use crate::tensor::{DType, volume};

mod blocked;

/// Pooling operators of ONNX.
#[derive(Debug, Clone)]
pub enum Pool {
    /// `MaxPool`: the largest value of each window.
    Max {
        /// Size, stride and padding of the window.
        window: WindowAttributes,
        /// Whether positions of maxima are counted along the first spatial axis first.
        columns_first: bool,
        /// Whether the node has the positions of the maxima as a second result.
        positions: bool,
        /// The rule by which the gradient of max-pooling is computed.
        rule: MaxPoolRule,
    },
    /// `AveragePool`: the mean of each window.
    Average {
        /// Size, stride and padding of the window.
        window: WindowAttributes,
        /// Whether the padding counts as zeros in the mean.
        count_padding: bool,
    },
    /// `GlobalMaxPool`: the largest value of each channel.
    GlobalMax {
        /// The rule by which the gradient of max-pooling is computed.
        rule: MaxPoolRule,
    },
    /// `GlobalAveragePool`: the mean of each channel.
    GlobalAverage,
}

/// Reads the attributes of a pooling node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(match op_type {
        "GlobalMaxPool" => Pool::GlobalMax { rule: MaxPoolRule::Exact },
        "GlobalAveragePool" => Pool::GlobalAverage,
        "MaxPool" => Pool::Max {
            window: WindowAttributes::read(a)?,
            columns_first: a.int_or("storage_order", 0)? != 0,
            positions: a.outputs > 1,
            rule: MaxPoolRule::Exact,
        },
        _ => Pool::Average {
            window: WindowAttributes::read(a)?,
            count_padding: a.int_or("count_include_pad", 0)? != 0,
        },
    }))
}

/// Returns the operator with another rule for the gradient, if it is a max-pooling. The forward result stays
/// the same.
pub fn under_rule(op: &dyn Operator, rule: MaxPoolRule) -> Option<Arc<dyn Operator>> {
    let mut pool = op.as_any().downcast_ref::<Pool>()?.clone();
    match &mut pool {
        Pool::Max { rule: own, .. } | Pool::GlobalMax { rule: own } => *own = rule,
        Pool::Average { .. } | Pool::GlobalAverage => return None,
    }
    Some(Arc::new(pool))
}

impl Pool {
    /// Whether the average of a constant input is that constant everywhere, also at the border.
    pub(crate) fn keeps_constants(&self, input: &Fact) -> Result<bool, OpError> {
        Ok(match self {
            Pool::Average { count_padding: true, .. } => {
                let window = self.window(Facts(&[Some(input)]))?;
                window.before.iter().chain(&window.after).all(|&pad| pad == 0)
            }
            _ => true,
        })
    }

    pub(crate) fn window(&self, inputs: Facts<'_>) -> Result<Window, OpError> {
        let x = inputs.shape(0)?;
        if x.len() < 3 {
            return Err(OpError::Refused(format!("input {x:?} has no spatial axis")));
        }
        let spatial = &x[2..];
        match self {
            Pool::Max { window: w, .. } | Pool::Average { window: w, .. } => w.resolve(spatial, None),
            Pool::GlobalMax { .. } if spatial.len() > MAX_SPATIAL => Err(OpError::Refused(format!(
                "{} spatial axes; 1 to {MAX_SPATIAL} are supported",
                spatial.len()
            ))),
            Pool::GlobalMax { .. } | Pool::GlobalAverage => Ok(Window::whole(spatial)),
        }
    }
}

impl Pool {
    /// Returns the geometry for a number of planes.
    fn geometry(&self, inputs: Facts<'_>, planes: usize) -> Result<PoolGeometry, OpError> {
        let (window, x) = (self.window(inputs)?, inputs.shape(0)?);
        let geometry = PoolGeometry {
            planes,
            src: three(&x[2..], 1),
            dst: three(&window.out, 1),
            kernel: three(&window.kernel, 1),
            stride: three(&window.stride, 1),
            dilation: three(&window.dilation, 1),
            pad_before: three(&window.before, 0),
            pad_after: three(&window.after, 0),
        };
        if geometry.every_window_sees_the_source() {
            Ok(geometry)
        } else {
            Err(OpError::Refused("a window lies wholly in the padding".into()))
        }
    }
}

impl Operator for Pool {
    fn op_type(&self) -> &str {
        match self {
            Pool::Max { .. } => "MaxPool",
            Pool::Average { .. } => "AveragePool",
            Pool::GlobalMax { .. } => "GlobalMaxPool",
            Pool::GlobalAverage => "GlobalAveragePool",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let window = self.window(inputs)?;
        let mut shape = inputs.shape(0)?[..2].to_vec();
        shape.extend(window.out);
        let mut facts = vec![Fact::float(shape.clone())];
        if matches!(self, Pool::Max { positions: true, .. }) {
            facts.push(Fact { dtype: DType::Int, shape, value: None });
        }
        Ok(facts)
    }

    /// Positions of maxima count the elements of all batch entries, so a node with positions is not
    /// independent.
    fn by_entry(&self, site: Site<'_>) -> bool {
        site.output_index == 0
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let x = site.inputs.shape(0)?;
        if matches!(self, Pool::GlobalAverage) {
            return Reduce::over(Kind::Mean, 2..x.len()).kernel(site);
        }
        let geometry = self.geometry(site.inputs, volume(&x[..2]))?;
        let isa = site.isa;
        Ok(match self {
            Pool::Max { columns_first, .. } if site.output_index == 1 => {
                exact_positions(volume(x))?;
                Built::new(Positions { geometry, columns_first: *columns_first }, 1)
            }
            Pool::Average { count_padding, .. } => {
                Built::new(Average { isa, geometry, count_padding: *count_padding }, 1)
            }
            Pool::Max { rule, .. } | Pool::GlobalMax { rule } => {
                Built::new(Max { isa, geometry, rule: *rule }, 1)
            }
            Pool::GlobalAverage => Reduce::over(Kind::Mean, 2..x.len()).kernel(site)?,
        })
    }

    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        blocked::built(self, site)
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match self {
            Pool::GlobalMax { .. } | Pool::GlobalAverage => Reach::Whole,
            _ => self.window(inputs).map_or(Reach::Whole, |w| w.reach()),
        }
    }

    fn carries_integers(&self) -> bool {
        matches!(self, Pool::Max { .. })
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        Some(sources.resized(&output.shape))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Max {
    isa: Isa,
    geometry: PoolGeometry,
    rule: MaxPoolRule,
}

impl Kernel for Max {
    fn saved_words(&self) -> usize {
        match self.rule {
            MaxPoolRule::Exact => self.geometry.argmax_words(),
            MaxPoolRule::Smoothed => 0,
        }
    }

    fn backward_reads_inputs(&self) -> bool {
        self.rule == MaxPoolRule::Smoothed
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let saved = std::mem::take(&mut io.saved);
        let (x, y) = io.io(0);
        kernels::max_pool(self.isa, &self.geometry, x, y, if saved.is_empty() { None } else { Some(saved) });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, saved) = (io.accumulate, io.saved);
        match self.rule {
            MaxPoolRule::Exact => {
                let (dy, dx) = io.io();
                kernels::max_pool_backward(&self.geometry, saved, dy, dx, accumulate);
            }
            MaxPoolRule::Smoothed => {
                let (x, dy, dx) = io.io_input(0);
                kernels::smoothed_max_pool_backward(self.isa, &self.geometry, x, dy, dx, accumulate);
            }
        }
    }
}

/// The position, in the whole input, of the maximum of each window. It is the maximum that [`Max`] takes.
#[derive(Debug)]
struct Positions {
    geometry: PoolGeometry,
    columns_first: bool,
}

impl Kernel for Positions {
    fn differentiable(&self, _operand: usize) -> bool {
        false
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        let g = &self.geometry;
        let ([depth, height, width], [_, rows, columns]) = (g.src, g.dst);
        let (src, dst) = (depth * height * width, volume(&g.dst).max(1));
        y.par_chunks_mut(dst).zip(x.par_chunks(src.max(1))).enumerate().for_each(|(plane, (y, x))| {
            for (i, y) in y.iter_mut().enumerate() {
                let out = [i / columns / rows, i / columns % rows, i % columns];
                let mut best: Option<(f32, [usize; 3])> = None;
                for tap in 0..g.taps() {
                    let [_, taps_y, taps_x] = g.kernel;
                    let tap = [tap / taps_x / taps_y, tap / taps_x % taps_y, tap % taps_x];
                    let inside = |d: usize| {
                        let at = out[d] * g.stride[d] + tap[d] * g.dilation[d];
                        at.checked_sub(g.pad_before[d]).filter(|&at| at < g.src[d])
                    };
                    let (Some(z), Some(y), Some(w)) = (inside(0), inside(1), inside(2)) else { continue };
                    let value = x[(z * height + y) * width + w];
                    if best.is_none_or(|(old, _)| value > old || (value.is_nan() && !old.is_nan())) {
                        best = Some((value, [z, y, w]));
                    }
                }
                let [z, h, w] = best.map_or([0; 3], |b| b.1);
                let at = if self.columns_first {
                    (w * height + h) * depth + z
                } else {
                    (z * height + h) * width + w
                };
                *y = (plane * src + at) as f32;
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        if !io.accumulate {
            io.gradient.fill(0.0);
        }
    }
}

#[derive(Debug)]
struct Average {
    isa: Isa,
    geometry: PoolGeometry,
    count_padding: bool,
}

impl Kernel for Average {
    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        kernels::average_pool(self.isa, &self.geometry, self.count_padding, x, y);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        kernels::average_pool_backward(self.isa, &self.geometry, self.count_padding, dy, dx, accumulate);
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for (shape, kernel, stride, pads) in [
            (&[2, 3, 7, 6][..], vec![3, 2], vec![2, 2], vec![1, 0, 1, 1]),
            (&[1, 2, 9], vec![2], vec![1], vec![0, 0]),
            (&[1, 2, 4, 5, 6], vec![1, 2, 2], vec![1, 2, 2], vec![0; 6]),
            (&[1, 1, 5, 5], vec![2, 2], vec![3, 3], vec![1, 1, 0, 0]),
        ] {
            for (op, ceil, include) in
                [("MaxPool", 0, 0), ("AveragePool", 0, 0), ("AveragePool", 1, 1), ("MaxPool", 1, 0)]
            {
                let mut case = Case::new(op, vec![data(shape)])
                    .attribute("kernel_shape", Attribute::Ints(kernel.clone()))
                    .attribute("strides", Attribute::Ints(stride.clone()))
                    .attribute("pads", Attribute::Ints(pads.clone()))
                    .attribute("ceil_mode", Attribute::Int(ceil));
                if include == 1 {
                    case = case.attribute("count_include_pad", Attribute::Int(1));
                }
                case.check();
            }
        }
        for op in ["GlobalAveragePool", "GlobalMaxPool"] {
            Case::new(op, vec![data(&[2, 3, 4, 5])]).check();
        }
    }
}
