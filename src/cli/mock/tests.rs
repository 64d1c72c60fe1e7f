//! The mock on the wire, seen by a client that knows nothing but sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::{Value, json};

use super::*;

mod api;
mod azure;
mod faults;
mod generate_content;
mod messages;
mod others;
mod own_paths;
mod streams;

fn start() -> MockHandle {
    Mock::start("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// An answer: its head, its body without framing, and how the connection ended.
#[derive(Debug)]
struct Seen {
    head: String,
    body: Vec<u8>,
    /// The body, each HTTP chunk apart.
    chunks: Vec<Vec<u8>>,
    /// The chunked body has its last chunk, or the body its stated length.
    whole: bool,
    reset: bool,
}

impl Seen {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The JSON of each `data:` line.
    fn events(&self) -> Vec<Value> {
        let data = self
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]")
            .map(|d| serde_json::from_str(d).unwrap())
            .collect()
    }

    /// Content deltas of a chat stream, joined.
    fn content(&self) -> String {
        let events = self.events();
        let deltas = events
            .iter()
            .map(|event| &event["choices"][0]["delta"]["content"]);
        deltas.filter_map(Value::as_str).collect()
    }

    fn done(&self) -> bool {
        self.text().ends_with("data: [DONE]\n\n")
    }
}

/// Sends raw bytes and reads to the end of the connection.
fn talk(mock: &MockHandle, bytes: &[u8]) -> Seen {
    let mut stream = TcpStream::connect(mock.addr()).unwrap();
    stream.write_all(bytes).unwrap();
    read(&mut stream)
}

fn read(stream: &mut TcpStream) -> Seen {
    let mut raw = Vec::new();
    let reset = match stream.read_to_end(&mut raw) {
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    let end = memchr::memmem::find(&raw, b"\r\n\r\n").map_or(raw.len(), |end| end + 4);
    let head = String::from_utf8(raw[..end].to_vec()).unwrap();
    let rest = &raw[end..];
    if !head.contains("transfer-encoding: chunked") {
        let whole = head.contains(&format!("content-length: {}\r\n", rest.len()));
        return Seen {
            head,
            body: rest.to_vec(),
            chunks: Vec::new(),
            whole,
            reset,
        };
    }
    let (chunks, whole) = unchunk(rest);
    Seen {
        head,
        body: chunks.concat(),
        chunks,
        whole,
        reset,
    }
}

fn unchunk(mut rest: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut chunks = Vec::new();
    while let Ok(httparse::Status::Complete((used, size))) = httparse::parse_chunk_size(rest) {
        let size = usize::try_from(size).unwrap();
        if size == 0 {
            return (chunks, &rest[used..] == b"\r\n");
        }
        if rest.len() < used + size + 2 {
            break;
        }
        chunks.push(rest[used..used + size].to_vec());
        rest = &rest[used + size + 2..];
    }
    (chunks, false)
}

fn request(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: mock\r\nauthorization: Bearer sk-1\r\nx-test-id: t1\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    )
}

fn post(path: &str, body: &Value) -> Seen {
    talk(&start(), request(path, body).as_bytes())
}

fn get(mock: &MockHandle, path: &str) -> Seen {
    talk(
        mock,
        format!("GET {path} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n\r\n").as_bytes(),
    )
}

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

fn chat(model: &str) -> Seen {
    post("/v1/chat/completions", &ask(model))
}

fn chat_stream(model: &str) -> Seen {
    let mut body = ask(model);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    post("/v1/chat/completions", &body)
}

/// Waits until the counts fit; a count changes within moments of what is seen on the wire.
#[track_caller]
fn wait_for(mock: &MockHandle, what: impl Fn(&Stats) -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !what(&mock.stats()) {
        assert!(std::time::Instant::now() < deadline, "{:?}", mock.stats());
        std::thread::yield_now();
    }
}
