//! Reading videos: animations, folders, and files by the program `ffmpeg`.

#![allow(clippy::unwrap_used)]

#[path = "../../../oneiro-net/tests/outside/mod.rs"]
mod outside;
mod reading;
