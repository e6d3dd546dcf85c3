//! Replaces two consecutive transpositions by one, or by none if the second undoes the first.

use std::sync::Arc;

use super::{NotHere, Patch, Site};
use crate::attributes::Attributes;
use crate::ops::array::layout::Movement;
use crate::ops::build;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    let rank = site
        .node
        .inputs
        .first()
        .copied()
        .flatten()
        .and_then(|v| site.typed.fact(v).ok())
        .map_or(0, |f| f.shape.len());
    let order = |node: &TypedNode| match node.op.as_any().downcast_ref::<Movement>() {
        Some(Movement::Transpose(None)) => Ok((0..rank).rev().collect()),
        Some(Movement::Transpose(Some(order))) if order.len() == rank => Ok(order.clone()),
        _ => Err(NotHere::from("not a Transpose")),
    };
    let second = order(site.node)?;
    let (index, producer) = site.only_producer()?;
    let first = order(producer)?;
    if producer.epilogue.is_some() || site.node.epilogue.is_some() {
        return Err("an activation function is attached".into());
    }
    let both: Vec<usize> = second.iter().map(|&axis| first[axis]).collect();
    let op = if both.iter().enumerate().all(|(i, &axis)| i == axis) {
        build("Identity", &Attributes::new(1, vec![]))
    } else {
        Arc::new(Movement::Transpose(Some(both)))
    };
    Ok(Patch::new(index, TypedNode { op, inputs: producer.inputs.clone(), ..site.node.clone() }))
}

#[cfg(test)]
mod tests {
    use super::at;
    use crate::graph::ValueId;
    use crate::ops::array::layout::Movement;
    use crate::passes::attach_clip;
    use crate::passes::testing::{Net, ints};

    /// Consecutive transpositions `t0`, `t1`, …. An empty order reverses the axes.
    fn chain(shape: &[usize], orders: &[&[i64]]) -> (Net, Vec<ValueId>) {
        let (mut net, x) = Net::new(shape);
        let mut values = vec![x];
        for (i, order) in orders.iter().enumerate() {
            let perm = Some(("perm", ints(order))).filter(|_| !order.is_empty());
            let last = values[i];
            values.push(net.node("Transpose", &format!("t{i}"), &[last], perm.as_slice()));
        }
        (net, values)
    }

    fn order(movement: &Movement) -> &[usize] {
        match movement {
            Movement::Transpose(Some(order)) => order,
            _ => panic!("{movement:?}"),
        }
    }

    #[test]
    fn two_are_one_and_the_second_is_applied_to_the_first() {
        let (net, values) = chain(&[2, 3, 4], &[&[1, 0, 2], &[1, 2, 0]]);
        let mut net = net.build(&[values[2]]);
        let shape = net.typed.fact(values[2]).unwrap().shape.clone();
        assert_eq!(net.after(at), ["t1 = Transpose(x)"]);
        assert_eq!(order(net.op(0)), [0, 2, 1]);
        assert_eq!(shape, [2, 4, 3]);
    }

    #[test]
    fn what_undoes_the_first_leaves_nothing() {
        for orders in [[&[0, 2, 3, 1][..], &[0, 3, 1, 2]], [&[], &[]]] {
            let (net, values) = chain(&[1, 2, 3, 4], &orders);
            assert_eq!(net.build(&[values[2]]).after(at), ["t1 = Identity(x)"]);
        }
        let (net, values) = chain(&[2, 3, 4], &[&[1, 2, 0][..]; 3]);
        let mut net = net.build(&[values[3]]);
        assert_eq!(net.after(at), ["t2 = Identity(x)"]);
    }

    #[test]
    fn a_value_in_between_that_is_wanted_stays() {
        let orders: [&[i64]; 2] = [&[1, 0], &[1, 0]];
        let why = "a target or has another reader";
        let (net, values) = chain(&[2, 3], &orders);
        net.build(&values[1..]).refuses(at, "t1", why);
        let (mut net, values) = chain(&[2, 3], &orders);
        let z = net.node("Neg", "z", &[values[1]], &[]);
        net.build(&[values[2], z]).refuses(at, "t1", why);
    }

    #[test]
    fn an_activation_function_in_between_stays() {
        let (mut net, x) = Net::new(&[2, 3]);
        let t = net.node("Transpose", "t", &[x], &[]);
        let relu = net.node("Relu", "relu", &[t], &[]);
        let y = net.node("Transpose", "y", &[relu], &[]);
        let mut net = net.build(&[y]);
        assert_eq!(net.at("y", |site| at(site).map(|_| ())), Err("not a Transpose".into()));
        assert_eq!(net.after(attach_clip::at), ["relu = Transpose(x) in [0, inf]", "y = Transpose(relu)"]);
        net.refuses(at, "y", "an activation function is attached");
    }
}
