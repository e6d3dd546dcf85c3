//! Composed operators, which are expanded into the nodes of a function. ONNX itself defines some this way
//! (`Attention`, `RotaryEmbedding`, `MeanVarianceNormalization`). ONNX Runtime writes others into its own
//! files ([`runtime`], [`nchwc`]). Their gradients follow from the nodes.
//!
//! What a file leaves to the shapes (head sizes, repeated heads) is computed with `Shape` nodes, which fold
//! to constants.

use super::proto::attribute_proto::AttributeType;
use super::proto::{AttributeProto, FunctionProto, NodeProto};

pub(super) mod nchwc;
pub(super) mod runtime;

/// ONNX's code of the element type f32.
const FLOAT: i64 = 1;

/// Returns the function that a node calls, if it is a composed operator in a supported form.
pub fn of(node: &NodeProto) -> Option<FunctionProto> {
    match node.domain() {
        "" | "ai.onnx" => {}
        "com.microsoft" => return runtime::of(node),
        "com.microsoft.nchwc" => return nchwc::of(node),
        _ => return None,
    }
    match node.op_type() {
        "SimplifiedLayerNormalization" => return Some(runtime::simplified_norm(node)),
        "ImageScaler" => return runtime::image_scaler(node),
        _ => {}
    }
    let body = match node.op_type() {
        "Attention" => attention(node)?,
        "RotaryEmbedding" => rotary(node)?,
        "MeanVarianceNormalization" => mean_variance(node),
        _ => return None,
    };
    let (input, output) = match node.op_type() {
        "Attention" => (
            names(&["Q", "K", "V", "mask", "past_key", "past_value", "lengths"]),
            names(&["Y", "present_key", "present_value", "qk"]),
        ),
        "RotaryEmbedding" => (names(&["X", "cos", "sin", "positions"]), names(&["Y"])),
        _ => (names(&["X"]), names(&["Y"])),
    };
    Some(FunctionProto { input, output, node: body.0, ..Default::default() })
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|s| (*s).to_owned()).collect()
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name() == name)
}

fn int(node: &NodeProto, name: &str) -> i64 {
    attribute(node, name).map_or(0, AttributeProto::i)
}

fn given(names: &[String], i: usize) -> bool {
    names.get(i).is_some_and(|n| !n.is_empty())
}

/// The nodes to which an ONNX function is expanded, while they are collected.
struct Body(Vec<NodeProto>);

impl Body {
    /// Adds a node and returns the name of its result.
    fn add<'a>(&mut self, op: &str, inputs: &[&str], output: &'a str) -> &'a str {
        self.0.push(NodeProto {
            op_type: Some(op.into()),
            name: Some(output.into()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.into()],
            ..Default::default()
        });
        output
    }

    /// Adds an attribute to the last node.
    fn set(&mut self, attribute: AttributeProto) {
        if let Some(node) = self.0.last_mut() {
            node.attribute.push(attribute);
        }
    }

    /// Adds a node with attributes and returns the name of its result.
    fn with<'a>(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &'a str,
        attributes: &[AttributeProto],
    ) -> &'a str {
        self.add(op, inputs, output);
        attributes.iter().for_each(|a| self.set(a.clone()));
        output
    }

    /// Adds the node that computes the function's result `Y`. It gets the name of the call.
    fn last(&mut self, op: &str, inputs: &[&str], attributes: &[AttributeProto]) {
        self.with(op, inputs, "Y", attributes);
        if let Some(node) = self.0.last_mut() {
            node.name = None;
        }
    }

    fn with_int<'a>(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &'a str,
        values: &[(&str, i64)],
    ) -> &'a str {
        self.add(op, inputs, output);
        for &(name, i) in values {
            self.set(AttributeProto {
                name: Some(name.into()),
                r#type: Some(AttributeType::Int as i32),
                i: Some(i),
                ..Default::default()
            });
        }
        output
    }

    fn with_ints<'a>(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &'a str,
        name: &str,
        ints: &[i64],
    ) -> &'a str {
        self.add(op, inputs, output);
        self.set(AttributeProto {
            name: Some(name.into()),
            r#type: Some(AttributeType::Ints as i32),
            ints: ints.to_vec(),
            ..Default::default()
        });
        output
    }

    fn integers<'a>(&mut self, output: &'a str, values: &[i64]) -> &'a str {
        self.with_ints("Constant", &[], output, "value_ints", values)
    }

    fn numbers<'a>(&mut self, output: &'a str, values: Vec<f32>) -> &'a str {
        self.add("Constant", &[], output);
        self.set(AttributeProto {
            name: Some("value_floats".into()),
            r#type: Some(AttributeType::Floats as i32),
            floats: values,
            ..Default::default()
        });
        output
    }

    fn number<'a>(&mut self, output: &'a str, value: f32) -> &'a str {
        self.add("Constant", &[], output);
        self.set(AttributeProto {
            name: Some("value_float".into()),
            r#type: Some(AttributeType::Float as i32),
            f: Some(value),
            ..Default::default()
        });
        output
    }

    /// Adds nodes that compute axes `start` to `end` of a shape.
    fn extents<'a>(&mut self, of: &str, output: &'a str, start: i64, end: i64) -> &'a str {
        self.with_int("Shape", &[of], output, &[("start", start), ("end", end)])
    }

    /// Adds nodes that turn (batch, positions, heads · size) into (batch, heads, positions, size).
    fn split_heads<'a>(&mut self, x: &str, heads: i64, names: [&'a str; 3]) -> &'a str {
        self.integers(names[0], &[0, 0, heads, -1]);
        self.add("Reshape", &[x, names[0]], names[1]);
        self.with_ints("Transpose", &[names[1]], names[2], "perm", &[0, 2, 1, 3])
    }

    fn reshape<'a>(&mut self, x: &str, parts: &[&str], shape: &str, output: &'a str) -> &'a str {
        self.with_int("Concat", parts, shape, &[("axis", 0)]);
        self.add("Reshape", &[x, shape], output)
    }
}

/// Attention: softmax(softcap(scale·Q·Kᵀ + mask))·V. Groups of query heads may share keys and values.
fn attention(node: &NodeProto) -> Option<Body> {
    let mut b = Body(Vec::new());
    let (q_heads, kv_heads) = (int(node, "q_num_heads"), int(node, "kv_num_heads"));
    // The numbers of heads are attributes if the operands have three axes.
    let flat = q_heads > 0 && kv_heads > 0;
    let (mut q, mut k, mut v) = ("Q", "K", "V");
    if flat {
        q = b.split_heads("Q", q_heads, ["q_heads", "q_split", "q"]);
        k = b.split_heads("K", kv_heads, ["k_heads", "k_split", "k"]);
        v = b.split_heads("V", kv_heads, ["v_heads", "v_split", "v"]);
    }
    let past = given(&node.input, 4);
    if past != given(&node.input, 5) {
        return None;
    }
    for (i, (now, before, name)) in
        [(&mut k, "past_key", "present_key"), (&mut v, "past_value", "present_value")].into_iter().enumerate()
    {
        if past {
            *now = b.with_int("Concat", &[before, now], name, &[("axis", 2)]);
        } else if given(&node.output, i + 1) {
            *now = b.add("Identity", &[now], name);
        }
    }
    let scaled = match attribute(node, "scale").map(AttributeProto::f) {
        Some(scale) => {
            b.number("scale", scale);
            b.add("Mul", &[q, "scale"], "q_scaled")
        }
        None => {
            b.extents(q, "size", 3, 4);
            b.with_int("Cast", &["size"], "size_float", &[("to", FLOAT)]);
            b.add("Sqrt", &["size_float"], "root");
            b.add("Div", &[q, "root"], "q_scaled")
        }
    };
    // A group of query heads shares one head of the keys: (batch, heads of keys, group, …).
    b.extents(q, "q_shape", 0, 3);
    b.extents(q, "q_batch", 0, 1);
    b.extents(q, "q_matrix", 2, 4);
    b.extents(k, "k_heads_now", 1, 2);
    b.extents(k, "k_length", 2, 3);
    b.extents(v, "v_size", 3, 4);
    b.integers("rest", &[-1]);
    b.integers("two", &[2]);
    let grouped = b.reshape(scaled, &["q_batch", "k_heads_now", "rest", "q_matrix"], "q_groups", "q_grouped");
    b.with_ints("Transpose", &[k], "k_turned", "perm", &[0, 1, 3, 2]);
    b.add("Unsqueeze", &["k_turned", "two"], "k_shared");
    b.add("MatMul", &[grouped, "k_shared"], "products");
    let mut scores = b.reshape("products", &["q_shape", "k_length"], "scores_shape", "scores");
    let mode = int(node, "qk_matmul_output_mode");
    let mut shown = scores;
    let (masked, causal) = (given(&node.input, 3), int(node, "is_causal"));
    if masked || causal != 0 || given(&node.input, 6) {
        let before = if past { b.extents("past_key", "past_length", 2, 3) } else { "" };
        let mask = if masked { "mask" } else { "" };
        let lengths = if given(&node.input, 6) { "lengths" } else { "" };
        let inputs = [scores, mask, before, lengths];
        scores = b.with_int("MaskedScores", &inputs, "masked", &[("is_causal", causal)]);
    }
    if mode == 1 {
        shown = scores;
    }
    let softcap = attribute(node, "softcap").map_or(0.0, AttributeProto::f);
    if softcap > 0.0 {
        b.number("cap", softcap);
        b.add("Div", &[scores, "cap"], "part");
        b.add("Tanh", &["part"], "bent");
        scores = b.add("Mul", &["bent", "cap"], "capped");
    }
    if mode == 2 {
        shown = scores;
    }
    b.with_int("Softmax", &[scores], "weights", &[("axis", -1)]);
    if mode == 3 {
        shown = "weights";
    }
    if given(&node.output, 3) {
        b.add("Identity", &[shown], "qk");
    }
    b.extents("weights", "weights_matrix", 2, 4);
    let shared = ["q_batch", "k_heads_now", "rest", "weights_matrix"];
    b.reshape("weights", &shared, "weights_groups", "weights_grouped");
    b.add("Unsqueeze", &[v, "two"], "v_shared");
    b.add("MatMul", &["weights_grouped", "v_shared"], "mixed");
    let result = if flat { "heads" } else { "Y" };
    b.reshape("mixed", &["q_shape", "v_size"], "result_shape", result);
    if flat {
        b.with_ints("Transpose", &[result], "joined", "perm", &[0, 2, 1, 3]);
        b.integers("flat_shape", &[0, 0, -1]);
        b.add("Reshape", &["joined", "flat_shape"], "Y");
    }
    Some(b)
}

/// Rotary embedding: pairs of elements are rotated by angles that depend on the position (Su et al. 2021).
fn rotary(node: &NodeProto) -> Option<Body> {
    let mut b = Body(Vec::new());
    let heads = int(node, "num_heads");
    let x = if heads > 0 {
        b.integers("x_heads", &[0, 0, heads, -1]);
        b.add("Reshape", &["X", "x_heads"], "x")
    } else {
        b.with_ints("Transpose", &["X"], "x", "perm", &[0, 2, 1, 3])
    };
    let dim = int(node, "rotary_embedding_dim");
    for (name, value) in [("zero", 0), ("one", 1), ("last", -1), ("step", 2), ("end", i64::MAX)] {
        b.integers(name, &[value]);
    }
    let turned = if dim > 0 {
        b.integers("dim", &[dim]);
        b.add("Slice", &[x, "dim", "end", "last"], "kept");
        b.add("Slice", &[x, "zero", "dim", "last"], "turned")
    } else {
        x
    };
    let interleaved = int(node, "interleaved") != 0;
    if interleaved {
        b.add("Slice", &[turned, "zero", "end", "last", "step"], "x1");
        b.add("Slice", &[turned, "one", "end", "last", "step"], "x2");
    } else {
        b.with_int("Split", &[turned], "x1", &[("axis", -1), ("num_outputs", 2)]);
        b.0.last_mut()?.output.push("x2".into());
    }
    b.integers("heads_axis", &[2]);
    for (cache, picked, wide) in [("cos", "cos_picked", "c"), ("sin", "sin_picked", "s")] {
        let values = if given(&node.input, 3) {
            b.with_int("Gather", &[cache, "positions"], picked, &[("axis", 0)])
        } else {
            cache
        };
        b.add("Unsqueeze", &[values, "heads_axis"], wide);
    }
    b.add("Mul", &["c", "x1"], "c_x1");
    b.add("Mul", &["s", "x2"], "s_x2");
    b.add("Sub", &["c_x1", "s_x2"], "real");
    b.add("Mul", &["s", "x1"], "s_x1");
    b.add("Mul", &["c", "x2"], "c_x2");
    b.add("Add", &["s_x1", "c_x2"], "imaginary");
    let mut result = if interleaved {
        b.add("Unsqueeze", &["real", "last"], "real_pair");
        b.add("Unsqueeze", &["imaginary", "last"], "imaginary_pair");
        b.with_int("Concat", &["real_pair", "imaginary_pair"], "pairs", &[("axis", -1)]);
        b.integers("pairs_shape", &[0, 0, 0, -1]);
        b.add("Reshape", &["pairs", "pairs_shape"], "rotated")
    } else {
        b.with_int("Concat", &["real", "imaginary"], "rotated", &[("axis", -1)])
    };
    if dim > 0 {
        result = b.with_int("Concat", &[result, "kept"], "all", &[("axis", -1)]);
    }
    if heads > 0 {
        b.integers("flat_shape", &[0, 0, -1]);
        b.add("Reshape", &[result, "flat_shape"], "Y");
    } else {
        b.with_ints("Transpose", &[result], "Y", "perm", &[0, 2, 1, 3]);
    }
    Some(b)
}

/// Normalization: (x − mean)/(√variance + 10⁻⁹) over some axes.
fn mean_variance(node: &NodeProto) -> Body {
    let mut b = Body(Vec::new());
    let axes = attribute(node, "axes").map_or(vec![0, 2, 3], |a| a.ints.clone());
    b.integers("axes", &axes);
    b.number("two", 2.0);
    b.number("epsilon", 1e-9);
    b.add("ReduceMean", &["X", "axes"], "mean");
    b.add("Sub", &["X", "mean"], "centred");
    b.add("Pow", &["centred", "two"], "squares");
    b.add("ReduceMean", &["squares", "axes"], "variance");
    b.add("Sqrt", &["variance"], "root");
    b.add("Add", &["root", "epsilon"], "deviation");
    b.add("Div", &["centred", "deviation"], "Y");
    b
}
