//! The command line of oneiro: see what a trained network has learned.

#![deny(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

mod args;
mod collisions;
mod commands;
mod config;
mod context;
mod dot;
mod hints;
mod inputs;
mod interrupt;
mod outputs;
mod results;
mod terminal;

use config::Config;
use context::Context;

/// See what a trained network has learned.
#[derive(Parser)]
#[command(
    name = "oneiro",
    version,
    propagate_version = true,
    term_width = 120,
    after_help = "Start with `oneiro demo`, which needs nothing but this program.\n\
                  MODEL is an .onnx file (with its card NAME.toml beside it) or a built-in network:\n\
                  squeezenet1_1, or the features hog, hogb, dsift."
)]
struct Cli {
    /// Threads to compute with; the results do not depend on it [default: all cores]
    #[arg(
        long,
        global = true,
        allow_negative_numbers = true,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    threads: Option<u16>,
    /// Print results only: no progress, no notes
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Device to compute on
    #[arg(long, global = true, default_value = "cpu", value_parser = ["cpu"])]
    device: String,
    /// Read defaults for flags from this file, not from the usual place (docs/guide.md says which)
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "no_config")]
    config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long, global = true)]
    no_config: bool,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    fn context(&self) -> anyhow::Result<Context> {
        let config = if self.no_config { Config::default() } else { Config::find(self.config.as_deref())? };
        let threads = self.threads.or(config.threads).map(usize::from);
        Context::new(threads, self.quiet || config.quiet, config)
    }
}

#[derive(Subcommand)]
enum Command {
    Demo(commands::demo::Args),
    Classify(commands::classify::Args),
    Attribute(commands::attribute::Args),
    Layers(commands::layers::Args),
    Render(commands::render::Args),
    Sheet(commands::sheet::Args),
    Invert(commands::invert::Args),
    Caricature(commands::caricature::Args),
    Grid(commands::grid::Args),
    Accentuate(commands::accentuate::Args),
    Interpolate(commands::interpolate::Args),
    Presets(commands::presets::Args),
    Dream(Box<commands::dream::Args>),
    Flow(commands::flow::Args),
    Info(commands::info::Args),
    Scan(commands::scan::Args),
    Compare(Box<commands::compare::Args>),
    Units(commands::units::Args),
    Health(commands::health::Args),
    Video(Box<commands::video::Args>),
    Statistics(commands::statistics::Args),
    Again(commands::again::Args),
    Run(commands::run::Args),
    Check(commands::check::Args),
    Bench(commands::bench::Args),
    Completions(commands::completions::Args),
}

/// Ends the program because of flags that cannot be understood, or after the help that was asked for.
fn refuse(error: &clap::Error) -> ! {
    if error.kind() != ErrorKind::ValueValidation {
        error.exit();
    }
    // Replaces messages of Rust's number parsers, which do not help the user.
    let text = error
        .to_string()
        .replace("invalid float literal", "a number is needed")
        .replace("invalid digit found in string", "a whole number is needed, 0 or more");
    terminal::complain(text.trim_end());
    std::process::exit(error.exit_code())
}

/// Exit code after Ctrl-C, by the convention of shells: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse(&error));
    interrupt::listen();
    let outcome = cli.context().and_then(|context| match &cli.command {
        Command::Demo(args) => commands::demo::run(&context, args),
        Command::Classify(args) => commands::classify::run(&context, args),
        Command::Attribute(args) => commands::attribute::run(&context, args),
        Command::Layers(args) => commands::layers::run(&context, args),
        Command::Render(args) => commands::render::run(&context, args),
        Command::Sheet(args) => commands::sheet::run(&context, args),
        Command::Invert(args) => commands::invert::run(&context, args),
        Command::Grid(args) => commands::grid::run(&context, args),
        Command::Caricature(args) => commands::caricature::run(&context, args),
        Command::Interpolate(args) => commands::interpolate::run(&context, args),
        Command::Accentuate(args) => commands::accentuate::run(&context, args),
        Command::Presets(args) => commands::presets::run(&context, args),
        Command::Dream(args) => commands::dream::run(&context, args),
        Command::Video(args) => commands::video::run(&context, args),
        Command::Flow(args) => commands::flow::run(&context, args),
        Command::Info(args) => commands::info::run(&context, args),
        Command::Compare(args) => commands::compare::run(&context, args),
        Command::Scan(args) => commands::scan::run(&context, args),
        Command::Units(args) => commands::units::run(&context, args),
        Command::Health(args) => commands::health::run(&context, args),
        Command::Statistics(args) => commands::statistics::run(&context, args),
        Command::Again(args) => commands::again::run(&context, args),
        Command::Run(args) => commands::run::run(&context, args),
        Command::Check(args) => commands::check::run(&context, args),
        Command::Bench(args) => commands::bench::run(&context, args),
        Command::Completions(args) => commands::completions::run(&context, args, Cli::command()),
    });
    match outcome {
        Ok(code) => code,
        Err(_) if interrupt::requested() => {
            terminal::complain("interrupted; nothing was left half-written");
            ExitCode::from(INTERRUPTED)
        }
        // The reader of the output has closed the pipe (`oneiro layers M | head`), which is no failure.
        Err(error) if error.is::<context::ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&format!("error: {}", hints::explained(&error)));
            ExitCode::FAILURE
        }
    }
}
