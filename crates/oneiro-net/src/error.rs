//! Errors of reading, compiling and running. Each names the node, value or file.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a network could not be read, compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes of a file are not a readable model.
    #[error("not a readable ONNX model: {0}")]
    Format(String),
    /// The model is well-formed protobuf but not a valid graph.
    #[error("invalid model: {0}")]
    Graph(String),
    /// A target depends on an operator that this crate does not support.
    #[error(
        "operator {op} (opset {opset}) of node \"{node}\" is not supported; \
         layers before it can still be visualized"
    )]
    Unsupported {
        /// ONNX operator type, with its domain unless that is the default one.
        op: String,
        /// Name of the node whose operator is not supported.
        node: String,
        /// The operator-set version that the model imports.
        opset: i64,
    },
    /// A node does not accept its inputs.
    #[error("node \"{node}\" ({op}): {why}")]
    Node {
        /// Name of the node that refuses its inputs.
        node: String,
        /// ONNX operator type.
        op: String,
        /// Why the node refuses its inputs.
        why: String,
    },
    /// A node does not accept the shapes, or the constants, of its inputs. It may accept another image or
    /// batch size.
    #[error("node \"{node}\" ({op}): {why}")]
    Shape {
        /// Name of the node that refuses the shapes or constants.
        node: String,
        /// ONNX operator type.
        op: String,
        /// Why the node refuses the shapes or constants.
        why: String,
    },
    /// A node needs a constant operand, but the operand depends on the network's inputs. No other image or
    /// batch size changes this.
    #[error("node \"{node}\" ({op}): {why}")]
    Data {
        /// Name of the node that needs a constant.
        node: String,
        /// ONNX operator type.
        op: String,
        /// Which operand depends on the inputs.
        why: String,
    },
    /// A name of a layer or value is unknown or ambiguous.
    #[error("{0}")]
    Name(String),
    /// A request does not fit the network: a shape, a rank, a missing input.
    #[error("{0}")]
    Request(String),
}

/// The reason why an operator does not accept its attributes or inputs. The caller adds the node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpError {
    /// The operator does not accept its attributes, or the shapes or constants of its inputs.
    Refused(String),
    /// The operator needs a constant operand, but the operand depends on the network's inputs.
    Data(String),
}

impl OpError {
    /// Returns the reason for the error as text.
    pub fn into_reason(self) -> String {
        match self {
            Self::Refused(why) | Self::Data(why) => why,
        }
    }
}

impl From<String> for OpError {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl From<&str> for OpError {
    fn from(why: &str) -> Self {
        Self::Refused(why.to_owned())
    }
}
