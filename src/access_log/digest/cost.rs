//! What an answer's tokens cost. What is not known for sure stays empty.

use serde_json::Value as Json;

use super::Exchange;
use crate::access_log::record::LogRecord;
use crate::pricing::{Prices, Tokens, is_default_tier};

impl Exchange<'_> {
    /// Comes after tokens and models. A replay and a filter's own answer bought no tokens, and have no cost.
    pub(super) fn fill_cost(&self, record: &mut LogRecord, prices: &Prices) {
        if record.usage_source.as_deref() == Some("none") {
            return;
        }
        let raw = record.usage_raw.as_deref();
        let raw = raw.and_then(|raw| serde_json::from_str(raw).ok());
        let raw: Json = raw.unwrap_or_default();
        if !self.is_ordinary(&raw) {
            return;
        }
        let answer = self.upstream_answer();
        let sent = self.closed.and_then(|closed| closed.sent_model.as_deref());
        let provider = record.provider.as_deref();
        let Some((price, version)) = prices.find(provider, answer.model.as_deref(), sent) else {
            return;
        };
        let tokens = self.buckets(record, &raw);
        record.cost_nano_usd = tokens.and_then(|tokens| price.cost(&tokens));
        record.price_version = record.cost_nano_usd.map(|_| version.to_owned());
    }

    /// Whether the answer was made at the ordinary price: other service tiers, places and speeds have other ones.
    fn is_ordinary(&self, raw: &Json) -> bool {
        let word = |key: &str| raw.get(key).and_then(Json::as_str);
        is_default_tier(self.upstream_answer().service_tier.as_deref())
            && is_default_tier(word("service_tier"))
            && matches!(
                word("inference_geo"),
                None | Some("global" | "not_available")
            )
            && matches!(word("speed"), None | Some("standard"))
    }

    /// `None` when a side of the exchange is not known.
    fn buckets(&self, record: &LogRecord, raw: &Json) -> Option<Tokens> {
        let count = |tokens: i64| u64::try_from(tokens).ok();
        let part = |tokens: Option<i64>| count(tokens.unwrap_or(0));
        let completion = match record.completion_tokens {
            Some(tokens) => count(tokens)?,
            None if self.opened.endpoint.generates() => return None,
            None => 0,
        };
        let input = ["prompt_tokens_details", "input_tokens_details"];
        let output = ["completion_tokens_details", "output_tokens_details"];
        let detail = |objects: [&str; 2], key: &str| {
            let mut objects = objects.iter().filter_map(|object| raw.get(object));
            let found = objects.find_map(|object| object.get(key)?.as_u64());
            found.unwrap_or(0).min(u64::MAX / 2)
        };
        let long = &["cache_creation", "ephemeral_1h_input_tokens"];
        Some(Tokens {
            prompt: count(record.prompt_tokens?)?,
            cached: part(record.cached_tokens)?,
            cache_write: part(record.cache_write_tokens)?,
            cache_write_1h: long
                .iter()
                .try_fold(raw, |value, key| value.get(key))
                .and_then(Json::as_u64)
                .unwrap_or(0),
            image_input: detail(input, "image_tokens")
                + modality(raw, "promptTokensDetails", "IMAGE"),
            audio_input: detail(input, "audio_tokens")
                + modality(raw, "promptTokensDetails", "AUDIO"),
            completion,
            reasoning: part(record.reasoning_tokens)?,
            image_output: detail(output, "image_tokens")
                + modality(raw, "candidatesTokensDetails", "IMAGE"),
            audio_output: detail(output, "audio_tokens")
                + modality(raw, "candidatesTokensDetails", "AUDIO"),
        })
    }
}

/// Tokens of a kind in Gemini's list of them; at most so many that two of them can be added.
fn modality(raw: &Json, list: &str, kind: &str) -> u64 {
    let entries = raw.get(list).and_then(Json::as_array);
    let mut entries = entries.into_iter().flatten();
    let found = entries.find(|entry| entry.get("modality").and_then(Json::as_str) == Some(kind));
    let tokens = found.and_then(|entry| entry.get("tokenCount")?.as_u64());
    tokens.unwrap_or(0).min(u64::MAX / 2)
}
