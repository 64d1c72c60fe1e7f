//! What the mock tells of itself.

use super::*;

#[test]
fn stats_and_requests() {
    let mock = start();
    let sent = request("/v1/chat/completions", &ask("mock"));
    talk(&mock, sent.as_bytes());
    talk(&mock, request("/v1/x", &json!("ü")).as_bytes());
    let stats = get(&mock, "/__mock/stats").json();
    assert_eq!(
        (&stats["requests"], &stats["test_ids"]["t1"]),
        (&json!(2), &json!(2))
    );
    let last = get(&mock, "/__mock/last").json();
    assert_eq!(
        (&last[0]["target"], &last[0]["body"]),
        (&json!("/v1/x"), &json!("\"ü\""))
    );
    assert_eq!(
        get(&mock, "/__mock/last?n=9")
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let first = mock.requests().remove(0);
    let (head, body) = sent.split_at(sent.len() - first.body.len());
    assert_eq!(
        (first.head.as_ref(), first.body.as_ref()),
        (head.as_bytes(), body.as_bytes())
    );
}

#[test]
fn bodies_that_are_no_text() {
    let mock = start();
    talk(
        &mock,
        b"PUT /v1/x HTTP/1.1\r\nconnection: close\r\ncontent-length: 1\r\n\r\n\xff",
    );
    let last = get(&mock, "/__mock/last").json();
    assert_eq!(
        (&last[0]["body"], &last[0]["body_base64"]),
        (&Value::Null, &json!("/w=="))
    );
}

#[test]
fn reset_forgets() {
    let mock = start();
    get(&mock, "/v1/models");
    talk(
        &mock,
        b"POST /__mock/reset HTTP/1.1\r\nconnection: close\r\n\r\n",
    );
    assert_eq!((mock.stats().requests, mock.requests().len()), (0, 0));
    assert_eq!(get(&mock, "/__mock/other").status(), 404);
}

#[test]
fn stops_when_dropped() {
    let mock = start();
    let mut open = TcpStream::connect(mock.addr()).unwrap();
    wait_for(&mock, |stats| stats.open_connections == 1);
    let address = mock.addr();
    drop(mock);
    assert_eq!(open.read(&mut [0]).unwrap(), 0);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_address_in_use_is_an_error() {
    let mock = start();
    assert!(Mock::start(mock.addr()).is_err());
}
