//! Conversations as Anthropic's Messages and Bedrock's `converse` have them: a system prompt beside a list of messages.

use super::canonical::{Message, Part, Role};
use super::fields::Fields;
use super::{Dropped, TranslateError};

/// Reads the content that stands in a field.
pub(super) type ReadContent =
    fn(&mut Fields, &'static str, &mut Dropped) -> Result<Vec<Part>, TranslateError>;

/// Who may speak in a message, by the words of both.
pub(super) const TWO_ROLES: &[(&str, Role)] =
    &[("user", Role::User), ("assistant", Role::Assistant)];

/// Reads the system prompt and the messages.
pub(super) fn read(
    fields: &mut Fields,
    roles: &[(&str, Role)],
    content: ReadContent,
    messages: &mut Vec<Message>,
    dropped: &mut Dropped,
) -> Result<(), TranslateError> {
    let system = content(fields, "system", dropped)?;
    if !system.is_empty() {
        messages.push(Message {
            role: Role::System,
            parts: system,
            path: "system".to_owned(),
        });
    }
    let said = fields.list("messages")?;
    let said = said.ok_or_else(|| fields.invalid("messages", "a list"))?;
    for (at, item) in said.into_iter().enumerate() {
        let path = format!("messages[{at}]");
        let mut message = Fields::of(item, &path)?;
        let word = message.wanted_text("role")?;
        let Some((_, role)) = roles.iter().find(|(known, _)| *known == word) else {
            return Err(message.invalid("role", "user or assistant"));
        };
        let parts = content(&mut message, "content", dropped)?;
        message.drop_rest(dropped);
        messages.push(Message {
            role: *role,
            parts,
            path,
        });
    }
    Ok(())
}
