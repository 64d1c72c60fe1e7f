//! Ask Sage's API, and a node of the Open Compute Framework.

use super::*;

const NODE: &str = "/v1/service/llm/v1/chat/completions";

/// Asks Ask Sage with a key.
fn query(model: &str) -> Seen {
    let body =
        json!({ "model": model, "message": [{ "user": "me", "message": "hi" }] }).to_string();
    let head =
        "POST /server/query HTTP/1.1\r\nhost: m\r\nconnection: close\r\nx-access-tokens: k\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    talk(&start(), request.as_bytes())
}

#[test]
fn ask_sage_answers_whole() {
    let seen = query("mock");
    assert_eq!((seen.status(), seen.whole), (200, true));
    let body = seen.json();
    assert_eq!(
        (&body["response"], &body["status"]),
        (&json!("OK"), &json!(200))
    );
    assert_eq!(body["usage"]["model_tokens"]["completion_tokens"], 10);
    assert_eq!(
        query("mock-usage-last").json()["usage"]["prompt_tokens"],
        21
    );
    assert_eq!(query("mock-usage-none").json()["usage"], Value::Null);
    assert_eq!(
        query("mock-json").json()["message"],
        r#"{"name":"Ada","age":36}"#
    );
    assert_eq!(query("mock-null").json()["message"], "");
    let calls = query("mock-tools").json()["tool_calls_unified"].clone();
    assert_eq!(calls[1]["function"]["arguments"], r#"{"city":"Oslo"}"#);
    assert_eq!(query("mock-b4k").body.len(), 4_096);
}

#[test]
fn ask_sage_tells_failures_under_200() {
    for (model, begins) in [
        ("mock-gone", "Sorry, this model is no longer available"),
        ("mock-overloaded", "Sorry, the model is overloaded"),
        ("mock-denied", "You are not authorized"),
        ("mock-sorry", "Sorry, an error occurred"),
    ] {
        let seen = query(model);
        let body = seen.json();
        assert_eq!(
            (seen.status(), &body["usage"]),
            (200, &Value::Null),
            "{model}"
        );
        assert!(
            body["message"].as_str().unwrap().starts_with(begins),
            "{model}"
        );
    }
    let seen = query("mock-err-500");
    assert_eq!((seen.status(), &seen.json()["status"]), (500, &json!(500)));
    assert_eq!(
        post("/server/query", &json!({ "model": "mock" })).status(),
        401
    );
    assert_eq!(post("/server/get-models", &json!({})).json()["status"], 401);
}

#[test]
fn a_node_forwards_to_a_peer() {
    let body = json!({ "model": "acme/mock", "messages": [] });
    let seen = post(NODE, &body);
    assert_eq!(seen.header("x-computing-node"), Some("QmMockPeer"));
    assert_eq!(seen.json()["object"], "chat.completion");
    let table = get(&start(), "/v1/dnt/table").json();
    assert_eq!(table["/QmMockPeer"]["service"][0]["port"], "8080");
    assert_eq!(get(&start(), "/v1/service/llm/v1/models").status(), 503);
}

#[test]
fn a_node_says_what_it_does_not_reach() {
    let seen = post(
        NODE,
        &json!({ "model": "mock-nodeerror", "messages": [], "stream": true }),
    );
    assert_eq!(
        (seen.status(), seen.header("x-computing-node")),
        (200, None)
    );
    assert!(seen.text().starts_with("ERROR: "), "{}", seen.text());
    let seen = post(NODE, &json!({ "model": "mock-noprovider", "messages": [] }));
    assert_eq!(seen.status(), 503);
    assert!(seen.json()["error"].is_string());
}
