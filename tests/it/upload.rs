//! Bodies that flow: uploads, audio, files. Byte for byte, on record, and never held. Over 400 lines: what such bodies
//! cost is measured beside what becomes of them.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, wait_until};
use crate::support::raw_client::{RawClient, RawResponse, exchange, request};
use crate::support::served::Served;
use crate::support::signal::Signal;
use crate::support::wire::json;

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn form(file: &[u8]) -> Vec<u8> {
    let head = "--bound\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n--bound\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a b.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n";
    [head.as_bytes(), file, b"\r\n--bound--\r\n"].concat()
}

const FORM: &str = "content-type: multipart/form-data; boundary=bound\r\n";

/// What the mock has seen and what the row holds is what was sent.
#[track_caller]
fn assert_passed_whole(gateway: &TestGateway, answer: &RawResponse, sent: &[u8]) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = gateway.last_request();
    assert!(
        seen.body == sent,
        "{} bytes came of {}",
        seen.body.len(),
        sent.len()
    );
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!(
        (row.outcome.as_str(), row.request_bytes),
        ("ok", Some(sent.len() as i64))
    );
    let stored = row
        .payload
        .and_then(|payload| payload.request_body)
        .expect("a body");
    assert!(sent.starts_with(&stored.bytes));
    assert_eq!(
        (stored.size, stored.sha256),
        (sent.len() as i64, hex_sha256(sent))
    );
    // The mock's answer on paths of no API repeats the provider's key.
    let is_echo = memchr::memmem::find(&answer.body, PROVIDER_KEY.as_bytes()).is_some();
    let whole = stored.bytes.len() == sent.len();
    let state = match (is_echo, whole) {
        (true, _) => "redacted",
        (false, true) => "stored",
        (false, false) => "truncated",
    };
    assert_eq!(row.body_state, state);
}

#[test]
fn uploads_pass_byte_for_byte() {
    let gateway = TestGateway::start();
    let every_byte: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for file in [
        every_byte.as_slice(),
        b"",
        b"\r\n--boun",
        &every_byte.repeat(30),
    ] {
        let body = form(file);
        let answer = exchange(gateway.data, request("POST", "/v1/files", FORM, &body));
        assert_passed_whole(&gateway, &answer, &body);
        let seen = gateway.last_request();
        assert_eq!(
            seen.header("content-type"),
            Some("multipart/form-data; boundary=bound")
        );
        assert_eq!(
            seen.header("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
}

#[test]
fn chunked_uploads_stay_chunked() {
    let gateway = TestGateway::start();
    let body = form(&[7; 100_000]);
    let head =
        format!("POST /v1/files HTTP/1.1\r\nHost: x\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n");
    let chunks = body
        .chunks(7_000)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    let sent: Vec<u8> = head
        .into_bytes()
        .into_iter()
        .chain(chunks)
        .chain(*b"0\r\n\r\n")
        .collect();
    let answer = exchange(gateway.data, sent);
    assert_passed_whole(&gateway, &answer, &body);
    let seen = gateway.last_request();
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen.header("content-length"), None);
}

#[test]
fn uploads_longer_than_what_is_stored_are_measured_whole() {
    for (log, most) in [
        ("upload_max_bytes: 300000", 300_000),
        ("body_max_bytes: 100000", 100_000),
        ("bodies: full", 262_144),
    ] {
        let gateway =
            TestGateway::configured(&format!("log: {{ spool_dir: \"$DIR/spool\", {log} }}"));
        for length in [most - 1_000, most, 1_000_000] {
            let body = form(&vec![9; length]);
            let answer = exchange(gateway.data, request("POST", "/v1/files", FORM, &body));
            assert_passed_whole(&gateway, &answer, &body);
            let payload = gateway.rows().pop().expect("a row").record.payload;
            let stored = payload.and_then(|payload| payload.request_body);
            assert_eq!(stored.expect("a body").bytes.len(), most.min(body.len()));
        }
    }
}

#[test]
fn flowing_bodies_may_be_longer_than_held_ones() {
    let gateway = TestGateway::configured("server: { port: 0, workers: 1, max_body_bytes: 1000 }");
    let body = form(&[1; 50_000]);
    let answer = exchange(gateway.data, request("POST", "/v1/files", FORM, &body));
    assert_passed_whole(&gateway, &answer, &body);
}

#[test]
fn binary_answers_pass_byte_for_byte() {
    let gateway = TestGateway::start();
    let answer = gateway.post("/v1/audio/speech", r#"{"model":"mock-b200k","input":"x"}"#);
    assert_eq!(answer.status, 200);
    assert!(std::str::from_utf8(&answer.body).is_err(), "binary");
    let row = gateway.row().record;
    assert_eq!(row.response_bytes, Some(answer.body.len() as i64));
    let stored = row
        .payload
        .and_then(|payload| payload.response_body)
        .expect("a body");
    assert_eq!(
        (stored.bytes, stored.sha256),
        (answer.body.clone().into(), hex_sha256(&answer.body))
    );
}

#[test]
fn clients_that_wait_for_a_word_get_it() {
    let gateway = TestGateway::start();
    for (path, content_type) in [
        ("/v1/files", FORM),
        ("/v1/threads", "content-type: application/json\r\n"),
    ] {
        let body = form(b"x");
        let mut client: RawClient = gateway.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{content_type}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        assert_eq!(client.read_response().status, 100);
        client.send(&body);
        let answer = client.read_response();
        assert_passed_whole(&gateway, &answer, &body);
    }
}

#[test]
fn uploads_whose_client_leaves_are_not_completed_upstream() {
    let gateway = TestGateway::start();
    for leave in [RawClient::reset as fn(RawClient), drop] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST /v1/files HTTP/1.1\r\nHost: x\r\n{FORM}Content-Length: 1000\r\n\r\n--bound"
        ));
        wait_until("it is begun", || {
            gateway.mock().stats().open_connections == 1
        });
        leave(client);
        let row = gateway.rows().pop().expect("a row").record;
        assert_eq!(
            (row.outcome.as_str(), row.status_code),
            ("client_disconnected", 499)
        );
        assert_eq!((row.request_bytes, row.attempts), (Some(7), 1));
        wait_until("it is over", || {
            gateway.mock().stats().open_connections == 0
        });
    }
    assert_eq!(gateway.mock().stats().requests, 0);
}

#[test]
fn an_upload_that_keeps_coming_may_take_longer_than_the_limit() {
    let gateway = TestGateway::configured("server: { port: 0, workers: 1, body_total_s: 0.2 }");
    let body = form(&vec![7; 512 << 10]);
    let mut client = gateway.connect();
    let began = std::time::Instant::now();
    client.send_slowly(request("POST", "/v1/files", FORM, &body), 16 << 10, || {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    });
    let answer = client.read_response();
    assert!(0.5 < began.elapsed().as_secs_f64(), "it took its time");
    assert_passed_whole(&gateway, &answer, &body);
}

#[test]
fn time_that_the_upstream_takes_does_not_count_as_the_client_s() {
    let wait = std::time::Duration::from_secs(2);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(format!("http://{}/v1", sink_after(wait))),
        yaml: "server: { port: 0, workers: 1, body_total_s: 1 }".to_owned(),
        ..Wanted::default()
    });
    let began = std::time::Instant::now();
    let body = vec![b'x'; 32 << 20]; // more than the sockets on the way hold
    let answer = exchange(gateway.data, request("POST", "/v1/files", FORM, &body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(wait < began.elapsed(), "the upstream took its time");
}

/// Reads a request of any length without keeping it, answers, and goes on to the next connection.
fn sink() -> std::net::SocketAddr {
    sink_after(std::time::Duration::ZERO)
}

/// A sink that reads nothing for a while.
fn sink_after(wait: std::time::Duration) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                std::thread::park_timeout(wait);
                drop(swallow(&mut stream));
            });
        }
    });
    address
}

fn swallow(stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let mut buffer = vec![0; 64 << 10];
    let (mut head, mut read) = (Vec::new(), 0);
    let head_length = loop {
        let count = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..count]);
        read += count;
        if let Some(at) = memchr::memmem::find(&head, b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text =
        String::from_utf8(head[..head_length].to_ascii_lowercase()).expect("a head of UTF-8");
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").trim().parse().expect("a number");
    while read < head_length + length {
        read += stream.read(&mut buffer)?;
    }
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    )
}

#[test]
fn a_long_json_body_stands_whole_in_its_row() {
    for log in ["", ", durability: memory"] {
        let gateway =
            TestGateway::configured(&format!("log: {{ spool_dir: \"$DIR/spool\"{log} }}"));
        for length in [200_000, 262_000, 263_000, 3_000_000] {
            let text = "7 ".repeat(length / 2);
            let body =
                format!(r#"{{"model":"mock","messages":[{{"role":"user","content":"{text}"}}]}}"#);
            let head = "Content-Type: application/json\r\n";
            let body = body.into_bytes();
            let sent = request("POST", "/v1/chat/completions", head, &body);
            let answer = exchange(gateway.data, sent);
            assert_passed_whole(&gateway, &answer, &body);
        }
    }
}

/// How often a value is in memory while SQLite stores it: ours, sqlx's argument, SQLite's copy of that, its row.
const STORING: u64 = 4;

/// A long body, to be sent in pieces.
struct Long {
    /// Method, path and headers without the length.
    head: String,
    begin: &'static [u8],
    end: &'static [u8],
    /// Its length in bytes, without `begin` and `end`.
    length: usize,
}

#[test]
fn an_upload_of_64_mb_is_never_held() {
    let upload = Long {
        head: format!("POST /v1/files HTTP/1.1\r\nHost: x\r\n{FORM}"),
        begin: b"",
        end: b"",
        length: 64 << 20,
    };
    upload.check_memory("bodies: metadata", 2 << 20);
    upload.check_memory("bodies: full", 2 << 20);
    upload.check_memory("upload_max_bytes: 8388608", (2 << 20) + STORING * (8 << 20));
}

#[test]
fn a_json_body_of_48_mb_is_held_once() {
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let chat = Long {
        head: head.to_owned(),
        begin: br#"{"model":"gpt-4o","messages":[{"role":"user","content":""#,
        end: br#""}]}"#,
        length: 48 << 20,
    };
    chat.check_memory("bodies: metadata", chat.length as u64 + (2 << 20));
    chat.check_memory("bodies: full", chat.length as u64 + (2 << 20));
}

impl Long {
    fn send(&self, length: usize, to: SocketAddr) {
        let mut client = RawClient::connect(to);
        let whole = self.begin.len() + length + self.end.len();
        client.send(format!("{}Content-Length: {whole}\r\n\r\n", self.head));
        client.send(self.begin);
        let piece = vec![b'7'; 1 << 20];
        (0..length >> 20).for_each(|_| client.send(&piece));
        client.send(self.end);
        assert_eq!(client.read_response().status, 200);
    }

    /// It costs the process at most so many bytes of memory.
    #[track_caller]
    fn check_memory(&self, log: &str, most: u64) {
        let served = Served::start(&format!(
            "server: {{ port: 0, workers: 1 }}\nadmin: {{ port: 0 }}\nlog: {{ {log} }}\n\
             providers: [{{ name: openai, kind: openai, base_url: \"http://{}/v1\" }}]\n",
            sink()
        ));
        let mut stored = 0;
        let mut growth = |length: usize| {
            served.forget_peak();
            let before = served.peak_bytes();
            self.send(length, served.data);
            stored += 1;
            wait_until("the row is there", || {
                let metrics = exchange(served.admin, request("GET", "/metrics", "", b""));
                metrics
                    .text()
                    .contains(&format!("aiproxy_log_stored_total {stored}\n"))
            });
            served.peak_bytes().saturating_sub(before)
        };
        // What is made for the first ones stays: statements, tables, buffers.
        let warm = [4, 4, 4].map(|mb| growth(mb << 20));
        let grown = [self.length; 3].map(growth);
        assert!(
            grown.iter().all(|bytes| *bytes <= most),
            "{grown:?} bytes after {warm:?} with {log}"
        );
    }
}

/// A provider that refuses an upload while it comes is heard, whether it goes on reading, does not, or hangs up.
#[test]
fn a_refusal_before_the_end_of_an_upload_reaches_the_client() {
    const REFUSAL: &str = r#"{"error":{"message":"too large","type":"invalid_request_error"}}"#;
    let refusal = || Step::Send(json(413, "", REFUSAL));
    let ways = [
        vec![refusal(), Step::ReadToEnd],
        vec![refusal(), Step::Wait(Signal::new())],
        vec![refusal()],
    ];
    for steps in ways {
        let holds = steps.iter().find_map(|step| match step {
            Step::Wait(signal) => Some(signal.clone()),
            _ => None,
        });
        let upstream = FakeUpstream::start(vec![steps]);
        let gateway = TestGateway::before(upstream.base_url());
        let body = form(&vec![5; 16 << 20]);
        let answer = exchange(gateway.data, request("POST", "/v1/files", FORM, &body));
        let row = gateway.rows().pop().expect("a row").record;
        if let Some(signal) = holds {
            signal.fire();
        }
        assert_eq!((answer.status, answer.text()), (413, REFUSAL));
        assert_eq!(
            (row.outcome.as_str(), row.status_code, row.upstream_status),
            ("upstream_error", 413, Some(413))
        );
    }
}
