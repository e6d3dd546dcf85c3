//! Index maps: the input position of each output element, axis by axis. Copy and adjoint follow from the map.

use rayon::prelude::*;

use crate::axes::Axes;
use crate::ops::{Backward, Forward, Kernel, Reach};
use crate::reads::Reads;
use crate::tensor::volume;

/// Number of elements in a task. It is fixed, so that the division of work never depends on the number of
/// threads.
const CHUNK: usize = 1 << 14;

/// One axis of the output: the input axis that it reads, if any, and the position there for every index. A
/// position is `None` outside the input.
#[derive(Debug, Clone)]
pub(crate) struct Walked {
    /// The input axis that this axis of the output reads.
    pub axis: Option<usize>,
    /// The position on the input axis for every index of the output's axis.
    pub positions: Vec<Option<usize>>,
}

/// For every element of an output, the element of the input that it copies.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Shape of the input.
    pub input: Vec<usize>,
    /// The maps of all axes of the output.
    pub axes: Vec<Walked>,
    /// Value of output elements that lie outside the input.
    pub fill: f32,
}

impl Origin {
    /// The map of an operator that copies its input unchanged.
    pub(crate) fn whole(input: &[usize]) -> Self {
        let axes = (0..input.len()).map(|i| Walked::whole(i, input[i])).collect();
        Self { input: input.to_vec(), axes, fill: 0.0 }
    }

    /// Shape of the output.
    pub(crate) fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|a| a.positions.len()).collect()
    }

    /// Returns the meaning of the output's axes, given the meaning of the input's.
    pub(crate) fn axes_of(&self, from: &Axes) -> Option<Axes> {
        Some(from.walked(self.axes.iter().map(|walked| (walked.axis, walked.positions.as_slice()))))
    }

    /// Returns the positions that each output position reads, along axes with an index map of their own.
    pub(crate) fn reach(&self) -> Reach {
        let walks = self.axes.iter().enumerate().filter(|(at, walked)| {
            let all = walked.axis.and_then(|axis| self.input.get(axis)).copied().unwrap_or(0);
            walked.axis == Some(*at) && !walked.positions.iter().copied().eq((0..all).map(Some))
        });
        let reads = walks.map(|(at, walked)| Some((at, Reads::listed(&walked.positions)?)));
        reads.collect::<Option<Vec<_>>>().map_or(Reach::Whole, Reach::Axes)
    }

    fn step(&self, axis: &Walked) -> usize {
        axis.axis.map_or(0, |a| volume(&self.input[a + 1..]))
    }

    /// Returns the input position of an output element, or `None` outside the input.
    pub(crate) fn of(&self, mut index: usize) -> Option<usize> {
        let mut at = 0;
        for axis in self.axes.iter().rev() {
            let n = axis.positions.len();
            at += axis.positions[index % n]? * self.step(axis);
            index /= n;
        }
        Some(at)
    }

    /// Returns the kernel that copies elements, and its adjoint.
    pub(crate) fn kernel(&self, gradients: bool) -> Move {
        let axes = self.axes.iter().map(|axis| {
            let step = self.step(axis);
            let offsets = axis.positions.iter().map(|p| p.map(|p| p * step).into_iter().collect());
            offsets.collect::<Vec<Vec<usize>>>()
        });
        let forward = Gather::new(axes.collect(), self.fill);
        Move { forward, backward: gradients.then(|| self.adjoint()) }
    }

    /// Returns for every input element the output elements that copy it.
    fn adjoint(&self) -> Gather {
        let shape = self.shape();
        let mut axes: Vec<Vec<Vec<usize>>> = self.input.iter().map(|&n| vec![vec![]; n]).collect::<Vec<_>>();
        // Output axes that read no input axis repeat the whole input. Several output axes may also read the
        // same input axis.
        let mut repeats = vec![0usize];
        for (i, axis) in self.axes.iter().enumerate() {
            let step = volume(&shape[i + 1..]);
            match axis.axis {
                Some(a) => {
                    for (k, position) in axis.positions.iter().enumerate() {
                        if let Some(p) = position {
                            axes[a][*p].push(k * step);
                        }
                    }
                }
                None => {
                    let indices = 0..axis.positions.len();
                    repeats =
                        repeats.iter().flat_map(|r| indices.clone().map(move |k| r + k * step)).collect();
                }
            }
        }
        if repeats != [0] {
            axes.insert(0, vec![repeats]);
        }
        Gather::new(axes, 0.0)
    }
}

impl Walked {
    /// The map of an output axis that copies an input axis unchanged.
    pub(crate) fn whole(axis: usize, extent: usize) -> Self {
        Self { axis: Some(axis), positions: (0..extent).map(Some).collect() }
    }
}

/// Offsets to sum over, for each index of an axis.
#[derive(Debug)]
enum Offsets {
    /// One offset for each index, in equal steps.
    Even { n: usize, first: usize, step: usize },
    /// One offset for each index, or none outside the input.
    Single(Vec<Option<usize>>),
    /// Any number of offsets for each index, whose elements are summed.
    Many(Vec<Vec<usize>>),
}

impl Offsets {
    fn new(offsets: Vec<Vec<usize>>) -> Self {
        if offsets.iter().any(|o| o.len() > 1) {
            return Self::Many(offsets);
        }
        let single: Vec<Option<usize>> = offsets.into_iter().map(|o| o.first().copied()).collect();
        let first = single.first().copied().flatten();
        let second = single.get(1).copied().unwrap_or(first);
        match first.zip(second).and_then(|(first, second)| Some((first, second.checked_sub(first)?))) {
            Some((first, step)) if single.iter().enumerate().all(|(k, o)| *o == Some(first + k * step)) => {
                Self::Even { n: single.len(), first, step }
            }
            _ => Self::Single(single),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Even { n, .. } => *n,
            Self::Single(v) => v.len(),
            Self::Many(v) => v.len(),
        }
    }

    /// Merges this axis with the next inner axis, if the inner steps continue.
    fn merged(&self, inside: &Self) -> Option<Self> {
        let (Self::Even { n, first, step }, Self::Even { n: m, first: start, step: fine }) = (self, inside)
        else {
            return None;
        };
        (*step == fine * m).then_some(Self::Even { n: n * m, first: first + start, step: *fine })
    }
}

/// Each output element sums the input elements at certain offsets: one offset from each axis, added up. If an
/// axis has no offset for its index, the element gets the fill value.
#[derive(Debug)]
struct Gather {
    outer: Vec<Offsets>,
    inner: Offsets,
    fill: f32,
}

impl Gather {
    fn new(axes: Vec<Vec<Vec<usize>>>, fill: f32) -> Self {
        let mut outer: Vec<Offsets> = Vec::new();
        for axis in axes {
            let axis = Offsets::new(axis);
            if matches!(axis, Offsets::Even { n: 1, first: 0, .. }) {
                continue;
            }
            match outer.last().and_then(|last| last.merged(&axis)) {
                Some(merged) => {
                    outer.pop();
                    outer.push(merged);
                }
                None => outer.push(axis),
            }
        }
        let inner = outer.pop().unwrap_or(Offsets::Even { n: 1, first: 0, step: 0 });
        Self { outer, inner, fill }
    }

    /// Returns the offsets at which a row starts, or none outside the input.
    fn starts(&self, mut row: usize, starts: &mut Vec<usize>) {
        starts.clear();
        starts.push(0);
        for axis in self.outer.iter().rev() {
            let k = row % axis.len();
            row /= axis.len();
            match axis {
                Offsets::Even { first, step, .. } => starts.iter_mut().for_each(|s| *s += first + k * step),
                Offsets::Single(offsets) => match offsets[k] {
                    Some(offset) => starts.iter_mut().for_each(|s| *s += offset),
                    None => return starts.clear(),
                },
                Offsets::Many(offsets) => {
                    let sums = offsets[k].iter().flat_map(|o| starts.iter().map(move |s| s + o));
                    *starts = sums.collect();
                }
            }
        }
    }

    fn run(&self, x: &[f32], y: &mut [f32], accumulate: bool) {
        let n = self.inner.len().max(1);
        let rows = CHUNK.div_ceil(n);
        y.par_chunks_mut(n * rows).enumerate().for_each(|(block, y)| {
            let mut starts = Vec::new();
            for (row, y) in y.chunks_mut(n).enumerate() {
                self.starts(block * rows + row, &mut starts);
                self.row(x, &starts, y, accumulate);
            }
        });
    }

    fn row(&self, x: &[f32], starts: &[usize], y: &mut [f32], accumulate: bool) {
        let put = |y: &mut f32, value: f32| *y = if accumulate { *y + value } else { value };
        let sum = |of: &dyn Fn(usize) -> f32| starts.iter().map(|s| of(*s)).sum::<f32>();
        match (&self.inner, starts) {
            (_, []) => y.iter_mut().for_each(|y| put(y, self.fill)),
            (Offsets::Even { n, first, step: 1 }, [start]) if !accumulate => {
                y.copy_from_slice(&x[start + first..][..*n]);
            }
            (Offsets::Even { first, step: 0, .. }, [start]) => {
                let value = x[start + first];
                y.iter_mut().for_each(|y| put(y, value));
            }
            (Offsets::Even { first, step, .. }, [start]) => {
                y.iter_mut().zip(x[start + first..].iter().step_by(*step)).for_each(|(y, x)| put(y, *x));
            }
            (Offsets::Even { first, step, .. }, _) => {
                y.iter_mut().enumerate().for_each(|(k, y)| put(y, sum(&|s| x[s + first + k * step])));
            }
            (Offsets::Single(offsets), _) => {
                for (y, offset) in y.iter_mut().zip(offsets) {
                    put(y, offset.map_or(self.fill, |o| sum(&|s| x[s + o])));
                }
            }
            (Offsets::Many(offsets), _) => {
                for (y, offsets) in y.iter_mut().zip(offsets) {
                    put(y, sum(&|s| offsets.iter().map(|o| x[s + o]).sum()));
                }
            }
        }
    }
}

/// The kernel: a copy by an index map, and its adjoint.
#[derive(Debug)]
pub(crate) struct Move {
    forward: Gather,
    backward: Option<Gather>,
}

impl Kernel for Move {
    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        self.forward.run(x, y, false);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        if let Some(gather) = &self.backward {
            gather.run(dy, dx, accumulate);
        }
    }
}
