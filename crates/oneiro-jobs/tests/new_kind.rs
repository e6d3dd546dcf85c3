#![allow(clippy::unwrap_used)]
//! A kind of job that is defined outside the library: interruption, shards, metadata and `again` work for it,
//! too.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use oneiro_jobs::again::{Again, Difference, Kinds, Original};
use oneiro_jobs::error::{ProvenanceError, Step};
use oneiro_jobs::job::parts::{Part, Parts, Shard, Stored, Unfinished};
use oneiro_jobs::job::{Job, Kept, Place, Run, Sink};
use oneiro_jobs::provenance::{seal, text_of_program};
use oneiro_jobs::task::Task;
use oneiro_jobs::{Context, Error, Observer, Progress, Result, Silent};
use oneiro_media::Image;
use serde::{Deserialize, Serialize};

/// A test job: a strip of grey squares, each of which is a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct GreyJob {
    levels: Vec<f32>,
}

struct Grey(f32);

impl Stored for Grey {
    fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.0.to_le_bytes().to_vec())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(Self(f32::from_le_bytes(bytes.try_into().map_err(Error::custom)?)))
    }
}

impl Job for GreyJob {
    const KIND: &'static str = "grey";
    type Report = usize;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<usize> {
        let part = |level: &f32| Part::new(&format!("grey {level}"), &[&level.to_string()]);
        let parts: Vec<Part> = self.levels.iter().map(part).collect();
        let squares = run.in_parts(&parts, |missing, finish| {
            let mut task = Task::new(run.context, "squares", missing.len() as u64);
            for &i in missing {
                run.context.check()?;
                finish(i, Grey(self.levels[i]))?;
                task.advance(1);
            }
            Ok(())
        })?;
        let strip: Vec<f32> = squares.iter().map(|grey| grey.0).collect();
        let image = Image::rgb(strip.len(), 1, strip.repeat(3))?;
        let mut text = text_of_program();
        seal(run, &mut text, self, Place::picture(0))?;
        sink.take_bytes(Place::picture(0), "grey.png", &oneiro_media::encode_png(&image, &text)?)?;
        Ok(squares.len())
    }
}

fn job() -> GreyJob {
    GreyJob { levels: vec![0.1, 0.35, 0.6, 0.85, 1.0] }
}

fn silent() -> Context {
    Context::new(Some(1), Silent).unwrap()
}

/// Runs the job with these parts and returns the strip's PNG.
fn strip(context: &Context, parts: Option<&Parts>) -> Result<Vec<u8>> {
    let mut kept = Kept::all();
    job().run(&Run::without_model(context).with_parts(parts), &mut kept)?;
    Ok(kept.take(Place::picture(0)).unwrap())
}

/// An observer that cancels after some steps.
#[derive(Default)]
struct Impatient {
    steps: AtomicUsize,
    patience: usize,
}

impl Observer for Impatient {
    fn progress(&self, progress: &Progress<'_>) {
        self.steps.store(progress.done as usize, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.steps.load(Ordering::Relaxed) >= self.patience
    }
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn an_interrupted_job_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let parts = Parts::new(folder.path().join("parts"), None);
    let impatient = Context::new(Some(1), Impatient { patience: 2, ..Impatient::default() }).unwrap();
    let error = strip(&impatient, Some(&parts)).unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error}");
    assert_eq!(files(parts.folder()), 2);
    // A damaged part is made again.
    let first = std::fs::read_dir(parts.folder()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(first, b"nothing").unwrap();
    let whole = strip(&silent(), Some(&parts)).unwrap();
    assert_eq!(whole, strip(&silent(), None).unwrap());
    parts.clear();
    assert!(!parts.folder().exists());
}

#[test]
fn shards_make_the_whole_together() {
    let folder = tempfile::tempdir().unwrap();
    let shard = |text: &str| Parts::new(folder.path(), Some(text.parse::<Shard>().unwrap()));
    let error = strip(&silent(), Some(&shard("1/2"))).unwrap_err();
    assert!(matches!(error, Error::Unfinished(Unfinished { done: 3, total: 5, .. })), "{error}");
    let whole = strip(&silent(), Some(&shard("2/2"))).unwrap();
    assert_eq!(whole, strip(&silent(), None).unwrap());
}

#[test]
fn its_picture_is_made_again_by_whoever_knows_the_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grey.png");
    std::fs::write(&path, strip(&silent(), None).unwrap()).unwrap();
    let find =
        |kinds: &Kinds| Again::find(&silent(), Original::read(&path).unwrap(), kinds, None, &[], false);
    let Err(error) = find(&Kinds::default()) else { panic!("a kind that nobody knows was read") };
    let Error::While { step: Step::Remake { .. }, source } = error else { panic!("{error:?}") };
    let Error::Provenance(ProvenanceError::UnknownKind { kind, .. }) = *source else { panic!("{source:?}") };
    assert_eq!(kind, "grey");
    let again = find(&Kinds::default().with::<GreyJob>()).unwrap();
    assert_eq!(again.run(&silent()).unwrap().difference, Some(Difference::None));
}
