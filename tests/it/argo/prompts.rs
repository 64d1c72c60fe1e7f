//! The older form of a request, `prompt` and `system`, by clients of each path that knew it.

use aiproxy::wire::argo::model::id;
use serde_json::{Value, json};

use super::{answering, last, sent, wanted};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};
use crate::support::wire::json as json_answer;

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const RAW: &str = "/v1/chat";

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

#[test]
fn prompts_and_a_system_say_the_same_on_every_path() {
    let system = json!({ "role": "system", "content": "s\n\nt" });
    for (path, model, more, expected) in [
        (
            CHAT,
            "argo:gpt-4o",
            r#""prompt":"a""#,
            json!({ "messages": [user("a")] }),
        ),
        (
            CHAT,
            "argo:gpt-4o",
            r#""system":["s","t"],"prompt":["a","b","a"]"#,
            json!({ "messages": [system, user("a\n\nb")] }),
        ),
        (
            CHAT,
            "argo:gpt-o1-mini",
            r#""system":"s","prompt":"a""#,
            json!({ "messages": [user("s"), user("a")] }),
        ),
        (
            COMPLETIONS,
            "argo:gpt-4o",
            r#""prompt":["a","b"]"#,
            json!({ "messages": [user("a\n\nb")] }),
        ),
        (
            RAW,
            "argo:gpt-4o",
            r#""system":["s","t"],"prompt":["a","b","a"]"#,
            json!({ "system": "s\n\nt", "prompt": ["a\n\nb"] }),
        ),
        (
            RAW,
            "argo:gpt-o1-mini",
            r#""system":"s","prompt":["a"]"#,
            json!({ "prompt": ["s\n\na"] }),
        ),
        (
            RAW,
            "argo:gpt-o3-mini",
            r#""system":"s","prompt":["a"]"#,
            json!({ "system": "s", "prompt": ["a"] }),
        ),
    ] {
        let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":"yes"}"#));
        let ask = format!(r#"{{"model":"{model}",{more}}}"#);
        let answer = gateway.post(path, &ask);
        assert_eq!(answer.status, 200, "{ask}: {}", answer.text());
        let (_, mut body) = sent(&upstream);
        let known = body.as_object_mut().expect("an object");
        assert_eq!(known.remove("model"), Some(json!(id(model))), "{ask}");
        assert_eq!(known.remove("user"), Some(json!("alice")), "{ask}");
        assert_eq!(body, expected, "{path} {ask}");
        let row = last(&gateway);
        assert_eq!((&*row.outcome, row.dropped), ("ok", None), "{path} {ask}");
    }
}

#[test]
fn filters_see_prompts_and_systems() {
    for (action, asked) in [("refuse", 0), ("mask", 1)] {
        for more in [
            r#""prompt":"a secret""#,
            r#""prompt":["a","a secret"]"#,
            r#""prompt":"a","system":"a secret""#,
            r#""messages":null,"prompt":"a","system":["s","a secret"]"#,
        ] {
            let upstream = FakeUpstream::answering(json_answer(200, "", r#"{"response":"yes"}"#));
            let gateway = TestGateway::with(Wanted {
                yaml: format!(
                    "filters: [{{ kind: block_patterns, words: [secret], action: {action} }}]"
                ),
                ..wanted(&upstream, "    user: alice\n")
            });
            let answer = gateway.post(CHAT, &format!(r#"{{"model":"argo:gpt-4o",{more}}}"#));
            assert_eq!(upstream.requests(), asked, "{action} {more}");
            if asked == 0 {
                assert_eq!(answer.json()["error"]["code"], "blocked_by_filter");
                continue;
            }
            assert_eq!(answer.status, 200, "{more}: {}", answer.text());
            let (_, body) = sent(&upstream);
            let said = body["messages"].to_string();
            assert!(said.contains("a ***") && !said.contains("secret"), "{said}");
        }
    }
}

#[test]
fn what_is_no_text_is_refused_by_its_name() {
    let (upstream, gateway) = answering(json_answer(200, "", r#"{"response":"yes"}"#));
    for (path, body, param) in [
        (
            CHAT,
            r#"{"model":"argo:gpt-4o","prompt":[1,2]}"#,
            "messages",
        ),
        (CHAT, r#"{"model":"argo:gpt-4o","prompt":[]}"#, "messages"),
        (CHAT, r#"{"model":"argo:gpt-4o"}"#, "messages"),
        (
            COMPLETIONS,
            r#"{"model":"argo:gpt-4o","prompt":[[1],[2]]}"#,
            "prompt",
        ),
        (
            COMPLETIONS,
            r#"{"model":"argo:gpt-4o","prompt":["a",7]}"#,
            "prompt",
        ),
        (
            RAW,
            r#"{"model":"argo:gpt-o1-mini","system":7,"prompt":"a"}"#,
            "system",
        ),
        (
            RAW,
            r#"{"model":"argo:gpt-o1-mini","system":"s","prompt":[7]}"#,
            "prompt",
        ),
    ] {
        let answer = gateway.post(path, body);
        let error = &answer.json()["error"];
        assert_eq!(answer.status, 400, "{body}: {error}");
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("unsupported_parameter"), &json!(param)),
            "{body}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}
