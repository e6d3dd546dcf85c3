//! Jobs: pieces of work as plain data that can be run, with one module for each kind.
//!
//! A [`Job`] is a complete description: with the same model it always gives the same bytes. Its JSON is part
//! of a result's metadata ([`crate::provenance`]), so results of a new kind can be recreated without further
//! code. Jobs with many units are divided into [`parts`], which survive an interruption and may be
//! distributed over machines.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::source::places::Places;

pub mod attribution;
pub mod belief;
pub mod classification;
pub mod compare;
pub mod contributions;
pub mod crops;
pub mod demo;
pub mod dream;
pub mod error;
mod figures;
pub mod film_kind;
pub mod flow;
pub mod grid;
pub mod groups;
pub mod health;
pub mod interpolation;
pub mod kernels;
pub mod named_objective;
pub mod new_folder;
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
pub mod video;

pub use error::JobError;
pub use new_folder::NewFolder;
pub use outputs::{Folder, Kept, Nothing, Place, Role, Sink};
use render::Setting;

/// A unit of work that a user can request.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name of this kind of job in files.
    const KIND: &'static str;
    /// What the job reports about its results.
    type Report: Serialize;

    /// Does the work and passes the results to the sink.
    ///
    /// # Errors
    /// If the request cannot be met, or [`crate::Cancelled`].
    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<Self::Report>;

    /// Returns the names of the files that the job is made from, once each, without the model.
    fn sources(&self) -> Vec<String> {
        Vec::new()
    }

    /// Checks jobs that come from a file: returns an error if no model could be used with the settings.
    ///
    /// # Errors
    /// An error that names the setting.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Returns the presets and seeds with which the job optimises pictures. Jobs without optimisation have
    /// none.
    fn settings_mut(&mut self) -> Vec<&mut Setting> {
        Vec::new()
    }
}

/// The network and the context with which a job runs.
pub struct Run<'m> {
    /// The threads, and the observer of the work.
    pub context: &'m Context,
    /// The network. Jobs that only concern pictures have none.
    model: Option<&'m LoadedModel>,
    /// The current paths of files, for jobs without a network.
    places: Option<&'m Places>,
    /// Storage for finished parts of this and earlier runs.
    parts: Option<&'m parts::Parts>,
    /// Whether results get only the metadata that version 0.1.0 wrote.
    legacy: bool,
}

impl<'m> Run<'m> {
    /// Creates the run of a job with a network.
    pub fn new(model: &'m LoadedModel, context: &'m Context) -> Self {
        Self { context, model: Some(model), places: None, parts: None, legacy: false }
    }

    /// Creates a run without a network, for jobs that only concern pictures.
    pub fn without_model(context: &'m Context) -> Self {
        Self { context, model: None, places: None, parts: None, legacy: false }
    }

    /// Sets the storage from which finished parts are read and to which new ones are written.
    pub fn with_parts(mut self, parts: Option<&'m parts::Parts>) -> Self {
        self.parts = parts;
        self
    }

    /// Sets where files that have moved are now.
    pub(crate) fn with_places(mut self, places: &'m Places) -> Self {
        self.places = Some(places);
        self
    }

    /// Sets whether results get only the metadata that version 0.1.0 wrote.
    pub(crate) fn with_legacy(mut self, legacy: bool) -> Self {
        self.legacy = legacy;
        self
    }

    /// Returns the network with which the job runs.
    ///
    /// # Errors
    /// If the job runs without a network.
    pub fn model(&self) -> Result<&'m LoadedModel> {
        self.model.ok_or_else(|| JobError::NoModel.into())
    }

    /// Returns the current paths of files that are no longer at the paths in the job.
    pub(crate) fn places(&self) -> Places {
        let known = self.model.map(|model| &model.places).or(self.places);
        known.cloned().unwrap_or_default()
    }

    /// Returns the storage of finished parts, if there is one.
    pub(crate) fn parts(&self) -> Option<&'m parts::Parts> {
        self.parts
    }

    /// Whether results get only the metadata that version 0.1.0 wrote.
    pub(crate) fn is_legacy(&self) -> bool {
        self.legacy
    }
}

/// A job of any kind, as a trait object.
pub trait AnyJob: Send + Sync {
    /// Returns the name of this kind of job, [`Job::KIND`].
    fn kind(&self) -> &'static str;

    /// Returns the files that the job uses, as [`Job::sources`].
    fn sources(&self) -> Vec<String>;

    /// Checks the job's settings, as [`Job::check`].
    ///
    /// # Errors
    /// An error that names the setting.
    fn check(&self) -> Result<()>;

    /// Returns the presets and seeds of the job, as [`Job::settings_mut`].
    fn settings_mut(&mut self) -> Vec<&mut Setting>;

    /// Recreates one of the job's results, chosen by `place`.
    ///
    /// # Errors
    /// Those of [`Job::run`], or if the job has no such result.
    fn remake(&self, run: &Run<'_>, place: Place) -> Result<Vec<u8>>;
}

impl<J: Job> AnyJob for J {
    fn kind(&self) -> &'static str {
        J::KIND
    }

    fn sources(&self) -> Vec<String> {
        Job::sources(self)
    }

    fn check(&self) -> Result<()> {
        Job::check(self)
    }

    fn settings_mut(&mut self) -> Vec<&mut Setting> {
        Job::settings_mut(self)
    }

    fn remake(&self, run: &Run<'_>, place: Place) -> Result<Vec<u8>> {
        let mut kept = Kept::only(place);
        Job::run(self, run, &mut kept)?;
        let bytes = kept.take(place);
        bytes.ok_or_else(|| JobError::NoResult { kind: J::KIND, result: place.to_string() }.into())
    }
}
