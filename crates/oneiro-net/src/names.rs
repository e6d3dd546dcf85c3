//! Names of layers: finds the value of the graph that a name means.

use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};

/// The number of similar names that an error suggests.
const SUGGESTIONS: usize = 5;

/// The names by which the values of a graph can be chosen.
///
/// A name is resolved by the first of these rules that matches:
///
/// 1. a short name given by the caller (a model card),
/// 2. the exact name of a tensor,
/// 3. the name of a node,
/// 4. the path of a module (`features.0`), which means the module's last node,
/// 5. an unambiguous suffix of whole path components (`0.conv1` for `layer1.0.conv1`),
/// 6. the name of a module whose weights one node reads, which means that node,
/// 7. such a suffix without the counters that Keras's exports append to each component (`conv3` for
///    `net_1.conv3_1`).
#[derive(Debug)]
pub struct Names<'a> {
    graph: &'a Graph,
    short: Vec<(&'a str, &'a str)>,
}

impl<'a> Names<'a> {
    /// Creates the names of a graph. `short` holds pairs of a short name and the tensor or node that it
    /// means.
    pub fn new(graph: &'a Graph, short: &[(&'a str, &'a str)]) -> Self {
        Self { graph, short: short.to_vec() }
    }

    /// Returns the value that a name means. If there is none, the error lists similar names.
    pub fn resolve(&self, name: &str) -> Result<ValueId> {
        if let Some((_, target)) = self.short.iter().find(|(short, _)| *short == name) {
            return self.resolve_in_file(target).map_err(|e| {
                Error::Name(format!("the model card's short name \"{name}\" stands for nothing: {e}"))
            });
        }
        self.resolve_in_file(name)
    }

    fn resolve_in_file(&self, name: &str) -> Result<ValueId> {
        let graph = self.graph;
        if let Some(value) = graph.find_value(name) {
            if graph.producer(value).is_some() || graph.inputs.iter().any(|i| i.value == value) {
                return Ok(value);
            }
            return Err(Error::Name(format!("\"{name}\" is a constant of the model, not a layer")));
        }
        let mut by_node = graph.nodes.iter().filter(|n| n.name == name);
        if let Some(node) = by_node.next() {
            if by_node.next().is_some() {
                return Err(Error::Name(format!("several nodes are called \"{name}\"; use a tensor's name")));
            }
            return first_output(node);
        }
        if let Some(value) = self.last_of_module(name) {
            return Ok(value);
        }
        let suffix = format!(".{name}");
        let mut matches: Vec<&str> = self.modules().into_iter().filter(|m| m.ends_with(&suffix)).collect();
        matches.dedup();
        match matches[..] {
            [module] => self
                .last_of_module(module)
                .ok_or_else(|| Error::Name(format!("module \"{module}\" computes nothing"))),
            [] => match self.by_weight(name) {
                Some(value) => Ok(value),
                None => self.without_counts(name),
            },
            _ => Err(Error::Name(format!("layer \"{name}\" is ambiguous: {}", quoted(&matches)))),
        }
    }

    /// Returns the result of the one node that reads the weights of the module `name`. Exporters that fold a
    /// normalisation into a convolution keep the name of either module. If the node's own path is the end of
    /// the weights' path, the module's last node is returned.
    fn by_weight(&self, name: &str) -> Option<ValueId> {
        let (whole, suffix) = (format!("{name}.weight"), format!(".{name}.weight"));
        let is_weight = |v: &ValueId| {
            let value = &self.graph.values[v.index()];
            value.constant.is_some() && (value.name == whole || value.name.ends_with(&suffix))
        };
        let mut nodes = self.graph.nodes.iter().filter(|n| n.inputs.iter().flatten().any(is_weight));
        match (nodes.next(), nodes.next()) {
            (Some(node), None) => {
                let weight = node.inputs.iter().flatten().find(|v| is_weight(v))?;
                let whole = self.graph.values[weight.index()].name.strip_suffix(".weight")?;
                let ends = |path: &&str| whole.strip_suffix(*path).is_some_and(|rest| rest.ends_with('.'));
                let last = node.module.as_deref().filter(ends).and_then(|path| self.last_of_module(path));
                last.or_else(|| first_output(node).ok())
            }
            _ => None,
        }
    }

    /// Finds a layer by its name without the counters that an exporter appended to each component: Keras's
    /// `conv3` is `net_1/conv3_1/Relu`.
    fn without_counts(&self, name: &str) -> Result<ValueId> {
        let plain = |scope: &str| match scope.rsplit_once('_') {
            Some((plain, count)) if !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()) => {
                plain.to_owned()
            }
            _ => scope.to_owned(),
        };
        let suffix = format!(".{name}");
        let is_named = |module: &&str| {
            let path: Vec<String> = module.split('.').map(plain).collect();
            format!(".{}", path.join(".")).ends_with(&suffix)
        };
        let matches: Vec<&str> = self.modules().into_iter().filter(is_named).collect();
        match matches[..] {
            [module] => self.last_of_module(module).ok_or_else(|| self.unknown(name)),
            [] => Err(self.unknown(name)),
            _ => Err(Error::Name(format!("layer \"{name}\" is ambiguous: {}", quoted(&matches)))),
        }
    }

    /// Returns all module paths, including those of parents, once each, in the order of the graph.
    fn modules(&self) -> Vec<&'a str> {
        let mut seen = std::collections::HashSet::new();
        let mut modules = Vec::new();
        for node in &self.graph.nodes {
            let Some(path) = node.module.as_deref() else { continue };
            let ends = path.match_indices('.').map(|(i, _)| i).chain([path.len()]);
            for end in ends {
                if seen.insert(&path[..end]) {
                    modules.push(&path[..end]);
                }
            }
        }
        modules
    }

    fn last_of_module(&self, module: &str) -> Option<ValueId> {
        let inside = |path: &str| {
            path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.graph
            .nodes
            .iter()
            .rev()
            .find(|n| n.module.as_deref().is_some_and(inside) && !n.op.is_bookkeeping())
            .and_then(|n| first_output(n).ok())
    }

    /// Returns all names of a value: short names first, then those of the module path, the node and the
    /// tensor.
    pub fn of(&self, value: ValueId) -> Vec<String> {
        let tensor = self.graph.name(value);
        let node = self.graph.producer(value).map(|i| &self.graph.nodes[i]);
        let mut names: Vec<String> = self
            .short
            .iter()
            .filter(|(short, _)| self.resolve(short).is_ok_and(|v| v == value))
            .map(|(short, _)| (*short).to_owned())
            .collect();
        let mut push = |name: &str| {
            if !name.is_empty() && !names.iter().any(|n| n == name) {
                names.push(name.to_owned());
            }
        };
        if let Some(node) = node {
            if let Some(module) = &node.module
                && self.last_of_module(module) == Some(value)
            {
                push(module);
            }
            push(&node.name);
            // If a module has several nodes, the name of its weights means its last node.
            let is_last = node.module.as_deref().is_some_and(|path| self.last_of_module(path) == Some(value));
            let inside = |other: &&crate::graph::Node| {
                std::ptr::eq(*other, node) || is_last && other.module == node.module
            };
            let readers = self.graph.nodes.iter().filter(inside);
            let weights =
                readers.flat_map(|n| n.inputs.iter().flatten()).map(|v| &self.graph.values[v.index()]);
            for weight in weights.filter(|v| v.constant.is_some()) {
                if let Some(module) = weight.name.strip_suffix(".weight")
                    && self.last_of_module(module).is_none()
                    && self.by_weight(module) == Some(value)
                {
                    push(module);
                }
            }
        }
        push(tensor);
        names
    }

    fn unknown(&self, name: &str) -> Error {
        let mut candidates: Vec<&str> = self.short.iter().map(|(s, _)| *s).chain(self.modules()).collect();
        if candidates.is_empty() {
            let computed = |n: &&crate::graph::Node| !n.op.is_bookkeeping();
            candidates.extend(self.graph.nodes.iter().filter(computed).map(|n| n.name.as_str()));
        }
        candidates.sort_by_key(|c| (distance(name, c), c.len(), *c));
        candidates.dedup();
        candidates.truncate(SUGGESTIONS);
        Error::Name(format!(
            "no layer is called \"{name}\"; the nearest names are {} (`oneiro layers MODEL` lists all)",
            quoted(&candidates)
        ))
    }
}

fn first_output(node: &crate::graph::Node) -> Result<ValueId> {
    node.outputs
        .first()
        .copied()
        .flatten()
        .ok_or_else(|| Error::Name(format!("node \"{}\" has no output", node.name)))
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
}

/// Returns the Levenshtein distance between two names, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    strsim::levenshtein(&a.to_lowercase(), &b.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Builder, Dim};
    use crate::ops::{Attribute, Unsupported};
    use crate::tensor::Tensor;

    #[test]
    fn a_cast_of_an_unsupported_form_is_no_layer_of_its_module() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 3, 4, 4].map(Dim::Fixed)).unwrap();
        let weight = net.constant("w", Tensor::floats(&[2, 3, 1, 1], vec![1.0; 6])).unwrap();
        let conv = net.node("Conv", "conv", &[x, weight], vec![]).unwrap();
        let text = net.node("Identity", "text", &[conv], vec![]).unwrap();
        let mut graph = net.finish(&[conv, text]);
        let why = Some("text is not supported".into());
        graph.nodes[1].op = std::sync::Arc::new(Unsupported { op_type: "Cast".into(), why });
        graph.nodes.iter_mut().for_each(|node| node.module = Some("features.0".into()));
        assert_eq!(Names::new(&graph, &[]).resolve("features.0").unwrap(), conv);
    }

    #[test]
    fn the_weights_of_a_module_of_several_nodes_name_its_last_one() {
        let mut net = Builder::new();
        let x = net.input("x", &[1, 4, 2, 2].map(Dim::Fixed)).unwrap();
        let weight = net.constant("head.norm.weight", Tensor::floats(&[4], vec![1.0; 4])).unwrap();
        let turn = |order: &[i64]| vec![("perm", Attribute::Ints(order.to_vec()))];
        let inner = net.node("Transpose", "in", &[x], turn(&[0, 2, 3, 1])).unwrap();
        let normal = net.node("LayerNormalization", "normal", &[inner, weight], vec![]).unwrap();
        let last = net.node("Transpose", "out", &[normal], turn(&[0, 3, 1, 2])).unwrap();
        let mut graph = net.finish(&[last]);
        for (path, expected) in [(Some("norm"), last), (Some("other"), normal), (None, normal)] {
            graph.nodes.iter_mut().for_each(|node| node.module = path.map(str::to_owned));
            let names = Names::new(&graph, &[]);
            assert_eq!(names.resolve("head.norm").unwrap(), expected, "{path:?}");
            let named: Vec<ValueId> = [inner, normal, last]
                .into_iter()
                .filter(|v| names.of(*v).contains(&"head.norm".into()))
                .collect();
            assert_eq!(named, [expected], "{path:?}");
        }
    }
}
