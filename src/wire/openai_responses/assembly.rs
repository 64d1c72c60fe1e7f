//! A response put together, from its events or from the whole object.

use super::{Event, Item, Response};
use crate::wire::decoded::{Call, Decoded, ErrorFields, RawText, SeenUsage, calls_json};

/// A response as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    model: Option<String>,
    status: Option<String>,
    incomplete_reason: Option<String>,
    usage: SeenUsage,
    service_tier: Option<String>,
    error: Option<ErrorFields>,
    output: Vec<Output>,
}

#[derive(Debug, Default)]
struct Output {
    index: u64,
    text: RawText,
    refusal: RawText,
    call: Option<Call>,
}

impl Assembly {
    /// Takes a response object; its output, when it has any, replaces what was put together.
    pub(super) fn take(&mut self, response: &Response<'_>) {
        let owned = |text: crate::wire::json_reader::RawStr<'_>| text.text().into_owned();
        self.model = response.model.map(owned).or(self.model.take());
        self.status = response.status.map(owned).or(self.status.take());
        self.incomplete_reason = response
            .incomplete_reason
            .map(owned)
            .or(self.incomplete_reason.take());
        self.service_tier = response
            .service_tier
            .map(owned)
            .or(self.service_tier.take());
        self.error = response
            .error
            .and_then(ErrorFields::read)
            .or(self.error.take());
        if let Some(usage) = response.usage {
            self.usage.see(usage);
        }
        if response.output.is_empty() {
            return;
        }
        self.output.clear();
        for (index, item) in (0..).zip(&response.output) {
            self.set_item(index, item);
        }
    }

    pub(super) fn apply(&mut self, kind: &str, event: &Event<'_>) {
        if let Some(response) = &event.response {
            self.take(response);
        }
        if let Some(item) = &event.item {
            self.set_item(event.output_index, item);
        }
        if let Some(delta) = event.delta {
            let output = self.output(event.output_index);
            match kind {
                "response.output_text.delta" => output.text.push(delta),
                "response.refusal.delta" => output.refusal.push(delta),
                "response.function_call_arguments.delta"
                | "response.custom_tool_call_input.delta" => {
                    output.call.get_or_insert_default().arguments.push(delta);
                }
                _ => {}
            }
        }
        if kind == "error" {
            self.error = event
                .error_object
                .and_then(ErrorFields::read)
                .or_else(|| Some(event.error.clone()));
        } else if self.error.is_none() {
            self.error = event.error_object.and_then(ErrorFields::read);
        }
    }

    fn output(&mut self, index: u64) -> &mut Output {
        let place = self
            .output
            .iter()
            .position(|output| output.index == index)
            .unwrap_or_else(|| {
                self.output.push(Output {
                    index,
                    ..Output::default()
                });
                self.output.len() - 1
            });
        &mut self.output[place]
    }

    /// Takes an item as it stands now: when it is added to the stream it is nearly empty, when it is done whole.
    fn set_item(&mut self, index: u64, item: &Item<'_>) {
        let output = self.output(index);
        match item.kind.map(|kind| kind.raw) {
            Some(kind @ ("function_call" | "custom_tool_call")) => {
                let call = output.call.get_or_insert_default();
                call.custom = kind == "custom_tool_call";
                for (place, value) in [
                    (&mut call.id, item.call_id.or(item.id)),
                    (&mut call.name, item.name),
                    (
                        &mut call.arguments,
                        item.arguments.filter(|arguments| !arguments.raw.is_empty()),
                    ),
                ] {
                    if let Some(value) = value {
                        place.clear();
                        place.push(value);
                    }
                }
            }
            Some("message") if !item.content.texts.is_empty() => {
                output.text.clear();
                output.refusal.clear();
                for text in &item.content.texts {
                    output.text.push(*text);
                }
            }
            _ => {}
        }
    }

    pub(super) fn into_decoded(mut self) -> Decoded {
        self.output.sort_by_key(|output| output.index);
        let tool_calls = calls_json(self.output.iter().filter_map(|output| output.call.as_ref()));
        let finish_reason = match (self.status.as_deref(), self.incomplete_reason.as_deref()) {
            (Some("completed"), _) if tool_calls.is_some() => Some("tool_calls"),
            (Some("completed"), _) => Some("stop"),
            (Some("incomplete"), Some("content_filter")) => Some("content_filter"),
            (Some("incomplete"), _) => Some("length"),
            _ => None,
        };
        let mut text: Option<String> = None;
        for output in self.output {
            let part = output.text.into_text().or(output.refusal.into_text());
            match (&mut text, part) {
                (Some(text), Some(part)) => text.push_str(&part),
                (place @ None, part) => *place = part,
                (Some(_), None) => {}
            }
        }
        Decoded {
            model: self.model,
            finish_reason: finish_reason.map(str::to_owned),
            text,
            tool_calls,
            usage: self.usage.usage,
            usage_raw: self.usage.raw,
            service_tier: self.service_tier,
            error: self.error,
            ..Decoded::default()
        }
    }
}
