//! A response object, as text: its items are spelt already.

use serde_json::{Map, Value, json};

use crate::wire::translate::AnswerFacts;
use crate::wire::translate::canonical::{Stop, Usage};
use crate::wire::translate::piece::spelt;

/// What is the same in every state of a response.
#[derive(Debug)]
pub(super) struct Frame {
    /// Of the exchange, spelt as in JSON.
    pub id: String,
    /// Spelt as in JSON.
    pub model: String,
    created_s: i64,
    /// Members that the request said.
    echo: String,
}

impl Frame {
    pub(super) fn new(facts: &AnswerFacts) -> Self {
        let echo = Value::Object(facts.echo.clone()).to_string();
        let members = echo
            .strip_prefix('{')
            .and_then(|echo| echo.strip_suffix('}'));
        let members = members.filter(|members| !members.is_empty());
        Self {
            id: spelt(&facts.request_id),
            model: spelt(&facts.model),
            created_s: facts.created_s,
            echo: members.map_or_else(String::new, |members| format!(",{members}")),
        }
    }

    /// The response as it stands. `status`: `None` while it goes on.
    pub(super) fn object(&self, status: Option<Status>, items: &[String], usage: &Usage) -> String {
        let (word, details) = match status {
            None => ("in_progress", Value::Null),
            Some(Status::Completed) => ("completed", Value::Null),
            Some(Status::Incomplete(reason)) => ("incomplete", json!({ "reason": reason })),
        };
        let usage = match status {
            None => Value::Null,
            Some(_) => write_usage(usage),
        };
        format!(
            "{{\"id\":\"resp_{}\",\"object\":\"response\",\"created_at\":{},\"status\":\"{word}\",\
             \"error\":null,\"incomplete_details\":{details},\"model\":\"{}\",\"output\":[{}],\
             \"usage\":{usage}{}}}",
            self.id,
            self.created_s,
            self.model,
            items.join(","),
            self.echo,
        )
    }
}

/// How a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Completed,
    /// With the reason.
    Incomplete(&'static str),
}

impl Status {
    pub(super) fn of(stop: Option<Stop>) -> Self {
        match stop {
            Some(Stop::Length) => Self::Incomplete("max_output_tokens"),
            Some(Stop::Refused) => Self::Incomplete("content_filter"),
            Some(Stop::End | Stop::Sequence | Stop::ToolUse) | None => Self::Completed,
        }
    }
}

/// Null where not both of input and output are known. Clients read the details without asking whether they are there.
fn write_usage(usage: &Usage) -> Value {
    let (Some(input), Some(output)) = (usage.input, usage.output) else {
        return Value::Null;
    };
    let mut details = Map::new();
    details.insert(
        "cached_tokens".to_owned(),
        json!(usage.cached.unwrap_or_default()),
    );
    if let Some(cache_write) = usage.cache_write {
        // Not OpenAI's own, but of servers that pay for writing too.
        details.insert("cache_write_tokens".to_owned(), json!(cache_write));
    }
    json!({
        "input_tokens": input, "input_tokens_details": details, "output_tokens": output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning.unwrap_or_default() },
        "total_tokens": input.saturating_add(output),
    })
}
