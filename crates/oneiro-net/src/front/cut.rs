//! A network that begins at an inner value.

use super::{Dims, common, producers, quoted, refusing, request};
use crate::error::Result;
use crate::graph::{Dim, Graph, Input, Node, ValueId};
use crate::tensor::DType;
use crate::typed::{ancestors, infer};

/// Sides of pictures in two runs of shape inference, for axes that the file leaves open. Extents that differ
/// between the runs are open, too.
const SIDES: [usize; 2] = [224, 160];
/// Extents, in these two runs, of axes that are open and are no sides of pictures.
const EXTENTS: [usize; 2] = [1, 2];

/// A network that begins at an inner value.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The network. Its first input is the value; the former inputs that it still reads follow.
    pub graph: Graph,
    /// Names of the removed inputs.
    pub dropped: Vec<String>,
    /// Names of values computed before the cut that nodes after the cut still read. They are an error only
    /// for targets that need them.
    pub missing: Vec<String>,
}

/// Returns the network that begins at the inner value `at`, which becomes its first input with the axes
/// `dims`. The inputs on which `at` depended are removed. Exceptions are inputs of rank 0 and lists of fixed
/// length, which may be settings of the whole network.
///
/// # Errors
/// If the value is already an input or a constant, or if no output depends on it.
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
    // Values that depend on `at`, that is, values after the cut.
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
    // Values on which `at` depends, and `at` itself.
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
    // Nodes after the cut, and all other nodes on whose results they depend.
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

/// Returns the axes and the element type of a value as far as shape inference from the network's inputs knows
/// them. Extents that depend on open extents of the file are open.
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

/// Returns an input's shape with the extents of this trial for open axes.
fn trial_shape(dims: &Dims, trial: usize) -> Option<Vec<usize>> {
    let dims = dims.as_ref()?;
    let rank = dims.len();
    let extent = |(axis, dim): (usize, &Dim)| match dim {
        Dim::Fixed(n) => *n,
        // A picture's height and width come after the batch axis. If channels are last, they are mostly
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

    /// image → half → relu → scaled (by the input k) → sum, which adds `around`, computed from the image.
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
