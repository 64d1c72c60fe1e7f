//! `demo`: a mock upstream, a gateway before it, ten requests, and what is left of them, in a folder that is gone
//! afterwards. It needs no key, no network and no configuration.

mod client;
mod requests;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use uuid::Uuid;

use crate::access_log::query::stored_response;
use crate::clock::Clock;
use crate::config::{Config, Environment, Rules, Sources, load};
use crate::gateway::{Gateway, Running};
use crate::pipeline::replay::{Recorded, Speed};

use super::exit::Failure;
use super::mock::Mock;
use super::output::Output;
use super::{logs, records, replay};

use self::client::Answer;
use self::requests::{BLOCKED_WORD, REQUESTS, Request};

/// Options of `demo`: none; it needs no key, no network and no configuration.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {}

/// Longest time of one request, and of the wait for the rows.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `demo`.
///
/// # Errors
/// No free port, no folder for temporary files, an interrupt, or the output cannot be written.
pub fn run<W: Write>(
    rules: &Rules<'_>,
    clock: &Clock,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("aiproxy-demo-").tempdir();
    let folder = folder.context("cannot make a folder for the demo")?;
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).context("cannot start the mock upstream")?;
    let upstream = format!("http://{}/v1", mock.addr());
    let config = configuration(folder.path(), &upstream, rules)?;
    records::run(async {
        tokio::select! {
            shown = show(config, &upstream, clock, output) => shown,
            _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted").into()),
        }
    })
}

fn configuration(folder: &Path, upstream: &str, rules: &Rules<'_>) -> anyhow::Result<Config> {
    // JSON strings are YAML strings: a path may hold anything.
    let path = |name: &str| serde_json::to_string(&folder.join(name).to_string_lossy());
    let database = format!("sqlite:///{}", folder.join("demo.db").display());
    let yaml = format!(
        "server: {{ host: 127.0.0.1, port: 0, workers: 1 }}\n\
         admin: {{ port: 0 }}\n\
         database: {{ url: {} }}\n\
         log: {{ spool_dir: {} }}\n\
         providers: [{{ name: mock, kind: openai, base_url: \"{upstream}\", api_keys: [{{ key: sk-demo, name: demo }}] }}]\n\
         filters:\n  - kind: block_patterns\n    words: [{BLOCKED_WORD}]\n    message: this word stays in the house\n",
        serde_json::to_string(&database)?,
        path("spool")?,
    );
    let file = folder.join("aiproxy.yaml");
    std::fs::write(&file, yaml).context("cannot write the demo's configuration")?;
    let sources = Sources {
        file: Some(file),
        environment: Environment::default(),
        overrides: Vec::new(),
        folder: folder.to_owned(),
    };
    Ok(load(&sources, rules)?)
}

async fn show<W: Write>(
    config: Config,
    upstream: &str,
    clock: &Clock,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let url = config.database.url.clone();
    let running = Gateway::builder().config(config).start().await?;
    let address = running.addresses().data;
    output.line(&format!("an upstream that plays OpenAI   {upstream}"))?;
    output.line(&format!(
        "aiproxy before it               http://{address}/v1"
    ))?;
    output.line("")?;
    let mut streamed = None;
    for (number, request) in (1..).zip(REQUESTS) {
        let answer = ask(number, request, &running, output).await?;
        if request.is_stream && answer.complete && streamed.is_none() {
            streamed = answer.request_id;
        }
    }
    wait_for_rows(&running).await?;
    let database = records::open(&url).await?;
    title("every one of them is on record: aiproxy logs", output)?;
    logs::print_newest(20, &database, clock.wall_us(), output).await?;
    if let Some(id) = streamed {
        title(
            &format!("and can be had again, in its own time: aiproxy replay {id} --head --speed 1"),
            output,
        )?;
        let stored = stored_response(&database, &id.to_string()).await;
        let stored = stored.map_err(|error| records::unreadable(&url, &error))?;
        let stored = stored.ok_or_else(|| records::unknown(&url, id))?;
        replayed(id, stored, output).await?;
    }
    database.close().await;
    running.stop().await;
    title(
        "this was a demo, and its traces are gone; now yours:",
        output,
    )?;
    output.line("  aiproxy                                      # serves; OPENAI_API_KEY, or your programs' own keys")?;
    output.line(
        "  OPENAI_BASE_URL=http://127.0.0.1:8000/v1     # all that your programs need to know",
    )?;
    output.line(
        "  aiproxy logs                                 # what they asked, and what came back",
    )?;
    output.flush()
}

fn title<W: Write>(text: &str, output: &mut Output<W>) -> anyhow::Result<()> {
    output.line("")?;
    if output.is_colored() {
        // Ours, but for the id, which is a UUID.
        output.bytes(format!("\x1b[1m{text}\x1b[0m\n").as_bytes())?;
    } else {
        output.line(text)?;
    }
    output.flush()
}

/// Sends one request and prints how it goes while it goes.
async fn ask<W: Write>(
    number: u32,
    request: &Request,
    running: &Running,
    output: &mut Output<W>,
) -> anyhow::Result<Answer> {
    output.bytes(format!("{number:>3}  {:<36}", request.what).as_bytes())?;
    output.flush()?;
    let begun = Instant::now();
    let on_piece = |piece: &[u8]| -> anyhow::Result<()> {
        if request.is_stream {
            let events = memchr::memmem::find_iter(piece, b"\n\n").count();
            output.bytes("•".repeat(events).as_bytes())?;
            output.flush()?;
        }
        Ok(())
    };
    let address = running.addresses().data;
    let answer = tokio::time::timeout(PATIENCE, client::send(address, request, on_piece)).await;
    let answer = answer.context("the demo's gateway does not answer")??;
    let space = if request.is_stream { "  " } else { "" };
    let note = match request.note {
        "" => String::new(),
        note => format!("  {note}"),
    };
    output.line(&format!(
        "{space}{}  {:.1} ms{note}",
        answer.status,
        begun.elapsed().as_secs_f64() * 1000.0
    ))?;
    output.flush()?;
    Ok(answer)
}

/// Waits until every exchange is in SQL.
async fn wait_for_rows(running: &Running) -> anyhow::Result<()> {
    let settled = async {
        loop {
            let ledger = running.log().stats().ledger;
            if ledger.open + ledger.queued + ledger.spooled == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled)
        .await
        .context("the demo's exchanges are not stored")
}

async fn replayed<W: Write>(
    id: Uuid,
    stored: crate::access_log::query::StoredResponse,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let Ok(recorded) = Recorded::new(id, stored) else {
        return Err(Failure::failed(format!("{id} cannot be replayed")).into());
    };
    replay::head(&recorded, output)?;
    let begun = Instant::now();
    for (due, piece) in recorded.schedule(Speed::times(1.0)) {
        output.flush()?;
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        output.bytes(&piece)?;
    }
    output.flush()
}
