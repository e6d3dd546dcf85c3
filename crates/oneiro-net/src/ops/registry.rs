//! The table from ONNX's operator names to operators.

use std::sync::Arc;

use crate::error::OpError;
use crate::ops::{
    Attributes, Operator, Unsupported,
    array::{center_crop, concat, constant, gather, layout, one_hot, scatter, select, view},
    cnn::{
        affine_grid, batch_norm, conv, conv_transpose, grid_sample, lp_pool, lrn, norm, pool, resample,
        unpool,
    },
    math::{binary, logic, lp_norm, quantize, reduce, unary, variadic},
    nn::{activation, attention_mask, einsum, gemm, softmax},
};

/// Returns the operator of a node of the default ONNX domain. Unknown operators become [`Unsupported`].
pub fn build(op_type: &str, attributes: &Attributes<'_>) -> Arc<dyn Operator> {
    let built: Result<Arc<dyn Operator>, OpError> = match op_type {
        "Conv" => conv::read(attributes),
        "BatchNormalization" => batch_norm::read(attributes),
        "Relu" | "Clip" => activation::read(op_type, attributes),
        "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => pool::read(op_type, attributes),
        "DepthToSpace" | "SpaceToDepth" | "GatherElements" | "GatherND" | "Trilu" => {
            gather::read(op_type, attributes)
        }
        "ScatterElements" | "Scatter" | "ScatterND" => scatter::read(op_type, attributes),
        "OneHot" => one_hot::read(attributes),
        "MaskedScores" => attention_mask::read(attributes),
        "GridSample" => grid_sample::read(attributes),
        "AffineGrid" => affine_grid::read(attributes),
        "CenterCropPad" => center_crop::read(attributes),
        "MaxUnpool" => unpool::read(attributes),
        "QuantizeLinear" | "DequantizeLinear" => quantize::read(op_type, attributes),
        "ArgMax" | "ArgMin" | "TopK" | "Hardmax" => select::read(op_type, attributes),
        "LpPool" | "GlobalLpPool" => lp_pool::read(op_type, attributes),
        "Einsum" => einsum::read(attributes),
        "LpNormalization" => lp_norm::read(attributes),
        "LRN" => lrn::read(attributes),
        "Sum" | "Mean" | "Min" | "Max" => variadic::read(op_type, attributes),
        "ConvTranspose" => conv_transpose::read(attributes),
        "Resize" | "Upsample" | "CumSum" => resample::read(op_type, attributes),
        "InstanceNormalization" | "GroupNormalization" | "LayerNormalization" | "RMSNormalization" => {
            norm::read(op_type, attributes)
        }
        name if name.starts_with("Reduce") => reduce::read(op_type, attributes),
        "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or" | "Xor" | "Not"
        | "IsNaN" | "IsInf" | "Where" => logic::read(op_type, attributes),
        "Gemm" | "MatMul" => gemm::read(op_type, attributes),
        "Softmax" | "LogSoftmax" => softmax::read(op_type, attributes),
        "Concat" => concat::read(attributes),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "PRelu" => binary::read(op_type, attributes),
        "Slice" | "Transpose" | "Expand" | "Gather" | "Pad" | "Split" | "Tile" => {
            layout::read(op_type, attributes)
        }
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Identity" | "Dropout" | "Cast" | "CastLike" => {
            view::read(op_type, attributes)
        }
        "Bernoulli" | "Multinomial" | "RandomNormal" | "RandomNormalLike" | "RandomUniform"
        | "RandomUniformLike" => {
            Err("its result is random, a frozen network's is not: export it in evaluation mode".into())
        }
        "Shape" | "Size" | "Constant" | "ConstantOfShape" | "Range" => constant::read(op_type, attributes),
        _ => match unary::read(op_type, attributes) {
            Some(built) => built,
            None => Ok(Arc::new(Unsupported { op_type: op_type.to_owned(), why: None })),
        },
    };
    built.unwrap_or_else(|why| {
        Arc::new(Unsupported { op_type: op_type.to_owned(), why: Some(why.into_reason()) })
            as Arc<dyn Operator>
    })
}
