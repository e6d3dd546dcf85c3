//! Elementwise maps over values in blocks of channels, and sums over positions.

use super::isa_dispatch::isa_dispatch;
use super::lanes::LANES;
use super::lanes::Lanes;
use super::windows::{each_piece, part};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::epilogue::EpilogueAddresses;
use crate::kernels::epilogue::SharedEpilogue;
use crate::kernels::isa::Isa;
use crate::kernels::scratch::Disjoint;
use crate::kernels::team;

/// Positions of one partial sum. The rounding error of a long sum grows with the number of partial sums, not
/// of positions.
const CHAIN: usize = 64;

/// A function of operands a, b and c. Operand a has one value for each element; b and c have this or one
/// value a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// The result is a.
    Copy,
    /// The result is a + b.
    Add,
    /// The result is a − b.
    Sub,
    /// The result is −a.
    Neg,
    /// The result is a · b.
    Mul,
    /// a · b + c, where c has one value for each channel.
    Affine,
}

/// An operand of a map: one value for each element, one for each channel, or none.
#[derive(Clone, Copy, Debug)]
pub enum Per<'a> {
    /// The operand has one value for each element.
    Element(&'a [f32]),
    /// One value for each channel: of every image (`[rows][16]`), the same for all images (`[blocks][16]`),
    /// or one block for all.
    Channel(&'a [f32]),
    /// The operand does not exist.
    None,
}

/// Computes `dst = map(a, b, c)` over `rows` planes (images · blocks) of `plane` positions, or adds it to
/// `dst`.
///
/// # Panics
/// If a slice has the wrong length.
pub fn map(
    isa: Isa,
    map: Map,
    rows: usize,
    plane: usize,
    operands: [Per<'_>; 3],
    dst: &mut [f32],
    accumulate: bool,
    epilogue: &mut Epilogue<'_>,
) {
    assert_eq!(dst.len(), rows * plane * LANES, "{rows} rows of {plane} positions");
    for operand in operands {
        match operand {
            Per::Element(x) => {
                assert_eq!(x.len(), dst.len(), "an operand of {rows} rows of {plane} positions")
            }
            Per::Channel(x) => assert!(
                !x.is_empty() && x.len().is_multiple_of(LANES) && rows.is_multiple_of(x.len() / LANES),
                "{} numbers for the channels of {rows} rows",
                x.len()
            ),
            Per::None => {}
        }
    }
    let needed = match map {
        Map::Copy | Map::Neg => 1,
        Map::Add | Map::Sub | Map::Mul => 2,
        Map::Affine => 3,
    };
    assert!(operands[..needed].iter().all(|o| !matches!(o, Per::None)), "{map:?} lacks an operand");
    let epilogue = SharedEpilogue(epilogue.addresses(dst, rows, plane));
    let dst = Disjoint::new(dst);
    each_piece(rows, plane, 1, |row, from, to| {
        let at = (row * plane + from) * LANES;
        let address = |operand: Per<'_>| match operand {
            Per::Element(x) => (x[at..at + (to - from) * LANES].as_ptr(), LANES),
            Per::Channel(x) => (x[row / (rows * LANES / x.len()) * LANES..][..LANES].as_ptr(), 0),
            Per::None => (std::ptr::null(), 0),
        };
        let call = Piece {
            map,
            operands: operands.map(address),
            count: to - from,
            // SAFETY: pieces are disjoint, and each belongs to one task.
            dst: unsafe { part(&dst, at, (to - from) * LANES) },
            accumulate,
            epilogue: epilogue.get(),
            mask: row * super::mask_plane(plane) + from,
        };
        // SAFETY: operands and destination have the length of the piece (sliced above).
        unsafe { run_piece(isa, &call) };
    });
}

/// Computes `dst[row] = factor · Σ_p a[row, p]` for each channel, or adds it to `dst`. If b is given,
/// `a[row, p]` is multiplied by `b[row, p]`.
///
/// # Panics
/// If a slice has the wrong length.
pub fn sum(
    isa: Isa,
    rows: usize,
    plane: usize,
    a: &[f32],
    b: Option<&[f32]>,
    factor: f32,
    dst: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(dst.len(), rows * LANES, "{rows} rows");
    for x in [Some(a), b].into_iter().flatten() {
        assert_eq!(x.len(), rows * plane * LANES, "{rows} rows of {plane} positions");
    }
    team::chunks(dst, LANES, |row, dst| {
        let of = |x: &[f32]| x[row * plane * LANES..(row + 1) * plane * LANES].as_ptr();
        let call = Sum {
            a: of(a),
            b: b.map_or(std::ptr::null(), of),
            count: plane,
            factor,
            dst: dst.as_mut_ptr(),
            accumulate,
        };
        // SAFETY: the operands have the length of the row (sliced above), and the destination has sixteen
        // elements.
        unsafe { run_sum(isa, &call) };
    });
}

struct Piece<'a> {
    map: Map,
    /// Address of each operand, and its distance in elements between positions: 0 for one value a channel.
    operands: [(*const f32, usize); 3],
    count: usize,
    dst: *mut f32,
    accumulate: bool,
    epilogue: Option<&'a EpilogueAddresses>,
    mask: usize,
}

struct Sum {
    a: *const f32,
    b: *const f32,
    count: usize,
    factor: f32,
    dst: *mut f32,
    accumulate: bool,
}

isa_dispatch! {
    /// Applies a map to some positions of one row.
    fn run_piece(&Piece<'_>) = piece
}

isa_dispatch! {
    /// Sums a, or a · b, over the positions of one row.
    fn run_sum(&Sum) = sum_of
}

// The code below uses no closures. A closure that is not inlined is compiled without the instruction set, and
// passes its registers through memory.

/// # Safety
/// Each address of the call has `count` positions.
#[inline(always)]
unsafe fn piece<X: Lanes>(call: &Piece<'_>) {
    // SAFETY: each loop has the same contract as this function: all addresses have `count` positions.
    unsafe {
        match call.map {
            Map::Copy => each::<X, { Map::Copy as u8 }>(call),
            Map::Neg => each::<X, { Map::Neg as u8 }>(call),
            Map::Add => each::<X, { Map::Add as u8 }>(call),
            Map::Sub => each::<X, { Map::Sub as u8 }>(call),
            Map::Mul => each::<X, { Map::Mul as u8 }>(call),
            Map::Affine => each::<X, { Map::Affine as u8 }>(call),
        }
    }
}

/// Loads an operand at a position. A missing operand gives 0, which no map reads.
///
/// # Safety
/// The contract of [`piece`], for this position.
#[inline(always)]
unsafe fn operand<X: Lanes>(call: &Piece<'_>, which: usize, at: usize) -> X {
    let (address, step) = call.operands[which];
    // SAFETY: the caller keeps the contract of this function.
    unsafe { if address.is_null() { X::splat(0.0) } else { X::load(address.add(at * step)) } }
}

/// # Safety
/// The contract of [`piece`].
#[inline(always)]
unsafe fn each<X: Lanes, const MAP: u8>(call: &Piece<'_>) {
    const COPY: u8 = Map::Copy as u8;
    const NEG: u8 = Map::Neg as u8;
    const ADD: u8 = Map::Add as u8;
    const SUB: u8 = Map::Sub as u8;
    const MUL: u8 = Map::Mul as u8;
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        for at in 0..call.count {
            let (a, b, c) = (operand::<X>(call, 0, at), operand::<X>(call, 1, at), operand::<X>(call, 2, at));
            let mut value = match MAP {
                COPY => a,
                NEG => X::splat(0.0).sub(a),
                ADD => a.add(b),
                SUB => a.sub(b),
                MUL => a.mul(b),
                _ => c.multiply_add(a, b),
            };
            let to = call.dst.add(at * LANES);
            if call.accumulate {
                value = X::load(to).add(value);
            }
            if let Some(epilogue) = call.epilogue {
                value = epilogue.apply(value, to, call.mask + at);
            }
            value.store(to);
        }
    }
}

/// # Safety
/// The addresses of the call have `count` positions.
#[inline(always)]
unsafe fn sum_of<X: Lanes>(call: &Sum) {
    // SAFETY: the caller keeps the contract of this function.
    unsafe {
        let mut sum = X::splat(0.0);
        let mut first = 0;
        while first < call.count {
            let mut chain = X::splat(0.0);
            let end = call.count.min(first + CHAIN);
            for at in first..end {
                let a = X::load(call.a.add(at * LANES));
                chain = if call.b.is_null() {
                    chain.add(a)
                } else {
                    chain.multiply_add(a, X::load(call.b.add(at * LANES)))
                };
            }
            sum = sum.add(chain);
            first = end;
        }
        let mut result = sum.mul(X::splat(call.factor));
        if call.accumulate {
            result = X::load(call.dst).add(result);
        }
        result.store(call.dst);
    }
}
