//! Matrices of directions over a layer's channels: rows of a `.npy` file, or the dictionary of a sparse
//! autoencoder.
//!
//! `LAYER@FILE` acts as a layer with one unit for each direction in the file. A unit's picture is rendered
//! for the decoder's row. The unit's response to data is that of the encoder if the file has one, otherwise
//! the inner product with the row.

use std::path::Path;
use std::sync::Arc;

use oneiro::model::unit_layers::Projection;

use super::error::SourceError;
use crate::error::Result;
use crate::tensors::{RawTensor, read_tensors};

/// Endings of files that hold directions.
const ENDINGS: [&str; 2] = [".npy", ".safetensors"];
/// Names of tensors that are read as matrices of directions if the file is no autoencoder.
const MATRICES: [&str; 4] = ["directions", "vectors", "components", "W_dec"];

/// Directions in the space of a layer's channels, each of which acts as a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Directions {
    /// Number of directions, or units.
    pub count: usize,
    /// Number of the layer's channels.
    pub channels: usize,
    /// The matrix of directions, row by row.
    pub rows: Arc<[f32]>,
    /// The affine map from the layer's activations to the directions' responses.
    pub encoder: Projection,
    /// Whether negative responses are set to zero, as by an autoencoder's ReLU.
    pub is_rectified: bool,
}

/// Splits `LAYER@FILE` into the layer and the file; returns `None` for a layer without a file.
pub fn split(layer: &str) -> Option<(&str, &str)> {
    layer.split_once('@').filter(|(layer, file)| !layer.is_empty() && is_file_name(file))
}

fn is_file_name(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.to_lowercase().ends_with(ending))
}

/// Splits `FILE:ROW` into the file and the row; returns `None` for a file without a row.
pub fn row_of(name: &str) -> Option<(&str, usize)> {
    let (file, row) = name.rsplit_once(':')?;
    Some((file, row.parse().ok()?)).filter(|(file, _)| is_file_name(file))
}

impl Directions {
    /// Reads a file of directions. It is a `.npy` matrix with a row for each direction, or a `.safetensors`
    /// file with such a matrix. Alternatively, it contains `W_enc`, `b_enc`, `W_dec` and `b_dec` of a sparse
    /// autoencoder f = relu(W_enc (x − b_dec) + b_enc).
    ///
    /// # Errors
    /// If the file cannot be read, or if it contains no such matrices.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |why: String| SourceError::Directions { file: path.to_owned(), why };
        if path.to_string_lossy().to_lowercase().ends_with(ENDINGS[0]) {
            let (shape, data) = oneiro_media::read_npy(path)?;
            let [count, channels] = shape[..] else {
                return Err(bad(format!("its shape is {shape:?}; a row for each direction is needed")).into());
            };
            return Self::plain([count, channels], data).map_err(|why| bad(why).into());
        }
        let tensors = read_tensors(path)?.tensors;
        let find = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
        let found = match (find("W_enc"), find("W_dec")) {
            (Some(encoder), Some(decoder)) => {
                Self::autoencoder(encoder, decoder, find("b_enc"), find("b_dec"))
            }
            _ => {
                let named = MATRICES.iter().find_map(|name| find(name));
                let alone = match &tensors[..] {
                    [one] => Some(one),
                    _ => None,
                };
                let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
                match named.or(alone).map(|matrix| (&matrix.shape[..], &matrix.data)) {
                    Some((&[count, channels], data)) => Self::plain([count, channels], data.clone()),
                    _ => Err(format!(
                        "it holds {}; W_enc and W_dec of an autoencoder are needed, or one matrix \"directions\"",
                        names.join(", ")
                    )),
                }
            }
        };
        found.map_err(|why| bad(why).into())
    }

    fn plain([count, channels]: [usize; 2], rows: Vec<f32>) -> Result<Self, String> {
        if rows.is_empty() {
            return Err(format!("it is empty: its shape is [{count}, {channels}]"));
        }
        check(&rows)?;
        let encoder = Projection { weights: rows.clone().into(), bias: vec![0.0; count].into() };
        Ok(Self { count, channels, rows: rows.into(), encoder, is_rectified: false })
    }

    fn autoencoder(
        encoder: &RawTensor,
        decoder: &RawTensor,
        encoder_bias: Option<&RawTensor>,
        decoder_bias: Option<&RawTensor>,
    ) -> Result<Self, String> {
        let (&[a, b], &[c, d]) = (&encoder.shape[..], &decoder.shape[..]) else {
            return Err("W_enc and W_dec are no matrices".into());
        };
        if a.checked_mul(b) != c.checked_mul(d) || a.min(b) != c.min(d) {
            return Err(format!("W_enc of shape [{a}, {b}] does not belong to W_dec of [{c}, {d}]"));
        }
        let length = |bias: Option<&RawTensor>| bias.map(|bias| bias.data.len());
        let (count, channels) = match (length(encoder_bias), length(decoder_bias)) {
            (Some(count), _) if count == a || count == b => (count, a * b / count.max(1)),
            (None, Some(channels)) if channels == a || channels == b => (a * b / channels.max(1), channels),
            // Without biases the larger axis is taken to be the features: a dictionary has more features than
            // channels.
            (None, None) => (a.max(b), a.min(b)),
            _ => return Err(format!("the biases fit no matrix of [{a}, {b}]")),
        };
        let rows_of = |tensor: &RawTensor, turned: bool| match turned {
            true => transposed(&tensor.data, [channels, count]),
            false => tensor.data.clone(),
        };
        let (weights, rows) = if count == channels {
            // If both axes have the same extent, only the decoder tells their order: an encoder's row is
            // similar to the decoder's row of the same feature.
            let agree = |turned: bool| -> f32 {
                rows_of(encoder, turned).iter().zip(&decoder.data).map(|(a, b)| a * b).sum()
            };
            (rows_of(encoder, agree(true) > agree(false)), decoder.data.clone())
        } else {
            (rows_of(encoder, encoder.shape[0] != count), rows_of(decoder, decoder.shape[0] != count))
        };
        let mut bias = encoder_bias.map_or_else(|| vec![0.0; count], |bias| bias.data.clone());
        if let Some(shift) = decoder_bias {
            for (bias, row) in bias.iter_mut().zip(weights.chunks_exact(channels)) {
                let inner: f64 =
                    row.iter().zip(&shift.data).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                *bias -= inner as f32;
            }
        }
        [&weights, &rows, &bias].into_iter().try_for_each(|numbers| check(numbers))?;
        let encoder = Projection { weights: weights.into(), bias: bias.into() };
        Ok(Self { count, channels, rows: rows.into(), encoder, is_rectified: true })
    }

    /// Returns a direction by the index of its row.
    ///
    /// # Errors
    /// If the matrix has no such row.
    pub fn row(&self, row: usize) -> Result<&[f32], String> {
        let rows = self.rows.chunks_exact(self.channels.max(1)).nth(row);
        rows.ok_or_else(|| format!("it has {} directions; there is no number {row}", self.count))
    }
}

fn check(numbers: &[f32]) -> Result<(), String> {
    match numbers.iter().all(|x| x.is_finite()) {
        true => Ok(()),
        false => Err("some of its numbers are not finite".into()),
    }
}

fn transposed(data: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    (0..rows * columns).map(|i| data[i % rows * columns + i / rows]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tensors::write_tensors;

    fn tensor(name: &str, shape: &[usize], data: &[f32]) -> RawTensor {
        RawTensor { name: name.into(), shape: shape.to_vec(), data: data.to_vec() }
    }

    #[test]
    fn names_tell_layer_file_and_row() {
        assert_eq!(split("fire8@a/sae.safetensors"), Some(("fire8", "a/sae.safetensors")));
        assert_eq!((split("fire8"), split("a@b"), split("@x.npy")), (None, None, None));
        assert_eq!(row_of("a/pca.NPY:17"), Some(("a/pca.NPY", 17)));
        assert_eq!((row_of("pca.npy"), row_of("fire8:3")), (None, None));
    }

    #[test]
    fn an_autoencoder_is_read_in_either_order_of_axes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sae.safetensors");
        // Matrices of three features over two channels, once by row and once by column.
        let (by_row, by_column) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        let biases = [tensor("b_enc", &[3], &[0.5, 0.0, -0.5]), tensor("b_dec", &[2], &[1.0, -1.0])];
        for (shape, data) in [([3, 2], by_row), ([2, 3], by_column)] {
            let mut tensors = vec![tensor("W_enc", &shape, &data), tensor("W_dec", &shape, &data)];
            tensors.extend(biases.iter().map(|t| tensor(&t.name, &t.shape, &t.data)));
            write_tensors(&path, &tensors, HashMap::new()).unwrap();
            let read = Directions::read(&path).unwrap();
            assert_eq!((read.count, read.channels, read.is_rectified), (3, 2, true));
            assert_eq!(read.row(1).unwrap(), [3.0, 4.0]);
            assert_eq!(*read.encoder.weights, by_row);
            // The encoder's bias is b_enc − W_enc · b_dec with b_dec = (1, −1); each row's difference is −1.
            assert_eq!(*read.encoder.bias, [1.5, 1.0, 0.5]);
            assert!(read.row(3).unwrap_err().contains("3 directions"));
        }
    }

    #[test]
    fn what_holds_no_directions_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let says = |tensors: &[RawTensor], words: &str| {
            write_tensors(&path, tensors, HashMap::new()).unwrap();
            let error = Directions::read(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        says(&[tensor("a", &[2], &[1.0, 2.0]), tensor("b", &[1], &[1.0])], "it holds a, b");
        says(&[tensor("a", &[1, 2], &[1.0, f32::NAN])], "not finite");
        says(&[tensor("W_enc", &[2, 3], &[0.0; 6]), tensor("W_dec", &[2, 2], &[0.0; 4])], "does not belong");
        let tensors = [tensor("components", &[1, 2], &[1.0, 2.0])];
        write_tensors(&path, &tensors, HashMap::new()).unwrap();
        assert_eq!(Directions::read(&path).unwrap().row(0).unwrap(), [1.0, 2.0]);
    }
}
