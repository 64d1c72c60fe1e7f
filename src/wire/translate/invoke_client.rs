//! Bedrock's `invoke` with Claude's Messages as its body, the side of its clients: Anthropic's format, in which the path
//! says what the body says there. (docs.aws.amazon.com, Amazon Bedrock user guide, Anthropic Claude Messages API, read
//! 2026-11.)

use serde_json::Value;

use super::anthropic;
use super::canonical::Request;
use super::fields::Fields;
use super::{Dropped, TranslateError};

/// What other models than today's Claudes are asked with.
const REFUSED: &[(&str, &str)] = &[("prompt", "only bodies with messages are translated")];

pub(super) fn read_request(body: Value, dropped: &mut Dropped) -> Result<Request, TranslateError> {
    let mut fields = Fields::of(body, "")?;
    fields.refuse(REFUSED)?;
    // The path says the last two.
    fields.ignore(&["anthropic_version", "model", "stream"]);
    anthropic::read_fields(fields, dropped)
}
