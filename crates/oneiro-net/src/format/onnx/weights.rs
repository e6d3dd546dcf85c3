//! Reads tensors of a model (weights and constants) from its own bytes or from other files of its folder.

use std::collections::HashMap;

use bytes::Bytes;

use super::proto::tensor_proto::{DataLocation, DataType};
use super::proto::{StringStringEntryProto, TensorProto};
use crate::error::{Error, OpError, Result};
use crate::ops::array::constant::MAX_CLAIM;
use crate::tensor::{Stored, Tensor};

/// Reads a whole file of the model's folder, by the name in the model.
pub type ReadBeside<'a> = dyn FnMut(&str) -> std::io::Result<Bytes> + 'a;

/// Converts the file's tensors to this crate's. Keeps the files that it has read.
pub(super) struct Weights<'a> {
    beside: &'a mut ReadBeside<'a>,
    files: HashMap<String, Bytes>,
}

impl<'a> Weights<'a> {
    pub(super) fn new(beside: &'a mut ReadBeside<'a>) -> Self {
        Self { beside, files: HashMap::new() }
    }

    /// Converts a tensor of the model. The length of its data must match its shape, so that a false shape
    /// allocates nothing.
    pub(super) fn tensor(&mut self, proto: &TensorProto) -> Result<Tensor> {
        let fail = |why: String| Error::Graph(format!("tensor \"{}\": {why}", proto.name()));
        let shape = proto
            .dims
            .iter()
            .map(|&d| usize::try_from(d).map_err(|_| fail(format!("negative extent {d}"))))
            .collect::<Result<Vec<_>>>()?;
        let count = shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d).filter(|_| d <= MAX_CLAIM))
            .filter(|&n| n <= isize::MAX as usize / size_of::<i64>())
            .ok_or_else(|| fail(format!("shape {shape:?} is too large")))?;
        let kind = element_type(proto);
        let raw = if proto.data_location() == DataLocation::External {
            Some(self.external(&proto.external_data, kind, count).map_err(fail)?)
        } else {
            proto.raw_data.clone().filter(|b| !b.is_empty())
        };
        decode(proto, kind, &shape, count, raw).map_err(fail)
    }

    /// Returns the part of another file that holds a tensor's data.
    fn external(
        &mut self,
        entries: &[StringStringEntryProto],
        kind: DataType,
        count: usize,
    ) -> Result<Bytes, String> {
        let entry = |key: &str| entries.iter().find(|e| e.key() == key).map(|e| e.value());
        let location = entry("location").unwrap_or_default();
        check_location(location)?;
        let number = |key: &str| {
            let parse = |v: &str| {
                v.parse::<usize>().map_err(|_| {
                    format!("its {key} \"{v}\" in the external file \"{location}\" is no whole number")
                })
            };
            entry(key).map(parse).transpose()
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let length = match length {
            Some(length) => length,
            None => bytes_of(kind, count)
                .ok_or_else(|| format!("element type {} is not supported", kind.as_str_name()))?,
        };
        if !self.files.contains_key(location) {
            let bytes = (self.beside)(location).map_err(|e| {
                format!(
                    "its data lies in the file \"{location}\", which could not be read ({e}); it has to be in the \
                     model's folder under that name"
                )
            })?;
            self.files.insert(location.to_owned(), bytes);
        }
        let file = &self.files[location];
        let end = offset.checked_add(length).filter(|&end| end <= file.len()).ok_or_else(|| {
            format!(
                "its data should lie at bytes {offset} to {} of \"{location}\", which has {}; that file is truncated or \
                 belongs to another model",
                offset.saturating_add(length),
                file.len()
            )
        })?;
        Ok(file.slice(offset..end))
    }
}

/// Whether this crate can read a tensor's element type. Other types (texts, 8-bit floats) are an error only
/// if a target needs them.
pub(super) fn is_readable(proto: &TensorProto) -> bool {
    bytes_of(element_type(proto), 1).is_some()
}

/// Returns the element type of a tensor.
pub(super) fn element_type(proto: &TensorProto) -> DataType {
    DataType::try_from(proto.data_type()).unwrap_or(DataType::Undefined)
}

/// Refuses a file outside the model's folder, so that an untrusted model cannot read arbitrary files.
fn check_location(location: &str) -> Result<(), String> {
    let parts: Vec<&str> = location.split(['/', '\\']).collect();
    let absolute = parts[0].is_empty() || parts[0].ends_with(':');
    if absolute || parts.contains(&"..") || location.contains('\0') {
        return Err(format!(
            "its data should lie in the file \"{location}\"; only files in the model's own folder are read, so move it \
             there and export the model again with that name"
        ));
    }
    Ok(())
}

/// Returns how a file stores elements of a float type.
fn stored(kind: DataType) -> Option<Stored> {
    Some(match kind {
        DataType::Float => Stored::F32,
        DataType::Float16 => Stored::F16,
        DataType::Bfloat16 => Stored::Bf16,
        DataType::Double => Stored::F64,
        _ => return None,
    })
}

/// Returns the number of bytes of `count` elements stored as raw data.
fn bytes_of(kind: DataType, count: usize) -> Option<usize> {
    let size = match kind {
        DataType::Int64 | DataType::Uint64 => 8,
        DataType::Int32 | DataType::Uint32 => 4,
        DataType::Int16 | DataType::Uint16 => 2,
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        DataType::Int4 | DataType::Uint4 => return Some(count.div_ceil(2)),
        _ => stored(kind)?.size(),
    };
    count.checked_mul(size)
}

fn decode(
    proto: &TensorProto,
    kind: DataType,
    shape: &[usize],
    count: usize,
    raw: Option<Bytes>,
) -> Result<Tensor, String> {
    let check = |have: usize| {
        if have == count {
            Ok(())
        } else {
            Err(format!("shape {shape:?} needs {count} elements, the file has {have}"))
        }
    };
    if let Some(raw) = &raw {
        let wanted = bytes_of(kind, count)
            .ok_or_else(|| format!("element type {} is not supported", kind.as_str_name()))?;
        if raw.len() != wanted {
            return Err(format!("shape {shape:?} needs {wanted} bytes of data, the file has {}", raw.len()));
        }
    }
    if let (Some(stored), Some(raw)) = (stored(kind), &raw) {
        return Tensor::raw(shape, stored, raw.clone()).map_err(OpError::into_reason);
    }
    let narrow = |f: fn(u16) -> f32| proto.int32_data.iter().map(|&x| f(x as u16)).collect::<Vec<_>>();
    match kind {
        DataType::Float => {
            check(proto.float_data.len())?;
            Ok(Tensor::floats(shape, proto.float_data.clone()))
        }
        DataType::Double => {
            check(proto.double_data.len())?;
            Ok(Tensor::floats(shape, proto.double_data.iter().map(|&x| x as f32).collect()))
        }
        DataType::Float16 => {
            check(proto.int32_data.len())?;
            Ok(Tensor::floats(shape, narrow(|x| half::f16::from_bits(x).to_f32())))
        }
        DataType::Bfloat16 => {
            check(proto.int32_data.len())?;
            Ok(Tensor::floats(shape, narrow(|x| half::bf16::from_bits(x).to_f32())))
        }
        DataType::Bool => {
            let data: Vec<bool> = match raw {
                Some(raw) => raw.iter().map(|&b| b != 0).collect(),
                None => proto.int32_data.iter().map(|&x| x != 0).collect(),
            };
            check(data.len())?;
            Ok(Tensor::bools(shape, data))
        }
        _ => {
            let data = integers(proto, kind, count, raw.as_ref())
                .ok_or_else(|| format!("element type {} is not supported", kind.as_str_name()))?;
            check(data.len())?;
            Ok(Tensor::ints(shape, data))
        }
    }
}

fn integers(proto: &TensorProto, kind: DataType, count: usize, raw: Option<&Bytes>) -> Option<Vec<i64>> {
    fn each<const N: usize>(raw: &[u8], f: fn([u8; N]) -> i64) -> Vec<i64> {
        raw.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
    }
    /// Reads two elements from each byte, the first from the lower half.
    fn halves(bytes: impl Iterator<Item = u8>, count: usize, f: fn(u8) -> i64) -> Vec<i64> {
        let mut data: Vec<i64> = bytes.flat_map(|b| [f(b & 0x0f), f(b >> 4)]).collect();
        // If the count is odd, the upper half of the last byte is padding.
        if data.len() == count + 1 && count % 2 == 1 {
            data.pop();
        }
        data
    }
    let signed = |x: u8| i64::from((x << 4) as i8 >> 4);
    let narrow = || proto.int32_data.iter().map(|&x| i64::from(x)).collect();
    let bytes = || proto.int32_data.iter().map(|&x| x as u8);
    Some(match (kind, raw) {
        (DataType::Int64, Some(raw)) => each(raw, i64::from_le_bytes),
        (DataType::Int64, None) => proto.int64_data.clone(),
        (DataType::Int32, Some(raw)) => each(raw, |b| i64::from(i32::from_le_bytes(b))),
        (DataType::Int16, Some(raw)) => each(raw, |b| i64::from(i16::from_le_bytes(b))),
        (DataType::Int8, Some(raw)) => each(raw, |b| i64::from(i8::from_le_bytes(b))),
        (DataType::Uint32, Some(raw)) => each(raw, |b| i64::from(u32::from_le_bytes(b))),
        (DataType::Uint16, Some(raw)) => each(raw, |b| i64::from(u16::from_le_bytes(b))),
        (DataType::Uint8, Some(raw)) => each(raw, |b| i64::from(u8::from_le_bytes(b))),
        (DataType::Uint64, Some(raw)) => each(raw, |b| u64::from_le_bytes(b) as i64),
        (DataType::Uint32 | DataType::Uint64, None) => proto.uint64_data.iter().map(|&x| x as i64).collect(),
        (DataType::Int32 | DataType::Int16 | DataType::Int8 | DataType::Uint16 | DataType::Uint8, None) => {
            narrow()
        }
        (DataType::Uint4, Some(raw)) => halves(raw.iter().copied(), count, i64::from),
        (DataType::Uint4, None) => halves(bytes(), count, i64::from),
        (DataType::Int4, Some(raw)) => halves(raw.iter().copied(), count, signed),
        (DataType::Int4, None) => halves(bytes(), count, signed),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
        let entry = |(k, v): &(&str, &str)| StringStringEntryProto {
            key: Some((*k).to_owned()),
            value: Some((*v).to_owned()),
        };
        pairs.iter().map(entry).collect()
    }

    fn external(pairs: &[(&str, &str)]) -> TensorProto {
        TensorProto {
            name: Some("w".into()),
            dims: vec![2],
            data_type: Some(DataType::Float as i32),
            data_location: Some(DataLocation::External as i32),
            external_data: entries(pairs),
            ..Default::default()
        }
    }

    /// Reads a tensor with one external file `weights` of 12 bytes.
    fn read(proto: &TensorProto) -> Result<Tensor> {
        let mut beside = |name: &str| match name {
            "weights" => Ok([1.0f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        Weights::new(&mut beside).tensor(proto)
    }

    #[test]
    fn data_is_read_from_files_beside_the_model() {
        let whole = read(&external(&[("location", "weights"), ("offset", "4"), ("length", "8")])).unwrap();
        assert_eq!(whole.as_floats().unwrap().as_ref(), &[2.0, 3.0]);
        let start = read(&external(&[("location", "weights")])).unwrap();
        assert_eq!(start.as_floats().unwrap().as_ref(), &[1.0, 2.0]);
    }

    #[test]
    fn a_bad_external_file_is_an_error_that_names_it() {
        for (pairs, words) in [
            (&[("location", "../weights")][..], "own folder"),
            (&[("location", "sub/../../weights")], "own folder"),
            (&[("location", "/etc/passwd")], "own folder"),
            (&[("location", "C:\\weights")], "own folder"),
            (&[], "own folder"),
            (&[("location", "absent")], "absent"),
            (&[("location", "weights"), ("offset", "8")], "truncated"),
            (&[("location", "weights"), ("offset", "-1")], "no whole number"),
            (&[("location", "weights"), ("offset", "18446744073709551615"), ("length", "8")], "truncated"),
            (&[("location", "weights"), ("length", "12")], "needs 8 bytes"),
        ] {
            let error = read(&external(pairs)).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("\"w\""), "{pairs:?}: {error}");
        }
    }

    #[test]
    fn four_bit_integers_are_unpacked() {
        let proto = TensorProto {
            dims: vec![3],
            data_type: Some(DataType::Int4 as i32),
            raw_data: Some(Bytes::from_static(&[0xf1, 0x07])),
            ..Default::default()
        };
        assert_eq!(read(&proto).unwrap().as_ints().unwrap(), &[1, -1, 7]);
    }
}
