//! The one call that an answer could make before there were tools is a call like others, whole and streamed.

use serde_json::{Value, json};

use super::answers::{CLIENTS, chat, shaped, streamed, whole};
use super::said_in;
use crate::wire::translate::{ClientFormat, Format, TranslateError};
use crate::wire::{Decoded, decode_whole};

const PATH: &str = "choices[0].message.function_call";

/// The name, the input and the reason.
fn called(calls: &Value, reason: Option<&str>) -> (Value, Value, Option<String>) {
    let function = &calls[0]["function"];
    let input = match function["arguments"].as_str() {
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
        None => function["arguments"].clone(),
    };
    (function["name"].clone(), input, reason.map(str::to_owned))
}

#[test]
fn it_is_carried() {
    let call = |arguments: &str| json!({ "name": "f", "arguments": arguments });
    let more = |arguments: &str| json!({ "function_call": { "arguments": arguments } });
    let input = json!({ "n": 1 });
    for (arguments, deltas, reason, expected) in [
        (
            "{\"n\":1}",
            vec![
                json!({ "content": null, "function_call": call("") }),
                more("{\"n\""),
                more(":1}"),
            ],
            "function_call",
            &input,
        ),
        (
            "{\"n\":1}",
            vec![json!({ "function_call": call("{\"n\":1}") })],
            "stop",
            &input,
        ),
        (
            "",
            vec![json!({ "function_call": call("") })],
            "function_call",
            &json!({}),
        ),
    ] {
        let message = json!({ "content": null, "function_call": call(arguments) });
        let (body, events) = chat(&json!({ "message": message }), &deltas, reason);
        for (to, endpoint) in CLIENTS {
            let [(answered, dropped), _] = whole(Format::OpenaiChat, to, &body).unwrap();
            let Decoded {
                tool_calls,
                finish_reason,
                ..
            } = decode_whole(endpoint, &answered);
            let calls: Value = serde_json::from_str(&tool_calls.unwrap()).unwrap();
            let (made, left_out) = streamed(Format::OpenaiChat, to, &events).unwrap();
            let (_, again, reason) = said_in(endpoint, &shaped(endpoint, &made));
            let expected = (json!("f"), expected.clone(), Some("tool_calls".to_owned()));
            assert_eq!(called(&calls, finish_reason.as_deref()), expected, "{to:?}");
            assert_eq!(
                called(&again.unwrap(), reason.as_deref()),
                expected,
                "{to:?}"
            );
            for made in [&answered, &made] {
                let made = String::from_utf8_lossy(made);
                assert!(made.contains("\"call_id1_0\""), "{to:?}: {made}");
            }
            assert_eq!((dropped, left_out), (Vec::new(), Vec::new()), "{to:?}");
        }
    }
}

#[test]
fn it_may_be_cut() {
    let call = json!({ "name": "f", "arguments": "{\"n\":" });
    let message = json!({ "content": "Look:", "function_call": call });
    let (body, events) = chat(
        &json!({ "message": message }),
        std::slice::from_ref(&message),
        "length",
    );
    let path = format!("{PATH}.arguments");
    let [(_, dropped), _] = whole(Format::OpenaiChat, ClientFormat::Gemini, &body).unwrap();
    assert_eq!(dropped, [&*path]);
    let (_, dropped) = streamed(Format::OpenaiChat, ClientFormat::Gemini, &events).unwrap();
    assert_eq!(dropped, [&*path]);
    let (body, _) = chat(&json!({ "message": message }), &[], "stop");
    let error = whole(Format::OpenaiChat, ClientFormat::Anthropic, &body).unwrap_err();
    assert!(matches!(error, TranslateError::Invalid { field, .. } if field == path));
}

#[test]
fn it_needs_a_name_and_stands_alone() {
    let nameless = json!({ "function_call": { "arguments": "{}" } });
    let (body, events) = chat(
        &json!({ "message": nameless }),
        std::slice::from_ref(&nameless),
        "stop",
    );
    for (to, _) in CLIENTS {
        let of_whole = whole(Format::OpenaiChat, to, &body).unwrap_err();
        let of_stream = streamed(Format::OpenaiChat, to, &events).unwrap_err();
        let expected = format!("{PATH}.name");
        assert!(matches!(&of_whole, TranslateError::Invalid { field, .. } if *field == expected));
        assert_eq!(of_whole, of_stream, "{to:?}");
    }
    // Beside calls of tools it says the same once more.
    let function = json!({ "name": "f", "arguments": "{}" });
    let both = json!({ "function_call": function, "tool_calls": [{ "index": 0, "id": "a", "function": function }] });
    let (body, events) = chat(
        &json!({ "message": both }),
        std::slice::from_ref(&both),
        "tool_calls",
    );
    for (to, endpoint) in CLIENTS {
        let [(answered, dropped), _] = whole(Format::OpenaiChat, to, &body).unwrap();
        let (made, left_out) = streamed(Format::OpenaiChat, to, &events).unwrap();
        let calls = decode_whole(endpoint, &answered).tool_calls.unwrap();
        let calls: Value = serde_json::from_str(&calls).unwrap();
        let (_, again, _) = said_in(endpoint, &shaped(endpoint, &made));
        let counts = [calls, again.unwrap()].map(|calls| calls.as_array().map(Vec::len));
        assert_eq!(counts, [Some(1), Some(1)], "{to:?}");
        assert_eq!(
            (&*dropped, &*left_out),
            (&[PATH.to_owned()][..], &[PATH.to_owned()][..])
        );
    }
}
