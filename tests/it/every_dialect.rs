//! What must hold for every client before every provider that it can reach, as it is or by translation.

mod births;
mod encodings;
mod pair;
mod streams;

use self::pair::{Seen, every_pair};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::PROVIDER_KEY;
use crate::support::wire::json;

#[test]
fn every_pair_is_answered() {
    every_pair(|pair| {
        let whole = pair.kind.whole(&pair.client);
        pair.answered(json(200, "", whole), false).is_answer();
        let stream = pair.kind.stream(&pair.client);
        pair.answered(stream, true).is_answer();
    });
}

#[test]
fn f27_nobody_is_sent_elsewhere() {
    every_pair(|pair| {
        let target = FakeUpstream::answering(json(200, "", "{}"));
        let location = format!("location: http://{}/\r\n", target.addr());
        let answers = [(301, false), (302, true), (307, false), (308, true)];
        let answers = answers.map(|(status, streams)| (json(status, &location, "{}"), streams));
        for seen in pair.each_answered(answers.into()) {
            seen.is_error(502, "upstream_redirect", "upstream_error");
            assert!(seen.answer.header("location").is_none());
        }
        assert_eq!(target.connections(), 0);
    });
}

#[test]
fn f29_a_refusal_of_our_key_is_ours() {
    every_pair(|pair| {
        let body = format!(r#"{{"error":{{"message":"no such key {PROVIDER_KEY}"}}}}"#);
        let mut answers = [401, 403]
            .map(|status| (json(status, "", &body), false))
            .to_vec();
        if pair.kind.name == "gemini" {
            // Google's status for it.
            let body = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
            answers.push((json(400, "", body), false));
        }
        let seen = pair.each_answered(answers);
        for (seen, status) in seen.iter().zip([401, 403, 400]) {
            seen.is_error(502, "upstream_auth", "upstream_error");
            assert_eq!(seen.row.upstream_status, Some(status));
        }
    });
}

#[test]
fn f30_what_is_neither_json_nor_events_is_no_answer() {
    every_pair(|pair| {
        let mut answers = Vec::new();
        for content_type in [
            "content-type: text/html\r\n",
            "content-type: text/plain\r\n",
            "",
        ] {
            let page = format!("HTTP/1.1 200 OK\r\n{content_type}content-length: 6\r\n\r\n<html>");
            answers.extend([false, true].map(|streams| (page.clone().into_bytes(), streams)));
        }
        for seen in pair.each_answered(answers) {
            seen.is_error(502, "upstream_bad_content_type", "upstream_error");
            let payload = seen.row.payload.as_ref().expect("bodies");
            let upstream = payload.upstream_response_body.as_ref();
            assert_eq!(&*upstream.expect("a body").bytes, b"<html>");
        }
    });
}

#[test]
fn f45_bytes_behind_the_json_make_it_doubtful() {
    every_pair(|pair| {
        let whole = format!("{} {{}}", pair.kind.whole(&pair.client));
        let seen = pair.answered(json(200, "", &whole), false);
        match pair.is_native() {
            true => {
                let facts = (seen.answer.status, seen.answer.text());
                assert_eq!(facts, (200, &*whole));
                let source = seen.row.usage_source.as_deref();
                assert_ne!(source, Some("upstream"), "{seen:#?}");
            }
            // What cannot be read whole is not translated.
            false => seen.is_error(502, "upstream_protocol", "upstream_error"),
        }
    });
}

#[test]
fn f46_usage_that_cannot_be_is_counted_instead() {
    every_pair(|pair| {
        let wrong = ["-7", "1e18", "\"7\"", "9223372036854775808"];
        let answers = wrong.map(|wrong| {
            let mut whole = pair.kind.whole(&pair.client).to_owned();
            for name in [
                "input_tokens",
                "prompt_tokens",
                "promptTokenCount",
                "inputTokens",
            ] {
                whole = whole.replace(&format!("\"{name}\":7"), &format!("\"{name}\":{wrong}"));
            }
            (json(200, "", &whole), false)
        });
        for seen in pair.each_answered(answers.into()) {
            let facts = (seen.answer.status, &*seen.row.outcome);
            assert_eq!(facts, (200, "ok"), "{seen:#?}");
            let source = seen.row.usage_source.as_deref();
            let is_counted = matches!(source, Some("counted" | "estimated"));
            assert!(is_counted, "{seen:#?}");
            assert!(
                seen.row.prompt_tokens.is_some_and(|tokens| tokens < 100),
                "{seen:#?}"
            );
        }
    });
}

#[test]
fn f47_odd_heads_are_read_and_wrong_ones_are_no_answer() {
    every_pair(|pair| {
        let body = pair.kind.whole(&pair.client);
        let length = body.len();
        let plain = json(200, "", body);
        let interim = [
            b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".as_slice(),
            &plain,
        ];
        let answers = [
            interim.concat(),
            format!("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{body}").into(),
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ncontent-length: 1\r\n\r\n{body}"
            )
            .into(),
            format!("HTTX 200\r\n\r\n{body}").into(),
        ];
        let answers = answers.map(|wire| (wire, false));
        for (at, seen) in pair.each_answered(answers.into()).iter().enumerate() {
            match at {
                0 | 1 => seen.is_answer(),
                _ => seen.is_error(502, "upstream_protocol", "upstream_error"),
            }
        }
    });
}

/// Fields by which other proxies let a client choose where its request, and a provider's key, goes.
#[test]
fn s5_no_field_of_a_body_says_where_it_goes() {
    every_pair(|pair| {
        let sink = FakeUpstream::answering(json(200, "", "{}"));
        let there = format!("http://{}/v1", sink.addr());
        let upstream = FakeUpstream::answering(json(200, "", pair.kind.whole(&pair.client)));
        let gateway = pair.gateway(&upstream);
        let more = format!(
            r#"{{"api_base":"{there}","base_url":"{there}","azure_endpoint":"{there}","api_key":"sk-other-0123456789","custom_llm_provider":"x","extra_headers":{{"authorization":"Bearer sk-other-0123456789"}},"#
        );
        let body = pair.client.body.replacen('{', &more, 1);
        let answer = pair.send(&gateway, false, &body);
        let seen = Seen {
            pair,
            answer,
            row: gateway.row().record,
        };
        // What cannot be carried to another format may be refused; it never moves the request.
        if seen.answer.status == 200 {
            seen.is_answer();
            let sent = String::from_utf8(upstream.received(0)).expect("text");
            let (head, _) = sent.split_once("\r\n\r\n").expect("a head");
            assert!(
                head.contains(PROVIDER_KEY) && !head.contains("sk-other"),
                "{head}"
            );
        } else {
            seen.is_error(400, "unsupported_parameter", "client_error");
        }
        assert_eq!(sink.connections(), 0);
    });
}

/// Whoever checked the one and acted on the other would be deceived.
#[test]
fn s12_two_different_keys_are_refused_before_anything_is_read() {
    every_pair(|pair| {
        let upstream = FakeUpstream::answering(json(200, "", pair.kind.whole(&pair.client)));
        let gateway = pair.gateway(&upstream);
        let send = |headers: &str| pair.send_with(&gateway, false, &pair.body(false), headers);
        let other = "x-api-key: sk-one-0123456789\r\n";
        for second in ["authorization: Bearer ", "api-key: ", "x-goog-api-key: "] {
            let headers = format!("{other}{second}sk-two-0123456789\r\n");
            let seen = Seen {
                pair,
                answer: send(&headers),
                row: gateway.rows().pop().expect("a row").record,
            };
            seen.is_error(400, "conflicting_credentials", "client_error");
        }
        assert_eq!(upstream.connections(), 0);
        let same = format!("{other}authorization: Bearer sk-one-0123456789\r\n");
        assert_eq!(send(&same).status, 200, "{pair:?}");
    });
}

/// Whichever way a client shows its key, it is masked, and stays here where the provider's is ours.
#[test]
fn s12_a_clients_key_is_one_wherever_it_stands() {
    const THEIRS: &str = "sk-theirs-0123456789abcdef";
    every_pair(|pair| {
        let closes = "connection: close\r\n";
        let whole = json(200, closes, pair.kind.whole(&pair.client));
        let upstream = FakeUpstream::answering(whole);
        let gateway = pair.gateway(&upstream);
        for name in [
            "authorization",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "cookie",
        ] {
            let value = match name {
                "authorization" => format!("Bearer {THEIRS}"),
                "cookie" => format!("key={THEIRS}"),
                _ => THEIRS.to_owned(),
            };
            let header = format!("{name}: {value}\r\n");
            let body = pair.body(false);
            let answer = pair.send_with(&gateway, false, &body, &header);
            assert_eq!(answer.status, 200, "{name}: {pair:?}: {}", answer.text());
        }
        let connections = 0..upstream.connections();
        let sent: Vec<Vec<u8>> = connections.map(|at| upstream.received(at)).collect();
        let sent = String::from_utf8(sent.concat()).expect("text");
        assert_eq!(sent.matches(PROVIDER_KEY).count(), 5, "{sent}");
        assert!(!sent.contains(THEIRS), "{sent}");
        let rows = format!("{:?}", gateway.rows());
        assert!(
            !rows.contains(THEIRS) && !rows.contains(PROVIDER_KEY),
            "{rows}"
        );
    });
}
