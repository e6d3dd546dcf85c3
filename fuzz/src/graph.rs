//! Makes small ONNX graphs from bytes: operators from a table, with any attributes, shapes and constants.
//! Random changes to a model file rarely give a valid model; here nearly every input does.

use crate::protobuf::{FLOAT, INT64, Value, attribute, message, model, node, tensor, value};

/// Operators with the attributes that they may get. An attribute's name may be followed by its type, if
/// another operator has an attribute of that name with another type.
#[rustfmt::skip]
const OPERATORS: &[(&str, &[&str])] = &[
    ("Conv", &["kernel_shape", "strides", "pads", "dilations", "group", "auto_pad"]),
    ("ConvTranspose", &["strides", "pads", "dilations", "group", "output_padding", "output_shape", "auto_pad"]),
    ("MaxPool", &["kernel_shape", "strides", "pads", "dilations", "ceil_mode", "auto_pad", "storage_order"]),
    ("AveragePool", &["kernel_shape", "strides", "pads", "dilations", "ceil_mode", "auto_pad", "count_include_pad"]),
    ("LpPool", &["kernel_shape", "strides", "pads", "dilations", "ceil_mode", "p"]),
    ("MaxUnpool", &["kernel_shape", "strides", "pads"]),
    ("GlobalAveragePool", &[]), ("GlobalMaxPool", &[]), ("GlobalLpPool", &["p"]),
    ("BatchNormalization", &["epsilon"]), ("InstanceNormalization", &["epsilon"]),
    ("LayerNormalization", &["axis", "epsilon"]), ("GroupNormalization", &["num_groups"]),
    ("RMSNormalization", &["axis"]), ("LpNormalization", &["axis", "p"]),
    ("LRN", &["size", "alpha", "beta", "bias"]),
    ("Relu", &[]), ("Clip", &["min", "max"]), ("LeakyRelu", &["alpha"]), ("PRelu", &[]), ("Elu", &["alpha"]),
    ("Selu", &[]), ("Celu", &["alpha"]), ("Sigmoid", &[]), ("HardSigmoid", &["alpha", "beta"]), ("HardSwish", &[]),
    ("Mish", &[]), ("Softplus", &[]), ("Softsign", &[]), ("Tanh", &[]), ("Erf", &[]), ("Gelu", &[]), ("Exp", &[]),
    ("Log", &[]), ("Sqrt", &[]), ("Abs", &[]), ("Neg", &[]), ("Reciprocal", &[]), ("Sin", &[]), ("Round", &[]),
    ("Softmax", &["axis"]), ("LogSoftmax", &["axis"]), ("Hardmax", &["axis"]),
    ("Add", &[]), ("Sub", &[]), ("Mul", &[]), ("Div", &[]), ("Pow", &[]), ("Mod", &["fmod"]),
    ("Min", &[]), ("Max", &[]), ("Mean", &[]), ("Sum", &[]), ("Where", &[]), ("Equal", &[]), ("Less", &[]),
    ("Greater", &[]), ("And", &[]), ("Not", &[]), ("IsNaN", &[]),
    ("Concat", &["axis"]), ("Split", &["axis", "split", "num_outputs"]), ("Slice", &["axes", "starts", "ends"]),
    ("Gather", &["axis"]), ("GatherElements", &["axis"]), ("GatherND", &["batch_dims"]),
    ("ScatterElements", &["axis", "reduction"]), ("ScatterND", &["reduction"]), ("Pad", &["mode", "pads", "value"]),
    ("Reshape", &["allowzero"]), ("Flatten", &["axis"]), ("Squeeze", &["axes"]), ("Unsqueeze", &["axes"]),
    ("Expand", &[]), ("Tile", &[]), ("Transpose", &["perm"]), ("DepthToSpace", &["blocksize", "mode"]),
    ("SpaceToDepth", &["blocksize"]), ("Trilu", &["upper"]), ("OneHot", &["axis"]),
    ("Resize", &["mode", "coordinate_transformation_mode", "nearest_mode", "antialias", "axes", "keep_aspect_ratio_policy"]),
    ("Upsample", &["mode", "scales"]),
    ("ReduceMean", &["axes", "keepdims"]), ("ReduceSum", &["axes", "keepdims"]), ("ReduceMax", &["axes", "keepdims"]),
    ("ReduceL1", &["axes", "keepdims"]), ("ReduceL2", &["axes", "keepdims"]), ("ReduceProd", &["axes", "keepdims"]),
    ("ReduceLogSumExp", &["axes", "keepdims"]), ("ArgMax", &["axis", "keepdims", "select_last_index"]),
    ("TopK", &["axis", "largest"]), ("CumSum", &["exclusive", "reverse"]),
    ("Gemm", &["alpha", "beta", "transA", "transB"]), ("MatMul", &[]), ("Einsum", &["equation"]),
    ("Identity", &[]), ("Dropout", &[]), ("Cast", &["to"]), ("CastLike", &[]), ("Shape", &["start", "end"]),
    ("Size", &[]), ("ConstantOfShape", &[]), ("Range", &[]),
    ("QuantizeLinear", &["axis", "block_size"]), ("DequantizeLinear", &["axis", "block_size"]),
    // New operators are appended, so that the corpus's bytes keep selecting the same operators.
    ("BatchNormalization", &["training_mode", "epsilon"]), ("ImageScaler", &["scale", "bias:floats"]),
    ("SimplifiedLayerNormalization", &["axis", "epsilon"]),
    ("com.microsoft.FusedConv", &["kernel_shape", "strides", "pads", "group", "activation", "activation_params"]),
    ("com.microsoft.FusedGemm", &["transA", "transB", "activation", "activation_alpha", "activation_beta"]),
    ("com.microsoft.FusedMatMul", &["transA", "transB", "alpha"]),
    ("com.microsoft.Gelu", &[]), ("com.microsoft.BiasGelu", &[]), ("com.microsoft.FastGelu", &[]),
    ("com.microsoft.QuickGelu", &["alpha"]), ("com.microsoft.BiasSoftmax", &["axis"]),
    ("com.microsoft.LayerNormalization", &["axis"]), ("com.microsoft.SkipLayerNormalization", &["epsilon"]),
    ("com.microsoft.SkipSimplifiedLayerNormalization", &["epsilon"]),
    ("com.microsoft.MultiHeadAttention", &["num_heads", "scale", "unidirectional"]),
    ("com.microsoft.Attention", &["num_heads", "qkv_hidden_sizes"]),
    ("com.microsoft.nchwc.Conv", &["kernel_shape", "strides", "pads", "group", "activation", "activation_params"]),
    ("com.microsoft.nchwc.MaxPool", &["kernel_shape", "strides", "pads"]),
    ("com.microsoft.nchwc.GlobalAveragePool", &[]), ("com.microsoft.nchwc.Upsample", &["scales:ints", "mode"]),
    ("com.microsoft.nchwc.ReorderInput", &["channels_last"]),
    ("com.microsoft.nchwc.ReorderOutput", &["channels", "channels_last"]),
];

/// Texts that attributes may have.
const TEXTS: &[&str] = &[
    "nearest",
    "linear",
    "cubic",
    "constant",
    "reflect",
    "edge",
    "wrap",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "DCR",
    "CRD",
    "half_pixel",
    "align_corners",
    "asymmetric",
    "pytorch_half_pixel",
    "tf_crop_and_resize",
    "floor",
    "ceil",
    "add",
    "mul",
    "max",
    "ij,jk->ik",
    "bchw,bchw->bc",
    "...ij->...ji",
    "ii->i",
    "not_larger",
    "",
    "Relu",
    "Clip",
    "HardSigmoid",
    "tf_half_pixel_for_nn",
];
/// Numbers at the limits of what operators accept.
const ODD_INTS: &[i64] =
    &[i64::MIN, i64::MAX, i32::MAX as i64, i32::MIN as i64, 1 << 24, 1 << 33, -2, 100, 1 << 62, 65_537];
const ODD_FLOATS: &[f32] =
    &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-42, -1.0, 1e10];

const MAX_NODES: usize = 6;
const OPSETS: &[u64] = &[7, 10, 11, 13, 17, 18, 21, 24];

/// A source of decisions: they are taken from the bytes, and are 0 when the bytes have run out.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                let byte = *first;
                self.0 = rest;
                byte
            }
            [] => 0,
        }
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Returns an integer that is usually small, and rarely an odd one.
    fn int(&mut self) -> i64 {
        match self.byte() {
            b @ 0..=231 => i64::from(b % 8) - 1 + i64::from(b < 8),
            _ => self.pick(ODD_INTS),
        }
    }

    fn float(&mut self) -> f32 {
        match self.byte() {
            b @ 0..=231 => f32::from(b) / 64.0 - 1.5,
            _ => self.pick(ODD_FLOATS),
        }
    }

    fn ints(&mut self, most: usize) -> Vec<i64> {
        (0..self.below(most + 1)).map(|_| self.int()).collect()
    }

    fn shape(&mut self) -> Vec<i64> {
        match self.below(4) {
            0 => (0..self.below(6)).map(|_| self.below(6) as i64).collect(),
            1 => vec![1, 1 + self.below(4) as i64],
            _ => vec![
                1 + self.below(2) as i64,
                1 + self.below(6) as i64,
                1 + self.below(9) as i64,
                1 + self.below(9) as i64,
            ],
        }
    }
}

/// Returns the ONNX file of the graph that these bytes describe.
pub fn onnx(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = Bytes(bytes);
    let opset = bytes.pick(OPSETS);
    let mut graph = vec![value(11, "x", Some(&bytes.shape()))];
    let mut known = vec!["x".to_owned()];
    if bytes.below(4) == 0 {
        graph.push(value(11, "z", Some(&bytes.shape())));
        known.push("z".to_owned());
    }
    let mut last = "x".to_owned();
    for n in 0..1 + bytes.below(MAX_NODES) {
        let (op, table) = OPERATORS[bytes.below(OPERATORS.len())];
        let mut inputs =
            vec![if bytes.below(4) == 0 { known[bytes.below(known.len())].clone() } else { last.clone() }];
        for i in 1..bytes.below(6) {
            let name = match bytes.below(8) {
                0 => String::new(),
                1 => known[bytes.below(known.len())].clone(),
                choice => {
                    let name = format!("c{n}.{i}");
                    graph.push(constant(&name, choice, &mut bytes));
                    known.push(name.clone());
                    name
                }
            };
            inputs.push(name);
        }
        if bytes.below(16) == 0 {
            inputs.swap_remove(0);
        }
        let attributes: Vec<Vec<u8>> = table
            .iter()
            .filter_map(|name| {
                if bytes.below(2) == 0 {
                    return None;
                }
                let bare = name.split(':').next().unwrap_or(name);
                Some(attribute(bare, &attribute_value(name, &mut bytes)))
            })
            .collect();
        let outputs: Vec<String> = (0..1 + bytes.below(8) / 6).map(|i| format!("v{n}.{i}")).collect();
        graph.push(node(op, &inputs, &outputs, &attributes));
        last.clone_from(&outputs[0]);
        known.extend(outputs);
    }
    graph.push(value(12, &last, None));
    if bytes.below(4) == 0 {
        let other = known[bytes.below(known.len())].clone();
        graph.push(value(12, &other, None));
    }
    model(&graph, opset)
}

fn attribute_value(name: &str, bytes: &mut Bytes<'_>) -> Value {
    match name {
        "kernel_shape" | "strides" | "dilations" if bytes.below(8) > 0 => {
            Value::Ints((0..2).map(|_| 1 + bytes.below(3) as i64).collect())
        }
        "pads" if bytes.below(8) > 0 => Value::Ints((0..4).map(|_| bytes.below(3) as i64).collect()),
        "kernel_shape" | "strides" | "dilations" | "pads" | "output_padding" | "output_shape" | "split"
        | "axes" | "starts" | "ends" | "perm" => Value::Ints(bytes.ints(5)),
        "mode"
        | "auto_pad"
        | "reduction"
        | "equation"
        | "coordinate_transformation_mode"
        | "nearest_mode"
        | "keep_aspect_ratio_policy" => Value::Text(bytes.pick(TEXTS)),
        "epsilon" | "alpha" | "beta" | "bias" | "min" | "max" | "value" => Value::Float(bytes.float()),
        "qkv_hidden_sizes" | "scales:ints" => Value::Ints(bytes.ints(4)),
        "activation" => Value::Text(bytes.pick(TEXTS)),
        "activation_params" | "bias:floats" => {
            Value::Floats((0..bytes.below(3)).map(|_| bytes.float()).collect())
        }
        "activation_alpha" | "activation_beta" | "scale" => Value::Float(bytes.float()),
        _ => Value::Int(bytes.int()),
    }
}

/// Returns a constant: floats, integers, or one whose shape does not fit its data.
fn constant(name: &str, choice: usize, bytes: &mut Bytes<'_>) -> Vec<u8> {
    if choice <= 3 {
        let values = bytes.ints(6);
        let raw: Vec<u8> = values.iter().flat_map(|n| n.to_le_bytes()).collect();
        let shape = match bytes.below(4) {
            0 if values.len() == 1 => vec![],
            1 => vec![values.len() as i64, 1],
            _ => vec![values.len() as i64],
        };
        return tensor(name, &shape, INT64, &raw);
    }
    let shape = bytes.shape();
    let count: i64 = shape.iter().product();
    let (first, slope) = (bytes.float(), bytes.float());
    let count = if bytes.below(64) == 63 { count + 1 } else { count };
    let raw: Vec<u8> = (0..count).flat_map(|i| (first + slope * i as f32).to_le_bytes()).collect();
    if choice == 7 && bytes.below(2) == 0 {
        // The constant is computed by a node, as some exporters do.
        let value = tensor("", &[1], FLOAT, &first.to_le_bytes());
        // The initializer's tag and length are removed; its content becomes the attribute's tensor.
        let content = &value[2..];
        let filled = message(
            5,
            &[crate::protobuf::text(1, "value"), message(5, content), crate::protobuf::number(20, 4)]
                .concat(),
        );
        let wanted: Vec<u8> = shape.iter().flat_map(|n| n.to_le_bytes()).collect();
        let from = format!("{name}.shape");
        return [
            tensor(&from, &[shape.len() as i64], INT64, &wanted),
            node("ConstantOfShape", &[from], &[name.to_owned()], &[filled]),
        ]
        .concat();
    }
    tensor(name, &shape, FLOAT, &raw)
}
