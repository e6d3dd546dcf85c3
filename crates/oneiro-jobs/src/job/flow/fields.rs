//! The flow fields of a flow job: computed from a video, or read from files.

use std::path::Path;
use std::time::{Duration, Instant};

use oneiro_media::flow::{
    CameraOptions, Flow, FlowRange, Luminance, compensated_flow, flow_of_frames, is_flow, longest_arrow,
    read_flow, read_flow_pairs,
};
use oneiro_media::{Ffmpeg, Filter, Image, VideoReader, count_frames, resize};

use super::error::FlowError;
use super::spool::Spool;
use super::{FlowJob, FlowReport, FlowStyle, TvL1Settings};
use crate::context::Context;
use crate::error::Result;
use crate::job::Run;
use crate::remark::Remark;
use crate::task::Task;

/// Frames per second of a film whose input has no frame rate, such as a folder of frames.
const DEFAULT_RATE: f64 = 25.0;

/// All flow fields of a job in a temporary file, with statistics over all fields.
pub struct Fields {
    pub spool: Spool,
    /// Lowest and highest value of u, v and vector length in all fields.
    pub range: FlowRange,
    /// Length, in pixels per field, of the longest arrow in all fields, if arrows are drawn.
    pub longest_arrow: f32,
    /// Frames per second of the film.
    pub rate: f64,
    /// Sum of the lengths of all finite vectors, and their number.
    lengths: (f64, u64),
    /// Total time for computing flow; `None` if flow was read from a file.
    computing: Option<Duration>,
}

impl Fields {
    /// Computes the job's flow fields, or reads them if the job's input is flow.
    pub fn of(run: &Run<'_>, job: &FlowJob) -> Result<Self> {
        let places = run.places();
        let path = places.of(&job.input);
        if is_flow(path)? {
            Self::read(run.context, job, path)
        } else {
            Self::compute(run.context, job, path)
        }
    }

    /// Returns the job's report on the fields.
    pub fn report(&self, job: &FlowJob) -> FlowReport {
        let (sum, count) = self.lengths;
        let fields = self.spool.len();
        let seconds = self.computing.map(|time| time.as_secs_f64());
        FlowReport {
            input: job.input.clone(),
            fields,
            height: self.spool.height(),
            width: self.spool.width(),
            mean: if count == 0 { 0.0 } else { sum / count as f64 },
            largest: self.largest(),
            computing_seconds: seconds,
            fields_per_second: seconds.map(|seconds| fields as f64 / seconds.max(f64::MIN_POSITIVE)),
        }
    }

    /// Returns the length of the longest finite vector in all fields.
    pub fn largest(&self) -> f32 {
        self.range.0[2].1.max(0.0)
    }

    fn new(job: &FlowJob, height: usize, width: usize, has_frames: bool, rate: f64) -> Result<Self> {
        Ok(Self {
            spool: Spool::new(height, width, has_frames)?,
            range: FlowRange::default(),
            longest_arrow: 0.0,
            rate: job.frames_per_second.unwrap_or(rate),
            lengths: (0.0, 0),
            computing: None,
        })
    }

    fn push(&mut self, job: &FlowJob, field: &Flow, rgb: Option<&[u8]>) -> Result<()> {
        let lengths = field.u(0).iter().zip(field.v(0)).map(|(u, v)| u.hypot(*v));
        for length in lengths.filter(|length| length.is_finite()) {
            self.lengths.0 += f64::from(length);
            self.lengths.1 += 1;
        }
        self.range = self.range.or(FlowRange::of(field));
        if job.style == FlowStyle::Arrows {
            self.longest_arrow = self.longest_arrow.max(longest_arrow(field, &job.arrows()));
        }
        self.spool.push(field, rgb)
    }

    fn read(context: &Context, job: &FlowJob, path: &Path) -> Result<Self> {
        let refused = |setting| FlowError::AlreadyFlow { input: job.input.clone(), setting };
        if job.size.is_some() {
            return Err(refused("the size").into());
        }
        if job.compensate_camera {
            return Err(refused("the compensation of the camera's motion").into());
        }
        if job.tvl1 != TvL1Settings::default() {
            return Err(refused("the parameters of TV-L1").into());
        }
        if job.frames.every != 1 {
            return Err(refused("the step between frames").into());
        }
        let flow = if path.is_dir() { read_flow_pairs(path, job.bound())? } else { read_flow(path)? };
        let (start, count) = (job.frames.start, job.frames.chosen_of(flow.frames));
        if count == 0 {
            return Err(FlowError::NoFields { input: job.input.clone(), fields: flow.frames, start }.into());
        }
        job.check_output(count, flow.height, flow.width)?;
        let mut fields = Self::new(job, flow.height, flow.width, false, DEFAULT_RATE)?;
        for t in start..start + count {
            context.check()?;
            fields.push(job, &flow.field(t), None)?;
        }
        Ok(fields)
    }

    fn compute(context: &Context, job: &FlowJob, path: &Path) -> Result<Self> {
        let ffmpeg = Ffmpeg::default();
        let reader = VideoReader::open(path, &ffmpeg)?;
        let info = reader.info().clone();
        let claimed = match info.frames {
            Some(frames) => frames,
            None => count_frames(path, &ffmpeg)?.0,
        };
        let expected = job.frames.chosen_of(claimed).saturating_sub(1);
        let [height, width] = match job.size {
            Some(size) => size.of(info.height, info.width),
            None => [info.height, info.width],
        };
        job.check_output(expected, height, width)?;
        let rate = info.frames_per_second.map_or(DEFAULT_RATE, |rate| rate / job.frames.every as f64);
        let has_frames = job.output.is_film() && job.style == FlowStyle::Arrows;
        let mut fields = Self::new(job, height, width, has_frames, rate)?;
        let mut frames = Frames { reader, job, size: [height, width], read: 0 };
        let mut progress = Task::new(context, "flow", expected as u64);
        let mut computing = Duration::ZERO;
        // The frame pairs of a batch are computed in parallel. The last frame of a batch is the first one of
        // the next.
        let mut batch: Vec<Frame> = frames.next()?.into_iter().collect();
        loop {
            while batch.len() <= context.threads() {
                context.check()?;
                let Some(frame) = frames.next()? else { break };
                batch.push(frame);
            }
            if batch.len() < 2 {
                break;
            }
            context.check()?;
            let started = Instant::now();
            let flow = context.compute(|| flow_of(job, &batch))?;
            computing += started.elapsed();
            for (t, frame) in batch.iter().take(flow.frames).enumerate() {
                fields.push(job, &flow.field(t), Some(&frame.rgb))?;
            }
            progress.advance(flow.frames as u64);
            batch.drain(..flow.frames);
        }
        drop(progress);
        if fields.spool.len() == 0 {
            let chosen = claimed.max(frames.reader.position()) > frames.read;
            let frames = frames.read;
            return Err(FlowError::FewFrames { input: job.input.clone(), frames, chosen }.into());
        }
        if let Some(damage) = frames.reader.damage() {
            let (video, frames) = (job.input.clone(), frames.reader.position());
            context.remark(Remark::DamagedVideo { video, damage: damage.to_owned(), frames });
        }
        fields.computing = Some(computing);
        Ok(fields)
    }
}

fn flow_of(job: &FlowJob, batch: &[Frame]) -> Result<Flow> {
    let frames: Vec<Luminance> = batch.iter().map(|frame| frame.luminance.clone()).collect();
    let options = job.tvl1.options();
    Ok(match job.compensate_camera {
        true => compensated_flow(&frames, &options, &CameraOptions::default())?.flow,
        false => flow_of_frames(&frames, &options)?,
    })
}

/// A video frame at the size at which flow is computed.
struct Frame {
    luminance: Luminance,
    /// The frame's interleaved 8-bit RGB values.
    rgb: Vec<u8>,
}

/// The frames of a video that the job's range selects.
struct Frames<'j> {
    reader: VideoReader,
    job: &'j FlowJob,
    /// Height and width to which frames are scaled.
    size: [usize; 2],
    /// Number of selected frames read so far.
    read: usize,
}

impl Frames<'_> {
    fn next(&mut self) -> Result<Option<Frame>> {
        let range = self.job.frames;
        if range.count.is_some_and(|count| self.read >= count) {
            return Ok(None);
        }
        let skipped = if self.read == 0 { range.start } else { range.every - 1 };
        self.reader.skip_frames(skipped)?;
        let info = self.reader.info();
        let (height, width) = (info.height, info.width);
        let Some(rgb) = self.reader.next_rgb8() else { return Ok(None) };
        let rgb = rgb?;
        self.read += 1;
        let [to_height, to_width] = self.size;
        let rgb = if self.size == [height, width] {
            rgb.to_vec()
        } else {
            let image = Image::from_rgb8(width, height, rgb)?;
            resize(&image, to_height, to_width, Filter::Triangle)?.to_rgb8()
        };
        Ok(Some(Frame { luminance: Luminance::from_rgb8(to_width, to_height, &rgb)?, rgb }))
    }
}
