//! Finds the class names in operators that turn scores into words: `ZipMap`, and look-ups in tables of
//! strings. These operators are never run. The names are stored in the graph's metadata under
//! [`CLASS_LABELS_KEY`].

use super::proto;

/// The metadata key of a graph's class names, one a line in class order.
pub const CLASS_LABELS_KEY: &str = "oneiro.class_labels";

/// Returns the class names, one a line. Returns `None` if there are none, or if they do not fit on separate
/// lines.
pub(super) fn of(graph: &proto::GraphProto) -> Option<String> {
    let named = |op: &'static str| graph.node.iter().filter(move |node| node.op_type() == op);
    let attribute = |node: &proto::NodeProto, name: &str| -> Vec<Vec<u8>> {
        let found = node.attribute.iter().find(|a| a.name() == name);
        found.map_or_else(Vec::new, |a| a.strings.clone())
    };
    let zipped = named("ZipMap").map(|node| attribute(node, "classlabels_strings"));
    let mapped = named("CategoryMapper").filter(|node| {
        let keys = node.attribute.iter().find(|a| a.name() == "cats_int64s");
        keys.is_some_and(|keys| counts_up(&keys.ints))
    });
    let mapped = mapped.map(|node| attribute(node, "cats_strings"));
    let encoded = named("LabelEncoder").filter(|node| {
        let keys = node.attribute.iter().find(|a| a.name() == "keys_int64s");
        keys.is_some_and(|keys| counts_up(&keys.ints))
    });
    let encoded = encoded.map(|node| attribute(node, "values_strings"));
    let looked_up = graph.node.iter().filter(|n| matches!(n.op_type(), "ArrayFeatureExtractor" | "Gather"));
    let looked_up = looked_up.filter_map(|node| {
        let table =
            graph.initializer.iter().find(|t| Some(t.name()) == node.input.first().map(String::as_str))?;
        Some(table.string_data.clone())
    });
    let names = zipped.chain(mapped).chain(encoded).chain(looked_up).find(|names| !names.is_empty())?;
    let names = names.into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>().ok()?;
    let plain = |name: &String| !name.trim().is_empty() && !name.contains(['\n', '\r']);
    names.iter().all(plain).then(|| names.join("\n"))
}

/// Whether the keys are 0, 1, 2, …, so that they are positions.
fn counts_up(keys: &[i64]) -> bool {
    keys.iter().enumerate().all(|(i, key)| i64::try_from(i).is_ok_and(|i| i == *key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(op: &str, inputs: &[&str], attributes: Vec<proto::AttributeProto>) -> proto::NodeProto {
        proto::NodeProto {
            op_type: Some(op.into()),
            input: inputs.iter().map(|i| (*i).into()).collect(),
            attribute: attributes,
            ..Default::default()
        }
    }

    fn strings(name: &str, values: &[&str]) -> proto::AttributeProto {
        let strings = values.iter().map(|v| v.as_bytes().to_vec()).collect();
        proto::AttributeProto { name: Some(name.into()), strings, ..Default::default() }
    }

    fn ints(name: &str, values: &[i64]) -> proto::AttributeProto {
        proto::AttributeProto { name: Some(name.into()), ints: values.to_vec(), ..Default::default() }
    }

    #[test]
    fn class_names_are_found_where_scores_become_words() {
        let names = ["cat", "red car"];
        let found = |nodes: Vec<proto::NodeProto>| {
            let table = proto::TensorProto {
                name: Some("names".into()),
                string_data: names.iter().map(|n| n.as_bytes().to_vec()).collect(),
                ..Default::default()
            };
            of(&proto::GraphProto { node: nodes, initializer: vec![table], ..Default::default() })
        };
        let all = Some("cat\nred car".to_owned());
        assert_eq!(found(vec![node("ZipMap", &["p"], vec![strings("classlabels_strings", &names)])]), all);
        assert_eq!(found(vec![node("ArrayFeatureExtractor", &["names", "best"], vec![])]), all);
        let encoder = |keys: &[i64]| {
            vec![node(
                "LabelEncoder",
                &["best"],
                vec![ints("keys_int64s", keys), strings("values_strings", &names)],
            )]
        };
        assert_eq!(found(encoder(&[0, 1])), all);
        assert_eq!(found(encoder(&[1, 0])), None);
        assert_eq!(found(vec![node("ZipMap", &["p"], vec![ints("classlabels_int64s", &[0, 1])])]), None);
        let lines = node("ZipMap", &["p"], vec![strings("classlabels_strings", &["a\nb", "c"])]);
        assert_eq!(found(vec![lines]), None);
    }
}
