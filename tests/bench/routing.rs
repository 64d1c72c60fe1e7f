//! Measures choices by themselves: what it costs to find a model's targets, and to order a hundred of them.
//!
//! `bench_routing` prints, in nanoseconds, the median time to resolve a name among 10 models of 10 providers, among 10,000
//! models of 200 providers, a name that only a pattern of the last provider takes, and to order 100 targets with live
//! figures by each strategy: `balanced`, `latency_first`, `cost_first`, `reliability_first`.
#![expect(clippy::print_stdout, reason = "the figures are the program's output")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use aiproxy::clock::{Clock, Dice};
use aiproxy::config::{Config, Environment, Rules, load_text};
use aiproxy::filter::{Dialect, Endpoint, Headers};
use aiproxy::routing::Routing;
use aiproxy::routing::candidates::{Facts, candidates};
use aiproxy::routing::figures::Seen;
use aiproxy::routing::table::{Question, Reach};
use aiproxy::upstream::registry;
use anyhow::Context;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Names that are resolved, of which the time is taken together.
const NAMES: u32 = 1_000;
/// Choices of which the time is taken together: few, so that most are not interrupted.
const CHOICES: u32 = 10;
/// Times that are taken.
const TIMES: usize = 1_001;

fn main() -> anyhow::Result<()> {
    let small = routing(10, 10, "")?;
    let large = routing(200, 10_000, "")?;
    let mut figures = vec![
        resolve(&small, |call| format!("model-{}", call % 10)),
        resolve(&large, |call| format!("model-{}", call * 7_919 % 10_000)),
        resolve(&large, |call| format!("special-{}", call % 100)),
    ];
    for strategy in [
        "balanced",
        "latency_first",
        "cost_first",
        "reliability_first",
    ] {
        figures.push(choose(strategy)?);
    }
    let figures: Vec<String> = figures.iter().map(|ns| format!("{ns:.0}")).collect();
    println!("{}", figures.join(" "));
    Ok(())
}

/// Providers that share these models among them; the last one takes names by a pattern too.
fn routing(providers: usize, models: usize, more: &str) -> anyhow::Result<Routing> {
    let mut yaml = String::from("providers:\n");
    for provider in 0..providers {
        let own = (0..models).filter(|model| model % providers == provider);
        let own: Vec<String> = own.map(|model| format!("model-{model}")).collect();
        let patterns = if provider + 1 == providers {
            "special-*"
        } else {
            "none-*"
        };
        writeln!(
            yaml,
            "  - {{ name: p{provider}, kind: openai, base_url: \"http://127.0.0.1:{}/v1\", models: {{ list: [{}], allow: [\"{patterns}\"] }} }}",
            10_000 + provider,
            own.join(", ")
        )?;
    }
    yaml.push_str(more);
    let config = config(&yaml)?;
    let providers = registry::build(&config.providers)?;
    let clock = Clock::machine();
    Ok(Routing::new(&config, providers, &clock, None))
}

fn config(yaml: &str) -> anyhow::Result<Config> {
    let environment = Environment::default();
    let rules = Rules {
        filters: &(),
        built_in_columns: &[],
    };
    load_text(Path::new("bench.yaml"), yaml, &environment, &rules)
        .map_err(|problems| anyhow::anyhow!("{problems}"))
}

fn question(model: &str) -> Question<'_> {
    Question {
        named: None,
        model: Some(model),
        reach: Reach::Clients {
            dialect: Dialect::Openai,
            translatable: Some(Endpoint::ChatCompletions),
        },
    }
}

fn resolve(routing: &Routing, name: impl Fn(usize) -> String) -> f64 {
    let names: Vec<String> = (0..NAMES as usize).map(name).collect();
    median_ns(NAMES, |call| {
        let model = &names[call as usize];
        let found = routing.table().route(question(model));
        assert!(found.is_ok(), "{model}");
    })
}

/// Orders a hundred targets, each with figures of its own.
fn choose(strategy: &str) -> anyhow::Result<f64> {
    let mut models = format!("models:\n  fast:\n    strategy: {strategy}\n    targets:\n");
    let mut prices = String::from("prices:\n");
    for target in 0..100 {
        writeln!(
            models,
            "      - {{ provider: p{}, model: model-{target}, weight: {} }}",
            target % 10,
            1 + target % 7
        )?;
        writeln!(
            prices,
            "  model-{target}: {{ input_usd_per_mtok: {}, output_usd_per_mtok: 4 }}",
            1 + target % 5
        )?;
    }
    let routing = routing(10, 100, &[models, prices].concat())?;
    let route = routing.table().route(question("fast")).context("a route")?;
    let began = Instant::now();
    for (place, target) in route.targets.iter().enumerate() {
        let milliseconds = 200 + 10 * place as u64;
        for number in 0..20 {
            target.state.figures.observe(
                Seen {
                    first_token: Some(Duration::from_millis(milliseconds)),
                    total: Some(Duration::from_millis(4 * milliseconds)),
                    is_failure: number % 10 == 0 && place % 3 == 0,
                },
                began,
            );
        }
    }
    let (headers, dice) = (Headers::default(), Dice::seeded(1));
    let facts = Facts {
        headers: &headers,
        tags: &[],
        prompt_bytes: 700,
        region: None,
        excluded: &[],
        bound: None,
        prefix: None,
    };
    let now = Instant::now();
    Ok(median_ns(CHOICES, |_| {
        let order = candidates(&route, &facts, routing.providers(), now, &dice);
        assert_eq!(order.len(), 100);
    }))
}

/// The median time of one call, of so many in a row.
fn median_ns(calls: u32, mut call: impl FnMut(u32)) -> f64 {
    let mut times: Vec<f64> = (0..TIMES)
        .map(|_| {
            let began = Instant::now();
            (0..calls).for_each(&mut call);
            began.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[TIMES / 2]
}
