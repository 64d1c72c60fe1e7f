//! Clients and providers in pairs: each client asks in its own words, and each provider answers in its own.

use std::fmt::{self, Debug, Formatter};
use std::sync::Mutex;

use aiproxy::access_log::record::LogRecord;
use aiproxy::filter::Endpoint;
use aiproxy::wire::bedrock::frame_of;
use serde_json::Value;

use crate::support::fake_upstream::{FakeUpstream, Script, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted};
use crate::support::raw_client::RawResponse;
use crate::support::wire::{DONE, FINISH, LAST_CHUNK, TEXT, USAGE, answer_text, chunk, code};

/// A family of clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) name: &'static str,
    /// The path of a whole answer, and of a stream.
    paths: [&'static str; 2],
    /// The body, without what asks for a stream.
    pub(super) body: &'static str,
    /// What asks for a stream, in the body.
    stream: &'static str,
    /// The header with its key.
    key: &'static str,
    /// Its other headers.
    headers: &'static str,
    /// The provider's kind that understands it.
    kind: &'static str,
}

/// A kind of provider and its answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
}

/// A client before a provider.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) client: Client,
    pub(super) kind: Kind,
}

const CLIENTS: &[Client] = &[
    Client {
        name: "chat",
        paths: ["/v1/chat/completions"; 2],
        body: r#"{"model":"m-1","messages":[{"role":"user","content":"Hello?"}]}"#,
        stream: r#"{"stream":true,"#,
        key: "authorization: Bearer sk-client-0123456789\r\n",
        headers: "",
        kind: "openai",
    },
    Client {
        name: "azure",
        paths: ["/openai/deployments/m-1/chat/completions?api-version=2024-10-21"; 2],
        body: r#"{"messages":[{"role":"user","content":"Hello?"}]}"#,
        stream: r#"{"stream":true,"#,
        key: "api-key: sk-client-0123456789\r\n",
        headers: "",
        kind: "openai",
    },
    Client {
        name: "completions",
        paths: ["/v1/completions"; 2],
        body: r#"{"model":"m-1","prompt":"Hello?"}"#,
        stream: r#"{"stream":true,"#,
        key: "authorization: Bearer sk-client-0123456789\r\n",
        headers: "",
        kind: "openai",
    },
    Client {
        name: "responses",
        paths: ["/v1/responses"; 2],
        body: r#"{"model":"m-1","input":"Hello?"}"#,
        stream: r#"{"stream":true,"#,
        key: "authorization: Bearer sk-client-0123456789\r\n",
        headers: "",
        kind: "openai",
    },
    Client {
        name: "messages",
        paths: ["/v1/messages"; 2],
        body: r#"{"model":"m-1","max_tokens":20,"messages":[{"role":"user","content":"Hello?"}]}"#,
        stream: r#"{"stream":true,"#,
        key: "x-api-key: sk-client-0123456789\r\n",
        headers: "anthropic-version: 2023-06-01\r\n",
        kind: "anthropic",
    },
    Client {
        name: "contents",
        paths: [
            "/v1beta/models/m-1:generateContent",
            "/v1beta/models/m-1:streamGenerateContent?alt=sse",
        ],
        body: r#"{"contents":[{"role":"user","parts":[{"text":"Hello?"}]}]}"#,
        stream: "{",
        key: "x-goog-api-key: sk-client-0123456789\r\n",
        headers: "",
        kind: "gemini",
    },
    Client {
        name: "converse",
        paths: ["/model/m-1/converse", "/model/m-1/converse-stream"],
        body: r#"{"messages":[{"role":"user","content":[{"text":"Hello?"}]}]}"#,
        stream: "{",
        key: "authorization: Bearer sk-client-0123456789\r\n",
        headers: "",
        kind: "bedrock",
    },
    Client {
        name: "invoke",
        paths: [
            "/model/m-1/invoke",
            "/model/m-1/invoke-with-response-stream",
        ],
        body: r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":20,"messages":[{"role":"user","content":"Hello?"}]}"#,
        stream: "{",
        key: "authorization: Bearer sk-client-0123456789\r\n",
        headers: "",
        kind: "bedrock",
    },
];

const KINDS: &[Kind] = &[
    Kind { name: "openai" },
    Kind { name: "anthropic" },
    Kind { name: "gemini" },
    Kind { name: "bedrock" },
];

/// Whose calls are translated for which kinds.
const TRANSLATED: &[(&str, &str)] = &[
    ("chat", "anthropic"),
    ("chat", "gemini"),
    ("completions", "anthropic"),
    ("completions", "gemini"),
    ("completions", "bedrock"),
    ("responses", "anthropic"),
    ("responses", "gemini"),
    ("messages", "openai"),
    ("contents", "openai"),
    ("contents", "anthropic"),
    ("messages", "gemini"),
    ("chat", "bedrock"),
    ("responses", "bedrock"),
    ("messages", "bedrock"),
    ("contents", "bedrock"),
    ("converse", "openai"),
    ("converse", "anthropic"),
    ("converse", "gemini"),
    ("invoke", "openai"),
    ("invoke", "anthropic"),
    ("invoke", "gemini"),
];

/// Checks every pair that understands each other, as it is or by translation; some at a time, for most of the time is
/// spent waiting for rows, and each gateway holds connections of the database's.
pub(super) fn every_pair(check: impl Fn(Pair) + Sync) {
    const AT_A_TIME: usize = 8;
    let left = Mutex::new(pairs());
    let next = || left.lock().expect("nobody panics with it").next();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(pair) = next() {
                    check(pair);
                }
            });
        }
    });
}

fn pairs() -> impl Iterator<Item = Pair> {
    let all = CLIENTS.iter().flat_map(|client| {
        KINDS.iter().map(|kind| Pair {
            client: *client,
            kind: *kind,
        })
    });
    all.filter(|pair| pair.is_native() || TRANSLATED.contains(&(pair.client.name, pair.kind.name)))
}

/// What came of one exchange.
pub(super) struct Seen {
    pub(super) pair: Pair,
    pub(super) answer: RawResponse,
    pub(super) row: LogRecord,
}

impl Pair {
    pub(super) fn is_native(&self) -> bool {
        self.client.kind == self.kind.name
    }

    /// The client's body, perhaps for a stream.
    pub(super) fn body(&self, stream: bool) -> String {
        match stream {
            true => self.client.body.replacen('{', self.client.stream, 1),
            false => self.client.body.to_owned(),
        }
    }

    /// A gateway whose provider of this kind is here.
    pub(super) fn gateway(&self, upstream: &FakeUpstream) -> TestGateway {
        let name = self.kind.name;
        let more = match name {
            "bedrock" => "    region: us-east-1\n",
            _ => "",
        };
        TestGateway::with(match name {
            "openai" => Wanted {
                upstream: Some(upstream.base_url()),
                ..Wanted::default()
            },
            _ => Wanted {
                provider: format!(
                    "  - name: pair\n    kind: {name}\n{more}    base_url: http://{}\n    \
                     models: {{ allow: [\"m-*\"] }}\n    api_keys: [{{ key: {PROVIDER_KEY} }}]\n",
                    upstream.addr()
                ),
                ..Wanted::default()
            },
        })
    }

    /// Sends a body as this client does.
    pub(super) fn send(&self, gateway: &TestGateway, stream: bool, body: &str) -> RawResponse {
        self.send_with(gateway, stream, body, self.client.key)
    }

    /// The same with another header in place of the one with its key.
    pub(super) fn send_with(
        &self,
        gateway: &TestGateway,
        stream: bool,
        body: &str,
        key: &str,
    ) -> RawResponse {
        let [whole, streamed] = self.client.paths;
        let path = if stream { streamed } else { whole };
        let own = self.client.headers;
        let headers = format!("content-type: application/json\r\n{own}{key}");
        gateway.send("POST", path, &headers, body.as_bytes())
    }

    /// One exchange with an upstream that sends these bytes.
    #[track_caller]
    pub(super) fn answered(self, wire: impl Into<Vec<u8>>, stream: bool) -> Seen {
        self.before(&FakeUpstream::answering(wire), stream)
    }

    /// Several exchanges of one gateway, each answered with its own bytes; whether for a stream stands beside them.
    #[track_caller]
    pub(super) fn each_answered(self, answers: Vec<(Vec<u8>, bool)>) -> Vec<Seen> {
        let script = |(wire, _): &(Vec<u8>, bool)| {
            // Kept alive it would be asked again.
            vec![Step::ReadRequest, Step::Send(wire.clone()), Step::Fin]
        };
        let upstream = FakeUpstream::start(answers.iter().map(script).collect());
        let gateway = self.gateway(&upstream);
        let send =
            |(_, stream): &(Vec<u8>, bool)| self.send(&gateway, *stream, &self.body(*stream));
        let got: Vec<RawResponse> = answers.iter().map(send).collect();
        let rows = gateway.rows();
        assert_eq!(rows.len(), got.len(), "{self:?}");
        let both = got.into_iter().zip(rows);
        both.map(|(answer, row)| Seen {
            pair: self,
            answer,
            row: row.record,
        })
        .collect()
    }

    /// One exchange with an upstream that does this.
    #[track_caller]
    pub(super) fn scripted(self, script: Script, stream: bool) -> Seen {
        self.before(&FakeUpstream::start(vec![script]), stream)
    }

    fn before(self, upstream: &FakeUpstream, stream: bool) -> Seen {
        let gateway = self.gateway(upstream);
        let answer = self.send(&gateway, stream, &self.body(stream));
        Seen {
            pair: self,
            answer,
            row: gateway.row().record,
        }
    }
}

impl Kind {
    /// A whole answer that says "Hällo", counted as 7 and 2 tokens.
    pub(super) fn whole(&self, client: &Client) -> &'static str {
        match (self.name, client.name) {
            ("anthropic", _) | ("bedrock", "invoke") => {
                r#"{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"Hällo"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":2}}"#
            }
            ("gemini", _) => {
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hällo"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"m-1","responseId":"r1"}"#
            }
            ("bedrock", _) => {
                r#"{"metrics":{"latencyMs":5},"output":{"message":{"role":"assistant","content":[{"text":"Hällo"}]}},"stopReason":"end_turn","usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9}}"#
            }
            (_, "completions") => {
                r#"{"id":"c1","object":"text_completion","created":1,"model":"m-1","choices":[{"text":"Hällo","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#
            }
            (_, "responses") => {
                r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m-1","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hällo","annotations":[]}]}],"usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":9}}"#
            }
            _ => {
                r#"{"id":"c1","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hällo"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#
            }
        }
    }

    /// Whether its streams are frames.
    pub(super) fn is_framed(&self) -> bool {
        self.name == "bedrock"
    }

    /// The type of its streams.
    pub(super) fn stream_type(&self) -> &'static str {
        match self.name {
            "bedrock" => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        }
    }

    /// The head of a stream in chunks.
    pub(super) fn stream_head(&self) -> Vec<u8> {
        let content_type = self.stream_type();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        .into_bytes()
    }

    /// A whole stream in one chunk.
    pub(super) fn stream(&self, client: &Client) -> Vec<u8> {
        let events = chunk(self.events(client));
        [self.stream_head(), events, LAST_CHUNK.into()].concat()
    }

    /// The same as the events of a stream.
    pub(super) fn events(&self, client: &Client) -> Vec<u8> {
        match (self.name, client.name) {
            ("bedrock", "invoke") => MESSAGE
                .iter()
                .flat_map(|event| frame_of(Endpoint::BedrockInvoke, event).expect("an event"))
                .collect(),
            ("bedrock", _) => [
                r#"{"messageStart":{"role":"assistant"}}"#,
                r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hällo"}}}"#,
                r#"{"contentBlockStop":{"contentBlockIndex":0}}"#,
                r#"{"messageStop":{"stopReason":"end_turn"}}"#,
                r#"{"metadata":{"usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9},"metrics":{"latencyMs":5}}}"#,
            ]
            .iter()
            .flat_map(|event| frame_of(Endpoint::BedrockConverse, event).expect("an event"))
            .collect(),
            _ => self.sent_events(client).into_bytes(),
        }
    }

    /// The events of a stream of server-sent events.
    fn sent_events(&self, client: &Client) -> String {
        match (self.name, client.name) {
            ("anthropic", _) => MESSAGE
            .iter()
            .map(|data| named_event(data))
            .collect(),
            ("gemini", _) => [
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hällo"}]},"index":0}],"modelVersion":"m-1","responseId":"r1"}"#,
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"m-1","responseId":"r1"}"#,
            ]
            .iter()
            .map(|data| format!("data: {data}\r\n\r\n"))
            .collect(),
            (_, "responses") => [
                r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m-1","output":[]}}"#,
                r#"{"type":"response.output_text.delta","sequence_number":1,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hällo"}"#,
                r#"{"type":"response.completed","sequence_number":2,"response":{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m-1","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hällo","annotations":[]}]}],"usage":{"input_tokens":7,"output_tokens":2,"total_tokens":9}}}"#,
            ]
            .iter()
            .map(|data| named_event(data))
            .collect(),
            (_, "completions") => [
                r#"{"id":"c1","object":"text_completion","created":1,"model":"m-1","choices":[{"text":"Hällo","index":0,"logprobs":null,"finish_reason":null}]}"#,
                r#"{"id":"c1","object":"text_completion","created":1,"model":"m-1","choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]}"#,
                r#"{"id":"c1","object":"text_completion","created":1,"model":"m-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
                "[DONE]",
            ]
            .iter()
            .map(|data| format!("data: {data}\n\n"))
            .collect(),
            _ => [TEXT, FINISH, USAGE, DONE].concat(),
        }
    }
}

/// A message's events.
const MESSAGE: [&str; 6] = [
    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hällo"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}"#,
    r#"{"type":"message_stop"}"#,
];

/// An event with the type of its data as its name.
fn named_event(data: &str) -> String {
    let value: Value = serde_json::from_str(data).expect("JSON");
    let name = value["type"].as_str().expect("a type");
    format!("event: {name}\ndata: {data}\n\n")
}

impl Seen {
    /// The client got an error in its own shape, and the record says the same.
    #[track_caller]
    pub(super) fn is_error(&self, status: u16, expected: &str, outcome: &str) {
        let facts = (
            self.answer.status,
            self.row.error_code.as_deref(),
            &*self.row.outcome,
        );
        assert_eq!(facts, (status, Some(expected), outcome), "{self:#?}");
        let body = self.answer.json();
        match self.pair.client.kind {
            "anthropic" => {
                assert_eq!(body["type"], "error", "{body}");
                assert!(body["error"]["type"].is_string(), "{body}");
            }
            "gemini" => {
                assert_eq!(body["error"]["code"], status, "{body}");
                assert!(body["error"]["status"].is_string(), "{body}");
            }
            "bedrock" => {
                let members = body.as_object().expect("an object");
                assert_eq!(members.len(), 1, "{body}");
                assert!(body["message"].is_string(), "{body}");
                assert!(
                    self.answer.header("x-amzn-errortype").is_some(),
                    "{self:#?}"
                );
            }
            _ => assert_eq!(code(&self.answer.body), expected),
        }
        assert!(!self.text().contains(PROVIDER_KEY));
        let payload = self.row.payload.as_ref().expect("bodies");
        let stored = payload.response_body.as_ref().map(|body| &*body.bytes);
        assert_eq!(stored, Some(&*self.answer.body), "{self:#?}");
    }

    /// What the client got, frames as the texts that they mean.
    #[track_caller]
    pub(super) fn text(&self) -> String {
        answer_text(&self.answer)
    }

    /// The client got the whole answer, and the record has its text and tokens.
    #[track_caller]
    pub(super) fn is_answer(&self) {
        let facts = (self.answer.status, &*self.row.outcome);
        assert_eq!(facts, (200, "ok"), "{self:#?}");
        assert!(self.answer.complete, "{self:#?}");
        assert!(self.text().contains("Hällo"), "{self:#?}");
        assert_eq!(self.row.response_text.as_deref(), Some("Hällo"));
        let tokens = (self.row.prompt_tokens, self.row.completion_tokens);
        assert_eq!(tokens, (Some(7), Some(2)), "{self:#?}");
    }
}

/// The whole of both would hide what a failed test has to say.
impl Debug for Seen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let row = &self.row;
        let body = String::from_utf8_lossy(&self.answer.body);
        f.debug_struct("Seen")
            .field("client", &self.pair.client.name)
            .field("kind", &self.pair.kind.name)
            .field("head", &self.answer.head)
            .field("body", &body.chars().take(2_000).collect::<String>())
            .field("complete", &self.answer.complete)
            .field("outcome", &row.outcome)
            .field("error", &(&row.error_code, &row.error_message))
            .field("response_complete", &row.response_complete)
            .field("text", &row.response_text)
            .field("tokens", &(row.prompt_tokens, row.completion_tokens))
            .field("usage", &(&row.usage_source, &row.usage_raw))
            .finish()
    }
}
