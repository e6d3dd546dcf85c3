//! The interface of operators: attributes, the questions that they answer, and the kernel that they make.

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

/// Positions of an operand that an output position reads; for receptive fields.
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

/// Facts and settings that an operator makes a kernel for.
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

/// Normalizations, by the axes of their statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalization {
    /// Constant statistics of the training data, one a channel.
    Batch,
    /// A channel of an entry.
    Instance,
    /// A group of channels of an entry.
    Group,
    /// The last axes.
    Layer,
    /// The last axes, without a mean.
    RootMeanSquare,
}

/// Computation of a node.
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

    /// The kernel for operands and a result in blocks of channels (`Layout::Blocked`), if there is one.
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

    /// Whether each batch entry of a result (along axis 0) depends only on the same entry of the operands
    /// (`ops/batch_independence.rs`). Constants count as equal for all entries. Where that is not known, it
    /// does not.
    fn by_entry(&self, site: Site<'_>) -> bool {
        self.by_element() && batch_independence::aligned(site)
    }

    /// Meaning of the axes of output `index`, given those of the inputs ([`crate::axes`]); `None` where that
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

    /// The receptive field of an output position in input 0.
    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Point
    }

    /// The receptive field of a position of output `index` in an operand.
    fn reach_of(&self, inputs: Facts<'_>, _operand: usize, _index: usize) -> Reach {
        self.reach(inputs)
    }

    /// The axes of an operand that a product sums over; `None` if the operator is no product.
    fn sums_along(&self, _inputs: Facts<'_>, _operand: usize) -> Option<Vec<usize>> {
        None
    }

    /// Whether this runtime has the operator.
    fn is_supported(&self) -> bool {
        true
    }

    /// The activation function that the operator is in itself: its kernel copies, the step's epilogue
    /// computes.
    fn epilogue(&self, _inputs: Facts<'_>) -> Result<Option<EpilogueFunction>, OpError> {
        Ok(None)
    }

    /// For a choice between inputs by a constant: the inputs chosen, of all behind input 0.
    fn chosen_inputs(&self, _inputs: Facts<'_>) -> Result<Option<Range<usize>>, OpError> {
        Ok(None)
    }

    /// How its constants belong to the channels of its result.
    fn weight_form(&self) -> Option<WeightForm> {
        None
    }

    /// Whether a constant operand may repeat one number to any size, as weights: the shape rule never reads
    /// it.
    fn takes_large_constants(&self) -> bool {
        false
    }

    /// Whether input 0 has a batch on axis 0, channels on axis 1 and positions behind.
    fn reads_channels_first(&self) -> bool {
        false
    }

    /// Whether integers that state nothing but the result's shape may differ between the whole batch and a
    /// part.
    fn states_shape_only(&self, _whole: &[i64], _part: &[i64]) -> bool {
        false
    }

    /// Whether it computes shapes, constants or element types, never a layer that somebody means by a name.
    fn is_bookkeeping(&self) -> bool {
        false
    }

    /// Whether it is an activation function.
    fn is_activation(&self) -> bool {
        false
    }

    /// Whether rules for the gradients of ReLUs ([`crate::ReluRule`]) apply.
    fn obeys_relu_rule(&self) -> bool {
        false
    }

    /// The normalization that it is.
    fn normalization(&self) -> Option<Normalization> {
        None
    }

    /// Whether it adds its operands.
    fn is_sum(&self) -> bool {
        false
    }

    /// Whether it puts its operands side by side along an axis.
    fn concatenates(&self) -> bool {
        false
    }

    /// Whether it reduces whole axes to one number.
    fn reduces_axes(&self) -> bool {
        false
    }

    /// Whether each element of the result is one of input 0, at another place.
    fn picks_elements(&self) -> bool {
        false
    }

    /// Whether the result has the numbers of input 0, in another shape, order or format.
    fn keeps_numbers(&self) -> bool {
        false
    }

    /// Whether input 0 holds integers that stand for real numbers.
    fn decodes_integers(&self) -> bool {
        false
    }

    /// Slope and offset of max(0, min(1, slope·x + offset)).
    fn hard_sigmoid(&self) -> Option<(f32, f32)> {
        None
    }

    /// The axes of extent 1 that it adds, as an attribute; `Some(None)` if input 1 says them.
    fn unsqueezed_axes(&self) -> Option<Option<&[i64]>> {
        None
    }

    /// The order into which it brings the axes, as an attribute.
    fn permutation(&self) -> Option<&[usize]> {
        None
    }

    /// This operator as its own type, for passes over operators of one family.
    fn as_any(&self) -> &dyn Any;
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
        Err(OpError::Refused(self.why.clone().unwrap_or_else(|| "this operator is not supported".into())))
    }

    fn kernel(&self, _site: Site<'_>) -> Result<Built, OpError> {
        Err(OpError::Refused("this operator is not supported".into()))
    }

    fn is_supported(&self) -> bool {
        false
    }

    // A form that is not supported still has its operator's place among layers and axes.
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
