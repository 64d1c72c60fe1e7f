//! The load: every client asks one question after the other, each with an id of its own, and knows of each answer
//! whether it came whole. Whoever sees what the next kill waits for, kills.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Condvar, Mutex};

use sha2::{Digest, Sha256};

use super::PATIENCE;
use crate::support::gateway::chat_body;
use crate::support::process::Proxy;
use crate::support::raw_client::{RawClient, RawResponse};

/// What is asked, in turns: model and further keys of the body. Small streams most of all: their ends are what
/// matters.
const QUESTIONS: [(&str, &str); 8] = [
    ("mock-s3", r#","stream":true"#),
    ("mock", ""),
    ("mock-s3", r#","stream":true"#),
    ("mock-tools", r#","stream":true"#),
    ("mock-s3", r#","stream":true"#),
    ("mock-tools", ""),
    ("mock-s12-d2", r#","stream":true"#),
    ("mock-err-429", ""),
];

/// What a kill waits for.
pub(super) enum When {
    /// So many answers that came whole.
    EndsSeen(u64),
    /// So many reads of any client.
    Reads(u64),
}

/// One question.
pub(super) struct Asked {
    pub(super) id: String,
    /// The answer, when it came whole.
    pub(super) seen: Option<Seen>,
}

/// An answer that came whole.
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) body_sha256: String,
}

#[derive(Default)]
pub(super) struct Load {
    proxy: Mutex<Option<Proxy>>,
    /// Told of every new proxy, and of every end of one.
    changed: Condvar,
    ends_left: AtomicI64,
    reads_left: AtomicI64,
    stopped: AtomicBool,
}

impl Load {
    /// Serves the clients with a proxy until one of them has killed it.
    pub(super) fn until_killed(&self, proxy: Proxy, when: When) {
        let (ends, reads) = match when {
            When::EndsSeen(ends) => (ends as i64, i64::MAX),
            When::Reads(reads) => (i64::MAX, reads as i64),
        };
        self.ends_left.store(ends, Ordering::SeqCst);
        self.reads_left.store(reads, Ordering::SeqCst);
        let mut current = self.proxy.lock().expect("no holder panics");
        *current = Some(proxy);
        self.changed.notify_all();
        let (_current, late) = self
            .changed
            .wait_timeout_while(current, PATIENCE * 3, |proxy| proxy.is_some())
            .expect("no holder panics");
        assert!(!late.timed_out(), "the load does not move");
    }

    /// No further questions.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// One client; gives what it asked.
    pub(super) fn run(&self, client: usize) -> Vec<Asked> {
        let mut asked = Vec::new();
        while let Some(address) = self.wait_for_proxy() {
            let Ok(mut connection) = RawClient::try_connect(address) else {
                continue;
            };
            loop {
                let number = asked.len();
                let id = format!("kill-{client}-{number}");
                let (model, more) = QUESTIONS[(number + client) % QUESTIONS.len()];
                let request = request(&id, &chat_body(model, more));
                // What was sent only in part may have come whole all the same: it counts as asked.
                let sent = connection.try_send(request).is_ok();
                let answer = sent
                    .then(|| connection.read_whole_response(|| self.count_down(&self.reads_left)));
                let answer = answer.flatten().filter(|answer| is_whole(answer, more));
                if answer.is_some() {
                    self.count_down(&self.ends_left);
                }
                let goes_on = answer.is_some();
                asked.push(Asked {
                    id,
                    seen: answer.map(|answer| Seen::of(&answer)),
                });
                if !goes_on {
                    break;
                }
            }
        }
        asked
    }

    /// The address of the proxy that serves, as soon as there is one; `None` at the end.
    fn wait_for_proxy(&self) -> Option<SocketAddr> {
        let mut current = self.proxy.lock().expect("no holder panics");
        loop {
            if let Some(proxy) = &*current {
                return Some(proxy.data);
            }
            if self.stopped.load(Ordering::SeqCst) {
                return None;
            }
            let waited = self.changed.wait_timeout(current, PATIENCE);
            current = waited.expect("no holder panics").0;
        }
    }

    /// Kills at zero, by the client that saw it.
    fn count_down(&self, left: &AtomicI64) {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let mut current = self.proxy.lock().expect("no holder panics");
            if let Some(mut proxy) = current.take() {
                proxy.program.kill();
            }
            self.changed.notify_all();
        }
    }
}

impl Seen {
    fn of(answer: &RawResponse) -> Self {
        use std::fmt::Write as _;
        let mut body_sha256 = String::new();
        for byte in Sha256::digest(&answer.body) {
            write!(body_sha256, "{byte:02x}").expect("text");
        }
        Self {
            status: answer.status,
            body_sha256,
        }
    }
}

/// Whether a client's parser takes the answer for a whole one.
fn is_whole(answer: &RawResponse, more: &str) -> bool {
    let is_stream = answer.status == 200 && more.contains("stream");
    answer.complete && (!is_stream || answer.body.ends_with(b"data: [DONE]\n\n"))
}

fn request(id: &str, body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\nx-test-id: {id}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
