//! The command `oneiro flow`: computes a video's optical flow and writes it as a film or as numbers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;
use oneiro_jobs::job::flow::{
    FlowJob, FlowOutput, FlowReport, FlowSize, FlowStyle, FrameRange, TvL1Settings,
};
use oneiro_jobs::job::render::limits::MAX_SIDE;
use oneiro_jobs::job::{Job, NewFolder, Role, Run};
use oneiro_jobs::numbers::short;

use crate::args::size::parse_size_within;
use crate::context::Context;
use crate::outputs::is_folder;
use crate::results::{self, Results};

/// Compute the optical flow of a video: how each pixel moves from frame to frame
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro flow bikes.mp4 --out flow.mp4                            # red: motion to the right, green: down, blue: length
  oneiro flow bikes.mp4 --out flow.gif --colors arrows --start 20 --count 30
  oneiro flow bikes.mp4 --out flow.npy --size 224                 # numbers: [T, 2, H, W] in pixels per frame
  oneiro flow bikes.mp4 --out flow/ --bound 20                    # flow_x_00001.jpg, flow_y_00001.jpg, ...
  oneiro flow frames/ --out flow.webp --colors wheel --compensate-camera
  oneiro flow flow.npy --out arrows.png --colors arrows           # flow that is there already is drawn or converted

Flow is that of TV-L1 with OpenCV's parameters. `--set` changes them: tau, lambda, theta, scales, scale_step, warps,
epsilon, inner_iterations, outer_iterations, median (docs/flow.md says what each is). Cuts are not detected: the flow
across a cut means nothing. MP4 and WebM need the program ffmpeg, and so do videos other than GIF, PNG and WebP.")]
pub struct Args {
    /// A video file, GIF, animated PNG or WebP, a folder of frames, or flow: .flo, .npy, .npz, a folder of
    /// flow_x_00001.jpg, flow_y_00001.jpg and so on
    #[arg(value_name = "VIDEO")]
    video: PathBuf,
    /// Where the flow goes; the ending is the format. Films: .png, .apng, .gif, .webp, .mp4, .webm. Numbers:
    /// .npy, .flo (one field). A new folder, with a slash at the end: pairs of JPEG
    #[arg(long, short, value_name = "FILE|FOLDER/")]
    out: PathBuf,
    /// What a film shows: motion to the right, motion down and length as red, green and blue, each from its
    /// lowest to its highest value (channels) or on one scale (joint), the direction as hue (wheel), or
    /// arrows over the frames (arrows) [default: channels]
    #[arg(long, value_enum, value_name = "COLORS")]
    colors: Option<Colors>,
    /// Index of the first frame, from 0; of flow, of the first field [default: 0]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    start: Option<usize>,
    /// Frames at most; of flow, fields [default: all]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    count: Option<usize>,
    /// Take every N-th frame; flow is the motion over N frames [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    every: Option<usize>,
    /// Scale frames before flow is computed: the shorter side, or HxW
    #[arg(long, allow_negative_numbers = true, value_parser = parse_flow_size, value_name = "N|HxW")]
    size: Option<FlowSize>,
    /// Take off the camera's motion, so that the background rests
    #[arg(long)]
    compensate_camera: bool,
    /// A parameter of TV-L1, for instance lambda=0.3; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Side of the square that each pixel of flow is in a film [default: 1; for arrows, such that the shorter
    /// side has 256 pixels]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    enlarge: Option<usize>,
    /// Frames per second of a film [default: those of the video, else 25]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE")]
    fps: Option<f64>,
    /// Motion in pixels that white stands for in a folder of JPEG pairs, read or written [default: 20]
    #[arg(long, allow_negative_numbers = true, value_name = "PIXELS")]
    bound: Option<f32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The values of `--colors`: how a film shows flow.
#[derive(Clone, Copy, ValueEnum)]
enum Colors {
    Channels,
    Joint,
    Wheel,
    Arrows,
}

impl From<Colors> for FlowStyle {
    fn from(colors: Colors) -> Self {
        match colors {
            Colors::Channels => Self::Channels,
            Colors::Joint => Self::Joint,
            Colors::Wheel => Self::Wheel,
            Colors::Arrows => Self::Arrows,
        }
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let job = job(args)?;
    job.check()?;
    let report = match job.output {
        FlowOutput::Pairs => {
            let nowhere = Results::default().and_other(Some(("--out", &args.out)));
            results::check(context, None, &job, &nowhere, &[])?;
            let mut folder = NewFolder::new(&args.out)?;
            let report = job.run(&Run::without_model(context), &mut folder)?;
            folder.finish()?;
            report
        }
        output => {
            let role = if output.is_film() { Role::Film } else { Role::Flow };
            let mut results = Results::default().and(role, "--out", Some(&args.out));
            results.check_writable()?;
            check_not_among_frames(args)?;
            results::run(context, None, &job, &mut results, &[], None)?
        }
    };
    print(context, args, &report, started)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the job that the flags describe.
fn job(args: &Args) -> Result<FlowJob> {
    let out = args.out.display();
    let output = match FlowOutput::of_name(&args.out) {
        _ if is_folder(&args.out) => FlowOutput::Pairs,
        Some(output) => output,
        None => bail!(
            "--out {out}: films end in .png, .apng, .gif, .webp, .mp4 or .webm, numbers in .npy or .flo, and a folder of JPEG \
             pairs in a slash"
        ),
    };
    let is_flow = oneiro_media::flow::is_flow(&args.video)?;
    if !output.is_film() {
        let of_films = [
            ("--colors", args.colors.is_some()),
            ("--enlarge", args.enlarge.is_some()),
            ("--fps", args.fps.is_some()),
        ];
        if let Some((flag, _)) = of_films.iter().find(|(_, given)| *given) {
            bail!("{flag} is for films, and --out {out} holds numbers; leave it out");
        }
    }
    if args.bound.is_some() && output != FlowOutput::Pairs && !(is_flow && args.video.is_dir()) {
        bail!("--bound is for folders of JPEG pairs; leave it out");
    }
    let usual = FrameRange::default();
    Ok(FlowJob {
        frames: FrameRange {
            start: args.start.unwrap_or(usual.start),
            count: args.count,
            every: args.every.unwrap_or(usual.every),
        },
        size: args.size,
        tvl1: tvl1(&args.set)?,
        compensate_camera: args.compensate_camera,
        style: args.colors.map(FlowStyle::from).unwrap_or_default(),
        enlarge: args.enlarge,
        frames_per_second: args.fps,
        bound: args.bound,
        ..FlowJob::new(args.video.display().to_string(), output)
    })
}

/// Returns the parameters of TV-L1 with the assignments of `--set`.
fn tvl1(assignments: &[String]) -> Result<TvL1Settings> {
    let mut table = toml::Table::try_from(TvL1Settings::default())?;
    for assignment in assignments {
        let refused = |error: toml::de::Error| anyhow!("--set {assignment}: {}", error.message());
        if !assignment.contains('=') {
            bail!("--set {assignment}: write it as KEY=VALUE");
        }
        let one: toml::Table = toml::from_str(assignment).map_err(refused)?;
        table.extend(one);
        let _: TvL1Settings = table.clone().try_into().map_err(refused)?;
    }
    Ok(table.try_into()?)
}

/// Parses the size of frames: `N` for the shorter side, or `HxW` for both.
fn parse_flow_size(text: &str) -> Result<FlowSize, String> {
    let size = parse_size_within(text, MAX_SIDE)?;
    Ok(if text.contains(['x', 'X']) { FlowSize::Exact(size) } else { FlowSize::Shorter(size[0]) })
}

/// Returns an error if the output would lie in the folder of frames, where it would later be read as a frame.
fn check_not_among_frames(args: &Args) -> Result<()> {
    let parent = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_inside = match (parent.canonicalize(), args.video.canonicalize()) {
        (Ok(parent), Ok(video)) => video.is_dir() && parent == video,
        _ => false,
    };
    if is_inside && oneiro_media::has_image_name(&args.out) {
        bail!("--out {}: there it would be one of the frames; name a file elsewhere", args.out.display());
    }
    Ok(())
}

fn print(context: &Context, args: &Args, report: &FlowReport, started: Instant) -> Result<()> {
    if args.json {
        let mut object = serde_json::to_value(report)?;
        object["files"] = vec![args.out.display().to_string()].into();
        object["seconds"] = started.elapsed().as_secs_f64().into();
        return context.print(&serde_json::to_string_pretty(&object)?);
    }
    let fields = if report.fields == 1 { "field" } else { "fields" };
    let rate = report.fields_per_second.map_or(String::new(), |rate| format!(", {} a second", short(rate)));
    context.print(&format!(
        "{} {fields} of {}x{}{rate}; motion {} pixels on average, {} at most; written to {}",
        report.fields,
        report.height,
        report.width,
        short(report.mean),
        short(f64::from(report.largest)),
        args.out.display()
    ))
}
