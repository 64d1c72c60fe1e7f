//! `prune`: what `serve` does every hour, now.

use std::io::Write;

use crate::access_log::retention::{Pruned, Retention, prune};
use crate::clock::Clock;
use crate::config::Config;

use super::output::Output;
use super::records;

/// Options of `prune`: none of its own, the configuration says what goes.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Args {}

/// Runs `prune`.
///
/// # Errors
/// The database is away (exit code 1) or has another schema (3), or the output cannot be written.
pub fn run<W: Write>(config: &Config, clock: &Clock, output: &mut Output<W>) -> anyhow::Result<()> {
    let retention = Retention {
        exchanges_days: config.log.retention.exchanges_days,
        bodies_days: config.log.retention.bodies_days,
    };
    let url = &config.database.url;
    let pruned = records::run(async {
        let database = records::open(url).await?;
        let pruned = prune(&database, retention, clock.wall_us()).await;
        database.close().await;
        Ok(pruned.map_err(|error| records::failure(url, error))?)
    })?;
    output.line(&sentence(retention, pruned))?;
    output.flush()
}

fn sentence(retention: Retention, pruned: Pruned) -> String {
    let days = |days: u32| match days {
        0 => "for ever".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let kept = format!(
        "exchanges are kept {}, bodies {}",
        days(retention.exchanges_days),
        match retention.bodies_days {
            0 => "as long".to_owned(),
            bodies => days(bodies),
        }
    );
    let gone = match pruned {
        Pruned {
            exchanges: 0,
            expired: 0,
            partitions: 0,
        } => "nothing was past that".to_owned(),
        Pruned {
            exchanges,
            expired,
            partitions: 0,
        } => format!("deleted {exchanges} exchange(s) and the bodies of {expired}"),
        Pruned {
            expired,
            partitions,
            ..
        } => format!("dropped {partitions} partition(s), {expired} exchange(s) lost their bodies"),
    };
    format!("{kept}: {gone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_thrown_away_is_told() {
        let retention = |exchanges_days, bodies_days| Retention {
            exchanges_days,
            bodies_days,
        };
        let pruned = |exchanges, expired, partitions| Pruned {
            exchanges,
            expired,
            partitions,
        };
        for (retention, pruned, expected) in [
            (
                retention(90, 14),
                pruned(0, 0, 0),
                "exchanges are kept 90 days, bodies 14 days: nothing was past that",
            ),
            (
                retention(1, 0),
                pruned(3, 2, 0),
                "exchanges are kept 1 day, bodies as long: deleted 3 exchange(s) and the bodies of 2",
            ),
            (
                retention(0, 1),
                pruned(0, 2, 4),
                "exchanges are kept for ever, bodies 1 day: dropped 4 partition(s), 2 exchange(s) lost their bodies",
            ),
        ] {
            assert_eq!(sentence(retention, pruned), expected);
        }
    }
}
