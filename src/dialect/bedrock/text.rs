//! A text as the answer of a model: of `converse`, or in the form of the maker whose model is asked by `invoke`. Streams have
//! the text in one event and their end in another, for some clients take nothing from an event that ends one.

use bytes::Bytes;
use serde_json::{Value, json};

use super::frame;
use crate::dialect::openai;
use crate::filter::Endpoint;
use crate::wire::bedrock::InvokeForm;
use crate::wire::sse;

/// Whom a text is for.
#[derive(Debug, Clone, Copy)]
pub struct TextFor<'a> {
    /// Which API.
    pub endpoint: Endpoint,
    /// In which form `invoke` answers.
    pub form: InvokeForm,
    /// Our id.
    pub request_id: &'a str,
    /// Seconds since the Unix epoch.
    pub created_s: i64,
}

/// A text given as a whole answer.
pub fn text_answer(to: &TextFor<'_>, text: &str) -> String {
    let id = to.request_id;
    let whole = match to.form {
        _ if to.endpoint == Endpoint::BedrockConverse => {
            let mut whole = conversed(text);
            whole["metrics"] = json!({ "latencyMs": 0 });
            whole
        }
        InvokeForm::Messages => message(id, &json!([{ "type": "text", "text": text }]), "end_turn"),
        InvokeForm::Completion => {
            json!({ "completion": text, "stop_reason": "stop_sequence", "stop": null })
        }
        InvokeForm::Titan => json!({
            "inputTextTokenCount": 0,
            "results": [{ "tokenCount": 0, "outputText": text, "completionReason": "FINISHED" }],
        }),
        InvokeForm::Nova => conversed(text),
        InvokeForm::Llama => generation(text, "stop"),
        InvokeForm::Outputs => json!({ "outputs": [{ "text": text, "stop_reason": "stop" }] }),
        InvokeForm::MistralChat => json!({ "choices": [{
            "index": 0, "message": { "role": "assistant", "content": text },
            "stop_reason": "stop", "finish_reason": "stop",
        }] }),
        InvokeForm::Chat => {
            let endpoint = Endpoint::ChatCompletions;
            return openai::text_answer(endpoint, id, to.created_s, text);
        }
        InvokeForm::Choices => json!({ "choices": [{ "text": text, "stop_reason": "stop" }] }),
        InvokeForm::CommandR => said(id, text),
        InvokeForm::Generations | InvokeForm::GenerationPieces => json!({
            "id": id, "generations": [{ "id": id, "text": text, "finish_reason": "COMPLETE" }],
        }),
    };
    whole.to_string()
}

/// The same as the frames of a stream with a real ending.
pub fn text_stream(to: &TextFor<'_>, text: &str) -> Bytes {
    let mut events = events(to, text);
    if to.endpoint == Endpoint::BedrockInvoke
        && let Some(last) = events.last_mut()
    {
        last["amazon-bedrock-invocationMetrics"] = json!({
            "inputTokenCount": 0, "outputTokenCount": 0,
            "invocationLatency": 0, "firstByteLatency": 0,
        });
    }
    let frames: Vec<Bytes> = events
        .iter()
        .map(|event| frame(to.endpoint, event))
        .collect();
    Bytes::from(frames.concat())
}

fn events(to: &TextFor<'_>, text: &str) -> Vec<Value> {
    let id = to.request_id;
    match to.form {
        _ if to.endpoint == Endpoint::BedrockConverse => conversed_events(text),
        InvokeForm::Messages => message_events(id, text),
        InvokeForm::Completion => vec![
            json!({ "completion": text, "stop_reason": null, "stop": null }),
            json!({ "completion": "", "stop_reason": "stop_sequence", "stop": null }),
        ],
        InvokeForm::Titan => {
            let piece = |text: &str, reason: Option<&str>| {
                json!({
                    "index": 0, "inputTextTokenCount": 0, "totalOutputTextTokenCount": 0,
                    "outputText": text, "completionReason": reason,
                })
            };
            vec![piece(text, None), piece("", Some("FINISHED"))]
        }
        InvokeForm::Nova => conversed_events(text),
        InvokeForm::Llama => vec![generation(text, Value::Null), generation("", "stop")],
        InvokeForm::Outputs => vec![
            json!({ "outputs": [{ "text": text, "stop_reason": null }] }),
            json!({ "outputs": [{ "text": "", "stop_reason": "stop" }] }),
        ],
        InvokeForm::MistralChat => {
            // Older models say `message` here, newer ones `delta`; who reads the one does not look for the other.
            let piece = |text: &str, reason: Option<&str>| {
                let said = json!({ "role": "assistant", "content": text });
                json!({ "choices": [{
                    "index": 0, "message": said, "delta": said,
                    "stop_reason": reason, "finish_reason": reason,
                }] })
            };
            vec![piece(text, None), piece("", Some("stop"))]
        }
        InvokeForm::Chat => chat_events(id, to.created_s, text),
        InvokeForm::Choices => vec![
            json!({ "choices": [{ "text": text, "stop_reason": null }] }),
            json!({ "choices": [{ "text": "", "stop_reason": "stop" }] }),
        ],
        InvokeForm::CommandR => vec![
            json!({ "event_type": "text-generation", "is_finished": false, "text": text }),
            json!({
                "event_type": "stream-end", "is_finished": true, "finish_reason": "COMPLETE",
                "response": said(id, text),
            }),
        ],
        InvokeForm::GenerationPieces => vec![
            json!({ "is_finished": false, "text": text }),
            json!({ "is_finished": true, "finish_reason": "COMPLETE" }),
        ],
        InvokeForm::Generations => vec![json!({
            "id": id, "generations": [{ "id": id, "text": text, "finish_reason": "COMPLETE" }],
        })],
    }
}

/// Name of the model in answers that a filter gave in the upstream's place.
const FILTER_MODEL: &str = "request_filter";

fn message(request_id: &str, content: &Value, stop_reason: impl Into<Value>) -> Value {
    json!({
        "id": request_id, "type": "message", "role": "assistant", "model": FILTER_MODEL,
        "content": content, "stop_reason": stop_reason.into(), "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": 0 },
    })
}

fn message_events(request_id: &str, text: &str) -> Vec<Value> {
    vec![
        json!({ "type": "message_start", "message": message(request_id, &json!([]), Value::Null) }),
        json!({
            "type": "content_block_start", "index": 0,
            "content_block": { "type": "text", "text": "" },
        }),
        json!({
            "type": "content_block_delta", "index": 0,
            "delta": { "type": "text_delta", "text": text },
        }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": "end_turn", "stop_sequence": null },
            "usage": { "output_tokens": 0 },
        }),
        json!({ "type": "message_stop" }),
    ]
}

fn conversed(text: &str) -> Value {
    json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 },
    })
}

fn conversed_events(text: &str) -> Vec<Value> {
    vec![
        json!({ "messageStart": { "role": "assistant" } }),
        json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": text } } }),
        json!({ "contentBlockStop": { "contentBlockIndex": 0 } }),
        json!({ "messageStop": { "stopReason": "end_turn" } }),
        json!({ "metadata": {
            "usage": { "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 },
            "metrics": { "latencyMs": 0 },
        } }),
    ]
}

fn generation(text: &str, stop_reason: impl Into<Value>) -> Value {
    json!({
        "generation": text, "prompt_token_count": 0, "generation_token_count": 0,
        "stop_reason": stop_reason.into(),
    })
}

fn said(request_id: &str, text: &str) -> Value {
    json!({
        "response_id": request_id, "generation_id": request_id, "text": text,
        "chat_history": [], "finish_reason": "COMPLETE",
        "meta": { "billed_units": { "input_tokens": 0, "output_tokens": 0 } },
    })
}

/// A chat's stream as events: frames need no mark of the end.
fn chat_events(request_id: &str, created_s: i64, text: &str) -> Vec<Value> {
    let endpoint = Endpoint::ChatCompletions;
    let stream = openai::text_stream(endpoint, request_id, created_s, text, false);
    let data = sse::events(stream.as_bytes()).filter_map(|event| event.data);
    data.filter_map(|data| serde_json::from_slice(&data).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::aws_event_stream::frames;
    use crate::wire::bedrock::text_of;
    use crate::wire::{self, decode_whole};

    const TEXT: &str = "no \"way\"";

    fn texts(to: &TextFor<'_>) -> (Value, Vec<Value>) {
        let whole = serde_json::from_str(&text_answer(to, TEXT)).expect("JSON");
        let stream = text_stream(to, TEXT);
        let events = frames(&stream).filter_map(|frame| text_of(&frame).into_text());
        let events = events.map(|event| serde_json::from_str(&event).expect("JSON"));
        (whole, events.collect())
    }

    fn invoked(form: InvokeForm) -> TextFor<'static> {
        TextFor {
            endpoint: Endpoint::BedrockInvoke,
            form,
            request_id: "id-1",
            created_s: 1,
        }
    }

    /// Each with where its clients find the text, whole and in the events of a stream.
    const FORMS: &[(InvokeForm, &str, &str)] = &[
        (InvokeForm::Messages, "/content/0/text", "/delta/text"),
        (InvokeForm::Completion, "/completion", "/completion"),
        (InvokeForm::Titan, "/results/0/outputText", "/outputText"),
        (
            InvokeForm::Nova,
            "/output/message/content/0/text",
            "/contentBlockDelta/delta/text",
        ),
        (InvokeForm::Llama, "/generation", "/generation"),
        (InvokeForm::Outputs, "/outputs/0/text", "/outputs/0/text"),
        (
            InvokeForm::MistralChat,
            "/choices/0/message/content",
            "/choices/0/message/content",
        ),
        (
            InvokeForm::MistralChat,
            "/choices/0/message/content",
            "/choices/0/delta/content",
        ),
        (
            InvokeForm::Chat,
            "/choices/0/message/content",
            "/choices/0/delta/content",
        ),
        (InvokeForm::Choices, "/choices/0/text", "/choices/0/text"),
        (InvokeForm::CommandR, "/text", "/text"),
        (
            InvokeForm::Generations,
            "/generations/0/text",
            "/generations/0/text",
        ),
        (InvokeForm::GenerationPieces, "/generations/0/text", "/text"),
    ];

    #[test]
    fn clients_of_every_maker_find_the_text() {
        for (form, in_whole, in_events) in FORMS {
            let (whole, events) = texts(&invoked(*form));
            let found = whole.pointer(in_whole).and_then(Value::as_str);
            assert_eq!(found, Some(TEXT), "{form:?}: {whole}");
            let found = events.iter().filter_map(|event| event.pointer(in_events));
            let text: String = found.filter_map(Value::as_str).collect();
            assert_eq!(text, TEXT, "{form:?}: {events:?}");
            let last = events.last().expect("an event");
            let metrics = &last["amazon-bedrock-invocationMetrics"];
            assert_eq!(metrics["outputTokenCount"], 0, "{form:?}: {last}");
        }
    }

    #[test]
    fn a_text_is_read_as_an_answer_whole_and_streamed() {
        let conversed = TextFor {
            endpoint: Endpoint::BedrockConverse,
            ..invoked(InvokeForm::Messages)
        };
        let all = FORMS.iter().map(|(form, ..)| invoked(*form));
        for to in all.chain([conversed]) {
            let whole = text_answer(&to, TEXT);
            let stream = text_stream(&to, TEXT);
            for read in [
                decode_whole(to.endpoint, whole.as_bytes()),
                wire::decode_stream(to.endpoint, &stream),
            ] {
                assert_eq!(read.text.as_deref(), Some(TEXT), "{whole}");
                assert_eq!(read.finish_reason.as_deref(), Some("stop"), "{whole}");
            }
        }
    }
}
