//! Dreams on videos, and of networks of clips.

use anyhow::{Result, bail};
use oneiro_jobs::job::Role;
use oneiro_jobs::job::dream::{BLEND, DreamtVideo, NOISE};
use oneiro_jobs::job::film_kind::{ENDINGS, FilmKind};

use super::Args;
use crate::context::Context;
use crate::outputs::default_path;
use crate::results::Results;

/// The settings of a dreamt video.
pub(super) fn settings(args: &Args) -> DreamtVideo {
    DreamtVideo { frames: args.frames, rate: args.fps, blend: args.blend.unwrap_or(BLEND) }
}

/// Where the film goes, and its format.
pub(super) fn results(
    context: &Context,
    args: &Args,
    takes_clips: bool,
) -> Result<(Results, Option<FilmKind>)> {
    if args.zoom.is_some() {
        bail!("--zoom starts from a picture; a video, or a network of clips, has frames of its own");
    }
    if let Some(0) = args.frames {
        bail!("--frames 0: at least one frame is dreamt on");
    }
    if args.raw.is_some() && !takes_clips {
        bail!("--raw is for a single picture, and for networks of clips, which dream on a video as a whole");
    }
    if args.blend.is_some() && takes_clips {
        bail!("--blend is for networks of images; this one dreams on all frames of a video together");
    }
    if args.frames.is_some() && args.image.as_os_str() == NOISE {
        bail!("--frames is for a video; noise has as many frames as the network sees");
    }
    let mut results = Results::default();
    let place = oneiro_jobs::job::Place::film(0);
    let kind = match &args.out {
        Some(out) => {
            let Some(kind) = FilmKind::of_name(out) else {
                bail!("--out {}: a dreamt video is a film, {ENDINGS}; use such a name", out.display());
            };
            results.add(place, "--out", out.clone(), None);
            kind
        }
        None => {
            let stem = args.image.file_stem().map_or("video".into(), |s| s.to_string_lossy());
            let mut paths = default_path(context, &format!("{stem}.dream.apng"));
            results.add(place, "--out", paths.files.swap_remove(0), paths.folder);
            FilmKind::Apng
        }
    };
    let results = results.and(Role::Raw, "--raw", args.raw.as_ref());
    results.check_writable()?;
    Ok((results, Some(kind)))
}

/// Refuses flags of videos for a picture.
pub(super) fn refuse(args: &Args) -> Result<()> {
    let is_zoom = args.zoom.is_some();
    let flags = [
        ("--blend", args.blend.is_some()),
        ("--fps", args.fps.is_some() && !is_zoom),
        ("--frames", args.frames.is_some() && !is_zoom),
    ];
    match flags.into_iter().find(|(_, given)| *given) {
        Some((flag @ ("--frames" | "--fps"), _)) => {
            bail!("{flag} is for --zoom and for videos, and this is a picture")
        }
        Some((flag, _)) => bail!("{flag} is for videos, and this is a picture"),
        None => Ok(()),
    }
}
