//! Those who switch over: what the documents of their proxy tell them to call, against the configuration that they had.

mod apiproxy;
mod uezo;

use std::net::SocketAddr;
use std::path::Path;

use aiproxy::cli::mock::{Mock, MockHandle};
use serde_json::{Value, json};

use super::import::folder_of;
use super::serve::start;
use super::{aiproxy, text};
use crate::support::gateway::{get, wait_until};
use crate::support::raw_client::{RawResponse, exchange, request};

/// What their clients send along.
const HEADERS: &str =
    "content-type: application/json\r\nauthorization: Bearer test-token\r\naccept: */*\r\n";

fn post(data: SocketAddr, path: &str, body: &Value) -> RawResponse {
    post_with(data, path, HEADERS, body)
}

fn post_with(data: SocketAddr, path: &str, headers: &str, body: &Value) -> RawResponse {
    let body = body.to_string();
    exchange(data, request("POST", path, headers, body.as_bytes()))
}

/// The database that a program in this folder makes for itself.
fn records_of(folder: &Path) -> String {
    format!("sqlite:///{}", folder.join("aiproxy.db").display())
}

/// Runs `examples` against the server of an imported configuration.
#[track_caller]
fn switched(fixture: &str, examples: impl FnOnce(SocketAddr, &MockHandle)) {
    switched_from(fixture, &[fixture], |data, mock, _| examples(data, mock));
}

/// The same for what these words import of these fixtures; `examples` get the folder too.
#[track_caller]
fn switched_from(
    words: &str,
    fixtures: &[&str],
    examples: impl FnOnce(SocketAddr, &MockHandle, &Path),
) {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let folder = folder_of(fixtures, &mock.addr().to_string());
    let import = format!("config import {words} --out aiproxy.yaml");
    let output = aiproxy(folder.path(), &import, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (_server, data) = start(folder.path(), "--port 0 --admin-port 0", &[]);
    examples(data, &mock, folder.path());
    assert!(folder.path().join("aiproxy.db").exists());
}

fn ids(list: &Value) -> Vec<&str> {
    let models = list["data"].as_array().expect("a list");
    models
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect()
}

fn said(answer: &RawResponse) -> Value {
    answer.json()["choices"][0]["message"]["content"].clone()
}

#[test]
fn asksage_proxy_readme_examples_work() {
    switched("asksage.yaml", |data, mock| {
        for path in ["/", "/health", "/version"] {
            assert_eq!(exchange(data, get(path)).status, 200, "{path}");
        }
        let models = exchange(data, get("/v1/models")).json();
        assert_eq!(ids(&models), ["mock", "mock-tools"]);
        let entry = &models["data"][0];
        assert_eq!(entry["object"], "model");
        assert!(entry["created"].is_i64() && entry["owned_by"].is_string());

        let messages = json!([
            { "role": "system", "content": "You are a helpful assistant." },
            { "role": "user", "content": "Hello, how are you?" },
        ]);
        let chat = json!({ "model": "gpt-4o", "messages": messages, "temperature": 0.7, "max_tokens": 100 });
        let answer = post(data, "/v1/chat/completions", &chat);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(
            (&body["object"], &body["model"]),
            (&json!("chat.completion"), &json!("gpt-4o"))
        );
        assert!(
            said(&answer)
                .as_str()
                .is_some_and(|text| text.starts_with("the quick brown fox"))
        );
        assert_eq!(body["usage"]["prompt_tokens"], 21, "no made-up count");
        let sent = mock.requests().pop().expect("a request");
        assert_eq!(
            (sent.path(), sent.header("x-access-tokens")),
            ("/server/query", Some("canary-asksage-one"))
        );
        let asked: Value = serde_json::from_slice(&sent.body).expect("JSON");
        assert_eq!(asked["system_prompt"], "You are a helpful assistant.");
        assert_eq!(
            (&asked["dataset"], &asked["persona"]),
            (&json!("none"), &json!("default"))
        );
        assert_eq!(
            (&asked["live"], &asked["temperature"]),
            (&json!(0), &json!(0.7))
        );

        let mut stream = chat.clone();
        stream["stream"] = json!(true);
        stream["model"] = json!("mock-json");
        let answer = post(data, "/v1/chat/completions", &stream);
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{}",
            answer.text()
        );
        assert_eq!(
            answer.text().matches("\"finish_reason\":\"stop\"").count(),
            1
        );

        let mut tools = chat.clone();
        tools["model"] = json!("mock-tools");
        tools["tools"] = json!([{ "type": "function", "function": { "name": "get_weather", "parameters": { "type": "object" } } }]);
        tools["tool_choice"] = json!("auto");
        let answer = post(data, "/v1/chat/completions", &tools).json();
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        let mut reasoning = chat.clone();
        reasoning["reasoning_effort"] = json!("high");
        assert_eq!(post(data, "/v1/chat/completions", &reasoning).status, 200);
        let sent = mock.requests().pop().expect("a request");
        assert!(text(&sent.body).contains(r#""reasoning_effort":"high""#));

        // What went wrong there.
        for wrong in ["", "{", "{\"model\":\"m\"}"] {
            let answer = exchange(
                data,
                request("POST", "/v1/chat/completions", HEADERS, wrong.as_bytes()),
            );
            assert_eq!(answer.status, 400, "{wrong}");
            assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
        }
        let mut gone = chat.clone();
        gone["model"] = json!("mock-gone");
        assert_eq!(
            post(data, "/v1/chat/completions", &gone).status,
            404,
            "no answer of it"
        );
    });
}

#[test]
fn ai_proxy_readme_examples_work() {
    switched("ai_proxy_ocf.py", |data, mock| {
        // They are asked in the background, each of them.
        let list = || exchange(data, get("/v1/models")).json();
        wait_until("the lists are there", || {
            let models = list();
            let names = ids(&models);
            ["acme/mock", "mock"]
                .iter()
                .all(|name| names.contains(name))
        });
        let models = list();
        let names = ids(&models);
        let once: std::collections::HashSet<&&str> = names.iter().collect();
        assert_eq!(once.len(), names.len(), "each once: {names:?}");

        let messages = json!([{ "role": "user", "content": "Hello!" }]);
        let chat = json!({ "model": "Qwen/Qwen3-8B", "messages": messages });
        let answer = post(data, "/v1/chat/completions", &chat);
        assert!(said(&answer).is_string(), "{}", answer.text());
        let sent = mock.requests().pop().expect("a request");
        assert_eq!(sent.path(), "/v1/service/llm/v1/chat/completions");
        assert_eq!(
            sent.header("authorization"),
            Some("Bearer sk-rc-canary-ocf")
        );
        assert_eq!(answer.header("x-computing-node"), Some("QmMockPeer"));

        let mut stream = chat.clone();
        stream["stream"] = json!(true);
        let answer = post(data, "/v1/chat/completions", &stream);
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{}",
            answer.text()
        );
        let completion = json!({ "model": "Qwen/Qwen3-8B", "prompt": "Once" });
        let answer = post(data, "/v1/completions", &completion).json();
        assert_eq!(answer["object"], "text_completion");
        let embeddings = json!({ "model": "Qwen/Qwen3-Embedding", "input": "a" });
        assert_eq!(post(data, "/v1/embeddings", &embeddings).status, 200);
        let sent = mock.requests().pop().expect("a request");
        assert_eq!(sent.path(), "/v1/service/llm/v1/embeddings");

        // A prefix is written as it was.
        let prefixed = json!({ "model": "acme/mock", "messages": messages });
        assert_eq!(post(data, "/v1/chat/completions", &prefixed).status, 200);
        let sent = mock.requests().pop().expect("a request");
        assert_eq!(sent.path(), "/v1/chat/completions");
        assert_eq!(
            sent.header("authorization"),
            Some("Bearer sk-canary-prefix")
        );
        assert!(text(&sent.body).contains(r#""model":"mock""#));

        // What went wrong there: a text that was passed on as a success, and nobody's model.
        let mut lost = chat.clone();
        lost["model"] = json!("mock-nodeerror");
        let answer = post(data, "/v1/chat/completions", &lost);
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (502, &json!("upstream_unreachable"))
        );
        lost["model"] = json!("mock-noprovider");
        let answer = post(data, "/v1/chat/completions", &lost);
        assert_eq!(
            (answer.status, answer.json()["error"].is_string()),
            (503, true)
        );
    });
}
