//! A network that begins at an inner value.

use super::{Dims, common, producers, quoted, refusing, request};
use crate::error::Result;
use crate::graph::{Dim, Graph, Input, Node, ValueId};
use crate::tensor::DType;
use crate::typed::{ancestors, infer};

/// Sides of pictures for which shapes are inferred where a file leaves them open: what differs between them
/// is open as well.
const SIDES: [usize; 2] = [224, 160];
/// Extents of other open axes for the same purpose.
const EXTENTS: [usize; 2] = [1, 2];

/// A network that begins at an inner value.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The network. Its first input is the value; then come those of the old inputs that it still reads.
    pub graph: Graph,
    /// Names of the inputs that are gone.
    pub dropped: Vec<String>,
    /// Names of values in front of the cut that are still read behind it: an error only for what needs them.
    pub missing: Vec<String>,
}

/// The network that begins at `at`, an inner value, which becomes its first input with these axes. The inputs
/// that `at` depended on are gone, but for single numbers and short lists, which may be settings of the whole
/// network.
///
/// # Errors
/// If the value is an input or a constant already, or no output depends on it.
pub fn cut_at(graph: &Graph, at: ValueId, dims: Option<Vec<Dim>>, dtype: DType) -> Result<Cut> {
    let name = graph.name(at).to_owned();
    let fail = |why: &str| request(format!("the network cannot begin at \"{name}\": {why}"));
    if graph.inputs.iter().any(|i| i.value == at) {
        return Err(fail("it is an input of it already"));
    }
    let producer = producers(graph);
    if producer[at.index()].is_none() {
        return Err(fail("it is a constant"));
    }
    // Behind the cut: what depends on the value.
    let mut behind = vec![false; graph.values.len()];
    behind[at.index()] = true;
    for node in &graph.nodes {
        if node.inputs.iter().flatten().any(|v| behind[v.index()]) {
            node.outputs.iter().flatten().for_each(|v| behind[v.index()] = true);
        }
    }
    let outputs: Vec<ValueId> = graph.outputs.iter().copied().filter(|v| behind[v.index()]).collect();
    if outputs.is_empty() {
        return Err(fail("no output of it depends on this tensor"));
    }
    // Nodes before the cut: those that depend on removed inputs.
    let mut above = vec![false; graph.values.len()];
    above[at.index()] = true;
    for (node, needed) in graph.nodes.iter().zip(ancestors(graph, &[at])) {
        if needed {
            node.inputs.iter().flatten().for_each(|v| above[v.index()] = true);
        }
    }
    let is_setting = |i: &Input| match i.dims.as_deref() {
        Some([]) | Some([Dim::Fixed(_)]) => true,
        Some(_) | None => false,
    };
    let dropped: Vec<&Input> =
        graph.inputs.iter().filter(|i| above[i.value.index()] && !is_setting(i)).collect();
    let mut in_front = vec![false; graph.values.len()];
    dropped.iter().for_each(|i| in_front[i.value.index()] = true);
    for node in &graph.nodes {
        let made_by_cut = node.outputs.contains(&Some(at));
        if made_by_cut || node.inputs.iter().flatten().any(|v| in_front[v.index()] && !behind[v.index()]) {
            node.outputs.iter().flatten().for_each(|v| in_front[v.index()] = true);
        }
    }
    let is_missing = |v: ValueId| in_front[v.index()] && !behind[v.index()];
    // Nodes behind the cut, and those beside it that they read.
    let mut keep = vec![false; graph.nodes.len()];
    let mut missing: Vec<ValueId> = Vec::new();
    let mut wanted = vec![false; graph.values.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        let own = |v: &ValueId| (behind[v.index()] && *v != at) || (wanted[v.index()] && !is_missing(*v));
        if node.outputs.contains(&Some(at)) || !node.outputs.iter().flatten().any(own) {
            continue;
        }
        keep[i] = true;
        for &v in node.inputs.iter().flatten() {
            wanted[v.index()] = true;
            if is_missing(v) && !missing.contains(&v) {
                missing.push(v);
            }
        }
    }
    missing.sort_unstable();
    let names = quoted(dropped.iter().map(|i| graph.name(i.value)));
    let refused = missing.iter().map(|&v| {
        let computed = match graph.inputs.iter().any(|i| i.value == v) {
            true => "it is an input".to_owned(),
            false => format!("it is computed from the input {names}"),
        };
        let why = format!(
            "{computed} in front of \"{name}\", where the network now begins; begin at a tensor in front of both, or behind \
             what reads it"
        );
        Node {
            name: graph.name(v).to_owned(),
            module: None,
            op: refusing("left out", why),
            inputs: vec![],
            outputs: vec![Some(v)],
        }
    });
    let mut cut = graph.clone();
    let rest = graph.nodes.iter().zip(keep).filter(|(_, keep)| *keep).map(|(node, _)| node.clone());
    cut.nodes = refused.chain(rest).collect();
    let still_read = |i: &&Input| {
        !dropped.iter().any(|d| d.value == i.value)
            && cut.nodes.iter().any(|n| n.inputs.contains(&Some(i.value)))
    };
    let others = graph.inputs.iter().filter(still_read).cloned();
    cut.inputs = std::iter::once(Input { value: at, dims, dtype }).chain(others).collect();
    cut.outputs = outputs;
    let name_of = |v: ValueId| graph.name(v).to_owned();
    Ok(Cut {
        graph: cut,
        dropped: dropped.iter().map(|i| name_of(i.value)).collect(),
        missing: missing.into_iter().map(name_of).collect(),
    })
}

/// The axes and the element type of a value, as far as shape inference from the network's inputs knows them:
/// what depends on extents that the file leaves open is open.
pub fn known_dims(graph: &Graph, value: ValueId) -> Option<(Vec<Dim>, DType)> {
    let needed = ancestors(graph, &[value]);
    let fact = |trial: usize| {
        let shapes: Dims2 = graph.inputs.iter().map(|i| trial_shape(&i.dims, trial)).collect::<Option<_>>();
        let facts = infer(graph, &shapes?, &needed, |_, _| Ok(())).ok()?;
        facts[value.index()].clone().filter(|f| f.value.is_none())
    };
    let first = fact(0)?;
    let dims = match fact(1) {
        Some(second) => common(&first.shape, &second.shape).ok()?,
        None => first.shape.iter().map(|&n| Dim::Fixed(n)).collect(),
    };
    Some((dims, first.dtype))
}

type Dims2 = Option<Vec<Vec<usize>>>;

/// A shape with these extents where the file leaves them open.
fn trial_shape(dims: &Dims, trial: usize) -> Option<Vec<usize>> {
    let dims = dims.as_ref()?;
    let rank = dims.len();
    let extent = |(axis, dim): (usize, &Dim)| match dim {
        Dim::Fixed(n) => *n,
        // The longest sides of a picture are behind the batch; with channels last, the channels are mostly
        // fixed.
        Dim::Free(_) if rank >= 3 && axis > 0 => SIDES[trial],
        Dim::Free(_) => EXTENTS[trial],
    };
    Some(dims.iter().enumerate().map(extent).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;
    use crate::tensor::Tensor;
    use crate::typed::Typed;

    fn free(name: &str) -> Dim {
        Dim::Free(name.into())
    }

    /// image → half → relu → sum (with `around`, computed from the image) → out; scaled by the input k.
    fn graph() -> Graph {
        let mut net = Builder::new();
        let x = net.input("image", &[free("N"), Dim::Fixed(3), free("H"), free("W")]).unwrap();
        let k = net.input("k", &[]).unwrap();
        let half = net.constant("0.5", Tensor::floats(&[], vec![0.5])).unwrap();
        let halved = net.node("Mul", "half", &[x, half], vec![]).unwrap();
        let relu = net.node("Relu", "relu", &[halved], vec![]).unwrap();
        let scaled = net.node("Mul", "scaled", &[relu, k], vec![]).unwrap();
        let around = net.node("Sigmoid", "around", &[x], vec![]).unwrap();
        let sum = net.node("Add", "sum", &[scaled, around], vec![]).unwrap();
        net.finish(&[scaled, sum])
    }

    #[test]
    fn what_needs_more_than_the_cut_says_which_tensor() {
        let graph = graph();
        let at = graph.find_value("half").unwrap();
        let cut = cut_at(&graph, at, None, DType::Float).unwrap();
        assert_eq!((cut.dropped, cut.missing), (vec!["image".to_owned()], vec!["around".to_owned()]));
        assert_eq!(cut.graph.name(cut.graph.inputs[0].value), "half");
        assert_eq!(cut.graph.name(cut.graph.inputs[1].value), "k");
        let shapes = [vec![1, 3, 4, 5], vec![]];
        let [scaled, sum] = cut.graph.outputs[..] else { panic!() };
        assert!(Typed::new(&cut.graph, &shapes, &[scaled]).is_ok());
        let error = Typed::new(&cut.graph, &shapes, &[sum]).unwrap_err().to_string();
        assert!(["\"around\"", "\"image\"", "\"half\""].iter().all(|w| error.contains(w)), "{error}");
    }

    #[test]
    fn what_is_known_of_a_value_is_open_where_the_input_is() {
        let graph = graph();
        let (dims, dtype) = known_dims(&graph, graph.find_value("relu").unwrap()).unwrap();
        assert_eq!(dtype, DType::Float);
        assert!(matches!(dims[..], [Dim::Free(_), Dim::Fixed(3), Dim::Free(_), Dim::Free(_)]), "{dims:?}");
    }

    #[test]
    fn inputs_constants_and_dead_ends_are_refused() {
        let graph = graph();
        for (name, word) in [("image", "already"), ("0.5", "constant")] {
            let at = graph.find_value(name).unwrap();
            let error = cut_at(&graph, at, None, DType::Float).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(word), "{error}");
        }
        let mut dead = graph.clone();
        dead.outputs.truncate(1);
        let error = cut_at(&dead, graph.find_value("around").unwrap(), None, DType::Float).unwrap_err();
        assert!(error.to_string().contains("no output"), "{error}");
    }
}
