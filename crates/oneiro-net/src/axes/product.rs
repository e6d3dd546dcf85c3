//! Axes of products that sum over shared axes: matrix products and Einstein sums. A summed axis disappears.
//! In a product with weights, a new axis replaces it.

use super::rules::{Sources, clarity};
use super::{Axes, Axis, Kind, Part};

impl Sources<'_> {
    /// Returns the axes of the matrix product of inputs 0 and 1 (`MatMul`, `Gemm`), without the summed axes.
    /// `transposed` says for each input whether its last two axes are swapped first.
    pub fn multiplied(&self, transposed: [bool; 2], output: &[usize]) -> Option<Axes> {
        let ranks = [self.shape(0).len(), self.shape(1).len()];
        let labels = |operand: usize, row: usize, column: usize| -> Vec<usize> {
            let rank = ranks[operand];
            // Labels of leading axes count from the last axis, because broadcasting aligns them there.
            let mut labels: Vec<usize> = (2..rank).rev().map(|from_end| from_end + 1).collect();
            match (rank, operand) {
                (1, 0) => labels.push(column),
                (1, _) => labels.push(row),
                _ if transposed[operand] => labels.extend([column, row]),
                _ => labels.extend([row, column]),
            }
            labels
        };
        const ROW: usize = 0;
        const SUMMED: usize = 1;
        const COLUMN: usize = 2;
        let terms = [labels(0, ROW, SUMMED), labels(1, SUMMED, COLUMN)];
        let lead = ranks[0].max(ranks[1]);
        let mut result: Vec<usize> = (2..lead).rev().map(|from_end| from_end + 1).collect();
        result.extend((ranks[0] > 1).then_some(ROW));
        result.extend((ranks[1] > 1).then_some(COLUMN));
        self.contracted(&terms, &result, output)
    }

    /// Returns the axes of a sum of products over shared labels. `terms` has the labels of each operand's
    /// axes, `result` the labels of the output's axes.
    pub fn contracted(&self, terms: &[Vec<usize>], result: &[usize], output: &[usize]) -> Option<Axes> {
        let data: Vec<usize> = (0..terms.len()).filter(|&i| self.get(i).is_some()).collect();
        if data.is_empty() || result.len() != output.len() {
            return None;
        }
        let found = |label: usize, n: usize| {
            let of = |&i: &usize| {
                let at = terms[i].iter().position(|&l| l == label)?;
                (self.shape(i).get(at) == Some(&n)).then(|| self.axis(i, at))
            };
            // If an axis is equally well known from both operands, positions come from the first operand
            // (queries) and channels from the last (values).
            let last = data.iter().filter_map(of).max_by_key(clarity)?;
            let positions = |axis: &Axis| axis.iter().any(|p| p.kind.is_spatial());
            let first = data.iter().filter_map(of).find(|axis| clarity(axis) == clarity(&last));
            Some(first.filter(positions).unwrap_or(last))
        };
        let mut axes: Vec<Option<Axis>> = result.iter().zip(output).map(|(&l, &n)| found(l, n)).collect();
        // In a product with weights, an axis that only the weights have replaces the summed axes.
        if let [input] = data[..]
            && terms.len() <= 2
        {
            let summed: Vec<usize> =
                (0..terms[input].len()).filter(|&k| !result.contains(&terms[input][k])).collect();
            let from: Axis = summed.iter().flat_map(|&k| self.axis(input, k)).collect();
            let lower = channels_in(&from).map(|p| p.step.saturating_mul(p.extent)).max();
            let made: usize =
                axes.iter().zip(output).filter(|(axis, _)| axis.is_none()).map(|(_, &n)| n).product();
            let mut fresh = made_of(&from, made).into_iter().next()?;
            // If no other axis has channels, the new axis can only hold channels.
            let has_channels = axes.iter().flatten().flatten().any(|p| p.kind == Kind::Channel);
            if fresh.kind == Kind::Mixed && !has_channels {
                fresh.kind = Kind::Channel;
            }
            // A sum over the heads gives heads again: the new axis has the step of the summed one.
            let step = channels_in(&from).map(|p| p.step).min().unwrap_or(1);
            let mut rest = made.saturating_mul(step);
            for (axis, &n) in axes.iter_mut().zip(output).filter(|(axis, _)| axis.is_none()) {
                rest = rest.checked_div(n).unwrap_or(1);
                *axis = Some(vec![Part { extent: n, step: rest, kind: fresh.kind.clone() }]);
            }
            fresh.extent = made;
            let mut axes = Axes(axes.into_iter().map(Option::unwrap_or_default).collect());
            if let (Kind::Channel, Some(lower)) = (&fresh.kind, lower) {
                // Channel parts above the summed ones, such as heads, get a step in multiples of the new
                // extent.
                for (axis, label) in axes.0.iter_mut().zip(result) {
                    let kept = terms[input].contains(label);
                    for part in axis.iter_mut().filter(|p| kept && p.kind == Kind::Channel && p.step >= lower)
                    {
                        part.step = (part.step / lower).saturating_mul(made);
                    }
                }
            }
            return Some(axes);
        }
        let other = |(axis, &n): (Option<Axis>, &usize)| {
            axis.unwrap_or_else(|| if n == 1 { Axis::new() } else { vec![Part::new(Kind::Other, n)] })
        };
        Some(Axes(axes.into_iter().zip(output).map(other).collect()))
    }
}

/// Returns the axis that replaces a summed axis in a product with weights. It holds channels, unless the sum
/// runs over positions or the batch.
fn made_of(axis: &Axis, n: usize) -> Axis {
    let large = || axis.iter().filter(|p| p.extent > 1);
    let kind = if axis.iter().any(|p| p.kind == Kind::Batch) {
        Kind::Other
    } else if large().next().is_some() && large().all(|p| p.kind.is_spatial() || p.kind == Kind::Mixed) {
        Kind::Mixed
    } else {
        Kind::Channel
    };
    vec![Part::new(kind, n)]
}

fn channels_in(axis: &Axis) -> impl Iterator<Item = &Part> {
    axis.iter().filter(|p| p.kind == Kind::Channel)
}
