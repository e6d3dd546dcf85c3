//! All work of oneiro's commands as jobs: plain data that can be run.
//!
//! There are jobs that render units of a network and arrange them on sheets. Others reconstruct photos from a
//! layer, exaggerate them, dream on them or attribute them. Others show layers position by position, or
//! compare their values with another framework's ([`job`] has the list). Jobs can be distributed over
//! machines and interrupted, and any result can be recreated.
//!
//! A [`Job`] is plain data (serde) that completely describes the work. It runs with a network and an
//! [`Observer`], which receives progress and remarks and may cancel the work. Results are passed to a
//! [`job::Sink`], such as a [`Folder`]. A result contains its job as JSON, so that [`again::Again`] can
//! recreate it, byte for byte.
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
//! The feature `embedded` (default) includes the network of this example in the program; `jpeg`, `webp`,
//! `tiff`, `bmp` and `gif` (default) are formats of picture files.
//!
//! - [`job`]: the trait, its results, parts that survive an interruption, and one module for each kind
//! - [`model`]: networks by name or path, with card and labels
//! - [`source`]: the files that jobs are made from
//! - [`store`]: the file with a scan's results, and queries
//! - [`provenance`], [`again`]: the metadata of results, and recreating results from them
//! - [`observer`], [`context`]: the receiver of progress and remarks, and the threads
//! - [`remark`]: messages to users on a job or a result, with a variant for each kind
//! - [`error`]: errors, with a variant for each kind

#![forbid(unsafe_code)]

pub mod again;
pub mod context;
pub mod error;
pub mod files;
pub mod job;
pub mod model;
pub mod numbers;
pub mod observer;
mod prose;
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
