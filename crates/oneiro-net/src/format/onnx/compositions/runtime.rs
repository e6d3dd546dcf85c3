//! Operators that ONNX Runtime writes into the files that it optimizes (domain `com.microsoft`). Examples are
//! a convolution or product with an activation function, a sum before a normalization, and attention with
//! packed operands. Their definition is `docs/ContribOperators.md` of ONNX Runtime.

use super::{Body, attribute, given, int, names};
use crate::format::onnx::proto::attribute_proto::AttributeType;
use crate::format::onnx::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto};

/// The version of the default operator set for the functions in this file.
const OPSET: i64 = 21;
/// The last operator-set version in which `Softmax` flattens the axes from `axis` on.
const OPSET_OF_FLAT_SOFTMAX: i64 = 12;
/// Operators that also exist in the default domain.
const STANDARD: &[&str] =
    &["Gelu", "LayerNormalization", "SimplifiedLayerNormalization", "GridSample", "Trilu"];
/// The default α of x·sigmoid(αx).
const QUICK_GELU_ALPHA: f32 = 1.702;

/// Returns the function that a node of ONNX Runtime calls, if it has a supported form.
pub(super) fn of(node: &NodeProto) -> Option<FunctionProto> {
    let mut b = Body(Vec::new());
    let mut opset = OPSET;
    let mut outputs = vec!["Y"];
    let inputs: &[&str] = match node.op_type() {
        "FusedConv" => {
            fused_conv(&mut b, node)?;
            &["X", "W", "B", "Z"]
        }
        "FusedGemm" => {
            fused_gemm(&mut b, node)?;
            &["A", "B", "C"]
        }
        "FusedMatMul" => {
            fused_matmul(&mut b, node)?;
            &["A", "B"]
        }
        "BiasGelu" => {
            b.add("Add", &["A", "B"], "sum");
            b.last("Gelu", &["sum"], &[]);
            &["A", "B"]
        }
        "FastGelu" => {
            let x = if given(&node.input, 1) { b.add("Add", &["A", "B"], "sum") } else { "A" };
            b.last("Gelu", &[x], &[text("approximate", "tanh")]);
            &["A", "B"]
        }
        "QuickGelu" => {
            let alpha = attribute(node, "alpha").map_or(QUICK_GELU_ALPHA, AttributeProto::f);
            b.last("Swish", &["X"], &[float("alpha", alpha)]);
            &["X"]
        }
        "BiasSoftmax" => {
            opset = OPSET_OF_FLAT_SOFTMAX;
            b.add("Add", &["A", "B"], "sum");
            b.last("Softmax", &["sum"], &[integer("axis", attribute(node, "axis").map_or(1, |a| a.i()))]);
            &["A", "B"]
        }
        "SkipLayerNormalization" => {
            outputs = vec!["Y", "mean", "deviation", "sum"];
            skip_norm(&mut b, node, "LayerNormalization", 4);
            &["X", "skip", "gamma", "beta", "bias"]
        }
        "SkipSimplifiedLayerNormalization" => {
            outputs = vec!["Y", "mean", "deviation", "sum"];
            skip_norm(&mut b, node, "RMSNormalization", 3);
            &["X", "skip", "gamma", "bias"]
        }
        "MultiHeadAttention" => {
            multi_head_attention(&mut b, node)?;
            &["Q", "K", "V", "bias", "padding", "mask"]
        }
        "Attention" => {
            packed_attention(&mut b, node)?;
            &["X", "W", "bias", "lengths", "past", "mask"]
        }
        standard if STANDARD.contains(&standard) => {
            let (inputs, results) = (node.input.clone(), node.output.clone());
            let op = if standard == "SimplifiedLayerNormalization" { "RMSNormalization" } else { standard };
            let node = NodeProto { op_type: Some(op.into()), name: None, domain: None, ..node.clone() };
            return Some(function(inputs, results, vec![node], OPSET));
        }
        _ => return None,
    };
    // A node with more results than the function computes is refused.
    if (outputs.len()..node.output.len()).any(|i| given(&node.output, i)) {
        return None;
    }
    Some(function(names(inputs), names(&outputs), b.0, opset))
}

/// `SimplifiedLayerNormalization`: x/√(mean(x²) + ε)·scale. ONNX Runtime writes it into the default domain.
pub(super) fn simplified_norm(node: &NodeProto) -> FunctionProto {
    let inner = NodeProto { op_type: Some("RMSNormalization".into()), name: None, ..node.clone() };
    function(node.input.clone(), node.output.clone(), vec![inner], OPSET)
}

/// `ImageScaler`, an experimental operator before ONNX 1.5: scale·x plus a bias for each channel.
pub(super) fn image_scaler(node: &NodeProto) -> Option<FunctionProto> {
    let scale = attribute(node, "scale").map_or(1.0, AttributeProto::f);
    let bias = attribute(node, "bias")?.floats.clone();
    let channels = bias.len();
    let mut b = Body(Vec::new());
    // A batch normalization with mean 0 and variance 1, which refuses any other number of channels.
    b.numbers("scale", vec![scale; channels]);
    b.numbers("bias", bias);
    b.numbers("mean", vec![0.0; channels]);
    b.numbers("variance", vec![1.0; channels]);
    b.last("BatchNormalization", &["X", "scale", "bias", "mean", "variance"], &[float("epsilon", 0.0)]);
    Some(function(names(&["X"]), names(&["Y"]), b.0, OPSET))
}

pub(super) fn function(
    input: Vec<String>,
    output: Vec<String>,
    node: Vec<NodeProto>,
    opset: i64,
) -> FunctionProto {
    let import = OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) };
    FunctionProto { input, output, node, opset_import: vec![import], ..Default::default() }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Float as i32),
        f: Some(value),
        ..Default::default()
    }
}

pub(super) fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..Default::default()
    }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::String as i32),
        s: Some(value.as_bytes().to_vec()),
        ..Default::default()
    }
}

/// Returns the attributes of the operator itself, without those of its activation function.
fn own_attributes(node: &NodeProto) -> Vec<AttributeProto> {
    node.attribute.iter().filter(|a| !a.name().starts_with("activation")).cloned().collect()
}

/// Adds a convolution of `X` with the filters `weights`, then the sum and the activation function that `node`
/// asks for. `weights` is an input of the function or a value computed in it.
pub(super) fn convolution(b: &mut Body, node: &NodeProto, weights: &str) -> Option<()> {
    let bias = if given(&node.input, 2) { "B" } else { "" };
    let inputs = ["X", weights, bias];
    let inputs = if bias.is_empty() { &inputs[..2] } else { &inputs[..] };
    let function = attribute(node, "activation").map(|a| String::from_utf8_lossy(a.s()).into_owned());
    let function = function.filter(|f| !f.is_empty());
    let sum = given(&node.input, 3);
    let attributes = own_attributes(node);
    if !sum && function.is_none() {
        b.last("Conv", inputs, &attributes);
        return Some(());
    }
    b.with("Conv", inputs, "conv", &attributes);
    let before = match (sum, &function) {
        (true, None) => {
            b.last("Add", &["conv", "Z"], &[]);
            return Some(());
        }
        (true, Some(_)) => b.add("Add", &["conv", "Z"], "sum"),
        (false, _) => "conv",
    };
    let parameters = attribute(node, "activation_params").map_or(&[][..], |a| &a.floats);
    activation(b, &function?, parameters, before)
}

/// Adds the activation function of this name; its result is the function's result.
fn activation(b: &mut Body, name: &str, parameters: &[f32], x: &str) -> Option<()> {
    let at = |i: usize| parameters.get(i).copied();
    match name {
        "Relu" | "Tanh" | "Sigmoid" | "HardSwish" | "Gelu" | "Softplus" | "Softsign" => {
            b.last(name, &[x], &[]);
        }
        "LeakyRelu" => b.last(name, &[x], &[float("alpha", at(0).unwrap_or(0.01))]),
        "Elu" => b.last(name, &[x], &[float("alpha", at(0).unwrap_or(1.0))]),
        "ThresholdedRelu" => b.last(name, &[x], &[float("alpha", at(0).unwrap_or(1.0))]),
        "HardSigmoid" => {
            let values = [float("alpha", at(0).unwrap_or(0.2)), float("beta", at(1).unwrap_or(0.5))];
            b.last(name, &[x], &values);
        }
        "Clip" => {
            b.number("low", at(0)?);
            b.number("high", at(1)?);
            b.last(name, &[x, "low", "high"], &[]);
        }
        _ => return None,
    }
    Some(())
}

fn fused_conv(b: &mut Body, node: &NodeProto) -> Option<()> {
    convolution(b, node, "W")
}

fn fused_gemm(b: &mut Body, node: &NodeProto) -> Option<()> {
    let inputs: &[&str] = if given(&node.input, 2) { &["A", "B", "C"] } else { &["A", "B"] };
    let name = attribute(node, "activation").map(|a| String::from_utf8_lossy(a.s()).into_owned());
    let Some(name) = name.filter(|n| !n.is_empty()) else {
        b.last("Gemm", inputs, &own_attributes(node));
        return Some(());
    };
    b.with("Gemm", inputs, "product", &own_attributes(node));
    let parameter = |name: &str| attribute(node, name).map(AttributeProto::f);
    let parameters: Vec<f32> =
        ["activation_alpha", "activation_beta"].into_iter().map_while(parameter).collect();
    activation(b, &name, &parameters, "product")
}

/// Adds α·A·B, with each operand transposed in its last two axes if required.
fn fused_matmul(b: &mut Body, node: &NodeProto) -> Option<()> {
    if int(node, "transBatchA") != 0 || int(node, "transBatchB") != 0 {
        return None;
    }
    let mut operand = |name: &'static str, flag: &str, turned: &'static str| {
        if int(node, flag) == 0 {
            return name;
        }
        b.with("Einsum", &[name], turned, &[text("equation", "...ij->...ji")])
    };
    let factors = [operand("A", "transA", "A_turned"), operand("B", "transB", "B_turned")];
    match attribute(node, "alpha").map_or(1.0, AttributeProto::f) {
        1.0 => b.last("MatMul", &factors, &[]),
        alpha => {
            b.add("MatMul", &factors, "product");
            b.number("alpha", alpha);
            b.last("Mul", &["product", "alpha"], &[]);
        }
    }
    Some(())
}

/// Adds a normalization of X + skip (+ bias) over the last axis.
fn skip_norm(b: &mut Body, node: &NodeProto, op: &str, bias: usize) {
    if given(&node.input, bias) {
        b.add("Add", &["X", "skip"], "without_bias");
        b.add("Add", &["without_bias", "bias"], "sum");
    } else {
        b.add("Add", &["X", "skip"], "sum");
    }
    let beta = op == "LayerNormalization" && given(&node.input, 3);
    let inputs: &[&str] = if beta { &["sum", "gamma", "beta"] } else { &["sum", "gamma"] };
    // Without the attribute, ONNX Runtime takes this epsilon.
    let epsilon = attribute(node, "epsilon").map_or(1e-12, AttributeProto::f);
    b.last(op, inputs, &[float("epsilon", epsilon), integer("axis", -1)]);
    let asked = [given(&node.output, 1), given(&node.output, 2)];
    if op == "LayerNormalization"
        && asked.contains(&true)
        && let Some(norm) = b.0.last_mut()
    {
        norm.output.extend(["mean".to_owned(), "deviation".to_owned()]);
    }
}

/// Adds softmax(scale·Q·Kᵀ + mask)·V over heads by the default domain's `Attention`. Its result is the
/// function's result.
fn attention(b: &mut Body, node: &NodeProto, [q, k, v]: [&str; 3], mask: bool) -> Option<()> {
    let heads = attribute(node, "num_heads").map(AttributeProto::i).filter(|&n| n > 0)?;
    let mut attributes = vec![
        integer("q_num_heads", heads),
        integer("kv_num_heads", heads),
        integer("is_causal", int(node, "unidirectional")),
    ];
    if let Some(scale) = attribute(node, "scale").map(AttributeProto::f).filter(|&s| s != 0.0) {
        attributes.push(float("scale", scale));
    }
    let inputs = [q, k, v, "mask"];
    b.last("Attention", if mask { &inputs } else { &inputs[..3] }, &attributes);
    Some(())
}

/// Attention of query, key and value with three axes each, or packed with five axes (batch, positions, heads,
/// 3, size). Not supported: a padding mask, past keys, and keys with four axes.
fn multi_head_attention(b: &mut Body, node: &NodeProto) -> Option<()> {
    if [4, 6, 7, 8, 9].iter().any(|&i| given(&node.input, i)) {
        return None;
    }
    let mut operands = ["Q", "K", "V"];
    match (given(&node.input, 1), given(&node.input, 2)) {
        (true, true) => {
            // A transposition that changes nothing refuses operands that do not have three axes.
            for (operand, name) in operands.iter_mut().zip(["q_flat", "k_flat", "v_flat"]) {
                *operand = b.with_ints("Transpose", &[*operand], name, "perm", &[0, 1, 2]);
            }
        }
        (false, false) => {
            b.with_int("Split", &["Q"], "q_part", &[("axis", 3), ("num_outputs", 3)]);
            b.0.last_mut()?.output.extend(["k_part".to_owned(), "v_part".to_owned()]);
            b.integers("flat", &[0, 0, -1]);
            for (operand, [part, name]) in
                operands.iter_mut().zip([["q_part", "q_flat"], ["k_part", "k_flat"], ["v_part", "v_flat"]])
            {
                *operand = b.add("Reshape", &[part, "flat"], name);
            }
        }
        _ => return None,
    }
    if given(&node.input, 3) {
        b.with_int("Split", &["bias"], "q_bias", &[("axis", 0), ("num_outputs", 3)]);
        b.0.last_mut()?.output.extend(["k_bias".to_owned(), "v_bias".to_owned()]);
        for (operand, [bias, name]) in
            operands.iter_mut().zip([["q_bias", "q_moved"], ["k_bias", "k_moved"], ["v_bias", "v_moved"]])
        {
            *operand = b.add("Add", &[*operand, bias], name);
        }
    }
    attention(b, node, operands, given(&node.input, 5))
}

/// Attention whose query, key and value are one product of X. Not supported: sequence lengths and past keys.
fn packed_attention(b: &mut Body, node: &NodeProto) -> Option<()> {
    if [3, 4, 6].iter().any(|&i| given(&node.input, i)) || int(node, "do_rotary") != 0 {
        return None;
    }
    b.add("MatMul", &["X", "W"], "product");
    let packed = if given(&node.input, 2) { b.add("Add", &["product", "bias"], "moved") } else { "product" };
    match attribute(node, "qkv_hidden_sizes").map(|a| a.ints.as_slice()) {
        None | Some([]) => {
            b.with_int("Split", &[packed], "q_flat", &[("axis", -1), ("num_outputs", 3)]);
        }
        Some(sizes) => {
            b.integers("sizes", sizes);
            b.with_int("Split", &[packed, "sizes"], "q_flat", &[("axis", -1)]);
        }
    }
    b.0.last_mut()?.output.extend(["k_flat".to_owned(), "v_flat".to_owned()]);
    attention(b, node, ["q_flat", "k_flat", "v_flat"], given(&node.input, 5))
}
/// Returns a note for the user if ONNX Runtime merged activation functions into earlier operators. The names
/// of these layers then refer to the merged results.
pub fn merged(graph: &GraphProto) -> Option<String> {
    let activated = |node: &&NodeProto| {
        node.domain().starts_with("com.microsoft") && node.attribute.iter().any(|a| a.name() == "activation")
    };
    let count = graph.node.iter().filter(activated).count();
    (count > 0).then(|| {
        let (layers, names) = if count == 1 { ("layer", "its name means") } else { ("layers", "their names mean") };
        format!(
            "ONNX Runtime merged activation functions into {count} {layers} when it saved the model: {names} what the \
             activation function makes"
        )
    })
}
