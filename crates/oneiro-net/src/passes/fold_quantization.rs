//! Replaces a quantization followed by a dequantization of equal scale by a clamp. Values of the data are not
//! rounded.

use std::sync::Arc;

use super::{NotHere, Patch, Site};
use crate::kernels::EpilogueFunction;
use crate::ops::Facts;
use crate::ops::math::quantize::clamp_of_pair;
use crate::ops::nn::activation::Activation;
use crate::typed::TypedNode;

pub(super) fn at(site: Site<'_>) -> Result<Patch, NotHere> {
    if !site.node.op.decodes_integers() {
        return Err("it does not dequantize".into());
    }
    let (index, producer) = site.only_producer()?;
    let (to, from) = (site.typed.input_facts(producer), site.typed.input_facts(site.node));
    let bounds = clamp_of_pair(producer.op.as_ref(), Facts(&to), site.node.op.as_ref(), Facts(&from))
        .ok_or("its input is not quantized by the same single scale")?;
    Ok(Patch::new(
        index,
        TypedNode {
            name: site.node.name.clone(),
            op: Arc::new(Activation::Clip(bounds)),
            inputs: producer.inputs[..1].to_vec(),
            outputs: site.node.outputs.clone(),
            epilogue: Some(EpilogueFunction::clip(bounds)),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::at;
    use crate::graph::ValueId;
    use crate::passes::testing::Net;

    /// Quantizes x to 0 … 255 by the scale and zero point `to`, and dequantizes it by `from`.
    fn pair(to: (&[f32], i64), from: (&[f32], i64)) -> (Net, [ValueId; 2]) {
        let (mut net, x) = Net::new(&[1, 2, 3]);
        let mut grid = |name: &str, (scale, zero): (&[f32], i64)| {
            let shape = if scale.len() == 1 { vec![] } else { vec![scale.len()] };
            [net.floats(&format!("{name}.scale"), &shape, scale), net.ints(&format!("{name}.zero"), &[zero])]
        };
        let ([s, z], [s2, z2]) = (grid("to", to), grid("from", from));
        let q = net.node("QuantizeLinear", "q", &[x, s, z], &[]);
        let y = net.node("DequantizeLinear", "y", &[q, s2, z2], &[]);
        (net, [q, y])
    }

    #[test]
    fn a_pair_of_one_scale_is_a_clamp_to_the_range_of_its_integers() {
        for (zero, bounds, saturates) in [(128, "[-64, 63.5]", true), (0, "[0, 127.5]", false)] {
            let (net, [_, y]) = pair((&[0.5], zero), (&[0.5], zero));
            let mut net = net.build(&[y]);
            assert_eq!(net.nodes().len(), 2);
            assert_eq!(net.after(at), [format!("y = Clip(x) in {bounds}")]);
            assert_eq!(net.typed.nodes[0].epilogue.unwrap().bounds().unwrap().saturates, saturates);
        }
    }

    #[test]
    fn other_pairs_stay() {
        let why = "the same single scale";
        let refuses = |(net, [_, y]): (Net, [ValueId; 2])| net.build(&[y]).refuses(at, "y", why);
        refuses(pair((&[0.5], 0), (&[0.25], 0)));
        refuses(pair((&[0.5], 0), (&[0.5], 1)));
        refuses(pair((&[0.5, 0.25], 0), (&[0.5, 0.25], 0)));
    }

    #[test]
    fn integers_that_something_else_reads_stay() {
        let (mut net, [q, y]) = pair((&[0.5], 0), (&[0.5], 0));
        let z = net.node("Neg", "z", &[q], &[]);
        net.build(&[y, z]).refuses(at, "y", "a target or has another reader");
        let (net, [q, y]) = pair((&[0.5], 0), (&[0.5], 0));
        net.build(&[y, q]).refuses(at, "y", "a target or has another reader");
    }
}
