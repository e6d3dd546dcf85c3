//! The command `oneiro completions`: prints a script with which a shell completes commands and flags.

use std::process::ExitCode;

use anyhow::Result;
use clap_complete::Shell;

use crate::context::Context;

/// Print completions for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro completions bash > ~/.local/share/bash-completion/completions/oneiro
  oneiro completions zsh > ~/.zfunc/_oneiro            # with fpath+=~/.zfunc before compinit in ~/.zshrc
  oneiro completions fish > ~/.config/fish/completions/oneiro.fish
  oneiro completions powershell >> $PROFILE")]
pub struct Args {
    /// The shell that the script is for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completion script; `command` describes the program's whole command line.
pub fn run(context: &Context, args: &Args, mut command: clap::Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "oneiro", &mut script);
    context.print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
