//! The command line: one file for each command. A command prints through [`output`], fails with a sentence, and ends
//! with a code of [`exit`]; nothing here knows how the work is done.

pub mod config;
pub mod demo;
pub mod exit;
pub mod globals;
pub mod init;
pub mod logs;
pub mod migrate;
pub mod mock;
pub mod models;
pub mod moment;
pub mod output;
pub mod prune;
mod records;
pub mod replay;
pub mod serve;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::clock::Clock;
use crate::config::{Environment, Rules};

use self::exit::Exit;
use self::globals::Globals;
use self::output::{Output, complain};

/// The flight recorder for LLM traffic: a proxy that records, filters, counts and replays
#[derive(Debug, Parser)]
#[command(name = "aiproxy", version, subcommand_precedence_over_arg = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// Options of `serve`, which is what happens without a command; other commands read the same configuration.
    #[command(flatten)]
    pub serve: serve::Args,
    /// As `config show`
    #[arg(long, hide = true)]
    pub show: bool,
    /// As `models refresh --probe`
    #[arg(long, hide = true)]
    pub refresh_available_models: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Serve (what happens without a command)
    Serve(serve::Args),
    /// Make the first configuration, question by question
    Init(init::Args),
    /// Show or check the configuration
    Config(config::Args),
    /// List what can be asked for, and where it goes
    Models(models::Args),
    /// List recorded exchanges, or show one whole
    Logs(logs::Args),
    /// Print a recorded answer, byte for byte
    Replay(replay::Args),
    /// See to the schema of the database
    Migrate(migrate::Args),
    /// Throw away now what is past its days
    Prune(prune::Args),
    /// Start an upstream for tests, with set speed and faults
    Mock(mock::Args),
    /// See it all in ten seconds, without a key and without a network
    Demo(demo::Args),
}

/// Runs the program: reads the command line, does what it says, and tells what went wrong on stderr.
pub fn run<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return help_or_wrong_use(&error).into(),
    };
    match dispatch(&cli) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            let exit = exit::of(&error);
            if exit != Exit::Done {
                complain(&format!("{error:#}"));
            }
            exit.into()
        }
    }
}

/// Help and version are asked for, everything else is wrong use. A closed output is no failure.
fn help_or_wrong_use(error: &clap::Error) -> Exit {
    drop(error.print());
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}

fn dispatch(cli: &Cli) -> anyhow::Result<()> {
    let names = crate::access_log::columns::built_in_names();
    let kinds = crate::gateway::stock_kinds();
    let rules = Rules {
        filters: &kinds,
        built_in_columns: &names,
    };
    let mut output = Output::stdout(&Environment::from_process());
    let clock = Clock::machine();
    let load = || cli.globals.load(&cli.serve, &rules);
    match &cli.command {
        Some(Command::Init(args)) => {
            init::run(args, &cli.globals.sources(&cli.serve)?, &rules, &mut output)
        }
        Some(Command::Config(args)) => {
            config::run(&args.action, &cli.globals, &cli.serve, &rules, &mut output)
        }
        None if cli.show => config::run(
            &config::Action::Show,
            &cli.globals,
            &cli.serve,
            &rules,
            &mut output,
        ),
        Some(Command::Models(args)) => models::run(args, &load()?, &mut output),
        None if cli.refresh_available_models => {
            models::run(&models::Args::refresh_and_try(), &load()?, &mut output)
        }
        Some(Command::Logs(args)) => logs::run(args, &load()?.database.url, &clock, &mut output),
        Some(Command::Replay(args)) => replay::run(args, &load()?.database.url, &mut output),
        Some(Command::Migrate(args)) => migrate::run(args, &load()?.database.url, &mut output),
        Some(Command::Prune(prune::Args {})) => prune::run(&load()?, &clock, &mut output),
        Some(Command::Mock(args)) => mock::run(args),
        Some(Command::Demo(demo::Args {})) => demo::run(&rules, &clock, &mut output),
        Some(Command::Serve(args)) => {
            serve::run(&cli.globals, &args.clone().or(cli.serve.clone()), &rules)
        }
        None => serve::run(&cli.globals, &cli.serve, &rules),
    }
}
