//! All work of oneiro's commands as jobs: plain data that can be run.
//!
//! One can have units of a network rendered, laid out as sheets, photos rebuilt from a layer, caricatured,
//! dreamt on or explained, layers shown position by position, and their numbers compared with other
//! frameworks' ([`job`] has the list); share that among machines, interrupt it, and make any result again.
//!
//! A [`Job`] is plain data (serde) that says all of what is wanted. It runs with a network and an
//! [`Observer`], which receives progress and remarks and may cancel the work; results go into a
//! [`job::Sink`], such as a [`Folder`]. A result holds its job as JSON, so that [`again::Again`] makes it
//! again, byte for byte.
//!
//! ```no_run
//! use oneiro_jobs::{Context, Folder, Job, ModelSpec, RenderJob, Run, Setting, Silent};
//!
//! let context = Context::new(None, Silent)?;
//! let model = ModelSpec::named("squeezenet1_1").load(&context)?;
//! let job = RenderJob::new(&["class:goldfish", "fire8:3"], Setting::named("oneiro", 0)?);
//! let report = job.run(&Run::new(&model, &context), &mut Folder::new("pictures"))?;
//! println!("{}", report.units[0].value);
//! # Ok::<(), oneiro_jobs::Error>(())
//! ```
//!
//! The feature `embedded` (default) has the network of this example inside the program; `jpeg`, `webp`,
//! `tiff`, `bmp` and
//! `gif` (default) are formats of picture files.
//!
//! - [`job`]: the trait, its results, parts that survive an interruption, and one module a kind
//! - [`model`]: networks by name or path, with card and labels
//! - [`source`]: the files that jobs are made from
//! - [`store`]: what a scan of a data set has found, in a file that answers questions
//! - [`provenance`], [`again`]: the metadata of results, and making results again from them
//! - [`observer`], [`context`]: who watches, and the threads
//! - [`remark`]: messages to users of a job or a result, told apart by kind
//! - [`error`]: what can go wrong, told apart by kind

#![forbid(unsafe_code)]

pub mod again;
pub mod context;
pub mod error;
pub mod files;
pub mod job;
pub mod model;
pub mod numbers;
pub mod observer;
pub mod provenance;
pub mod remark;
pub mod source;
pub mod store;
pub mod task;
pub mod tensors;

pub use context::Context;
pub use error::{Error, Result};
pub use job::render::{RenderJob, Setting};
pub use job::{Folder, Job, Kept, Run};
pub use model::{LoadedModel, ModelSpec};
pub use observer::{Cancelled, Observer, Progress, Silent};
pub use remark::Remark;

/// The programs in the documentation, compiled as tests.
#[cfg(doctest)]
mod documentation {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/guide.md")]
    struct Guide;
    #[doc = include_str!("../../../docs/jobs.md")]
    struct Jobs;
    #[doc = include_str!("../../../docs/objectives.md")]
    struct Objectives;
}
