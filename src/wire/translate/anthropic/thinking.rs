//! How Claude's models are asked to think, which differs by their version. (platform.claude.com, What's new in Claude
//! 4.6, and what users report of later ones' refusals; read 2026-11.)

use serde_json::{Map, Value, json};

use crate::wire::translate::Dropped;
use crate::wire::translate::canonical::{Message, Part, Reasoning, Request, Role, ToolChoice};

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire::translate) enum Thinking {
    /// At most so many tokens.
    Budget {
        /// At least as many as Anthropic wants.
        tokens: u64,
        /// Whether the client gave them itself, out of its limit.
        is_own: bool,
    },
    /// As much as it finds right, within an effort if there is one.
    Adaptive(Option<&'static str>),
}

impl Thinking {
    /// What a request asks for, where it may. `None`: nothing is said.
    pub(in crate::wire::translate) fn of(request: &Request, dropped: &mut Dropped) -> Option<Self> {
        let mut lowered = Dropped::default();
        let thinking = wanted(request, &mut lowered)?;
        let may_think = may_think(&request.messages, request.tool_choice.as_ref(), thinking);
        match may_think {
            false => dropped.add("reasoning_effort"),
            true => lowered
                .into_fields()
                .into_iter()
                .for_each(|field| dropped.add(field)),
        }
        if may_think && matches!(thinking, Self::Adaptive(_)) && request.thinking_tokens.is_some() {
            dropped.add("thinking_tokens");
        }
        may_think.then_some(thinking)
    }

    /// The limit of tokens with it. Thinking counts there and must leave room for the answer; of those who think as much
    /// as they like no number is known to be wanted.
    pub(in crate::wire::translate) fn limit(self, limit: u64) -> u64 {
        match self {
            Self::Budget { tokens, is_own } if !is_own || limit <= tokens => {
                limit.saturating_add(tokens)
            }
            Self::Budget { .. } | Self::Adaptive(_) => limit,
        }
    }

    /// The members that say it, in Anthropic's own words.
    pub(in crate::wire::translate) fn write(self, output: &mut Map<String, Value>) -> Value {
        match self {
            Self::Budget { tokens, .. } => json!({ "type": "enabled", "budget_tokens": tokens }),
            Self::Adaptive(effort) => {
                if let Some(effort) = effort {
                    output.insert("effort".to_owned(), json!(effort));
                }
                json!({ "type": "adaptive" })
            }
        }
    }
}

fn wanted(request: &Request, dropped: &mut Dropped) -> Option<Thinking> {
    let version = version(&request.model);
    let is_adaptive = match version {
        Some(version) => FIRST_ADAPTIVE <= version,
        // A name that tells no version is that of a model the client knows.
        None => request.adaptive,
    };
    let known = match is_adaptive {
        true => efforts(version),
        false => Reasoning::COMMON,
    };
    let (tokens, effort) = match request.reasoning?.among(known, dropped) {
        Reasoning::Off => return None,
        Reasoning::Auto => (4_096, None),
        Reasoning::Low => (LEAST, Some("low")),
        Reasoning::Medium => (4_096, Some("medium")),
        Reasoning::High => (16_384, Some("high")),
        Reasoning::XHigh => (16_384, Some("xhigh")),
        Reasoning::Max => (16_384, Some("max")),
    };
    Some(match is_adaptive {
        true => Thinking::Adaptive(effort),
        false => Thinking::Budget {
            tokens: request.thinking_tokens.map_or(tokens, |own| own.max(LEAST)),
            is_own: request.thinking_tokens.is_some(),
        },
    })
}

/// The efforts that a model knows which thinks as much as it finds right. (platform.claude.com, Effort, read 2026-11.)
fn efforts(version: Option<(u64, u64)>) -> &'static [Reasoning] {
    const FIRST: &[Reasoning] = &[
        Reasoning::Low,
        Reasoning::Medium,
        Reasoning::High,
        Reasoning::Max,
    ];
    const ALL: &[Reasoning] = &[
        Reasoning::Low,
        Reasoning::Medium,
        Reasoning::High,
        Reasoning::XHigh,
        Reasoning::Max,
    ];
    match version {
        Some(version) if version < FIRST_ADAPTIVE_ALONE => FIRST,
        Some(_) | None => ALL,
    }
}

/// Fewest tokens that a budget may have.
const LEAST: u64 = 1_024;

/// The first version that takes `adaptive`.
const FIRST_ADAPTIVE: (u64, u64) = (4, 6);

/// The first version that takes nothing else, and no `temperature`, `top_p` or `top_k`.
const FIRST_ADAPTIVE_ALONE: (u64, u64) = (4, 7);

/// Models without a number that are newer than all that takes a budget.
const NEWEST: &[&str] = &["mythos", "fable"];

/// Whether a model refuses sampling parameters. (As its users report of Opus 4.7; read 2026-11.)
pub(in crate::wire::translate) fn samples_by_itself(model: &str) -> bool {
    version(model).is_some_and(|version| FIRST_ADAPTIVE_ALONE <= version)
}

/// The version of a Claude, of a name such as `us.anthropic.claude-opus-4-6-v1` or `claude-3-5-haiku-20241022`.
fn version(model: &str) -> Option<(u64, u64)> {
    let (_, name) = model.rsplit_once("claude")?;
    if NEWEST.iter().any(|newest| name.contains(newest)) {
        return Some((5, 0));
    }
    let mut words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let number = |word: &str| word.parse::<u64>().ok();
    let major = words.find_map(number)?;
    // What is longer is a date.
    let minor = words.next().and_then(number).filter(|minor| *minor < 100);
    Some((major, minor.unwrap_or(0)))
}

/// Thinking is refused where a tool must be called; with a budget also in the middle of calls before which nothing signed
/// was thought.
fn may_think(messages: &[Message], choice: Option<&ToolChoice>, thinking: Thinking) -> bool {
    let is_forced = matches!(choice, Some(ToolChoice::Any | ToolChoice::Named(_)));
    if is_forced || matches!(thinking, Thinking::Adaptive(_)) {
        return !is_forced;
    }
    let mut turns = messages.iter().rev();
    let last = turns.find(|message| message.role == Role::Assistant);
    let has = |wanted: fn(&Part) -> bool| last.is_some_and(|last| last.parts.iter().any(wanted));
    let calls = has(|part| matches!(part, Part::ToolUse { .. }));
    let thought = has(|part| {
        let signed = matches!(part, Part::Thinking { signature, .. } if signature.is_some());
        signed || matches!(part, Part::RedactedThinking(_))
    });
    !calls || thought
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_versions() {
        for (name, expected) in [
            ("claude-opus-4-7", Some((4, 7))),
            ("claude-opus-4-6-20260205", Some((4, 6))),
            ("us.anthropic.claude-opus-4-6-v1", Some((4, 6))),
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("anthropic/claude-opus-4.7", Some((4, 7))),
            ("claude-4.7-opus", Some((4, 7))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-3-5-haiku-latest", Some((3, 5))),
            ("claude-sonnet-5", Some((5, 0))),
            ("anthropic.claude-mythos-preview", Some((5, 0))),
            ("anthropic.claude-v2:1", Some((1, 0))),
            ("claude-latest", None),
            ("my-profile", None),
            ("gpt-5-2", None),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }
}
