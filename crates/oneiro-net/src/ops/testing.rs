//! Gradient checks for operators: gradients are compared with central differences of the forward kernel, for
//! every element or a sample.

use crate::attributes::{Attribute, Attributes};
use crate::kernels::blocked::BLOCK;
use crate::kernels::{Arena, Isa, Region};
use crate::ops::{Backward, Fact, Facts, Forward, Layout, Operand, Site, build};
use crate::tensor::{DType, Tensor, volume};

/// One input of a case: data, whose gradient is checked, or a constant.
#[derive(Clone)]
pub(crate) struct Given {
    tensor: Tensor,
    constant: bool,
}

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    }
}

/// Returns numbers in (-2, 2), evenly spaced and shuffled. No two are equal, and none is near 0.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut values: Vec<f32> = (0..n).map(|i| (i as f32 + 0.5) * 4.0 / n as f32 - 2.0).collect();
    if n == 1 {
        values[0] = 0.7;
    }
    let mut next = random(seed);
    for i in (1..n).rev() {
        values.swap(i, next() as usize % (i + 1));
    }
    values
}

pub(crate) fn data(shape: &[usize]) -> Given {
    let n = volume(shape);
    Given { tensor: Tensor::floats(shape, noise(n, n as u64 + 7)), constant: false }
}

pub(crate) fn positive(shape: &[usize]) -> Given {
    let values = data(shape).tensor.as_floats().unwrap().iter().map(|x| x.abs() + 0.5).collect();
    Given { tensor: Tensor::floats(shape, values), constant: false }
}

pub(crate) fn values(shape: &[usize], values: Vec<f32>) -> Given {
    Given { tensor: Tensor::floats(shape, values), constant: false }
}

pub(crate) fn constant(shape: &[usize], values: Vec<f32>) -> Given {
    Given { tensor: Tensor::floats(shape, values), constant: true }
}

pub(crate) fn constant_data(shape: &[usize]) -> Given {
    Given { constant: true, ..data(shape) }
}

pub(crate) fn ints(values: &[i64]) -> Given {
    Given { tensor: Tensor::ints(&[values.len()], values.to_vec()), constant: true }
}

pub(crate) fn bools(shape: &[usize], values: Vec<bool>) -> Given {
    Given { tensor: Tensor::bools(shape, values), constant: true }
}

pub(crate) fn int_tensor(shape: &[usize], values: Vec<i64>) -> Given {
    Given { tensor: Tensor::ints(shape, values), constant: true }
}

/// An input of integers that depend on the data, such as positions of maxima.
pub(crate) fn flowing(shape: &[usize], values: Vec<i64>) -> Given {
    Given { tensor: Tensor::ints(shape, values), constant: false }
}

/// Returns the place in memory of each element of a value.
fn places(layout: Layout, shape: &[usize]) -> Vec<usize> {
    let n = volume(shape);
    if layout == Layout::Plain {
        return (0..n).collect();
    }
    let (batch, channels, plane) = (shape[0], shape[1], volume(&shape[2..]));
    let place = |i: usize| {
        let (image, channel, position) = (i / plane / channels, i / plane % channels, i % plane);
        ((channel / BLOCK * batch + image) * plane + position) * BLOCK + channel % BLOCK
    };
    (0..n).map(place).collect()
}

/// An operator with attributes and inputs, on which a test runs.
pub(crate) struct Case {
    op: &'static str,
    inputs: Vec<Given>,
    attributes: Vec<(&'static str, Attribute)>,
    opset: i64,
    output: usize,
    probes: usize,
}

impl Case {
    pub(crate) fn new(op: &'static str, mut inputs: Vec<Given>) -> Self {
        // A second operand of the same shape gets different data.
        let floats = |g: &&mut Given| !g.constant && g.tensor.dtype() == DType::Float;
        for given in inputs.iter_mut().skip(1).filter(floats) {
            let mut values = given.tensor.as_floats().unwrap().into_owned();
            values.rotate_left(given.tensor.len() / 2);
            values.iter_mut().for_each(|v| *v += 0.0071);
            given.tensor = Tensor::floats(given.tensor.shape(), values);
        }
        Self { op, inputs, attributes: vec![], opset: 17, output: 0, probes: 200 }
    }

    pub(crate) fn attribute(mut self, name: &'static str, value: Attribute) -> Self {
        self.attributes.push((name, value));
        self
    }

    pub(crate) fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    pub(crate) fn output(mut self, output: usize) -> Self {
        self.output = output;
        self
    }

    pub(crate) fn probes(mut self, probes: usize) -> Self {
        self.probes = probes;
        self
    }

    /// Panics unless the gradient of a random linear functional of the output agrees with central
    /// differences. It is checked with and without accumulation, on every instruction set.
    pub(crate) fn check(self) {
        for isa in Isa::available() {
            self.check_on(isa);
        }
    }

    fn check_on(&self, isa: Isa) {
        self.check_kernel(isa, Layout::Plain);
        self.check_kernel(isa, Layout::Blocked);
    }

    /// Checks the kernel for a layout, if there is one.
    fn check_kernel(&self, isa: Isa, layout: Layout) {
        let op = build(self.op, &Attributes::new(self.opset, self.attributes.clone()));
        let facts: Vec<Fact> = self
            .inputs
            .iter()
            .map(|g| Fact { value: g.constant.then(|| g.tensor.clone()), ..Fact::constant(g.tensor.clone()) })
            .collect();
        let refs: Vec<Option<&Fact>> = facts.iter().map(Some).collect();
        let inputs = Facts(&refs);
        let fail =
            |what: &str, why: String| -> ! { panic!("{} ({isa:?}, {layout:?}) {what}: {why}", self.op) };
        let outputs = op.infer(inputs).unwrap_or_else(|e| fail("infer", e.into_reason()));
        let output = &outputs[self.output];
        let site = Site { inputs, output, output_index: self.output, isa, gradients: true };
        let built = match layout {
            Layout::Plain => op.kernel(site).unwrap_or_else(|e| fail("kernel", e.into_reason())),
            Layout::Blocked => {
                let in_blocks = |f: &Fact| f.value.is_some() || f.dtype == DType::Float && f.shape.len() > 2;
                if !facts.iter().chain([output]).all(in_blocks) {
                    return;
                }
                match op.blocked(site).unwrap_or_else(|e| fail("blocked", e.into_reason())) {
                    Some(built) => built,
                    None => return,
                }
            }
        };
        let operand_layout = if layout == Layout::Blocked { built.operand_layout } else { layout };
        let kernel = built.kernel;
        // Places in memory of the elements of the operands and of the output.
        let places: Vec<Vec<usize>> =
            built.operands.iter().map(|&i| places(operand_layout, self.inputs[i].tensor.shape())).collect();
        let out_places = self::places(layout, &output.shape);
        let room = |layout: Layout, shape: &[usize]| volume(&layout.shape(shape));

        // Regions of the arena: every operand, the output, its gradient, an operand's gradient, the saved
        // words.
        let mut at = 0;
        let mut region = |len: usize| {
            let r = Region::new(at, len);
            at += len.next_multiple_of(16);
            r
        };
        let operand_regions: Vec<Region> = built
            .operands
            .iter()
            .map(|&i| region(room(operand_layout, self.inputs[i].tensor.shape())))
            .collect();
        let operands: Vec<Operand> = operand_regions.iter().map(|&r| Operand::Arena(r)).collect();
        let y = region(room(layout, &output.shape));
        let dy = region(room(layout, &output.shape));
        let saved = region(kernel.saved_words());
        let longest = operand_regions.iter().map(|r| r.len).max().unwrap_or(0);
        let dx_start = region(longest).offset;
        let mut arena = Arena::new(at);
        for ((r, &i), places) in operand_regions.iter().zip(&built.operands).zip(&places) {
            let to = arena.slice_mut(*r);
            places.iter().zip(self.inputs[i].tensor.operand().unwrap().iter()).for_each(|(&p, &x)| to[p] = x);
        }
        let weights = noise(output.len(), 99);

        let run = |arena: &mut Arena| -> f64 {
            let (reader, [out, words]) = arena.frame([y, saved]);
            let mut io = Forward {
                reader,
                operands: &operands,
                output: out,
                saved: bytemuck::cast_slice_mut(words),
                epilogue: crate::kernels::Epilogue::none(),
                in_place: &[],
            };
            kernel.forward(&mut io);
            out_places.iter().zip(&weights).map(|(&p, b)| f64::from(out[p]) * f64::from(*b)).sum()
        };
        run(&mut arena);
        let seed = arena.slice_mut(dy);
        out_places.iter().zip(&weights).for_each(|(&p, &w)| seed[p] = w);

        for (k, r) in operand_regions.iter().enumerate() {
            let given = &self.inputs[built.operands[k]];
            if given.constant || given.tensor.dtype() != DType::Float || !kernel.differentiable(k) {
                continue;
            }
            let dx = Region::new(dx_start, r.len);
            let mut gradients = Vec::new();
            for accumulate in [false, true] {
                arena.slice_mut(dx).fill(if accumulate { 1.0 } else { f32::NAN });
                let words: Vec<f32> = arena.slice(saved).to_vec();
                let (reader, [gradient]) = arena.frame([dx]);
                kernel.backward(&mut Backward {
                    reader,
                    operands: &operands,
                    output: y,
                    output_gradient: dy,
                    operand: k,
                    gradient,
                    accumulate,
                    saved: bytemuck::cast_slice(&words),
                    epilogue: crate::kernels::Epilogue::none(),
                });
                let shift = if accumulate { 1.0 } else { 0.0 };
                let gradient = arena.slice(dx);
                gradients.push(places[k].iter().map(|&p| gradient[p] - shift).collect::<Vec<_>>());
            }
            let step = (places[k].len() / self.probes).max(1);
            for i in (0..places[k].len()).step_by(step) {
                let (eps, at) = (2e-3f32, places[k][i]);
                let x = arena.slice(*r)[at];
                arena.slice_mut(*r)[at] = x + eps;
                let up = run(&mut arena);
                arena.slice_mut(*r)[at] = x - eps;
                let down = run(&mut arena);
                arena.slice_mut(*r)[at] = x;
                let width = f64::from(x + eps) - f64::from(x - eps);
                let expected = (up - down) / width;
                for (gradient, how) in gradients.iter().zip(["overwritten", "accumulated"]) {
                    let got = f64::from(gradient[i]);
                    let scale = 1.0 + expected.abs().max(got.abs());
                    if (got - expected).abs() > 2e-2 * scale {
                        fail(
                            how,
                            format!(
                                "operand {k}, element {i} of {:?}: {got} for {expected}",
                                given.tensor.shape()
                            ),
                        );
                    }
                }
            }
            run(&mut arena);
        }
    }
}
