//! Checks jobs against the network before any work is done, at a size that the network accepts.

use std::collections::BTreeMap;

use oneiro::card::InputKind;
use oneiro::model::Target;
use oneiro::objective::Reads;
use oneiro::objective_session::ObjectiveSession;
use oneiro::preset::{ParamSpec, Preset};
use oneiro::render::{Materials, Render};
use oneiro_media::PngText;

use super::report::UnitReport;
use super::{RenderUnit, Setting};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::job::Place;
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::remark::Remark;
use crate::source::materials::Extras;
use crate::source::references::{Files, picture_size, refitted};

/// Adds the job to a picture's metadata. The units with these indices depend on each other; the picture is
/// the one at the place.
pub(super) type Seal<'a> = Box<
    dyn Fn(&PreparedUnits<'_>, &mut PngText, &[usize], Place, &UnitReport) -> Result<()> + Send + Sync + 'a,
>;

/// Units that the network accepts. After this check, only numerical problems remain possible.
pub struct PreparedUnits<'a> {
    pub model: &'a LoadedModel,
    pub units: Vec<RenderUnit>,
    /// The settings, with sizes that the network accepts.
    pub settings: Vec<Setting>,
    /// Inputs that all units share, other than the settings.
    pub materials: Materials,
    /// Path of the file of image statistics in `materials`.
    pub statistics_path: Option<String>,
    /// Adds the job to the metadata of a unit's picture.
    pub(super) seal: Option<Seal<'a>>,
    /// Groups of units with the same setting that read the same layers. Different groups are never in the
    /// same batch: which values a plan must keep changes its optimisation, and thereby the last bits of
    /// results.
    pub(super) groups: Vec<Vec<usize>>,
}

impl PreparedUnits<'_> {
    /// Whether the pictures of a group depend on each other, through terms that couple them or through shared
    /// parameters.
    pub(super) fn is_joined(&self, members: &[usize]) -> bool {
        let preset = &self.settings[self.units[members[0]].setting].preset;
        preset.param.is_shared() || members.iter().any(|&i| self.units[i].objective.couples())
    }

    /// Returns the name of the mask within which pictures may change.
    pub fn mask(&self) -> Option<&str> {
        self.units.iter().find_map(|unit| unit.mask.as_ref()).map(|mask| mask.name.as_str())
    }

    /// Returns the units on which a unit's picture depends, including the unit itself, in their order.
    pub fn companions(&self, job: usize) -> Vec<usize> {
        match self.groups.iter().find(|members| members.contains(&job)) {
            Some(members) if self.is_joined(members) => members.clone(),
            _ => vec![job],
        }
    }
}

/// Checks every unit before any work is done. If the network does not accept the size, `keep_size` makes this
/// an error. Otherwise the model card's size is used instead.
pub fn prepare<'a>(
    context: &Context,
    model: &'a LoadedModel,
    mut settings: Vec<Setting>,
    mut units: Vec<RenderUnit>,
    extras: Extras,
    keep_size: bool,
) -> Result<PreparedUnits<'a>> {
    let Extras { materials, statistics_path } = extras;
    if units.is_empty() {
        return Err(JobError::NoUnits.into());
    }
    let params = params_of(model, &settings, materials.flow_statistics.is_some());
    if let (Some(path), false) = (&statistics_path, params.iter().any(ParamSpec::reads_statistics)) {
        let param = params.first().map_or("fourier", ParamSpec::name);
        return Err(JobError::UnusedStatistics {
            path: path.clone(),
            param: param.to_owned(),
            other_colors: matches!(param, "fourier" | "laplacian" | "shared"),
        }
        .into());
    }
    let mut groups: BTreeMap<(usize, Vec<Target>), Vec<usize>> = BTreeMap::new();
    for (i, job) in units.iter().enumerate() {
        let terms = job.objective.terms().into_iter().filter(|t| t.reads() != Reads::Input);
        let mut layers = terms.map(|t| model.model.target_of(t)).collect::<oneiro::Result<Vec<_>>>()?;
        layers.sort_unstable();
        layers.dedup();
        groups.entry((job.setting, layers)).or_default().push(i);
    }
    model.say_output(context);
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    for (index, setting) in settings.iter_mut().enumerate() {
        let of_setting: Vec<&Vec<usize>> =
            groups.iter().filter(|g| g.iter().any(|&i| units[i].setting == index)).collect();
        if of_setting.is_empty() {
            continue;
        }
        let size = accepted_size(context, model, setting, &mut units, &of_setting, &materials, keep_size)?;
        setting.preset.size = size;
    }
    model.framings.say(context, "images");
    Ok(PreparedUnits { model, units, settings, materials, statistics_path, seal: None, groups })
}

/// The parametrizations that statistics are for: those of flow, or of all else.
fn params_of(model: &LoadedModel, settings: &[Setting], of_flow: bool) -> Vec<ParamSpec> {
    if !of_flow {
        return settings.iter().map(|setting| setting.preset.param.clone()).collect();
    }
    let inputs = model.model.card.input.iter().filter(|input| input.kind == InputKind::Flow);
    let names: Vec<&str> = inputs.map(|input| input.name.as_str()).collect();
    let of = |setting: &Setting| {
        let preset = setting.preset.clone();
        names.iter().map(move |name| preset.of_input(name, InputKind::Flow).param).collect::<Vec<_>>()
    };
    settings.iter().flat_map(of).collect()
}

/// Returns the size of a setting, or the model's own if the network does not accept the setting's. The units
/// are checked at this size.
fn accepted_size(
    context: &Context,
    model: &LoadedModel,
    setting: &Setting,
    units: &mut [RenderUnit],
    groups: &[&Vec<usize>],
    materials: &Materials,
    keep_size: bool,
) -> Result<Option<[usize; 2]>> {
    let accepts = |size: Option<[usize; 2]>| -> Result<()> {
        context.compute(|| groups.iter().try_for_each(|members| accepts_group(model, units, members, size)))
    };
    let wanted = setting.preset.size;
    let refused = match accepts(wanted) {
        Ok(()) => {
            check_groups(context, model, &setting.preset, units, groups, materials)?;
            return Ok(wanted);
        }
        Err(refused) => refused,
    };
    // The model's own size shows whether the error depends on the size or occurs at every size.
    let Some(wanted) = wanted else { return Err(refused) };
    let of_size = matches!(refused, Error::Network(_)) && !keep_size;
    if let Err(other) = accepts(None) {
        return Err(if of_size { other } else { refused });
    }
    let accepted = picture_size(model, None)?;
    if keep_size {
        return Err(Error::Size { wanted, accepted, source: Box::new(refused) });
    }
    let files = Files::new(model, None)?;
    for &i in groups.iter().copied().flatten() {
        units[i].objective = refitted(&files, &units[i].objective)?;
        if setting.preset.picture.is_none() {
            let start = units[i].start.take();
            units[i].start = start.map(|s| files.reference(&s.name)).transpose()?;
            let mask = units[i].mask.take();
            units[i].mask = mask.map(|m| files.mask(&m.name)).transpose()?;
        }
    }
    let preset = Preset { size: None, ..setting.preset.clone() };
    check_groups(context, model, &preset, units, groups, materials)?;
    context.remark(Remark::OwnSize { wanted, own: accepted });
    Ok(Some(accepted))
}

/// Checks by shape inference alone that the network accepts pictures of a size for the units of a group.
fn accepts_group(
    model: &LoadedModel,
    units: &[RenderUnit],
    members: &[usize],
    size: Option<[usize; 2]>,
) -> Result<()> {
    let shapes = model.model.input_shapes(1, size)?;
    let objectives = std::slice::from_ref(&units[members[0]].objective);
    Ok(ObjectiveSession::accepts(&model.model, objectives, shapes)?)
}

fn check_groups(
    context: &Context,
    model: &LoadedModel,
    preset: &Preset,
    units: &[RenderUnit],
    groups: &[&Vec<usize>],
    materials: &Materials,
) -> Result<()> {
    let check = |members: &&Vec<usize>| check_group(model, preset, units, members, materials);
    context.compute(|| groups.iter().try_for_each(check))
}

/// Compiles the plan of a group, and checks every unit's channels and positions against the plan's shapes.
fn check_group(
    model: &LoadedModel,
    preset: &Preset,
    units: &[RenderUnit],
    members: &[usize],
    materials: &Materials,
) -> Result<()> {
    // Terms that couple a batch have no effect in a batch of one, but are checked, too.
    let first = &units[members[0]];
    let starts = vec![first.start.clone()];
    let materials = Materials { starts, mask: first.mask.clone(), ..materials.clone() };
    let render =
        Render::with_materials(&model.model, preset, std::slice::from_ref(&first.objective), 0, &materials)?;
    for term in members.iter().flat_map(|&i| units[i].objective.terms()) {
        if term.reads() == Reads::Input {
            continue;
        }
        let shape = render.shape_of(model.model.target_of(term)?).unwrap_or_default();
        term.check(shape).map_err(oneiro::Error::from)?;
        if term.at_output() {
            model.check_labels(shape.first().copied().unwrap_or(0))?;
        }
    }
    Ok(())
}
