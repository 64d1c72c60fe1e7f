//! Has the writer measured by its own program, on the proxy's core.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::scenarios::Series;
use crate::table::{Line, median};

/// Rates into SQLite and PostgreSQL, and how soon a record can be queried.
pub(crate) fn measure(
    series: &mut Series,
    program: &Path,
    postgres: Option<&str>,
) -> anyhow::Result<()> {
    let sqlite = format!(
        "sqlite:///{}",
        series.bench.work.join("writer.db").display()
    );
    one(series, program, "SQLite", &sqlite, 10_000.0, 20_000.0)?;
    match postgres {
        Some(url) => one(series, program, "PostgreSQL", url, 6_000.0, 12_000.0),
        None => Ok(()),
    }
}

fn one(
    series: &mut Series,
    program: &Path,
    name: &str,
    url: &str,
    must: f64,
    aim: f64,
) -> anyhow::Result<()> {
    let (mut rates, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..series.runs {
        let output = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args([
                url,
                &series.bench.work.join("writer-spool").display().to_string(),
            ])
            .output()
            .context("the writer's program")?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(
            output.status.success(),
            "the writer's program failed: {said}"
        );
        let text = String::from_utf8(output.stdout)?;
        let figures: Vec<f64> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [rate, wait] = figures[..] else {
            anyhow::bail!("the writer's program said {text}");
        };
        eprintln!("    {name}: {rate:.0} exchanges/s, queryable within {wait:.0} ms at p99");
        rates.push(rate);
        waits.push(wait);
    }
    let what = format!("writer, exchanges/s into {name}");
    let line = Line::of(&what, median(&rates), "per s", must, aim);
    series.lines.push(line.at_least());
    let what = format!("queryable in {name} at 500 exchanges/s, ms at p99");
    series
        .lines
        .push(Line::of(&what, median(&waits), "ms", 2_000.0, 2_000.0));
    Ok(())
}
