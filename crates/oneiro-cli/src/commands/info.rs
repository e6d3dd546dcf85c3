//! The command `oneiro info`: prints the record of how a picture was made.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use oneiro_jobs::again::Original;
use oneiro_jobs::job::scan::examples::is_scan;
use oneiro_jobs::numbers::short;
use serde_json::{Map, Value};

use crate::context::Context;

/// Print how a picture, film or page was made
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro info goldfish.png
  oneiro info goldfish.png --full
  oneiro info goldfish.png --json | jq .settings.transform

What matters most comes first; long lists are cut off unless --full or --json is given. Every picture, film,
plot and page that oneiro writes carries how it was made; `oneiro again` makes it again from that.")]
pub struct Args {
    /// A PNG, JPEG, WebP, GIF, MP4, WebM or HTML page that oneiro wrote
    #[arg(value_name = "PICTURE")]
    picture: PathBuf,
    /// Print everything, long lists and all
    #[arg(long)]
    full: bool,
    /// Print one JSON object, which has everything
    #[arg(long)]
    json: bool,
}

/// Keys of the entries that are printed first; the others follow in the file's order.
const FIRST: [&str; 15] = [
    "unit",
    "objective",
    "start",
    "value",
    "value-at-start",
    "value-saved",
    "preset",
    "seed",
    "steps",
    "flow",
    "scale",
    "film",
    "zoom",
    "inputs",
    "units",
];
/// Largest number of lines printed of one entry, unless the full text is requested.
const MOST_LINES: usize = 24;

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    if is_scan(&args.picture) {
        bail!("{0}: this is a scan; `oneiro units {0}` says what it holds", args.picture.display());
    }
    let described = Original::read(&args.picture)?;
    if args.json {
        let object: Map<String, Value> =
            described.text.0.iter().map(|(key, text)| (key.replace('-', "_"), as_json(key, text))).collect();
        context.print(&serde_json::to_string_pretty(&object)?)?;
    } else {
        let first = FIRST.iter().filter_map(|key| described.text.0.iter().find(|(k, _)| k == key));
        let rest = described.text.0.iter().filter(|(key, _)| !FIRST.contains(&key.as_str()));
        for (key, text) in first.chain(rest) {
            context.print(&as_lines(key, text, args.full))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses an entry that holds a number or structured data; an entry that cannot be parsed stays text.
fn as_json(key: &str, text: &str) -> Value {
    let parsed = match key {
        "settings" | "preparation" | "zoom" | "attribution" | "grid" => toml::from_str(text).ok(),
        "job" | "units" | "cells" | "layout" | "inputs" | "images" | "clip" | "sources" | "all-settings"
        | "seed" | "steps" | "value" | "value-at-start" | "value-saved" => serde_json::from_str(text).ok(),
        _ => None,
    };
    parsed.unwrap_or_else(|| text.into())
}

/// Formats an entry as one line, or as several lines below its key. A long text is cut off, unless `full` is
/// set.
fn as_lines(key: &str, text: &str, full: bool) -> String {
    let text = match key {
        "preparation" if !full => without_layers(text).unwrap_or_else(|| text.to_owned()),
        "units" if !full => summary(text).unwrap_or_else(|| text.to_owned()),
        "job" | "units" | "cells" | "layout" | "inputs" | "images" | "clip" | "sources" | "all-settings" => {
            serde_json::from_str::<Value>(text)
                .and_then(|v| serde_json::to_string_pretty(&v))
                .unwrap_or_else(|_| text.to_owned())
        }
        _ => text.trim_end().to_owned(),
    };
    // Text of an untrusted file must not contain control sequences for the terminal.
    let text: String = text.chars().filter(|&c| c == '\n' || !c.is_control()).collect();
    if !text.contains('\n') {
        return format!("{key}: {text}");
    }
    let lines: Vec<&str> = text.lines().collect();
    // Cutting off a single line would save nothing, because a line must say that something is missing.
    let shown = if full || lines.len() <= MOST_LINES + 1 { lines.len() } else { MOST_LINES };
    let mut said = format!("{key}:");
    for line in &lines[..shown] {
        said += "\n  ";
        said += line;
    }
    if shown < lines.len() {
        said += &format!("\n  … and {} lines more (--full)", lines.len() - shown);
    }
    said
}

/// Returns a card without its names of layers, but with their number.
fn without_layers(text: &str) -> Option<String> {
    let mut card: toml::Table = toml::from_str(text).ok()?;
    let layers = card.remove("layers")?.as_table()?.len();
    let rest = toml::to_string(&card).ok()?;
    Some(format!("{rest}\n… and short names of {layers} layers (--full)"))
}

/// Returns a line for each unit of a sheet, from the entry that describes them.
fn summary(text: &str) -> Option<String> {
    let units: Vec<Value> = serde_json::from_str(text).ok()?;
    let line = |unit: &Value| {
        let name = unit.get("unit")?.as_str()?;
        let number = |key: &str| unit.get(key).and_then(Value::as_f64);
        Some(match (number("value_at_start"), number("value")) {
            (Some(start), Some(value)) => format!("{name}: {} -> {}", short(start), short(value)),
            _ => name.to_owned(),
        })
    };
    let lines: Option<Vec<String>> = units.iter().map(line).collect();
    Some(lines?.join("\n"))
}
