//! Each endpoint, whole.

use super::*;

#[test]
fn plain_answer() {
    let seen = chat("mock");
    assert_eq!(
        (seen.status(), seen.body.len(), seen.whole),
        (200, 670, true)
    );
    let body = seen.json();
    assert_eq!(body["model"], "mock");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["total_tokens"], 31);
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("x-request-id"), Some("req_mock_0000000001"));
}

#[test]
fn every_path_also_without_version() {
    for path in [
        "/chat/completions",
        "/v1/completions",
        "/completions",
        "/v1/responses",
    ] {
        let seen = post(path, &ask("mock"));
        assert_eq!((seen.status(), seen.body.len()), (200, 670), "{path}");
    }
}

#[test]
fn sizes() {
    for (model, size) in [
        ("mock-b2000", 2_000),
        ("mock-b64k", 65_536),
        ("mock-utf8-b900", 900),
    ] {
        assert_eq!(chat(model).body.len(), size, "{model}");
    }
    let big = chat("mock-big-3m");
    assert_eq!((big.body.len(), big.whole), (3 << 20, true));
    assert_eq!(big.header("content-length"), None);
    assert_eq!(
        post("/v1/responses", &ask("mock-big-1m")).json()["object"],
        "response"
    );
}

#[test]
fn contents() {
    let message = |model: &str| chat(model).json()["choices"][0]["message"].clone();
    assert_eq!(
        message("mock-json")["content"],
        r#"{"name":"Ada","age":36}"#
    );
    assert_eq!(message("mock-null")["content"], Value::Null);
    assert_eq!(
        message("mock-refusal")["refusal"],
        "I can't help with that."
    );
    let calls = &message("mock-tools")["tool_calls"];
    assert_eq!(calls[0]["function"]["arguments"], r#"{"city":"Paris"}"#);
    assert_eq!(
        (&calls[1]["id"], calls.as_array().unwrap().len()),
        (&json!("call_mock_1"), 2)
    );
}

#[test]
fn vision_counts_images() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}});
    let body = json!({"model": "mock-vision", "messages": [{"role": "user", "content": [image]}]});
    let seen = post("/v1/chat/completions", &body);
    assert_eq!(
        seen.json()["choices"][0]["message"]["content"],
        "images: 1, url bytes: [24]"
    );
}

#[test]
fn usage_styles() {
    let usage = |model: &str| chat(model).json().get("usage").cloned();
    assert_eq!(usage("mock-usage-none"), None);
    assert_eq!(usage("mock-usage-empty"), Some(json!({})));
    assert_eq!(usage("mock-usage-negative").unwrap()["prompt_tokens"], -5);
    assert_eq!(usage("mock-usage-string").unwrap()["total_tokens"], "31");
    assert_eq!(
        usage("mock-usage-huge").unwrap()["prompt_tokens"],
        1_000_000_000_000_000_000_i64
    );
}

#[test]
fn responses_whole() {
    let body = post(
        "/v1/responses",
        &json!({"model": "mock-tools", "input": "x"}),
    )
    .json();
    assert_eq!(
        (&body["status"], &body["object"]),
        (&json!("completed"), &json!("response"))
    );
    assert_eq!(body["output"][1]["call_id"], "call_mock_1");
    assert_eq!(body["usage"]["input_tokens"], 21);
}

#[test]
fn embeddings() {
    let floats = post(
        "/v1/embeddings",
        &json!({"model": "mock", "input": ["a", "b"]}),
    )
    .json();
    assert_eq!(floats["data"][1]["embedding"].as_array().unwrap().len(), 8);
    let ask = json!({"model": "mock", "input": "a", "encoding_format": "base64", "dimensions": 3});
    let coded = post("/v1/embeddings", &ask).json();
    assert_eq!(coded["data"][0]["embedding"].as_str().unwrap().len(), 16);
    assert_eq!(coded["usage"]["total_tokens"], 3);
}

#[test]
fn models() {
    let mock = start();
    assert_eq!(get(&mock, "/v1/models").json()["data"][0]["id"], "mock");
    assert_eq!(get(&mock, "/models/acme/mock").json()["id"], "acme/mock");
    assert_eq!(
        get(&mock, "/v1/models/acme%2Fmock").json()["id"],
        "acme/mock"
    );
    let head = talk(
        &mock,
        b"HEAD /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n",
    );
    assert_eq!((head.status(), head.body.len()), (200, 0));
}

#[test]
fn speech_is_binary() {
    let seen = post(
        "/v1/audio/speech",
        &json!({"model": "mock-b1000", "input": "x"}),
    );
    assert_eq!(
        (seen.body.len(), seen.header("content-type")),
        (1_000, Some("audio/mpeg"))
    );
    assert!(std::str::from_utf8(&seen.body).is_err());
}

fn upload(path: &str, model: &str) -> Seen {
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--b\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
         Content-Type: audio/wav\r\n\r\nabc\r\n--b--\r\n"
    );
    let request = format!(
        "POST {path} HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{form}",
        form.len(),
    );
    talk(&start(), request.as_bytes())
}

#[test]
fn uploads_are_reported() {
    let seen = upload("/v1/audio/transcriptions", "mock").json();
    assert_eq!(seen["text"], "mock transcript");
    assert_eq!(seen["upload"][1]["bytes"], 3);
    assert!(
        seen["upload"][1]["sha256"]
            .as_str()
            .unwrap()
            .starts_with("ba7816bf")
    );
    assert_eq!(
        upload("/v1/audio/transcriptions", "mock-err-400").status(),
        400
    );
    assert_eq!(upload("/v1/files", "mock").json()["filename"], "a.wav");
    assert_eq!(post("/v1/files", &json!({})).status(), 400);
}

#[test]
fn files() {
    let mock = start();
    assert_eq!(get(&mock, "/v1/files/f-1").json()["id"], "f-1");
    assert_eq!(get(&mock, "/v1/files/f-1/content").body.len(), 4_096);
    assert_eq!(get(&mock, "/v1/files").json()["data"][0]["object"], "file");
    let deleted = talk(
        &mock,
        b"DELETE /v1/files/f-1 HTTP/1.1\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(deleted.json()["deleted"], true);
}

#[test]
fn other_paths_are_echoed() {
    let seen = post("/v1/images/generations?a=1&b=%20", &json!({"x": 1})).json();
    assert_eq!(seen["path"], "/v1/images/generations");
    assert_eq!(
        (&seen["query"], &seen["body_bytes"]),
        (&json!("a=1&b=%20"), &json!(7))
    );
    assert_eq!(seen["headers"]["authorization"], "Bearer sk-1");
}

#[test]
fn wrong_requests() {
    let mock = start();
    let bad =
        "POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: 1\r\n\r\n{";
    assert_eq!(
        talk(&mock, bad.as_bytes()).json()["error"]["code"],
        "invalid_json"
    );
    assert_eq!(
        chat("mock-nonsense").json()["error"]["code"],
        "model_not_found"
    );
    assert_eq!(
        post("/v1/responses", &json!({})).json()["error"]["code"],
        "missing_model"
    );
    for bytes in [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ] {
        assert_eq!(talk(&mock, bytes.as_bytes()).status(), 400, "{bytes}");
    }
    wait_for(&mock, |stats| stats.malformed == 2);
}

#[test]
fn chunked_and_expected_bodies() {
    let mock = start();
    let seen = talk(
        &mock,
        b"POST /v1/x HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
          3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: v\r\n\r\n",
    );
    assert_eq!(seen.json()["body_bytes"], 5);
    let mut stream = TcpStream::connect(mock.addr()).unwrap();
    let head = "POST /v1/x HTTP/1.1\r\nconnection: close\r\nexpect: 100-continue\r\n";
    stream
        .write_all(format!("{head}content-length: 2\r\n\r\n").as_bytes())
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ab").unwrap();
    assert_eq!(read(&mut stream).json()["body_bytes"], 2);
}
