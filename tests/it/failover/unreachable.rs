//! Targets that no connection leads to: no address, no port, no certificate that is believed.

use super::{answer_of, pair_at, seen, wire};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::tls_upstream::{Authority, Certificate, TlsUpstream};
use crate::support::wire::{WHOLE, json};

/// The first of two cannot be reached: the second answers, and the row says why.
#[track_caller]
fn second_answers(first: &str) {
    let second = FakeUpstream::answering(wire("200 OK", "", &answer_of("model-b")));
    let gateway = pair_at(first, &second.base_url(), "");
    let answer = gateway.chat("fast", "");
    assert_eq!(seen(&answer), (200, Some("b"), Some("2")), "{first}");
    let row = gateway.row().record;
    let tried = &row.tries[0];
    assert_eq!(tried.skip_reason.as_deref(), Some("unreachable"), "{first}");
    let said = tried.error_message.as_deref().unwrap_or_default();
    assert_ne!(said, "", "{first}");
    assert_eq!((row.upstream_status, tried.status_code), (Some(200), None));
}

#[test]
fn f49_a_name_without_an_address() {
    second_answers("http://no-such-host.invalid/v1");
}

#[test]
fn f49_nobody_but_names_that_lead_nowhere() {
    let nowhere = "http://no-such-host.invalid/v1";
    let gateway = pair_at(nowhere, "http://other-host.invalid/v1", "");
    let answer = gateway.chat("fast", "");
    assert_eq!(seen(&answer), (502, Some("b"), Some("2")));
    assert_eq!(answer.json()["error"]["code"], "upstream_dns");
    assert!(!answer.text().contains("invalid/"), "{}", answer.text());
}

#[test]
fn a_port_where_nobody_listens() {
    second_answers("http://127.0.0.1:1/v1");
}

#[test]
fn f50_certificates_that_are_not_believed() {
    let authority = Authority::new();
    for kind in [
        Certificate::Expired,
        Certificate::WrongHost,
        Certificate::SelfSigned,
    ] {
        let upstream = TlsUpstream::start(authority.issue(kind), json(200, "", WHOLE));
        second_answers(&upstream.base_url());
        assert_eq!(upstream.requests(), 0, "no key leaves");
    }
}
