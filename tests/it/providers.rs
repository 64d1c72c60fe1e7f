//! Several providers: who is asked, and one list of models.

use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};

fn answering(body: &str) -> FakeUpstream {
    FakeUpstream::answering(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn two(first: &FakeUpstream, second: &FakeUpstream) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(first.base_url()),
        provider: format!(
            "    models: {{ allow: [\"a-*\"] }}\n  - name: local\n    kind: openai\n    base_url: {}\n",
            second.base_url()
        ),
        ..Wanted::default()
    })
}

#[test]
fn the_list_of_models_is_of_all_providers() {
    let first = answering(r#"{"object":"list","data":[{"id":"a-1","x":1.0},{"id":"hidden"}]}"#);
    let second = answering(r#"{"object":"list","data":[{"id":"a-1"},{"id":"b"}]}"#);
    let gateway = two(&first, &second);
    let list = gateway.get("/v1/models");
    assert_eq!(
        list.text(),
        r#"{"object":"list","data":[{"id":"a-1","x":1.0},{"id":"b"}]}"#
    );
    let row = gateway.row().record;
    assert_eq!(
        (row.endpoint.as_str(), row.attempts, row.provider),
        ("models", 2, None)
    );
}

#[test]
fn a_provider_that_fails_is_left_out_of_the_list() {
    let first = FakeUpstream::answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
    let second = answering(r#"{"data":[{"id":"b"}]}"#);
    let gateway = two(&first, &second);
    assert_eq!(
        gateway.get("/v1/models").text(),
        r#"{"object":"list","data":[{"id":"b"}]}"#
    );
}

#[test]
fn a_list_that_nobody_gives_fails_like_other_answers() {
    for (answer, status, code) in [
        ("401 No", 502, "upstream_auth"),
        ("302 No\r\nlocation: /else", 502, "upstream_redirect"),
        ("500 No", 500, "upstream_error"),
    ] {
        let wire = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
        let upstream = FakeUpstream::answering(wire);
        let gateway = TestGateway::with(Wanted {
            upstream: Some(upstream.base_url()),
            provider: format!(
                "  - name: local\n    kind: openai\n    base_url: {}\n    api_keys: [{{ key: sk-second-0123456789 }}]\n",
                upstream.base_url()
            ),
            ..Wanted::default()
        });
        let list = gateway.get("/v1/models");
        assert_eq!(
            (list.status, list.json()["error"]["code"].as_str()),
            (status, Some(code))
        );
        assert!(list.header("location").is_none());
    }
}

#[test]
fn the_model_decides_who_is_asked() {
    let (first, second) = (answering("{}"), answering("{}"));
    let gateway = two(&first, &second);
    gateway.chat("a-1", "");
    gateway.chat("other", "");
    gateway.get("/v1/models/b%2Fc");
    let providers: Vec<_> = gateway
        .rows()
        .into_iter()
        .map(|row| row.record.provider)
        .collect();
    assert_eq!(
        providers,
        ["openai", "local", "local"].map(|name| Some(name.to_owned()))
    );
}

#[test]
fn a_providers_name_before_the_model_is_taken_off() {
    let (first, second) = (answering("{}"), answering("{}"));
    let gateway = two(&first, &second);
    gateway.chat("local/x/y", "");
    let row = gateway.row().record;
    assert_eq!(
        (row.requested_model.as_deref(), row.model.as_deref()),
        (Some("local/x/y"), Some("x/y"))
    );
    let received = String::from_utf8(second.received(0)).expect("text");
    assert!(received.contains(r#"{"model":"x/y","#), "{received}");
}

#[test]
fn a_model_that_nobody_takes_is_not_found() {
    let upstream = answering("{}");
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: "    models: { list: [known] }\n".to_owned(),
        ..Wanted::default()
    });
    let answer = gateway.chat("unknown", "");
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (404, Some("model_not_found"))
    );
    assert_eq!(gateway.row().record.outcome, "client_error");
    assert_eq!(upstream.connections(), 0);
}
