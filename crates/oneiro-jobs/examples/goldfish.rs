//! Example: renders a picture for the embedded network's class "goldfish", with `cargo run --release
//! --example goldfish`.

use oneiro_jobs::{Context, Folder, Job, ModelSpec, RenderJob, Run, Setting, Silent};

fn main() -> anyhow::Result<()> {
    let context = Context::new(None, Silent)?;
    let model = ModelSpec::named("squeezenet1_1").load(&context)?;
    let job = RenderJob::new(&["class:goldfish"], Setting::named("oneiro", 0)?);
    job.run(&Run::new(&model, &context), &mut Folder::new("pictures"))?;
    Ok(())
}
