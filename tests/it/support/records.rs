//! Records for tests: small, valid, all different.

use aiproxy::access_log::record::{LogRecord, Payload, StoredBody};

/// 2026-11-21 10:00:00 UTC, in microseconds since the Unix epoch.
pub(crate) const NOW_US: i64 = 1_795_255_200_000_000;

/// Microseconds in a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// The id of the record with a number.
pub(crate) fn id(number: u32) -> String {
    format!("019a0000-0000-7000-8000-{number:012x}")
}

/// An answered chat request without bodies, `number` seconds after [`NOW_US`].
pub(crate) fn record(number: u32) -> LogRecord {
    let created_at_us = NOW_US + i64::from(number) * 1_000_000;
    LogRecord {
        request_id: id(number),
        created_at_us,
        finished_at_us: Some(created_at_us + 1_500_000),
        endpoint: "chat.completions".to_owned(),
        dialect: "openai".into(),
        method: "POST".into(),
        path: "/v1/chat/completions".to_owned(),
        stream: Some(false),
        requested_model: Some("gpt-asked".to_owned()),
        target_model: Some("gpt-sent".to_owned()),
        model: Some("gpt-answered".to_owned()),
        attempts: 1,
        outcome: "ok".to_owned(),
        status_code: 200,
        prompt_tokens: Some(10),
        completion_tokens: Some(4),
        duration_ms: Some(1500.0),
        upstream_ms: Some(1000.0),
        request_text: Some(format!("question {number}")),
        response_text: Some(format!("answer {number}")),
        body_state: "stored".to_owned(),
        ..LogRecord::default()
    }
}

/// A record with bodies.
pub(crate) fn with_bodies(number: u32, request: &[u8], response: &[u8]) -> LogRecord {
    let body = |bytes: &[u8]| StoredBody {
        bytes: bytes.to_vec().into(),
        size: i64::try_from(bytes.len()).expect("a small body"),
        sha256: "0".repeat(64),
    };
    let payload = Payload {
        request_headers: Some(r#"{"x-test":"1"}"#.to_owned()),
        request_body: Some(body(request)),
        response_headers: Some(r#"{"content-type":"application/json"}"#.to_owned()),
        response_body: Some(body(response)),
        ..Payload::default()
    };
    LogRecord {
        payload: Some(payload),
        ..record(number)
    }
}

/// The row's tags; PostgreSQL writes their text in a form of its own.
pub(crate) fn tags_of(row: &LogRecord) -> serde_json::Value {
    serde_json::from_str(row.tags.as_deref().expect("tags")).expect("JSON")
}
