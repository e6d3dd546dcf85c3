//! Sliding windows: the attributes that convolution and pooling share, resolved for an input shape.

use crate::error::OpError;
use crate::ops::array::constant::MAX_EXTENT;
use crate::ops::{Attributes, Reach};
use crate::reads::Reads;

/// Most spatial axes that the kernels for windows support.
pub const MAX_SPATIAL: usize = 3;

/// How a window's padding is given (`auto_pad`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AutoPad {
    Explicit,
    SameUpper,
    SameLower,
    Valid,
}

impl AutoPad {
    /// Reads the attribute `auto_pad` of a node.
    pub fn read(a: &Attributes<'_>) -> Result<Self, OpError> {
        Ok(match a.text_or("auto_pad", "NOTSET")? {
            "NOTSET" | "" => AutoPad::Explicit,
            "SAME_UPPER" => AutoPad::SameUpper,
            "SAME_LOWER" => AutoPad::SameLower,
            "VALID" => AutoPad::Valid,
            other => return Err(OpError::Refused(format!("auto_pad \"{other}\" is not one of ONNX's"))),
        })
    }
}

/// Returns the `n` entries of an attribute, or `n` times its default if it is omitted.
pub(crate) fn filled(
    given: &Option<Vec<usize>>,
    name: &str,
    default: usize,
    n: usize,
) -> Result<Vec<usize>, OpError> {
    match given {
        None => Ok(vec![default; n]),
        Some(v) if v.len() == n => Ok(v.clone()),
        Some(v) => {
            Err(OpError::Refused(format!("attribute \"{name}\" has {} entries instead of {n}", v.len())))
        }
    }
}

/// The window of a convolution or pooling, as the model file gives it.
#[derive(Debug, Clone)]
pub struct WindowAttributes {
    kernel: Option<Vec<usize>>,
    stride: Option<Vec<usize>>,
    dilation: Option<Vec<usize>>,
    pads: Option<Vec<usize>>,
    auto_pad: AutoPad,
    ceil_mode: bool,
}

/// A window resolved for an input. Each field has one entry for each spatial axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Number of taps of the window.
    pub kernel: Vec<usize>,
    /// Distance between neighbouring windows.
    pub stride: Vec<usize>,
    /// Distance between neighbouring taps of a window.
    pub dilation: Vec<usize>,
    /// Padding before the first element of the input.
    pub before: Vec<usize>,
    /// Padding after the last element of the input.
    pub after: Vec<usize>,
    /// Number of window positions, which is the output's extent.
    pub out: Vec<usize>,
}

impl WindowAttributes {
    /// Reads `kernel_shape`, `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode`.
    pub fn read(a: &Attributes<'_>) -> Result<Self, OpError> {
        let positive = |name: &str| -> Result<Option<Vec<usize>>, OpError> {
            match a.sizes(name)? {
                Some(v) if v.contains(&0) => {
                    Err(OpError::Refused(format!("attribute \"{name}\" holds a zero")))
                }
                Some(v) if v.iter().any(|&n| n > MAX_EXTENT) => Err(OpError::Refused(format!(
                    "attribute \"{name}\" holds {v:?}, more than any network has"
                ))),
                v => Ok(v),
            }
        };
        Ok(Self {
            kernel: positive("kernel_shape")?,
            stride: positive("strides")?,
            dilation: positive("dilations")?,
            pads: match a.sizes("pads") {
                Err(_) => return Err("negative pads are not supported".into()),
                Ok(Some(v)) if v.iter().any(|&n| n > MAX_EXTENT) => {
                    return Err(OpError::Refused(format!("pads {v:?} are more than any network has")));
                }
                Ok(pads) => pads,
            },
            auto_pad: AutoPad::read(a)?,
            ceil_mode: a.int_or("ceil_mode", 0)? != 0,
        })
    }

    /// Adds explicit padding, from a `Pad` node before the window. Returns `None` if the window's padding is
    /// not explicit.
    pub fn padded(&self, before: &[usize], after: &[usize]) -> Option<Self> {
        if self.auto_pad != AutoPad::Explicit || self.ceil_mode {
            return None;
        }
        let rank = before.len();
        let old = self.pads.clone().unwrap_or_else(|| vec![0; 2 * rank]);
        if old.len() != 2 * rank || after.len() != rank {
            return None;
        }
        let pads = old.iter().zip(before.iter().chain(after)).map(|(a, b)| a + b).collect();
        Some(Self { pads: Some(pads), ..self.clone() })
    }

    /// Resolves the window for an input of these spatial extents. `weights` gives the numbers of taps if
    /// weights determine them.
    pub fn resolve(&self, spatial: &[usize], weights: Option<&[usize]>) -> Result<Window, OpError> {
        let rank = spatial.len();
        if !(1..=MAX_SPATIAL).contains(&rank) {
            return Err(OpError::Refused(format!("{rank} spatial axes; 1 to {MAX_SPATIAL} are supported")));
        }
        let kernel = match (&self.kernel, weights) {
            (Some(k), Some(w)) if k != w => {
                return Err(OpError::Refused(format!(
                    "kernel_shape {k:?} disagrees with the weights' {w:?}"
                )));
            }
            (_, Some(w)) => w.to_vec(),
            (Some(k), None) if k.len() == rank => k.clone(),
            (Some(k), None) => {
                return Err(OpError::Refused(format!("kernel_shape {k:?} for {rank} spatial axes")));
            }
            (None, None) => return Err(OpError::Refused("kernel_shape is missing".into())),
        };
        let stride = filled(&self.stride, "strides", 1, rank)?;
        let dilation = filled(&self.dilation, "dilations", 1, rank)?;
        let pads = filled(&self.pads, "pads", 0, 2 * rank)?;
        let mut window = Window { kernel, stride, dilation, before: vec![], after: vec![], out: vec![] };
        for i in 0..rank {
            let (n, s) = (spatial[i], window.stride[i]);
            if window.kernel[i] == 0 {
                return Err(OpError::Refused(format!("a window of extents {:?} is empty", window.kernel)));
            }
            let extent = window.dilation[i] * (window.kernel[i] - 1) + 1;
            let (before, after) = match self.auto_pad {
                AutoPad::Explicit => (pads[i], pads[rank + i]),
                AutoPad::Valid => (0, 0),
                same => {
                    let total = ((n.div_ceil(s).max(1) - 1) * s + extent).saturating_sub(n);
                    let small = total / 2;
                    if same == AutoPad::SameUpper { (small, total - small) } else { (total - small, small) }
                }
            };
            let padded = n + before + after;
            if padded < extent {
                return Err(OpError::Refused(format!(
                    "a window of {extent} positions does not fit into {n} (padded to {padded}); \
                     the input is too small for this network"
                )));
            }
            let mut out = (padded - extent) / s + 1;
            if self.ceil_mode && !(padded - extent).is_multiple_of(s) {
                // The last window may extend beyond the end, but must start inside the input or the padding
                // before it.
                if out * s < n + before {
                    out += 1;
                }
            }
            window.before.push(before);
            window.after.push(after);
            window.out.push(out);
        }
        Ok(window)
    }
}

impl Window {
    /// A single window that covers all positions.
    pub fn whole(spatial: &[usize]) -> Self {
        let all = |n: usize| vec![n; spatial.len()];
        Self {
            kernel: spatial.to_vec(),
            stride: all(1),
            dilation: all(1),
            before: all(0),
            after: all(0),
            out: all(1),
        }
    }

    /// Returns the positions that one output position reads.
    pub fn reach(&self) -> Reach {
        let reads = |i: usize| {
            let extent = self.dilation[i] * (self.kernel[i] - 1) + 1;
            (i + 2, Reads::window(extent, self.stride[i], self.before[i]))
        };
        Reach::Axes((0..self.kernel.len()).map(reads).collect())
    }
}

/// Returns three spatial values, as kernels need them: leading values are filled with `fill`.
pub fn three(values: &[usize], fill: usize) -> [usize; MAX_SPATIAL] {
    let mut out = [fill; MAX_SPATIAL];
    out[MAX_SPATIAL - values.len()..].copy_from_slice(values);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;

    fn attributes(entries: Vec<(&str, Attribute)>) -> WindowAttributes {
        WindowAttributes::read(&Attributes::new(17, entries)).unwrap()
    }

    #[test]
    fn same_padding_puts_the_odd_one_where_it_says() {
        let upper = attributes(vec![
            ("auto_pad", Attribute::Text("SAME_UPPER".into())),
            ("strides", Attribute::Ints(vec![2])),
        ]);
        let w = upper.resolve(&[224], Some(&[3])).unwrap();
        assert_eq!((w.before[0], w.after[0], w.out[0]), (0, 1, 112));
        let lower = attributes(vec![("auto_pad", Attribute::Text("SAME_LOWER".into()))]);
        let w = lower.resolve(&[5], Some(&[2])).unwrap();
        assert_eq!((w.before[0], w.after[0], w.out[0]), (1, 0, 5));
    }

    #[test]
    fn ceil_mode_adds_no_window_that_starts_in_the_right_padding() {
        let w = |pads: Vec<i64>| {
            attributes(vec![
                ("kernel_shape", Attribute::Ints(vec![2])),
                ("strides", Attribute::Ints(vec![2])),
                ("pads", Attribute::Ints(pads)),
                ("ceil_mode", Attribute::Int(1)),
            ])
        };
        assert_eq!(w(vec![0, 0]).resolve(&[5], None).unwrap().out, [3]);
        assert_eq!(w(vec![0, 1]).resolve(&[4], None).unwrap().out, [2]);
    }

    #[test]
    fn an_input_smaller_than_the_window_is_an_error() {
        let w = attributes(vec![]);
        assert!(w.resolve(&[2], Some(&[3])).unwrap_err().into_reason().contains("too small"));
    }
}
