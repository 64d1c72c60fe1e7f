//! `config`: what the configuration is, whether it is right, and where it comes from.

use std::io::Write;

use crate::config::Rules;

use super::exit::Failure;
use super::globals::Globals;
use super::output::Output;
use super::serve;

/// What to do with the configuration.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Print the resolved configuration, every secret masked
    Show,
    /// Tell everything that is wrong, with its place; exit code 2 if there is anything
    Check,
    /// Print which file is used
    Path,
}

/// Options of `config`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// Runs `config`.
///
/// # Errors
/// The configuration is wrong, there is no file to name, or the output cannot be written.
pub fn run<W: Write>(
    action: &Action,
    globals: &Globals,
    flags: &serve::Args,
    rules: &Rules<'_>,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    match action {
        Action::Show => output.bytes(globals.load(flags, rules)?.show().as_bytes())?,
        Action::Check => {
            let config = globals.load(flags, rules)?;
            match config.file() {
                Some(file) => output.line(&format!("{}: no problems", file.display()))?,
                None => output.line("no file, and no problems in the environment")?,
            }
        }
        Action::Path => match globals.sources(flags)?.config_file() {
            Some(file) => output.line(&file.display().to_string())?,
            None => {
                return Err(Failure::failed(
                    "no file is used; looked for $AIPROXY_CONFIG, ./aiproxy.yaml and ~/.config/aiproxy/config.yaml",
                )
                .into());
            }
        },
    }
    output.flush()
}
