//! Reads and writes NumPy's `.npy` files: arrays of numbers in C order, as float32 in memory.
//!
//! Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.

use std::path::Path;

use crate::{MediaError, Result};

/// First bytes of every `.npy` file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads an array from a `.npy` file and returns its shape and its elements. Float16/32/64, (u)int8/16/32/64
/// and bool are read, little-endian, in C order.
pub fn read_npy(path: impl AsRef<Path>) -> Result<(Vec<usize>, Vec<f32>)> {
    read_array(path.as_ref()).map(|array| (array.shape, array.values))
}

/// The content of a `.npy` file: an array of numbers.
#[derive(Debug, PartialEq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
    /// The type of the file's elements as NumPy writes it: `<f4`, `|u1`, ….
    pub kind: String,
}

/// Reads an array from a `.npy` file, with the element type that it was saved as.
pub(crate) fn read_array(path: &Path) -> Result<Array> {
    if path.is_dir() {
        return Err(MediaError::ReadFolder { path: path.into() });
    }
    let bytes = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => MediaError::NotFound { path: path.into() },
        _ => MediaError::Read { path: path.into(), source },
    })?;
    parse(&bytes).map_err(|reason| MediaError::Damaged { path: path.into(), format: "npy", reason })
}

/// Returns an array as the bytes of a `.npy` file: float32 in C order. `values` must have as many elements as
/// the shape says.
pub(crate) fn encode(shape: &[usize], values: &[f32]) -> Vec<u8> {
    /// The `.npy` header ends at a multiple of this many bytes, so that the data are aligned.
    const ALIGNMENT: usize = 64;
    /// Bytes before the `.npy` header: the magic bytes, the version, and the header's length.
    const PREFIX: usize = MAGIC.len() + 4;
    let axes: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", axes.trim_end());
    let end = (PREFIX + header.len() + 1).next_multiple_of(ALIGNMENT);
    header.push_str(&" ".repeat(end - PREFIX - header.len() - 1));
    header.push('\n');
    // The cast cannot overflow: a header of a few axes has about a hundred bytes.
    let length = (header.len() as u16).to_le_bytes();
    let mut bytes = [MAGIC, &[1, 0], &length, header.as_bytes()].concat();
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Decodes the bytes of a `.npy` file to an array.
pub(crate) fn parse(bytes: &[u8]) -> Result<Array, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not start as a .npy file")?;
    let short = || "it ends within the header".to_owned();
    let (&[major, _minor], rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let (len, rest) = if major == 1 {
        let (len, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        (usize::from(u16::from_le_bytes(*len)), rest)
    } else {
        let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        (u32::from_le_bytes(*len) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(len).ok_or_else(short)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let field = |key: &str| {
        let at = header.find(&format!("'{key}'")).ok_or_else(|| format!("its header has no '{key}'"))?;
        let after =
            header[at..].split_once(':').ok_or_else(|| format!("its header's '{key}' has no value"))?;
        Ok::<_, String>(after.1.trim_start())
    };
    if field("fortran_order")?.starts_with("True") {
        return Err("it is in Fortran order; save numpy.ascontiguousarray(a) instead".into());
    }
    let shape = field("shape")?;
    let inner = shape.strip_prefix('(').and_then(|s| s.split_once(')')).ok_or("its shape cannot be read")?.0;
    let shape = inner
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|s| s.parse::<usize>().map_err(|_| format!("its shape holds \"{s}\"")))
        .collect::<Result<Vec<_>, _>>()?;
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or("its shape is too large")?;
    let kind = field("descr")?;
    let kind = kind.trim_start_matches(['\'', '"']).split(['\'', '"']).next().unwrap_or_default();
    let values = elements(kind, data)?;
    if values.len() != count {
        return Err(format!("its shape {shape:?} needs {count} numbers, it holds {}", values.len()));
    }
    Ok(Array { shape, values, kind: kind.to_owned() })
}

fn elements(kind: &str, data: &[u8]) -> Result<Vec<f32>, String> {
    fn each<const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|b| f(*b)).collect()
    }
    Ok(match kind {
        "<f2" => each(data, |b| half::f16::from_le_bytes(b).to_f32()),
        "<f4" => each(data, f32::from_le_bytes),
        "<f8" => each(data, |b| f64::from_le_bytes(b) as f32),
        "|u1" => each(data, |[b]: [u8; 1]| f32::from(b)),
        "|i1" => each(data, |b: [u8; 1]| f32::from(i8::from_le_bytes(b))),
        "|b1" => each(data, |[b]: [u8; 1]| f32::from(u8::from(b != 0))),
        "<i2" => each(data, |b| f32::from(i16::from_le_bytes(b))),
        "<u2" => each(data, |b| f32::from(u16::from_le_bytes(b))),
        "<i4" => each(data, |b| i32::from_le_bytes(b) as f32),
        "<u4" => each(data, |b| u32::from_le_bytes(b) as f32),
        "<i8" => each(data, |b| i64::from_le_bytes(b) as f32),
        "<u8" => each(data, |b| u64::from_le_bytes(b) as f32),
        other => return Err(format!("elements of type \"{other}\" are not supported; save float32")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn arrays_are_read() {
        let data: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let bytes = file("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n", &data);
        let array = parse(&bytes).unwrap();
        assert_eq!((array.shape, array.values, array.kind.as_str()), (vec![2, 1], vec![1.5, -2.0], "<f4"));
        let bytes = file("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n", &[0, 7, 255]);
        let array = parse(&bytes).unwrap();
        assert_eq!((array.shape, array.values, array.kind.as_str()), (vec![3], vec![0.0, 7.0, 255.0], "|u1"));
    }

    #[test]
    fn written_arrays_are_read_back() {
        for shape in [&[2, 3][..], &[6], &[1, 1, 6, 1]] {
            let values = [0.5, -1.0, f32::INFINITY, 1e-30, 3.0, 0.0];
            let bytes = encode(shape, &values);
            let array = parse(&bytes).unwrap();
            assert_eq!((array.shape.as_slice(), array.values.as_slice()), (shape, &values[..]));
            assert_eq!((bytes.len() - 4 * values.len()) % 64, 0);
        }
        let bytes =
            file("{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }\n", &[0x00, 0x3e, 0, 0xc0]);
        assert_eq!(parse(&bytes).unwrap().values, [1.5, -2.0]);
    }

    #[test]
    fn broken_arrays_say_what_is_wrong() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
        let whole = file(header, &[0; 8]);
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(parse(&file(&header.replace("False", "True"), &[0; 8])).unwrap_err().contains("Fortran"));
        assert!(parse(&file(&header.replace("<f4", "<c8"), &[0; 8])).unwrap_err().contains("<c8"));
        assert!(parse(&file(&header.replace("2,", "99999999999,9999999999"), &[0; 8])).is_err());
    }
}
