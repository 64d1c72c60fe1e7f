//! The options of `serve`: what they set in the configuration.

#![expect(
    clippy::doc_markdown,
    reason = "docs of options are the help, where backticks are noise"
)]

use std::fmt;
use std::path::PathBuf;

use crate::config::{Override, Rules};
use crate::gateway::Gateway;
use crate::telemetry;

use super::globals::Globals;

/// Options of `serve`.
#[derive(Clone, Default, clap::Args)]
pub struct Args {
    /// Configuration file, as --config
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Address to listen on; beyond loopback only with `server.insecure: true`
    #[arg(long, short = 'H', value_name = "HOST")]
    pub host: Option<String>,
    /// Port to listen on; 0 takes a free one
    #[arg(long, short, value_name = "PORT")]
    pub port: Option<u16>,
    /// Port of metrics and management
    #[arg(long, value_name = "PORT")]
    pub admin_port: Option<u16>,
    /// Database, such as sqlite://aiproxy.db or postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(
        long,
        value_name = "URL",
        visible_alias = "connection-str",
        alias = "connection_str",
        global = true
    )]
    pub database_url: Option<String>,
    /// Key for OpenAI, as OPENAI_API_KEY; other users of this machine can see it in the process list
    #[arg(long, value_name = "KEY", alias = "openai_api_key")]
    pub openai_api_key: Option<String>,
    /// Key for Anthropic, as ANTHROPIC_API_KEY; seen in the process list likewise
    #[arg(long, value_name = "KEY", alias = "anthropic_api_key")]
    pub anthropic_api_key: Option<String>,
    /// Key for Gemini, as GEMINI_API_KEY; seen in the process list likewise
    #[arg(long, value_name = "KEY", alias = "google_api_key")]
    pub google_api_key: Option<String>,
}

impl Args {
    /// These options where they are given, else those of `other`: what follows the command wins over what stands
    /// before it.
    pub fn or(self, other: Self) -> Self {
        Self {
            file: self.file.or(other.file),
            host: self.host.or(other.host),
            port: self.port.or(other.port),
            admin_port: self.admin_port.or(other.admin_port),
            database_url: self.database_url.or(other.database_url),
            openai_api_key: self.openai_api_key.or(other.openai_api_key),
            anthropic_api_key: self.anthropic_api_key.or(other.anthropic_api_key),
            google_api_key: self.google_api_key.or(other.google_api_key),
        }
    }

    /// The keys that were given: each with its flag, and the variable that it stands for.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &'static str, &'static str)> {
        let given = [
            (&self.openai_api_key, "--openai-api-key", "OPENAI_API_KEY"),
            (
                &self.anthropic_api_key,
                "--anthropic-api-key",
                "ANTHROPIC_API_KEY",
            ),
            (&self.google_api_key, "--google-api-key", "GEMINI_API_KEY"),
        ];
        given
            .into_iter()
            .filter_map(|(key, flag, variable)| Some((key.as_deref()?, flag, variable)))
    }

    /// What the options set in the configuration.
    pub fn overrides(&self) -> Vec<Override> {
        let number = |port: Option<u16>| port.map(|port| port.to_string());
        let given: [(&'static [&'static str], &'static str, Option<String>); 4] = [
            (&["server", "host"], "--host", self.host.clone()),
            (&["server", "port"], "--port", number(self.port)),
            (&["admin", "port"], "--admin-port", number(self.admin_port)),
            (
                &["database", "url"],
                "--database-url",
                self.database_url.clone(),
            ),
        ];
        given
            .into_iter()
            .filter_map(|(path, flag, value)| {
                Some(Override {
                    path,
                    flag,
                    value: value?,
                })
            })
            .collect()
    }
}

/// Serves until a signal.
///
/// # Errors
/// Whatever keeps the gateway from starting.
pub fn run(globals: &Globals, args: &Args, rules: &Rules<'_>) -> anyhow::Result<()> {
    let config = globals.load(args, rules)?;
    let level = globals.log_level(config.telemetry.log_level);
    telemetry::init(level, globals.log_format.into())?;
    let gateway = Gateway::builder().config(config);
    let gateway = gateway.reload_from(globals.sources(args)?);
    gateway.run().map_err(Into::into)
}

impl fmt::Debug for Args {
    /// Without what may be a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Args")
            .field("file", &self.file)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("admin_port", &self.admin_port)
            .finish_non_exhaustive()
    }
}
