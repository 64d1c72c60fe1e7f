use super::*;

#[test]
fn answers_of_every_family_are_read() {
    for (body, text, calls) in [
        (r#"{"response":"Hällo"}"#, Some("Hällo"), None),
        (r#"{"response":""}"#, None, None),
        (r#"{"response":null}"#, None, None),
        (
            r#"{"response":{"content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}}"#,
            None,
            Some(r#"[{"id":"c","function":{"name":"f","arguments":"{}"}}]"#),
        ),
        (
            r#"{"response":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"tool_calls":[]}}"#,
            Some("ab"),
            None,
        ),
        // In the row they are OpenAI's.
        (
            r#"{"response":{"content":"a","tool_calls":[{"id":"t","input":{"a":1},"name":"f","type":"tool_use"}]}}"#,
            Some("a"),
            Some(
                r#"[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]"#,
            ),
        ),
        (
            r#"{"response":{"content":"","tool_calls":[{"id":null,"args":{},"name":"f"},{"name":"g"},7]}}"#,
            None,
            Some(
                r#"[{"id":null,"type":"function","function":{"name":"f","arguments":"{}"}},{"id":null,"type":"function","function":{"name":"g","arguments":"{}"}},7]"#,
            ),
        ),
        ("plain text", Some("plain text"), None),
        (r#"{"a":1}"#, Some(r#"{"a":1}"#), None),
        ("", None, None),
    ] {
        let read = decode_whole(body);
        let got = (read.text.as_deref(), read.tool_calls.as_deref());
        assert_eq!(got, (text, calls), "{body}");
        assert_eq!((read.usage, read.finish_reason), (None, None), "{body}");
    }
    assert_eq!(
        decode_stream(b"caf\xc3\xa9 \xc3").text.as_deref(),
        Some("café ")
    );
}

#[test]
fn the_notice_is_known_as_soon_as_it_can_be() {
    for (text, expected) in [
        ("AUTHENTICATION NOTICE FROM ARGO: who are you?", Notice::Is),
        ("\n*** AUTHENTICATION NOTICE FROM ARGO ***", Notice::Is),
        ("", Notice::MayBecome),
        ("**", Notice::MayBecome),
        ("AUTHENTICATION NO", Notice::MayBecome),
        ("AUTHENTICATION of users", Notice::IsNot),
        ("Hello", Notice::IsNot),
        ("It said AUTHENTICATION NOTICE FROM ARGO", Notice::IsNot),
    ] {
        assert_eq!(Notice::of(text), expected, "{text}");
    }
    let ruled = "-".repeat(1_000);
    assert_eq!(Notice::of(&ruled), Notice::IsNot);
}

#[test]
fn errors_say_what_they_say() {
    let (long, told) = ("é".repeat(5_000), "é".repeat(2_000));
    for (body, message) in [
        (r#"{"error":{"message":"no"}}"#, "no"),
        (r#"{"error":"no"}"#, "no"),
        (
            r#"{"object":"error","message":"no","type":"upstream_error"}"#,
            "no",
        ),
        (" Invalid user \n", "Invalid user"),
        (&*long, &*told),
        ("<html>502 Bad Gateway</html>", ""),
        ("{}", ""),
        ("", ""),
    ] {
        assert_eq!(error(body.as_bytes()).message, message, "{body}");
    }
}

#[test]
fn prompts_of_both_inputs_are_counted() {
    let texts = |body: &str| {
        let pieces = prompt_pieces(body);
        (
            pieces.texts.join("|"),
            pieces.messages,
            pieces.odd,
            pieces.broken,
        )
    };
    let messages = r#"{"messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]}]}"#;
    assert_eq!(texts(messages), ("a|b".to_owned(), 2, false, false));
    let prompt = r#"{"system":"a","prompt":["b","c"]}"#;
    assert_eq!(texts(prompt), ("a|b|c".to_owned(), 0, false, false));
    let tools = r#"{"messages":[],"tools":[{"name":"f"}]}"#;
    assert_eq!(
        texts(tools),
        (r#"[{"name":"f"}]"#.to_owned(), 0, true, false)
    );
    assert!(texts("{").3);
}

#[test]
fn lists_of_both_generations_are_read() {
    let old = r#"[{"id":"gpt35","model_name":"GPT-3.5 Turbo"},{"id":"gpt35","model_name":"GPT-3.5 Turbo"}]"#;
    let new = r#"{"data":[{"id":"GPT-4o","internal_id":"gpt4o","created":5,"owned_by":"openai"},{"x":1}]}"#;
    let others = r#"[{"id":"gpto3mini","model_name":"o3-mini"},{"id":"Claude Opus 4.1","internal_id":"claudeopus41"}]"#;
    let ids = |list: &str| -> Vec<(String, Option<String>, Option<i64>)> {
        let listed = models(list.as_bytes()).expect("a list");
        listed
            .into_iter()
            .map(|model| (model.id, model.internal_name, model.created_s))
            .collect()
    };
    let of =
        |id: &str, internal: &str, created| (id.to_owned(), Some(internal.to_owned()), created);
    assert_eq!(ids(old), [of("argo:gpt-3.5-turbo", "gpt35", None)]);
    assert_eq!(ids(new), [of("argo:gpt-4o", "gpt4o", Some(5))]);
    let expected = [
        of("argo:o3-mini", "gpto3mini", None),
        of("argo:gpt-o3-mini", "gpto3mini", None),
        of("argo:claude-opus-4.1", "claudeopus41", None),
        of("argo:claude-4.1-opus", "claudeopus41", None),
    ];
    assert_eq!(ids(others), expected);
    for wrong in ["", "{}", "<html>", "null"] {
        assert!(models(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let odd = r#"[7, null, "gpt4o", {"id":""}, {"id":7}, {"id":7,"model_name":"GPT-4o"}]"#;
    assert_eq!(ids(odd), [("argo:gpt-4o".to_owned(), None, None)]);
}
