//! `models`: what can be asked for, and where it goes; nobody is asked for that. `models refresh` asks the providers.

mod places;
mod refresh;
mod tries;

use std::io::Write;

use comfy_table::{Cell, ContentArrangement, Table, presets};

use crate::config::{Config, printable};
use crate::gateway::StartError;
use crate::upstream::discovery::cache::{self, Cached};
use crate::upstream::provider::Provider;
use crate::upstream::registry;

use self::places::{Place, places};
use super::exit::Failure;
use super::output::{Output, complain};

/// Options of `models`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// What to do instead of listing
    #[command(subcommand)]
    pub action: Option<Action>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// What to do with lists of models.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Ask the providers for their models, and keep what they say for the next start of `serve`
    Refresh(RefreshArgs),
}

/// Options of `models refresh`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct RefreshArgs {
    /// Try each model for chats with a call of one token, which is paid for, and leave out those that refuse
    #[arg(long)]
    pub probe: bool,
    /// Try them without asking first
    #[arg(long, short)]
    pub yes: bool,
}

impl Args {
    /// What `--refresh-available-models` stands for.
    pub fn refresh_and_try() -> Self {
        let args = RefreshArgs {
            probe: true,
            yes: false,
        };
        Self {
            action: Some(Action::Refresh(args)),
            json: false,
        }
    }
}

/// Runs `models`.
///
/// # Errors
/// The kept lists cannot be read or written, a provider gave none (exit code 1 all), or the output cannot be written.
pub fn run<W: Write>(args: &Args, config: &Config, output: &mut Output<W>) -> anyhow::Result<()> {
    let providers = registry::build(&config.providers).map_err(StartError::from)?;
    match &args.action {
        None => list(args.json, config, &providers, output),
        Some(Action::Refresh(args)) => refresh::run(args, config, &providers, output),
    }
}

fn list<W: Write>(
    is_json: bool,
    config: &Config,
    providers: &[Provider],
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let cached = kept(config)?;
    let places = places(config, providers, &cached);
    match is_json {
        true => {
            for place in &places {
                output.line(&serde_json::to_string(place)?)?;
            }
        }
        false => table(&places, output)?,
    }
    output.flush()?;
    let pairs = config.providers.iter().zip(providers);
    let is_unknown =
        |provider: &Provider| provider.api.models.is_some() && cached.of(provider).is_none();
    let unknown = pairs.filter(|(config, provider)| config.models.discover && is_unknown(provider));
    let unknown: Vec<&str> = unknown.map(|(config, _)| config.name.as_str()).collect();
    if !unknown.is_empty() {
        complain(&format!(
            "the models of {} are not known here; `aiproxy models refresh` asks for them",
            unknown.join(", ")
        ));
    }
    Ok(())
}

/// What an earlier `models refresh` found.
fn kept(config: &Config) -> anyhow::Result<Cached> {
    let file = cache::file_for(&config.log.spool_dir);
    let read = cache::read(&file);
    Ok(read.map_err(|error| Failure::failed(format!("{} {error}", file.display())))?)
}

fn table<W: Write>(places: &[Place<'_>], output: &mut Output<W>) -> anyhow::Result<()> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .force_no_tty()
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["name", "provider", "model", "source", "device"]);
    for place in places {
        let device = place.device.unwrap_or("-");
        let model = place.model.unwrap_or("-");
        let texts = [&*place.name, place.provider, model, place.source, device];
        table.add_row(texts.map(|text| Cell::new(printable(text))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        output.line(line.trim_end())?;
    }
    Ok(())
}
