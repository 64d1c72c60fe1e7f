//! Azure OpenAI: OpenAI's answers behind paths that name a deployment, with what Azure's content filter says of them.
//! The model in the body counts for nothing.

use crate::cli::mock::answer::Turn;
use crate::cli::mock::reply::{Body, Reply};
use crate::cli::mock::{chat, completions};

/// What stands before every path.
pub(super) const BASE: &str = "/openai";
/// What stands before a deployment; its call follows.
pub(super) const DEPLOYMENTS: &str = "/openai/deployments/";

/// What the filter says of a text.
const SAFE: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;
/// Stands in every choice, and nowhere before it: within texts, quotes are escaped.
const CHOICE: &str = "\"index\":0,";

/// The whole answer of a chat.
pub(super) fn chat(turn: &Turn<'_>) -> Reply {
    judged(chat::whole(turn))
}

/// The stream of a chat.
pub(super) fn chat_stream(turn: &Turn<'_>) -> Reply {
    judged(chat::stream(turn))
}

/// The whole answer of a completion.
pub(super) fn completion(turn: &Turn<'_>) -> Reply {
    judged(completions::whole(turn))
}

/// The stream of a completion.
pub(super) fn completion_stream(turn: &Turn<'_>) -> Reply {
    judged(completions::stream(turn))
}

/// Says of the prompt and of each choice that they are safe; of the prompt a stream's first event tells, which has no choices.
fn judged(mut reply: Reply) -> Reply {
    let of_choice = format!(r#""content_filter_results":{SAFE},"#);
    let of_prompt = format!(r#"[{{"prompt_index":0,"content_filter_results":{SAFE}}}]"#);
    match &mut reply.body {
        Body::Whole(body) => {
            put_behind(body, CHOICE, &of_choice);
            let of_prompt = format!(r#""prompt_filter_results":{of_prompt},"#);
            put_behind(body, "{", &of_prompt);
        }
        Body::Stream(script) => {
            script.edit_events(|event| put_behind(event, CHOICE, &of_choice));
            let first = format!(
                "data: {{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":{of_prompt}}}\n\n"
            );
            script.before.insert(0, first.into_bytes());
        }
        Body::Unsized(_) | Body::Filler(_) => {}
    }
    reply
}

/// Puts a text behind the first mark, if there is one.
fn put_behind(bytes: &mut Vec<u8>, mark: &str, text: &str) {
    if let Some(at) = memchr::memmem::find(bytes, mark.as_bytes()) {
        let at = at + mark.len();
        bytes.splice(at..at, text.bytes());
    }
}
