//! Bytes as bodies and streams of every format, for clients of every format; and as JSON, which must be what others
//! hold to be JSON.

use aiproxy::filter::Endpoint;
use aiproxy::wire::json_check::{self, JsonError, RequestHead};
use aiproxy::wire::json_reader::{Kind, MAX_KEYS, Reader};
use aiproxy::wire::sse::SseDecoder;
use aiproxy::wire::translate::{
    AnswerFacts, ClientFormat, Format, StreamTranslator, answer, answer_as_stream, echo,
    embeddings, error_of, request,
};
use aiproxy::wire::{decode_request, decode_whole, prompt_pieces};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

const CLIENTS: [ClientFormat; 4] = [
    ClientFormat::OpenaiChat,
    ClientFormat::Anthropic,
    ClientFormat::OpenaiResponses,
    ClientFormat::Gemini,
];

const PROVIDERS: [Format; 6] = [
    Format::OpenaiChat,
    Format::Anthropic,
    Format::Gemini,
    Format::Asksage,
    Format::Argo,
    Format::BedrockConverse,
];

const ENDPOINTS: [Endpoint; 16] = [
    Endpoint::ChatCompletions,
    Endpoint::Completions,
    Endpoint::Responses,
    Endpoint::Messages,
    Endpoint::MessagesCountTokens,
    Endpoint::GenerateContent,
    Endpoint::CountTokens,
    Endpoint::EmbedContent,
    Endpoint::BedrockInvoke,
    Endpoint::BedrockConverse,
    Endpoint::AsksageQuery,
    Endpoint::ArgoChat,
    Endpoint::ArgoEmbed,
    Endpoint::Embeddings,
    Endpoint::Models,
    Endpoint::Passthrough,
];

const EVENT_BYTES: usize = 1 << 20;

/// Nothing panics, and what is written is JSON or whole events. The first two bytes say for which pair of formats and
/// for which endpoint.
pub(crate) fn check(data: &[u8]) {
    let Some(([pair, other], body)) = data.split_first_chunk() else {
        return;
    };
    let pair = usize::from(*pair);
    let client = CLIENTS[pair % CLIENTS.len()];
    let provider = PROVIDERS[pair / CLIENTS.len() % PROVIDERS.len()];
    let facts = AnswerFacts {
        request_id: "id-1".to_owned(),
        model: "a \"model\"".to_owned(),
        created_s: 1,
        include_usage: other & 0x80 == 0,
        tools_in_words: other & 0x40 == 0,
        echo: echo(client, body),
    };
    bodies(client, provider, body, &facts);
    stream(client, provider, body, &facts);
    asked_for_vectors(body);
    vectors(body, &facts);
    recorded(ENDPOINTS[usize::from(*other) % ENDPOINTS.len()], body);
    json(body);
}

fn bodies(client: ClientFormat, provider: Format, body: &[u8], facts: &AnswerFacts) {
    for streams in [false, true] {
        if let Ok((written, _)) = request(client, provider, body, "m", streams) {
            assert_object(&written);
            provider.streams(&written);
            provider.tells_tools_in_words(&written);
        }
    }
    let whole = answer(provider, client, body, facts);
    let streamed = answer_as_stream(provider, client, body, facts);
    assert_eq!(whole.is_ok(), streamed.is_ok());
    if let (Ok((whole, _)), Ok((streamed, _))) = (whole, streamed) {
        assert_object(&whole);
        assert_events(&streamed);
    }
    error_of(provider, body);
}

const VECTORS: [embeddings::Format; 3] = [
    embeddings::Format::Openai,
    embeddings::Format::Gemini,
    embeddings::Format::Argo,
];

/// What is written is a request that is read again, by those that have clients.
fn asked_for_vectors(body: &[u8]) {
    for client in VECTORS {
        for provider in VECTORS {
            let Ok((_, written, _)) = embeddings::request(client, provider, body, "m") else {
                continue;
            };
            assert_object(&written);
            let again = embeddings::request(provider, client, &written, "m");
            let has_clients = provider != embeddings::Format::Argo;
            assert_eq!(again.is_ok(), has_clients, "{client:?} {provider:?}");
        }
    }
}

/// Requests of one text and of two, for each form of an answer.
const FOR_VECTORS: [(embeddings::Format, &str); 4] = [
    (embeddings::Format::Openai, r#"{"input":"a"}"#),
    (
        embeddings::Format::Openai,
        r#"{"input":["a","b"],"encoding_format":"base64"}"#,
    ),
    (
        embeddings::Format::Gemini,
        r#"{"content":{"parts":[{"text":"a"}]}}"#,
    ),
    (
        embeddings::Format::Gemini,
        r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#,
    ),
];

fn vectors(body: &[u8], facts: &AnswerFacts) {
    for (client, asked) in FOR_VECTORS {
        for provider in VECTORS {
            let asked = embeddings::request(client, provider, asked.as_bytes(), "m");
            let (call, ..) = asked.expect("a request");
            if let Ok((written, _)) = embeddings::answer(call, body, facts) {
                assert_object(&written);
            }
        }
    }
}

/// Each line is an event's data.
fn stream(client: ClientFormat, provider: Format, body: &[u8], facts: &AnswerFacts) {
    let mut translator = StreamTranslator::new(provider, client, facts);
    let mut out = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        let data = line.strip_prefix(b"data: ").unwrap_or(line);
        translator.comment(&mut out);
        let taken = translator.event(data, &mut out);
        assert_events(&std::mem::take(&mut out));
        if taken.is_err() {
            return;
        }
    }
    // Whether it is whole is not the question.
    translator.end(&mut out).ok();
    assert_events(&out);
}

fn assert_object(written: &[u8]) {
    let value = serde_json::from_slice::<Map<String, Value>>(written);
    assert!(value.is_ok(), "{value:?}");
}

/// Whole events, of JSON or `[DONE]`, and lines of comment.
fn assert_events(written: &[u8]) {
    let mut decoder = SseDecoder::new(EVENT_BYTES);
    let mut events = Vec::new();
    decoder.push(written, &mut events).expect("short events");
    decoder.finish(&mut events).expect("short events");
    for event in &events {
        let data = event.fields().data.unwrap_or_default();
        assert!(&*data == b"[DONE]" || is_json(&data));
    }
    let rest = decoder.take_rest();
    let mut lines = rest.split_inclusive(|byte| *byte == b'\n');
    assert!(lines.all(|line| line.starts_with(b":") && line.ends_with(b"\n")));
}

/// By serde. Halves of surrogate pairs are JSON: a text that came in two pieces goes on in two.
fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// What was recorded is read, whatever it is.
fn recorded(endpoint: Endpoint, body: &[u8]) {
    decode_whole(endpoint, body);
    decode_request(endpoint, body, true);
    prompt_pieces(endpoint, body);
}

/// The reader and the check of requests take what serde takes, but for their limits.
fn json(body: &[u8]) {
    let head = json_check::check(body, MAX_KEYS);
    let Ok(text) = std::str::from_utf8(body) else {
        assert!(head.is_err());
        return;
    };
    let is_json = is_json(body);
    let mut reader = Reader::new(text);
    let read = reader.skip().and_then(|()| reader.end());
    match read {
        Ok(()) => assert!(is_json),
        Err(JsonError::Invalid { .. }) => assert!(!is_json),
        Err(_) => {}
    }
    match head {
        Ok(head) => {
            assert_eq!(read, Ok(()));
            request_head(body, &head);
        }
        // A key that stands twice is JSON.
        Err(JsonError::DuplicateKey { .. }) => {}
        Err(_) => assert!(read.is_err() || Reader::new(text).peek() != Ok(Kind::Object)),
    }
}

/// What the head says is what serde reads, and what is spliced in is read back.
fn request_head(body: &[u8], head: &RequestHead<'_>) {
    // serde takes no lone surrogates and no numbers beyond a float; the body goes on as it is.
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let model = value.get("model").and_then(Value::as_str);
        // An escaped NUL stays an escape.
        let holds_nul = |text: Option<&str>| text.is_some_and(|text| text.contains('\0'));
        assert!(head.model.as_deref() == model || holds_nul(model));
        assert_eq!(head.stream, value.get("stream").and_then(Value::as_bool));
    }
    let body = Bytes::copy_from_slice(body);
    if let Some(range) = head.model_value.clone() {
        let named = json_check::splice(&body, range, b"\"m\"").expect("within the body");
        let again = json_check::check(&named, MAX_KEYS).expect("still JSON");
        assert_eq!(again.model.as_deref(), Some("m"));
    }
    if let Some(asking) = json_check::ask_for_usage(&body, head) {
        let again = json_check::check(&asking, MAX_KEYS + 1).expect("still JSON");
        assert!(again.has_include_usage);
        assert_eq!(again.model, head.model);
    }
}
