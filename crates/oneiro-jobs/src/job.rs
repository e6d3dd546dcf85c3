//! Jobs: pieces of work as plain data that can be run, with one module for each kind.
//!
//! A [`Job`] is complete: run with the same model it always gives the same bytes. Its JSON is part of a
//! result's metadata ([`crate::provenance`]), so a new kind needs nothing beside its own file to be made
//! again. Jobs of many units work in [`parts`], which survive an interruption and may be shared among
//! machines.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::source::places::Places;

pub mod attribution;
pub mod classification;
pub mod contributions;
pub mod crops;
pub mod demo;
pub mod dream;
pub mod error;
mod figures;
pub mod grid;
pub mod groups;
pub mod interpolation;
pub mod kernels;
pub mod named_objective;
pub mod outputs;
pub mod parts;
pub mod plates;
pub mod preimage;
pub mod render;
pub mod scan;
pub mod sheet;
pub mod spectra;
pub mod statistics;
pub mod tensors;
mod tiles;
pub mod timing;
pub mod units;

pub use error::JobError;
pub use outputs::{Folder, Kept, Place, Role, Sink};

/// A piece of work that a user can request.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name of the kind, as files have it.
    const KIND: &'static str;
    /// The report on the results.
    type Report: Serialize;

    /// Does the work. Results go into the sink.
    ///
    /// # Errors
    /// Whatever is wrong with the request, or [`crate::Cancelled`].
    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<Self::Report>;

    /// Names of the files that the job is made from, beside its model, each once.
    fn sources(&self) -> Vec<String> {
        Vec::new()
    }

    /// An error if the settings can be used with no model: for jobs that come from a file.
    ///
    /// # Errors
    /// Names the setting.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The network and the context of a job's run.
pub struct Run<'m> {
    /// Threads and observer.
    pub context: &'m Context,
    /// The network, for all jobs but those about pictures alone.
    model: Option<&'m LoadedModel>,
    /// Where files are now, where no network knows.
    places: Option<&'m Places>,
    /// Finished parts of earlier runs.
    parts: Option<&'m parts::Parts>,
    /// Whether results say of themselves what files of version 0.1.0 said, and no more.
    legacy: bool,
}

impl<'m> Run<'m> {
    /// With a network.
    pub fn new(model: &'m LoadedModel, context: &'m Context) -> Self {
        Self { context, model: Some(model), places: None, parts: None, legacy: false }
    }

    /// Without one: for jobs about pictures alone.
    pub fn without_model(context: &'m Context) -> Self {
        Self { context, model: None, places: None, parts: None, legacy: false }
    }

    /// Stores finished parts, and reads stored ones.
    pub fn with_parts(mut self, parts: Option<&'m parts::Parts>) -> Self {
        self.parts = parts;
        self
    }

    /// Files lie where these places say.
    pub(crate) fn with_places(mut self, places: &'m Places) -> Self {
        self.places = Some(places);
        self
    }

    /// Results say of themselves what files of version 0.1.0 said.
    pub(crate) fn with_legacy(mut self, legacy: bool) -> Self {
        self.legacy = legacy;
        self
    }

    /// The network.
    ///
    /// # Errors
    /// If the job is run without one.
    pub fn model(&self) -> Result<&'m LoadedModel> {
        self.model.ok_or_else(|| JobError::NoModel.into())
    }

    /// Where files are now, if not where their names say.
    pub(crate) fn places(&self) -> Places {
        let known = self.model.map(|model| &model.places).or(self.places);
        known.cloned().unwrap_or_default()
    }

    /// Where finished parts are kept.
    pub(crate) fn parts(&self) -> Option<&'m parts::Parts> {
        self.parts
    }

    /// Whether results say what files of version 0.1.0 said.
    pub(crate) fn is_legacy(&self) -> bool {
        self.legacy
    }
}

/// A job of any kind.
pub trait AnyJob: Send + Sync {
    /// Its kind.
    fn kind(&self) -> &'static str;

    /// [`Job::sources`].
    fn sources(&self) -> Vec<String>;

    /// Makes one of its results.
    ///
    /// # Errors
    /// As [`Job::run`]; or if the job has no such result.
    fn remake(&self, run: &Run<'_>, place: Place) -> Result<Vec<u8>>;
}

impl<J: Job> AnyJob for J {
    fn kind(&self) -> &'static str {
        J::KIND
    }

    fn sources(&self) -> Vec<String> {
        Job::sources(self)
    }

    fn remake(&self, run: &Run<'_>, place: Place) -> Result<Vec<u8>> {
        let mut kept = Kept::only(place);
        Job::run(self, run, &mut kept)?;
        let bytes = kept.take(place);
        bytes.ok_or_else(|| JobError::NoResult { kind: J::KIND, result: place.to_string() }.into())
    }
}
