//! x · sigmoid(x), as exporters write it in two nodes, is one function (Ramachandran et al. 2017): it reads x
//! once and keeps nothing else for backward.

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
