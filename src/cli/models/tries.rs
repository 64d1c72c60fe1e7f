//! Tries models with the smallest calls, a few at once. That costs money: how much is said first, and somebody must agree.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use dialoguer::console::Term;
use futures_util::StreamExt;

use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::upstream::discovery::ask::transport;
use crate::upstream::discovery::trial::{Trial, Tried, is_for_chats};
use crate::upstream::provider::Provider;
use crate::upstream::transport::Transport;

use super::refresh::here;

/// Most calls at once.
const AT_ONCE: usize = 5;

/// Longest time of one call: a model may have to be loaded.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tokens of a prompt of one word with what formats put around it, at most.
const PROMPT_TOKENS: usize = 12;

/// Tries models, by the indices of their providers. Returns what refused us, provider by provider; only of providers that
/// were tried. Where all of a provider's refuse, it is not the models: nothing of it is returned.
///
/// # Errors
/// Nobody agreed, or the output cannot be written.
pub(super) fn run<W: Write>(
    providers: &[Provider],
    to_try: &[(usize, Vec<String>)],
    is_agreed: bool,
    output: &mut Output<W>,
) -> anyhow::Result<Vec<(usize, Vec<String>)>> {
    let mut trials = Vec::new();
    let mut left_out = 0;
    for (index, models) in to_try {
        let Some(provider) = providers.get(*index) else {
            continue;
        };
        for model in models {
            match Trial::of(provider, model).filter(|_| is_for_chats(model)) {
                Some(trial) => trials.push((*index, trial)),
                None => left_out += 1,
            }
        }
    }
    if trials.is_empty() {
        output.line("no model to try")?;
        return Ok(Vec::new());
    }
    output.line(&estimate(&trials, left_out))?;
    output.flush()?;
    if !is_agreed {
        agree()?;
    }
    let tried = here(try_all(&trials, providers))?;
    told(providers, &trials, tried, output)
}

fn estimate(trials: &[(usize, Trial<'_>)], left_out: usize) -> String {
    let calls = trials.len();
    let tokens = calls * (PROMPT_TOKENS + 1);
    let unlimited = trials
        .iter()
        .filter(|(_, trial)| trial.is_unlimited)
        .count();
    let unlimited = match unlimited {
        0 => String::new(),
        calls => format!("; the answers of {calls} calls cannot be limited and may be longer"),
    };
    let left_out = match left_out {
        0 => String::new(),
        models => format!("; {models} models that are not for chats are not tried"),
    };
    format!("{calls} paid calls, at most {tokens} tokens{unlimited}{left_out}")
}

/// Asks whether the calls may be made.
fn agree() -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        let message = "the calls cost money: `aiproxy models refresh --probe --yes` makes them without asking";
        return Err(Failure::usage(message).into());
    }
    let mut terminal = Term::stderr();
    write!(terminal, "make them? [y/N] ").context("cannot ask on the terminal")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("cannot ask on the terminal")?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::failed("no model was tried; the lists are kept").into()),
    }
}

/// What came of each, in their order.
async fn try_all(trials: &[(usize, Trial<'_>)], providers: &[Provider]) -> Vec<Tried> {
    let transports: Vec<Transport> = providers.iter().map(transport).collect();
    let mut bar = Bar::new(trials.len());
    let with_way = trials.iter().enumerate();
    let with_way = with_way.filter_map(|(at, (index, trial))| {
        let transport = transports.get(*index)?;
        Some(async move { (at, trial.run(transport, PATIENCE).await) })
    });
    let calls: Vec<_> = with_way.collect();
    let mut running = futures_util::stream::iter(calls).buffer_unordered(AT_ONCE);
    let mut all = vec![Tried::Unknown(String::new()); trials.len()];
    while let Some((at, tried)) = running.next().await {
        if let Some(place) = all.get_mut(at) {
            *place = tried;
        }
        bar.step();
    }
    bar.end();
    all
}

fn told<W: Write>(
    providers: &[Provider],
    trials: &[(usize, Trial<'_>)],
    tried: Vec<Tried>,
    output: &mut Output<W>,
) -> anyhow::Result<Vec<(usize, Vec<String>)>> {
    let mut all = Vec::new();
    let results: Vec<_> = trials.iter().zip(tried).collect();
    for (index, provider) in providers.iter().enumerate() {
        let own = results.iter().filter(|((of, _), _)| *of == index);
        let (mut answer, mut refused) = (0, Vec::new());
        for ((_, trial), tried) in own {
            let model = trial.model();
            match tried {
                Tried::Answers => answer += 1,
                Tried::Refused(status) => refused.push((model, *status)),
                Tried::Unknown(why) => {
                    output.line(&format!(
                        "{}: {model} is not known to answer: {why}",
                        provider.name
                    ))?;
                    // It stays: that a provider is busy is no reason to forget its models.
                    answer += 1;
                }
            }
        }
        for (model, status) in &refused {
            output.line(&format!("{}: {model} refuses ({status})", provider.name))?;
        }
        match (answer, refused.len()) {
            (0, 0) => {}
            (_, 0) => all.push((index, Vec::new())),
            (0, count) => output.line(&format!(
                "{}: all {count} models refuse, so it is likely the key; none is left out",
                provider.name
            ))?,
            (_, count) => {
                output.line(&format!("{}: {count} models left out", provider.name))?;
                let names = refused.into_iter().map(|(model, _)| model.to_owned());
                all.push((index, names.collect()));
            }
        }
    }
    Ok(all)
}

/// How far it is, on the terminal of stderr; nothing where that is none.
struct Bar {
    terminal: Option<Term>,
    done: usize,
    all: usize,
}

/// Columns of a whole bar.
const BAR: usize = 30;

impl Bar {
    fn new(all: usize) -> Self {
        let terminal = Some(Term::stderr()).filter(Term::is_term);
        let bar = Self {
            terminal,
            done: 0,
            all,
        };
        bar.show();
        bar
    }

    fn step(&mut self) {
        self.done += 1;
        self.show();
    }

    fn show(&self) {
        let filled = (BAR * self.done).checked_div(self.all).unwrap_or(BAR);
        let rest = BAR.saturating_sub(filled);
        let line = format!(
            "[{}{}] {} of {}",
            "#".repeat(filled),
            ".".repeat(rest),
            self.done,
            self.all
        );
        if let Some(terminal) = &self.terminal {
            // It is only for the eye.
            drop(
                terminal
                    .clear_line()
                    .and_then(|()| terminal.write_str(&line)),
            );
        }
    }

    fn end(&self) {
        if let Some(terminal) = &self.terminal {
            drop(terminal.clear_line());
        }
    }
}
