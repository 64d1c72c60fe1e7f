//! F50 and what else concerns TLS towards providers: which certificates are believed, which protocols are offered,
//! and that a body that breaks off is seen under TLS too.

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::tls_upstream::{Authority, Certificate, TlsUpstream};
use crate::support::wire::{
    DONE, FINISH, STREAM, STREAM_HEAD, Seen, TEXT, WHOLE, asked, chunk, json, stream,
};

/// A gateway that trusts an authority beside the system's.
fn trusting(authority: &Authority, upstream: &TlsUpstream, provider: &str) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: format!("    ca_cert: {}\n{provider}", authority.file().display()),
        ..Wanted::default()
    })
}

#[track_caller]
fn refused(seen: &Seen, class: &str) {
    assert_eq!(
        seen.facts(),
        (502, "upstream_tls".into(), "upstream_error"),
        "{class}"
    );
    let message = seen.row.tries[0].error_message.as_deref().expect("a class");
    assert!(message.contains(class), "{message}");
    assert!(
        !seen.answer.text().contains(class),
        "the client is told nothing of it"
    );
}

#[test]
fn an_extra_authority_is_believed() {
    let authority = Authority::new();
    let upstream = TlsUpstream::start(authority.issue(Certificate::Good), json(200, "", WHOLE));
    let gateway = trusting(&authority, &upstream, "");
    asked(&gateway, "m", "").is_exactly(WHOLE);
    assert_eq!(gateway.chat("m", "").text(), WHOLE);
}

#[test]
fn f50_certificates_that_are_not_believed() {
    let authority = Authority::new();
    for (kind, class) in [
        (Certificate::Expired, "Expired"),
        (Certificate::WrongHost, "NotValidForName"),
        (Certificate::SelfSigned, "UnknownIssuer"),
    ] {
        let upstream = TlsUpstream::start(authority.issue(kind), json(200, "", WHOLE));
        let seen = asked(&trusting(&authority, &upstream, ""), "m", STREAM);
        refused(&seen, class);
        assert_eq!(upstream.requests(), 0, "no key leaves");
    }
}

#[test]
fn f50_an_unknown_authority_is_not_believed() {
    let (known, other) = (Authority::new(), Authority::new());
    let upstream = TlsUpstream::start(other.issue(Certificate::Good), json(200, "", WHOLE));
    refused(
        &asked(&trusting(&known, &upstream, ""), "m", ""),
        "UnknownIssuer",
    );
}

#[test]
fn f50_a_client_certificate_is_required() {
    let authority = Authority::new();
    let good = || authority.issue(Certificate::Good);
    let upstream = TlsUpstream::demanding(good(), &authority, json(200, "", WHOLE));
    let seen = asked(&trusting(&authority, &upstream, ""), "m", "");
    refused(&seen, "CertificateRequired");
    let (chain, key) = authority.client_files();
    let ours = format!(
        "    client_cert: {}\n    client_key: {}\n",
        chain.display(),
        key.display()
    );
    asked(&trusting(&authority, &upstream, &ours), "m", "").is_exactly(WHOLE);
}

#[test]
fn f50_a_peer_that_speaks_no_tls() {
    let answer = Step::Send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec());
    let plain = FakeUpstream::start(vec![vec![answer, Step::ReadToEnd]]);
    let seen = asked(
        &TestGateway::before(format!("https://{}/v1", plain.addr())),
        "m",
        "",
    );
    assert_eq!(seen.facts(), (502, "upstream_tls".into(), "upstream_error"));
    assert!(
        !plain.received(0).windows(4).any(|part| part == b"POST"),
        "nothing goes out in the clear"
    );
}

/// A server's greeting that chooses TLS 1.1 (RFC 4346, section 7.4.1.3): version 3.2, some random bytes, no session, a
/// cipher of its time.
#[test]
fn f50_a_peer_that_speaks_an_old_tls_only() {
    let hello = [&[2, 0, 0, 38, 3, 2][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
    let record = [&[22, 3, 2, 0, 42][..], &hello].concat();
    let old = FakeUpstream::start(vec![vec![Step::Send(record), Step::ReadToEnd]]);
    let url = format!("https://{}/v1", old.addr());
    let seen = asked(&TestGateway::before(url), "m", "");
    refused(&seen, "TLS");
    assert!(!old.received(0).windows(4).any(|part| part == b"POST"));
}

/// The h2 stack behind the client library has an advisory without a fix: it must never be negotiated.
#[test]
fn http_2_is_never_offered() {
    let authority = Authority::new();
    let upstream = TlsUpstream::start(authority.issue(Certificate::Good), json(200, "", WHOLE));
    let seen = asked(&trusting(&authority, &upstream, ""), "m", STREAM);
    assert_eq!(seen.answer.status, 200);
    assert_eq!(upstream.offered(), [b"http/1.1".to_vec()]);
}

#[test]
fn streams_pass_under_tls() {
    let authority = Authority::new();
    let events = format!("{TEXT}{FINISH}{DONE}");
    let upstream = TlsUpstream::start(authority.issue(Certificate::Good), stream(&events));
    let seen = asked(&trusting(&authority, &upstream, ""), "m", STREAM);
    seen.is_exactly(&events);
    assert!(seen.row.connect_ms.is_some());
}

/// The upstream says goodbye in order, but in the middle of a body.
#[test]
fn f38_a_cut_body_is_seen_under_tls() {
    let authority = Authority::new();
    let begun = [STREAM_HEAD.as_bytes(), &chunk(TEXT)].concat();
    let upstream = TlsUpstream::start(authority.issue(Certificate::Good), begun);
    let seen = asked(&trusting(&authority, &upstream, ""), "m", STREAM);
    assert_eq!(
        seen.facts(),
        (200, "upstream_disconnected".into(), "upstream_truncated")
    );
    let whole = json(200, "", WHOLE);
    let cut = TlsUpstream::start(
        authority.issue(Certificate::Good),
        &whole[..whole.len() - 9],
    );
    let seen = asked(&trusting(&authority, &cut, ""), "m", "");
    assert_eq!(seen.row.outcome, "upstream_truncated");
    assert!(seen.answer.status == 502 || !seen.answer.complete);
}

#[test]
fn f47_bodies_that_end_by_closing_under_tls() {
    let authority = Authority::new();
    let wire = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{WHOLE}");
    let upstream = TlsUpstream::start(authority.issue(Certificate::Good), wire);
    asked(&trusting(&authority, &upstream, ""), "m", "").is_exactly(WHOLE);
}

#[test]
fn certificate_files_that_cannot_be_used_end_the_start() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let file = dir.path().join("empty.pem");
    std::fs::write(&file, "no certificate").expect("a file");
    let start = std::panic::catch_unwind(|| {
        TestGateway::with(Wanted {
            upstream: Some("https://localhost:1/v1".to_owned()),
            provider: format!("    ca_cert: {}\n", file.display()),
            ..Wanted::default()
        })
    });
    assert!(start.is_err());
}
