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

/// A gateway with OpenAI's upstream and these providers behind it.
fn with_providers(first: &FakeUpstream, more: String) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(first.base_url()),
        provider: more,
        ..Wanted::default()
    })
}

/// One of these kinds, which answers with the body.
fn entry(name: &str, kind: &str, upstream: &FakeUpstream, models: &str) -> String {
    let path = match kind {
        "argo" => "/argoapi\n    user: alice",
        _ => "",
    };
    format!(
        "  - name: {name}\n    kind: {kind}\n    base_url: http://{}{path}\n    models: {{ {models} }}\n    \
         api_keys: [{{ key: sk-{name}-0123456789 }}]\n",
        upstream.addr()
    )
}

const VERSION: &str = "anthropic-version: 2023-06-01\r\n";

fn listed(gateway: &TestGateway, path: &str, headers: &str) -> (u16, String) {
    let answer = gateway.send("GET", path, headers, b"");
    (answer.status, answer.text().to_owned())
}

#[test]
fn names_of_the_configuration_are_in_the_list_of_whoever_reaches_them() {
    let openais = r#"{"object":"list","data":[{"id":"a-1"},{"id":"a-2","x":1.0}]}"#;
    let anthropics = r#"{"data":[{"type":"model","id":"c-1"},{"type":"model","id":"c-9"}],"has_more":true,"first_id":"c-1","last_id":"c-9"}"#;
    let geminis = r#"{"models":[{"name":"models/g-1","version":"1"}],"nextPageToken":"n"}"#;
    let argos = r#"[{"id":"gpt35","model_name":"GPT-3.5 Turbo"}]"#;
    let first = answering(openais);
    let (claude, gem) = (answering(anthropics), answering(geminis));
    let argo = answering(argos);
    let gateway = with_providers(
        &first,
        [
            "    models: { allow: [\"a-*\"], list: [a-1, a-3] }\n".to_owned(),
            entry(
                "claude",
                "anthropic",
                &claude,
                "allow: [\"c-1\"], list: [c-2, a-3]",
            ),
            entry("gem", "gemini", &gem, "allow: [\"*\"]"),
            entry("argo", "argo", &argo, "allow: [\"argo:*\"]"),
        ]
        .concat(),
    );
    let openai = |id: &str, owner: &str| {
        let more = match owner {
            "argo" => r#","internal_name":"gpt35""#,
            _ => "",
        };
        format!(r#"{{"id":"{id}","object":"model","created":0,"owned_by":"{owner}"{more}}}"#)
    };
    let data = [
        r#"{"id":"a-1"},{"id":"a-2","x":1.0}"#.to_owned(),
        openai("a-3", "openai"),
        openai("c-2", "claude"),
        openai("argo:gpt-3.5-turbo", "argo"),
    ];
    let expected = format!(r#"{{"object":"list","data":[{}]}}"#, data.join(","));
    assert_eq!(listed(&gateway, "/v1/models", ""), (200, expected));

    let anthropic = |id: &str| {
        format!(
            r#"{{"type":"model","id":"{id}","display_name":"{id}","created_at":"1970-01-01T00:00:00Z"}}"#
        )
    };
    let data = [
        anthropic("a-1"),
        anthropic("a-3"),
        r#"{"type":"model","id":"c-1"}"#.to_owned(),
        anthropic("c-2"),
        anthropic("argo:gpt-3.5-turbo"),
    ];
    let expected = format!(
        r#"{{"data":[{}],"has_more":false,"first_id":"a-1","last_id":"argo:gpt-3.5-turbo"}}"#,
        data.join(",")
    );
    let list = listed(&gateway, "/v1/models?limit=1&after_id=x", VERSION);
    assert_eq!(list, (200, expected));
    let asked = String::from_utf8(claude.received(0)).expect("text");
    assert!(
        asked.starts_with("GET /v1/models?limit=1000 HTTP/1.1\r\n"),
        "{asked}"
    );

    let gemini = |id: &str| {
        format!(
            r#"{{"name":"models/{id}","displayName":"{id}","supportedGenerationMethods":["generateContent"]}}"#
        )
    };
    let data = [
        gemini("a-1"),
        gemini("a-3"),
        gemini("c-2"),
        r#"{"name":"models/g-1","version":"1"}"#.to_owned(),
        gemini("argo:gpt-3.5-turbo"),
    ];
    let expected = format!(r#"{{"models":[{}]}}"#, data.join(","));
    assert_eq!(
        listed(&gateway, "/v1beta/models?pageSize=1", ""),
        (200, expected)
    );
    let asked = String::from_utf8(gem.received(0)).expect("text");
    assert!(
        asked.starts_with("GET /v1beta/models?pageSize=1000 HTTP/1.1\r\n"),
        "{asked}"
    );
    for row in gateway.rows() {
        assert_eq!((&*row.record.outcome, row.record.provider), ("ok", None));
    }
}

#[test]
fn one_model_of_the_configuration_is_told_without_asking_anybody() {
    let (first, claude) = (answering("{}"), answering("{}"));
    let gateway = with_providers(
        &first,
        [
            "    models: { list: [a-1] }\n".to_owned(),
            entry("claude", "anthropic", &claude, "list: [c-1]"),
        ]
        .concat(),
    );
    for (path, headers, begins) in [
        ("/v1/models/c-1", "", r#"{"id":"c-1","object":"model""#),
        (
            "/v1/models/claude%2Fc-1",
            "",
            r#"{"id":"c-1","object":"model""#,
        ),
        ("/v1/models/a-1", VERSION, r#"{"type":"model","id":"a-1""#),
        ("/v1beta/models/c-1", "", r#"{"name":"models/c-1""#),
    ] {
        let (status, said) = listed(&gateway, path, headers);
        assert_eq!(status, 200, "{path}: {said}");
        assert!(said.starts_with(begins), "{path}: {said}");
    }
    for (path, headers, word) in [
        ("/v1/models/nobodys", "", "model_not_found"),
        ("/v1/models/nobodys", VERSION, "not_found_error"),
        ("/v1beta/models/nobodys", "", "NOT_FOUND"),
    ] {
        let (status, said) = listed(&gateway, path, headers);
        assert_eq!(status, 404, "{path}: {said}");
        assert!(said.contains(word), "{path}: {said}");
    }
    assert_eq!((first.connections(), claude.connections()), (0, 0));
    // Its own clients' provider says more of its own models.
    assert_eq!(
        listed(&gateway, "/v1/models/c-1", VERSION),
        (200, "{}".to_owned())
    );
    assert_eq!(claude.connections(), 1);
}

#[test]
fn the_one_native_provider_answers_byte_for_byte() {
    for (kind, path, headers, body) in [
        (
            "anthropic",
            "/v1/models?limit=2",
            VERSION,
            r#"{ "data" : [], "has_more": false }"#,
        ),
        ("gemini", "/v1beta/models", "", r#"{ "models" : [] }"#),
    ] {
        let (first, native) = (answering("{}"), answering(body));
        let gateway = with_providers(
            &first,
            entry("own", kind, &native, "allow: [\"*\"], list: [listed]"),
        );
        assert_eq!(
            listed(&gateway, path, headers),
            (200, body.to_owned()),
            "{kind}"
        );
        assert_eq!(gateway.row().record.provider.as_deref(), Some("own"));
        assert_eq!(first.connections(), 0);
    }
}

#[test]
fn names_of_the_configuration_stand_where_their_provider_fails() {
    let first = FakeUpstream::answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
    let claude = answering("{}");
    let more = [
        "    models: { allow: [\"a-*\"], list: [a-1] }\n".to_owned(),
        entry("claude", "anthropic", &claude, "list: [c-1]"),
    ];
    let gateway = with_providers(&first, more.concat());
    let expected = r#"{"object":"list","data":[{"id":"a-1","object":"model","created":0,"owned_by":"openai"},{"id":"c-1","object":"model","created":0,"owned_by":"claude"}]}"#;
    assert_eq!(
        listed(&gateway, "/v1/models", ""),
        (200, expected.to_owned())
    );
    assert_eq!(claude.connections(), 0);
    let row = gateway.row().record;
    assert_eq!((&*row.outcome, row.attempts, row.tries.len()), ("ok", 1, 1));
    assert_eq!(row.tries[0].status_code, Some(500));
}
