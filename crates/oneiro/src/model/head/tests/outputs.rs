//! Tests which of several outputs is taken to hold the classes.

use super::*;

#[test]
fn of_several_outputs_that_one_holds_classes_that_fits_the_labels_or_looks_like_it() {
    type Build = fn(&mut Net) -> Vec<ValueId>;
    let cases: [(&str, Build, Option<usize>, &str); 9] = [
        ("features first", |n| vec![n.features, n.dense("logits", None, 5)], None, "logits"),
        ("features first, by labels", |n| vec![n.features, n.dense("logits", None, 5)], Some(6), "features"),
        ("equal heads: the first", |n| vec![n.dense("a", None, 5), n.dense("b", None, 5)], None, "a"),
        ("by labels", |n| vec![n.dense("a", None, 5), n.dense("b", None, 7)], Some(5), "a"),
        ("the longer", |n| vec![n.dense("a", None, 5), n.dense("b", None, 7)], None, "b"),
        (
            "an auxiliary head first",
            |n| vec![n.dense("aux", None, 5), n.dense("main", None, 5)],
            None,
            "main",
        ),
        (
            "a deeper head",
            |n| {
                let hidden = n.dense("hidden", None, 8);
                let relu = n.node("Relu", "hidden relu", &[hidden]);
                vec![hidden, n.dense("logits", Some((relu, 8)), 5)]
            },
            None,
            "logits",
        ),
        (
            "the one with a softmax",
            |n| {
                let z = n.dense("z", None, 5);
                vec![n.dense("wide", None, 9), n.node("Softmax", "p", &[z])]
            },
            None,
            "p",
        ),
        (
            "a confidence beside classes",
            |n| {
                let z = n.dense("z", None, 1);
                vec![n.node("Sigmoid", "sure", &[z]), n.dense("logits", None, 5)]
            },
            None,
            "logits",
        ),
    ];
    for (what, build, labels, wanted) in cases {
        let mut net = Net::new();
        let outputs = build(&mut net);
        let model = net.model(&outputs).with_labels(labels);
        assert_eq!(model.graph.name(model.head().unwrap().output), wanted, "{what}");
        assert_eq!(model.head_in_use(), Some(model.head().unwrap()));
    }
}

#[test]
fn a_card_names_the_output_of_classes() {
    let build = || {
        let mut net = Net::new();
        let (a, b) = (net.dense("a", None, 5), net.dense("b", None, 5));
        let map = net.node("Relu", "map", &[ValueId(2)]);
        net.builder.finish(&[a, b, map])
    };
    let named = |name: &str| model(build(), &format!("output = \"{name}\""));
    let head = named("b");
    let head = head.head().unwrap();
    assert!(head.named && head.classes == Some(5));
    assert_eq!(found(&named("b")).0, "b");
    assert_eq!(found(&model(build(), "")).0, "a");
    let unknown = named("c").head().unwrap_err().to_string();
    assert!(
        unknown.contains("no output \"c\"") && unknown.contains("a (5), b (5), map (6x2x2)"),
        "{unknown}"
    );
    let map = named("map").head().unwrap_err().to_string();
    assert!(map.contains("\"map\" holds no row of class scores") && map.contains("b (5)"), "{map}");
    let card = Card::parse("output = \"b\"").unwrap();
    assert_eq!(Card::parse(&card.to_toml().unwrap()).unwrap(), card);
}

#[test]
fn a_network_of_maps_alone_names_no_classes() {
    let mut net = Net::new();
    let maps = [net.node("Relu", "map", &[ValueId(2)]), net.node("Sigmoid", "mask", &[ValueId(2)])];
    let why = net.model(&maps).head().unwrap_err().to_string();
    assert!(why.contains("none of the network's outputs") && why.contains("mask (6x2x2)"), "{why}");
}
