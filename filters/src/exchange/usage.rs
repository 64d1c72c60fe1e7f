//! Token counts as an upstream reports them.
use super::json;

/// Tokens of one exchange; `None` where the upstream said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// All input, cached tokens included.
    pub prompt_tokens: Option<u64>,
    /// All output, reasoning included.
    pub completion_tokens: Option<u64>,
    /// Both together, as reported.
    pub total_tokens: Option<u64>,
    /// The part of the input that was read from a cache.
    pub cached_tokens: Option<u64>,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Reads a usage object of the chat, completions, embeddings or Responses API, or of Anthropic's Messages, or of Gemini's
    /// or Bedrock's answers. `None` when it is no object.
    pub fn from_json(raw: &str) -> Option<Self> {
        let members = json::members(raw)?;
        if let Some(usage) = gemini_usage(&members).or_else(|| bedrock_usage(&members)) {
            return Some(usage);
        }
        let count = |name: &str| json::find(&members, name)?.parse().ok();
        let part = |group: &str, name: &str| {
            json::member(json::find(&members, group)?, name)?
                .parse()
                .ok()
        };
        // Anthropic's `input_tokens` are without those that a cache gave or took.
        let cache: [Option<u64>; 2] = [
            count("cache_read_input_tokens"),
            count("cache_creation_input_tokens"),
        ];
        let with_cache = |input: u64| {
            let parts = cache.into_iter().flatten();
            parts.fold(input, u64::saturating_add)
        };
        Some(Self {
            prompt_tokens: count("prompt_tokens").or_else(|| count("input_tokens").map(with_cache)),
            completion_tokens: count("completion_tokens").or_else(|| count("output_tokens")),
            total_tokens: count("total_tokens"),
            cached_tokens: part("prompt_tokens_details", "cached_tokens")
                .or_else(|| part("input_tokens_details", "cached_tokens"))
                .or(cache[0]),
            reasoning_tokens: part("completion_tokens_details", "reasoning_tokens")
                .or_else(|| part("output_tokens_details", "reasoning_tokens")),
        })
    }
}

/// Bedrock's input tokens are without those that a cache gave or took. `None` when there are no such numbers.
fn bedrock_usage(members: &[(&str, &str)]) -> Option<Usage> {
    let count = |name: &str| json::find(members, name)?.parse::<u64>().ok();
    let cached = count("cacheReadInputTokens");
    let parts = [cached, count("cacheWriteInputTokens")];
    let parts = parts.into_iter().flatten();
    Some(Usage {
        prompt_tokens: Some(parts.fold(count("inputTokens")?, u64::saturating_add)),
        completion_tokens: count("outputTokens"),
        total_tokens: count("totalTokens"),
        cached_tokens: cached,
        reasoning_tokens: None,
    })
}

/// Gemini counts thoughts beside the answer's tokens, and the results of its own tools beside the prompt's. `None`
/// when there are no such numbers.
fn gemini_usage(members: &[(&str, &str)]) -> Option<Usage> {
    let count = |name: &str| json::find(members, name)?.parse::<u64>().ok();
    let both = |whole: Option<u64>, more: Option<u64>| match (whole, more) {
        (None, None) => None,
        (whole, more) => Some(whole.unwrap_or(0).saturating_add(more.unwrap_or(0))),
    };
    let prompt = count("promptTokenCount")?;
    let thoughts = count("thoughtsTokenCount");
    Some(Usage {
        prompt_tokens: both(Some(prompt), count("toolUsePromptTokenCount")),
        completion_tokens: both(count("candidatesTokenCount"), thoughts),
        total_tokens: count("totalTokenCount"),
        cached_tokens: count("cachedContentTokenCount"),
        reasoning_tokens: thoughts,
    })
}
