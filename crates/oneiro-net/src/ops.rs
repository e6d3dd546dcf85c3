//! Operators: what a node computes, as ONNX defines it.
//!
//! One file an operator (or a family that shares one shape rule and one kernel). Each holds, side by side,
//!
//! 1. the reading of its attributes (`read`),
//! 2. its shape rule ([`Operator::infer`]),
//! 3. its evaluation on constants, where that is not simply the kernel ([`Operator::evaluate`]),
//! 4. its kernel for fixed shapes: forward, and the vector-Jacobian product with respect to each data input
//!    ([`Kernel`]).
//!
//! An [`Operator`] is attributes only. For a plan it is asked once for a [`Kernel`]: shapes are then fixed
//! and weights are packed. All data flows as f32: truth values as 0 and 1, integers that depend on the data
//! (positions of extremes, and what only moves them) as whole numbers; arithmetic on integers exists only
//! where it folds into constants.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

pub use crate::attributes::{Attribute, Attributes};
use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::blocked::{BLOCK, Ending, EndingClip, EndingSwish, blocks_of};
use crate::kernels::{Isa, Reader, Region};
use crate::reads::Reads;
use crate::tensor::{DType, Tensor, volume};

pub use registry::build;

pub mod activation;
pub mod affine_grid;
pub mod batch_norm;
pub mod binary;
pub mod broadcast;
pub mod center_crop;
pub mod choose;
pub mod concat;
pub mod constant;
pub mod conv;
pub mod conv_transpose;
pub mod einsum;
pub(crate) mod entries;
pub mod gemm;
pub mod grid_sample;
pub mod logic;
pub(crate) mod lookup;
pub mod lp_norm;
pub mod lp_pool;
pub mod lrn;
pub(crate) mod maps;
pub mod matmul;
pub mod movement;
pub mod norm;
pub mod one_hot;
pub(crate) mod origin;
pub mod pick;
pub mod pool;
pub mod quantize;
pub mod reduce;
mod registry;
pub(crate) mod reorder;
pub mod resample;
pub mod resize;
pub mod scatter;
pub mod scores;
pub mod select;
pub mod softmax;
#[cfg(test)]
pub(crate) mod testing;
pub mod unary;
pub mod unpool;
pub mod variadic;
pub mod view;
pub mod window;

/// Integers below this are exact in f32.
pub(crate) const EXACT_INTEGERS: usize = 1 << f32::MANTISSA_DIGITS;

/// An error unless positions up to this extent are exact in f32.
pub(crate) fn exact_positions(extent: usize) -> Result<(), OpError> {
    if extent <= EXACT_INTEGERS {
        Ok(())
    } else {
        Err(OpError(format!("positions among {extent} elements are too large for f32")))
    }
}

/// What is known of a value once the input shapes are given.
#[derive(Debug, Clone)]
pub struct Fact {
    /// What the elements are.
    pub dtype: DType,
    /// Extent of every axis.
    pub shape: Vec<usize>,
    /// The content, if it does not depend on any input's data.
    pub value: Option<Tensor>,
}

impl Fact {
    /// A float value that depends on the inputs.
    pub fn float(shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype: DType::Float, shape: shape.into(), value: None }
    }

    /// A constant.
    pub fn constant(value: Tensor) -> Self {
        Self { dtype: value.dtype(), shape: value.shape().to_vec(), value: Some(value) }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        volume(&self.shape)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A node's inputs as facts, with the questions that shape rules ask.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a>(pub &'a [Option<&'a Fact>]);

impl<'a> Facts<'a> {
    /// Input `i`, if it is given.
    pub fn get(&self, i: usize) -> Option<&'a Fact> {
        self.0.get(i).copied().flatten()
    }

    /// Input `i`, which has to be given.
    pub fn need(&self, i: usize) -> Result<&'a Fact, OpError> {
        self.get(i).ok_or_else(|| OpError(format!("input {i} is missing")))
    }

    /// Shape of input `i`, which has to be given.
    pub fn shape(&self, i: usize) -> Result<&'a [usize], OpError> {
        Ok(&self.need(i)?.shape)
    }

    /// The constant at input `i`; an error if it is given but depends on data.
    pub fn constant(&self, i: usize) -> Result<Option<&'a Tensor>, OpError> {
        match self.get(i) {
            None => Ok(None),
            Some(Fact { value: Some(t), .. }) => Ok(Some(t)),
            Some(_) => Err(OpError(format!("input {i} depends on the data; only a constant is supported"))),
        }
    }

    /// The constant at input `i`, which has to be given.
    pub fn need_constant(&self, i: usize) -> Result<&'a Tensor, OpError> {
        self.constant(i)?.ok_or_else(|| OpError(format!("input {i} is missing")))
    }

    /// The constant integers at input `i`, if it is given.
    pub fn ints(&self, i: usize) -> Result<Option<&'a [i64]>, OpError> {
        self.constant(i)?.map(Tensor::as_ints).transpose()
    }

    /// A constant with a single float at input `i`, if it is given.
    pub fn scalar(&self, i: usize) -> Result<Option<f32>, OpError> {
        match self.constant(i)? {
            None => Ok(None),
            Some(t) if t.len() == 1 => Ok(Some(t.as_floats()?[0])),
            Some(t) => Err(OpError(format!("input {i} should be one number, its shape is {:?}", t.shape()))),
        }
    }
}

/// What an output position reads of an operand's positions; for receptive fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Position to position, as the axes tell them.
    Point,
    /// Intervals along these axes, which operand and output share; position to position along the others.
    Axes(Vec<(usize, Reads)>),
    /// Another shape for the same elements: positions in space are kept as far as the axes allow.
    Regroup,
    /// Everything (global pooling, attention).
    Whole,
    /// Nothing: the result does not depend on the data.
    Nothing,
}

/// What an operator is asked to make a kernel for.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Facts of the node's inputs.
    pub inputs: Facts<'a>,
    /// Fact of the output wanted.
    pub output: &'a Fact,
    /// Which of the node's outputs that is.
    pub output_index: usize,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Whether the kernel will be asked for gradients.
    pub gradients: bool,
}

/// How the elements of a value lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// In the order of the axes.
    Plain,
    /// In blocks of sixteen channels, `[⌈C / 16⌉][N][positions][16]` ([`crate::kernels::blocked`]).
    Blocked,
}

impl Layout {
    /// The shape under which the elements lie in memory; blocks need a batch and a channel axis.
    pub fn shape(self, shape: &[usize]) -> Vec<usize> {
        match self {
            Layout::Plain => shape.to_vec(),
            Layout::Blocked => {
                let mut blocked = vec![blocks_of(shape[1]), shape[0]];
                blocked.extend(&shape[2..]);
                blocked.push(BLOCK);
                blocked
            }
        }
    }
}

/// A kernel, and the positions of the node inputs that are its operands; the other inputs (weights, axes)
/// went into the kernel itself.
#[derive(Debug)]
pub struct Built {
    /// The kernel.
    pub kernel: Box<dyn Kernel>,
    /// Which node inputs it reads when it runs.
    pub operands: Vec<usize>,
    /// How a kernel with a result in blocks wants its operands.
    pub operand_layout: Layout,
}

impl Built {
    /// A kernel over some of the inputs.
    pub fn over(kernel: impl Kernel + 'static, operands: Vec<usize>) -> Self {
        Self { kernel: Box::new(kernel), operands, operand_layout: Layout::Blocked }
    }

    /// A kernel over the first `n` inputs.
    pub fn new(kernel: impl Kernel + 'static, n: usize) -> Self {
        Self::over(kernel, (0..n).collect())
    }
}

/// What a node computes.
pub trait Operator: Debug + Send + Sync + Any {
    /// ONNX's name of the operator.
    fn op_type(&self) -> &str;

    /// Element types and shapes of the outputs; also their content where only shapes decide it.
    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError>;

    /// Evaluates on constant inputs. `None` means: run the kernel.
    fn evaluate(&self, _inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        Ok(None)
    }

    /// The kernel for these shapes.
    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError>;

    /// The kernel for operands and a result in blocks of channels ([`Layout::Blocked`]), if there is one.
    fn blocked(&self, _site: Site<'_>) -> Result<Option<Built>, OpError> {
        Ok(None)
    }

    /// Whether blocks are worth bringing the operands into.
    fn wants_blocks(&self) -> bool {
        false
    }

    /// Whether each element of the result depends on the elements of the operands at its place alone, so that
    /// the kernel serves operands in any order that they share.
    fn by_element(&self) -> bool {
        false
    }

    /// Whether what a result holds for each entry of the batch, along axis 0, depends on the same entry of
    /// the operands alone (`ops/entries.rs`); constants are taken to say the same of all entries. Where that
    /// is not known, it does not.
    fn by_entry(&self, site: Site<'_>) -> bool {
        self.by_element() && entries::aligned(site)
    }

    /// What the axes of output `index` mean, given those of the inputs ([`crate::axes`]); `None` where that
    /// is not known.
    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        if self.by_element() { sources.broadcast(&output.shape) } else { None }
    }

    /// The axes of input 0, kept by the result, along which elements of the result depend on each other's
    /// operands.
    fn mixes_along(&self, _inputs: Facts<'_>) -> Vec<usize> {
        Vec::new()
    }

    /// Multiplications and additions of one forward pass, counted as the direct algorithm would do them; zero
    /// for what only moves data or is small beside a convolution.
    fn flops(&self, _inputs: Facts<'_>, _output: &Fact) -> u64 {
        0
    }

    /// Whether output 0 is input 0 under another shape, so that no data has to move.
    fn is_view(&self) -> bool {
        false
    }

    /// Whether integers that depend on the data come out exact as whole numbers in f32: positions below
    /// `EXACT_INTEGERS`, or integers that are only moved. All others are refused.
    fn carries_integers(&self) -> bool {
        false
    }

    /// Whether inputs may be of unknown shape, because the operator may do without them.
    fn may_ignore_inputs(&self) -> bool {
        false
    }

    /// How far an output position sees in input 0.
    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Point
    }

    /// How far a position of output `index` sees in an operand.
    fn reach_of(&self, inputs: Facts<'_>, _operand: usize, _index: usize) -> Reach {
        self.reach(inputs)
    }

    /// The axes of an operand that a product sums over; `None` if the operator is no product.
    fn sums_along(&self, _inputs: Facts<'_>, _operand: usize) -> Option<Vec<usize>> {
        None
    }

    /// This operator with a larger set of attributes known to passes, for pattern matching.
    fn as_any(&self) -> &dyn Any;
}

/// An operator made concrete for fixed shapes: runs forward and back on slices of the arena.
///
/// Results must not depend on the number of threads, and those of one batch entry not on the other entries.
pub trait Kernel: Debug + Send + Sync {
    /// Words of 32 bits that forward saves for backward (for instance the positions of maxima).
    fn saved_words(&self) -> usize {
        0
    }

    /// Whether backward reads the operands.
    fn backward_reads_inputs(&self) -> bool {
        false
    }

    /// Whether backward reads the output.
    fn backward_reads_output(&self) -> bool {
        false
    }

    /// Whether the kernel applies the step's clamp itself (see [`Forward::clip`]).
    fn applies_clip(&self) -> bool {
        false
    }

    /// Whether the kernel applies the step's x·sigmoid(αx) itself (see [`Forward::swish`]).
    fn applies_swish(&self) -> bool {
        false
    }

    /// Whether backward, for this operand, applies the masks or the slope of the activation function that its
    /// gradient lies behind ([`Backward::ending`]).
    fn applies_gates(&self, _operand: usize) -> bool {
        false
    }

    /// Whether the gradient with respect to an operand is that of the output as it is.
    fn passes_gradient(&self, _operand: usize) -> bool {
        false
    }

    /// For a kernel whose output is its operands one after another: where each begins and how long it is.
    /// Operands may then lie there already, and the kernel copies the others only (see
    /// [`Forward::in_place`]).
    fn joins(&self) -> Option<&[(usize, usize)]> {
        None
    }

    /// Whether there is a gradient with respect to an operand.
    fn differentiable(&self, _operand: usize) -> bool {
        true
    }

    /// Whether all of its parallel loops are those of a team ([`crate::kernels::team`]), forward and back.
    fn joins_team(&self) -> bool {
        false
    }

    /// How it computes, where there is a choice; for tables.
    fn method(&self) -> String {
        String::new()
    }

    /// Computes the output.
    fn forward(&self, io: &mut Forward<'_>);

    /// Vector-Jacobian product: the gradient with respect to operand `io.operand`, from that of the output.
    fn backward(&self, io: &mut Backward<'_>);
}

/// A clamp to [low, high] after the step's own computation (ReLU is [0, ∞)), and where to mark what it cut.
///
/// Bits lie as [`crate::kernels::apply_clip`] says.
#[derive(Debug)]
pub struct Clip<'a> {
    /// Lower bound.
    pub low: f32,
    /// Upper bound.
    pub high: f32,
    /// Marks of values at or below `low`.
    pub below: Option<&'a mut [u32]>,
    /// Marks of values at or above `high`.
    pub above: Option<&'a mut [u32]>,
}

impl<'a> From<Clip<'a>> for EndingClip<'a> {
    fn from(clip: Clip<'a>) -> Self {
        EndingClip { low: clip.low, high: clip.high, below: clip.below, above: clip.above }
    }
}

/// Where an operand's data is while a plan runs.
#[derive(Debug, Clone)]
pub enum Operand {
    /// A constant of the plan.
    Constant(Arc<Vec<f32>>),
    /// A part of the arena.
    Arena(Region),
}

/// Slices for [`Kernel::forward`].
#[allow(missing_debug_implementations)]
pub struct Forward<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) operands: &'a [Operand],
    /// The output, to be overwritten.
    pub output: &'a mut [f32],
    /// What backward will need, [`Kernel::saved_words`] words; empty when no gradient is wanted.
    pub saved: &'a mut [u32],
    /// The step's clamp, for kernels that apply it themselves.
    pub clip: Option<Clip<'a>>,
    /// The step's x·sigmoid(αx), for kernels that apply it themselves.
    pub swish: Option<EndingSwish<'a>>,
    /// Which operands lie inside the output already; they cannot be read.
    pub in_place: &'a [bool],
}

impl<'a> Forward<'a> {
    /// The data of operand `i`.
    pub fn input(&self, i: usize) -> &[f32] {
        read(&self.reader, &self.operands[i])
    }

    /// What the step does to the results of kernels over blocks.
    pub fn ending(&mut self) -> Ending<'a> {
        Ending { clip: self.clip.take().map(EndingClip::from), swish: self.swish.take(), ..Ending::default() }
    }

    /// The data of operand `i` beside the output to write.
    pub fn io(&mut self, i: usize) -> (&[f32], &mut [f32]) {
        (read(&self.reader, &self.operands[i]), self.output)
    }

    /// The data of two operands beside the output to write.
    pub fn io2(&mut self, i: usize, j: usize) -> (&[f32], &[f32], &mut [f32]) {
        (read(&self.reader, &self.operands[i]), read(&self.reader, &self.operands[j]), self.output)
    }
}

/// Slices for [`Kernel::backward`].
#[allow(missing_debug_implementations)]
pub struct Backward<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) operands: &'a [Operand],
    pub(crate) output: Region,
    pub(crate) output_gradient: Region,
    /// Which operand's gradient is wanted.
    pub operand: usize,
    /// That gradient.
    pub gradient: &'a mut [f32],
    /// Whether to add to `gradient` instead of overwriting it.
    pub accumulate: bool,
    /// What forward saved.
    pub saved: &'a [u32],
    /// For kernels that apply them ([`Kernel::applies_gates`]): masks that are to zero the finished gradient,
    /// those of the activation function of the step that computed the operand.
    pub gates: [Option<&'a [u32]>; 2],
    /// For the same kernels: slopes of that function, which the finished gradient is to be multiplied by.
    pub slopes: Option<&'a [f32]>,
}

impl<'a> Backward<'a> {
    /// The data of operand `i`; only if [`Kernel::backward_reads_inputs`].
    pub fn input(&self, i: usize) -> &[f32] {
        read(&self.reader, &self.operands[i])
    }

    /// What is to be done to the gradients of kernels over blocks.
    pub fn ending(&self) -> Ending<'a> {
        Ending { gates: self.gates, slopes: self.slopes, ..Ending::default() }
    }

    /// The output's gradient beside the gradient to write.
    pub fn io(&mut self) -> (&[f32], &mut [f32]) {
        (self.reader.read(self.output_gradient), self.gradient)
    }

    /// Operand `i`, the output's gradient, and the gradient to write.
    pub fn io_input(&mut self, i: usize) -> (&[f32], &[f32], &mut [f32]) {
        (read(&self.reader, &self.operands[i]), self.reader.read(self.output_gradient), self.gradient)
    }

    /// The output, its gradient, and the gradient to write; only if [`Kernel::backward_reads_output`].
    pub fn io_output(&mut self) -> (&[f32], &[f32], &mut [f32]) {
        (self.reader.read(self.output), self.reader.read(self.output_gradient), self.gradient)
    }
}

fn read<'a>(reader: &'a Reader<'_>, operand: &'a Operand) -> &'a [f32] {
    match operand {
        Operand::Constant(data) => data,
        Operand::Arena(region) => reader.read(*region),
    }
}

/// An operator that this runtime does not have; an error only if a target depends on it.
#[derive(Debug, Clone)]
pub struct Unsupported {
    /// Domain and operator type.
    pub op_type: String,
    /// Why, if it is a form of a known operator that is missing.
    pub why: Option<String>,
}

impl Operator for Unsupported {
    fn op_type(&self) -> &str {
        &self.op_type
    }

    fn infer(&self, _inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Err(OpError(self.why.clone().unwrap_or_else(|| "this operator is not supported".into())))
    }

    fn kernel(&self, _site: Site<'_>) -> Result<Built, OpError> {
        Err(OpError("this operator is not supported".into()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A possibly negative axis of a tensor of this rank.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, OpError> {
    let resolved = if axis < 0 { axis + rank as i64 } else { axis };
    if (0..rank as i64).contains(&resolved) {
        Ok(resolved as usize)
    } else {
        Err(OpError(format!("axis {axis} is outside a tensor of rank {rank}")))
    }
}

/// Writes `from` to `to`, or adds it.
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
