//! The usage object of an answer, in all its spellings, and whether its numbers can be believed.

use super::json_reader::{JsonError, Kind, Reader};

/// Most tokens of one exchange that are believed; more is a mistake of the upstream.
const MAX_TOKENS: u64 = 1_000_000_000;

/// Tokens as the upstream reported them, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// All input, cached included.
    pub prompt: u64,
    /// All output, reasoning included. `None` when the answer says nothing of output (embeddings).
    pub completion: Option<u64>,
    /// As reported, else the sum.
    pub total: u64,
    /// The part of `prompt` that came from a cache.
    pub cached: Option<u64>,
    /// The part of `prompt` that was written to a cache.
    pub cache_write: Option<u64>,
    /// The part of `completion` that is reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Without the answer's part, of which it says nothing that is true.
    pub(super) fn of_prompt(self) -> Self {
        Self {
            completion: None,
            total: self.prompt,
            reasoning: None,
            ..self
        }
    }

    /// Whether nothing at all is reported: some servers send zeros for "unknown".
    pub fn is_zero(&self) -> bool {
        self.prompt == 0 && self.completion.unwrap_or(0) == 0 && self.total == 0
    }
}

/// Reads a usage object. `None` when it has no numbers, or one of its main numbers cannot be true: negative, a text,
/// a fraction, absurdly large.
pub fn read(raw: &str) -> Option<Usage> {
    let mut found = Found::default();
    let read = Reader::new(raw).object(|key, reader| found.field(key.raw, reader));
    if read != Ok(true) {
        return None;
    }
    let prompt = found.prompt.believed()??;
    let completion = found.completion.believed()?;
    let total = found.total.believed()?;
    let completion = completion.or_else(|| total.and_then(|total| total.checked_sub(prompt)));
    Some(Usage {
        prompt,
        completion,
        total: total.unwrap_or(prompt + completion.unwrap_or(0)),
        cached: found.cached.at_most(prompt),
        cache_write: found.cache_write.at_most(prompt),
        reasoning: found.reasoning.at_most(completion.unwrap_or(0)),
    })
}

/// Reads a usage object of Anthropic's, whose `input_tokens` are without those that a cache gave or took. `None` as
/// with [`read`].
pub fn read_anthropic(raw: &str) -> Option<Usage> {
    let mut found = Found::default();
    let read = Reader::new(raw).object(|key, reader| found.field(key.raw, reader));
    if read != Ok(true) {
        return None;
    }
    let plain = found.prompt.believed()??;
    let (cached, cache_write) = (found.cached.believed()?, found.cache_write.believed()?);
    let completion = found.completion.believed()?;
    let prompt = plain + cached.unwrap_or(0) + cache_write.unwrap_or(0);
    Some(Usage {
        prompt,
        completion,
        total: prompt + completion.unwrap_or(0),
        cached,
        cache_write,
        reasoning: None,
    })
}

/// Reads a `usageMetadata` of Gemini's: thoughts are counted beside the answer's tokens, and the results of its own
/// tools beside the prompt's. Numbers that are zero are left out there. `None` as with [`read`].
pub fn read_gemini(raw: &str) -> Option<Usage> {
    let [
        mut prompt,
        mut tools,
        mut answer,
        mut thoughts,
        mut cached,
        mut total,
    ] = [Number::Absent; 6];
    let read = Reader::new(raw).object(|key, reader| {
        let place = match key.raw {
            "promptTokenCount" => &mut prompt,
            "toolUsePromptTokenCount" => &mut tools,
            "candidatesTokenCount" => &mut answer,
            "thoughtsTokenCount" => &mut thoughts,
            "cachedContentTokenCount" => &mut cached,
            "totalTokenCount" => &mut total,
            _ => return reader.skip(),
        };
        *place = number(reader)?;
        Ok(())
    });
    if read != Ok(true) {
        return None;
    }
    let prompt = prompt.believed()?? + tools.believed()?.unwrap_or(0);
    let (answer, thoughts) = (answer.believed()?, thoughts.believed()?);
    let total = total.believed()?;
    let told = (answer.is_some() || thoughts.is_some())
        .then(|| answer.unwrap_or(0) + thoughts.unwrap_or(0));
    let completion = told.or_else(|| total?.checked_sub(prompt));
    Some(Usage {
        prompt,
        completion,
        total: total.unwrap_or(prompt + completion.unwrap_or(0)),
        cached: cached.at_most(prompt),
        cache_write: None,
        reasoning: thoughts,
    })
}

/// Reads Bedrock's numbers, those of `converse`, those that it adds to streams of `invoke`, and those of the makers of its
/// models: `inputTokens` are without those that a cache gave or took. `None` as with [`read`].
pub fn read_bedrock(raw: &str) -> Option<Usage> {
    let [mut prompt, mut answer, mut total, mut cached, mut written] = [Number::Absent; 5];
    let read = Reader::new(raw).object(|key, reader| {
        let place = match key.raw {
            "inputTokens"
            | "inputTokenCount"
            | "inputTextTokenCount"
            | "prompt_token_count"
            | "input_tokens" => &mut prompt,
            "outputTokens"
            | "outputTokenCount"
            | "tokenCount"
            | "totalOutputTextTokenCount"
            | "generation_token_count"
            | "output_tokens" => &mut answer,
            "totalTokens" => &mut total,
            "cacheReadInputTokens" | "cacheReadInputTokenCount" => &mut cached,
            "cacheWriteInputTokens" | "cacheWriteInputTokenCount" => &mut written,
            _ => return reader.skip(),
        };
        *place = number(reader)?;
        Ok(())
    });
    if read != Ok(true) {
        return None;
    }
    let (plain, cached, cache_write) =
        (prompt.believed()??, cached.believed()?, written.believed()?);
    let prompt = plain + cached.unwrap_or(0) + cache_write.unwrap_or(0);
    let completion = answer.believed()?;
    Some(Usage {
        prompt,
        completion,
        total: total
            .believed()?
            .unwrap_or(prompt + completion.unwrap_or(0)),
        cached,
        cache_write,
        reasoning: None,
    })
}

#[derive(Debug, Clone, Copy, Default)]
enum Number {
    #[default]
    Absent,
    Wrong,
    Is(u64),
}

impl Number {
    /// `None` when wrong, `Some(None)` when absent.
    fn believed(self) -> Option<Option<u64>> {
        match self {
            Self::Absent => Some(None),
            Self::Wrong => None,
            Self::Is(number) => Some(Some(number)),
        }
    }

    fn at_most(self, whole: u64) -> Option<u64> {
        match self {
            Self::Is(number) if number <= whole => Some(number),
            Self::Is(_) | Self::Absent | Self::Wrong => None,
        }
    }
}

#[derive(Debug, Default)]
struct Found {
    prompt: Number,
    completion: Number,
    total: Number,
    cached: Number,
    cache_write: Number,
    reasoning: Number,
}

impl Found {
    fn field(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        let place = match name {
            "prompt_tokens" | "input_tokens" => &mut self.prompt,
            "completion_tokens" | "output_tokens" => &mut self.completion,
            "total_tokens" => &mut self.total,
            "cached_tokens" | "prompt_cache_hit_tokens" | "cache_read_input_tokens" => {
                &mut self.cached
            }
            "cache_write_tokens" | "cache_creation_tokens" | "cache_creation_input_tokens" => {
                &mut self.cache_write
            }
            "reasoning_tokens" => &mut self.reasoning,
            "prompt_tokens_details"
            | "input_tokens_details"
            | "completion_tokens_details"
            | "output_tokens_details" => {
                return reader
                    .object(|key, reader| self.detail(key.raw, reader))
                    .map(|_| ());
            }
            _ => return reader.skip(),
        };
        *place = number(reader)?;
        Ok(())
    }

    fn detail(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        match name {
            "cached_tokens"
            | "cache_write_tokens"
            | "cache_creation_tokens"
            | "reasoning_tokens" => self.field(name, reader),
            _ => reader.skip(),
        }
    }
}

fn number(reader: &mut Reader<'_>) -> Result<Number, JsonError> {
    let kind = reader.peek()?;
    let raw = reader.raw()?;
    Ok(match kind {
        Kind::Null => Number::Absent,
        Kind::Number => match raw.strip_suffix(".0").unwrap_or(raw).parse::<u64>() {
            Ok(number) if number <= MAX_TOKENS => Number::Is(number),
            Ok(_) | Err(_) => Number::Wrong,
        },
        Kind::Object | Kind::Array | Kind::String | Kind::Bool => Number::Wrong,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: Option<(u64, Option<u64>, u64)>) {
        assert_eq!(
            read(raw).map(|usage| (usage.prompt, usage.completion, usage.total)),
            expected,
            "{raw}"
        );
    }

    #[test]
    fn spellings_of_the_main_numbers() {
        check(
            r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#,
            Some((3, Some(4), 7)),
        );
        check(
            r#"{"input_tokens":3,"output_tokens":4}"#,
            Some((3, Some(4), 7)),
        );
        check(
            r#"{"prompt_tokens":3,"total_tokens":5}"#,
            Some((3, Some(2), 5)),
        );
        check(r#"{"prompt_tokens":3}"#, Some((3, None, 3)));
        check(
            r#"{"prompt_tokens":3.0,"completion_tokens":null}"#,
            Some((3, None, 3)),
        );
    }

    #[test]
    fn f46_numbers_that_cannot_be_true() {
        for wrong in [
            "-1",
            "\"5\"",
            "1e18",
            "1000000000000000000",
            "1.5",
            "true",
            "[1]",
            "{}",
            "1e999",
        ] {
            check(
                &format!(r#"{{"prompt_tokens":{wrong},"completion_tokens":1}}"#),
                None,
            );
            check(
                &format!(r#"{{"prompt_tokens":1,"completion_tokens":{wrong}}}"#),
                None,
            );
            check(
                &format!(r#"{{"prompt_tokens":1,"completion_tokens":1,"total_tokens":{wrong}}}"#),
                None,
            );
        }
        for raw in ["null", "5", "{}", "[]", "{\"prompt_tokens\":1", ""] {
            check(raw, None);
        }
    }

    #[test]
    fn parts_are_read_and_never_larger_than_the_whole() {
        let usage = read(
            r#"{"prompt_tokens":10,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":8,"cache_write_tokens":2,
            "audio_tokens":1},"completion_tokens_details":{"reasoning_tokens":7}}"#,
        );
        let usage = usage.unwrap();
        assert_eq!(
            (usage.cached, usage.cache_write, usage.reasoning),
            (Some(8), Some(2), Some(7))
        );
        let usage = read(
            r#"{"prompt_tokens":10,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":11},
            "completion_tokens_details":null,"cache_creation_input_tokens":-1}"#,
        );
        let usage = usage.unwrap();
        assert_eq!(
            (usage.cached, usage.cache_write, usage.reasoning),
            (None, None, None)
        );
    }
}
