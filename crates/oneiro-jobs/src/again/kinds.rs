//! The kinds of jobs that files may contain.

use serde_json::Value;

use crate::error::{During as _, Result, Step};
use crate::job::preimage::{AccentuationJob, CaricatureJob, InversionJob};
use crate::job::{
    AnyJob, Job, attribution, compare, demo, dream, flow, grid, groups, health, interpolation, kernels,
    render, sheet, spectra, statistics, units, video,
};
use crate::provenance::ProvenanceError;

/// The kinds of jobs that files may contain.
pub struct Kinds(Vec<(&'static str, Read)>);

/// A function that reads a job of one kind.
type Read = fn(Value) -> Result<Box<dyn AnyJob>>;

impl Default for Kinds {
    fn default() -> Self {
        Self(Vec::new())
            .with::<render::RenderJob>()
            .with::<sheet::SheetJob>()
            .with::<InversionJob>()
            .with::<CaricatureJob>()
            .with::<AccentuationJob>()
            .with::<interpolation::InterpolationJob>()
            .with::<grid::GridJob>()
            .with::<dream::DreamJob>()
            .with::<attribution::AttributionJob>()
            .with::<attribution::clips::ClipAttributionJob>()
            .with::<kernels::KernelsJob>()
            .with::<statistics::StatisticsJob>()
            .with::<demo::DemoJob>()
            .with::<units::UnitsJob>()
            .with::<groups::GroupsJob>()
            .with::<spectra::SpectraJob>()
            .with::<health::HealthJob>()
            .with::<video::VideoJob>()
            .with::<flow::FlowJob>()
            .with::<compare::CompareJob>()
    }
}

impl Kinds {
    /// Adds a kind of job that can be read.
    #[must_use]
    pub fn with<J: Job>(mut self) -> Self {
        fn read<J: Job>(value: Value) -> Result<Box<dyn AnyJob>> {
            let job: J = serde_json::from_value(value)
                .map_err(|source| ProvenanceError::Json { what: "its settings", source })?;
            job.check().during(|| Step::Settings)?;
            Ok(Box::new(job))
        }
        self.0.push((J::KIND, read::<J>));
        self
    }

    /// Reads a job of the kind with this name.
    ///
    /// # Errors
    /// If there is no such kind, or if the value is no job of this kind.
    pub fn read(&self, kind: &str, job: Value) -> Result<Box<dyn AnyJob>> {
        match self.0.iter().find(|(name, _)| *name == kind) {
            Some((_, read)) => read(job),
            None => {
                let known = self.0.iter().map(|(name, _)| *name).collect();
                Err(ProvenanceError::UnknownKind { kind: kind.to_owned(), known }.into())
            }
        }
    }
}
