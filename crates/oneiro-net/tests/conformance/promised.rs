//! Lists of the operators that this crate promises, and of known exceptions.

/// Cases whose expected values this crate does not reproduce, each with the reason.
pub const EXCEPTIONS: &[(&str, &str)] = &[
    ("test_cast_FLOAT_to_BFLOAT16", ROUNDING),
    ("test_castlike_FLOAT_to_BFLOAT16", ROUNDING),
    ("test_castlike_FLOAT_to_BFLOAT16_expanded", ROUNDING),
    ("test_castlike_FLOAT_to_INT4", NARROW),
    ("test_castlike_FLOAT_to_UINT4", NARROW),
    ("test_castlike_FLOAT16_to_INT4", NARROW),
    ("test_castlike_FLOAT16_to_UINT4", NARROW),
    ("test_quantizelinear", UNROUNDED),
    ("test_quantizelinear_int16", UNROUNDED),
    ("test_quantizelinear_int4", UNROUNDED),
    ("test_quantizelinear_uint4", UNROUNDED),
    ("test_dynamicquantizelinear", UNROUNDED),
    ("test_resize_downsample_scales_cubic_align_corners", CORNERS),
    ("test_resize_downsample_scales_linear_align_corners", CORNERS),
    ("test_dynamicquantizelinear_max_adjusted", UNROUNDED),
    ("test_dynamicquantizelinear_min_adjusted", UNROUNDED),
    ("test_qlinearmatmul_2D_int8_float16", WRAPPED),
    ("test_qlinearmatmul_2D_int8_float32", WRAPPED),
    ("test_qlinearmatmul_3D_int8_float16", WRAPPED),
    ("test_qlinearmatmul_3D_int8_float32", WRAPPED),
];

const ROUNDING: &str = "a cast to a narrower float type does not round";
const NARROW: &str = "all integer types compute in 64 bits, so a cast to a narrower one does not wrap around";
const CORNERS: &str = "aligned corners by a scale: those of the output, as PyTorch and ONNX Runtime have it";
const UNROUNDED: &str =
    "data are quantized without rounding, and a scale of the data is 1: what they stand for is the same";
const WRAPPED: &str = "the stored result wraps around where it leaves the range; quantization saturates";

/// The operators that this crate promises, by theme. Every case of them must pass, including expanded cases,
/// which write the operator as a graph of other operators.
#[rustfmt::skip]
pub const PROMISED: &[(&str, &[&str])] = &[
    ("convolution", &["Conv", "ConvTranspose"]),
    (
        "pooling",
        &[
            "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool",
            "MaxUnpool",
        ],
    ),
    (
        "normalization",
        &[
            "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization",
            "RMSNormalization", "LpNormalization", "MeanVarianceNormalization", "LRN",
        ],
    ),
    (
        "activation",
        &[
            "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish",
            "Swish", "Mish", "Softplus", "Softsign", "Tanh", "Erf", "Gelu", "Shrink", "ThresholdedRelu",
            "Softmax", "LogSoftmax", "Hardmax",
        ],
    ),
    (
        "function",
        &[
            "Exp", "Log", "Sqrt", "Pow", "Abs", "Neg", "Reciprocal", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Asin",
            "Acos", "Atan", "Asinh", "Acosh", "Atanh", "Round", "Floor", "Ceil", "Sign", "Mod",
        ],
    ),
    ("arithmetic", &["Add", "Sub", "Mul", "Div", "Min", "Max", "Mean", "Sum"]),
    (
        "logic",
        &[
            "Where", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Not", "And", "Or", "Xor",
            "IsNaN", "IsInf", "If",
        ],
    ),
    (
        "movement",
        &[
            "Concat", "Split", "Slice", "Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND",
            "Pad", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile", "Transpose", "DepthToSpace",
            "SpaceToDepth", "Trilu", "OneHot",
        ],
    ),
    ("resampling", &["Resize", "Upsample", "GridSample", "AffineGrid", "CenterCropPad"]),
    ("attention", &["Attention", "RotaryEmbedding"]),
    (
        "reduction",
        &[
            "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd",
            "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "ArgMax", "ArgMin", "TopK", "CumSum",
        ],
    ),
    ("product", &["Gemm", "MatMul", "Einsum"]),
    (
        "constant",
        &["Dropout", "Identity", "Cast", "CastLike", "Constant", "ConstantOfShape", "Range", "Shape", "Size"],
    ),
];

/// Why a case of a promised operator may fail: a part of the case's name, a part of the refusal, the reason.
pub const OUT_OF_SCOPE: &[(&str, &str, &str)] = &[
    ("", "element type FLOAT8", "8-bit floats"),
    ("", "element type FLOAT4", "4-bit floats"),
    ("", "element type 22", "casts to 4-bit integers"),
    ("", "element type 21", "casts to 4-bit integers"),
    ("", "element type INT2", "2-bit integers"),
    ("", "element type UINT2", "2-bit integers"),
    ("", "element type STRING", "strings"),
    ("identity_sequence", "", "sequences"),
    ("identity_opt", "", "optional values"),
    ("if_seq", "", "sequences"),
    ("if_opt", "", "optional values"),
    ("training_mode", "nothing computes", "training: running statistics as results"),
    ("", "training_mode = 1", "training: random masks"),
    ("test_range_", "operator Loop", "the operator itself passes; loops as a graph are not read"),
];
