//! Tests the choice of the axis that holds the classes, and values that hold no classes.

use super::*;

#[test]
fn positions_are_no_classes_and_the_scores_behind_them_are() {
    type Ends = fn(&mut Net, ValueId) -> Vec<ValueId>;
    let cases: [(&str, Ends); 5] = [
        ("ArgMax", |n, p| vec![n.with("ArgMax", "best", &[p], vec![("axis", Attribute::Int(1))])]),
        ("ArgMax", |n, p| {
            let best = n.with("ArgMax", "best", &[p], vec![("axis", Attribute::Int(1))]);
            let table = n.ints("table", &[7, 8, 9, 10, 11]);
            vec![n.node("Gather", "label", &[table, best])]
        }),
        ("Hardmax", |n, p| vec![n.node("Hardmax", "best", &[p])]),
        ("Greater", |n, p| {
            let half = n.number("half", 0.5);
            vec![n.node("Greater", "labels", &[p, half])]
        }),
        ("ReduceMax", |n, p| {
            let axes = n.ints("axes", &[1]);
            let keep = || vec![("keepdims", Attribute::Int(0))];
            vec![
                n.with("ReduceMax", "value", &[p, axes], keep()),
                n.with("ArgMax", "best", &[p], vec![("axis", Attribute::Int(1))]),
            ]
        }),
    ];
    for (op, ends) in cases {
        let mut net = Net::new();
        let logits = net.dense("dense", None, 5);
        let p = net.node("Softmax", "p", &[logits]);
        let outputs = ends(&mut net, p);
        let model = net.model(&outputs);
        assert_eq!(found(&model), ("dense".to_owned(), Activation::Softmax), "{op}");
        assert_eq!(model.head().unwrap().behind.as_deref(), Some(op));
        assert!(value_and_gradient(&model, "logit(3)").1.iter().any(|g| *g != 0.0), "{op}");
    }
}

#[test]
fn classes_may_stand_on_any_axis() {
    let shapes: [(&str, &[i64]); 4] =
        [("4-D", &[0, 5, 1, 1]), ("last", &[0, 1, 1, 5]), ("tokens", &[0, 1, 5]), ("none", &[5])];
    for (what, shape) in shapes {
        for tail in [false, true] {
            let mut net = Net::new();
            let logits = net.dense("dense", None, 5);
            let shape = net.ints("shape", shape);
            let shaped = net.node("Reshape", "shaped", &[logits, shape]);
            let last = if tail { net.node("Sigmoid", "p", &[shaped]) } else { shaped };
            let model = net.model(&[last]);
            let (value, gradient) = value_and_gradient(&model, "logit(3)");
            let (wanted, of_channel) = value_and_gradient(&model, "channel(dense,3)");
            assert_eq!((value, gradient), (wanted, of_channel), "{what}");
            if what == "none" {
                continue;
            }
            // A second term of the objective reads the logits as a layer.
            let (both, _) = value_and_gradient(&model, "logit(3) + 0*layer(shaped)");
            assert_eq!(both, wanted, "{what}");
        }
    }
}
