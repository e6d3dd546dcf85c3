//! Writes ONNX messages field by field. Field numbers are those of `onnx.proto3`.

/// The value `FLOAT` of ONNX's `TensorProto.DataType`.
pub const FLOAT: u64 = 1;
/// The value `INT64` of ONNX's `TensorProto.DataType`.
pub const INT64: u64 = 7;

fn varint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

pub fn number(field: u64, n: u64) -> Vec<u8> {
    [varint(field << 3), varint(n)].concat()
}

pub fn message(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

pub fn text(field: u64, content: &str) -> Vec<u8> {
    message(field, content.as_bytes())
}

/// The value of an ONNX attribute: an integer, integers, a float, floats or a text.
pub enum Value {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Floats(Vec<f32>),
    Text(&'static str),
}

pub fn attribute(name: &str, value: &Value) -> Vec<u8> {
    let (content, kind) = match value {
        Value::Float(x) => ([varint(2 << 3 | 5), x.to_le_bytes().to_vec()].concat(), 1),
        Value::Int(n) => (number(3, *n as u64), 2),
        Value::Text(t) => (text(4, t), 3),
        Value::Floats(v) => {
            (v.iter().flat_map(|x| [varint(7 << 3 | 5), x.to_le_bytes().to_vec()].concat()).collect(), 6)
        }
        Value::Ints(v) => (v.iter().flat_map(|&n| number(8, n as u64)).collect(), 7),
    };
    message(5, &[text(1, name), content, number(20, kind)].concat())
}

/// Returns an ONNX node; the operator's name may be preceded by its domain and a dot.
pub fn node(op: &str, inputs: &[String], outputs: &[String], attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|i| text(1, i)).collect();
    let results: Vec<u8> = outputs.iter().flat_map(|o| text(2, o)).collect();
    let (domain, op) = op.rsplit_once('.').unwrap_or(("", op));
    let domain = if domain.is_empty() { vec![] } else { text(7, domain) };
    message(1, &[inputs, results, text(4, op), attributes.concat(), domain].concat())
}

/// Returns an ONNX initializer.
pub fn tensor(name: &str, shape: &[i64], kind: u64, raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|&n| number(1, n as u64)).collect();
    message(5, &[dims, number(2, kind), text(8, name), message(9, raw)].concat())
}

/// Returns an ONNX graph input (field 11) or output (field 12).
pub fn value(field: u64, name: &str, shape: Option<&[i64]>) -> Vec<u8> {
    let shape = shape.map(|shape| {
        let dims: Vec<u8> = shape.iter().flat_map(|&n| message(1, &number(1, n as u64))).collect();
        message(2, &dims)
    });
    let kind = message(1, &[number(1, FLOAT), shape.unwrap_or_default()].concat());
    message(field, &[text(1, name), message(2, &kind)].concat())
}

pub fn model(graph: &[Vec<u8>], opset: u64) -> Vec<u8> {
    let opset = [text(1, ""), number(2, opset)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat()
}
