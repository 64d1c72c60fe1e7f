//! Vectors of a provider of another dialect.

use serde_json::{Value, json};

use super::{KEY, last, sent};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::wire::json as json_answer;

const OPENAI: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1.0]}],"model":"e-1","usage":{"prompt_tokens":3,"total_tokens":3}}"#;

fn before(kind: &str, upstream: &FakeUpstream) -> TestGateway {
    let (base, first) = match kind {
        "gemini" => ("", None),
        _ => ("/v1", Some(upstream.base_url())),
    };
    TestGateway::with(Wanted {
        upstream: first,
        provider: match kind {
            "gemini" => format!(
                "  - name: other\n    kind: gemini\n    base_url: http://{}{base}\n    \
                 models: {{ allow: [\"e-*\"] }}\n    api_keys: [{{ key: {KEY} }}]\n",
                upstream.addr()
            ),
            _ => String::new(),
        },
        ..Wanted::default()
    })
}

fn ask(gateway: &TestGateway, path: &str, body: &str) -> (u16, Value) {
    let headers =
        "content-type: application/json\r\nauthorization: Bearer sk-client-0123456789\r\n";
    let answer = gateway.send("POST", path, headers, body.as_bytes());
    (answer.status, answer.json())
}

#[test]
fn openais_clients_get_vectors_of_gemini() {
    let two = r#"{"embeddings":[{"values":[0.5,-1.0]},{"values":[1.0,2.0]}]}"#;
    let upstream = FakeUpstream::answering(json_answer(200, "", two));
    let gateway = before("gemini", &upstream);
    let (status, said) = ask(
        &gateway,
        "/v1/embeddings",
        r#"{"model":"e-1","input":["a","b"],"encoding_format":"float","dimensions":2}"#,
    );
    assert_eq!(status, 200, "{said}");
    let vectors = json!([
        { "object": "embedding", "index": 0, "embedding": [0.5, -1.0] },
        { "object": "embedding", "index": 1, "embedding": [1.0, 2.0] },
    ]);
    assert_eq!((&said["object"], &said["data"]), (&json!("list"), &vectors));
    assert_eq!(said["usage"], Value::Null);
    let (head, body) = sent(&upstream);
    assert!(
        head.starts_with("POST /v1beta/models/e-1:batchEmbedContents "),
        "{head}"
    );
    assert_eq!(body["requests"][1]["content"]["parts"][0]["text"], "b");
    assert_eq!(body["requests"][0]["outputDimensionality"], 2);
    let row = last(&gateway);
    assert_eq!((&*row.endpoint, &*row.outcome), ("embeddings", "ok"));
    assert!(
        row.prompt_tokens.is_some_and(|tokens| 0 < tokens),
        "{row:?}"
    );
    assert_ne!(row.usage_source.as_deref(), Some("upstream"));
}

#[test]
fn geminis_clients_get_vectors_of_openais_servers() {
    let upstream = FakeUpstream::answering(json_answer(200, "", OPENAI));
    let gateway = before("openai", &upstream);
    let (status, said) = ask(
        &gateway,
        "/v1beta/models/e-1:embedContent",
        r#"{"content":{"parts":[{"text":"a"}]}}"#,
    );
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["embedding"]["values"], json!([0.5, -1.0]));
    let (head, body) = sent(&upstream);
    assert!(head.starts_with("POST /v1/embeddings "), "{head}");
    assert_eq!(body["model"], "e-1");
    let row = last(&gateway);
    assert_eq!(
        (&*row.endpoint, row.prompt_tokens),
        ("embed_content", Some(3))
    );
}

#[test]
fn what_the_other_side_cannot_take_is_refused() {
    let upstream = FakeUpstream::answering(json_answer(200, "", "{}"));
    let gateway = before("gemini", &upstream);
    let (status, said) = ask(
        &gateway,
        "/v1/embeddings",
        r#"{"model":"e-1","input":[1,2]}"#,
    );
    assert_eq!(
        (status, &said["error"]["code"]),
        (400, &json!("unsupported_parameter")),
        "{said}"
    );
    assert_eq!(upstream.connections(), 0);
}
