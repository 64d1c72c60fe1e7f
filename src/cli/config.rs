//! `config`: what the configuration is, whether it is right, and where it comes from.

mod edit;
mod import;
pub(super) mod private_file;

use std::io::Write;

use crate::config::{Rules, Sources};

use super::exit::Failure;
use super::globals::Globals;
use super::output::{Output, complain};
use super::serve;

/// What to do with the configuration.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Print the resolved configuration, every secret masked
    Show,
    /// Tell everything that is wrong, with its place; exit code 2 if there is anything
    Check,
    /// Print which file is used, and where it is looked for
    Path,
    /// Open the file in $VISUAL, $EDITOR or vi; it is checked before it is saved
    Edit,
    /// Translate another proxy's configuration
    Import(import::Args),
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
        Action::Import(args) => import::run(args, output)?,
        Action::Edit => edit::run(globals.sources(flags)?, rules, output)?,
        Action::Path => path(&globals.sources(flags)?, output)?,
    }
    output.flush()
}

/// Prints the file in use, and on stderr every place in the order in which it is looked for.
fn path<W: Write>(sources: &Sources, output: &mut Output<W>) -> anyhow::Result<()> {
    let used = sources.config_file();
    for (whence, file) in sources.places() {
        let is_used = used.is_some() && file == used;
        let file = file.map_or("not set".to_owned(), |file| file.display().to_string());
        let mark = if is_used { "used" } else { "looked at" };
        complain(&format!("{mark}: {whence}: {file}"));
    }
    match used {
        Some(file) => output.line(&file.display().to_string()),
        None => Err(Failure::failed("no file is used").into()),
    }
}
