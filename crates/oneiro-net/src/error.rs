//! Errors of reading, compiling and running, each with the name of the node, value or file.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a network could not be read, compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a readable model.
    #[error("not a readable ONNX model: {0}")]
    Format(String),
    /// The model is well-formed protobuf but not a valid graph.
    #[error("invalid model: {0}")]
    Graph(String),
    /// A target depends on an operator that this runtime does not have.
    #[error(
        "operator {op} (opset {opset}) of node \"{node}\" is not supported; \
         layers before it can still be visualized"
    )]
    Unsupported {
        /// ONNX operator type, with its domain unless it is the default one.
        op: String,
        /// Name of the node.
        node: String,
        /// Version of the operator set that the model imports.
        opset: i64,
    },
    /// A node does not accept its inputs.
    #[error("node \"{node}\" ({op}): {why}")]
    Node {
        /// Name of the node.
        node: String,
        /// ONNX operator type.
        op: String,
        /// What does not fit.
        why: String,
    },
    /// A node refuses the shapes, or the constants, of its inputs. Another size or batch may be accepted.
    #[error("node \"{node}\" ({op}): {why}")]
    Shape {
        /// Name of the node.
        node: String,
        /// ONNX operator type.
        op: String,
        /// What does not fit.
        why: String,
    },
    /// A node works on constants only, and an operand is computed from the network's inputs. No size or batch
    /// changes that.
    #[error("node \"{node}\" ({op}): {why}")]
    Data {
        /// Name of the node.
        node: String,
        /// ONNX operator type.
        op: String,
        /// The value that depends on the inputs.
        why: String,
    },
    /// A name that is not (unambiguously) in the network.
    #[error("{0}")]
    Name(String),
    /// A request that does not fit the network: a shape, a rank, a missing input.
    #[error("{0}")]
    Request(String),
}

/// Why an operator does not accept its attributes or inputs; the caller adds the node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpError {
    /// It refuses its attributes, or the shapes or constants of its inputs.
    Refused(String),
    /// It works on constants only, and an operand is computed from the network's inputs.
    Data(String),
}

impl OpError {
    /// The reason in words.
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
