//! `init`: the first configuration, question by question. Every answer is judged by the configuration's own rules; the
//! file is shown before it is written, and written whole or not at all. It changes nothing else, and starts nothing.

mod ask;
mod interrupt;
mod kinds;
mod ports;
mod providers;
mod reach;
mod sketch;
mod storage;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config::{Environment, Rules, Secrets, Sources};

use super::config::private_file;
use super::exit::Failure;
use super::output::Output;

use self::ask::Ask;
use self::interrupt::Interrupts;
use self::sketch::{Judge, Sketch};

/// Options of `init`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Write it there; without it: the file in use, else ./aiproxy.yaml
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace a file that is there without asking
    #[arg(long)]
    pub force: bool,
}

/// Runs `init`.
///
/// # Errors
/// There is nobody to ask, the file cannot be written, or it was given up.
pub fn run<W: Write>(
    args: &Args,
    sources: &Sources,
    rules: &Rules<'_>,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let message = "init asks questions, and there is no terminal to ask them on; without one write aiproxy.yaml \
                       yourself (README, Configuration), or take over another proxy's: aiproxy config import FILE --out \
                       aiproxy.yaml";
        return Err(Failure::usage(message).into());
    }
    let file = target(args, sources)?;
    let interrupts = Interrupts::watch()?;
    let ask = Ask::new(&interrupts);
    ask.say(&format!("the configuration will be {}", file.display()));
    let is_there = std::fs::symlink_metadata(&file).is_ok();
    if is_there && !args.force && !ask.yes("this file is there already; replace it", None)? {
        return Err(Failure::failed("nothing was written").into());
    }
    // What the file says must be right wherever it is read: of the environment only the home folder counts.
    let environment = Environment::from_process().only(&["HOME"]);
    let judge = Judge {
        file: &file,
        environment: &environment,
        rules,
    };
    let mut sketch = Sketch::default();
    ports::ask(&ask, &judge, &mut sketch)?;
    providers::ask(&ask, &judge, &mut sketch)?;
    storage::ask(&ask, &judge, &mut sketch)?;
    // Nothing should be left to complain about; what is, keeps the file from being written.
    judge.whole(&sketch)?;
    ask.say("");
    ask.say(&sketch.yaml(Secrets::Masked));
    ask.say("");
    ask.say("what is masked here will stand there as it is; only you may read the file");
    if !ask.yes("write it", None)? {
        return Err(Failure::failed("nothing was written").into());
    }
    let held = interrupts.hold();
    private_file::write(&file, &sketch.yaml(Secrets::Written), is_there)?;
    output.line(&format!("written to {}", file.display()))?;
    output.line(&format!(
        "now: aiproxy serve --config {0}; then: aiproxy logs --config {0}",
        file.display()
    ))?;
    output.flush()?;
    drop(held);
    Ok(())
}

/// The file that is to be written; what a link leads to, so that the link stays.
fn target(args: &Args, sources: &Sources) -> anyhow::Result<PathBuf> {
    let [.., (_, here), _] = sources.places();
    let file = args.out.clone().or_else(|| sources.config_file()).or(here);
    let file = file.context("no folder to write to")?;
    let file = std::fs::canonicalize(&file)
        .ok()
        .filter(|_| file.is_symlink())
        .unwrap_or(file);
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    // All the questions would have been for nothing.
    if let Err(error) = tempfile::NamedTempFile::new_in(folder) {
        let message = format!("cannot write to {}: {}", folder.display(), error.kind());
        return Err(Failure::failed(message).into());
    }
    Ok(file)
}
