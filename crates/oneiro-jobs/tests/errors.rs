#![allow(clippy::unwrap_used)]
//! Errors and remarks can be told apart by their types, without reading their text.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use oneiro::objective::TermError;
use oneiro_jobs::error::{JobError, ModelError, ProvenanceError, Step};
use oneiro_jobs::job::attribution::AttributionJob;
use oneiro_jobs::job::demo::DemoJob;
use oneiro_jobs::remark::PreparationRemark;
use oneiro_jobs::{
    Cancelled, Context, Error, Job, Kept, LoadedModel, ModelSpec, Observer, Progress, Remark, RenderJob, Run,
    Setting, Silent,
};

fn context() -> Context {
    Context::new(Some(1), Silent).unwrap()
}

/// Loads the HOG network, which is built in and needs no file.
fn model(context: &Context) -> LoadedModel {
    ModelSpec::named("hog").load(context).unwrap()
}

/// Returns the error of rendering a unit that cannot be rendered.
fn refused(unit: &str) -> Error {
    let context = context();
    let model = model(&context);
    let mut setting = Setting::named("lucid", 0).unwrap();
    (setting.preset.size, setting.preset.steps) = (Some([32; 2]), 1);
    RenderJob::new(&[unit], setting).run(&Run::new(&model, &context), &mut Kept::all()).unwrap_err()
}

#[test]
fn a_layer_that_is_none_comes_with_the_nearest_names() {
    let Error::Visualization(oneiro::Error::Layer { name, nearest, .. }) = refused("celss:0") else {
        panic!("another error");
    };
    assert_eq!(name, "celss");
    let context = context();
    let model = model(&context);
    assert!(
        !nearest.is_empty() && nearest.iter().all(|name| model.model.resolve(name).is_ok()),
        "{nearest:?}"
    );
}

#[test]
fn a_channel_that_is_none_comes_with_their_number() {
    let context = context();
    let layer = model(&context).model.graph.nodes.last().unwrap().name.clone();
    let error = refused(&format!("\"{layer}\":100000"));
    let Error::Visualization(oneiro::Error::Term(TermError::Index { what, index, count, .. })) = error else {
        panic!("{error:?}");
    };
    assert_eq!((what, index), ("channel", 100_000));
    assert!(count > 0);
}

#[test]
fn a_class_of_a_model_without_labels_is_told() {
    assert!(matches!(refused("class:cat"), Error::Model(ModelError::NoLabels { name }) if name == "cat"));
}

#[test]
fn models_and_recipes_that_there_are_not_are_told() {
    let context = context();
    let error = ModelSpec::named("nowhere.onnx").load(&context).err().unwrap();
    let Error::Model(ModelError::NotFound { built_in, .. }) = &error else { panic!("{error:?}") };
    assert!(built_in.contains(&"hog"));
    let spec = ModelSpec { from_layer: Some("nothing".into()), ..ModelSpec::named("hog") };
    let error = spec.load(&context).err().unwrap();
    let Error::While { step: Step::Begin { layer }, source } = &error else { panic!("{error:?}") };
    assert_eq!(layer, "nothing");
    assert!(matches!(**source, Error::Visualization(oneiro::Error::Layer { .. })), "{source:?}");
    let Err(Error::Job(JobError::UnknownRecipe { known, .. })) = Setting::named("lucit", 0) else {
        panic!("a recipe that there is not");
    };
    assert!(known.contains(&"lucid".to_owned()));
}

#[test]
fn jobs_that_cannot_run_say_why() {
    let context = context();
    let job = DemoJob::embedded(0, 1);
    let error = job.run(&Run::without_model(&context), &mut Kept::all()).unwrap_err();
    assert!(matches!(error, Error::Job(JobError::NoModel)), "{error:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.png");
    let image = oneiro_media::Image::filled(2, 2, [0.5; 3]);
    std::fs::write(&path, oneiro_media::encode_png(&image, &Default::default()).unwrap()).unwrap();
    let error = oneiro_jobs::again::Original::read(&path).err().unwrap();
    assert!(matches!(error, Error::Provenance(ProvenanceError::Nothing { .. })), "{error:?}");
}

/// An observer that stores remarks and cancels.
#[derive(Default)]
struct Watcher {
    remarks: Mutex<Vec<Remark>>,
}

impl Observer for Watcher {
    fn remark(&self, remark: &Remark) {
        self.remarks.lock().unwrap().push(remark.clone());
    }

    fn is_cancelled(&self) -> bool {
        true
    }
}

#[test]
fn remarks_are_data_and_an_ended_job_says_so() {
    let observer = Arc::new(Watcher::default());
    let context = Context::shared(Some(1), observer.clone()).unwrap();
    let spec = ModelSpec { mean: Some(vec![100.0; 3]), std: Some(vec![1.0; 3]), ..ModelSpec::named("hog") };
    let model = spec.load(&context).unwrap();
    let remarks = observer.remarks.lock().unwrap().clone();
    let large = |remark: &Remark| matches!(remark, Remark::Preparation(PreparationRemark::LargeMean { mean }) if *mean == 100.0);
    assert!(remarks.iter().any(|remark| large(remark) && remark.waits_for_work()), "{remarks:?}");
    let layer = model.model.graph.nodes.last().unwrap().name.clone();
    let job = RenderJob::new(&[&format!("\"{layer}\":0")], Setting::named("lucid", 0).unwrap());
    let error = job.run(&Run::new(&model, &context), &mut Kept::all()).unwrap_err();
    assert!(matches!(error, Error::Cancelled(Cancelled)), "{error:?}");
}

/// An observer that cancels as soon as a task reports progress within a step.
#[derive(Default)]
struct Impatient(AtomicBool);

impl Observer for Impatient {
    fn progress(&self, progress: &Progress<'_>) {
        self.0.fetch_or(progress.within_step.is_some(), Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn an_attribution_that_is_ended_within_a_method_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.png");
    let image = oneiro_media::Image::filled(64, 64, [0.2, 0.5, 0.7]);
    std::fs::write(&path, oneiro_media::encode_png(&image, &Default::default()).unwrap()).unwrap();
    let context = Context::new(Some(1), Impatient::default()).unwrap();
    let model = ModelSpec::named("squeezenet1_1").load(&context).unwrap();
    let job = serde_json::json!({
        "recipe": {
            "title": "ended",
            "methods": ["integrated-gradients"],
            "size": [48, 48],
            "overlay": false,
            "settings": oneiro::attribution::Settings::default(),
        },
        "images": [{ "file": path, "unit": "class:1" }],
    });
    let job: AttributionJob = serde_json::from_value(job).unwrap();
    let error = job.run(&Run::new(&model, &context), &mut Kept::all()).err().unwrap();
    assert!(matches!(error, Error::Cancelled(Cancelled)), "{error:?}");
}
