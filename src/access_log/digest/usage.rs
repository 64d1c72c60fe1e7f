//! Tokens and where their numbers come from: the upstream's own, else counted over what is there.

use aiproxy_filters::{Endpoint, Outcome};

use super::Exchange;
use crate::access_log::record::LogRecord;
use crate::tokens::{Count, TokenCounter};
use crate::wire::usage::Usage;
use crate::wire::{self, Decoded, bedrock, openai_chat};

impl Exchange<'_> {
    pub(super) fn fill_usage(&self, record: &mut LogRecord, part_bytes: usize) {
        record.usage_source = Some("none".to_owned());
        let makes_vectors = matches!(
            self.opened.endpoint,
            Endpoint::Embeddings | Endpoint::EmbedContent
        );
        let counts = self.opened.endpoint.generates() || makes_vectors;
        if !counts
            || self.outcome == Outcome::Replayed
            || !self.has_upstream_answer() && !self.was_asked()
        {
            return;
        }
        let (usage, raw) = self.reported_usage();
        record.usage_raw = raw;
        if let Some(usage) = usage {
            self.fill_reported(record, usage);
        } else if self.was_asked() {
            self.fill_counted(record, part_bytes);
        }
        self.fill_speed(record);
    }

    /// Whether an upstream had the request and did not refuse it: then it has read the prompt.
    fn was_asked(&self) -> bool {
        let Some(closed) = self.closed else {
            return self.has_upstream_answer();
        };
        if closed.attempts == 0 || closed.is_failure_under_good_status() {
            return false;
        }
        match (closed.upstream_status, self.outcome) {
            (Some(status), _) => status < 400,
            (None, Outcome::ClientDisconnected | Outcome::Shutdown) => true,
            (None, _) => false,
        }
    }

    /// The upstream's usage: from its answer, or from the chunk that was taken out of the client's stream. An answer
    /// that has content but reports nothing but zeros does not know.
    fn reported_usage(&self) -> (Option<Usage>, Option<String>) {
        let answer = self.upstream_answer();
        let chunk = self.closed.and_then(|closed| closed.usage_chunk.as_deref());
        let (usage, raw) = match chunk.map(openai_chat::chunk_usage) {
            Some((usage, raw)) if usage.is_some() || answer.usage.is_none() => (usage, raw),
            _ => (answer.usage, answer.usage_raw.clone()),
        };
        let headers = self
            .closed
            .and_then(|closed| closed.response_headers.as_deref());
        let (usage, raw) = match headers
            .filter(|_| self.upstream_endpoint == Endpoint::BedrockInvoke)
        {
            Some(headers) if usage.is_none() && raw.is_none() => bedrock::usage_in_headers(headers)
                .map_or((None, None), |(usage, raw)| (Some(usage), Some(raw))),
            _ => (usage, raw),
        };
        // Vectors have no completion, and on this path nothing but the answer tells what is asked for.
        let may_be_vectors =
            self.upstream_endpoint == Endpoint::BedrockInvoke && !has_content(answer);
        let needs_completion = self.opened.endpoint.generates() && !may_be_vectors;
        let believed = usage.filter(|usage| {
            let says_something = !usage.is_zero() || !has_content(answer);
            says_something && (usage.completion.is_some() || !needs_completion)
        });
        (believed, raw.or_else(|| answer.usage_raw.clone()))
    }

    fn fill_reported(&self, record: &mut LogRecord, usage: Usage) {
        let completion = usage
            .completion
            .filter(|_| self.opened.endpoint.generates());
        record.usage_source = Some("upstream".to_owned());
        record.prompt_tokens = tokens(usage.prompt);
        record.completion_tokens = completion.and_then(tokens);
        record.total_tokens = tokens(usage.total);
        record.cached_tokens = usage.cached.and_then(tokens);
        record.cache_write_tokens = usage.cache_write.and_then(tokens);
        record.reasoning_tokens = usage.reasoning.and_then(tokens);
    }

    /// Counts what is there: the request as it went upstream, the answer as it came from there.
    fn fill_counted(&self, record: &mut LogRecord, part_bytes: usize) {
        let sent = self.closed.and_then(|closed| closed.sent_model.as_deref());
        let reported = self.upstream_answer().model.as_deref();
        let model = reported
            .or(sent)
            .or(self.opened.requested_model.as_deref())
            .unwrap_or_default();
        let counter = TokenCounter::for_model(model).with_part_bytes(part_bytes);
        let (request, endpoint) = if self.upstream_request.is_present() {
            (&self.upstream_request, self.upstream_endpoint)
        } else {
            (&self.request, self.opened.endpoint)
        };
        let prompt = request
            .is_present()
            .then(|| count_prompt(&counter, endpoint, &request.bytes))
            .flatten();
        let generates = self.opened.endpoint.generates();
        let completion = (generates && !self.is_answer_unread())
            .then(|| count_answer(&counter, self.upstream_answer()));
        let response = if self.upstream_response.is_present() {
            &self.upstream_response
        } else {
            &self.response
        };
        let complete = self
            .closed
            .is_some_and(|closed| closed.response_complete == Some(true));
        let whole =
            complete && !request.truncated && !response.truncated && response.size.is_some();
        let source = match (whole, prompt) {
            (_, None) if completion.is_none_or(|count| count.tokens() == 0) => return,
            (true, Some(prompt)) if prompt.is_exact() && completion.is_none_or(Count::is_exact) => {
                "counted"
            }
            (true, Some(_)) => "estimated",
            (false, _) | (_, None) => "partial",
        };
        record.usage_source = Some(source.to_owned());
        record.prompt_tokens = prompt.and_then(|count| tokens(count.tokens()));
        // What was read is told at the beginning of Anthropic's streams.
        if let Some(told) = self.upstream_answer().usage.filter(|told| 0 < told.prompt) {
            record.prompt_tokens = tokens(told.prompt);
            record.cached_tokens = told.cached.and_then(tokens);
            record.cache_write_tokens = told.cache_write.and_then(tokens);
        }
        record.completion_tokens = completion.and_then(|count| tokens(count.tokens()));
        record.total_tokens = match (record.prompt_tokens, completion, record.completion_tokens) {
            (Some(prompt), None, _) if !generates => Some(prompt),
            (Some(prompt), Some(_), Some(completion)) => prompt.checked_add(completion),
            (None, ..) | (Some(_), None, _) | (Some(_), Some(_), None) => None,
        };
    }

    /// Whether there is an answer whose form nobody knows, as models that one can call by `invoke` may have it: how much it
    /// says is not known either.
    fn is_answer_unread(&self) -> bool {
        let answer = self.upstream_answer();
        let is_present = self.response.is_present() || self.upstream_response.is_present();
        let is_silent = !has_content(answer)
            && answer.text.is_none()
            && answer.finish_reason.is_none()
            && answer.model.is_none();
        self.upstream_endpoint == Endpoint::BedrockInvoke && is_present && is_silent
    }

    /// Tokens a second from the first token to the end of a stream, or over the upstream's whole time.
    fn fill_speed(&self, record: &mut LogRecord) {
        let Some(completion) = record
            .completion_tokens
            .filter(|completion| 0 < *completion)
        else {
            return;
        };
        let streaming = match (record.duration_ms, record.first_token_ms) {
            (Some(duration), Some(first)) => Some(duration - first).filter(|span| 1.0 <= *span),
            (None, _) | (_, None) => None,
        };
        let span_ms = streaming.or(record.upstream_ms).filter(|span| 0.0 < *span);
        record.output_tokens_per_s = span_ms.map(|span| completion as f64 * 1000.0 / span);
    }
}

fn tokens(count: u64) -> Option<i64> {
    i64::try_from(count).ok()
}

fn has_content(answer: &Decoded) -> bool {
    let text = answer.text.as_deref().is_some_and(|text| !text.is_empty());
    text || answer.tool_calls.is_some()
        || answer.function_call.is_some()
        || !answer.other_texts.is_empty()
}

/// `None` when the body is no request that has a prompt.
fn count_prompt(counter: &TokenCounter, endpoint: Endpoint, body: &[u8]) -> Option<Count> {
    let pieces = wire::prompt_pieces(endpoint, body)?;
    if pieces.broken && pieces.texts.is_empty() {
        return None;
    }
    let texts = pieces.texts.iter().map(|text| &**text);
    let count = if pieces.chat {
        counter.chat(pieces.messages, pieces.names, texts)
    } else {
        counter.texts(texts)
    };
    let tokens = count.tokens() + pieces.token_numbers;
    let exact = count.is_exact() && !pieces.odd && !pieces.broken;
    Some(if exact {
        Count::Exact(tokens)
    } else {
        Count::Estimated(tokens)
    })
}

fn count_answer(counter: &TokenCounter, answer: &Decoded) -> Count {
    let first = [&answer.text, &answer.tool_calls, &answer.function_call];
    let first = first.into_iter().filter_map(|text| text.as_deref());
    counter.texts(first.chain(answer.other_texts.iter().map(String::as_str)))
}
