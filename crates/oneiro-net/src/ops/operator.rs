//! The interface of operators: attributes, questions about the operator, and the kernel that it creates.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::blocked::{BLOCK, blocks_of};
use crate::kernels::{EpilogueFunction, Isa};
use crate::ops::batch_independence;
use crate::ops::facts::{Fact, Facts};
use crate::ops::kernel::Kernel;
use crate::ops::weight_form::WeightForm;
use crate::reads::Reads;
use crate::tensor::Tensor;

/// Positions of an operand that an output position reads; used for receptive fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Each position reads the same position, according to the axes.
    Point,
    /// Along these axes of operand and output, each position reads an interval. Along the others it reads the
    /// same position.
    Axes(Vec<(usize, Reads)>),
    /// The result has the operand's elements in another shape. Spatial positions are kept as far as the axes
    /// allow.
    Regroup,
    /// Every position reads all positions (global pooling, attention).
    Whole,
    /// No positions are read: the result does not depend on the data.
    Nothing,
}

/// Facts and settings for which an operator creates a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Element types, shapes and constant contents of the node's inputs.
    pub inputs: Facts<'a>,
    /// Element type and shape of the requested output.
    pub output: &'a Fact,
    /// Index of the requested output among the node's outputs.
    pub output_index: usize,
    /// Instruction set for which kernels are chosen.
    pub isa: Isa,
    /// Whether the kernel must compute gradients.
    pub gradients: bool,
}

/// How a value's elements are ordered in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Elements are in the order of the axes.
    Plain,
    /// Elements are in blocks of 16 channels, `[⌈C / 16⌉][N][positions][16]` ([`crate::kernels::blocked`]).
    Blocked,
}

impl Layout {
    /// Returns the shape of the elements in memory. Blocks need a batch and a channel axis.
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

/// A kernel, and the indices of the node inputs that are its operands. Other inputs (weights, axes) are part
/// of the kernel itself.
#[derive(Debug)]
pub struct Built {
    /// The kernel that computes the operator.
    pub kernel: Box<dyn Kernel>,
    /// Indices of the node inputs that the kernel reads when it runs.
    pub operands: Vec<usize>,
    /// The layout of the operands for a kernel whose result is in blocks.
    pub operand_layout: Layout,
}

impl Built {
    /// A kernel whose operands are some of the inputs.
    pub fn over(kernel: impl Kernel + 'static, operands: Vec<usize>) -> Self {
        Self { kernel: Box::new(kernel), operands, operand_layout: Layout::Blocked }
    }

    /// A kernel whose operands are the first `n` inputs.
    pub fn new(kernel: impl Kernel + 'static, n: usize) -> Self {
        Self::over(kernel, (0..n).collect())
    }
}

/// Normalizations, distinguished by the axes over which statistics are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalization {
    /// Constant statistics of the training data, for each channel.
    Batch,
    /// Statistics of one channel of a batch entry.
    Instance,
    /// Statistics of a group of channels of a batch entry.
    Group,
    /// Statistics over the last axes of a batch entry.
    Layer,
    /// The root mean square over the last axes, without subtracting a mean.
    RootMeanSquare,
}

/// What a node computes: an operator of ONNX with its attributes.
pub trait Operator: Debug + Send + Sync + Any {
    /// ONNX's name of the operator.
    fn op_type(&self) -> &str;

    /// Returns element types and shapes of the outputs. Also returns their content if shapes alone determine
    /// it.
    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError>;

    /// Evaluates the operator on constant inputs. `None` means that the kernel computes the result.
    fn evaluate(&self, _inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        Ok(None)
    }

    /// Returns the kernel that computes an output at these shapes.
    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError>;

    /// Returns the kernel for operands and a result in blocks of channels (`Layout::Blocked`), if there is
    /// one.
    fn blocked(&self, _site: Site<'_>) -> Result<Option<Built>, OpError> {
        Ok(None)
    }

    /// Whether reordering the operands into blocks is worthwhile for this operator.
    fn wants_blocks(&self) -> bool {
        false
    }

    /// Whether each element of the result depends only on the operands' elements at the same place. The
    /// kernel then works in any layout that the operands share.
    fn by_element(&self) -> bool {
        false
    }

    /// Whether each batch entry of a result (along axis 0) depends only on the same entry of the operands
    /// (`ops/batch_independence.rs`). Constants count as equal for all entries. `false` if it is not known.
    fn by_entry(&self, site: Site<'_>) -> bool {
        self.by_element() && batch_independence::aligned(site)
    }

    /// Returns the meaning of the axes of output `index`, given the axes of the inputs ([`crate::axes`]).
    /// Returns `None` if it is unknown.
    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        if self.by_element() { sources.broadcast(&output.shape) } else { None }
    }

    /// Returns the axes of input 0 along which elements of the result depend on several elements of the
    /// operands. The result keeps these axes.
    fn mixes_along(&self, _inputs: Facts<'_>) -> Vec<usize> {
        Vec::new()
    }

    /// Multiplications and additions of one forward pass, counted as for the direct algorithm. Zero for
    /// operators that only move data or are cheap compared with a convolution.
    fn flops(&self, _inputs: Facts<'_>, _output: &Fact) -> u64 {
        0
    }

    /// Whether output 0 is input 0 under another shape, so that no data has to be moved.
    fn is_view(&self) -> bool {
        false
    }

    /// Whether integers that depend on the data are exact in f32: positions below `EXACT_INTEGERS`, or
    /// integers that are only moved. Other integers are refused.
    fn carries_integers(&self) -> bool {
        false
    }

    /// Whether inputs may have unknown shapes, because the operator may not need them.
    fn may_ignore_inputs(&self) -> bool {
        false
    }

    /// Returns the positions of input 0 that an output position reads.
    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Point
    }

    /// Returns the positions of an operand that a position of output `index` reads.
    fn reach_of(&self, inputs: Facts<'_>, _operand: usize, _index: usize) -> Reach {
        self.reach(inputs)
    }

    /// Returns the axes of an operand over which a product sums, or `None` if the operator is no product.
    fn sums_along(&self, _inputs: Facts<'_>, _operand: usize) -> Option<Vec<usize>> {
        None
    }

    /// Whether this runtime supports the operator.
    fn is_supported(&self) -> bool {
        true
    }

    /// Returns the activation function if the operator is one. Its kernel then only copies, and the step's
    /// epilogue computes the function.
    fn epilogue(&self, _inputs: Facts<'_>) -> Result<Option<EpilogueFunction>, OpError> {
        Ok(None)
    }

    /// For a choice by a constant: returns the range of chosen inputs, counted after input 0.
    fn chosen_inputs(&self, _inputs: Facts<'_>) -> Result<Option<Range<usize>>, OpError> {
        Ok(None)
    }

    /// Returns how the constants belong to the channels of the result.
    fn weight_form(&self) -> Option<WeightForm> {
        None
    }

    /// Whether a constant operand may repeat one number to any size, as weights may. The shape rule never
    /// reads its elements.
    fn takes_large_constants(&self) -> bool {
        false
    }

    /// Whether input 0 has its batch on axis 0, channels on axis 1 and positions after them.
    fn reads_channels_first(&self) -> bool {
        false
    }

    /// Whether integers that describe only the result's shape may differ between the whole batch and a part.
    fn states_shape_only(&self, _whole: &[i64], _part: &[i64]) -> bool {
        false
    }

    /// Whether the operator computes shapes, constants or element types. No layer name refers to such a
    /// value.
    fn is_bookkeeping(&self) -> bool {
        false
    }

    /// Whether the operator is an activation function.
    fn is_activation(&self) -> bool {
        false
    }

    /// Whether rules for the gradients of ReLUs ([`crate::ReluRule`]) apply.
    fn obeys_relu_rule(&self) -> bool {
        false
    }

    /// Returns which normalization the operator is, if it is one.
    fn normalization(&self) -> Option<Normalization> {
        None
    }

    /// Whether the operator adds its operands.
    fn is_sum(&self) -> bool {
        false
    }

    /// Whether the operator concatenates its operands.
    fn concatenates(&self) -> bool {
        false
    }

    /// Whether the operator reduces whole axes to one number.
    fn reduces_axes(&self) -> bool {
        false
    }

    /// Whether each element of the result is an element of input 0, possibly at another place.
    fn picks_elements(&self) -> bool {
        false
    }

    /// Whether the result has the elements of input 0 in another shape, order or format.
    fn keeps_numbers(&self) -> bool {
        false
    }

    /// Whether input 0 holds integers that stand for real numbers.
    fn decodes_integers(&self) -> bool {
        false
    }

    /// Returns slope and offset of max(0, min(1, slope·x + offset)), if this is the operator's function.
    fn hard_sigmoid(&self) -> Option<(f32, f32)> {
        None
    }

    /// Returns the axes of extent 1 that the operator adds, if they are an attribute. Returns `Some(None)` if
    /// input 1 gives them.
    fn unsqueezed_axes(&self) -> Option<Option<&[i64]>> {
        None
    }

    /// Returns the permutation of axes, if the operator is one and has it as an attribute.
    fn permutation(&self) -> Option<&[usize]> {
        None
    }

    /// Returns this operator as an `Any`, so that passes can test for its type.
    fn as_any(&self) -> &dyn Any;
}

/// An operator that this runtime does not support. It is an error only if a target depends on it.
#[derive(Debug, Clone)]
pub struct Unsupported {
    /// ONNX's name of the operator, with its domain.
    pub op_type: String,
    /// The reason, if only this form of a known operator is not supported.
    pub why: Option<String>,
}

impl Operator for Unsupported {
    fn op_type(&self) -> &str {
        &self.op_type
    }

    fn infer(&self, _inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Err(OpError::Refused(self.why.clone().unwrap_or_else(|| "this operator is not supported".into())))
    }

    fn kernel(&self, _site: Site<'_>) -> Result<Built, OpError> {
        Err(OpError::Refused("this operator is not supported".into()))
    }

    fn is_supported(&self) -> bool {
        false
    }

    // An unsupported form of a known operator still counts as that operator for layers and axes.
    fn reads_channels_first(&self) -> bool {
        matches!(self.op_type.as_str(), "Conv" | "ConvTranspose")
    }

    fn is_bookkeeping(&self) -> bool {
        let kinds = ["Constant", "Shape", "Size", "ConstantOfShape", "Range", "Cast", "CastLike"];
        kinds.contains(&self.op_type.as_str())
    }

    fn keeps_numbers(&self) -> bool {
        let kinds = ["Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"];
        let coded = ["QuantizeLinear", "DequantizeLinear", "Identity", "Dropout"];
        kinds.iter().chain(&coded).any(|kind| *kind == self.op_type)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
