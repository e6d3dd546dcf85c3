//! Writes the flow fields of a job in the requested format.

use oneiro_media::flow::{encode_flo, encode_flow_pair, npy_header};
use oneiro_media::{Ffmpeg, FilmFormat, FrameRate, PngText};

use super::drawing::Drawing;
use super::error::FlowError;
use super::fields::Fields;
use super::film_writer::FilmWriter;
use super::{FlowJob, FlowOutput, FlowStyle};
use crate::error::Result;
use crate::job::{Place, Role, Run, Sink};
use crate::provenance::{seal, text_of_program};
use crate::task::Task;

/// The part of a film's metadata that is known before flow is computed.
pub struct Text {
    /// Name and version of `ffmpeg`, if it writes the film.
    ffmpeg: Option<String>,
}

impl Text {
    /// Asks `ffmpeg` for its version if the film needs it, so that a missing program is reported before any
    /// work.
    pub fn new(job: &FlowJob) -> Result<Self> {
        let is_needed = job.output.film().is_some_and(FilmFormat::needs_ffmpeg);
        let ffmpeg = is_needed.then(|| Ffmpeg::default().version()).transpose()?;
        Ok(Self { ffmpeg })
    }

    fn of(self, job: &FlowJob, fields: &Fields, rate: FrameRate) -> PngText {
        let mut text = text_of_program();
        let scale = match job.style {
            FlowStyle::Channels | FlowStyle::Joint => {
                let [u, v, length] = fields.range.0.map(|(low, high)| format!("{low} to {high}"));
                format!("red u {u}, green v {v}, blue length {length}, pixels")
            }
            FlowStyle::Wheel => format!("full colour at {} pixels", fields.largest()),
            FlowStyle::Arrows => format!("longest arrow {} pixels", fields.longest_arrow),
        };
        text.push("flow", &job.input);
        text.push("scale", scale);
        text.push(
            "film",
            format!("{} frames at {} per second", fields.spool.len(), rate.frames_per_second()),
        );
        if let Some(ffmpeg) = self.ffmpeg {
            text.push("ffmpeg", ffmpeg);
        }
        text
    }
}

/// Passes the flow fields to the sink in the job's output format.
pub fn write(
    run: &Run<'_>,
    job: &FlowJob,
    fields: &mut Fields,
    text: Text,
    sink: &mut dyn Sink,
) -> Result<()> {
    match (job.output, job.output.film()) {
        (_, Some(format)) => film(run, job, fields, text, format, sink),
        (FlowOutput::Flo, _) => flo(fields, sink),
        (FlowOutput::Pairs, _) => pairs(run, job, fields, sink),
        _ => npy(run, fields, sink),
    }
}

fn film(
    run: &Run<'_>,
    job: &FlowJob,
    fields: &mut Fields,
    text: Text,
    format: FilmFormat,
    sink: &mut dyn Sink,
) -> Result<()> {
    let place = Place::film(0);
    if !sink.wants(place) {
        return Ok(());
    }
    let rate = FrameRate::new(fields.rate)?;
    let mut text = text.of(job, fields, rate);
    seal(run, &mut text, job, place)?;
    let drawing = Drawing::new(job, fields);
    let enlargement = job.enlargement(fields.spool.height(), fields.spool.width());
    let size = (fields.spool.width() * enlargement, fields.spool.height() * enlargement);
    let frames = fields.spool.len();
    sink.take(place, &format!("flow.{}", format.extension()), &mut |out| {
        let mut progress = Task::new(run.context, "film", frames as u64);
        let mut film = FilmWriter::new(out, format, size, frames, rate, &text)?;
        fields.spool.read(|_, spooled| {
            run.context.check()?;
            film.push(&drawing.of(&spooled)?)?;
            progress.advance(1);
            Ok(())
        })?;
        film.finish()
    })
}

fn npy(run: &Run<'_>, fields: &mut Fields, sink: &mut dyn Sink) -> Result<()> {
    let spool = &mut fields.spool;
    let header = npy_header(spool.len(), spool.height(), spool.width());
    sink.take(Place::first(Role::Flow), "flow.npy", &mut |out| {
        out.write_all(&header)?;
        spool.read(|_, spooled| {
            run.context.check()?;
            let bytes: Vec<u8> = spooled.field.data.iter().flat_map(|value| value.to_le_bytes()).collect();
            Ok(out.write_all(&bytes)?)
        })
    })
}

fn flo(fields: &mut Fields, sink: &mut dyn Sink) -> Result<()> {
    let count = fields.spool.len();
    fields.spool.read(|_, spooled| {
        let bytes = encode_flo(&spooled.field).map_err(|_| FlowError::SeveralFields { fields: count })?;
        sink.take_bytes(Place::first(Role::Flow), "flow.flo", &bytes)
    })
}

/// Writes each component of each field as a picture of its own: u of field 0, v of field 0, u of field 1, ….
fn pairs(run: &Run<'_>, job: &FlowJob, fields: &mut Fields, sink: &mut dyn Sink) -> Result<()> {
    let mut progress = Task::new(run.context, "pictures", fields.spool.len() as u64);
    fields.spool.read(|t, spooled| {
        run.context.check()?;
        let pictures = encode_flow_pair(&spooled.field, 0, job.bound())?;
        for (component, (axis, bytes)) in ["x", "y"].into_iter().zip(pictures).enumerate() {
            let place = Place { role: Role::Flow, index: 2 * t + component };
            sink.take_bytes(place, &format!("flow_{axis}_{:05}.jpg", t + 1), &bytes)?;
        }
        progress.advance(1);
        Ok(())
    })
}
