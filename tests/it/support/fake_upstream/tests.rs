use super::*;
use crate::support::raw_client::{PeerEnd, RawClient, exchange, post};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn answers_and_records() {
    let upstream = FakeUpstream::answering(HELLO);
    let sent = post("/v1/x", "{}");
    assert_eq!(exchange(upstream.addr(), &sent).text(), "hello");
    assert_eq!((upstream.connections(), upstream.requests()), (1, 1));
    assert_eq!(
        upstream.base_url(),
        format!("http://{}/v1", upstream.addr())
    );
    assert_eq!(upstream.received(0), sent.as_bytes());
    assert_eq!(upstream.wait_ended(0), Ended::Fin);
}

#[test]
fn one_script_a_connection() {
    let bye = b"HTTP/1.1 503 Bye\r\ncontent-length: 0\r\n\r\n".to_vec();
    let hello = vec![Step::ReadRequest, Step::Send(HELLO.to_vec())];
    let upstream = FakeUpstream::start(vec![vec![Step::ReadRequest, Step::Send(bye)], hello]);
    let statuses = [0; 3].map(|_| exchange(upstream.addr(), post("/", "{}")).status);
    assert_eq!(statuses, [503, 200, 200]);
    upstream.wait_for_connections(3);
}

#[test]
fn splits_waits_and_fires() {
    let (go, sent) = (Signal::new(), Signal::new());
    let upstream = FakeUpstream::start(vec![vec![
        Step::SendSplit(HELLO[..20].to_vec(), 1),
        Step::Fire(sent.clone()),
        Step::Wait(go.clone()),
        Step::Send(HELLO[20..].to_vec()),
    ]]);
    let mut client = RawClient::connect(upstream.addr());
    sent.wait();
    client.read_until(b"200 OK");
    go.fire();
    assert!(client.read_to_end().0.ends_with(b"hello"));
}

#[test]
fn ends_in_both_ways() {
    let upstream = FakeUpstream::start(vec![
        vec![Step::Send(b"x".to_vec()), Step::Fin, Step::ReadToEnd],
        vec![Step::ReadRequest, Step::Rst],
    ]);
    let mut client = RawClient::connect(upstream.addr());
    client.send("after the end");
    upstream.wait_received(0, b"after the end");
    client.half_close();
    assert_eq!(client.read_to_end(), (b"x".to_vec(), PeerEnd::Fin));
    let mut client = RawClient::connect(upstream.addr());
    client.send(post("/", "{}"));
    assert_eq!(client.read_to_end(), (Vec::new(), PeerEnd::Rst));
}

#[test]
fn sees_a_reset() {
    let upstream = FakeUpstream::answering(HELLO);
    let mut client = RawClient::connect(upstream.addr());
    client.send("POST / HT");
    upstream.wait_received(0, b"POST / HT");
    client.reset();
    assert_eq!(
        (upstream.wait_ended(0), upstream.requests()),
        (Ended::Rst, 0)
    );
}

#[test]
fn a_script_that_does_not_read_is_felt() {
    let go = Signal::new();
    let upstream = FakeUpstream::start(vec![vec![Step::Wait(go.clone()), Step::ReadToEnd]]);
    let mut client = RawClient::connect(upstream.addr());
    client.send(vec![b'x'; 64 << 10]);
    assert!(upstream.received(0).is_empty());
    go.fire();
    client.half_close();
    assert_eq!(upstream.wait_ended(0), Ended::Fin);
    assert_eq!(upstream.received(0).len(), 64 << 10);
}
