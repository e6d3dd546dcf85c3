//! Inputs that become constants.

use super::{add_ints, node, request};
use crate::attributes::Attribute;
use crate::error::Result;
use crate::graph::{Dim, Graph, ValueId};
use crate::layout::{add_value, unused_name};
use crate::tensor::{DType, Tensor, volume};

/// Makes an input a constant with these values and this shape. A shape without axes means one value for all
/// elements. Otherwise the shape must be the input's, with any extent for an open axis. If the input's axis 0
/// is the batch, the shape's axis 0 may be 1 or absent.
///
/// `picture` is another input. The constant is repeated for its batch if axis 0 of this input is open, or if
/// it is 1 as in the picture. If a single value is given and the input has the picture's rank, its other open
/// axes take the picture's extents.
///
/// # Errors
/// If the shape does not fit the input, or if the values do not fit its element type.
pub fn fixed_input(
    graph: &mut Graph,
    input: usize,
    shape: &[usize],
    data: &[f32],
    picture: Option<usize>,
) -> Result<()> {
    let value = graph.inputs[input].value;
    let name = graph.name(value).to_owned();
    let dims = graph.inputs[input].dims.clone();
    let dims = dims.unwrap_or_else(|| shape.iter().map(|&n| Dim::Fixed(n)).collect());
    if volume(shape) != data.len() {
        return Err(request(format!("input \"{name}\": {} numbers for shape {shape:?}", data.len())));
    }
    let picture = picture.filter(|&p| p != input && p < graph.inputs.len());
    let of_picture = picture.and_then(|p| Some((graph.inputs[p].value, graph.inputs[p].dims.clone()?)));
    let has_batch = dims.len() > 1 || matches!(dims.first(), Some(Dim::Free(_)));
    let batch_of = of_picture.as_ref().filter(|_| has_batch).filter(|(_, of)| match (&dims[0], of.first()) {
        (Dim::Free(_), _) => true,
        (Dim::Fixed(1), Some(first)) => matches!(first, Dim::Free(_) | Dim::Fixed(1)),
        _ => false,
    });
    let single = shape.is_empty();
    let mut full = if single { vec![1; dims.len()] } else { shape.to_vec() };
    if full.len() + 1 == dims.len() && has_batch {
        full.insert(0, 1);
    }
    let fits = full.len() == dims.len()
        && (single
            || full.iter().zip(&dims).all(|(n, dim)| *dim == Dim::Fixed(*n) || matches!(dim, Dim::Free(_))));
    if !fits {
        let batch = if has_batch { "; its first axis, the batch, may be left out" } else { "" };
        return Err(request(format!(
            "input \"{name}\" has shape {}, what it is to be fed with has {shape:?}{batch}",
            shown(&dims)
        )));
    }
    if batch_of.is_some() && full[0] != 1 {
        return Err(request(format!(
            "input \"{name}\": what it is to be fed with holds {} entries; give one, which is repeated for the batch",
            full[0]
        )));
    }
    // Returns the picture's axis that gives the constant's extent along `axis`, if the extent is not yet
    // known.
    let along = |axis: usize| -> Option<(ValueId, usize)> {
        let (picture, of) = of_picture.as_ref()?;
        let open = matches!(dims[axis], Dim::Free(_)) && single && of.len() == dims.len() && dims.len() >= 4;
        let is_batch = axis == 0 && batch_of.is_some();
        (is_batch || open && axis > 0).then_some((*picture, axis))
    };
    let expanded: Vec<Option<(ValueId, usize)>> = (0..dims.len()).map(along).collect();
    if single {
        for (n, dim) in full.iter_mut().zip(&dims) {
            if let Dim::Fixed(fixed) = dim {
                *n = *fixed;
            }
        }
        for (n, picture) in full.iter_mut().zip(&expanded) {
            if picture.is_some() {
                *n = 1;
            }
        }
    }
    let repeated = || -> Vec<f32> { if single { vec![data[0]; 1] } else { data.to_vec() } };
    let own = if single { vec![1; full.len()] } else { full.clone() };
    let constant = typed(&name, graph.inputs[input].dtype, &own, repeated())?;
    graph.inputs.remove(input);
    if own == full && expanded.iter().all(Option::is_none) {
        graph.values[value.index()].constant = Some(constant);
        return Ok(());
    }
    let fed = unused_name(graph, &format!("{name} (fed)"));
    let fed_value = add_value(graph, fed.clone());
    graph.values[fed_value.index()].constant = Some(constant);
    // The shape is computed axis by axis: a fixed extent, or the picture's.
    let mut nodes = Vec::new();
    let mut extents = Vec::new();
    for (axis, of_picture) in expanded.iter().enumerate() {
        let Some((picture, from)) = *of_picture else {
            extents.push(Some(add_ints(graph, &fed, &[full[axis] as i64])));
            continue;
        };
        let all = unused_name(graph, &format!("{fed}.shape{axis}"));
        let all_value = add_value(graph, all.clone());
        nodes.push(node("Shape", all, vec![], vec![Some(picture)], all_value));
        let one = unused_name(graph, &format!("{fed}.extent{axis}"));
        let one_value = add_value(graph, one.clone());
        let at = add_ints(graph, &fed, &[from as i64]);
        let attributes = vec![("axis", Attribute::Int(0))];
        nodes.push(node("Gather", one, attributes, vec![Some(all_value), Some(at)], one_value));
        extents.push(Some(one_value));
    }
    let shape_name = unused_name(graph, &format!("{fed}.shape"));
    let shape_value = add_value(graph, shape_name.clone());
    nodes.push(node("Concat", shape_name, vec![("axis", Attribute::Int(0))], extents, shape_value));
    nodes.push(node("Expand", fed, vec![], vec![Some(fed_value), Some(shape_value)], value));
    graph.nodes.splice(0..0, nodes);
    Ok(())
}

fn typed(name: &str, dtype: DType, shape: &[usize], data: Vec<f32>) -> Result<Tensor> {
    /// Integers up to this value are exact in f32.
    const EXACT: f32 = (1u32 << f32::MANTISSA_DIGITS) as f32;
    let bad =
        |what: &str, x: f32| request(format!("input \"{name}\" takes {what}, and is to be fed with {x}"));
    Ok(match dtype {
        DType::Float => Tensor::floats(shape, data),
        DType::Int => {
            if let Some(&x) = data.iter().find(|x| x.fract() != 0.0 || x.abs() > EXACT || !x.is_finite()) {
                return Err(bad("whole numbers", x));
            }
            Tensor::ints(shape, data.iter().map(|&x| x as i64).collect())
        }
        DType::Bool => {
            if let Some(&x) = data.iter().find(|&&x| x != 0.0 && x != 1.0) {
                return Err(bad("truth values, 0 or 1", x));
            }
            Tensor::bools(shape, data.iter().map(|&x| x == 1.0).collect())
        }
    })
}

fn shown(dims: &[Dim]) -> String {
    let one = |dim: &Dim| match dim {
        Dim::Fixed(n) => n.to_string(),
        Dim::Free(name) if name.is_empty() => "?".to_owned(),
        Dim::Free(name) => name.clone(),
    };
    format!("[{}]", dims.iter().map(one).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;
    use crate::typed::infer;

    fn free(name: &str) -> Dim {
        Dim::Free(name.into())
    }

    /// The graph multiplies a picture x (N,3,H,W) by an input of these dims.
    fn graph(dims: &[Dim]) -> Graph {
        let mut net = Builder::new();
        let x = net.input("x", &[free("N"), Dim::Fixed(3), free("H"), free("W")]).unwrap();
        let k = net.input("k", dims).unwrap();
        let y = net.node("Mul", "y", &[x, k], vec![]).unwrap();
        net.finish(&[y])
    }

    fn fed(dims: &[Dim], shape: &[usize], data: &[f32]) -> Result<(Vec<usize>, Vec<f32>)> {
        let mut graph = graph(dims);
        let k = graph.inputs[1].value;
        fixed_input(&mut graph, 1, shape, data, Some(0))?;
        assert_eq!(graph.inputs.len(), 1);
        let facts = infer(&graph, &[vec![2, 3, 4, 5]], &vec![true; graph.nodes.len()], |_, e| Err(e))?;
        let value = facts[k.index()].as_ref().unwrap().value.clone().unwrap();
        assert_eq!(facts[graph.outputs[0].index()].as_ref().unwrap().shape, [2, 3, 4, 5]);
        Ok((value.shape().to_vec(), value.as_floats().unwrap().into_owned()))
    }

    #[test]
    fn one_number_takes_the_shape_of_the_input_and_of_the_picture() {
        assert_eq!(fed(&[], &[], &[0.5]).unwrap(), (vec![], vec![0.5]));
        assert_eq!(fed(&[Dim::Fixed(1)], &[], &[0.5]).unwrap(), (vec![1], vec![0.5]));
        let mask = [free("N"), Dim::Fixed(1), free("H"), free("W")];
        assert_eq!(fed(&mask, &[], &[2.0]).unwrap(), (vec![2, 1, 4, 5], vec![2.0; 40]));
    }

    #[test]
    fn a_tensor_is_repeated_for_the_batch() {
        let dims = [free("N"), Dim::Fixed(3), Dim::Fixed(1), Dim::Fixed(1)];
        let expected = (vec![2, 3, 1, 1], vec![1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert_eq!(fed(&dims, &[1, 3, 1, 1], &[1.0, 2.0, 3.0]).unwrap(), expected);
        assert_eq!(fed(&dims, &[3, 1, 1], &[1.0, 2.0, 3.0]).unwrap(), expected);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_the_input_and_both_shapes() {
        let dims = [free("N"), Dim::Fixed(3), Dim::Fixed(1), Dim::Fixed(1)];
        for (shape, words) in [
            (vec![1, 4, 1, 1], "[N, 3, 1, 1]"),
            (vec![4], "its first axis, the batch, may be left out"),
            (vec![2, 3, 1, 1], "2 entries; give one"),
        ] {
            let error = fed(&dims, &shape, &vec![0.0; volume(&shape)]).unwrap_err().to_string();
            assert!(error.contains("\"k\"") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn integers_and_truth_values_are_checked() {
        let mut graph = graph(&[]);
        graph.inputs[1].dtype = DType::Int;
        let error = fixed_input(&mut graph, 1, &[], &[0.5], Some(0)).unwrap_err().to_string();
        assert!(error.contains("whole numbers") && error.contains("0.5"), "{error}");
        graph.inputs[1].dtype = DType::Bool;
        let error = fixed_input(&mut graph, 1, &[], &[2.0], Some(0)).unwrap_err().to_string();
        assert!(error.contains("truth values"), "{error}");
        fixed_input(&mut graph, 1, &[], &[1.0], Some(0)).unwrap();
    }
}
