//! Measures aiproxy beside nginx and prints a Markdown table of what came out, what must be and what is aimed at.
//!
//! Started by `tests/bench/run` on core 1, where mock and load run; the proxies run on core 0. Every proxy is started
//! afresh for every run, nginx and aiproxy take turns, and medians are told. CPU time is that of all threads of the
//! process, from `/proc/PID/task/*/schedstat`, until the process is quiet, so that writing the log is in it.
#![expect(clippy::print_stdout, reason = "the table is the program's output")]
#![expect(clippy::print_stderr, reason = "progress goes beside the table")]

mod client;
mod dialects;
mod load;
mod memory;
mod process;
mod routed;
mod scenarios;
mod stamped;
mod table;
mod targets;
mod writer;

use std::path::PathBuf;

use clap::Parser;

use crate::scenarios::Series;
use crate::table::HEADING;
use crate::targets::Bench;

/// Scenario names, in the order in which they run.
const SCENARIOS: [&str; 12] = [
    "plain", "routed", "dialects", "stream", "paced", "rate", "transit", "held", "start", "growth",
    "upload", "writer",
];

#[derive(Debug, Parser)]
struct Args {
    /// The program to measure.
    #[arg(long)]
    aiproxy: PathBuf,
    /// The program that measures the writer by itself.
    #[arg(long)]
    writer: PathBuf,
    /// The program that measures choices by themselves.
    #[arg(long)]
    routing: PathBuf,
    /// A PostgreSQL for the writer; without it only SQLite is measured.
    #[arg(long)]
    postgres: Option<String>,
    /// Folder for logs and databases.
    #[arg(long)]
    work: PathBuf,
    /// Runs of each scenario.
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// Only these scenarios, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = SCENARIOS)]
    only: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let bench = Bench {
        aiproxy: args.aiproxy,
        work: args.work,
    };
    let (mock, mock_process) = bench.mock().await?;
    let mut series = Series {
        bench,
        mock,
        runs: args.runs.max(1),
        lines: Vec::new(),
        counts: scenarios::Counts::default(),
    };
    let mut failed = 0;
    for name in SCENARIOS {
        if !args.only.is_empty() && !args.only.iter().any(|only| only == name) {
            continue;
        }
        eprintln!("==> {name}");
        let done = match name {
            "plain" => series.plain().await,
            "routed" => series.routed(&args.routing).await,
            "dialects" => series.dialects().await,
            "stream" => series.stream().await,
            "paced" => series.paced().await,
            "rate" => series.rate().await,
            "transit" => series.transit().await,
            "held" => memory::held(&mut series).await,
            "start" => memory::start(&mut series).await,
            "growth" => memory::growth(&mut series).await,
            "upload" => memory::upload(&mut series).await,
            _ => writer::measure(&mut series, &args.writer, args.postgres.as_deref()),
        };
        if let Err(error) = done {
            eprintln!("scenario {name} failed: {error:#}");
            failed += 1;
        }
    }
    series.count_lines();
    println!("{}\n\n{HEADING}", machine());
    for line in &series.lines {
        println!("{}", line.markdown());
    }
    mock_process.stop()?;
    let missed = series.lines.iter().filter(|line| !line.is_good()).count();
    eprintln!(
        "{missed} of {} lines miss what must be, {failed} scenarios failed",
        series.lines.len()
    );
    std::process::exit(i32::from(0 < missed + failed));
}

/// Processor, cores, kernel.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("processor unknown", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = processor
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    format!(
        "{model}, {cores} cores, Linux {}, load {} at the end; proxy on core 0, mock and load on core 1",
        kernel.trim(),
        load.split(' ').next().unwrap_or_default(),
    )
}
