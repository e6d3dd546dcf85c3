//! Receptive fields along one axis: which interval of source positions each position reads, exactly.
//!
//! Strides within a network may be fractions: after upsampling by 2, neighbouring positions are half a source
//! position apart, and what they read depends on whether a position is even or odd. [`Reads`] therefore holds
//! one interval for each position of a period, and by how much the source position advances from period to
//! period. Such maps can be composed.

/// The longest period that is represented. A period is at most about as long as a map.
const MAX_PERIOD: usize = 1 << 14;

/// The number of short periods that are tried if a resized axis does not advance in proportion to the
/// extents.
const SHORT_PERIODS: usize = 8;

/// For each position along an endless axis, the interval of source positions that it reads, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads {
    /// By how many source positions the intervals advance from one period to the next.
    advance: i64,
    /// First and last source position for each position of the period that begins at position 0.
    phases: Vec<Option<(i64, i64)>>,
}

impl Reads {
    /// Whether all positions read alike, that is, whether the period is one position.
    pub fn is_regular(&self) -> bool {
        self.phases.len() == 1
    }

    /// Returns the first source position that position 0 reads; 0 if it reads none.
    pub fn first(&self) -> i64 {
        self.phases.first().copied().flatten().map_or(0, |(first, _)| first)
    }

    /// Every position reads the source position of the same index.
    pub fn own() -> Self {
        Self::window(1, 1, 0)
    }

    /// Every position reads a window of `extent` source positions. Windows are `stride` apart, and the first
    /// begins `before` positions before the source.
    pub fn window(extent: usize, stride: usize, before: usize) -> Self {
        let first = -(before as i64);
        Self { advance: stride as i64, phases: vec![Some((first, first + extent as i64 - 1))] }
    }

    /// Position p reads the one source position `at` + p·`stride`.
    pub fn moved(at: i64, stride: i64) -> Self {
        Self { advance: stride, phases: vec![Some((at, at))] }
    }

    /// Every source position is read by `n` consecutive positions, as in nearest-neighbour upsampling.
    pub fn repeated(n: usize) -> Self {
        Self { advance: 1, phases: vec![Some((0, 0)); n.max(1)] }
    }

    /// The reads of a transposed convolution. Source position q contributes to `kernel` output positions,
    /// `dilation` apart, from q·`stride` − `before` on.
    pub fn spread(kernel: usize, stride: usize, dilation: usize, before: usize) -> Self {
        let (stride, dilation, before) = (stride.max(1) as i64, dilation as i64, before as i64);
        let source = |p: i64| {
            let taps = (0..kernel as i64).map(|tap| p + before - tap * dilation);
            let hit = taps.filter(|at| at.rem_euclid(stride) == 0).map(|at| at.div_euclid(stride));
            hit.fold(None, |found: Option<(i64, i64)>, q| Some(hull(found, q)))
        };
        Self { advance: 1, phases: (0..stride).map(source).collect() }.reduced()
    }

    /// Approximates a list of source positions, with `None` for padding. The result continues the longest run
    /// of equal steps, if this run contains more than half of the positions; otherwise there is no result.
    pub fn listed(positions: &[Option<usize>]) -> Option<Self> {
        let known: Vec<(i64, i64)> =
            positions.iter().enumerate().filter_map(|(i, p)| p.map(|p| (i as i64, p as i64))).collect();
        if let [(i, p)] = known[..] {
            return Some(Self::moved(p - i, 1));
        }
        let step = |k: usize| (known[k + 1].0 == known[k].0 + 1).then(|| known[k + 1].1 - known[k].1);
        let (mut best, mut k) = ((0, 0), 0);
        while k + 1 < known.len() {
            let from = k;
            while k + 1 < known.len() && step(k).is_some() && step(k) == step(from) {
                k += 1;
            }
            if k - from > best.0 {
                best = (k - from, from);
            }
            k = k.max(from + 1);
        }
        let (len, from) = best;
        let step = (2 * (len + 1) > known.len() && len > 0).then(|| step(from)).flatten()?;
        let (i, p) = known[from];
        (step != 0).then(|| Self::moved(p - i * step, step))
    }

    /// The reads of an axis that is resized from the extent `len`. `taps` has the first and last source index
    /// that each position reads, clamped to the source.
    pub fn stretched(taps: &[Option<(usize, usize)>], len: usize) -> Option<Self> {
        let n = taps.len();
        let at = |p: usize| taps[p].map(|(a, b)| (a as i64, b as i64));
        let inside = |p: usize| at(p).filter(|(a, b)| *a > 0 && *b + 1 < len as i64);
        let fits = |(advance, period): &(i64, usize)| {
            (0..n.saturating_sub(*period)).all(|p| match (inside(p), inside(p + period)) {
                (Some(a), Some(b)) => b == (a.0 + advance, a.1 + advance),
                _ => true,
            })
        };
        let ratio = |from: usize, to: usize| {
            let divisor = gcd(from, to).max(1);
            ((from / divisor) as i64, to / divisor)
        };
        let middle = n / 2;
        let short = (1..=SHORT_PERIODS.min((n - middle).saturating_sub(1)))
            .filter_map(|q| Some((at(middle + q)?.0 - at(middle)?.0, q)));
        let proportional = ratio(len, n);
        let corners = (n > 1 && len > 1).then(|| ratio(len - 1, n - 1));
        let mut tried = std::iter::once(proportional).chain(short).chain(corners);
        let found = tried.find(|found| found.0 > 0 && fits(found));
        let (advance, period) = found.unwrap_or(proportional);
        if advance == 0 || period == 0 || period > MAX_PERIOD {
            return None;
        }
        let phase = |j: usize| {
            let places = (j..n).step_by(period);
            let moved = |p: usize| {
                at(p).map(|(a, b)| {
                    let by = (p / period) as i64 * advance;
                    (a - by, b - by)
                })
            };
            if found.is_none() {
                // No period describes all positions: each phase gets the hull of what its positions read.
                return places.filter_map(moved).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            }
            // The position nearest to the middle is the least clamped at the borders.
            places.min_by_key(|p| p.abs_diff(middle)).and_then(moved)
        };
        Some(Self { advance, phases: (0..period).map(phase).collect() }.reduced())
    }

    /// The reads of an index that is composed of several factors. `advance` is the step of the most
    /// significant factor. `lower` holds the extent and the step of each of the other factors.
    pub fn digits(advance: usize, lower: &[(usize, usize)]) -> Option<Self> {
        let period = lower.iter().try_fold(1usize, |n, (extent, _)| n.checked_mul(*extent))?;
        let place = |i: usize| {
            let mut rest = i;
            let place = lower.iter().rev().fold(0, |sum, (extent, step)| {
                let digit = rest % extent;
                rest /= extent;
                sum + digit * step
            });
            Some((place as i64, place as i64))
        };
        (period <= MAX_PERIOD)
            .then(|| Self { advance: advance as i64, phases: (0..period).map(place).collect() }.reduced())
    }

    /// The source is divided into blocks of `old` positions, and `self` is applied to each block separately,
    /// giving `new` positions.
    pub fn within(&self, old: usize, new: usize) -> Option<Self> {
        let last = old as i64 - 1;
        let clipped = |p: i64| {
            let (a, b) = self.at(p)?;
            (b >= 0 && a <= last).then(|| (a.max(0), b.min(last)))
        };
        let sane = (1..=MAX_PERIOD).contains(&new);
        sane.then(|| Self { advance: old as i64, phases: (0..new as i64).map(clipped).collect() }.reduced())
    }

    fn period(&self) -> i64 {
        self.phases.len() as i64
    }

    fn at(&self, p: i64) -> Option<(i64, i64)> {
        let (period, phase) = (p.div_euclid(self.period()), p.rem_euclid(self.period()));
        let by = period.saturating_mul(self.advance);
        self.phases[phase as usize].map(|(a, b)| (a.saturating_add(by), b.saturating_add(by)))
    }

    /// Returns the hull of all source positions that the positions from `first` to `last` read.
    fn over(&self, first: i64, last: i64) -> Option<(i64, i64)> {
        let period = self.period();
        let join = |a: Option<(i64, i64)>, b: Option<(i64, i64)>| match (a, b) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        let read = |range: std::ops::RangeInclusive<i64>| range.map(|p| self.at(p)).fold(None, join);
        if last - first < 2 * period {
            read(first..=last)
        } else {
            // Intervals move in one direction from period to period, so the first and the last period bound
            // all others.
            join(read(first..=first + period - 1), read(last - period + 1..=last))
        }
    }

    /// Composes: returns what `self` reads of the source of `source`. Returns `None` if the period is too
    /// long.
    pub fn of(&self, source: &Reads) -> Option<Self> {
        let stretch =
            source.period() / gcd(source.period() as usize, self.advance.unsigned_abs() as usize) as i64;
        let period = self.period().checked_mul(stretch).filter(|&p| p <= MAX_PERIOD as i64)?;
        let moved = self.advance * stretch / source.period();
        let read = |p: i64| self.at(p).and_then(|(a, b)| source.over(a, b));
        let advance = moved.checked_mul(source.advance)?;
        Some(Self { advance, phases: (0..period).map(read).collect() }.reduced())
    }

    /// Every position also reads what the other values of one factor of its index read. The factor has this
    /// step and extent.
    pub fn widened(&self, step: usize, extent: usize) -> Option<Self> {
        if extent <= 1 {
            return Some(self.clone());
        }
        let block = step.checked_mul(extent).filter(|&n| n <= MAX_PERIOD)? as i64;
        let (step, extent) = (step as i64, extent as i64);
        let period = lcm(self.period(), block)?;
        let read = |p: i64| {
            let base = p - p.div_euclid(step).rem_euclid(extent) * step;
            let all = (0..extent).filter_map(|k| self.at(base + k * step));
            all.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        };
        let advance = self.advance.checked_mul(period / self.period())?;
        Some(Self { advance, phases: (0..period).map(read).collect() }.reduced())
    }

    /// Returns reads in which position 0 reads all that the first `n` positions read. Further positions are
    /// as far apart as before.
    pub fn joined(&self, n: usize) -> Self {
        let all = self.over(0, n.max(1) as i64 - 1);
        Self { advance: self.stride(1) as i64, phases: vec![all] }
    }

    /// Returns the hull of both, along an axis of `n` positions, and whether both have the same stride. If
    /// the strides differ, the result has the larger one.
    pub fn with(&self, other: &Reads, n: usize) -> (Self, bool) {
        let (p, q) = (self.period(), other.period());
        let steps = |a: &Reads, b: &Reads| i128::from(a.advance.abs()) * i128::from(b.period());
        if i128::from(self.advance) * i128::from(q) == i128::from(other.advance) * i128::from(p)
            && let Some(period) = lcm(p, q)
        {
            let read = |k: i64| match (self.at(k), other.at(k)) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            };
            let advance = self.advance * (period / p);
            return (Self { advance, phases: (0..period).map(read).collect() }.reduced(), true);
        }
        let (large, small) =
            if steps(self, other) >= steps(other, self) { (self, other) } else { (other, self) };
        let both = (0..n as i64).filter_map(|k| large.at(k).zip(small.at(k)));
        let beyond = both.fold((0, 0), |(before, after), (a, b)| {
            (i64::max(before, a.0 - b.0), i64::max(after, b.1 - a.1))
        });
        let wider = |(a, b): (i64, i64)| (a - beyond.0, b + beyond.1);
        let phases = large.phases.iter().map(|phase| phase.map(wider)).collect();
        (Self { advance: large.advance, phases }, large.stride(1) == small.stride(1))
    }

    /// Widens the intervals until they are at least as long as the other's.
    pub fn as_wide_as(&self, other: &Reads) -> Self {
        let more = (other.extent() as i64 - self.extent() as i64).max(0);
        let phases = self.phases.iter().map(|phase| phase.map(|(a, b)| (a, b + more))).collect();
        Self { advance: self.advance, phases }
    }

    /// Returns the length of the longest interval of source positions.
    pub fn extent(&self) -> usize {
        self.phases.iter().flatten().map(|(a, b)| (b - a + 1).max(0) as usize).max().unwrap_or(0)
    }

    /// Returns the distance in the source between positions that are `step` apart, rounded and at least 1.
    pub fn stride(&self, step: usize) -> usize {
        let (advance, period) = (self.advance.unsigned_abs() as usize, self.phases.len());
        rounded(advance.saturating_mul(step), period)
    }

    /// Returns the same reads with the shortest period.
    fn reduced(self) -> Self {
        let n = self.phases.len();
        let repeats = |d: &usize| {
            let d = *d;
            let by = self.advance * d as i64;
            n.is_multiple_of(d)
                && by % n as i64 == 0
                && (d..n).all(|k| {
                    let by = by / n as i64;
                    self.phases[k] == self.phases[k - d].map(|(a, b)| (a + by, b + by))
                })
        };
        match (1..n).find(repeats) {
            Some(d) => {
                Self { advance: self.advance * d as i64 / n as i64, phases: self.phases[..d].to_vec() }
            }
            None => self,
        }
    }
}

/// Returns `from` divided by `to`, rounded and at least 1.
pub fn rounded(from: usize, to: usize) -> usize {
    let to = to.max(1);
    (from.saturating_add(to / 2) / to).max(1)
}

fn hull(found: Option<(i64, i64)>, q: i64) -> (i64, i64) {
    found.map_or((q, q), |(a, b)| (a.min(q), b.max(q)))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: i64, b: i64) -> Option<i64> {
    let divisor = gcd(a as usize, b as usize).max(1) as i64;
    (a / divisor).checked_mul(b).filter(|&n| n <= MAX_PERIOD as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(layers: &[Reads]) -> Reads {
        layers.iter().fold(Reads::own(), |source, layer| layer.of(&source).unwrap())
    }

    #[test]
    fn layers_compose() {
        let conv = |k: usize, s: usize| Reads::window(k, s, k / 2);
        let halves = Reads::stretched(&(0..28).map(|p| Some((p / 2, p / 2))).collect::<Vec<_>>(), 14);
        let linear = |p: usize| {
            let at = (p as f64 + 0.5) / 2.0 - 0.5;
            let index = |x: f64| x.clamp(0.0, 13.0) as usize;
            Some((index(at.floor()), index(at.ceil())))
        };
        let linear = Reads::stretched(&(0..28).map(linear).collect::<Vec<_>>(), 14);
        let (halves, linear) = (halves.unwrap(), linear.unwrap());
        let mut failures = Vec::new();
        // The expected numbers are extent and stride of the receptive field.
        for (name, layers, expected) in [
            ("two convolutions", vec![conv(3, 2), conv(3, 2)], (7, 4)),
            ("a dilated one", vec![conv(3, 1), Reads::window(5, 1, 2)], (7, 1)),
            ("even window, doubled, 3", vec![conv(3, 2), conv(3, 2), halves.clone(), conv(3, 1)], (11, 2)),
            ("doubled in lines, 3", vec![conv(3, 2), conv(3, 2), linear, conv(3, 1)], (15, 2)),
            ("doubled, taken in pairs", vec![conv(3, 2), halves, Reads::window(2, 2, 0)], (3, 2)),
            (
                "transposed 2 by 2",
                vec![conv(3, 2), conv(3, 2), Reads::spread(2, 2, 1, 0), conv(3, 1)],
                (11, 2),
            ),
            ("transposed 4 by 2", vec![conv(3, 4), Reads::spread(4, 2, 1, 1)], (7, 2)),
            ("every second", vec![Reads::moved(1, 2), conv(3, 1)], (5, 2)),
            ("repeated", vec![conv(3, 2), Reads::repeated(2)], (3, 1)),
            ("backwards", vec![Reads::moved(9, -1), conv(3, 2)], (3, 2)),
        ] {
            let reads = chain(&layers);
            if (reads.extent(), reads.stride(1)) != expected {
                failures.push(format!("{name}: {reads:?}, not {expected:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn a_list_of_positions_has_a_step() {
        let some = |v: &[usize]| v.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(Reads::listed(&some(&[1, 3, 5])), Some(Reads::moved(1, 2)));
        // In this roll, most positions move by three.
        assert_eq!(Reads::listed(&some(&[3, 4, 5, 6, 7, 0, 1, 2])), Some(Reads::moved(3, 1)));
        let padded = [None, Some(0), Some(1), Some(2), None];
        assert_eq!(Reads::listed(&padded), Some(Reads::moved(-1, 1)));
        assert_eq!(Reads::listed(&some(&[0, 4, 1, 7, 2, 0])), None);
    }

    #[test]
    fn a_factor_that_is_free_widens() {
        let windows = Reads::own().widened(1, 7).unwrap();
        assert_eq!((windows.extent(), windows.stride(1)), (7, 1));
        assert_eq!(windows.at(8), Some((7, 13)));
        // An axis of eight positions is split into two factors, of which the upper one has step 2 and extent
        // 4.
        assert_eq!(Reads::own().widened(2, 4).unwrap().at(1), Some((1, 7)));
        // Pairs are pooled within blocks of six positions.
        let pooled = Reads::window(2, 2, 0).within(6, 3).unwrap();
        assert_eq!(pooled, Reads::window(2, 2, 0));
        let bordered = Reads::window(3, 1, 1).within(4, 4).unwrap();
        assert_eq!((bordered.at(3), bordered.at(4)), (Some((2, 3)), Some((4, 5))));
        assert_eq!(Reads::digits(4, &[(2, 1)]).unwrap().at(3), Some((5, 5)));
    }

    #[test]
    fn sums_keep_step_or_say_that_they_do_not() {
        let (even, odd) = (Reads::moved(0, 2), Reads::moved(1, 2));
        let (both, same) = even.with(&odd, 8);
        assert_eq!((both.extent(), both.stride(1), same), (2, 2, true));
        let (both, same) = Reads::own().with(&Reads::moved(0, 4), 8);
        assert_eq!((both.stride(1), same), (4, false));
        assert_eq!(both.extent(), 22);
    }
}
