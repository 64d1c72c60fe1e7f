//! What the demo asks for: the plain, the streamed and what goes wrong.

/// One request.
pub(super) struct Request {
    /// For the line about it.
    pub(super) what: &'static str,
    /// What became of it, for the same line.
    pub(super) note: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Header lines of its own, each with its end.
    pub(super) headers: &'static str,
    pub(super) body: &'static str,
    pub(super) is_stream: bool,
}

/// A word that the demo's filter does not let through.
pub(super) const BLOCKED_WORD: &str = "swordfish";

const CHAT: Request = Request {
    what: "",
    note: "",
    method: "POST",
    path: "/v1/chat/completions",
    headers: "",
    body: "",
    is_stream: false,
};

/// All of them, in their order.
pub(super) const REQUESTS: &[Request] = &[
    Request {
        what: "a question",
        body: r#"{"model":"mock","messages":[{"role":"user","content":"What is a flight recorder for?"}]}"#,
        ..CHAT
    },
    Request {
        what: "another user's, with tags",
        headers: "x-aiproxy-user: ann\r\nx-aiproxy-tags: team=blue,run=7\r\n",
        body: r#"{"model":"mock","messages":[{"role":"user","content":"And who reads it?"}]}"#,
        ..CHAT
    },
    Request {
        what: "two tool calls at once",
        body: r#"{"model":"mock-tools","user":"ann","messages":[{"role":"user","content":"Weather in Oslo and in Rome?"}],"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]}"#,
        ..CHAT
    },
    Request {
        what: "an embedding",
        path: "/v1/embeddings",
        body: r#"{"model":"mock","input":"flight recorder"}"#,
        ..CHAT
    },
    Request {
        what: "the Responses API",
        path: "/v1/responses",
        body: r#"{"model":"mock","input":"Is this API on record too?"}"#,
        ..CHAT
    },
    Request {
        what: "the list of models",
        method: "GET",
        path: "/v1/models",
        ..CHAT
    },
    Request {
        what: "a streamed answer",
        is_stream: true,
        body: r#"{"model":"mock-s6-d80-b220","user":"bob","stream":true,"messages":[{"role":"user","content":"Tell it slowly, please."}]}"#,
        ..CHAT
    },
    Request {
        what: "an upstream that has had enough",
        note: "the upstream's own words reach the client",
        body: r#"{"model":"mock-err-429","user":"bob","messages":[{"role":"user","content":"Once more?"}]}"#,
        ..CHAT
    },
    Request {
        what: "a stream that the upstream cuts",
        note: "the client is told, and the row says so",
        is_stream: true,
        body: r#"{"model":"mock-s8-d20-cut","user":"bob","stream":true,"messages":[{"role":"user","content":"Tell me everything."}]}"#,
        ..CHAT
    },
    Request {
        what: "a word that a filter blocks",
        note: "the upstream never saw it",
        body: r#"{"model":"mock","user":"mallory","messages":[{"role":"user","content":"The password is Swordfish, is it?"}]}"#,
        ..CHAT
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_ten_and_their_bodies_are_json() {
        assert_eq!(REQUESTS.len(), 10);
        for request in REQUESTS.iter().filter(|request| request.method == "POST") {
            let body: serde_json::Value = serde_json::from_str(request.body).expect(request.what);
            assert_eq!(
                body["stream"] == true,
                request.is_stream,
                "{}",
                request.what
            );
        }
    }

    #[test]
    fn the_last_one_is_blocked() {
        let last = REQUESTS.last().expect("ten").body.to_lowercase();
        assert!(last.contains(BLOCKED_WORD));
    }
}
