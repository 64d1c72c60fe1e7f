use proptest::prelude::*;

use super::*;

fn head(body: &str) -> Result<RequestHead<'_>, JsonError> {
    check(body.as_bytes(), MAX_KEYS)
}

#[test]
fn the_head_of_an_ordinary_body() {
    let body = r#" {"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"stream":true,"user":"ann"} "#;
    let head = head(body).unwrap();
    assert_eq!(head.model.as_deref(), Some("gpt-4o"));
    assert_eq!(body.get(head.model_value.unwrap()).unwrap(), "\"gpt-4o\"");
    assert_eq!(
        (head.stream, head.user.as_deref()),
        (Some(true), Some("ann"))
    );
    assert_eq!(
        (
            body.get(head.open - 1..head.open),
            body.get(head.close..=head.close)
        ),
        (Some("{"), Some("}"))
    );
    assert!(!head.is_empty && !head.has_include_usage && head.stream_options.is_none());
}

#[test]
fn values_of_other_kinds_are_none() {
    let head = head(r#"{"model":5,"stream":"yes","user":null,"stream_options":[]}"#).unwrap();
    assert_eq!((head.model, head.stream, head.user), (None, None, None));
    assert_eq!(head.stream_options, Some(55..57));
}

#[track_caller]
fn check_invalid(body: &[u8], offset: usize) {
    match check(body, MAX_KEYS) {
        Err(JsonError::Invalid { offset: found, .. }) => assert_eq!(found, offset, "{body:?}"),
        other => panic!("{body:?}: {other:?}"),
    }
}

#[test]
fn f1_f2_f3_bodies_that_are_refused() {
    check_invalid(b"", 0);
    check_invalid(b"hello", 0);
    check_invalid(b"[]", 0);
    check_invalid(b"\"x\"", 0);
    check_invalid(b"\xef\xbb\xbf{}", 0);
    check_invalid(b"{\"a\":NaN}", 5);
    check_invalid(b"{} {}", 3);
    check_invalid(b"{}x", 2);
    check_invalid(b"{\"a\":1", 6);
    check_invalid(b"{\"a\":\"\xff\"}", 6);
    check_invalid(b"{\"a\":\"\xc3\"}", 6);
}

#[test]
fn f3_f4_oddities_that_pass() {
    for body in [
        r#"{"a":"\ud800"}"#,
        r#"{"a":1e400,"b":0.1,"c":18446744073709551616,"d":-0}"#,
        r#"{"unknown":{"model":1,"stream":2},"x":[{"user":1},{"user":2}]}"#,
        r#"{"a":1,"a":2}"#,
        "\n\t{ }\r\n",
    ] {
        head(body).unwrap();
    }
}

#[test]
fn f1_keys_that_decide_stand_once() {
    for (body, name) in [
        (r#"{"model":"a","model":"b"}"#, "model"),
        (r#"{"model":"a","mod\u0065l":"b"}"#, "model"),
        (r#"{"\u006dodel":"a","model":"b"}"#, "model"),
        (r#"{"model":null,"model":null}"#, "model"),
        (r#"{"stream":true,"x":1,"stream":false}"#, "stream"),
        (r#"{"user":"a","us\u0065r":"a"}"#, "user"),
        (
            r#"{"stream_options":{},"stream_options":null}"#,
            "stream_options",
        ),
        (
            r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
            "include_usage",
        ),
    ] {
        match head(body) {
            Err(JsonError::DuplicateKey { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn f18_f19_depth_and_keys_are_bounded() {
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert_eq!(
        head(&deep),
        Err(JsonError::TooDeep {
            offset: 132,
            limit: 128
        })
    );
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|key| format!("\"k{key}\":{key}")).collect();
        format!("{{\"x\":{{{}}}}}", keys.join(","))
    };
    assert!(head(&keys(10_000)).is_ok());
    assert!(matches!(
        head(&keys(10_001)),
        Err(JsonError::TooManyKeys { limit: 10_000, .. })
    ));
    assert!(matches!(
        check(keys(5).as_bytes(), 4),
        Err(JsonError::TooManyKeys { limit: 4, .. })
    ));
    let messages = format!("{{\"messages\":[{}1]}}", "1,".repeat(100_000));
    assert!(head(&messages).is_ok());
}

#[track_caller]
fn check_asked(body: &str, expected: Option<&str>) {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let asked = ask_for_usage(&bytes, &head(body).unwrap());
    assert_eq!(
        asked
            .as_deref()
            .map(|asked| std::str::from_utf8(asked).unwrap()),
        expected,
        "{body}"
    );
    if let Some(asked) = asked {
        assert!(check(&asked, MAX_KEYS).unwrap().has_include_usage);
    }
}

#[test]
fn usage_is_asked_for_by_splicing() {
    check_asked(
        r#"{"a": 1,"stream":true }"#,
        Some(r#"{"a": 1,"stream":true ,"stream_options":{"include_usage":true}}"#),
    );
    check_asked(
        r#"{"stream":true,"stream_options":null, "a":1e400}"#,
        Some(r#"{"stream":true,"stream_options":{"include_usage":true}, "a":1e400}"#),
    );
    check_asked(
        r#"{"stream":true,"stream_options":{ }}"#,
        Some(r#"{"stream":true,"stream_options":{"include_usage":true }}"#),
    );
    check_asked(
        r#"{"stream":true,"stream_options":{"include_obfuscation":false}}"#,
        Some(
            r#"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
        ),
    );
    check_asked(
        r#"{"stream":true,"stream_options":{"a":1,"include_usage": false,"b":2}}"#,
        Some(r#"{"stream":true,"stream_options":{"a":1,"include_usage": true,"b":2}}"#),
    );
    check_asked(
        r#"{"stream":true,"stream_options":{"include_usage":null}}"#,
        Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
    );
}

#[test]
fn usage_is_not_asked_for_in_vain() {
    check_asked(
        r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        None,
    );
    check_asked(
        r#"{"stream":true,"stream_options":{"include_usage":"true"}}"#,
        None,
    );
    check_asked(r#"{"stream":true,"stream_options":"x"}"#, None);
    check_asked(r#"{"stream":true,"stream_options":[]}"#, None);
    check_asked(r#"{"stream":false}"#, None);
    check_asked(r#"{"stream":1}"#, None);
    check_asked("{}", None);
}

proptest! {
    #[test]
    fn no_bytes_break_the_check(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(head) = check(&bytes, MAX_KEYS) {
            prop_assert!(head.open <= head.close && head.close < bytes.len());
        }
    }

    #[test]
    fn cut_bodies_are_refused(cut in 0usize..86) {
        let body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"\u00e9x"}],"n":1.5e3,"a":null}"#;
        prop_assert!(check(&body[..cut.min(body.len() - 1)], MAX_KEYS).is_err());
    }
}
