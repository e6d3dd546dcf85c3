//! Replaces x · sigmoid(x), which exporters write as two nodes, by one function (Ramachandran et al. 2017).
//! It reads x once, and the backward pass needs no other value.

use super::{NotHere, Patch, Site};
use crate::kernels::Smooth;
use crate::ops::math::binary::{Binary, Function};
use crate::ops::math::unary;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    let product = site.node.op.as_any().downcast_ref::<Binary>().ok_or("not a function of two variables")?;
    let [Some(a), Some(b)] = site.node.inputs[..] else { return Err("a factor is missing".into()) };
    if product.function != Function::Mul {
        return Err("not a product".into());
    }
    let merged = |gate: usize, x| -> Result<Patch, NotHere> {
        let (index, producer) = site.only_producer_of(gate)?;
        if unary::smooth(producer.op.as_ref()) != Some(Smooth::Sigmoid) || producer.epilogue.is_some() {
            return Err("the factor is not a sigmoid".into());
        }
        if producer.inputs.first() != Some(&Some(x)) {
            return Err("it is the sigmoid of something else".into());
        }
        Ok(Patch::new(
            index,
            TypedNode {
                name: site.node.name.clone(),
                op: unary::swish(),
                inputs: vec![Some(x)],
                outputs: site.node.outputs.clone(),
                epilogue: site.node.epilogue,
            },
        ))
    };
    merged(1, a).or_else(|_| merged(0, b))
}

#[cfg(test)]
mod tests {
    use super::at;
    use crate::graph::ValueId;
    use crate::passes::testing::Net;

    /// Multiplies x by a factor that `gate` computes from x. The product is `y`.
    fn gated(gate: &str, op: &str, gate_first: bool) -> (Net, [ValueId; 2]) {
        let (mut net, x) = Net::new(&[1, 2]);
        let g = net.node(gate, "g", &[x], &[]);
        let y = net.node(op, "y", &if gate_first { [g, x] } else { [x, g] }, &[]);
        (net, [g, y])
    }

    #[test]
    fn a_value_times_its_sigmoid_is_one_function_in_either_order() {
        for gate_first in [false, true] {
            let (net, [_, y]) = gated("Sigmoid", "Mul", gate_first);
            let mut net = net.build(&[y]);
            assert_eq!(net.nodes()[0], "g = Sigmoid(x)");
            assert_eq!(net.after(at), ["y = Swish(x)"]);
        }
    }

    #[test]
    fn other_products_stay() {
        let refuses = |(net, [_, y]): (Net, [ValueId; 2]), why: &str| net.build(&[y]).refuses(at, "y", why);
        refuses(gated("Sigmoid", "Add", false), "not a product");
        refuses(gated("Tanh", "Mul", true), "not a sigmoid");
        refuses(gated("HardSigmoid", "Mul", true), "not a sigmoid");
        // The first factor is tried last, so the reason for the refusal concerns it.
        refuses(gated("Tanh", "Mul", false), "the input is fed");
        // In this product, the sigmoid is that of another value.
        let (mut net, x) = Net::new(&[1, 2]);
        let other = net.input("other", &[1, 2]);
        let g = net.node("Sigmoid", "g", &[other], &[]);
        let y = net.node("Mul", "y", &[g, x], &[]);
        net.build(&[y]).refuses(at, "y", "the sigmoid of something else");
        // The sigmoid has another shape, and the product broadcasts it.
        let (mut net, x) = Net::new(&[1, 2]);
        let row = net.node("ReduceMean", "row", &[x], &[]);
        let g = net.node("Sigmoid", "g", &[row], &[]);
        let y = net.node("Mul", "y", &[g, x], &[]);
        net.build(&[y]).refuses(at, "y", "the sigmoid of something else");
    }

    #[test]
    fn a_sigmoid_that_something_else_reads_stays() {
        let why = "a target or has another reader";
        let (net, [g, y]) = gated("Sigmoid", "Mul", true);
        net.build(&[y, g]).refuses(at, "y", why);
        let (mut net, [g, y]) = gated("Sigmoid", "Mul", true);
        let z = net.node("Neg", "z", &[g], &[]);
        net.build(&[y, z]).refuses(at, "y", why);
    }
}
