//! One exchange whole, in sections that a person reads from top to bottom. What is unknown is left out; every line is
//! printable.

mod bodies;

use std::borrow::Cow;
use std::io::Write;

use jiff::Timestamp;

use crate::access_log::columns::{CustomColumn, TABLES};
use crate::access_log::draft::{AttemptDraft, VerdictDraft};
use crate::access_log::query::Stored;
use crate::cli::output::Output;
use crate::config::printable;
use crate::database::value::Cell;

pub(super) use bodies::Bodies;

/// The columns of `exchanges` by what they are about; each stands in one section.
const SECTIONS: &[(&str, &[&str])] = &[
    (
        "exchange",
        &[
            "request_id",
            "created_at",
            "finished_at",
            "client_request_id",
            "instance",
            "config_version",
        ],
    ),
    (
        "who",
        &[
            "key_name",
            "end_user",
            "session_id",
            "trace_id",
            "client_ip",
            "tags",
        ],
    ),
    (
        "what",
        &[
            "endpoint",
            "dialect",
            "method",
            "path",
            "stream",
            "requested_model",
            "target_model",
            "model",
            "provider",
            "provider_key",
            "attempts",
        ],
    ),
    (
        "result",
        &[
            "outcome",
            "status_code",
            "upstream_status",
            "error_type",
            "error_code",
            "error_message",
            "finish_reason",
            "response_complete",
            "filtered_by",
            "replay_of",
            "repairs",
            "dropped",
            "body_state",
        ],
    ),
    (
        "tokens",
        &[
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "cached_tokens",
            "cache_write_tokens",
            "reasoning_tokens",
            "usage_source",
            "usage_raw",
            "cost_nano_usd",
            "price_version",
        ],
    ),
    (
        "time",
        &[
            "duration_ms",
            "upstream_ms",
            "overhead_ms",
            "filter_ms",
            "filter_held_ms",
            "connect_ms",
            "first_byte_ms",
            "first_token_ms",
            "longest_gap_ms",
            "output_tokens_per_s",
        ],
    ),
    ("size", &["request_bytes", "response_bytes", "chunk_count"]),
    ("text", &["request_text", "response_text", "tool_calls"]),
];

/// Prints an exchange.
pub(super) fn print<W: Write>(
    stored: &Stored,
    own: &[CustomColumn],
    bodies: Bodies,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let record = &stored.record;
    for (title, names) in SECTIONS {
        let columns = names
            .iter()
            .filter_map(|name| TABLES[0].columns.iter().find(|column| column.name == *name));
        let fields = columns.map(|column| (column.name, (column.get)(record, 0)));
        section(title, fields.collect(), output)?;
    }
    let own = own
        .iter()
        .map(|column| (column.name.as_str(), column.cell(record)));
    section("columns of your own", own.collect(), output)?;
    list("attempts", record.tries.iter().map(attempt), output)?;
    list("filters", record.verdicts.iter().map(verdict), output)?;
    bodies::payload(record, bodies, output)
}

/// A title and its fields, without those that are unknown; nothing when all are.
fn section<W: Write>(
    title: &str,
    fields: Vec<(&str, Cell<'_>)>,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let known: Vec<_> = fields
        .into_iter()
        .filter(|(_, cell)| *cell != Cell::Null)
        .collect();
    if known.is_empty() {
        return Ok(());
    }
    heading(title, output)?;
    for (name, cell) in known {
        let value = value(cell);
        if value.contains('\n') {
            output.line(&format!("  {name}"))?;
            for line in value.lines() {
                output.line(&format!("    {line}"))?;
            }
        } else {
            output.line(&format!("  {name:<20} {value}"))?;
        }
    }
    output.line("")
}

fn list<W: Write>(
    title: &str,
    lines: impl ExactSizeIterator<Item = String>,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    if lines.len() == 0 {
        return Ok(());
    }
    heading(title, output)?;
    for line in lines {
        output.line(&format!("  {line}"))?;
    }
    output.line("")
}

fn heading<W: Write>(title: &str, output: &mut Output<W>) -> anyhow::Result<()> {
    if !output.is_colored() {
        return output.line(title);
    }
    let title = printable(title);
    output.bytes(format!("\x1b[1m{title}\x1b[0m\n").as_bytes())
}

fn value(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Null => "".into(),
        Cell::Text(text) => text,
        Cell::Integer(number) => number.to_string().into(),
        Cell::Double(number) => format!("{number:.3}").into(),
        Cell::Boolean(truth) => if truth { "yes" } else { "no" }.into(),
        Cell::Time(time_us) => time(time_us).into(),
        Cell::Bytes(bytes) => format!("{} bytes", bytes.len()).into(),
    }
}

fn time(time_us: i64) -> String {
    match Timestamp::from_microsecond(time_us) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S.%6f UTC").to_string(),
        Err(_) => format!("{time_us} µs since 1970"),
    }
}

fn attempt(attempt: &AttemptDraft) -> String {
    let mut line = format!("{}  {}", attempt.number, attempt.provider);
    let parts = [
        ("model", attempt.model.clone()),
        ("key", attempt.provider_key.clone()),
        ("", Some(attempt.outcome.as_str().to_owned())),
        ("status", attempt.status_code.map(|code| code.to_string())),
        ("", Some(format!("{:.1} ms", attempt.duration_ms))),
        ("given up:", attempt.skip_reason.clone()),
        ("error:", attempt.error_message.clone()),
    ];
    for (label, part) in parts {
        let Some(part) = part else { continue };
        line.push_str(", ");
        if !label.is_empty() {
            line.push_str(label);
            line.push(' ');
        }
        line.push_str(&part);
    }
    line
}

fn verdict(verdict: &VerdictDraft) -> String {
    let VerdictDraft {
        filter,
        phase,
        verdict,
        detail,
        duration_us,
    } = verdict;
    let detail = detail
        .as_ref()
        .map_or(String::new(), |detail| format!(": {detail}"));
    format!("{filter} ({phase}) {verdict}{detail}, {duration_us} µs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::record::{LogRecord, Payload, StoredBody};
    use crate::filter::Outcome;

    #[test]
    fn every_column_stands_in_one_section() {
        let mut shown: Vec<&str> = SECTIONS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        let mut columns: Vec<&str> = TABLES[0].columns.iter().map(|column| column.name).collect();
        shown.sort_unstable();
        columns.sort_unstable();
        assert_eq!(shown, columns);
    }

    fn stored() -> Stored {
        let body = |bytes: &'static [u8], size| StoredBody {
            bytes: bytes::Bytes::from_static(bytes),
            size,
            sha256: "5e".to_owned(),
        };
        let record = LogRecord {
            request_id: "019a0000-0000-7000-8000-000000000001".to_owned(),
            created_at_us: 1_795_255_200_000_000,
            outcome: "ok".to_owned(),
            stream: Some(false),
            duration_ms: Some(1.25),
            request_text: Some("two\nlines \x1b[2J".to_owned()),
            tries: vec![AttemptDraft {
                number: 1,
                provider: "openai".to_owned(),
                model: Some("m".to_owned()),
                provider_key: None,
                started_at_us: 0,
                status_code: Some(500),
                outcome: Outcome::UpstreamError,
                error_message: Some("broken".to_owned()),
                connect_ms: None,
                first_byte_ms: None,
                duration_ms: 3.0,
                skip_reason: None,
            }],
            verdicts: vec![VerdictDraft {
                filter: "guard".to_owned(),
                phase: "request".to_owned(),
                verdict: "refused".to_owned(),
                detail: Some("1 word".to_owned()),
                duration_us: 12,
            }],
            payload: Some(Payload {
                request_headers: Some(r#"{"x-a":"1","x-b":["2","3"]}"#.to_owned()),
                request_body: Some(body(b"{\"a\":1}", 7)),
                response_body: Some(body(b"\xff\0", 9)),
                ..Payload::default()
            }),
            ..LogRecord::default()
        };
        Stored { id: 1, record }
    }

    fn printed(form: Bodies) -> String {
        let mut kept = Vec::new();
        print(&stored(), &[], form, &mut Output::plain(&mut kept)).expect("printed");
        String::from_utf8(kept).expect("UTF-8")
    }

    #[test]
    fn sections_are_readable_and_printable() {
        let text = printed(Bodies::AsSent);
        assert!(
            !text.replace('\n', "").chars().any(crate::config::steers),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn json_is_indented_when_asked() {
        assert!(printed(Bodies::AsSent).contains("\n{\"a\":1}\n"));
        assert!(printed(Bodies::Indented).contains("\n{\n  \"a\": 1\n}\n"));
    }
}
