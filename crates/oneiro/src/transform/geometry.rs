//! Maps that only move pixels. Each computes some rows of the result from the whole input plane, and writes
//! all elements of its output.

/// A line of `to` cells starts at cell `offset` of a line of `from` cells. Returns the first cell and the
/// number of cells of the overlap in the new line, and its first cell in the old line.
fn overlap(from: usize, offset: isize, to: usize) -> (usize, usize, usize) {
    let first = usize::try_from(-offset).unwrap_or(0).min(to);
    let source = usize::try_from(offset).unwrap_or(0).min(from);
    (first, (to - first).min(from - source), source)
}

/// Computes out(y, x) = in(y + dy, x + dx), with `fill` outside the input. With −dy, −dx and a fill of 0, the
/// function is its own adjoint.
pub fn place(
    input: &[f32],
    from: [usize; 2],
    [dy, dx]: [isize; 2],
    fill: f32,
    out: &mut [f32],
    to: [usize; 2],
) {
    let (top, rows, source_y) = overlap(from[0], dy, to[0]);
    let (left, columns, source_x) = overlap(from[1], dx, to[1]);
    if [rows, columns] != to {
        out.fill(fill);
    }
    for row in 0..rows {
        let (at, source) = ((top + row) * to[1] + left, (source_y + row) * from[1] + source_x);
        out[at..at + columns].copy_from_slice(&input[source..source + columns]);
    }
}

/// Returns the cell that position `i` shows when a line of `n` cells continues by reflection in both
/// directions. The end cells are not repeated.
pub fn reflected(i: isize, n: usize) -> usize {
    let period = 2 * (n as isize - 1);
    if period == 0 {
        return 0;
    }
    let i = i.rem_euclid(period);
    i.min(period - i) as usize
}

/// Iterates over the source cells of a line that is padded by p reflected cells at both ends.
fn reflected_line(n: usize, p: usize) -> impl Iterator<Item = usize> + Clone {
    (0..n + 2 * p)
        .map(move |i| if (p..p + n).contains(&i) { i - p } else { reflected(i as isize - p as isize, n) })
}

/// Pads by p reflected pixels on each side. `out` is the rows of the result from `first` on.
pub fn reflect(input: &[f32], [height, width]: [usize; 2], p: usize, first: usize, out: &mut [f32]) {
    let columns = reflected_line(width, p);
    for (row, y) in out.chunks_exact_mut(width + 2 * p).zip(reflected_line(height, p).skip(first)) {
        let source = &input[y * width..(y + 1) * width];
        row.iter_mut().zip(columns.clone()).for_each(|(out, x)| *out = source[x]);
    }
}

/// Adjoint of [`reflect`]: each pixel's gradient is the sum over its copies. `grad_in` is the rows of the
/// gradient from `first` on.
pub fn reflect_adjoint(
    grad_out: &[f32],
    p: usize,
    first: usize,
    grad_in: &mut [f32],
    [height, width]: [usize; 2],
) {
    grad_in.fill(0.0);
    let columns = reflected_line(width, p);
    for (row, y) in grad_out.chunks_exact(width + 2 * p).zip(reflected_line(height, p)) {
        let Some(source) = y.checked_sub(first).and_then(|y| grad_in.chunks_exact_mut(width).nth(y)) else {
            continue;
        };
        row.iter().zip(columns.clone()).for_each(|(grad, x)| source[x] += grad);
    }
}

/// Computes out((y + dy) mod H, (x + dx) mod W) = in(y, x), for dy < H and dx < W. `out` is the rows of the
/// result from `first` on.
pub fn roll(input: &[f32], [height, width]: [usize; 2], [dy, dx]: [usize; 2], first: usize, out: &mut [f32]) {
    for (y, out) in (first..).zip(out.chunks_exact_mut(width)) {
        let row = &input[(y + height - dy) % height * width..][..width];
        let (left, right) = out.split_at_mut(dx);
        right.copy_from_slice(&row[..width - dx]);
        left.copy_from_slice(&row[width - dx..]);
    }
}

/// Adjoint of [`roll`], which is also its inverse.
pub fn roll_adjoint(
    grad_out: &[f32],
    [height, width]: [usize; 2],
    [dy, dx]: [usize; 2],
    first: usize,
    grad_in: &mut [f32],
) {
    roll(grad_out, [height, width], [(height - dy) % height, (width - dx) % width], first, grad_in);
}

/// Reverses each row. The function is its own adjoint.
pub fn flip(input: &[f32], width: usize, out: &mut [f32]) {
    for (row, out) in input.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        out.iter_mut().zip(row.iter().rev()).for_each(|(out, x)| *out = *x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_does_not_repeat_the_ends() {
        assert_eq!(reflected_line(3, 2).collect::<Vec<_>>(), [2, 1, 0, 1, 2, 1, 0]);
        assert_eq!(reflected_line(2, 3).collect::<Vec<_>>(), [1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(reflected_line(1, 2).collect::<Vec<_>>(), [0; 5]);
    }

    #[test]
    fn place_pads_crops_and_misses() {
        let mut out = [0.0; 6];
        place(&[1.0, 2.0, 3.0, 4.0], [2, 2], [0, -1], 9.0, &mut out, [2, 3]);
        assert_eq!(out, [9.0, 1.0, 2.0, 9.0, 3.0, 4.0]);
        let mut out = [0.0; 1];
        place(&[1.0, 2.0, 3.0, 4.0], [2, 2], [1, 1], 9.0, &mut out, [1, 1]);
        assert_eq!(out, [4.0]);
        for offset in [-5, 5] {
            let mut out = [0.0; 4];
            place(&[1.0, 2.0, 3.0, 4.0], [2, 2], [offset, 0], 9.0, &mut out, [2, 2]);
            assert_eq!(out, [9.0; 4]);
        }
    }

    #[test]
    fn roll_wraps_around() {
        let mut out = [0.0; 6];
        roll(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3], [1, 1], 0, &mut out);
        assert_eq!(out, [6.0, 4.0, 5.0, 3.0, 1.0, 2.0]);
    }
}
