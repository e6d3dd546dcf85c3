//! Compares whole networks with values that PyTorch computed in float64. It also checks that neither threads,
//! nor the batch, nor the choice of targets change a result.
//!
//! `data/make.py` makes the networks in `data/`. Trained networks are compared as well if the folder
//! `../shared/models` lies beside the repository. `--nocapture` prints every measured error.

// clippy allows these in `#[test]` functions, but not in the functions that they call.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod golden;
mod outside;

use std::panic::{AssertUnwindSafe, catch_unwind};

use golden::{Array, Case, Network, Result, Runner};
use oneiro_net::format::onnx;
use oneiro_net::tensor::volume;
use oneiro_net::{Graph, Isa, Plan, Request, ValueId};

/// Largest relative error ‖ours − theirs‖/‖theirs‖ of activations and objective values.
const TOLERANCE: f64 = 1e-4;
/// Largest relative error of gradients. They jump where an activation crosses zero by rounding.
const GRADIENT_TOLERANCE: f64 = 1e-3;
/// If a gradient disagrees, this many slightly changed inputs are tried, one rounding away. Some references
/// lie on a kink: in `sick_filters` an input of `relu2` is 1.9e-8, and there PyTorch's float32 differs from
/// its float64 by 8.4e-3. A wrong gradient is wrong for all of these inputs.
const NEARBY: u64 = 64;
/// Largest relative error between two plans of a network that fold different normalisations into their
/// convolutions.
const REWRITE_TOLERANCE: f64 = 1e-5;

#[test]
fn small_networks_agree_with_pytorch_on_every_instruction_set() {
    let mut report = Report::default();
    for isa in Isa::available() {
        for case in golden::fixtures() {
            report.case(&format!("{}, {}", case.name, isa.name()), |errors| compare(&case, isa, errors));
        }
    }
    report.finish();
}

#[test]
fn trained_networks_agree_with_pytorch() {
    let Some(cases) = golden::trained() else { return };
    let mut report = Report::default();
    for case in cases {
        report.case(&case.name, |errors| compare(&case, Isa::detect(), errors));
    }
    report.finish();
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let mut report = Report::default();
    for (name, network, inputs) in varied_networks() {
        report.case(&name, |errors| {
            let (layers, targets) = layers(&network)?;
            let run = |threads: usize| -> Result<Everything> {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut runner = network.compile(inputs.clone(), &targets, Isa::detect())?;
                Ok(pool.install(|| everything(&mut runner)))
            };
            let one = run(1)?;
            for threads in [2, 3] {
                let (name, many) = (format!("{threads} threads"), run(threads)?);
                errors.same_bits(&name, &layers, &network.graph, &one, &many);
            }
            Ok(())
        });
    }
    report.finish();
}

#[test]
fn an_entry_of_a_batch_gives_the_same_bits_as_alone() {
    const BATCH: usize = 3;
    let mut report = Report::default();
    for (name, network, inputs) in varied_networks() {
        report.case(&name, |errors| {
            let (layers, targets) = layers(&network)?;
            let batch: Vec<Array> = inputs.iter().map(|x| with_batch(x, BATCH)).collect();
            let together = everything(&mut network.compile(batch.clone(), &targets, Isa::detect())?);
            for entry in 0..BATCH {
                let single = batch.iter().map(|x| entry_of(x, entry, BATCH)).collect();
                let alone = everything(&mut network.compile(single, &targets, Isa::detect())?);
                let part: Vec<_> = together
                    .iter()
                    .map(|(a, g)| {
                        let gradients: Vec<_> = g.iter().map(|g| nth(g, entry, BATCH).to_vec()).collect();
                        (nth(a, entry, BATCH).to_vec(), gradients)
                    })
                    .collect();
                errors.same_bits(&format!("entry {entry}"), &layers, &network.graph, &alone, &part);
            }
            Ok(())
        });
    }
    report.finish();
}

#[test]
fn a_network_cut_at_one_target_computes_what_the_whole_does() {
    let mut report = Report::default();
    for (name, network, inputs) in varied_networks() {
        report.case(&name, |errors| {
            let (layers, targets) = layers(&network)?;
            let whole = everything(&mut network.compile(inputs.clone(), &targets, Isa::detect())?);
            for ((layer, target), (activation, gradients)) in layers.iter().zip(&targets).zip(&whole) {
                let mut cut = network.compile(inputs.clone(), &[*target], Isa::detect())?;
                let (cut_activation, cut_gradients) = everything(&mut cut).remove(0);
                errors.check(&format!("act/{layer}"), &cut_activation, activation, REWRITE_TOLERANCE);
                for (input, (ours, theirs)) in
                    network.graph.inputs.iter().zip(cut_gradients.iter().zip(gradients))
                {
                    let name = format!("grad/{layer}/{}", network.graph.name(input.value));
                    errors.check(&name, ours, theirs, GRADIENT_TOLERANCE);
                }
            }
            Ok(())
        });
    }
    report.finish();
}

#[test]
fn a_second_run_of_a_session_gives_the_same_bits() {
    let mut report = Report::default();
    for (name, network, inputs) in varied_networks() {
        report.case(&name, |errors| {
            let (layers, targets) = layers(&network)?;
            let mut runner = network.compile(inputs, &targets, Isa::detect())?;
            let (first, second) = (everything(&mut runner), everything(&mut runner));
            errors.same_bits("second run", &layers, &network.graph, &first, &second);
            Ok(())
        });
    }
    report.finish();
}

#[test]
fn a_truncated_file_never_panics() {
    const STEP: usize = 97;
    let mut report = Report::default();
    for case in golden::fixtures() {
        let bytes = case.bytes();
        report.case(&case.name, |errors| {
            for length in (0..bytes.len()).step_by(STEP) {
                errors.survives(&format!("the first {length} bytes"), bytes[..length].to_vec());
            }
            Ok(())
        });
    }
    report.finish();
}

#[test]
fn a_file_with_a_wrong_byte_never_panics() {
    const STEP: usize = 41;
    let mut report = Report::default();
    for case in golden::fixtures() {
        let bytes = case.bytes();
        report.case(&case.name, |errors| {
            for (i, wrong) in (0..bytes.len()).step_by(STEP).zip([0x00, 0x01, 0x7f, 0xff].into_iter().cycle())
            {
                let mut bytes = bytes.clone();
                bytes[i] = wrong;
                errors.survives(&format!("byte {i} = {wrong:#04x}"), bytes);
            }
            Ok(())
        });
    }
    report.finish();
}

/// Compares a network's activations, values and gradients with the reference values.
fn compare(case: &Case, isa: Isa, errors: &mut Errors) -> Result<()> {
    let network = case.network()?;
    let golden = &network.golden;
    let (layers, mut targets) = layers(&network)?;
    for (_, objective) in &golden.objectives {
        targets.push(objective.layer(&network)?);
    }
    let mut runner = network.compile(network.inputs()?, &targets, isa)?;
    runner.forward();
    for (t, layer) in layers.iter().enumerate() {
        let theirs = golden.get(&format!("act/{layer}"))?;
        let ours = runner.activation(t);
        if ours.shape != theirs.shape {
            return Err(format!("{layer}: our shape is {:?}, theirs {:?}", ours.shape, theirs.shape));
        }
        errors.check(&format!("act/{layer}"), &ours.data, &theirs.data, TOLERANCE);
    }
    for (i, (id, objective)) in golden.objectives.iter().enumerate() {
        let (value, gradients) =
            runner.gradients(layers.len() + i, |shape, a, seed| objective.evaluate(shape, a, seed));
        errors.check(&format!("value/{id}"), &[value?], &golden.get(&format!("value/{id}"))?.data, TOLERANCE);
        for (input, ours) in network.graph.inputs.iter().zip(&gradients) {
            let name = format!("grad/{id}/{}", network.graph.name(input.value));
            let theirs = &golden.get(&name)?.data;
            if relative_error(ours, theirs) <= GRADIENT_TOLERANCE {
                errors.check(&name, ours, theirs, GRADIENT_TOLERANCE);
                continue;
            }
            let position = network.graph.inputs.iter().position(|i| i.value == input.value).unwrap();
            let target = layers.len() + i;
            let nearby = (0..NEARBY).map(|seed| {
                let inputs = network.inputs().unwrap().iter().map(|x| one_rounding_away(x, seed)).collect();
                runner.feed(inputs);
                runner
                    .gradients(target, |shape, a, seed| objective.evaluate(shape, a, seed))
                    .1
                    .swap_remove(position)
            });
            let close = |gradient: &Vec<f32>| relative_error(gradient, theirs) <= GRADIENT_TOLERANCE;
            let found = nearby.into_iter().find(close).unwrap_or_else(|| ours.clone());
            errors.check(&name, &found, theirs, GRADIENT_TOLERANCE);
            runner.feed(network.inputs()?);
        }
    }
    Ok(())
}

/// Returns the array with every number changed by at most one unit in its last place.
fn one_rounding_away(x: &Array, seed: u64) -> Array {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut moved = |x: &f32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        x * (1.0 + ((state >> 40) % 3) as f32 * f32::EPSILON - f32::EPSILON)
    };
    Array { shape: x.shape.clone(), data: x.data.iter().map(&mut moved).collect() }
}

/// Trained networks with enough channels that work is divided among threads in every way.
const WIDE: [&str; 2] = ["squeezenet1_1", "planted/two_stream_fusion/final.dynamo.bn"];

/// Returns networks with their reference inputs: those of `data/`, the [`WIDE`] ones if present, and a
/// network of free height and width on a larger picture.
fn varied_networks() -> Vec<(String, Network, Vec<Array>)> {
    let mut wide = golden::trained();
    if let Some(wide) = &mut wide {
        wide.retain(|case| WIDE.contains(&case.name.as_str()));
        assert_eq!(wide.len(), WIDE.len(), "one of {WIDE:?} is not among the trained networks");
    }
    let mut varied = Vec::new();
    for case in golden::fixtures().into_iter().chain(wide.into_iter().flatten()) {
        let read = || case.network().and_then(|network| Ok((network.inputs()?, network)));
        let (inputs, network) = read().unwrap_or_else(|e| panic!("{}: {e}", case.name));
        varied.push((case.name.clone(), network, inputs));
        if case.name == "tfsame.legacy" {
            let shape = vec![2, 3, 131, 94];
            let x = Array { data: noise(volume(&shape)), shape };
            varied.push((format!("{} on a larger picture", case.name), case.network().unwrap(), vec![x]));
        }
    }
    varied
}

/// Returns uniform random numbers in [−1, 1), equal on every machine: the upper bits of Knuth's linear
/// congruential generator (MMIX).
fn noise(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Returns the names and values of the layers whose activations the reference holds.
fn layers(network: &Network) -> Result<(Vec<String>, Vec<ValueId>)> {
    Ok(network.layers()?.into_iter().unzip())
}

/// For every target: its activations, and the gradients of half the sum of their squares with respect to
/// every input.
type Everything = Vec<(Vec<f32>, Vec<Vec<f32>>)>;

fn everything(runner: &mut Runner) -> Everything {
    let copy = |_: &[usize], activation: &[f32], seed: &mut [f32]| {
        seed.copy_from_slice(activation);
        activation.to_vec()
    };
    (0..runner.targets()).map(|target| runner.gradients(target, copy)).collect()
}

/// Returns an input with `batch` entries: its own entries, then its first entry with reversed values.
fn with_batch(x: &Array, batch: usize) -> Array {
    let entry = volume(&x.shape[1..]);
    let mut data = x.data.clone();
    while data.len() < batch * entry {
        data.extend(x.data[..entry].iter().rev());
    }
    data.truncate(batch * entry);
    Array { shape: [&[batch], &x.shape[1..]].concat(), data }
}

fn entry_of(x: &Array, entry: usize, batch: usize) -> Array {
    Array { shape: [&[1], &x.shape[1..]].concat(), data: nth(&x.data, entry, batch).to_vec() }
}

fn nth(data: &[f32], entry: usize, batch: usize) -> &[f32] {
    let len = data.len() / batch;
    &data[entry * len..][..len]
}

/// Returns ‖ours − theirs‖/‖theirs‖, or 0 if the numbers are equal.
fn relative_error(ours: &[f32], theirs: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    let size = norm(&mut theirs.iter().map(|&b| f64::from(b)));
    if difference == 0.0 { 0.0 } else { difference / size }
}

/// Reads a damaged file and compiles what can be read; it must not panic.
fn read_and_compile(bytes: Vec<u8>) {
    let Ok(graph) = onnx::read(bytes.into()) else { return };
    if let Ok(request) = Request::new(&graph, 1, &graph.outputs) {
        let _ = Plan::compile(&graph, &request);
    }
}

/// The failures of all cases, reported together at the end.
#[derive(Default)]
struct Report {
    cases: usize,
    failures: Vec<String>,
}

/// The errors measured in one case.
#[derive(Default)]
struct Errors {
    /// Largest error with its name: of activations and values, and of gradients.
    worst: [(f64, String); 2],
    failures: Vec<String>,
}

impl Report {
    /// Runs a case; an error or a panic is recorded as a failure.
    fn case(&mut self, name: &str, run: impl FnOnce(&mut Errors) -> Result<()>) {
        let mut errors = Errors::default();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut errors)));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(why)) => errors.failures.push(why),
            Err(panic) => errors.failures.push(format!("panicked: {}", said(&*panic))),
        }
        self.cases += 1;
        let worst = errors.worst.iter().filter(|(_, of)| !of.is_empty());
        let worst: Vec<String> = worst.map(|(error, of)| format!("{error:.1e} {of}")).collect();
        println!("{name}: {} failures {}", errors.failures.len(), worst.join(", "));
        self.failures.extend(errors.failures.into_iter().map(|f| format!("{name}: {f}")));
    }

    fn finish(self) {
        let Self { cases, failures } = self;
        assert!(
            failures.is_empty(),
            "{} failures in {cases} cases:\n{}",
            failures.len(),
            failures.join("\n")
        );
    }
}

impl Errors {
    fn check(&mut self, name: &str, ours: &[f32], theirs: &[f32], tolerance: f64) {
        if ours.len() != theirs.len() {
            self.failures.push(format!("{name}: {} numbers instead of {}", ours.len(), theirs.len()));
            return;
        }
        let error = relative_error(ours, theirs);
        let worst = &mut self.worst[usize::from(name.starts_with("grad/"))];
        if error > worst.0 {
            *worst = (error, name.to_owned());
        }
        // Written this way so that an error that is NaN counts as a failure.
        if error <= tolerance {
            return;
        }
        self.failures.push(format!("{name}: relative error {error:.2e} exceeds {tolerance:.0e}"));
    }

    fn same_bits(
        &mut self,
        of: &str,
        layers: &[String],
        graph: &Graph,
        ours: &Everything,
        theirs: &Everything,
    ) {
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for ((layer, (a, ga)), (b, gb)) in layers.iter().zip(ours).zip(theirs) {
            if bits(a) != bits(b) {
                self.failures.push(format!("{of}: act/{layer} differs by {:.1e}", relative_error(a, b)));
            }
            for (input, (x, y)) in graph.inputs.iter().zip(ga.iter().zip(gb)) {
                if bits(x) != bits(y) {
                    let (input, error) = (graph.name(input.value), relative_error(x, y));
                    self.failures.push(format!("{of}: grad/{layer}/{input} differs by {error:.1e}"));
                }
            }
        }
    }

    fn survives(&mut self, what: &str, bytes: Vec<u8>) {
        if let Err(panic) = catch_unwind(|| read_and_compile(bytes)) {
            self.failures.push(format!("{what}: panicked: {}", said(&*panic)));
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something").to_owned()
}
