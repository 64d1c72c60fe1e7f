//! A gateway whose model `fast` has two targets, each at an upstream of its own.

use super::fake_upstream::{FakeUpstream, Script, Step};
use super::gateway::{TestGateway, Wanted};
use super::raw_client::RawResponse;

/// A whole answer with this status line and further lines of its head, after which the connection ends.
pub(crate) fn answer(status: &str, head: &str) -> String {
    let body = match status.starts_with('2') {
        true => {
            r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#
        }
        false => r#"{"error":{"message":"not now"}}"#,
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}"
    )
}

/// An upstream that gives these answers one after the other, and the last one from then on.
pub(crate) fn answering(answers: &[&str]) -> FakeUpstream {
    let script = |answer: &&str| -> Script {
        vec![
            Step::ReadRequest,
            Step::Send(answer.as_bytes().to_vec()),
            Step::ReadToEnd,
        ]
    };
    FakeUpstream::start(answers.iter().map(script).collect())
}

/// An upstream that always answers well.
pub(crate) fn well() -> FakeUpstream {
    answering(&[&answer("200 OK", "")])
}

/// The first target is `a`'s, the second `b`'s. `model`: lines of the model beside its targets, indented by four; `more`:
/// further sections.
pub(crate) fn gateway(a: &FakeUpstream, b: &FakeUpstream, model: &str, more: &str) -> TestGateway {
    let tier = u32::from(model.contains("priority"));
    TestGateway::with(Wanted {
        upstream: Some(a.base_url()),
        provider: format!(
            "    models: {{ list: [model-a] }}\n  - name: b\n    kind: openai\n    base_url: {}\n    models: {{ list: [model-b] }}\n    api_keys: [{{ key: sk-second-0123456789, name: second }}]\n",
            b.base_url()
        ),
        yaml: format!(
            "models:\n  fast:\n{model}    targets:\n      - {{ provider: openai, model: model-a }}\n      - {{ provider: b, model: model-b, tier: {tier} }}\n{more}"
        ),
        ..Wanted::default()
    })
}

/// The first target goes first whenever it can.
pub(crate) const PRIORITY: &str = "    strategy: priority\n";

/// Asks for the model `fast` in a session.
pub(crate) fn ask(gateway: &TestGateway, session: &str) -> RawResponse {
    let headers = format!("x-session-id: {session}\r\ncontent-type: application/json\r\n");
    let body = super::gateway::chat_body("fast", "");
    gateway.send("POST", "/v1/chat/completions", &headers, body.as_bytes())
}

/// Status, provider and attempts, as the client sees them.
pub(crate) fn seen(answer: &RawResponse) -> (u16, Option<&str>, Option<&str>) {
    (
        answer.status,
        answer.header("x-aiproxy-provider"),
        answer.header("x-aiproxy-attempts"),
    )
}
