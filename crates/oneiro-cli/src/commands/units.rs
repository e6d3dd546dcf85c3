//! `oneiro units`: what a scan knows of units.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use oneiro_jobs::store::ScanFile;
use oneiro_jobs::store::read::UnitRecord;

use crate::context::Context;

/// Say what a scan knows of units
#[derive(clap::Args)]
pub struct Args {
    /// A scan: the folder that `oneiro scan` made
    #[arg(value_name = "SCAN")]
    scan: PathBuf,
    /// A unit: LAYER:CHANNEL or class:NAME
    #[arg(value_name = "UNIT")]
    unit: Option<String>,
    /// Units of this layer
    #[arg(long, short, value_name = "LAYER")]
    layer: Option<String>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let scan = ScanFile::open(&args.scan)?;
    let mut found: Vec<UnitRecord> = Vec::new();
    if let Some(unit) = &args.unit {
        found.push(scan.unit_named(unit)?.0);
    } else if let Some(layer) = &args.layer {
        let layer = scan.layer(layer)?.layer;
        for channel in 0..layer.channels {
            found.push(scan.unit(layer, channel)?);
        }
    } else {
        bail!("UNIT or --layer");
    }
    if args.json {
        context.print(&serde_json::to_string_pretty(&found)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
