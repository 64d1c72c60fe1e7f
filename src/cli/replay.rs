//! `replay`: the recorded answer of an exchange, byte for byte, on standard output.

use std::io::Write;
use std::time::Instant;

use uuid::Uuid;

use crate::access_log::query::{StoredResponse, stored_response};
use crate::config::DatabaseUrl;
use crate::pipeline::replay::{Recorded, Speed};

use super::exit::Failure;
use super::output::{Output, complain};
use super::records;

/// Options of `replay`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Args {
    /// Id of the exchange, the answer's header x-aiproxy-request-id
    #[arg(value_name = "ID", value_parser = records::id)]
    pub id: Uuid,
    /// How many times as fast as recorded; 0 is at once
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = speed)]
    pub speed: f64,
    /// Print status and headers before the body
    #[arg(long)]
    pub head: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed >= 0.0 => Ok(speed),
        Ok(_) | Err(_) => Err("expected 0 or more".to_owned()),
    }
}

/// Runs `replay`.
///
/// # Errors
/// The database is away, the id is not known, the answer is not stored (exit code 1 all), the database has another
/// schema (3), or the output cannot be written.
pub fn run<W: Write>(args: &Args, url: &DatabaseUrl, output: &mut Output<W>) -> anyhow::Result<()> {
    let stored = records::run(async {
        let database = records::open(url).await?;
        let stored = stored_response(&database, &args.id.to_string()).await;
        database.close().await;
        Ok(stored.map_err(|error| records::unreadable(url, &error))?)
    })?;
    let stored = stored.ok_or_else(|| records::unknown(url, args.id))?;
    let why = why_not(&stored);
    let Ok(recorded) = Recorded::new(args.id, stored) else {
        return Err(Failure::failed(format!("{} cannot be replayed: {why}", args.id)).into());
    };
    if args.head {
        head(&recorded, output)?;
    }
    let start = Instant::now();
    for (due, piece) in recorded.schedule(Speed::times(args.speed)) {
        let wait = due.saturating_sub(start.elapsed());
        if !wait.is_zero() {
            output.flush()?;
            std::thread::sleep(wait);
        }
        output.bytes(&piece)?;
    }
    output.flush()?;
    if !recorded.is_complete() {
        complain("this answer was cut off when it was recorded; what had arrived is above");
    }
    Ok(())
}

/// Prints status and headers of a replay.
pub(super) fn head<W: Write>(recorded: &Recorded, output: &mut Output<W>) -> anyhow::Result<()> {
    output.line(&format!("HTTP/1.1 {}", recorded.status()))?;
    for (name, value) in recorded.headers().iter() {
        output.line(&format!("{name}: {}", value.escape_ascii()))?;
    }
    output.line("")
}

/// Why an answer cannot be replayed, when it cannot, and what helps.
fn why_not(stored: &StoredResponse) -> String {
    match stored.body_state.as_str() {
        "expired" => "its bodies are past log.retention.bodies_days and were deleted".to_owned(),
        "truncated" => "it is longer than log.body_max_bytes and was stored cut".to_owned(),
        "redacted" => "a credential in it was masked, so what is stored is not what was sent".to_owned(),
        "metadata_only" | "off" => {
            "its bodies were not kept; log.bodies: full keeps those of further exchanges, unless the client says \
             x-aiproxy-log"
                .to_owned()
        }
        _ => format!("it had no answer (outcome {})", stored.outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_says_what_helps() {
        let stored = |body_state: &str| StoredResponse {
            request_id: String::new(),
            outcome: "crashed".to_owned(),
            status_code: 499,
            stream: None,
            body_state: body_state.to_owned(),
            response_complete: None,
            headers: None,
            body: None,
            body_size: None,
            chunk_times: None,
        };
        for (body_state, word) in [
            ("expired", "bodies_days"),
            ("truncated", "body_max_bytes"),
            ("redacted", "credential"),
            ("metadata_only", "log.bodies: full"),
            ("off", "log.bodies: full"),
            ("stored", "outcome crashed"),
        ] {
            let why = why_not(&stored(body_state));
            assert!(why.contains(word), "{body_state}: {why}");
        }
    }
}
