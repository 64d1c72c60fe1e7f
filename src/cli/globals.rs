//! Options of every command, and the configuration that they lead to.

#![expect(
    clippy::doc_markdown,
    reason = "docs of options are the help, where backticks are noise"
)]

use std::path::{Path, PathBuf};

use clap::{ArgAction, CommandFactory, ValueEnum};

use crate::config::{Config, LogLevel, Rules, Sources, closest, load};
use crate::telemetry::LogFormat;

use super::exit::Failure;
use super::serve;

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// Configuration file
    ///
    /// Without it: $AIPROXY_CONFIG, ./aiproxy.yaml, ~/.config/aiproxy/config.yaml; without any file the providers come
    /// from the environment (OPENAI_API_KEY, OPENAI_BASE_URL).
    #[arg(long, short, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// More lines in the process log; twice for everything
    #[arg(long, short, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Form of the process log on stderr
    #[arg(long, value_enum, default_value_t, global = true)]
    pub log_format: Format,
}

/// Form of the process log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

impl Globals {
    /// The level of the process log: as configured, or more if asked for.
    pub fn log_level(&self, configured: LogLevel) -> LogLevel {
        let asked = match self.verbose {
            0 => configured,
            1 => LogLevel::Debug,
            2.. => LogLevel::Trace,
        };
        configured.max(asked)
    }

    /// Where the configuration comes from, the flags of `serve` laid on top.
    ///
    /// # Errors
    /// A file is named twice, or a word is neither a command nor a file.
    pub fn sources(&self, flags: &serve::Args) -> Result<Sources, Failure> {
        if self.config.is_some() && flags.file.is_some() {
            return Err(Failure::usage(
                "two configuration files are named: --config and FILE",
            ));
        }
        if let Some(file) = &flags.file {
            is_file_or_told(file)?;
        }
        let mut sources = Sources::of_process(self.config.clone().or_else(|| flags.file.clone()));
        for (key, _, variable) in flags.keys() {
            sources.environment.set(variable, key);
        }
        sources.overrides = flags.overrides();
        Ok(sources)
    }

    /// The configuration, checked.
    ///
    /// # Errors
    /// It is wrong, or a flag would change nothing.
    pub fn load(&self, flags: &serve::Args, rules: &Rules<'_>) -> anyhow::Result<Config> {
        let config = load(&self.sources(flags)?, rules)?;
        for (key, flag, variable) in flags.keys() {
            let mut keys = config
                .providers
                .iter()
                .flat_map(|provider| &provider.api_keys);
            if !keys.any(|used| used.key.expose() == key) {
                return Err(Failure::usage(format!(
                    "{flag} changes nothing: the configuration names the keys of its providers; \
                     write ${{{variable}}} there",
                ))
                .into());
            }
        }
        Ok(config)
    }
}

/// A word that is no command is taken for a configuration file: one that is none either was meant for a command.
fn is_file_or_told(word: &Path) -> Result<(), Failure> {
    let is_plain = word.components().count() == 1 && word.extension().is_none();
    if !is_plain || word.exists() {
        return Ok(());
    }
    let commands = super::Cli::command();
    let commands: Vec<&str> = commands
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    let word = word.to_string_lossy();
    let meant = closest(&word, &commands)
        .map(|meant| format!(" did you mean `{meant}`?"))
        .unwrap_or_default();
    Err(Failure::usage(format!(
        "`{word}` is neither a command nor a file;{meant} commands: {}",
        commands.join(", ")
    )))
}
