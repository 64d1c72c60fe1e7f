//! A process that is stopped for longer than its time limits, as by a laptop's lid or a debugger: what had come meanwhile
//! counts, not the time that nobody was there to read it.

use aiproxy::cli::mock::Mock;
use tempfile::TempDir;

use super::{CONTENT, END, ROLE, STREAM, answer_of, wire};
use crate::support::fake_upstream::{FakeUpstream, Script, Step};
use crate::support::gateway::{chat_body, sqlite_in, wait_until};
use crate::support::process::{Program, Proxy};
use crate::support::raw_client::{RawClient, exchange, post};
use crate::support::signal::Signal;

const CHAT: &str = "/v1/chat/completions";
const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// Requests of each sort that are in flight.
const EACH: usize = 4;

/// Two targets, `a` before `b`; two failures open a circuit, and two seconds of silence are one.
fn proxy(dir: &TempDir, a: &FakeUpstream, b: &FakeUpstream) -> Proxy {
    let file = dir.path().join("aiproxy.yaml");
    let yaml = format!(
        "server: {{ port: 0, workers: 2 }}\nadmin: {{ port: 0 }}\nlog: {{ spool_dir: \"{}\" }}\ndatabase: {{ url: \"{}\" }}\n\
         providers:\n  - {{ name: a, kind: openai, base_url: \"{}\", api_keys: [{{ key: sk-first-0123456789 }}], timeouts: {{ first_byte_s: 2, idle_s: 2 }} }}\n  \
         - {{ name: b, kind: openai, base_url: \"{}\", api_keys: [{{ key: sk-second-0123456789 }}] }}\n\
         models: {{ fast: {{ targets: [{{ provider: a, model: m }}, {{ provider: b, model: m, tier: 1 }}] }} }}\nrouting: {{ breaker_failures: 2 }}\n",
        dir.path().join("spool").display(),
        sqlite_in(dir.path()),
        a.base_url(),
        b.base_url()
    );
    std::fs::write(&file, yaml).expect("a file");
    Proxy::start(&file)
}

fn is_stopped(program: &Program) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid()));
    status.is_ok_and(|status| status.contains("\nState:\tT"))
}

#[test]
fn f77_what_came_while_the_process_was_stopped_is_no_time_limit() {
    let (go, pace) = (Signal::new(), Mock::start(([127, 0, 0, 1], 0).into()));
    let good = wire("200 OK", "", &answer_of("m")).into_bytes();
    let whole: Script = vec![
        Step::ReadRequest,
        Step::Wait(go.clone()),
        Step::Send(good.clone()),
        Step::Fin,
        Step::ReadToEnd,
    ];
    let stream: Script = vec![
        Step::ReadRequest,
        Step::Send([HEAD, ROLE, CONTENT].concat().into_bytes()),
        Step::Wait(go.clone()),
        Step::Send([CONTENT, END].concat().into_bytes()),
        Step::Fin,
        Step::ReadToEnd,
    ];
    let after: Script = vec![Step::ReadRequest, Step::Send(good), Step::Fin];
    let scripts = [vec![whole; EACH], vec![stream; EACH], vec![after]].concat();
    let (a, b) = (
        FakeUpstream::start(scripts),
        FakeUpstream::answering(wire("200 OK", "", "{}")),
    );
    let dir = TempDir::new().expect("a folder");
    let proxy = proxy(&dir, &a, &b);
    let ask = |more: &str| {
        let mut client = RawClient::connect(proxy.data);
        client.send(post(CHAT, &chat_body("fast", more)));
        client
    };
    let wholes = [(); EACH].map(|()| ask(""));
    a.wait_for_connections(EACH);
    let streams = [(); EACH].map(|()| ask(STREAM));
    let streams = streams.map(|mut client| {
        client.read_until(CONTENT.as_bytes());
        client
    });
    proxy.program.signal("-STOP");
    wait_until("it stands still", || is_stopped(&proxy.program));
    go.fire();
    // Longer than it would have waited for any of them.
    exchange(
        pace.expect("a mock").addr(),
        post(CHAT, &chat_body("mock-slow-3000", "")),
    );
    proxy.program.signal("-CONT");
    for mut client in wholes {
        let answer = client.read_response();
        let tries = answer.header("x-aiproxy-attempts");
        assert_eq!(
            (answer.status, tries),
            (200, Some("1")),
            "{}",
            answer.text()
        );
    }
    for mut client in streams {
        let rest = String::from_utf8(client.read_until(b"[DONE]")).expect("text");
        assert!(!rest.contains("error"), "{rest}");
    }
    // Nobody's health has suffered: the next one asks the same target.
    let next = proxy.chat("fast", "");
    assert_eq!(
        next.header("x-aiproxy-provider"),
        Some("a"),
        "{}",
        next.text()
    );
    assert_eq!(b.connections(), 0);
    proxy.settle();
    assert_eq!(
        proxy.metric("attempts_total{upstream=\"a\",result=\"ok\"}"),
        (2 * EACH + 1) as f64
    );
}
