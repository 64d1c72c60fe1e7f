//! `config import`: another proxy's configuration as one of ours, printed or written to a file of its owner alone.

#![expect(
    clippy::doc_markdown,
    reason = "docs of options are the help, where backticks are noise"
)]

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::config::{ProviderKind, Secrets, Source, System, Text, import};

use super::super::exit::Failure;
use super::super::output::{Output, complain};
use super::private_file;

/// Options of `config import`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The other proxy's configuration
    pub file: PathBuf,
    /// Whose it is; guessed without it
    #[arg(long, value_parser = PossibleValuesParser::new(System::words()).map(|word| word_of(&word)))]
    pub from: Option<System>,
    /// Rows of APIProxy's providers, JSON or CSV
    #[arg(long, value_name = "FILE")]
    pub providers: Option<PathBuf>,
    /// Write it there, keys included, for its owner alone; else it is printed, with variables for keys
    #[arg(long, visible_alias = "output", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace the file of --out
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// The system of a word that was found among the words.
fn word_of(word: &str) -> System {
    System::of_word(word).unwrap_or(System::Litellm)
}

/// Runs `config import`.
///
/// # Errors
/// A file cannot be read or written, it is wrong, or what it needs is not there.
pub(super) fn run<W: Write>(args: &Args, output: &mut Output<W>) -> anyhow::Result<()> {
    let (name, text) = read(&args.file)?;
    let rows = args.providers.as_deref().map(read).transpose()?;
    let source = Source {
        main: Text {
            file: &name,
            text: &text,
        },
        rows: rows.as_ref().map(|(file, text)| Text { file, text }),
        system: args.from,
    };
    let imported = import(&source, &ProviderKind::words())?;
    if args.from.is_none() {
        complain(&format!(
            "taken for the configuration of {}",
            imported.system.name()
        ));
    }
    match &args.out {
        Some(file) => {
            private_file::write(file, &imported.draft.yaml(Secrets::Written), args.force)?;
            output.line(&format!("written to {}", file.display()))?;
        }
        None => output.bytes(imported.draft.yaml(Secrets::Referred).as_bytes())?,
    }
    output.flush()?;
    match imported.lacking {
        Some(lacking) => Err(Failure::usage(lacking).into()),
        None => Ok(()),
    }
}

fn read(file: &Path) -> anyhow::Result<(String, String)> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file);
    let bytes = bytes.map_err(|error| Failure::usage(format!("{name} cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name} is not UTF-8")));
    Ok((name, text.context("another proxy's configuration")?))
}
