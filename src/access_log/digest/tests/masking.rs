//! Credentials that only show when a body is decoded.

use super::*;

const OUR_KEY: &str = "sk-ours-0123456789abcdef";
const OWN_KEY: &str = "sk-client_9876543210fedcba";

/// A stream that says a text in pieces of five characters, one an event.
fn spelled(text: &str) -> Finished {
    let event = |piece: &[u8]| {
        let piece = String::from_utf8_lossy(piece);
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{piece}\"}}}}]}}\n\n")
    };
    let mut finished = chat("openai_chat/stream.sse");
    finished.bodies.response = captured(text.as_bytes().chunks(5).map(event).collect::<String>());
    finished
}

fn digest_masking(finished: Finished) -> LogRecord {
    let secrets = Secrets::new([OUR_KEY.as_bytes()]);
    Digest::default().masking(secrets).digest(&finished)
}

fn marked(key: &str) -> String {
    crate::access_log::redact::mark(key.as_bytes())
}

#[track_caller]
fn check_redacted(finished: Finished, text: &str) {
    let record = digest_masking(finished);
    assert_eq!(record.response_text.as_deref(), Some(text));
    assert_eq!(record.body_state, "redacted");
    let answer = record.payload.unwrap().response_body.unwrap();
    assert!(answer.bytes.is_empty() && 0 < answer.size && answer.sha256.len() == 64);
}

#[test]
fn a_key_in_pieces_is_kept_neither_in_texts_nor_in_bodies() {
    let echoed = spelled(&format!("The key is {OUR_KEY}."));
    check_redacted(echoed, &format!("The key is {}.", marked(OUR_KEY)));
    let mut escaped = chat("openai_chat/plain.json");
    let key = OUR_KEY.replace('-', "\\u002d");
    escaped.bodies.response = captured(format!(
        r#"{{"choices":[{{"message":{{"content":"{key}"}}}}]}}"#
    ));
    check_redacted(escaped, &marked(OUR_KEY));
}

#[test]
fn a_clients_own_key_that_was_passed_on_is_known_by_its_mark() {
    let headers = format!(r#"{{"authorization":"{}"}}"#, marked(OWN_KEY));
    let echoed = |provider_key: Option<&str>| {
        let mut finished = with(spelled(&format!("You sent {OWN_KEY}!")), |closed| {
            closed.provider_key = provider_key.map(str::to_owned);
        });
        finished.opened.request_headers = Some(headers.clone());
        finished
    };
    check_redacted(echoed(None), &format!("You sent {}!", marked(OWN_KEY)));
    // With a key of ours the client's never goes upstream: what looks like it is the client's own text.
    assert_eq!(digest_masking(echoed(Some("primary"))).body_state, "stored");
    let mut other = echoed(None);
    other.opened.request_headers = Some("{}".to_owned());
    assert_eq!(digest_masking(other).body_state, "stored");
}

#[test]
fn a_body_in_which_a_key_was_marked_says_so() {
    let mut finished = chat("openai_chat/plain.json");
    finished.bodies.upstream_request = Some(Captured {
        pieces: vec![Bytes::from(format!("key {}", marked(OUR_KEY)))],
        size: 4 + OUR_KEY.len() as u64,
        ..Captured::default()
    });
    let record = digest_masking(finished);
    assert_eq!(record.body_state, "redacted");
    let payload = record.payload.unwrap();
    assert!(!payload.upstream_request_body.unwrap().bytes.is_empty());
    assert!(!payload.response_body.unwrap().bytes.is_empty());
}

#[test]
fn what_decoding_brings_to_light_of_a_request_is_masked() {
    let mut finished = chat("openai_chat/plain.json");
    let key = OUR_KEY.replace('-', "\\u002d");
    finished.bodies.request = captured(format!(
        r#"{{"user":"{key}","messages":[{{"role":"user","content":"use {key}"}}]}}"#
    ));
    let record = digest_masking(finished);
    assert_eq!(record.end_user, Some(marked(OUR_KEY)));
    assert_eq!(
        record.request_text,
        Some(format!("use {}", marked(OUR_KEY)))
    );
    let payload = record.payload.unwrap();
    assert!(payload.request_body.unwrap().bytes.is_empty());
    assert!(!payload.response_body.unwrap().bytes.is_empty());
}
