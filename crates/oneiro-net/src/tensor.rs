//! Constants of a graph: weights, shapes and folded values.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::OpError;

/// The element type of a value. All float types are computed in f32, all integer types in i64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// Floating-point numbers. Kernels compute with them in f32.
    Float,
    /// Integers. Kernels compute with them in i64.
    Int,
    /// Booleans.
    Bool,
}

impl DType {
    /// Returns the size of one element in memory, in bytes.
    pub fn size(self) -> usize {
        match self {
            DType::Float => size_of::<f32>(),
            DType::Int => size_of::<i64>(),
            DType::Bool => size_of::<bool>(),
        }
    }
}

/// The encoding of a tensor's elements in a model file, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16: the upper half of an IEEE single.
    Bf16,
    /// IEEE double precision, rounded to f32 when read.
    F64,
}

impl Stored {
    /// Returns the size of one element in the file, in bytes.
    pub fn size(self) -> usize {
        match self {
            Stored::F16 | Stored::Bf16 => 2,
            Stored::F32 => 4,
            Stored::F64 => 8,
        }
    }
}

/// The number of elements that are decoded at a time when a whole tensor is inspected.
const PIECE: usize = 1 << 14;

#[derive(Debug, Clone)]
enum Data {
    Float(Arc<Vec<f32>>),
    Int(Arc<Vec<i64>>),
    Bool(Arc<Vec<bool>>),
    /// Weights as stored in the file. They are decoded when a plan needs them.
    Raw(Stored, Bytes),
    /// One value for all elements. A file of a few bytes may claim any shape, so nothing is allocated before
    /// a plan needs it.
    Repeated(f32),
}

/// A constant tensor. Clones share the data.
#[derive(Debug, Clone)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

/// Returns the number of elements of a shape.
pub fn volume(shape: &[usize]) -> usize {
    shape.iter().product()
}

impl Tensor {
    /// Creates a float tensor; panics if the length does not match the shape.
    pub fn floats(shape: &[usize], data: Vec<f32>) -> Self {
        assert_eq!(volume(shape), data.len(), "shape {shape:?} does not hold the data");
        Self { shape: shape.to_vec(), data: Data::Float(Arc::new(data)) }
    }

    /// Creates an integer tensor; panics if the length does not match the shape.
    pub fn ints(shape: &[usize], data: Vec<i64>) -> Self {
        assert_eq!(volume(shape), data.len(), "shape {shape:?} does not hold the data");
        Self { shape: shape.to_vec(), data: Data::Int(Arc::new(data)) }
    }

    /// Creates a boolean tensor; panics if the length does not match the shape.
    pub fn bools(shape: &[usize], data: Vec<bool>) -> Self {
        assert_eq!(volume(shape), data.len(), "shape {shape:?} does not hold the data");
        Self { shape: shape.to_vec(), data: Data::Bool(Arc::new(data)) }
    }

    /// Creates a float tensor with the same value in all elements, which takes no memory.
    pub fn repeated(shape: &[usize], value: f32) -> Self {
        Self { shape: shape.to_vec(), data: Data::Repeated(value) }
    }

    /// Creates a float tensor from data in the encoding of a file.
    pub fn raw(shape: &[usize], stored: Stored, bytes: Bytes) -> Result<Self, OpError> {
        let wanted = shape
            .iter()
            .try_fold(stored.size(), |n, &d| n.checked_mul(d))
            .ok_or_else(|| OpError::Refused(format!("a tensor of shape {shape:?} is too large")))?;
        if bytes.len() != wanted {
            return Err(OpError::Refused(format!(
                "shape {shape:?} needs {wanted} bytes of data, the file has {}",
                bytes.len()
            )));
        }
        Ok(Self { shape: shape.to_vec(), data: Data::Raw(stored, bytes) })
    }

    /// Returns the extent of every axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        volume(&self.shape)
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::Float(_) | Data::Raw(..) | Data::Repeated(_) => DType::Float,
            Data::Int(_) => DType::Int,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// Whether this tensor is `part` repeated `times` times along axis 0, bit for bit.
    pub fn repeats(&self, part: &Tensor, times: usize) -> bool {
        fn cycles<T>(all: &[T], part: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
            let one = all.len() == part.len() && std::ptr::eq(all.as_ptr(), part.as_ptr());
            one || all.iter().zip(part.iter().cycle()).all(|(a, b)| same(a, b))
        }
        let axis = |t: &Tensor| t.shape.first().copied().unwrap_or(1);
        let fits = self.shape.len() == part.shape.len()
            && self.shape.get(1..) == part.shape.get(1..)
            && axis(part).checked_mul(times) == Some(axis(self));
        let same_bits = |a: &f32, b: &f32| a.to_bits() == b.to_bits();
        fits && match (&self.data, &part.data) {
            (Data::Float(all), Data::Float(part)) => cycles(all, part, same_bits),
            (Data::Int(all), Data::Int(part)) => cycles(all, part, i64::eq),
            (Data::Bool(all), Data::Bool(part)) => cycles(all, part, bool::eq),
            (Data::Raw(a, all), Data::Raw(b, part)) => a == b && cycles(all, part, u8::eq),
            (Data::Repeated(a), Data::Repeated(b)) => same_bits(a, b),
            _ => false,
        }
    }

    /// Returns the bytes of the elements if they are in memory and shared with no other tensor; otherwise 0.
    pub fn own_bytes(&self) -> usize {
        let count = match &self.data {
            Data::Float(v) => Arc::strong_count(v),
            Data::Int(v) => Arc::strong_count(v),
            Data::Bool(v) => Arc::strong_count(v),
            Data::Raw(..) | Data::Repeated(_) => return 0,
        };
        if count == 1 { self.len() * self.dtype().size() } else { 0 }
    }

    /// Returns the file's bytes if the elements are stored there.
    pub fn stored(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Raw(_, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns the bytes that decoding would allocate for a value that is repeated for all elements;
    /// otherwise 0.
    pub fn repeated_bytes(&self) -> usize {
        match self.data {
            Data::Repeated(_) => self.len().saturating_mul(DType::Float.size()),
            _ => 0,
        }
    }

    /// Returns the value that all elements of a float tensor have, if this is known without reading them.
    fn one_float(&self) -> Option<f32> {
        match &self.data {
            Data::Repeated(x) => Some(*x),
            Data::Float(v) if v.len() == 1 => Some(v[0]),
            Data::Raw(stored, bytes) if self.len() == 1 => decode(*stored, bytes).first().copied(),
            _ => None,
        }
    }

    /// Returns the elements as floats; an error for integers and booleans.
    pub fn as_floats(&self) -> Result<Cow<'_, [f32]>, OpError> {
        match &self.data {
            Data::Float(v) => Ok(Cow::Borrowed(v)),
            Data::Raw(stored, bytes) => Ok(Cow::Owned(decode(*stored, bytes))),
            Data::Repeated(x) => Ok(Cow::Owned(vec![*x; self.len()])),
            _ => Err(OpError::Refused("expected a float tensor".into())),
        }
    }

    /// Calls `visit` with the positions of the floats that are not finite, ascending. Decodes in pieces.
    pub fn each_not_finite(&self, visit: &mut dyn FnMut(usize)) {
        self.pieces(&mut |start, piece| {
            (0..piece.len()).filter(|&i| !piece[i].is_finite()).for_each(|i| visit(start + i));
        });
    }

    /// Whether any float is NaN.
    pub fn has_nan(&self) -> bool {
        let mut found = false;
        self.pieces(&mut |_, piece| found |= piece.iter().any(|x| x.is_nan()));
        found
    }

    /// Calls `visit(first position, values)` for pieces of a float tensor, decoded if necessary. If one value
    /// stands for all elements, only a value that is not finite is visited, for at most [`PIECE`] positions.
    fn pieces(&self, visit: &mut dyn FnMut(usize, &[f32])) {
        match &self.data {
            Data::Float(v) => visit(0, v),
            Data::Repeated(x) if !x.is_finite() => visit(0, &vec![*x; self.len().min(PIECE)]),
            Data::Raw(stored, bytes) => {
                for (i, piece) in bytes.chunks(PIECE * stored.size()).enumerate() {
                    visit(i * PIECE, &decode(*stored, piece));
                }
            }
            _ => {}
        }
    }

    /// Returns the elements as shared floats, decoded if necessary.
    pub fn shared_floats(&self) -> Result<Arc<Vec<f32>>, OpError> {
        match &self.data {
            Data::Float(v) => Ok(v.clone()),
            _ => Ok(Arc::new(self.as_floats()?.into_owned())),
        }
    }

    /// Returns the elements as an operand of a kernel: floats as they are, booleans as 0 and 1. Integers,
    /// such as exponents, are converted if f32 holds them exactly.
    pub fn operand(&self) -> Result<Arc<Vec<f32>>, OpError> {
        if let Data::Int(v) = &self.data
            && v.iter().any(|x| x.unsigned_abs() > 1 << f32::MANTISSA_DIGITS)
        {
            return Err(OpError::Refused("its integers are too large for f32".into()));
        }
        self.cast(DType::Float).shared_floats()
    }

    /// Returns the elements as integers; an error for floats and booleans.
    pub fn as_ints(&self) -> Result<&[i64], OpError> {
        match &self.data {
            Data::Int(v) => Ok(v),
            _ => Err(OpError::Refused("expected an integer tensor".into())),
        }
    }

    /// Returns the elements as booleans; an error for numbers.
    pub fn as_bools(&self) -> Result<&[bool], OpError> {
        match &self.data {
            Data::Bool(v) => Ok(v),
            _ => Err(OpError::Refused("expected a tensor of truth values".into())),
        }
    }

    /// Returns the same elements with another shape of the same volume.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self, OpError> {
        if volume(shape) != self.len() {
            return Err(OpError::Refused(format!("cannot reshape {:?} into {shape:?}", self.shape)));
        }
        Ok(Self { shape: shape.to_vec(), data: self.data.clone() })
    }

    /// Returns the tensor whose element `i` is element `map(i)` of this one, or the fill value if that is
    /// `None`.
    pub fn rearranged(&self, shape: &[usize], map: impl Fn(usize) -> Option<usize>, fill: f64) -> Self {
        let n = volume(shape);
        if let Some(x) = self.one_float()
            && (x.to_bits() == (fill as f32).to_bits() || (0..n).all(|i| map(i).is_some()))
        {
            return Self::repeated(shape, x);
        }
        let data = match &self.data {
            Data::Int(v) => {
                Data::Int(Arc::new((0..n).map(|i| map(i).map_or(fill as i64, |j| v[j])).collect()))
            }
            Data::Bool(v) => {
                Data::Bool(Arc::new((0..n).map(|i| map(i).map_or(fill != 0.0, |j| v[j])).collect()))
            }
            Data::Float(v) => {
                Data::Float(Arc::new((0..n).map(|i| map(i).map_or(fill as f32, |j| v[j])).collect()))
            }
            Data::Raw(..) | Data::Repeated(_) => {
                let v = self.as_floats().unwrap_or_default();
                Data::Float(Arc::new((0..n).map(|i| map(i).map_or(fill as f32, |j| v[j])).collect()))
            }
        };
        Self { shape: shape.to_vec(), data }
    }

    /// Converts to another element type like ONNX `Cast`: floats are truncated toward zero, and a boolean is
    /// whether the value is not zero.
    pub fn cast(&self, to: DType) -> Self {
        let data = match (&self.data, to) {
            (Data::Int(v), DType::Float) => Data::Float(Arc::new(v.iter().map(|&x| x as f32).collect())),
            (Data::Int(v), DType::Bool) => Data::Bool(Arc::new(v.iter().map(|&x| x != 0).collect())),
            (Data::Bool(v), DType::Float) => {
                Data::Float(Arc::new(v.iter().map(|&x| f32::from(u8::from(x))).collect()))
            }
            (Data::Bool(v), DType::Int) => Data::Int(Arc::new(v.iter().map(|&x| i64::from(x)).collect())),
            (Data::Float(v), DType::Int) => Data::Int(Arc::new(v.iter().map(|&x| x as i64).collect())),
            (Data::Float(v), DType::Bool) => Data::Bool(Arc::new(v.iter().map(|&x| x != 0.0).collect())),
            (Data::Raw(stored, bytes), DType::Int | DType::Bool) => {
                let floats = Self::floats(&self.shape, decode(*stored, bytes));
                return floats.cast(to);
            }
            (Data::Repeated(x), DType::Int) => Data::Int(Arc::new(vec![*x as i64; self.len()])),
            (Data::Repeated(x), DType::Bool) => Data::Bool(Arc::new(vec![*x != 0.0; self.len()])),
            (same, _) => same.clone(),
        };
        Self { shape: self.shape.clone(), data }
    }
}

fn decode(stored: Stored, bytes: &[u8]) -> Vec<f32> {
    match stored {
        Stored::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Stored::F16 => bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect(),
        Stored::Bf16 => bytes.as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect(),
        Stored::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_decoded() {
        let bytes: Vec<u8> =
            [1.0f32, -2.5].iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
        let t = Tensor::raw(&[2], Stored::F16, bytes.into()).unwrap();
        assert_eq!(t.as_floats().unwrap().as_ref(), &[1.0, -2.5]);
    }

    #[test]
    fn a_lying_shape_is_an_error() {
        assert!(Tensor::raw(&[usize::MAX, 2], Stored::F32, Bytes::new()).is_err());
        assert!(Tensor::raw(&[3], Stored::F32, Bytes::from_static(&[0; 8])).is_err());
    }

    #[test]
    fn one_number_for_every_element_takes_no_memory() {
        let huge = Tensor::repeated(&[1 << 20, 1 << 20], 0.5);
        assert_eq!((huge.own_bytes(), huge.repeated_bytes()), (0, 1 << 42));
        let part = Tensor::floats(&[1], vec![2.0]).rearranged(&[2, 3], |_| Some(0), 0.0);
        assert_eq!((part.own_bytes(), part.repeated_bytes()), (0, 24));
        assert_eq!(part.as_floats().unwrap().as_ref(), &[2.0; 6]);
        let padded = part.rearranged(&[3], |i| i.checked_sub(1), 0.0);
        assert_eq!(padded.as_floats().unwrap().as_ref(), &[0.0, 2.0, 2.0]);
        assert_eq!(part.cast(DType::Int).as_ints().unwrap(), &[2; 6]);
    }

    #[test]
    fn casting_truncates_toward_zero() {
        let t = Tensor::floats(&[3], vec![-1.7, 0.4, 2.9]).cast(DType::Int);
        assert_eq!(t.as_ints().unwrap(), &[-1, 0, 2]);
    }
}
