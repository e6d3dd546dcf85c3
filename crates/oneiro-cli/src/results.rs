//! The files that flags name for a job's results, and running a job whose results go there.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro_jobs::files::{FileError, PicturePaths, check_writable, create_folder};
use oneiro_jobs::job::film_kind::FilmKind;
use oneiro_jobs::job::outputs::Content;
use oneiro_jobs::job::parts::Parts;
use oneiro_jobs::job::{Job, Place, Role, Run, Sink};
use oneiro_jobs::model::LoadedModel;
use oneiro_media::{MediaError, StillFormat};

use crate::collisions;
use crate::context::Context;

/// Says where the finished units of an interrupted command are.
pub fn say_kept(context: &Context, parts: &Parts) {
    let folder = parts.folder().display();
    context.note(&format!("finished units are kept in {folder}; the same command goes on from there"));
}

/// The files for a job's results. Still pictures are written in the format for their file name's ending.
#[derive(Debug, Default)]
pub struct Results {
    /// Each result's place in the job, the flag that names its file, and the file.
    files: Vec<(Place, &'static str, PathBuf)>,
    /// Folders to create for the files.
    folders: Vec<PathBuf>,
    /// Files that the command itself writes, with their flags.
    others: Vec<(&'static str, PathBuf)>,
}

impl Results {
    /// Starts with the files for a job's pictures, by their numbers, or for its single sheet.
    pub fn pictures(paths: PicturePaths) -> Self {
        let mut results = Self::default();
        results.add_all(Role::Picture, "--out", paths);
        results
    }

    /// Adds the files for films, by their numbers.
    pub fn and_films(mut self, paths: PicturePaths) -> Self {
        self.add_all(Role::Film, "--film", paths);
        self
    }

    /// Adds a result whose file is named by a flag, if the flag is given.
    pub fn and(mut self, role: Role, flag: &'static str, file: Option<&PathBuf>) -> Self {
        self.files.extend(file.map(|file| (Place::first(role), flag, file.clone())));
        self
    }

    /// Adds a file that the command writes itself.
    pub fn and_other(mut self, placed: Option<(&'static str, &Path)>) -> Self {
        self.others.extend(placed.map(|(flag, path)| (flag, path.to_owned())));
        self
    }

    /// Adds a result with its file, and the folder to create for it.
    pub fn add(&mut self, place: Place, flag: &'static str, file: PathBuf, folder: Option<PathBuf>) {
        self.files.push((place, flag, file));
        if let Some(folder) = folder.filter(|folder| !self.folders.contains(folder)) {
            self.folders.push(folder);
        }
    }

    fn add_all(&mut self, role: Role, flag: &'static str, paths: PicturePaths) {
        let numbered = paths.files.into_iter().enumerate();
        self.files.extend(numbered.map(|(index, file)| (Place { role, index }, flag, file)));
        self.folders.extend(paths.folder);
    }

    /// Returns an error before any work if a file could not be written later.
    pub fn check_writable(&self) -> Result<()> {
        let is_gif = |(place, _, file): &&(Place, &str, PathBuf)| {
            place.role == Role::Film && FilmKind::of_name(file) == Some(FilmKind::Gif)
        };
        if let Some((_, flag, file)) = self.files.iter().find(is_gif).filter(|_| !oneiro_media::WRITES_GIF) {
            bail!(
                "{flag} {}: this program was built without GIF; use a name that ends in .apng",
                file.display()
            );
        }
        self.folders.iter().try_for_each(|folder| oneiro_jobs::files::check_folder(folder))?;
        let in_folder = |file: &Path| self.folders.iter().any(|f| Some(f.as_path()) == file.parent());
        let alone = self.files.iter().filter(|(_, _, file)| !in_folder(file));
        Ok(alone.map(|(_, _, file)| file).try_for_each(|file| check_writable(file))?)
    }

    fn make_folder_of(&self, file: &Path) -> Result<(), FileError> {
        let own = self.folders.iter().filter(|f| Some(f.as_path()) == file.parent());
        own.map(PathBuf::as_path).try_for_each(create_folder)
    }

    /// Returns the file for a result, if there is one.
    pub fn file(&self, place: Place) -> Option<&Path> {
        self.files.iter().find(|(p, _, _)| *p == place).map(|(_, _, file)| file.as_path())
    }

    /// Returns the names of all files, pictures first.
    pub fn listed(&self) -> Vec<String> {
        let mut files: Vec<&(Place, &str, PathBuf)> = self.files.iter().collect();
        files.sort_by_key(|(place, _, _)| *place);
        files.into_iter().map(|(_, _, file)| file.display().to_string()).collect()
    }
}

impl Sink for Results {
    fn wants(&self, place: Place) -> bool {
        self.file(place).is_some()
    }

    fn take(&mut self, place: Place, _name: &str, content: Content<'_>) -> oneiro_jobs::Result<()> {
        let Some(file) = self.file(place).map(Path::to_owned) else { return Ok(()) };
        self.make_folder_of(&file)?;
        oneiro_media::write_atomic_with(&file, |out: &mut dyn Write| content(out))
    }

    fn take_bytes(&mut self, place: Place, _name: &str, bytes: &[u8]) -> oneiro_jobs::Result<()> {
        let Some(file) = self.file(place).map(Path::to_owned) else { return Ok(()) };
        self.make_folder_of(&file)?;
        let is_still = matches!(place.role, Role::Picture | Role::Plot);
        match StillFormat::of_name(&file).filter(|_| is_still) {
            Some(format) => match format.transcode(bytes) {
                Ok(bytes) => Ok(oneiro_media::write_atomic(&file, &bytes)?),
                Err(why) => Err(kept_as_png(&file, bytes, why)?.into()),
            },
            None => Ok(oneiro_media::write_atomic(&file, bytes)?),
        }
    }
}

/// If the requested format cannot hold a picture, saves it as a PNG beside the requested file, unless that
/// PNG exists. Returns the error, which then names the PNG.
fn kept_as_png(file: &Path, png: &[u8], why: MediaError) -> oneiro_jobs::Result<MediaError> {
    let MediaError::Shape { what } = why else { return Ok(why) };
    let kept = file.with_extension("png");
    if kept.exists() {
        return Ok(MediaError::Shape { what });
    }
    oneiro_media::write_atomic(&kept, png)?;
    Ok(MediaError::Shape { what: format!("{what}; it was written to {} instead", kept.display()) })
}

/// Runs a job and writes its results into these files. `made_from` are input files besides those that the job
/// names, such as the preset's file.
///
/// # Errors
/// The errors of the job, and an error if a result would overwrite a file from which it is made.
pub fn run<J: Job>(
    context: &Context,
    model: Option<&LoadedModel>,
    job: &J,
    results: &mut Results,
    made_from: &[&Path],
    parts: Option<&Parts>,
) -> Result<J::Report> {
    check(context, model, job, results, made_from)?;
    Ok(run_checked(context, model, job, results, parts)?)
}

/// Checks that no result overwrites a file from which the job is made.
///
/// # Errors
/// An error that names the flag of the result in question.
pub fn check<J: Job>(
    context: &Context,
    model: Option<&LoadedModel>,
    job: &J,
    results: &Results,
    made_from: &[&Path],
) -> Result<()> {
    let sources = job.sources();
    let sources = sources.iter().map(Path::new).chain(made_from.iter().copied());
    let placed = results.files.iter().map(|(_, flag, file)| (*flag, file.as_path()));
    let others = results.others.iter().map(|(flag, file)| (*flag, file.as_path()));
    collisions::check(context, model, sources, placed.chain(others))
}

/// Runs a job and writes its results into files that [`check`] has accepted.
///
/// # Errors
/// The errors of the job.
pub fn run_checked<J: Job>(
    context: &Context,
    model: Option<&LoadedModel>,
    job: &J,
    results: &mut Results,
    parts: Option<&Parts>,
) -> oneiro_jobs::Result<J::Report> {
    let run = match model {
        Some(model) => Run::new(model, context),
        None => Run::without_model(context),
    };
    job.run(&run.with_parts(parts), results)
}

/// Prints a job's report as one JSON object, with the names of its files and the seconds it took.
pub fn print_json(
    context: &Context,
    model: &LoadedModel,
    report: &impl serde::Serialize,
    files: &[String],
    started: Instant,
) -> Result<()> {
    let mut object = serde_json::to_value(report)?;
    if !object.is_object() {
        bail!("the report is no object");
    }
    object["files"] = files.into();
    object["seconds"] = started.elapsed().as_secs_f64().into();
    model.add_to(&mut object);
    context.print(&serde_json::to_string_pretty(&object)?)
}
