//! `Einsum`: sums of products of elements that share indices, by an equation such as `bij,bjk->bik`.
//!
//! With two operands it is a contraction, like a matrix product. Otherwise each output element is computed as
//! one sum, as the equation is written.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::Index;
use crate::ops::array::constant::check_volume;
use crate::ops::nn::matmul::Pair;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site};
use crate::tensor::volume;

/// The operator: labels of each operand's axes, and labels of the output's axes if the equation gives them.
#[derive(Debug, Clone)]
struct Einsum {
    operands: Vec<Vec<Label>>,
    output: Option<Vec<Label>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    /// An axis that the equation names by a letter.
    Letter(char),
    /// The ellipsis of an equation: any number of axes.
    Ellipsis,
    /// An axis of the ellipsis, counted from the last one.
    Dot(usize),
}

/// Reads the attributes of an `Einsum` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let equation: String = a.text_or("equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
    let fail = || OpError::Refused(format!("equation \"{equation}\" is not understood"));
    let labels = |term: &str| -> Result<Vec<Label>, OpError> {
        let term = term.replace("...", ".");
        if term.matches('.').count() > 1 {
            return Err(fail());
        }
        term.chars()
            .map(|c| match c {
                '.' => Ok(Label::Ellipsis),
                c if c.is_ascii_alphabetic() => Ok(Label::Letter(c)),
                _ => Err(fail()),
            })
            .collect()
    };
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(labels(right)?)),
        None => (equation.as_str(), None),
    };
    Ok(Arc::new(Einsum { operands: left.split(',').map(labels).collect::<Result<_, _>>()?, output: right }))
}

/// Loops over labels: their extents, and each operand's stride for every label.
#[derive(Debug)]
struct Loops {
    /// Extents of the output's axes.
    kept: Vec<usize>,
    /// Extents of the labels that are summed over.
    summed: Vec<usize>,
    /// For each operand, its strides for the kept and for the summed labels.
    steps: Vec<(Vec<usize>, Vec<usize>)>,
}

/// The labels of all operands and of the result, with ellipses expanded, and the extent of each label.
struct Labels {
    extents: Vec<(Label, usize)>,
    terms: Vec<Vec<Label>>,
    output: Vec<Label>,
}

impl Einsum {
    fn labels(&self, inputs: Facts<'_>) -> Result<Labels, OpError> {
        if inputs.0.len() != self.operands.len() {
            return Err(OpError::Refused(format!(
                "{} operands for {} terms",
                inputs.0.len(),
                self.operands.len()
            )));
        }
        // Every label with its extent, in order of first appearance.
        let mut extents: Vec<(Label, usize)> = Vec::new();
        let mut terms = Vec::new();
        let mut dots = 0;
        for (i, term) in self.operands.iter().enumerate() {
            let x = inputs.shape(i)?;
            let letters = term.iter().filter(|l| **l != Label::Ellipsis).count();
            let hidden = x.len().checked_sub(letters).filter(|&n| n == 0 || letters < term.len());
            let hidden = hidden.ok_or_else(|| {
                OpError::Refused(format!("operand {i} of shape {x:?} does not fit its term"))
            })?;
            dots = dots.max(hidden);
            let term = expand(term, hidden);
            for (&label, &n) in term.iter().zip(x) {
                match extents.iter_mut().find(|(l, _)| *l == label) {
                    None => extents.push((label, n)),
                    Some((_, old)) if *old == n || n == 1 => {}
                    Some((_, old)) if *old == 1 => *old = n,
                    Some((_, old)) => {
                        return Err(OpError::Refused(format!("{label:?} is both {old} and {n}")));
                    }
                }
            }
            terms.push(term);
        }
        let output = match &self.output {
            Some(output) => expand(output, dots),
            None => {
                // By default the output has the ellipsis, then the letters that appear once, in alphabetical
                // order.
                let count = |label: Label| terms.iter().flatten().filter(|l| **l == label).count();
                let mut letters: Vec<char> = extents
                    .iter()
                    .filter_map(|(l, _)| if let Label::Letter(c) = l { Some(*c) } else { None })
                    .filter(|c| count(Label::Letter(*c)) == 1)
                    .collect();
                letters.sort_unstable();
                expand(&[Label::Ellipsis], dots)
                    .into_iter()
                    .chain(letters.into_iter().map(Label::Letter))
                    .collect()
            }
        };
        Ok(Labels { extents, terms, output })
    }

    fn loops(&self, inputs: Facts<'_>) -> Result<Loops, OpError> {
        let Labels { extents, terms, output } = self.labels(inputs)?;
        let extent = |label: &Label| extents.iter().find(|(l, _)| l == label).map(|(_, n)| *n);
        let kept = output
            .iter()
            .map(|l| {
                extent(l).ok_or_else(|| OpError::Refused(format!("{l:?} of the result is in no operand")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if (1..output.len()).any(|i| output[..i].contains(&output[i])) {
            return Err("a label repeats in the result".into());
        }
        let rest: Vec<Label> = extents.iter().map(|(l, _)| *l).filter(|l| !output.contains(l)).collect();
        let summed: Vec<usize> = rest.iter().filter_map(extent).collect();
        check_volume(&kept)?;
        check_volume(&summed)?;
        let steps = terms
            .iter()
            .enumerate()
            .map(|(i, term)| {
                let x = inputs.shape(i)?;
                // A label that occurs twice in a term means a diagonal, so its strides are added.
                let step = |label: &Label| {
                    (0..term.len())
                        .filter(|&k| term[k] == *label && x[k] != 1)
                        .map(|k| volume(&x[k + 1..]))
                        .sum::<usize>()
                };
                Ok((output.iter().map(step).collect(), rest.iter().map(step).collect()))
            })
            .collect::<Result<_, OpError>>()?;
        Ok(Loops { kept, summed, steps })
    }
}

/// Replaces the ellipsis of a term by `dots` labels.
fn expand(term: &[Label], dots: usize) -> Vec<Label> {
    term.iter()
        .flat_map(|l| match l {
            Label::Ellipsis => (0..dots).rev().map(Label::Dot).collect(),
            other => vec![*other],
        })
        .collect()
}

impl Operator for Einsum {
    fn op_type(&self) -> &str {
        "Einsum"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let dtype = inputs.need(0)?.dtype;
        Ok(vec![Fact { dtype, shape: self.loops(inputs)?.kept, value: None }])
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let loops = self.loops(site.inputs)?;
        match loops.pair(site) {
            Some(pair) => Ok(Built::new(pair, 2)),
            None => Ok(Built::new(loops, self.operands.len())),
        }
    }

    fn flops(&self, inputs: Facts<'_>, output: &Fact) -> u64 {
        self.loops(inputs).map_or(0, |l| 2 * (output.len() as u64).saturating_mul(volume(&l.summed) as u64))
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Whole
    }

    fn sums_along(&self, inputs: Facts<'_>, operand: usize) -> Option<Vec<usize>> {
        let labels = self.labels(inputs).ok()?;
        let term = labels.terms.get(operand)?;
        Some((0..term.len()).filter(|&at| !labels.output.contains(&term[at])).collect())
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        let labels = self.labels(sources.facts).ok()?;
        let codes =
            |of: &[Label]| of.iter().map(|l| labels.extents.iter().position(|(e, _)| e == l)).collect();
        let terms: Vec<Option<Vec<usize>>> = labels.terms.iter().map(|term| codes(term)).collect();
        let terms = terms.into_iter().collect::<Option<Vec<_>>>()?;
        sources.contracted(&terms, &codes(&labels.output)?, &output.shape)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn offset(mut index: usize, extents: &[usize], steps: &[usize]) -> usize {
    let mut at = 0;
    for (n, step) in extents.iter().zip(steps).rev() {
        at += index % n * step;
        index /= n;
    }
    at
}

impl Loops {
    /// Expresses the sum over two operands as a contraction.
    fn pair(&self, site: Site<'_>) -> Option<Contracted> {
        let [a, b] = self.steps.as_slice() else { return None };
        let kept = (0..self.kept.len()).map(|i| Index {
            extent: self.kept[i],
            a: a.0[i],
            b: b.0[i],
            c: volume(&self.kept[i + 1..]),
        });
        let summed =
            (0..self.summed.len()).map(|i| Index { extent: self.summed[i], a: a.1[i], b: b.1[i], c: 0 });
        let indices: Vec<Index> = kept.chain(summed).collect();
        Pair::new(site.isa, &indices, site.gradients).ok().map(Contracted)
    }

    fn at(&self, operand: usize, out: usize, sum: usize) -> usize {
        let (kept, summed) = &self.steps[operand];
        offset(out, &self.kept, kept) + offset(sum, &self.summed, summed)
    }
}

impl Kernel for Loops {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let operands: Vec<&[f32]> = io.operands.iter().map(|o| o.data(&io.reader)).collect();
        io.output.par_iter_mut().enumerate().for_each(|(out, y)| {
            let term =
                |s: usize| operands.iter().enumerate().map(|(i, x)| x[self.at(i, out, s)]).product::<f32>();
            *y = (0..volume(&self.summed)).map(term).sum();
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let others: Vec<(usize, &[f32])> = (0..io.operands.len())
            .filter(|&i| i != operand)
            .map(|i| (i, io.operands[i].data(&io.reader)))
            .collect();
        let dy = io.reader.read(io.output_gradient);
        let dx = &mut *io.gradient;
        if !accumulate {
            dx.fill(0.0);
        }
        for (out, dy) in dy.iter().enumerate() {
            for s in 0..volume(&self.summed) {
                let rest: f32 = others.iter().map(|(i, x)| x[self.at(*i, out, s)]).product();
                dx[self.at(operand, out, s)] += dy * rest;
            }
        }
    }
}

#[derive(Debug)]
struct Contracted(Pair);

impl Kernel for Contracted {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (a, b, y) = io.io2(0, 1);
        self.0.forward(1.0, a, b, y);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let (other, dy, dx) = io.io_input(1 - operand);
        self.0.backward(operand, 1.0, other, dy, dx, accumulate);
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        let cases: [(&str, &[&[usize]]); 11] = [
            ("ii,ij->j", &[&[3, 3], &[3, 2]]),
            ("ij,jk->k", &[&[2, 3], &[3, 2]]),
            ("bqhd,bkhd->bhqk", &[&[2, 3, 2, 4], &[2, 2, 2, 4]]),
            ("...i,i->...", &[&[2, 1, 3], &[3]]),
            ("bij,bjk->bik", &[&[2, 3, 4], &[2, 4, 2]]),
            ("ij,kj", &[&[2, 3], &[4, 3]]),
            ("...ii->...i", &[&[2, 3, 3]]),
            ("ij->", &[&[2, 3]]),
            ("i,j,k->kji", &[&[2], &[3], &[2]]),
            ("...ij, ...jk -> ...ik", &[&[2, 1, 2, 3], &[4, 3, 2]]),
            ("bhid,bhjd->bhij", &[&[1, 2, 3, 4], &[1, 2, 2, 4]]),
        ];
        for (equation, shapes) in cases {
            Case::new("Einsum", shapes.iter().map(|s| data(s)).collect())
                .attribute("equation", Attribute::Text(equation.into()))
                .check();
        }
    }
}
