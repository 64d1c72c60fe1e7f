//! Azure's paths and what its content filter says.

use super::*;

/// Asks a deployment.
fn asked(deployment: &str, call: &str, body: &Value) -> Seen {
    let path = format!("/openai/deployments/{deployment}/{call}?api-version=2024-10-21");
    post(&path, body)
}

fn is_safe(judged: &Value) -> bool {
    judged["content_filter_results"]["hate"] == json!({ "filtered": false, "severity": "safe" })
}

#[test]
fn azures_answers_are_openais_with_what_the_filter_says() {
    for (call, openais) in [
        ("chat/completions", chat("mock-s3")),
        ("completions", post("/v1/completions", &ask("mock-s3"))),
    ] {
        let mut seen = asked("mock-s3", call, &json!({ "model": "other" })).json();
        assert!(is_safe(&seen["prompt_filter_results"][0]), "{seen}");
        assert!(is_safe(&seen["choices"][0]), "{seen}");
        seen.as_object_mut()
            .unwrap()
            .remove("prompt_filter_results");
        let choice = seen["choices"][0].as_object_mut().unwrap();
        choice.remove("content_filter_results");
        assert_eq!(seen, openais.json(), "{call}");
    }
    let vectors = asked("mock", "embeddings", &json!({ "input": ["a", "b"] })).json();
    assert_eq!(vectors["data"].as_array().unwrap().len(), 2);
    let path = "/openai/responses?api-version=2024-10-21";
    let answer = post(path, &json!({ "model": "mock", "input": "hi" })).json();
    assert_eq!(answer["object"], "response");
}

#[test]
fn azures_streams_begin_without_a_choice() {
    for (call, deployment) in [
        ("chat/completions", "mock-s12"),
        ("chat/completions", "mock-tools"),
        ("chat/completions", "a%2Fmock-s12"),
        ("completions", "mock-s12"),
    ] {
        let seen = asked(deployment, call, &json!({ "stream": true }));
        assert!(seen.whole && seen.done(), "{seen:?}");
        let events = seen.events();
        let (first, rest) = events.split_first().unwrap();
        assert_eq!(first["choices"], json!([]));
        assert!(is_safe(&first["prompt_filter_results"][0]), "{first}");
        assert!(rest.iter().all(|event| is_safe(&event["choices"][0])));
        if deployment.ends_with("s12") {
            let texts = seen.text();
            assert!(
                (0..12).all(|number| texts.contains(&format!("\"w{number:06} "))),
                "{texts}"
            );
        }
    }
}

#[test]
fn azures_faults_are_openais() {
    let chat = "chat/completions";
    let seen = asked("mock-err-429", chat, &json!({}));
    assert_eq!(
        (seen.status(), seen.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(asked("mock-nonsense", chat, &json!({})).status(), 404);
    assert_eq!(asked("%ff", chat, &json!({})).status(), 400);
    let seen = asked("mock-s6-cut-3", chat, &json!({ "stream": true }));
    assert!(seen.reset && !seen.done());
    assert_eq!(seen.content().matches("w0").count(), 3);
    let seen = asked("mock-s6-errevent", chat, &json!({ "stream": true }));
    assert!(seen.text().contains("mock error inside the stream"));
}
