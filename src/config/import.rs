//! `config import`: the configuration of another proxy as one of ours. Pure: text in, a draft or every problem out.
//!
//! Each system has a file of its own, which reads that system's keys from the tree that our own configuration is read
//! from, whatever the file's form was (YAML, JSON, CSV, Python, `NAME=VALUE`). What has no counterpart is left out
//! and told in a comment, with its line. Nothing of a file is ever run.

mod ai_proxy;
mod apiproxy;
mod argo;
mod asksage;
mod csv;
mod detect;
mod dotenv;
mod litellm;
mod logical;
mod python;
mod taking;
mod target;

use std::sync::Arc;

use super::draft::Draft;
use super::environment::Environment;
use super::problem::{Origin, Problem, Problems};
use super::section::Reading;
use super::tree::{Node, parse};

use self::taking::Taking;

/// A proxy whose configuration can be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// asksage-proxy: YAML.
    Asksage,
    /// argo-openai-proxy and argo-proxy, of all versions: YAML.
    Argo,
    /// The OCF AI Proxy: `config.py`, or a file of its variables.
    AiProxy,
    /// `APIProxy`: its `.env`, and rows of its providers as JSON or CSV.
    Apiproxy,
    /// `LiteLLM`'s proxy: YAML with a `model_list`.
    Litellm,
}

/// Every system: its word on the command line, and its name.
const SYSTEMS: &[(&str, System, &str)] = &[
    ("asksage", System::Asksage, "asksage-proxy"),
    ("argo", System::Argo, "argo-proxy"),
    ("ai-proxy", System::AiProxy, "the OCF AI Proxy"),
    ("apiproxy", System::Apiproxy, "APIProxy"),
    ("litellm", System::Litellm, "LiteLLM"),
];

impl System {
    /// The system of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        let found = SYSTEMS.iter().find(|(known, _, _)| *known == word);
        found.map(|(_, system, _)| *system)
    }

    /// Every word, in order.
    pub fn words() -> impl Iterator<Item = &'static str> {
        SYSTEMS.iter().map(|(word, _, _)| *word)
    }

    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        let found = SYSTEMS.iter().find(|(_, system, _)| *system == self);
        found.map_or("", |(_, _, name)| name)
    }
}

/// A file as it was read.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// Its name, for messages.
    pub file: &'a str,
    /// What it holds.
    pub text: &'a str,
}

/// What is taken over.
pub struct Source<'a> {
    /// The configuration.
    pub main: Text<'a>,
    /// Rows of providers, which `APIProxy` keeps apart.
    pub rows: Option<Text<'a>>,
    /// Whose it is; `None` finds out.
    pub system: Option<System>,
}

/// A configuration that was taken over.
#[derive(Debug)]
pub struct Imported {
    /// Whose it was.
    pub system: System,
    /// Ours.
    pub draft: Draft,
    /// Why it cannot be served although it was taken over: kinds of providers that there are not.
    pub lacking: Option<String>,
}

/// Makes a configuration of ours of another proxy's. `kinds`: the kinds of providers that there are.
///
/// # Errors
/// It is nobody's that we know, is malformed, or says something impossible.
pub fn import(source: &Source<'_>, kinds: &[&str]) -> Result<Imported, Problems> {
    let environment = Environment::default();
    let reading = Reading::new(&environment, Vec::new());
    let text = source.main.text;
    let main = Text {
        text: text.strip_prefix('\u{feff}').unwrap_or(text),
        ..source.main
    };
    let one = |problem| Problems(vec![problem]);
    let system = match source.system {
        Some(system) => system,
        None => detect::system(main).map_err(one)?,
    };
    if source.rows.is_some() && system != System::Apiproxy {
        let message = format!(
            "{} has no rows of providers; leave --providers out",
            system.name()
        );
        return Err(one(whole(main, message)));
    }
    let taking = Taking::new(system, &reading, kinds, main);
    let mut draft = match system {
        System::Asksage => asksage::take(&yaml(main).map_err(one)?, &taking),
        System::Argo => argo::take(&yaml(main).map_err(one)?, &taking),
        System::AiProxy => ai_proxy::take(main, &taking).map_err(one)?,
        System::Apiproxy => apiproxy::take(main, source.rows, &taking).map_err(one)?,
        System::Litellm => litellm::take(&yaml(main).map_err(one)?, &taking),
    };
    let lacking = taking.lacking();
    draft.head = taking.into_head();
    let mut problems = reading.into_problems();
    if problems.is_empty() {
        return Ok(Imported {
            system,
            draft,
            lacking,
        });
    }
    problems.sort();
    problems.dedup();
    Err(Problems(problems))
}

/// The text as YAML, of which JSON is a part.
fn yaml(text: Text<'_>) -> Result<Node, Problem> {
    parse(&Arc::from(text.file), text.text)
}

/// A place in a file; columns count from 1.
fn at(text: Text<'_>, line: u64, column: u64) -> Origin {
    Origin::File {
        file: Arc::from(text.file),
        line,
        column,
    }
}

/// A problem of a whole file.
fn whole(text: Text<'_>, message: String) -> Problem {
    Problem {
        origin: at(text, 0, 0),
        path: String::new(),
        message,
    }
}
