//! `models refresh`: asks the providers for their models, says what has changed, and keeps it beside the spool.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use futures_util::StreamExt;
use tokio::task::LocalSet;

use crate::cli::config::private_file;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::clock::Clock;
use crate::config::Config;
use crate::upstream::discovery::ask::{AskFailure, ask, transport};
use crate::upstream::discovery::cache::{self, CachedList};
use crate::upstream::discovery::{DiscoverySettings, PATIENCE};
use crate::upstream::provider::Provider;
use crate::wire::found::Found;

use super::{RefreshArgs, kept, tries};

/// Most providers that are asked at once.
const AT_ONCE: usize = 4;

/// Most names of a change that are told.
const MOST_NAMES: usize = 10;

/// Runs `models refresh`.
///
/// # Errors
/// A provider gave no list, nobody agreed to the tries, the file cannot be written, or the output.
pub(super) fn run<W: Write>(
    args: &RefreshArgs,
    config: &Config,
    providers: &[Provider],
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let file = cache::file_for(&config.log.spool_dir);
    let mut cached = kept(config)?;
    cached.keep(providers);
    let clock = Clock::machine();
    let mut failed = 0;
    let mut to_try = Vec::new();
    for (index, asked) in here(ask_all(providers))? {
        let (Some(provider), Some(config)) = (providers.get(index), config.providers.get(index))
        else {
            continue;
        };
        let name = &provider.name;
        let mut models = match asked {
            Ok(models) => models,
            Err(failure) => {
                failed += 1;
                output.line(&format!("{name}: {failure}"))?;
                continue;
            }
        };
        let before = cached.of(provider);
        let refused = before.map_or_else(Vec::new, |before| before.refused.clone());
        models.sort_by(|one, other| one.id.cmp(&other.id));
        models.dedup_by(|later, first| later.id == first.id);
        let used = match config.models.discover {
            true => "",
            false => " (not used: models.discover is off)",
        };
        let change = change(before, &models, &refused);
        output.line(&format!("{name}: {} models{change}{used}", models.len()))?;
        let settings = DiscoverySettings::of_one(index, config);
        let is_tried = |id: &str| {
            let filter = settings.filter(Vec::new());
            let is_named = config.models.list.iter().any(|listed| listed == id);
            // Names that are listed count beside the patterns.
            let narrows = !config.models.list.is_empty() && settings.allow.is_empty();
            is_named || !narrows && filter.counts(id)
        };
        let ids = models.iter().map(|model| model.id.clone());
        to_try.push((index, ids.filter(|id| is_tried(id)).collect::<Vec<_>>()));
        let list = CachedList::new(provider, clock.wall_us(), models, refused);
        cached.put(provider, list);
    }
    output.flush()?;
    // What the providers said is kept, whatever comes of the tries.
    write(&file, &cached.to_json())?;
    if args.probe {
        for (index, refused) in tries::run(providers, &to_try, args.yes, output)? {
            if let Some(provider) = providers.get(index) {
                cached.refuse(provider, refused);
            }
        }
        write(&file, &cached.to_json())?;
    }
    output.line(&format!("kept in {} for the next start", file.display()))?;
    output.flush()?;
    match failed {
        0 => Ok(()),
        failed => {
            let of = providers.len();
            let message =
                format!("{failed} of {of} providers gave no list; what was known of them is kept");
            Err(Failure::failed(message).into())
        }
    }
}

/// Runs what needs a thread for tasks that are not `Send`.
pub(super) fn here<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let done = LocalSet::new().block_on(&runtime, work);
    // A name server that is still awaited is nothing to wait for.
    runtime.shutdown_background();
    Ok(done)
}

/// The lists of all providers that have one, in the order of the configuration.
async fn ask_all(providers: &[Provider]) -> Vec<(usize, Result<Vec<Found>, AskFailure>)> {
    let with_list = providers.iter().enumerate();
    let with_list = with_list.filter(|(_, provider)| provider.api.models.is_some());
    let questions = with_list.map(|(index, provider)| async move {
        (index, ask(provider, &transport(provider), PATIENCE).await)
    });
    let questions: Vec<_> = questions.collect();
    futures_util::stream::iter(questions)
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// What differs from the list before, in a few words.
fn change(before: Option<&CachedList>, now: &[Found], refused: &[String]) -> String {
    let Some(before) = before else {
        return String::new();
    };
    let names = |models: &[Found]| -> BTreeSet<String> {
        models.iter().map(|model| model.id.clone()).collect()
    };
    let (known, now) = (names(&before.models), names(now));
    let told = |sign: &str, names: Vec<&String>| -> String {
        let more = names.len().saturating_sub(MOST_NAMES);
        let first = names.iter().take(MOST_NAMES);
        let told: String = first.map(|name| format!(" {sign}{name}")).collect();
        match more {
            0 => told,
            more => format!("{told} {sign}{more} more"),
        }
    };
    let new = told("+", now.difference(&known).collect());
    let gone = told("-", known.difference(&now).collect());
    let left_out = match refused.len() {
        0 => String::new(),
        count => format!(" ({count} left out: they refused us)"),
    };
    match (new.is_empty(), gone.is_empty()) {
        (true, true) => format!(", as before{left_out}"),
        _ => format!(",{new}{gone}{left_out}"),
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    private_file::write(file, text, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Rules, load_text};
    use crate::upstream::registry;

    #[test]
    fn what_has_changed_is_told() {
        let names = crate::access_log::columns::built_in_names();
        let kinds = crate::gateway::stock_kinds();
        let rules = Rules {
            filters: &kinds,
            built_in_columns: &names,
        };
        let yaml = "providers: [{ kind: openai, api_keys: [{ key: k }] }]";
        let config = load_text(Path::new("t"), yaml, &Environment::default(), &rules);
        let providers = registry::build(&config.expect("valid").providers).expect("providers");
        let found = |names: &[&str]| -> Vec<Found> {
            names.iter().map(|name| Found::named(*name)).collect()
        };
        let before = CachedList::new(&providers[0], 1, found(&["a", "b"]), Vec::new());
        for (now, refused, expected) in [
            (&["a", "b"][..], &[][..], ", as before"),
            (&["b", "c", "d"], &[], ", +c +d -a"),
            (
                &["a", "b"],
                &["x".to_owned()],
                ", as before (1 left out: they refused us)",
            ),
        ] {
            assert_eq!(change(Some(&before), &found(now), refused), expected);
        }
        assert_eq!(change(None, &found(&["a"]), &[]), "");
        let many: Vec<String> = (0..12).map(|number| format!("m{number:02}")).collect();
        let many: Vec<&str> = many.iter().map(|name| &**name).collect();
        let told = change(Some(&before), &found(&many), &[]);
        assert!(told.contains(" +m09 +2 more -a -b"), "{told}");
    }
}
