//! Writes tiny ONNX files field by field. Field numbers are those of `onnx.proto3`.

/// Description of the tiny test network.
pub struct Network {
    /// Number of channels of the network's input.
    pub channels: usize,
    /// The batch size, if it is fixed in the file.
    pub batch: Option<usize>,
    /// Whether one weight of the first convolution is set to `poison`.
    pub poisoned: bool,
    /// Whether one weight of the second convolution is set to `poison`.
    pub poisoned_end: bool,
    /// The value of a poisoned weight; NaN by default.
    pub poison: f32,
    /// Name of the operator between the two convolutions.
    pub middle: &'static str,
    /// Whether the classes come from a dense layer, which fixes the picture's size at 24x20.
    pub dense: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            channels: 3,
            batch: None,
            poisoned: false,
            poisoned_end: false,
            poison: f32::NAN,
            middle: "Relu",
            dense: false,
        }
    }
}

/// Number of channels of the first convolution.
pub const LEFT: usize = 6;
/// Number of classes, which are the channels of the second convolution.
pub const CLASSES: usize = 4;

/// Number of values after the second convolution for a picture of 24x20: 11x9 positions.
const FLAT: usize = CLASSES * 11 * 9;

impl Network {
    /// Returns the ONNX file. Its layers are the input `x` of free size, `/left/conv/Conv` (3x3), the
    /// operator `/middle/Op` and `/right/conv/Conv` (3x3, stride 2, no padding). The mean over positions or a
    /// dense layer follows; `output` has one value for each class.
    pub fn bytes(&self) -> Vec<u8> {
        let mut left = weights(LEFT * self.channels * 9, 1);
        if self.poisoned {
            left[7] = self.poison;
        }
        let mut right = weights(CLASSES * LEFT * 9, 2);
        if self.poisoned_end {
            right[7] = self.poison;
        }
        let convolution = |name: &str, from: &str, weight: &str, to: &str, stride: u64, pad: u64| {
            let attributes =
                [ints("kernel_shape", &[3, 3]), ints("strides", &[stride; 2]), ints("pads", &[pad; 4])];
            node("Conv", name, &[from, weight], to, &attributes)
        };
        let graph = [
            convolution("/left/conv/Conv", "x", "left.weight", "/left/conv/Conv_output_0", 1, 1),
            node(self.middle, "/middle/Op", &["/left/conv/Conv_output_0"], "/middle/Op_output_0", &[]),
            convolution(
                "/right/conv/Conv",
                "/middle/Op_output_0",
                "right.weight",
                "/right/conv/Conv_output_0",
                2,
                0,
            ),
            if self.dense {
                [
                    node("Flatten", "/Flatten", &["/right/conv/Conv_output_0"], "/Flatten_output_0", &[]),
                    node("Gemm", "/head/Gemm", &["/Flatten_output_0", "head.weight"], "output", &[]),
                    tensor("head.weight", &[FLAT, CLASSES], &weights(FLAT * CLASSES, 3)),
                ]
                .concat()
            } else {
                [
                    node("GlobalAveragePool", "/pool/Mean", &["/right/conv/Conv_output_0"], "/mean", &[]),
                    node("Flatten", "/Flatten", &["/mean"], "output", &[]),
                ]
                .concat()
            },
            text(2, "tiny"),
            tensor("left.weight", &[LEFT, self.channels, 3, 3], &left),
            tensor("right.weight", &[CLASSES, LEFT, 3, 3], &right),
            value(11, "x", &[self.batch, Some(self.channels), None, None]),
            value(12, "output", &[self.batch, Some(CLASSES)]),
        ];
        let opset = [text(1, ""), number(2, 17)].concat();
        [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat()
    }
}

/// Returns random numbers around zero, equal for equal seeds.
pub fn weights(count: usize, seed: u32) -> Vec<f32> {
    let mut state = 0x9E37_79B9u32.wrapping_mul(seed);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state as f32 / u32::MAX as f32 - 0.5) * 0.6
    };
    (0..count).map(|_| next()).collect()
}

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

pub fn ints(name: &str, values: &[u64]) -> Vec<u8> {
    /// The value `INTS` of ONNX's `AttributeProto.AttributeType`.
    const INTS: u64 = 7;
    let values: Vec<u8> = values.iter().flat_map(|&n| number(8, n)).collect();
    message(5, &[text(1, name), values, number(20, INTS)].concat())
}

pub fn node(op: &str, name: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|i| text(1, i)).collect();
    message(1, &[inputs, text(2, output), text(3, name), text(4, op), attributes.concat()].concat())
}

/// The value `FLOAT` of ONNX's `TensorProto.DataType`.
pub const FLOAT: u64 = 1;

pub fn tensor(name: &str, shape: &[usize], data: &[f32]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|&n| number(1, n as u64)).collect();
    let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    message(5, &[dims, number(2, FLOAT), text(8, name), message(9, &raw)].concat())
}

pub fn value(field: u64, name: &str, shape: &[Option<usize>]) -> Vec<u8> {
    let dim = |n: &Option<usize>| match n {
        Some(n) => message(1, &number(1, *n as u64)),
        None => message(1, &text(2, "free")),
    };
    let shape: Vec<u8> = shape.iter().flat_map(dim).collect();
    let kind = message(1, &[number(1, FLOAT), message(2, &shape)].concat());
    message(field, &[text(1, name), message(2, &kind)].concat())
}
