//! Expands quantized models: operators that compute with integers become operators on real numbers.
//!
//! Files hold one of three forms. Pairs of `QuantizeLinear` and `DequantizeLinear` surround ordinary
//! operators (QDQ). Operators take integers with their scales (`QLinearConv`, ONNX Runtime's
//! `com.microsoft.QLinearAdd`, …). Or operators quantize by a scale computed from the data
//! (`DynamicQuantizeLinear`, `ConvInteger`). All become the first form here. Weights are dequantized exactly.
//! Values on data are clamped to their ranges, not rounded (`ops::math::quantize`). So a scale computed from
//! the data would change nothing, and is set to 1.

use std::collections::{HashMap, HashSet};

use super::proto::tensor_proto::DataType;
use super::proto::type_proto::Value as Kind;
use super::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Expands the integer operators of a graph. Returns notes for the user.
pub(super) fn expand(graph: &mut GraphProto) -> Vec<String> {
    let mut expander = Expander::default();
    expander.graph(graph);
    let mut notes = Vec::new();
    if expander.on_data > 0 {
        notes.push(format!(
            "the model is quantized: {} of its operators compute with integers. Here it runs in floating point: weights are \
             dequantized exactly, activations are clamped to their ranges but not rounded, so values differ by \
             per cents from those of an integer runtime",
            expander.on_data
        ));
    } else if expander.weights > 0 {
        notes.push(format!(
            "{} weights are stored as integers with scales and are dequantized exactly",
            expander.weights
        ));
    }
    notes
}

#[derive(Default)]
struct Expander {
    /// Element types of the values of which they are known.
    types: HashMap<String, i32>,
    /// Names of values that are constants in the file.
    constants: HashSet<String>,
    out: Vec<NodeProto>,
    /// Number of values added so far. It makes their names unique.
    made: usize,
    /// Number of nodes that quantize values on data.
    on_data: usize,
    /// Number of constants (weights) that are converted from integers to real numbers.
    weights: usize,
}

/// Indices of a quantized operand's value, scale and zero point among a node's inputs.
type Operand = [usize; 3];

impl Expander {
    /// Expands the nodes of a graph and of its branches.
    fn graph(&mut self, graph: &mut GraphProto) {
        for tensor in &graph.initializer {
            self.types.insert(tensor.name().to_owned(), tensor.data_type());
            self.constants.insert(tensor.name().to_owned());
        }
        // Only their element types are known, since scales and zero points may be inputs.
        for info in graph.input.iter().chain(&graph.value_info) {
            if let Some(Kind::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
                self.types.entry(info.name().to_owned()).or_insert(tensor.elem_type());
            }
        }
        let outer = std::mem::take(&mut self.out);
        for mut node in std::mem::take(&mut graph.node) {
            self.learn_type(&node);
            node.attribute.iter_mut().filter_map(|a| a.g.as_mut()).for_each(|branch| self.graph(branch));
            let constant = node.input.first().is_some_and(|x| self.constants.contains(x));
            self.node(node, constant);
        }
        graph.node = std::mem::replace(&mut self.out, outer);
    }

    /// Records the element type of a node's result if it follows from a constant or an operand.
    fn learn_type(&mut self, node: &NodeProto) {
        let Some(output) = node.output.first() else { return };
        let value = || node.attribute.iter().find_map(|a| a.t.as_ref()).map(|t| t.data_type());
        let kind = match node.op_type() {
            "Constant" => {
                self.constants.insert(output.clone());
                value()
            }
            "ConstantOfShape" => value(),
            "Cast" => node.attribute.iter().find(|a| a.name() == "to").map(|a| a.i() as i32),
            "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Expand" => {
                node.input.first().and_then(|x| self.types.get(x)).copied()
            }
            _ => None,
        };
        if let Some(kind) = kind {
            self.types.insert(output.clone(), kind);
        }
    }

    /// Returns the element type of a zero point. If its type is unknown, returns an invalid code, so that the
    /// operator is refused rather than guessed.
    fn type_of_zero(&self, zero: Option<&String>) -> i64 {
        /// A number that no element type of ONNX (`TensorProto.DataType`) has.
        const UNKNOWN: i64 = -1;
        match zero.filter(|z| !z.is_empty()) {
            None => (DataType::Uint8 as i32).into(),
            Some(zero) => self.types.get(zero).map_or(UNKNOWN, |&kind| kind.into()),
        }
    }

    fn node(&mut self, node: NodeProto, constant: bool) {
        let microsoft = node.domain() == "com.microsoft";
        let standard = matches!(node.domain(), "" | "ai.onnx");
        let channels_last = node.attribute.iter().any(|a| a.name() == "channels_last" && a.i() != 0);
        let before = self.out.len();
        match (node.op_type(), standard, microsoft && !channels_last) {
            ("DequantizeLinear", true, _) | ("DequantizeLinear", _, true) => {
                self.weights += usize::from(constant);
                self.out.push(NodeProto { domain: None, ..node });
                return;
            }
            ("QuantizeLinear", true, _) | ("QuantizeLinear", _, true) => self.quantize_linear(node, constant),
            ("DynamicQuantizeLinear", true, _) => self.dynamic(&node),
            ("QLinearConv", true, _) => self.qlinear_conv(&node),
            ("ConvInteger", true, _) => self.integer(&node, "Conv"),
            ("MatMulInteger", true, _) => self.integer(&node, "MatMul"),
            ("QLinearMatMul", true, _) => self.binary(&node, "MatMul"),
            ("QLinearAdd", _, true) => self.binary(&node, "Add"),
            ("QLinearMul", _, true) => self.binary(&node, "Mul"),
            ("QLinearSigmoid", _, true) => self.unary(&node, "Sigmoid"),
            ("QLinearLeakyRelu", _, true) => self.unary(&node, "LeakyRelu"),
            ("QLinearSoftmax", _, true) => self.unary(&node, "Softmax"),
            ("QLinearGlobalAveragePool", _, true) => self.unary(&node, "GlobalAveragePool"),
            ("QLinearAveragePool", _, true) => self.unary(&node, "AveragePool"),
            ("QLinearConcat", _, true) => self.concat(&node),
            ("QGemm", _, true) if !scales_the_product(&node) => self.gemm(&node),
            ("DynamicQuantizeMatMul", _, true) => self.scaled_matmul(&node, [usize::MAX; 2], [2, 3], 4),
            ("MatMulIntegerToFloat", _, true) => self.scaled_matmul(&node, [2, 4], [3, 5], 6),
            _ => {
                self.out.push(node);
                return;
            }
        }
        self.on_data += usize::from(self.out.len() > before && !constant);
    }

    /// Adds a `QuantizeLinear` with an explicit element type, which by default is that of the zero point.
    fn quantize_linear(&mut self, mut node: NodeProto, _constant: bool) {
        let given = node.attribute.iter().any(|a| a.name() == "output_dtype" && a.i() != 0);
        if !given {
            let kind = self.type_of_zero(node.input.get(2));
            node.attribute.retain(|a| a.name() != "output_dtype");
            node.attribute.push(integer("output_dtype", kind));
        }
        node.domain = None;
        self.out.push(node);
    }

    /// Replaces a `DynamicQuantizeLinear` by the data themselves, with scale 1 and zero point 0.
    fn dynamic(&mut self, node: &NodeProto) {
        let mut results = node.output.iter();
        if let Some(y) = results.next() {
            self.push(node, "Identity", vec![input(node, 0)], y.clone(), vec![], true);
        }
        for (output, kind) in results.zip([DataType::Float, DataType::Uint8]).filter(|(o, _)| !o.is_empty()) {
            let mut tensor = TensorProto { data_type: Some(kind as i32), ..Default::default() };
            match kind {
                DataType::Float => tensor.float_data = vec![1.0],
                _ => tensor.int32_data = vec![0],
            }
            let value = AttributeProto { name: Some("value".into()), t: Some(tensor), ..kind_of_tensor() };
            self.push(node, "Constant", vec![], output.clone(), vec![value], false);
        }
    }

    fn qlinear_conv(&mut self, node: &NodeProto) {
        let x = self.dequantize(node, [0, 1, 2], None);
        let w = self.dequantize(node, [3, 4, 5], Some(0));
        let mut inputs = vec![x, w];
        if !input(node, 8).is_empty() {
            let scale = self.made(node, "bias_scale");
            self.push(node, "Mul", vec![input(node, 1), input(node, 4)], scale.clone(), vec![], false);
            let bias = self.made(node, "bias");
            let axis = vec![integer("axis", 0)];
            self.push(node, "DequantizeLinear", vec![input(node, 8), scale], bias.clone(), axis, false);
            inputs.push(bias);
        }
        self.and_quantize(node, "Conv", inputs, node.attribute.clone(), [6, 7]);
    }

    /// Expands an operator on two quantized operands with a quantized result.
    fn binary(&mut self, node: &NodeProto, op: &str) {
        // The scales of a matrix belong to its rows if it is the left operand, and to its columns if it is
        // the right one.
        let axes = if op == "MatMul" { [Some(-2), Some(-1)] } else { [None; 2] };
        let inputs =
            vec![self.dequantize(node, [0, 1, 2], axes[0]), self.dequantize(node, [3, 4, 5], axes[1])];
        self.and_quantize(node, op, inputs, node.attribute.clone(), [6, 7]);
    }

    /// Expands an operator on one quantized operand with a quantized result.
    fn unary(&mut self, node: &NodeProto, op: &str) {
        let inputs = vec![self.dequantize(node, [0, 1, 2], None)];
        let own = |a: &&AttributeProto| !matches!(a.name(), "channels_last" | "opset");
        let attributes = node.attribute.iter().filter(own).cloned().collect();
        self.and_quantize(node, op, inputs, attributes, [3, 4]);
    }

    fn concat(&mut self, node: &NodeProto) {
        let operands = (2..node.input.len()).step_by(3);
        let inputs = operands.map(|i| self.dequantize(node, [i, i + 1, i + 2], None)).collect();
        self.and_quantize(node, "Concat", inputs, node.attribute.clone(), [0, 1]);
    }

    fn gemm(&mut self, node: &NodeProto) {
        let transposed = node.attribute.iter().any(|a| a.name() == "transB" && a.i() != 0);
        let a = self.dequantize(node, [0, 1, 2], None);
        let b = self.dequantize(node, [3, 4, 5], Some(if transposed { 0 } else { 1 }));
        let mut inputs = vec![a, b];
        if !input(node, 6).is_empty() {
            let scale = self.made(node, "bias_scale");
            self.push(node, "Mul", vec![input(node, 1), input(node, 4)], scale.clone(), vec![], false);
            let bias = self.made(node, "bias");
            let axis = vec![integer("axis", 0)];
            self.push(node, "DequantizeLinear", vec![input(node, 6), scale], bias.clone(), axis, false);
            inputs.push(bias);
        }
        if input(node, 7).is_empty() {
            // Without a scale, the result is not quantized.
            let output = node.output.first().cloned().unwrap_or_default();
            self.push(node, "Gemm", inputs, output, node.attribute.clone(), true);
        } else {
            self.and_quantize(node, "Gemm", inputs, node.attribute.clone(), [7, 8]);
        }
    }

    /// Expands `ConvInteger` and `MatMulInteger`, whose integers have no scales.
    fn integer(&mut self, node: &NodeProto, op: &str) {
        // There is a zero point for every filter; or for every row of the left and every column of the right
        // matrix.
        let axes = if op == "Conv" { [1, 0] } else { [-2, -1] };
        let operands = [(0, 2, axes[0]), (1, 3, axes[1])].map(|(value, zero, axis)| {
            let scale = self.one(node);
            self.dequantize_by(node, input(node, value), scale, input(node, zero), Some(axis))
        });
        let output = node.output.first().cloned().unwrap_or_default();
        self.push(node, op, operands.to_vec(), output, node.attribute.clone(), true);
    }

    /// Expands ONNX Runtime's products of integer matrices with scales and a real bias. `a` and `b` are the
    /// indices of scale and zero point of each operand; without them, the operand is real already. `bias` is
    /// the index of the bias.
    fn scaled_matmul(&mut self, node: &NodeProto, a: [usize; 2], b: [usize; 2], bias: usize) {
        let a = match a {
            [usize::MAX, _] => input(node, 0),
            [scale, zero] => self.dequantize(node, [0, scale, zero], None),
        };
        let b = self.dequantize(node, [1, b[0], b[1]], Some(-1));
        let output = node.output.first().cloned().unwrap_or_default();
        if input(node, bias).is_empty() {
            self.push(node, "MatMul", vec![a, b], output, vec![], true);
        } else {
            let product = self.made(node, "product");
            self.push(node, "MatMul", vec![a, b], product.clone(), vec![], false);
            self.push(node, "Add", vec![product, input(node, bias)], output, vec![], true);
        }
    }

    fn dequantize(&mut self, node: &NodeProto, [value, scale, zero]: Operand, axis: Option<i64>) -> String {
        self.dequantize_by(node, input(node, value), input(node, scale), input(node, zero), axis)
    }

    fn dequantize_by(
        &mut self,
        node: &NodeProto,
        value: String,
        scale: String,
        zero: String,
        axis: Option<i64>,
    ) -> String {
        let output = self.made(node, "dequantized");
        let attributes = axis.map(|a| integer("axis", a)).into_iter().collect();
        self.push(node, "DequantizeLinear", vec![value, scale, zero], output.clone(), attributes, false);
        output
    }

    /// Adds the operator itself, under the name of the node, and quantizes its result by scale and zero
    /// point.
    fn and_quantize(
        &mut self,
        node: &NodeProto,
        op: &str,
        inputs: Vec<String>,
        attributes: Vec<AttributeProto>,
        [scale, zero]: [usize; 2],
    ) {
        let number = self.made(node, "result");
        self.push(node, op, inputs, number.clone(), attributes, true);
        let output = node.output.first().cloned().unwrap_or_default();
        let kind = vec![integer("output_dtype", self.type_of_zero(node.input.get(zero)))];
        let inputs = vec![number, input(node, scale), input(node, zero)];
        self.push(node, "QuantizeLinear", inputs, output, kind, false);
    }

    /// Adds a constant that holds the number 1, and returns its name.
    fn one(&mut self, node: &NodeProto) -> String {
        let output = self.made(node, "one");
        let tensor = TensorProto {
            data_type: Some(DataType::Float as i32),
            float_data: vec![1.0],
            ..Default::default()
        };
        let value = AttributeProto { name: Some("value".into()), t: Some(tensor), ..kind_of_tensor() };
        self.push(node, "Constant", vec![], output.clone(), vec![value], false);
        output
    }

    /// Returns a unique name for a value inside a node.
    fn made(&mut self, node: &NodeProto, what: &str) -> String {
        self.made += 1;
        format!("{}/{what}.{}", name_of(node), self.made)
    }

    /// Adds a node in place of another. The main node keeps its name.
    fn push(
        &mut self,
        of: &NodeProto,
        op: &str,
        inputs: Vec<String>,
        output: String,
        attribute: Vec<AttributeProto>,
        main: bool,
    ) {
        // Helper nodes get no module path. Otherwise the module's name would mean the last of them, which
        // computes integer codes.
        let name = if main { name_of(of).to_owned() } else { format!("{op}.{}", self.out.len()) };
        let metadata_props = if main { of.metadata_props.clone() } else { Vec::new() };
        self.out.push(NodeProto {
            name: Some(name),
            op_type: Some(op.to_owned()),
            input: inputs,
            output: vec![output],
            attribute,
            metadata_props,
            ..Default::default()
        });
    }
}

/// Whether a `QGemm` has a factor that does not apply to its bias.
fn scales_the_product(node: &NodeProto) -> bool {
    node.attribute.iter().any(|a| a.name() == "alpha" && a.f() != 1.0)
}

fn name_of(node: &NodeProto) -> &str {
    match node.name() {
        "" => node.output.first().map_or("", String::as_str),
        name => name,
    }
}

/// Returns the name of an input; empty if the input is omitted.
fn input(node: &NodeProto, i: usize) -> String {
    node.input.get(i).cloned().unwrap_or_default()
}

fn integer(name: &str, value: i64) -> AttributeProto {
    use super::proto::attribute_proto::AttributeType;
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..Default::default()
    }
}

fn kind_of_tensor() -> AttributeProto {
    use super::proto::attribute_proto::AttributeType;
    AttributeProto { r#type: Some(AttributeType::Tensor as i32), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(domain: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        NodeProto {
            domain: Some(domain.into()),
            op_type: Some(op.into()),
            name: Some("n".into()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: outputs.iter().map(|s| (*s).to_owned()).collect(),
            ..Default::default()
        }
    }

    fn expanded(node: NodeProto) -> (Vec<NodeProto>, Vec<String>) {
        let zero = TensorProto {
            name: Some("yz".into()),
            data_type: Some(DataType::Int8 as i32),
            ..Default::default()
        };
        let mut graph = GraphProto { node: vec![node], initializer: vec![zero], ..Default::default() };
        let notes = expand(&mut graph);
        (graph.node, notes)
    }

    fn ops(nodes: &[NodeProto]) -> Vec<&str> {
        nodes.iter().map(|n| n.op_type()).collect()
    }

    #[test]
    fn a_convolution_of_integers_becomes_one_of_numbers() {
        let inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"];
        let (nodes, notes) = expanded(node("", "QLinearConv", &inputs, &["y"]));
        assert_eq!(
            ops(&nodes),
            ["DequantizeLinear", "DequantizeLinear", "Mul", "DequantizeLinear", "Conv", "QuantizeLinear"]
        );
        assert_eq!(nodes[4].name(), "n", "the layer keeps its name");
        let last = &nodes[5];
        assert_eq!((last.output[0].as_str(), last.attribute[0].i()), ("y", DataType::Int8 as i64));
        assert!(notes[0].contains("quantized"), "{notes:?}");
    }

    #[test]
    fn a_scale_of_the_data_is_one() {
        let (nodes, _) = expanded(node("", "DynamicQuantizeLinear", &["x"], &["y", "s", "z"]));
        assert_eq!(ops(&nodes), ["Identity", "Constant", "Constant"]);
        let (nodes, _) = expanded(node("", "MatMulInteger", &["a", "b"], &["y"]));
        assert_eq!(ops(&nodes)[4], "MatMul");
    }

    #[test]
    fn the_type_of_a_zero_point_is_followed_or_the_operator_refused() {
        let mut cast = node("", "Cast", &["fed"], &["zero"]);
        cast.attribute = vec![integer("to", DataType::Int8 as i64)];
        let quantize = |zero: &str| node("", "QuantizeLinear", &["x", "s", zero], &["q"]);
        let kind = |nodes: Vec<NodeProto>| {
            let mut graph = GraphProto { node: nodes, ..Default::default() };
            expand(&mut graph);
            graph.node.last().unwrap().attribute[0].i()
        };
        assert_eq!(kind(vec![cast.clone(), quantize("zero")]), DataType::Int8 as i64);
        assert_eq!(kind(vec![quantize("unknown")]), -1);
        assert_eq!(kind(vec![quantize("")]), DataType::Uint8 as i64);
        // Integer operators inside a branch are expanded, too.
        let branch = GraphProto { node: vec![quantize("zero")], ..Default::default() };
        let mut choice = node("", "If", &["c"], &["y"]);
        choice.attribute = vec![AttributeProto { g: Some(branch), ..Default::default() }];
        let mut graph = GraphProto { node: vec![cast, choice], ..Default::default() };
        expand(&mut graph);
        let branch = graph.node[1].attribute[0].g.as_ref().unwrap();
        assert_eq!(branch.node[0].attribute[0].i(), DataType::Int8 as i64);
    }

    #[test]
    fn weights_alone_are_a_smaller_note_and_other_models_none() {
        let (_, notes) = expanded(node("", "DequantizeLinear", &["yz", "s"], &["w"]));
        assert!(notes[0].starts_with("1 weights"), "{notes:?}");
        let (nodes, notes) = expanded(node("com.microsoft", "FusedConv", &["x"], &["y"]));
        assert!(notes.is_empty() && ops(&nodes) == ["FusedConv"]);
    }
}
