//! `oneiro bench`: seconds for one forward pass and the gradient with respect to the input.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro_net::Rules;

use crate::args::model::{self, ModelArgs};
use crate::context::Context;
use crate::profile::{self, Profile};

/// Passes before the clock runs.
const WARM_UP: usize = 2;
/// Passes that are timed at least.
const MIN_PASSES: usize = 5;
/// Time to spend on passes beyond those.
const BUDGET: Duration = Duration::from_secs(3);
/// Channel whose mean is differentiated; the first where there are fewer.
const CHANNEL: usize = 5;

/// Time one forward pass with the gradient with respect to the input
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro bench model.onnx --capture layer4 --batch 4 --size 224
  oneiro bench model.onnx --profile                # a table of the steps, the slowest first

The gradient is that of the mean of channel 5, or 0 in a layer of fewer. GFLOP/s count convolutions as the direct algorithm, forward and back; Winograd's transforms need fewer multiplications,
so the rate may pass that of multiply-adds in the cache, which is measured in the same run.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Layer to run up to; the network's output by default
    #[arg(long, value_name = "LAYER")]
    capture: Option<String>,
    /// Images at once
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Size of the images: N or HxW
    #[arg(long, allow_negative_numbers = true, value_name = "N|HxW", value_parser = crate::args::size::parse_size)]
    size: Option<[usize; 2]>,
    /// Print where the time goes, step by step
    #[arg(long)]
    profile: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let model = model::load_for_shapes(context, &args.model)?;
    let capture = match &args.capture {
        Some(layer) => layer.clone(),
        None => match model.model.graph.outputs.first() {
            Some(&output) => model.model.graph.name(output).to_owned(),
            None => bail!("the network has no output; name a layer with --capture"),
        },
    };
    let shapes = model.model.input_shapes(args.batch.into(), args.size)?;
    let (mut times, steps, fma_peak, flops, arena) = context.compute(|| -> Result<_> {
        let session = |channel: usize| {
            let objective = Objective::channel(&capture, channel);
            ObjectiveSession::new(&model.model, &[objective], &[], shapes.clone(), true)
        };
        let mut session = match session(CHANNEL) {
            Err(oneiro::Error::Term(_)) => session(0)?,
            result => result?,
        };
        let batch = usize::from(args.batch);
        let mut profile = Profile::new(session.plan());
        let mut pass = || {
            for input in 0..session.inputs().len() {
                fill(session.input_mut(input));
            }
            let started = Instant::now();
            if args.profile {
                profile.forward(&mut session);
            } else {
                session.forward();
            }
            for entry in 0..batch {
                session.seed(entry, 1.0 / batch as f64);
            }
            if args.profile {
                profile.backward(&mut session);
            } else {
                session.backward(&Rules::default());
            }
            started.elapsed().as_secs_f64()
        };
        for _ in 0..WARM_UP {
            context.check()?;
            pass();
        }
        let mut peaks = vec![peak_rate()];
        let started = Instant::now();
        let mut times = Vec::new();
        while times.len() < MIN_PASSES || started.elapsed() < BUDGET {
            context.check()?;
            times.push(pass());
        }
        peaks.push(peak_rate());
        let peak = peaks.into_iter().fold(0.0, f64::max);
        let plan = session.plan();
        let steps = profile.medians(plan);
        Ok((times, steps, peak, plan.forward_flops() + plan.backward_flops(), plan.arena_bytes()))
    })?;
    times.sort_by(f64::total_cmp);
    let seconds = times[times.len() / 2];
    let gflops = flops as f64 / seconds / 1e9;
    let peak = peak_bytes();
    if args.json {
        let mut object = serde_json::json!({
            "seconds": seconds,
            "gflops": gflops,
            "peak_gflops": fma_peak,
            "peak_bytes": peak,
            "threads": context.threads(),
            "passes": times.len(),
            "arena_bytes": arena,
            "kernels": oneiro_net::Isa::detect().name(),
        });
        if args.profile {
            object["steps"] = steps.iter().map(profile::Timed::json).collect();
        }
        return context.print(&object.to_string()).map(|()| ExitCode::SUCCESS);
    }
    if args.profile {
        context.print(&profile::table(&steps))?;
    }
    context.print(&format!(
        "{} to {capture}, batch {}: {:.1} ms forward and input gradient (median of {}), {gflops:.0} GFLOP/s \
         ({:.0} % of the {fma_peak:.0} of multiply-adds in the cache), \
         {} threads, {} kernels, {:.0} MB of activations and gradients{}",
        model.title,
        args.batch,
        seconds * 1e3,
        times.len(),
        gflops / fma_peak * 100.0,
        context.threads(),
        oneiro_net::Isa::detect().name(),
        arena as f64 / 1e6,
        peak.map_or(String::new(), |p| format!(", {:.0} MB peak", p as f64 / 1e6)),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// GFLOP/s of multiply-adds in the first-level cache on all threads: the best of several short runs.
fn peak_rate() -> f64 {
    /// Tiles of a run: a few milliseconds.
    const TILES: usize = 4000;
    const RUNS: usize = 5;
    (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            let flops = oneiro_net::analysis::multiply_in_cache(oneiro_net::Isa::detect(), TILES);
            flops as f64 / started.elapsed().as_secs_f64() / 1e9
        })
        .fold(0.0, f64::max)
}

/// Numbers of about unit variance, the same every time.
fn fill(data: &mut [f32]) {
    let mut state = 0x2545_F491u32;
    for x in data {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *x = (state as f32 / u32::MAX as f32 - 0.5) * 3.4;
    }
}

/// The largest resident size of this process so far, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb * 1024)
}
