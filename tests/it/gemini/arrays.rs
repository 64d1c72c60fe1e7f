//! Gemini's streams as one array, which no event tells of.

use aiproxy::cli::mock::Mock;

use super::*;

#[test]
fn an_array_passes_piece_by_piece() {
    let (first, rest) = ARRAY.split_at(ARRAY.find(",\r\n").expect("two items"));
    let mut head = ARRAY_HEAD.as_bytes().to_vec();
    head.extend(chunk(first));
    let mut end = chunk(rest);
    end.extend_from_slice(LAST_CHUNK.as_bytes());
    let script = [Step::ReadRequest, Step::Send(head), Step::Send(end)].to_vec();
    let upstream = FakeUpstream::start(vec![script]);
    let gateway = before(&upstream, "");
    let answer = ask(&gateway, ARRAY_PATH, REQUEST);
    assert_eq!(answer.text(), ARRAY);
    assert_eq!(gateway.row().record.outcome, "ok");
}

#[test]
fn f37_f38_arrays_that_end_badly_never_look_complete() {
    let begun = ARRAY.trim_end().trim_end_matches(']');
    for bytes in [begun.len(), 60] {
        let (answer, row) = answered(in_chunks(ARRAY_HEAD, begun, bytes), "", ARRAY_PATH);
        assert!(!answer.complete || answer.status == 502, "by {bytes}");
        let facts = (&*row.outcome, row.response_complete);
        assert_eq!(facts, ("upstream_truncated", Some(false)), "by {bytes}");
    }
    let mut wire = ARRAY_HEAD.as_bytes().to_vec();
    wire.extend(chunk(ARRAY));
    let cut = [Step::ReadRequest, Step::Send(wire), Step::Fin].to_vec();
    let upstream = FakeUpstream::start(vec![cut]);
    let gateway = before(&upstream, "");
    let answer = ask(&gateway, ARRAY_PATH, REQUEST);
    assert!(!answer.complete || answer.status == 502);
    let row = gateway.row().record;
    assert_eq!(row.outcome, "upstream_truncated");
    // Nothing had been sent when the end was seen, or what came before it.
    let payload = row.payload.expect("bodies");
    let stored = payload.response_body.expect("a body");
    assert_eq!(&*stored.bytes, &*answer.body);
}

/// An item that tells an error, as Google writes it.
const ERROR_ITEM: &str = "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"Overloaded\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}";

#[track_caller]
fn is_error(row: &LogRecord) {
    let facts = (&*row.outcome, row.status_code, row.response_complete);
    assert_eq!(facts, ("upstream_error", 200, Some(false)));
    let told = (row.error_type.as_deref(), row.error_message.as_deref());
    assert_eq!(told, (Some("UNAVAILABLE"), Some("Overloaded")));
    let code = row.error_code.as_deref();
    assert_eq!((code, row.upstream_status), (Some("503"), Some(200)));
}

#[test]
fn f44_an_error_among_the_items() {
    let begun = ARRAY.trim_end().trim_end_matches(']').trim_end();
    let looks_at_all = "filters: [{ kind: block_patterns, words: [nothing], on: [response] }]";
    for array in [
        format!("{begun},\r\n{ERROR_ITEM}\n]\n"),
        format!("[{ERROR_ITEM}\n]\n"),
    ] {
        for bytes in [1, 50, array.len()] {
            let wire = in_chunks(ARRAY_HEAD, &array, bytes);
            let (answer, row) = answered(wire, "", ARRAY_PATH);
            assert_eq!((answer.status, answer.text()), (200, &*array), "by {bytes}");
            assert!(answer.complete);
            is_error(&row);
        }
        for yaml in ["", looks_at_all] {
            let (answer, row) = answered(json_answer(200, "", &array), yaml, ARRAY_PATH);
            assert_eq!((answer.status, answer.text()), (200, &*array), "{yaml}");
            is_error(&row);
        }
    }
}

#[test]
fn what_merely_speaks_of_an_error_is_none() {
    let call = r#"[{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"error":{"code":503}}}}]},"finishReason":"STOP"}],"error":null}]"#;
    let (answer, row) = answered(json_answer(200, "", call), "", ARRAY_PATH);
    assert_eq!(answer.text(), call);
    assert_eq!((&*row.outcome, row.response_complete), ("ok", Some(true)));
}

#[test]
fn f44_the_mocks_array_is_told_like_its_events() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock");
    let gateway = at(&format!("http://{}", mock.addr()), "");
    for query in ["", "?alt=sse"] {
        let path = format!("/v1beta/models/mock-s6-errevent:streamGenerateContent{query}");
        assert_eq!(ask(&gateway, &path, REQUEST).status, 200, "{path}");
    }
    for row in gateway.rows() {
        assert_eq!(row.record.outcome, "upstream_error");
        assert_eq!(row.record.response_complete, Some(false));
    }
}
