//! The command `oneiro bench`: times a forward pass and the gradient with respect to the input.

use std::process::ExitCode;

use anyhow::Result;
use oneiro_jobs::job::timing::{StepTime, TimingJob};
use oneiro_jobs::job::{Job as _, Kept, Run};

use crate::args::model::{self, ModelArgs};
use crate::context::Context;

/// Largest number of steps that the table of the slowest steps shows.
const SHOWN: usize = 40;

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
    /// Number of images in the batch
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
    let job = TimingJob {
        layer: args.capture.clone(),
        batch: args.batch.into(),
        size: args.size,
        steps: args.profile,
    };
    let timing = job.run(&Run::new(&model, context), &mut Kept::all())?;
    let peak = peak_bytes();
    let gflops = timing.gflops();
    if args.json {
        let mut object = serde_json::json!({
            "seconds": timing.seconds,
            "gflops": gflops,
            "peak_gflops": timing.peak_gflops,
            "peak_bytes": peak,
            "threads": context.threads(),
            "passes": timing.passes,
            "arena_bytes": timing.arena_bytes,
            "kernels": oneiro_net::Isa::detect().name(),
        });
        if args.profile {
            object["steps"] = serde_json::to_value(&timing.steps)?;
        }
        return context.print(&object.to_string()).map(|()| ExitCode::SUCCESS);
    }
    if args.profile {
        context.print(&table(&timing.steps))?;
    }
    context.print(&format!(
        "{} to {}, batch {}: {:.1} ms forward and input gradient (median of {}), {gflops:.0} GFLOP/s \
         ({:.0} % of the {:.0} of multiply-adds in the cache), \
         {} threads, {} kernels, {:.0} MB of activations and gradients{}",
        model.title,
        timing.layer,
        args.batch,
        timing.seconds * 1e3,
        timing.passes,
        gflops / timing.peak_gflops * 100.0,
        timing.peak_gflops,
        context.threads(),
        oneiro_net::Isa::detect().name(),
        timing.arena_bytes as f64 / 1e6,
        peak.map_or(String::new(), |p| format!(", {:.0} MB peak", p as f64 / 1e6)),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn gflops(step: &StepTime) -> f64 {
    step.flops as f64 / (step.forward + step.backward) / 1e9
}

/// Formats two tables: times by operator and method, and the slowest steps.
fn table(steps: &[StepTime]) -> String {
    let all: f64 = steps.iter().map(|s| s.forward + s.backward).sum();
    let mut groups: Vec<StepTime> = Vec::new();
    for step in steps {
        let same = |g: &&mut StepTime| g.op_type == step.op_type && g.method == step.method;
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.forward += step.forward;
                group.backward += step.backward;
                group.flops += step.flops;
            }
            None => groups.push(StepTime {
                name: String::new(),
                op_type: step.op_type.clone(),
                method: step.method.clone(),
                ..*step
            }),
        }
    }
    groups.sort_by(|a, b| (b.forward + b.backward).total_cmp(&(a.forward + a.backward)));
    let line = |s: &StepTime| {
        let gflops = if s.flops > 0 { format!("{:.0}", gflops(s)) } else { String::new() };
        format!(
            "{:>9.3} {:>9.3} {:>5.1} % {gflops:>7}  {:<20} {:<32} {}\n",
            s.forward * 1e3,
            s.backward * 1e3,
            (s.forward + s.backward) / all * 100.0,
            s.op_type,
            s.method,
            s.name
        )
    };
    let head = format!(
        "{:>9} {:>9} {:>7} {:>7}  {:<20} {}\n",
        "forward", "back", "share", "GFLOP/s", "operator", "method"
    );
    let mut text = format!("ms by operator and method\n{head}");
    groups.iter().for_each(|g| text.push_str(&line(g)));
    text.push_str(&format!("\nms of the slowest steps ({} in all)\n{head}", steps.len()));
    steps.iter().take(SHOWN).for_each(|s| text.push_str(&line(s)));
    text
}

/// Returns the largest amount of memory (resident set) that this process has used, in bytes, on systems with
/// `/proc`.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb * 1024)
}
