//! Helpers of the tests that write and read files: NumPy arrays, safetensors, pictures.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use oneiro_media::{Image, PngText};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Returns the bytes of a `.npy` file of float32 (version 1.0).
pub fn npy(shape: &[usize], data: &[f32]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n},")).collect();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

/// Returns numbers between -1 and 1 that are no multiples of each other.
pub fn wave(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.73).sin()).collect()
}

/// Tensors by name: shape and values.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Returns the bytes of a safetensors file of float32.
pub fn safetensors(tensors: &Tensors, metadata: &[(&str, &str)]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.values().map(|(_, data)| data.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, (shape, _)), b)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), b).unwrap())
    });
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// Reads a safetensors file of float32; returns its tensors and its metadata.
pub fn read_safetensors(bytes: &[u8]) -> (Tensors, HashMap<String, String>) {
    let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
    let file = SafeTensors::deserialize(bytes).unwrap();
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        assert_eq!(view.dtype(), Dtype::F32, "{name}");
        let data = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        tensors.insert(name.to_owned(), (view.shape().to_vec(), data));
    }
    (tensors, header.metadata().clone().unwrap_or_default())
}

/// Returns a PNG with a horizontal grey gradient.
pub fn picture(width: usize, height: usize) -> Vec<u8> {
    let rgb = (0..3 * width * height).map(|i| (i % width) as f32 / width as f32).collect();
    let image = Image::rgb(width, height, rgb).unwrap();
    oneiro_media::encode_png(&image, &PngText::default()).unwrap()
}

/// Reads from a PNG file the record of how it was made.
pub fn text_of(path: &Path) -> PngText {
    oneiro_media::read_text(path).unwrap()
}
