//! `LpPool` and `GlobalLpPool`: the p-norm of every window, (Σ |x|^p)^(1/p). Padding counts as zeros.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::cnn::window::{Window, WindowAttributes, three};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, batch_independence,
};

/// `LpPool` and `GlobalLpPool`.
#[derive(Debug, Clone)]
struct LpPool {
    /// The pooling window. `None` pools the whole plane.
    window: Option<WindowAttributes>,
    p: i32,
}

/// Reads the attributes of an `LpPool` or `GlobalLpPool` node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let p = i32::try_from(a.int_or("p", 2)?).ok().filter(|&p| p > 0);
    let window = if op_type == "LpPool" { Some(WindowAttributes::read(a)?) } else { None };
    Ok(Arc::new(LpPool { window, p: p.ok_or("attribute \"p\" should be at least 1")? }))
}

impl LpPool {
    fn resolve(&self, inputs: Facts<'_>) -> Result<Window, OpError> {
        let x = inputs.shape(0)?;
        if x.len() < 3 {
            return Err(OpError::Refused(format!("input {x:?} has no spatial axis")));
        }
        match &self.window {
            Some(window) => window.resolve(&x[2..], None),
            None if x.len() > 5 => {
                Err(OpError::Refused(format!("{} spatial axes; 1 to 3 are supported", x.len() - 2)))
            }
            None => Ok(Window::whole(&x[2..])),
        }
    }
}

impl Operator for LpPool {
    fn op_type(&self) -> &str {
        if self.window.is_some() { "LpPool" } else { "GlobalLpPool" }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let window = self.resolve(inputs)?;
        let mut shape = inputs.shape(0)?[..2].to_vec();
        shape.extend(window.out);
        Ok(vec![Fact::float(shape)])
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let w = self.resolve(site.inputs)?;
        let kernel = Norms {
            p: self.p,
            src: three(&site.inputs.shape(0)?[2..], 1),
            dst: three(&w.out, 1),
            kernel: three(&w.kernel, 1),
            stride: three(&w.stride, 1),
            dilation: three(&w.dilation, 1),
            before: three(&w.before, 0),
        };
        Ok(Built::new(kernel, 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match self.resolve(inputs) {
            Ok(w) if self.window.is_some() => w.reach(),
            _ => Reach::Whole,
        }
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        Some(sources.resized(&output.shape))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Norms {
    p: i32,
    src: [usize; 3],
    dst: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    before: [usize; 3],
}

impl Norms {
    /// Calls `visit` for the elements of a plane that window `index` covers.
    fn each(&self, index: usize, mut visit: impl FnMut(usize)) {
        let [_, h, w] = self.dst;
        let out = [index / (h * w), index / w % h, index % w];
        let inside = |d: usize, k: usize| {
            let at = out[d] * self.stride[d] + k * self.dilation[d];
            at.checked_sub(self.before[d]).filter(|&at| at < self.src[d])
        };
        for z in (0..self.kernel[0]).filter_map(|k| inside(0, k)) {
            for y in (0..self.kernel[1]).filter_map(|k| inside(1, k)) {
                for x in (0..self.kernel[2]).filter_map(|k| inside(2, k)) {
                    visit((z * self.src[1] + y) * self.src[2] + x);
                }
            }
        }
    }

    fn value(&self, x: &[f32], index: usize) -> f64 {
        let mut sum = 0f64;
        self.each(index, |at| sum += f64::from(x[at].abs()).powi(self.p));
        sum.powf(1.0 / f64::from(self.p))
    }

    fn planes(&self) -> (usize, usize) {
        (self.src.iter().product::<usize>().max(1), self.dst.iter().product::<usize>().max(1))
    }
}

impl Kernel for Norms {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        let (src, dst) = self.planes();
        y.par_chunks_mut(dst).zip(x.par_chunks(src)).for_each(|(y, x)| {
            for (i, y) in y.iter_mut().enumerate() {
                *y = self.value(x, i) as f32;
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        let (src, dst) = self.planes();
        dx.par_chunks_mut(src).zip(x.par_chunks(src)).zip(dy.par_chunks(dst)).for_each(|((dx, x), dy)| {
            if !accumulate {
                dx.fill(0.0);
            }
            for (i, dy) in dy.iter().enumerate() {
                let norm = self.value(x, i);
                if norm == 0.0 {
                    continue;
                }
                self.each(i, |at| {
                    let x = f64::from(x[at]);
                    let slope = (x.abs() / norm).powi(self.p - 1);
                    dx[at] += dy * if x == 0.0 { 0.0 } else { slope.copysign(x) } as f32;
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for p in [1, 2, 3] {
            Case::new("LpPool", vec![data(&[2, 2, 5, 6])])
                .attribute("kernel_shape", Attribute::Ints(vec![3, 2]))
                .attribute("strides", Attribute::Ints(vec![2, 1]))
                .attribute("pads", Attribute::Ints(vec![1, 0, 1, 1]))
                .attribute("p", Attribute::Int(p))
                .check();
            Case::new("GlobalLpPool", vec![data(&[2, 3, 4, 5])]).attribute("p", Attribute::Int(p)).check();
        }
    }
}
