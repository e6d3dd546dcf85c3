//! Gradient aliases. A sum passes its output's gradient unchanged to both operands. Instead of copying,
//! operand and output then share one gradient in memory.
//!
//! An alias is allowed if no later write to either gradient comes before the last read of the other.

use crate::plan::blocks::Clock;
use crate::plan::lowered::{BackwardLowered, Home, LoweredStep, Storage};

/// Marks contributions that an alias makes unnecessary. Returns for each storage the storage whose gradient
/// it shares; by default its own.
pub(super) fn alias(
    storages: &[Storage],
    steps: &[LoweredStep],
    producers: &[Option<usize>],
    concatenated: &[Option<Home>],
    backward: &mut [BackwardLowered],
    clock: Clock,
) -> Vec<usize> {
    // Gradients that lie inside others, or contain others, are not aliased.
    let mut apart = vec![true; storages.len()];
    for (s, inside) in concatenated.iter().enumerate() {
        if let Some((outer, _)) = inside {
            (apart[s], apart[*outer]) = (false, false);
        }
    }
    let mut homes: Vec<usize> = (0..storages.len()).collect();
    let mut members: Vec<Vec<usize>> = (0..storages.len()).map(|s| vec![s]).collect();
    // The last read of a gradient is by the step that computed the value.
    let read = |s: usize| producers[s].map(|p| clock.backward(p));
    // The moments at which steps contribute to each gradient.
    let mut writes: Vec<Vec<usize>> = vec![Vec::new(); storages.len()];
    for b in backward.iter() {
        b.contributions.iter().for_each(|c| writes[c.storage].push(clock.backward(b.step)));
    }
    // The first change of a gradient after `time`: by a later contribution, or by the step that reads it,
    // which applies its activation mask.
    let changed = |s: usize, time: usize| -> usize {
        let masked = producers[s].filter(|&p| steps[p].epilogue.is_some()).map(|p| clock.backward(p));
        writes[s].iter().copied().chain(masked).filter(|&t| t > time).min().unwrap_or(usize::MAX)
    };
    for b in backward.iter_mut() {
        let step = &steps[b.step];
        let now = clock.backward(b.step);
        let home = homes[step.output];
        // A value that occurs as two operands gets two contributions, so neither of them alone is its
        // gradient.
        let operands: Vec<usize> = b.contributions.iter().map(|c| c.storage).collect();
        for c in &mut b.contributions {
            let s = c.storage;
            let Some(read_s) = read(s) else { continue };
            let fits = !c.accumulate
                && operands.iter().filter(|&&operand| operand == s).count() == 1
                && !storages[s].seeded
                && !storages[s].kept
                && !storages[home].kept
                && storages[s].len == storages[step.output].len
                && homes[s] == s
                && members[s].len() == 1
                && apart[s]
                && apart[step.output]
                && step.kernel.passes_gradient(c.operand);
            // The gradient in `s` does not change before the last read of those in `members[home]`, and these
            // do not change before the last read of `s`.
            let undisturbed = members[home].iter().all(|&m| {
                let read_m = if m == step.output { Some(now) } else { read(m) };
                let quiet = m == step.output || changed(m, now) > read_s;
                read_m.is_some_and(|r| r < changed(s, now)) && quiet
            });
            if fits && undisturbed {
                homes[s] = home;
                members[home].push(s);
                c.aliased = true;
            }
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::graph::{Graph, ValueId};
    use crate::passes::testing::Net;
    use crate::plan::lowering::Lowering;
    use crate::plan::testing::{inside, lowered, optimised, request};
    use crate::{CpuSession, Plan, Request, Rules, Session};

    /// A test's graph of convolutions whose values are stored in blocks of channels.
    struct Layers {
        net: Net,
        x: ValueId,
        w: ValueId,
    }

    impl Layers {
        fn new() -> Self {
            let (mut net, x) = Net::new(&[1, 16, 4, 4]);
            let w = net.weights("w", &[16, 16, 1, 1]);
            Self { net, x, w }
        }

        fn conv(&mut self, name: &str, x: ValueId) -> ValueId {
            self.net.node("Conv", name, &[x, self.w], &[])
        }

        fn of(&mut self, op: &str, name: &str, operands: &[ValueId]) -> ValueId {
            self.net.node(op, name, operands, &[])
        }
    }

    /// Lists the gradients that share the place of another gradient.
    fn aliases(graph: &Graph, request: &Request) -> Vec<String> {
        aliases_of(lowered(graph, request))
    }

    fn aliases_of(mut lowering: Lowering<'_>) -> Vec<String> {
        let places = lowering.timetable().places;
        inside(&lowering, &places.gradients)
    }

    /// Two convolutions `a` and `b` of x, a function of both, and a convolution of its result.
    fn joined(op: &str) -> (Layers, [ValueId; 3]) {
        let mut net = Layers::new();
        let (a, b) = (net.conv("a", net.x), net.conv("b", net.x));
        let sum = net.of(op, "sum", &[a, b]);
        let y = net.conv("y", sum);
        (net, [a, b, y])
    }

    #[test]
    fn both_terms_of_a_sum_have_its_gradient() {
        let (net, [.., y]) = joined("Add");
        let graph = net.net.graph(&[y]);
        assert_eq!(aliases(&graph, &request(&graph)), ["a in sum at 0", "b in sum at 0"]);
        // The backward pass then has nothing to compute at the sum.
        let mut lowering = lowered(&graph, &request(&graph));
        let timetable = lowering.timetable();
        let at = lowering.steps.iter().position(|step| step.name == "sum").unwrap();
        let plan = lowering.place(&timetable);
        assert!(plan.backward.iter().find(|b| b.step == at).unwrap().gradients.is_empty());
    }

    #[test]
    fn only_gradients_that_pass_unchanged_are_shared() {
        for (op, wanted) in [("Sub", &["a in sum at 0"][..]), ("Mul", &[])] {
            let (net, [.., y]) = joined(op);
            let graph = net.net.graph(&[y]);
            assert_eq!(aliases(&graph, &request(&graph)), wanted, "{op}");
        }
        // `mean` is broadcast over positions, so its gradient is a sum over them and no alias.
        let mut net = Layers::new();
        let a = net.conv("a", net.x);
        let mean = net.of("GlobalAveragePool", "mean", &[a]);
        let sum = net.of("Add", "sum", &[a, mean]);
        let y = net.conv("y", sum);
        let graph = net.net.graph(&[y]);
        assert!(!aliases(&graph, &request(&graph)).iter().any(|alias| alias.starts_with("mean")));
    }

    #[test]
    fn targets_and_kept_gradients_lie_apart() {
        // A convolution in plain order, to which `a` is added.
        let (mut net, x) = Net::new(&[1, 2, 4, 4]);
        let w = net.weights("w", &[2, 2, 1, 1]);
        let a = net.node("Tanh", "a", &[x], &[]);
        let conv = net.node("Conv", "conv", &[x, w], &[]);
        let sum = net.node("Add", "sum", &[conv, a], &[]);
        let y = net.node("Tanh", "y", &[sum], &[]);
        let graph = net.graph(&[y]);
        let aliases = |request: Request| aliases_of(optimised(&graph, &request));
        let plain = request(&graph);
        assert_eq!(aliases(plain.clone()), ["a in sum at 0"]);
        assert_eq!(aliases(Request { targets: vec![y, a], ..plain.clone() }), [""; 0]);
        assert_eq!(aliases(Request { inner_gradients: vec![a], ..plain }), [""; 0]);
    }

    #[test]
    fn a_term_that_is_read_again_shares_its_gradient_with_the_sum_alone() {
        // `b` is computed from `a`. The backward step of `b` adds to the gradient of `a`, which then differs
        // from that of `b`.
        for [first, second] in [["a", "b"], ["b", "a"]] {
            let mut net = Layers::new();
            let a = net.conv("a", net.x);
            let b = net.conv("b", a);
            let of = |name: &str| if name == "a" { a } else { b };
            let sum = net.of("Add", "sum", &[of(first), of(second)]);
            let y = net.conv("y", sum);
            let graph = net.net.graph(&[y]);
            assert_eq!(aliases(&graph, &request(&graph)), [format!("{first} in sum at 0")]);
        }
    }

    #[test]
    fn activation_masks_change_a_gradient_so_that_one_term_alone_shares_it() {
        let mut net = Layers::new();
        let (a, b) = (net.conv("a", net.x), net.conv("b", net.x));
        let (ra, rb) = (net.of("Relu", "ra", &[a]), net.of("Relu", "rb", &[b]));
        let sum = net.of("Add", "sum", &[ra, rb]);
        let y = net.conv("y", sum);
        let graph = net.net.graph(&[y]);
        assert_eq!(aliases_of(optimised(&graph, &request(&graph))), ["ra in sum at 0"]);
    }

    #[test]
    fn a_sum_of_a_value_with_itself_has_a_gradient_of_its_own() {
        for (op, factor) in [("Add", 2.0), ("Sub", 0.0)] {
            let graph = |double: bool| {
                let mut net = Layers::new();
                let a = net.conv("a", net.x);
                let factor = net.net.floats("factor", &[], &[factor]);
                let sum =
                    if double { net.of(op, "sum", &[a, a]) } else { net.of("Mul", "sum", &[a, factor]) };
                let y = net.conv("y", sum);
                net.net.graph(&[y])
            };
            let [double, product] = [true, false].map(graph);
            assert_eq!(aliases(&double, &request(&double)), [""; 0], "{op}");
            let gradient = |graph: &Graph| {
                let plan = Plan::compile(graph, &request(graph)).unwrap();
                let mut session = CpuSession::new(Arc::new(plan)).unwrap();
                session.input_mut(0).fill(1.0);
                session.forward();
                session.seed(0).1.fill(1.0);
                session.backward(&Rules::default());
                session.input_gradient(0).to_vec()
            };
            assert_eq!(gradient(&double), gradient(&product), "{op}");
        }
    }
}
