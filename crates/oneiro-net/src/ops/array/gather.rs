//! Operators that move elements by a table: every element of the output is an element of input 0, or zero.
//! [`super::layout`] handles independent axes without a table, and `lookup` handles indices that depend on
//! the data.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::array::constant::check_volume;
use crate::ops::array::lookup::Lookup;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis};
use crate::reads::Reads;
use crate::tensor::{DType, Tensor, volume};

/// Number of elements in a task. It is fixed, so that the division of work never depends on the number of
/// threads.
const CHUNK: usize = 1 << 14;
/// Table entry of an element that is zero.
const ZERO: u32 = u32::MAX;

/// ONNX operators that copy elements by a table of positions.
#[derive(Debug, Clone)]
enum Pick {
    /// Moves channels into blocks of positions. `crd` says that the position in the block is the faster part
    /// of the channel index.
    DepthToSpace { block: usize, crd: bool },
    /// The inverse of `DepthToSpace` with `crd: false`.
    SpaceToDepth { block: usize },
    /// Takes elements along one axis by an index for every element.
    GatherElements { axis: i64 },
    /// Takes slices by tuples of indices, after `batch` axes.
    GatherNd { batch: usize },
    /// Keeps the upper or lower triangle of matrices; input 1 names the diagonal.
    Trilu { upper: bool },
}

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let block = || {
        usize::try_from(a.int("blocksize")?.unwrap_or(0))
            .ok()
            .filter(|b| (1..=1 << 12).contains(b))
            .ok_or_else(|| {
                OpError::Refused("attribute \"blocksize\" should be a small positive number".into())
            })
    };
    Ok(Arc::new(match op_type {
        "DepthToSpace" => Pick::DepthToSpace {
            block: block()?,
            crd: match a.text_or("mode", "DCR")? {
                "DCR" => false,
                "CRD" => true,
                other => return Err(OpError::Refused(format!("mode \"{other}\" is not one of ONNX's"))),
            },
        },
        "SpaceToDepth" => Pick::SpaceToDepth { block: block()? },
        "GatherElements" => Pick::GatherElements { axis: a.int_or("axis", 0)? },
        "GatherND" => Pick::GatherNd {
            batch: usize::try_from(a.int_or("batch_dims", 0)?)
                .map_err(|_| OpError::from("negative batch_dims"))?,
        },
        _ => Pick::Trilu { upper: a.int_or("upper", 1)? != 0 },
    }))
}

/// Shape of the output, and the position in input 0 of each output element.
struct Table {
    shape: Vec<usize>,
    sources: Vec<u32>,
}

pub(crate) fn coordinates(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for i in (0..shape.len()).rev() {
        at[i] = index % shape[i];
        index /= shape[i];
    }
    at
}

pub(crate) fn position(at: &[usize], shape: &[usize]) -> usize {
    at.iter().zip(shape).fold(0, |sum, (i, n)| sum * n + i)
}

/// Returns the position in `x` of the slice that a tuple of indices names.
pub(crate) fn slice_start(x: &[usize], tuple: &[i64]) -> Result<usize, OpError> {
    let outside = |_| OpError::Refused(format!("index {tuple:?} is outside {x:?}"));
    let at =
        tuple.iter().zip(x).map(|(&i, &n)| axis(i, n).map_err(outside)).collect::<Result<Vec<_>, _>>()?;
    Ok(position(&at, &x[..tuple.len()]) * volume(&x[tuple.len()..]))
}

impl Pick {
    /// Returns the output's shape. It checks cheap conditions first, so that a false shape allocates nothing.
    fn shape(&self, inputs: Facts<'_>) -> Result<Vec<usize>, OpError> {
        let x = inputs.shape(0)?;
        let blocks = |b: usize| match x {
            &[n, c, h, w] => Ok((n, c, h, w, b * b)),
            _ => Err(OpError::Refused(format!("input {x:?} is not a batch of pictures"))),
        };
        let shape = match self {
            Pick::DepthToSpace { block: b, .. } => {
                let (n, c, h, w, area) = blocks(*b)?;
                if !c.is_multiple_of(area) {
                    return Err(OpError::Refused(format!(
                        "{c} channels do not split into blocks of {b}×{b}"
                    )));
                }
                vec![n, c / area, h.saturating_mul(*b), w.saturating_mul(*b)]
            }
            Pick::SpaceToDepth { block: b } => {
                let (n, c, h, w, area) = blocks(*b)?;
                if !h.is_multiple_of(*b) || !w.is_multiple_of(*b) {
                    return Err(OpError::Refused(format!("{h}×{w} does not split into blocks of {b}×{b}")));
                }
                vec![n, c.saturating_mul(area), h / b, w / b]
            }
            Pick::GatherElements { .. } => {
                let (indices, at) = (inputs.shape(1)?, self.axis(inputs)?);
                let fits = indices.len() == x.len() && (0..x.len()).all(|i| i == at || indices[i] <= x[i]);
                if !fits {
                    return Err(OpError::Refused(format!("indices {indices:?} do not fit {x:?}")));
                }
                indices.to_vec()
            }
            Pick::GatherNd { batch } => {
                let indices = inputs.shape(1)?;
                let depth = *indices.last().ok_or("the indices are a scalar")?;
                let fits =
                    *batch < indices.len() && batch + depth <= x.len() && x[..*batch] == indices[..*batch];
                if !fits {
                    return Err(OpError::Refused(format!("indices {indices:?} do not fit {x:?}")));
                }
                [&indices[..indices.len() - 1], &x[batch + depth..]].concat()
            }
            Pick::Trilu { .. } if x.len() < 2 => {
                return Err(OpError::Refused(format!("input {x:?} is no matrix")));
            }
            Pick::Trilu { .. } => x.to_vec(),
        };
        check_volume(&shape)?;
        if volume(&shape).max(volume(x)) >= ZERO as usize {
            return Err(OpError::Refused(format!(
                "a tensor of shape {shape:?} is too large for this operator"
            )));
        }
        Ok(shape)
    }

    fn axis(&self, inputs: Facts<'_>) -> Result<usize, OpError> {
        match self {
            Pick::GatherElements { axis: at } => axis(*at, inputs.shape(0)?.len()),
            _ => Ok(0),
        }
    }

    fn table(&self, inputs: Facts<'_>) -> Result<Table, OpError> {
        let x = inputs.shape(0)?;
        let shape = self.shape(inputs)?;
        let all = 0..volume(&shape);
        let sources: Vec<u32> = match self {
            Pick::DepthToSpace { block: b, crd } => all
                .map(|i| {
                    let at = coordinates(i, &shape);
                    let place = at[2] % b * b + at[3] % b;
                    let channel = if *crd { at[1] * b * b + place } else { place * shape[1] + at[1] };
                    position(&[at[0], channel, at[2] / b, at[3] / b], x) as u32
                })
                .collect(),
            Pick::SpaceToDepth { block: b } => all
                .map(|i| {
                    let at = coordinates(i, &shape);
                    let (place, channel) = (at[1] / x[1], at[1] % x[1]);
                    position(&[at[0], channel, at[2] * b + place / b, at[3] * b + place % b], x) as u32
                })
                .collect(),
            Pick::GatherElements { .. } => {
                let (indices, along) = (inputs.need_constant(1)?.as_ints()?, self.axis(inputs)?);
                all.map(|i| {
                    let mut at = coordinates(i, &shape);
                    at[along] = axis(indices[i], x[along])
                        .map_err(|_| OpError::Refused(format!("index {} is outside {x:?}", indices[i])))?;
                    Ok(position(&at, x) as u32)
                })
                .collect::<Result<_, OpError>>()?
            }
            Pick::GatherNd { batch } => {
                let indices = inputs.need_constant(1)?;
                let depth = indices.shape().last().copied().unwrap_or(0);
                let inner = volume(&x[batch + depth..]);
                let tuples = volume(&indices.shape()[..indices.shape().len() - 1]);
                let per_batch = volume(&indices.shape()[*batch..indices.shape().len() - 1]).max(1);
                let stride = volume(&x[*batch..]);
                let mut sources = Vec::with_capacity(volume(&shape));
                for t in 0..tuples {
                    let tuple = &indices.as_ints()?[t * depth..(t + 1) * depth];
                    let start = t / per_batch * stride + slice_start(&x[*batch..], tuple)?;
                    sources.extend((0..inner).map(|i| (start + i) as u32));
                }
                sources
            }
            Pick::Trilu { upper } => {
                let k = inputs.ints(1)?.and_then(|k| k.first()).copied().unwrap_or(0);
                let (rows, columns) = (x[x.len() - 2], x[x.len() - 1]);
                all.map(|i| {
                    let (row, column) = ((i / columns % rows) as i64, (i % columns) as i64);
                    let diagonal = row.saturating_add(k);
                    let keep = if *upper { column >= diagonal } else { column <= diagonal };
                    if keep { i as u32 } else { ZERO }
                })
                .collect()
            }
        };
        Ok(Table { shape, sources })
    }
}

impl Operator for Pick {
    fn op_type(&self) -> &str {
        match self {
            Pick::DepthToSpace { .. } => "DepthToSpace",
            Pick::SpaceToDepth { .. } => "SpaceToDepth",
            Pick::GatherElements { .. } => "GatherElements",
            Pick::GatherNd { .. } => "GatherND",
            Pick::Trilu { .. } => "Trilu",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact { dtype: inputs.need(0)?.dtype, shape: self.shape(inputs)?, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let x = inputs.need_constant(0)?;
        if x.dtype() != DType::Int {
            return Ok(None);
        }
        let table = self.table(inputs)?;
        let all = x.as_ints()?;
        let pick = |&s: &u32| if s == ZERO { 0 } else { all[s as usize] };
        Ok(Some(vec![Tensor::ints(&table.shape, table.sources.iter().map(pick).collect())]))
    }

    fn by_entry(&self, _site: Site<'_>) -> bool {
        matches!(self, Pick::DepthToSpace { .. } | Pick::SpaceToDepth { .. })
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let x = site.inputs.shape(0)?;
        let indices = site.inputs.get(1).filter(|fact| fact.value.is_none());
        match (self, indices) {
            (Pick::GatherElements { .. }, Some(indices)) => {
                Ok(Built::new(Lookup::elements(x, self.axis(site.inputs)?, indices)?, 2))
            }
            (Pick::GatherNd { batch }, Some(indices)) => {
                Ok(Built::new(Lookup::tuples(x, *batch, indices)?, 2))
            }
            _ => Ok(Built::new(Picked(self.table(site.inputs)?.sources), 1)),
        }
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        let both = |reads: Reads| Reach::Axes(vec![(2, reads.clone()), (3, reads)]);
        match self {
            Pick::DepthToSpace { block, .. } => both(Reads::repeated(*block)),
            Pick::SpaceToDepth { block } => both(Reads::window(*block, *block, 0)),
            Pick::Trilu { .. } => Reach::Point,
            _ => Reach::Whole,
        }
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        match self {
            Pick::DepthToSpace { .. } | Pick::SpaceToDepth { .. } => {
                Some(sources.convolved(&output.shape, false))
            }
            Pick::Trilu { .. } => sources.get(0).cloned(),
            Pick::GatherElements { .. } | Pick::GatherNd { .. } => None,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The kernel. It holds the operand's position for every output element.
#[derive(Debug)]
struct Picked(Vec<u32>);

impl Kernel for Picked {
    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        y.par_chunks_mut(CHUNK).zip(self.0.par_chunks(CHUNK)).for_each(|(y, sources)| {
            for (y, &s) in y.iter_mut().zip(sources) {
                *y = if s == ZERO { 0.0 } else { x[s as usize] };
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        if !accumulate {
            dx.fill(0.0);
        }
        for (&s, dy) in self.0.iter().zip(dy).filter(|(s, _)| **s != ZERO) {
            dx[s as usize] += dy;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, int_tensor, ints};

    #[test]
    fn gradients_agree_with_differences() {
        for mode in ["DCR", "CRD"] {
            Case::new("DepthToSpace", vec![data(&[2, 12, 2, 3])])
                .attribute("blocksize", Attribute::Int(2))
                .attribute("mode", Attribute::Text(mode.into()))
                .check();
        }
        Case::new("SpaceToDepth", vec![data(&[2, 3, 4, 6])])
            .attribute("blocksize", Attribute::Int(2))
            .check();
        Case::new("GatherElements", vec![data(&[3, 4]), int_tensor(&[2, 4], vec![0, -1, 2, 2, 1, 1, 0, 2])])
            .check();
        Case::new("GatherND", vec![data(&[2, 3, 4]), int_tensor(&[2, 2], vec![0, 1, 1, -1])]).check();
        Case::new("GatherND", vec![data(&[2, 3, 4]), int_tensor(&[2, 1], vec![2, 0])])
            .attribute("batch_dims", Attribute::Int(1))
            .check();
        for upper in [0, 1] {
            Case::new("Trilu", vec![data(&[2, 3, 4]), ints(&[1])])
                .attribute("upper", Attribute::Int(upper))
                .check();
        }
    }
}
