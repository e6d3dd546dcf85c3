//! Example: observes the progress of a job and cancels it half-way, with `cargo run --release --example
//! watched`.

use std::sync::atomic::{AtomicBool, Ordering};

use oneiro_jobs::{Context, Error, Job, Kept, ModelSpec, Observer, Progress, RenderJob, Run, Setting};

/// An observer that cancels a job when half of it is done.
#[derive(Default)]
struct HalfWay(AtomicBool);

impl Observer for HalfWay {
    fn progress(&self, progress: &Progress<'_>) {
        self.0.store(2 * progress.done >= progress.total, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn main() -> anyhow::Result<()> {
    let context = Context::new(None, HalfWay::default())?;
    let model = ModelSpec::named("squeezenet1_1").load(&context)?;
    let job = RenderJob::new(&["class:goldfish"], Setting::named("oneiro", 0)?);
    let ended = job.run(&Run::new(&model, &context), &mut Kept::all());
    anyhow::ensure!(matches!(ended, Err(Error::Cancelled(_))), "the job was not ended");
    Ok(())
}
