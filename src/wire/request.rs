//! What the record wants to know of a request: the text of its last message and who asks.

use aiproxy_filters::Endpoint;

use super::content::Content;
use super::json_reader::Reader;
use super::{bedrock, gemini, openai_completions, openai_responses};

/// What the record wants to know of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestFacts {
    /// Text of the last message: its text parts, one a line; JSON of the parts if none is text. `None` without a
    /// message, or where it has no content.
    pub text: Option<String>,
    /// `user`, else `metadata.user_id`.
    pub user: Option<String>,
}

/// Reads a request, with its text if that is wanted: it may be as long as the body. A body that breaks off gives what
/// stands before; one that is not JSON nothing.
pub(super) fn decode(endpoint: Endpoint, text: &str, wants_text: bool) -> RequestFacts {
    let field = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::MessagesCountTokens => {
            "messages"
        }
        Endpoint::Completions => "prompt",
        Endpoint::Embeddings | Endpoint::Responses => "input",
        Endpoint::BedrockInvoke | Endpoint::ArgoChat => "messages",
        Endpoint::GenerateContent
        | Endpoint::BedrockConverse
        | Endpoint::CountTokens
        | Endpoint::EmbedContent
        | Endpoint::AsksageQuery
        | Endpoint::ArgoEmbed
        | Endpoint::Models
        | Endpoint::Passthrough => "",
    };
    let (mut asked, mut last, mut user, mut user_id) = (None, None, None, None);
    let mut prompt = None;
    // What breaks off gives what stands before.
    let _broken = Reader::new(text).object(|key, reader| {
        match key.raw {
            "user" => user = reader.string()?,
            "metadata" => {
                reader.object(|key, reader| {
                    match key.raw {
                        "user_id" => user_id = reader.string()?,
                        _ => reader.skip()?,
                    }
                    Ok(())
                })?;
            }
            "messages" if field == "messages" => {
                reader.array(|reader| {
                    last = Some(reader.raw()?);
                    Ok(())
                })?;
            }
            name if endpoint == Endpoint::BedrockInvoke && bedrock::PROMPTS.contains(&name) => {
                prompt = Some(reader.raw()?);
            }
            "prompt" if field == "messages" => prompt = Some(reader.raw()?),
            // In the place of messages: see `chat_forms`.
            "input" if endpoint == Endpoint::ChatCompletions => asked = Some(reader.raw()?),
            name if name == field && !field.is_empty() => asked = Some(reader.raw()?),
            _ => reader.skip()?,
        }
        Ok(())
    });
    let said = match endpoint {
        _ if !wants_text => None,
        Endpoint::ChatCompletions => match last {
            Some(last) => message_text(last),
            None => asked.and_then(openai_responses::input_text),
        },
        Endpoint::Messages | Endpoint::MessagesCountTokens => last.and_then(message_text),
        Endpoint::Completions | Endpoint::Embeddings => {
            asked.and_then(openai_completions::input_text)
        }
        Endpoint::Responses => asked.and_then(openai_responses::input_text),
        Endpoint::GenerateContent | Endpoint::CountTokens | Endpoint::EmbedContent => {
            gemini::request_text(text)
        }
        // Messages, or one prompt.
        Endpoint::BedrockInvoke => match (last, prompt) {
            (Some(last), _) => message_text(last),
            (None, prompt) => prompt
                .and_then(openai_completions::input_text)
                .map(|prompt| bedrock::last_turn(&prompt).to_owned()),
        },
        Endpoint::BedrockConverse => bedrock::request_text(text),
        Endpoint::ArgoChat => match prompt {
            Some(prompt) => openai_completions::input_text(prompt),
            None => last.and_then(message_text),
        },
        Endpoint::AsksageQuery | Endpoint::ArgoEmbed | Endpoint::Models | Endpoint::Passthrough => {
            None
        }
    };
    let user = user.or(user_id).map(|user| user.text().into_owned());
    RequestFacts {
        text: said,
        user: user.filter(|user| !user.is_empty()),
    }
}

fn message_text(message: &str) -> Option<String> {
    let mut content = None;
    Reader::new(message)
        .object(|key, reader| {
            match key.raw {
                "content" => content = Some(Content::read(reader)?),
                _ => reader.skip()?,
            }
            Ok(())
        })
        .ok()?;
    content?.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(endpoint: Endpoint, body: &str, text: Option<&str>, user: Option<&str>) {
        let facts = decode(endpoint, body, true);
        assert_eq!(
            (facts.text.as_deref(), facts.user.as_deref()),
            (text, user),
            "{body}"
        );
    }

    #[test]
    fn the_last_message_of_a_chat() {
        let chat =
            |messages: &str| format!(r#"{{"model":"m","messages":{messages},"user":"ann"}}"#);
        for (messages, text) in [
            (
                r#"[{"role":"system","content":"s"},{"role":"user","content":"hi\n"}]"#,
                Some("hi\n"),
            ),
            (
                r#"[{"content":[{"type":"text","text":"a"},{"type":"image_url"},{"type":"text","text":"b"}]}]"#,
                Some("a\nb"),
            ),
            (
                r#"[{"content":[{"type":"image_url"}]}]"#,
                Some(r#"[{"type":"image_url"}]"#),
            ),
            (
                r#"[{"role":"assistant","content":null,"tool_calls":[]}]"#,
                None,
            ),
            (r#"[{"role":"assistant"}]"#, None),
            (r#"[{"content":"\ud800"}]"#, Some("\\ud800")),
            (r#"[{"content":{"a":1}}]"#, Some(r#"{"a":1}"#)),
            ("[]", None),
            ("null", None),
            (r#"["x"]"#, None),
            ("{}", None),
        ] {
            check(
                Endpoint::ChatCompletions,
                &chat(messages),
                text,
                Some("ann"),
            );
        }
    }

    #[test]
    fn inputs_of_the_other_formats() {
        let (completions, embeddings, responses) = (
            Endpoint::Completions,
            Endpoint::Embeddings,
            Endpoint::Responses,
        );
        check(completions, r#"{"prompt":"p"}"#, Some("p"), None);
        check(completions, r#"{"prompt":["p","q"]}"#, Some("p\nq"), None);
        check(completions, r#"{"prompt":[1,2]}"#, Some("[1,2]"), None);
        check(embeddings, r#"{"input":["a","b"]}"#, Some("a\nb"), None);
        check(responses, r#"{"input":"i"}"#, Some("i"), None);
        check(
            responses,
            r#"{"input":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"input_text","text":"b"}]}]}"#,
            Some("b"),
            None,
        );
        check(
            responses,
            r#"{"input":[{"type":"function_call_output","call_id":"c","output":"o"}]}"#,
            Some("o"),
            None,
        );
        check(
            responses,
            r#"{"input":[{"type":"item_reference","id":"x"}]}"#,
            Some(r#"{"type":"item_reference","id":"x"}"#),
            None,
        );
        check(responses, r#"{"input":[]}"#, None, None);
        check(
            Endpoint::Passthrough,
            r#"{"input":"x","user":"u"}"#,
            None,
            Some("u"),
        );
    }

    #[test]
    fn users_and_broken_bodies() {
        let chat = Endpoint::ChatCompletions;
        check(chat, r#"{"metadata":{"user_id":"bob"}}"#, None, Some("bob"));
        check(
            chat,
            r#"{"metadata":{"user_id":"bob"},"user":"ann"}"#,
            None,
            Some("ann"),
        );
        check(chat, r#"{"metadata":[1],"user":5}"#, None, None);
        check(chat, r#"{"user":""}"#, None, None);
        check(
            chat,
            r#"{"user":"ann","messages":[{"content":"a"},{"con"#,
            Some("a"),
            Some("ann"),
        );
        check(chat, "not json", None, None);
        check(chat, "[]", None, None);
        check(chat, "", None, None);
    }
}
