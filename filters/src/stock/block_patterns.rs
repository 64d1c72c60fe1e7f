//! `block_patterns`: words and patterns that must not pass, in prompts, replies and streams.
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::reply;
use crate::{
    ConfigError, Context, Filter, FilterError, LlmRequest, LlmResponse, Refusal, RequestFilter,
    RequestVerdict, ResponseFilter, ResponseVerdict, StreamFilter, StreamRun, WhenStreamed,
    options,
};

mod lane;
mod matcher;
mod run;

use matcher::Matcher;

/// Refuses exchanges with a listed text, or masks it.
///
/// `words` match as whole words in any case, of any script that has words with spaces between
/// them; `patterns` are regular expressions as written (without look-around and back-references).
/// All texts are looked at: every message, `prompt`, `input`, `instructions`; every choice of a
/// reply, also where it refuses. Arguments of tool calls and reasoning are not. The record names
/// the word or pattern by its number, never the text found.
///
/// Streams keep their pace: an event is held only while the end of its text may still become
/// part of a match. A pattern without a bound, such as `a.*b`, could hold for ever, so it sees at
/// most the last 4 KiB: **a match longer than that may pass in parts.** Text that was sent before
/// the first match cannot be taken back. Where a text is masked, log probabilities, which spell
/// it again, are emptied.
///
/// ```yaml
/// kind: block_patterns
/// words: [confidential]
/// patterns: ['sk-[A-Za-z0-9]{20,}']
/// on: [request, response]      # the default
/// action: mask                 # refuse is the default
/// mask: "***"                  # the default
/// message: this text may not pass
/// status: 400                  # the default
/// ```
#[derive(Debug, Clone)]
pub struct BlockPatterns {
    matcher: Arc<Matcher>,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Mask(String),
    Refuse { message: String, status: u16 },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    patterns: Vec<String>,
    #[serde(default = "everywhere")]
    on: Vec<Side>,
    #[serde(default)]
    action: ActionName,
    #[serde(default = "default_mask")]
    mask: String,
    #[serde(default = "default_message")]
    message: String,
    #[serde(default = "default_status")]
    status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Request,
    Response,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActionName {
    #[default]
    Refuse,
    Mask,
}

fn everywhere() -> Vec<Side> {
    vec![Side::Request, Side::Response]
}

fn default_mask() -> String {
    "***".to_owned()
}

fn default_message() -> String {
    "the text holds something that may not pass".to_owned()
}

fn default_status() -> u16 {
    400
}

impl BlockPatterns {
    /// Makes the filter from its options.
    ///
    /// # Errors
    /// When an option is unknown, missing or wrong, or a pattern matches the empty text.
    pub fn from_config(value: &Value) -> Result<Filter, ConfigError> {
        let options: Options = options(value)?;
        reply::check_status(Some(options.status))?;
        if options.on.is_empty() {
            return Err(ConfigError::option(
                "on",
                "must name `request`, `response` or both",
            ));
        }
        let matcher = Arc::new(Matcher::new(&options.words, &options.patterns)?);
        let action = match options.action {
            ActionName::Mask => Action::Mask(options.mask),
            ActionName::Refuse => Action::Refuse {
                message: options.message,
                status: options.status,
            },
        };
        let hooks = Self { matcher, action };
        let mut filter = Filter::named("block_patterns");
        if options.on.contains(&Side::Request) {
            filter = filter.on_request(hooks.clone());
        }
        if options.on.contains(&Side::Response) {
            filter = filter.on_response(hooks.clone()).on_stream(hooks);
        }
        Ok(filter)
    }

    /// The refusal, when this filter refuses and a text has a match.
    fn refusal(&self, mut texts: impl Iterator<Item = String>) -> Option<Refusal> {
        match &self.action {
            Action::Mask(_) => None,
            Action::Refuse { message, status } => {
                let found = texts.find_map(|text| self.matcher.first(&text))?;
                Some(
                    Refusal::new(message)
                        .with_status(*status)
                        .with_reason(found),
                )
            }
        }
    }
}

#[async_trait(?Send)]
impl RequestFilter for BlockPatterns {
    async fn on_request(
        &self,
        request: &mut LlmRequest,
        _: &mut Context<'_>,
    ) -> Result<RequestVerdict, FilterError> {
        match &self.action {
            Action::Mask(mask) => {
                request.map_texts(&mut |text| self.matcher.mask(text, mask))?;
            }
            Action::Refuse { .. } => {
                if request.endpoint().has_texts() {
                    request.check()?;
                }
                if let Some(refusal) = self.refusal(request.texts()) {
                    return Ok(RequestVerdict::Refuse(refusal));
                }
            }
        }
        Ok(RequestVerdict::Continue)
    }
}

#[async_trait(?Send)]
impl ResponseFilter for BlockPatterns {
    /// The stream half sees streams.
    fn when_streamed(&self) -> WhenStreamed {
        WhenStreamed::Skip
    }

    async fn on_response(
        &self,
        response: &mut LlmResponse,
        _: &mut Context<'_>,
    ) -> Result<ResponseVerdict, FilterError> {
        let mut refused = None;
        let looked = response.map_texts(&mut |text| match &self.action {
            Action::Mask(mask) => self.matcher.mask(text, mask),
            Action::Refuse { .. } => {
                refused = refused
                    .take()
                    .or_else(|| self.refusal(std::iter::once(text.to_owned())));
                None
            }
        });
        match (looked, refused) {
            (_, Some(refusal)) => Ok(ResponseVerdict::Refuse(refusal)),
            (Ok(_), None) => Ok(ResponseVerdict::Continue),
            (Err(error), None) => Err(FilterError::from(error)),
        }
    }
}

impl StreamFilter for BlockPatterns {
    fn open(&self, cx: &mut Context<'_>) -> Option<Box<dyn StreamRun>> {
        cx.endpoint().has_texts().then(|| {
            let run: Box<dyn StreamRun> = Box::new(run::Run::new(self.clone()));
            run
        })
    }
}

#[cfg(test)]
mod tests;
