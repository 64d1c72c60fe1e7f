//! In which form `invoke` answers a request: the model's id tells its maker, the request which of the maker's forms.
//! Where an id names no maker, as that of a profile or an imported model of one's own, members tell that nobody else has;
//! messages without any of them are Claude's.

use crate::wire::json_reader::{RawStr, Reader};
use crate::wire::valid_prefix;

/// How an answer of `invoke` looks to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvokeForm {
    /// Claude's Messages.
    Messages,
    /// Earlier Claudes': `completion`.
    Completion,
    /// Titan's: `results`.
    Titan,
    /// Nova's, which is that of `converse`.
    Nova,
    /// Llama's: `generation`.
    Llama,
    /// Mistral's to a prompt: `outputs`.
    Outputs,
    /// Mistral's to messages: `choices` with `message`, in streams too.
    MistralChat,
    /// OpenAI's chats.
    Chat,
    /// `DeepSeek`'s and others' to a prompt: `choices` with `text`.
    Choices,
    /// Command R's: `text`.
    CommandR,
    /// Command's: `generations`.
    Generations,
    /// Command's where the request says `stream`: pieces of `text`.
    GenerationPieces,
}

/// Members of a request, and the form of its answer.
type Asked = &'static [(&'static str, InvokeForm)];

const CHATS: Asked = &[
    ("messages", InvokeForm::Chat),
    ("prompt", InvokeForm::Choices),
];

/// Makers, as ids of models name them. (docs.aws.amazon.com, Amazon Bedrock user guide, supported foundation models, and
/// its pages of inference request parameters; read 2026-11.)
const MAKERS: &[(&str, Asked)] = &[
    (
        "anthropic",
        &[
            ("messages", InvokeForm::Messages),
            ("prompt", InvokeForm::Completion),
        ],
    ),
    (
        "amazon",
        &[
            ("inputText", InvokeForm::Titan),
            ("messages", InvokeForm::Nova),
        ],
    ),
    ("meta", &[("prompt", InvokeForm::Llama)]),
    (
        "mistral",
        &[
            ("messages", InvokeForm::MistralChat),
            ("prompt", InvokeForm::Outputs),
        ],
    ),
    (
        "cohere",
        &[
            ("message", InvokeForm::CommandR),
            ("prompt", InvokeForm::Generations),
        ],
    ),
    ("ai21", &[("messages", InvokeForm::Chat)]),
    ("deepseek", CHATS),
    ("google", CHATS),
    ("minimax", CHATS),
    ("moonshot", CHATS),
    ("moonshotai", CHATS),
    ("nvidia", CHATS),
    ("openai", CHATS),
    ("qwen", CHATS),
    ("writer", CHATS),
    ("zai", CHATS),
];

/// Members that tell the form of a request.
const SIGNS: Asked = &[
    ("anthropic_version", InvokeForm::Messages),
    ("max_tokens_to_sample", InvokeForm::Completion),
    ("textGenerationConfig", InvokeForm::Titan),
    ("schemaVersion", InvokeForm::Nova),
    ("inferenceConfig", InvokeForm::Nova),
    ("max_gen_len", InvokeForm::Llama),
    ("message", InvokeForm::CommandR),
    ("inputText", InvokeForm::Titan),
    // Which others have too, but a name without a maker counts as Claude's.
    ("messages", InvokeForm::Messages),
];

impl InvokeForm {
    /// That of the answer to a request. `None` where nobody knows it, and where the answer has no text: vectors, pictures.
    pub fn of(model: &str, body: &[u8]) -> Option<Self> {
        if model.contains("embed") {
            return None;
        }
        let asked = Members::read(valid_prefix(body));
        let mut words = model.split(['/', ':', '.']);
        let maker = words.find_map(|word| MAKERS.iter().find(|(maker, _)| *maker == word));
        let signs = maker.map_or(SIGNS, |(_, asked)| asked);
        let mut known = signs.iter().filter(|(name, _)| asked.has(name));
        match known.next() {
            Some((_, Self::Generations)) if asked.streams => Some(Self::GenerationPieces),
            Some((_, form)) => Some(*form),
            None if maker.is_none() && asked.is_dialogue => Some(Self::Completion),
            None => None,
        }
    }
}

/// What a request has.
#[derive(Default)]
struct Members<'a> {
    names: Vec<RawStr<'a>>,
    streams: bool,
    /// Its prompt is one of Claude 2's.
    is_dialogue: bool,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Self {
        let mut members = Self::default();
        // A body that broke off would not have been taken.
        let _checked = Reader::new(text).object(|key, reader| {
            members.names.push(key);
            match key.raw {
                "stream" => members.streams = reader.boolean()? == Some(true),
                "prompt" => members.is_dialogue = reader.raw()?.contains("Human:"),
                _ => reader.skip()?,
            }
            Ok(())
        });
        members
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|member| member.is(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(model: &str, body: &str, expected: Option<InvokeForm>) {
        let form = InvokeForm::of(model, body.as_bytes());
        assert_eq!(form, expected, "{model} {body}");
    }

    #[test]
    fn the_models_maker_decides() {
        const PROMPT: &str = r#"{"prompt":"Hi","max_tokens":5}"#;
        const MESSAGES: &str = r#"{"messages":[]}"#;
        const TITAN: &str = r#"{"inputText":"Hi"}"#;
        for (model, body, expected) in [
            ("anthropic.claude-v2:1", PROMPT, InvokeForm::Completion),
            (
                "us.anthropic.claude-opus-4-6-v1",
                MESSAGES,
                InvokeForm::Messages,
            ),
            ("amazon.titan-text-express-v1", TITAN, InvokeForm::Titan),
            ("apac.amazon.nova-pro-v1:0", MESSAGES, InvokeForm::Nova),
            ("eu.amazon.nova-lite-v1:0", MESSAGES, InvokeForm::Nova),
            (
                "us.meta.llama3-3-70b-instruct-v1:0",
                PROMPT,
                InvokeForm::Llama,
            ),
            (
                "mistral.mistral-7b-instruct-v0:2",
                PROMPT,
                InvokeForm::Outputs,
            ),
            (
                "mistral.mistral-large-2407-v1:0",
                MESSAGES,
                InvokeForm::MistralChat,
            ),
            ("cohere.command-text-v14", PROMPT, InvokeForm::Generations),
            (
                "cohere.command-text-v14",
                r#"{"prompt":"Hi","stream":true}"#,
                InvokeForm::GenerationPieces,
            ),
            (
                "cohere.command-r-v1:0",
                r#"{"message":"Hi"}"#,
                InvokeForm::CommandR,
            ),
            ("ai21.jamba-1-5-mini-v1:0", MESSAGES, InvokeForm::Chat),
            ("us.deepseek.r1-v1:0", PROMPT, InvokeForm::Choices),
            ("deepseek.v3-v1:0", MESSAGES, InvokeForm::Chat),
            ("openai.gpt-oss-20b-1:0", MESSAGES, InvokeForm::Chat),
            ("aws/qwen.qwen3-32b-v1:0", MESSAGES, InvokeForm::Chat),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-8b-instruct-v1:0",
                PROMPT,
                InvokeForm::Llama,
            ),
            (
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.mistral.pixtral-large-2502-v1:0",
                MESSAGES,
                InvokeForm::MistralChat,
            ),
            (
                "arn:aws:bedrock:us-east-1:1:custom-model/amazon.titan-text-express-v1:0:8k/abc",
                TITAN,
                InvokeForm::Titan,
            ),
        ] {
            check(model, body, Some(expected));
        }
    }

    #[test]
    fn a_request_tells_where_the_id_does_not() {
        let arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc";
        for (body, expected) in [
            (
                r#"{"anthropic_version":"bedrock-2023-05-31","messages":[]}"#,
                Some(InvokeForm::Messages),
            ),
            (
                r#"{"prompt":"Hi","max_tokens_to_sample":5}"#,
                Some(InvokeForm::Completion),
            ),
            (
                r#"{"prompt":"\n\nHuman: Hi\n\nAssistant:"}"#,
                Some(InvokeForm::Completion),
            ),
            (r#"{"inputText":"Hi"}"#, Some(InvokeForm::Titan)),
            (
                r#"{"messages":[],"inferenceConfig":{}}"#,
                Some(InvokeForm::Nova),
            ),
            (
                r#"{"schemaVersion":"messages-v1","messages":[]}"#,
                Some(InvokeForm::Nova),
            ),
            (
                r#"{"prompt":"Hi","max_gen_len":5}"#,
                Some(InvokeForm::Llama),
            ),
            (r#"{"message":"Hi"}"#, Some(InvokeForm::CommandR)),
            (r#"{"prompt":"Hi"}"#, None),
            (r#"{"messages":[]}"#, Some(InvokeForm::Messages)),
            (r#"{"other":1}"#, None),
            ("[]", None),
            ("", None),
        ] {
            check(arn, body, expected);
            check("my-profile", body, expected);
        }
    }

    #[test]
    fn what_has_no_text_has_no_form() {
        for (model, body) in [
            ("amazon.titan-embed-text-v2:0", r#"{"inputText":"Hi"}"#),
            ("cohere.embed-english-v3", r#"{"texts":["Hi"]}"#),
            ("amazon.nova-canvas-v1:0", r#"{"taskType":"TEXT_IMAGE"}"#),
            ("stability.sd3-5-large-v1:0", r#"{"prompt":"Hi"}"#),
            ("meta.llama3-8b-instruct-v1:0", r#"{"messages":[]}"#),
        ] {
            check(model, body, None);
        }
    }
}
