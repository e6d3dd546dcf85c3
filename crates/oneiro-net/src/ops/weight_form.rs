//! How the constants of an operator belong to the channels of its result.

/// Index of the variance among the inputs of `BatchNormalization`.
pub(crate) const VARIANCE: usize = 4;

/// How the constants of an operator belong to the channels of its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightForm {
    /// The filters (O, …) of a convolution, and a bias.
    Filters,
    /// Filters (I, O/groups, …) of a grouped transposed convolution, and a bias.
    Transposed {
        /// Number of groups of the convolution.
        groups: usize,
    },
    /// A matrix with one row for each channel, and a bias.
    Rows,
    /// A matrix with one column for each channel, and a bias.
    Columns,
    /// One number for each channel, in every constant.
    Channelwise,
}

impl WeightForm {
    /// Whether input `i` is one of the constants.
    pub fn holds(self, i: usize) -> bool {
        match self {
            WeightForm::Channelwise => (1..=VARIANCE).contains(&i),
            _ => i == 1 || i == 2,
        }
    }

    /// Returns the channel to which element `at` of input `i` belongs; `shape` is the shape of the input.
    pub fn channel(self, i: usize, shape: &[usize], at: usize) -> usize {
        let after = |axis: usize| shape.iter().skip(axis).product::<usize>().max(1);
        match self {
            WeightForm::Filters | WeightForm::Rows if i == 1 => at / after(1),
            WeightForm::Transposed { groups } if i == 1 => {
                let outputs = shape.get(1).copied().unwrap_or(1).max(1);
                let inputs = shape.first().map_or(1, |n| n / groups.max(1)).max(1);
                at / after(1) / inputs * outputs + at / after(2) % outputs
            }
            _ => at % shape.last().copied().unwrap_or(1).max(1),
        }
    }

    /// Returns the axis of the channels in a result of this rank.
    pub fn axis(self, rank: usize) -> Option<usize> {
        match self {
            WeightForm::Columns | WeightForm::Rows => rank.checked_sub(1),
            _ => (rank > 1).then_some(1),
        }
    }
}
