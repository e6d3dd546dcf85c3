//! The interface of kernels: an operator for fixed shapes, and the slices that it computes on.

use std::fmt::Debug;
use std::sync::Arc;

use crate::kernels::{Epilogue, Reader, Region};

/// An operator with fixed shapes. It runs forward and backward on slices of the arena.
///
/// Results must not depend on the number of threads. A batch entry's results must not depend on the other
/// entries.
pub trait Kernel: Debug + Send + Sync {
    /// Number of 32-bit words that forward saves for backward (for instance the positions of maxima).
    fn saved_words(&self) -> usize {
        0
    }

    /// Whether the backward pass reads the operands' values.
    fn backward_reads_inputs(&self) -> bool {
        false
    }

    /// Whether the backward pass reads the output's values.
    fn backward_reads_output(&self) -> bool {
        false
    }

    /// Whether the kernel applies the step's clamp itself ([`Forward::epilogue`]).
    fn applies_clip(&self) -> bool {
        false
    }

    /// Whether the kernel applies the step's x·sigmoid(αx) itself ([`Forward::epilogue`]).
    fn applies_swish(&self) -> bool {
        false
    }

    /// Whether backward applies the activation masks or slopes of the step that computed this operand
    /// ([`Backward::epilogue`]).
    fn applies_activation_mask(&self, _operand: usize) -> bool {
        false
    }

    /// Whether the gradient at an operand equals the gradient at the output.
    fn passes_gradient(&self, _operand: usize) -> bool {
        false
    }

    /// For a concatenation: start and length of each operand in the output. An operand may already lie there;
    /// the kernel copies only the others ([`Forward::in_place`]).
    fn concat_parts(&self) -> Option<&[(usize, usize)]> {
        None
    }

    /// Whether the kernel can compute the gradient of an operand.
    fn differentiable(&self, _operand: usize) -> bool {
        true
    }

    /// Whether all of its parallel loops, forward and backward, run in a team ([`crate::kernels::team`])
    /// instead of on `rayon`.
    fn joins_team(&self) -> bool {
        false
    }

    /// The algorithm's name for tables, if there are several.
    fn method(&self) -> String {
        String::new()
    }

    /// Computes the kernel's output.
    fn forward(&self, io: &mut Forward<'_>);

    /// Computes the vector-Jacobian product: the gradient of operand `io.operand` from the gradient of the
    /// output.
    fn backward(&self, io: &mut Backward<'_>);
}

/// Where an operand's data is while a plan runs.
#[derive(Debug, Clone)]
pub enum Operand {
    /// The operand is a constant of the plan.
    Constant(Arc<Vec<f32>>),
    /// The operand is a region of the arena.
    Arena(Region),
}

impl Operand {
    /// Returns the operand's data.
    pub(crate) fn data<'a>(&'a self, reader: &'a Reader<'_>) -> &'a [f32] {
        match self {
            Operand::Constant(data) => data,
            Operand::Arena(region) => reader.read(*region),
        }
    }
}

/// The data that [`Kernel::forward`] reads and writes.
#[allow(missing_debug_implementations)]
pub struct Forward<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) operands: &'a [Operand],
    /// The output, to be overwritten.
    pub output: &'a mut [f32],
    /// The words to save for backward ([`Kernel::saved_words`]); empty if no gradient is wanted.
    pub saved: &'a mut [u32],
    /// The step's activation function, for kernels that apply it themselves ([`Kernel::applies_clip`],
    /// [`Kernel::applies_swish`]).
    pub epilogue: Epilogue<'a>,
    /// For each operand, whether it already lies inside the output. Such an operand cannot be read.
    pub in_place: &'a [bool],
}

impl<'a> Forward<'a> {
    /// Returns the data of operand `i`.
    pub fn input(&self, i: usize) -> &[f32] {
        self.operands[i].data(&self.reader)
    }

    /// Takes the epilogue out, for a kernel that applies it itself.
    pub fn epilogue(&mut self) -> Epilogue<'a> {
        std::mem::take(&mut self.epilogue)
    }

    /// Returns the data of operand `i`, and the output to write.
    pub fn io(&mut self, i: usize) -> (&[f32], &mut [f32]) {
        (self.operands[i].data(&self.reader), self.output)
    }

    /// Returns the data of two operands, and the output to write.
    pub fn io2(&mut self, i: usize, j: usize) -> (&[f32], &[f32], &mut [f32]) {
        (self.operands[i].data(&self.reader), self.operands[j].data(&self.reader), self.output)
    }
}

/// The data that [`Kernel::backward`] reads and writes.
#[allow(missing_debug_implementations)]
pub struct Backward<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) operands: &'a [Operand],
    pub(crate) output: Region,
    pub(crate) output_gradient: Region,
    /// Index of the operand whose gradient is computed.
    pub operand: usize,
    /// The gradient of that operand, to be written.
    pub gradient: &'a mut [f32],
    /// Whether to add to `gradient` instead of overwriting it.
    pub accumulate: bool,
    /// The words that the forward pass saved ([`Kernel::saved_words`]).
    pub saved: &'a [u32],
    /// The activation masks or slopes of the step that computed the operand, for kernels that apply them to
    /// the finished gradient ([`Kernel::applies_activation_mask`]).
    pub epilogue: Epilogue<'a>,
}

impl<'a> Backward<'a> {
    /// Returns the data of operand `i`; only if [`Kernel::backward_reads_inputs`].
    pub fn input(&self, i: usize) -> &[f32] {
        self.operands[i].data(&self.reader)
    }

    /// Takes the epilogue out, for a kernel that applies it itself.
    pub fn epilogue(&mut self) -> Epilogue<'a> {
        std::mem::take(&mut self.epilogue)
    }

    /// Returns the output's gradient, and the gradient to write.
    pub fn io(&mut self) -> (&[f32], &mut [f32]) {
        (self.reader.read(self.output_gradient), self.gradient)
    }

    /// Returns operand `i`, the output's gradient, and the gradient to write.
    pub fn io_input(&mut self, i: usize) -> (&[f32], &[f32], &mut [f32]) {
        (self.operands[i].data(&self.reader), self.reader.read(self.output_gradient), self.gradient)
    }

    /// Returns the output, its gradient, and the gradient to write; only if
    /// [`Kernel::backward_reads_output`].
    pub fn io_output(&mut self) -> (&[f32], &[f32], &mut [f32]) {
        (self.reader.read(self.output), self.reader.read(self.output_gradient), self.gradient)
    }
}

/// Copies `from` to `to`, or adds it to `to` with `accumulate`.
pub(crate) fn put(from: &[f32], to: &mut [f32], accumulate: bool) {
    if accumulate {
        for (t, f) in to.iter_mut().zip(from) {
            *t += f;
        }
    } else {
        to.copy_from_slice(from);
    }
}

/// Writes `value(i)` to every `to[i]`, or adds it.
pub(crate) fn put_with(to: &mut [f32], accumulate: bool, value: impl Fn(usize) -> f32) {
    if accumulate {
        for (i, t) in to.iter_mut().enumerate() {
            *t += value(i);
        }
    } else {
        for (i, t) in to.iter_mut().enumerate() {
            *t = value(i);
        }
    }
}
