//! The headers and bodies of an exchange.

use std::io::Write;

use super::{heading, list};
use crate::access_log::record::{LogRecord, StoredBody};
use crate::cli::output::Output;

/// How bodies are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::logs) enum Bodies {
    /// As they are.
    AsSent,
    /// Those that are JSON with indents.
    Indented,
}

/// Prints them, or says that there are none.
pub(super) fn payload<W: Write>(
    record: &LogRecord,
    form: Bodies,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let Some(payload) = &record.payload else {
        return output.line(&format!("bodies: {}", record.body_state));
    };
    headers(
        "request headers",
        payload.request_headers.as_deref(),
        output,
    )?;
    body("request body", payload.request_body.as_ref(), form, output)?;
    let sent = payload.upstream_request_body.as_ref();
    body("request body as sent upstream", sent, form, output)?;
    headers(
        "answer headers",
        payload.response_headers.as_deref(),
        output,
    )?;
    body("answer body", payload.response_body.as_ref(), form, output)?;
    let received = payload.upstream_response_body.as_ref();
    body(
        "answer body as it came from upstream",
        received,
        form,
        output,
    )
}

fn headers<W: Write>(
    title: &str,
    json: Option<&str>,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let Some(json) = json else { return Ok(()) };
    let parsed: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(json);
    let lines: Vec<String> = match parsed {
        Ok(headers) => headers
            .iter()
            .map(|(name, value)| match value.as_str() {
                Some(text) => format!("{name}: {text}"),
                None => format!("{name}: {value}"),
            })
            .collect(),
        Err(_) => vec![json.to_owned()],
    };
    list(title, lines.into_iter(), output)
}

fn body<W: Write>(
    title: &str,
    body: Option<&StoredBody>,
    form: Bodies,
    output: &mut Output<W>,
) -> anyhow::Result<()> {
    let Some(body) = body else { return Ok(()) };
    let stored = body.bytes.len();
    let cut = match usize::try_from(body.size) {
        Ok(size) if stored < size => format!(", the first {stored} are stored"),
        Ok(_) | Err(_) => String::new(),
    };
    heading(
        &format!(
            "{title} ({} bytes{cut}, SHA-256 {})",
            body.size, body.sha256
        ),
        output,
    )?;
    match (body.as_text(), form) {
        (None, _) => output.line("  not text; the answer's bytes: aiproxy replay ID")?,
        (Some(text), Bodies::AsSent) => lines(text, output)?,
        (Some(text), Bodies::Indented) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) => lines(&format!("{json:#}"), output)?,
            Err(_) => lines(text, output)?,
        },
    }
    output.line("")
}

fn lines<W: Write>(text: &str, output: &mut Output<W>) -> anyhow::Result<()> {
    for line in text.lines() {
        output.line(line)?;
    }
    Ok(())
}
