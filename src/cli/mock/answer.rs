//! What a request asks for and what the model says to it, before either is put
//! into one of the API's formats.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::mock::behaviour::{Behaviour, Content, UsageStyle};
use crate::cli::mock::refused::Refused;
use crate::cli::mock::request::RawRequest;

/// Unix time that every answer names as its creation: answers do not depend on the clock.
pub(super) const CREATED: u64 = 1_767_225_600;
/// Input tokens of every answer.
pub(super) const INPUT_TOKENS: u32 = 21;
/// Usual bytes of a whole answer's body.
const WHOLE_BYTES: usize = 670;
/// Usual bytes of an event.
const EVENT_BYTES: usize = 280;

/// What filler is made of.
const WORDS: &str = "the quick brown fox jumps over the lazy dog ";
/// The same with characters of two, three and four bytes.
const WIDE_WORDS: &str = "né日😀ß本語 ";

/// The parts of a JSON body that change the answer.
#[derive(Debug, Deserialize)]
pub(super) struct Ask<'a> {
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default, borrow)]
    tools: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "toolConfig")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(default, borrow)]
    messages: Option<&'a RawValue>,
    #[serde(default, borrow)]
    contents: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) encoding_format: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) dimensions: Option<usize>,
}

/// Bedrock's list of tools.
#[derive(Debug, Deserialize)]
struct ToolConfig<'a> {
    #[serde(default, borrow)]
    tools: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// One call of a tool.
#[derive(Debug, Clone)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    /// A JSON object as text.
    pub(super) arguments: &'static str,
}

/// What the model says.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// As much text as the answer is to be long.
    Filler {
        wide: bool,
    },
    Text(String),
    Refusal(&'static str),
    Nothing,
    Tools(Vec<ToolCall>),
}

/// One answer to be put into a format.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// Number of the request, for ids.
    pub(super) number: u64,
    /// The model's name as a JSON string.
    pub(super) model_json: String,
    pub(super) behaviour: &'a Behaviour,
    pub(super) said: Said,
    pub(super) include_usage: bool,
}

impl<'a> Ask<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// When the body is not such JSON, or names no model.
    pub(super) fn read(body: &'a [u8]) -> Result<(Self, String), Refused> {
        let mut ask = Self::read_without_model(body)?;
        match ask.model.take().filter(|model| !model.is_empty()) {
            Some(model) => Ok((ask, model)),
            None => Err(Refused::new(
                400,
                "missing_model",
                "you must provide a model parameter",
            )),
        }
    }

    /// Reads a body where the path names the model.
    ///
    /// # Errors
    /// When the body is not such JSON.
    pub(super) fn read_without_model(body: &'a [u8]) -> Result<Self, Refused> {
        serde_json::from_slice(body).map_err(|error| {
            Refused::new(
                400,
                "invalid_json",
                format!("could not parse the JSON body: {error}"),
            )
        })
    }
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        number: u64,
        model: &str,
        behaviour: &'a Behaviour,
        ask: &Ask<'_>,
        request: &RawRequest,
    ) -> Self {
        let said = if behaviour.echo {
            Said::Text(headers_json(request).to_string())
        } else {
            match behaviour.content {
                Content::Text => Said::Filler { wide: false },
                Content::Wide => Said::Filler { wide: true },
                Content::Tools => {
                    let configured = ask.tool_config.as_ref().and_then(|config| config.tools);
                    Said::Tools(tool_calls(ask.tools.or(configured)))
                }
                Content::Json => Said::Text(r#"{"name":"Ada","age":36}"#.to_owned()),
                Content::Refusal => Said::Refusal("I can't help with that."),
                Content::Null => Said::Nothing,
                Content::Vision => Said::Text(images_seen(ask)),
            }
        };
        let include_usage = ask.stream_options.as_ref().is_some_and(|o| o.include_usage);
        let model_json = Value::from(model).to_string();
        Self {
            number,
            model_json,
            behaviour,
            said,
            include_usage,
        }
    }

    /// Usage as JSON under the given names of input, output and total; `None` when there is none to tell.
    pub(super) fn usage(&self, names: &UsageNames) -> Option<String> {
        let UsageNames {
            input,
            output,
            total,
            input_details,
            output_details,
        } = names;
        let counts = |a: &str, b: &str, c: &str| {
            Some(format!(r#"{{"{input}":{a},"{output}":{b},"{total}":{c}}}"#))
        };
        let chunks = self.behaviour.chunks;
        let sum = chunks.saturating_add(INPUT_TOKENS);
        match self.behaviour.usage {
            UsageStyle::None => None,
            UsageStyle::Empty => Some("{}".to_owned()),
            UsageStyle::Negative => counts("-5", "-7", "-12"),
            UsageStyle::Huge => counts("1000000000000000000", "9223372036854775807", "1e30"),
            UsageStyle::Text => counts("\"21\"", &format!("\"{chunks}\""), &format!("\"{sum}\"")),
            UsageStyle::AsAsked | UsageStyle::First | UsageStyle::Every | UsageStyle::Last => {
                Some(format!(
                    r#"{{"{input}":{INPUT_TOKENS},"{output}":{chunks},"{total}":{sum},"{input_details}":{{"cached_tokens":4}},"{output_details}":{{"reasoning_tokens":2}}}}"#,
                ))
            }
        }
    }

    /// Filler that brings a body to its length, given the length without it.
    pub(super) fn whole_filler(&self, wide: bool, frame_bytes: usize) -> String {
        let size = self.behaviour.size_bytes.unwrap_or(WHOLE_BYTES);
        filler(wide, size.saturating_sub(frame_bytes).max(8))
    }

    /// Filler that brings an event to its length, given the length without it.
    pub(super) fn event_filler(&self, wide: bool, frame_bytes: usize) -> String {
        let size = self.behaviour.size_bytes.unwrap_or(EVENT_BYTES);
        let least = if wide { WIDE_WORDS.len() } else { 0 };
        filler(wide, size.saturating_sub(frame_bytes).max(least))
    }
}

/// The names of usage numbers in one format.
pub(super) struct UsageNames {
    pub(super) input: &'static str,
    pub(super) output: &'static str,
    pub(super) total: &'static str,
    pub(super) input_details: &'static str,
    pub(super) output_details: &'static str,
}

/// Names in chat completions, completions and embeddings.
pub(super) const CHAT_USAGE: UsageNames = UsageNames {
    input: "prompt_tokens",
    output: "completion_tokens",
    total: "total_tokens",
    input_details: "prompt_tokens_details",
    output_details: "completion_tokens_details",
};

/// Names in responses.
pub(super) const RESPONSES_USAGE: UsageNames = UsageNames {
    input: "input_tokens",
    output: "output_tokens",
    total: "total_tokens",
    input_details: "input_tokens_details",
    output_details: "output_tokens_details",
};

/// A text cut into at most `count` pieces at character borders.
pub(super) fn split_text(text: &str, count: u32) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces = usize::try_from(count.max(1)).unwrap_or(usize::MAX);
    let size = characters.len().div_ceil(pieces).max(1);
    characters
        .chunks(size)
        .map(|piece| piece.iter().collect())
        .collect()
}

/// Request headers as a JSON object, names in lower case.
pub(super) fn headers_json(request: &RawRequest) -> Value {
    let pairs = request.headers();
    pairs
        .map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value)))
        .collect()
}

/// Text of exactly so many bytes that needs no escape in JSON.
pub(super) fn filler(wide: bool, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    let words = if wide { WIDE_WORDS } else { WORDS };
    while text.len() + words.len() <= bytes {
        text.push_str(words);
    }
    for character in words.chars() {
        if text.len() + character.len_utf8() > bytes {
            break;
        }
        text.push(character);
    }
    text.extend(std::iter::repeat_n('.', bytes - text.len()));
    text
}

/// Two calls: of the first two tools of the request, of its only one twice, else of one of our own.
fn tool_calls(tools: Option<&RawValue>) -> Vec<ToolCall> {
    let tools: Vec<Value> = tools
        .and_then(|tools| serde_json::from_str(tools.get()).ok())
        .unwrap_or_default();
    let names: Vec<&str> = tools
        .iter()
        .flat_map(declared)
        .filter_map(|tool| {
            tool.pointer("/function/name")
                .or_else(|| tool.pointer("/toolSpec/name"))
                .or_else(|| tool.get("name"))
        })
        .filter_map(Value::as_str)
        .collect();
    let name = |index: usize| {
        names
            .get(index)
            .or(names.first())
            .copied()
            .unwrap_or("get_weather")
    };
    [(0, r#"{"city":"Paris"}"#), (1, r#"{"city":"Oslo"}"#)]
        .into_iter()
        .map(|(index, arguments)| ToolCall {
            id: format!("call_mock_{index}"),
            name: name(index).to_owned(),
            arguments,
        })
        .collect()
}

/// The tools of an entry: Gemini's has several.
fn declared(tool: &Value) -> Vec<&Value> {
    match tool["functionDeclarations"].as_array() {
        Some(declared) => declared.iter().collect(),
        None => vec![tool],
    }
}

/// Says how many images came and how long their URLs are.
fn images_seen(ask: &Ask<'_>) -> String {
    let source = ask.messages.or(ask.input).or(ask.contents);
    let source = source.map_or("null", RawValue::get);
    let value = serde_json::from_str::<Value>(source).unwrap_or_default();
    let messages = value.as_array().into_iter().flatten();
    let parts = messages
        .filter_map(|message| {
            message["content"]
                .as_array()
                .or(message["parts"].as_array())
        })
        .flatten();
    let places = [
        "/image_url/url",
        "/image_url",
        "/source/url",
        "/source/data",
        "/image/source/bytes",
        "/inlineData/data",
        "/fileData/fileUri",
    ];
    let urls: Vec<usize> = parts
        .filter_map(|part| {
            places
                .iter()
                .find_map(|place| part.pointer(place)?.as_str())
        })
        .map(str::len)
        .collect();
    format!("images: {}, url bytes: {:?}", urls.len(), urls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filler_has_its_length() {
        for bytes in [0, 1, 7, 44, 45, 1_000] {
            assert_eq!(
                (filler(false, bytes).len(), filler(true, bytes).len()),
                (bytes, bytes)
            );
        }
    }

    #[test]
    fn text_is_split_at_characters() {
        assert_eq!(split_text("añb", 2), ["añ", "b"]);
        assert_eq!(split_text("ab", 9), ["a", "b"]);
        assert_eq!(split_text("ab", 0), ["ab"]);
    }

    #[test]
    fn tools_of_the_request_are_called() {
        let named = RawValue::from_string(
            r#"[{"type":"function","function":{"name":"a"}},{"type":"function","name":"b"}]"#
                .into(),
        );
        let names = |tools: Option<&RawValue>| {
            tool_calls(tools)
                .into_iter()
                .map(|call| call.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Some(&named.unwrap())), ["a", "b"]);
        assert_eq!(names(None), ["get_weather", "get_weather"]);
    }

    #[test]
    fn wrong_bodies_are_refused() {
        for body in [
            "",
            "[]",
            "{",
            r#"{"model":""}"#,
            r#"{"model":"a","model":"b"}"#,
            "{} {}",
        ] {
            assert_eq!(
                Ask::read(body.as_bytes()).unwrap_err().status,
                400,
                "{body}"
            );
        }
    }
}
