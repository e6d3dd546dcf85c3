//! Sums and products of two values in blocks of channels. They have the same shape, or one has a single
//! number for each channel.

use crate::error::OpError;
use crate::kernels::blocked::{Map, Per, sum};
use crate::ops::blocked::{Maps, padded, plane_of};
use crate::ops::math::binary::Function;
use crate::ops::{Backward, Built, Fact, Forward, Kernel, Site};

/// How many numbers an operand has, and where they come from.
#[derive(Debug, Clone)]
enum Side {
    /// One number for each element of the result.
    Element,
    /// One number for each channel of every image, computed from the data.
    Channel,
    /// A constant with one number for each channel. It is part of the kernel.
    Constant(Vec<f32>),
}

/// Returns the kernel, if there is one for these operands.
pub(super) fn built(function: Function, site: Site<'_>) -> Result<Option<Built>, OpError> {
    let map = match function {
        Function::Add => Map::Add,
        Function::Sub => Map::Sub,
        Function::Mul => Map::Mul,
        _ => return Ok(None),
    };
    let (Some(a), Some(b)) =
        (side(site.inputs.need(0)?, site.output)?, side(site.inputs.need(1)?, site.output)?)
    else {
        return Ok(None);
    };
    // At least one operand must have the shape of the result.
    if !matches!(a, Side::Element) && !matches!(b, Side::Element) {
        return Ok(None);
    }
    let sides = [a, b];
    let operands = (0..2).filter(|&i| !matches!(sides[i], Side::Constant(_))).collect();
    let maps = Maps::over(site.isa, site.output);
    Ok(Some(Built::over(BlockedZip { maps, map, sides }, operands)))
}

fn side(fact: &Fact, output: &Fact) -> Result<Option<Side>, OpError> {
    let shape = &output.shape;
    Ok(match &fact.value {
        None if fact.shape == *shape => Some(Side::Element),
        None => {
            let of_channels =
                fact.shape.len() == shape.len() && fact.shape[..2] == shape[..2] && plane_of(fact) == 1;
            of_channels.then_some(Side::Channel)
        }
        Some(constant) => {
            // Aligned with the result's last axes, the constant has one number, or one for each index of axis
            // 1.
            let ones = fact.shape.iter().rev().skip(shape.len() - 2).skip(1).all(|&d| d == 1);
            let spatial = fact.shape.iter().rev().take(shape.len() - 2).all(|&d| d == 1);
            let values = constant.as_floats()?;
            if values.len() == 1 && fact.shape.len() <= shape.len() {
                Some(Side::Constant(padded(&vec![values[0]; shape[1]])))
            } else if spatial && ones && values.len() == shape[1] && fact.shape.len() >= shape.len() - 1 {
                Some(Side::Constant(padded(&values)))
            } else {
                None
            }
        }
    })
}

#[derive(Debug)]
struct BlockedZip {
    maps: Maps,
    map: Map,
    sides: [Side; 2],
}

impl BlockedZip {
    /// Index of operand `i` of the function among the kernel's operands.
    fn operand(&self, i: usize) -> usize {
        i - usize::from(i == 1 && matches!(self.sides[0], Side::Constant(_)))
    }

    /// Index of the function's operand that is operand `k` of the kernel.
    fn side_of(&self, k: usize) -> usize {
        k + usize::from(matches!(self.sides[0], Side::Constant(_)))
    }

    fn per<'a>(&'a self, i: usize, data: impl FnOnce(usize) -> &'a [f32]) -> Per<'a> {
        match &self.sides[i] {
            Side::Element => Per::Element(data(self.operand(i))),
            Side::Channel => Per::Channel(data(self.operand(i))),
            Side::Constant(values) => Per::Channel(values),
        }
    }
}

impl Kernel for BlockedZip {
    fn joins_team(&self) -> bool {
        true
    }

    fn backward_reads_inputs(&self) -> bool {
        self.map == Map::Mul
    }

    fn applies_clip(&self) -> bool {
        true
    }

    fn applies_activation_mask(&self, operand: usize) -> bool {
        matches!(self.sides[self.side_of(operand)], Side::Element)
    }

    fn passes_gradient(&self, operand: usize) -> bool {
        let side = self.side_of(operand);
        let as_it_is = self.map == Map::Add || self.map == Map::Sub && side == 0;
        as_it_is && matches!(self.sides[side], Side::Element)
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let mut epilogue = io.epilogue();
        let Forward { reader, operands, output, .. } = io;
        let of = |i: usize| self.per(i, |k| operands[k].data(reader));
        self.maps.run(self.map, [of(0), of(1), Per::None], output, false, &mut epilogue);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, which, mut epilogue) = (io.accumulate, self.side_of(io.operand), io.epilogue());
        let Backward { reader, operands, gradient, .. } = io;
        let dy = reader.read(io.output_gradient);
        let negative = self.map == Map::Sub && which == 1;
        if matches!(self.sides[which], Side::Channel) {
            let Maps { isa, rows, plane } = self.maps;
            let other = (self.map == Map::Mul).then(|| operands[self.operand(1 - which)].data(reader));
            sum(isa, rows, plane, dy, other, if negative { -1.0 } else { 1.0 }, gradient, accumulate);
            return;
        }
        let (map, other) = match self.map {
            Map::Mul => (Map::Mul, self.per(1 - which, |k| operands[k].data(reader))),
            _ if negative => (Map::Neg, Per::None),
            _ => (Map::Copy, Per::None),
        };
        self.maps.run(map, [Per::Element(dy), other, Per::None], gradient, accumulate, &mut epilogue);
    }
}
