//! A model of a provider whose list has a shape of its own, and how OpenAI's list shows it.

use serde_json::json;

/// One model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// Its name.
    pub id: String,
    /// What its provider calls it, where that is another name.
    pub internal_name: Option<String>,
    /// Whose it is.
    pub owned_by: String,
    /// When it was made, in seconds since the Unix epoch. `None` where the list does not say.
    pub created_s: Option<i64>,
}

impl ListedModel {
    /// The entry of OpenAI's list. Its `created` is a number in every client's eyes: 0 where it is not known.
    pub fn to_json(&self) -> String {
        let created = self.created_s.unwrap_or(0);
        let mut entry = json!({ "id": self.id, "object": "model", "created": created, "owned_by": self.owned_by });
        if let Some(internal_name) = &self.internal_name {
            entry["internal_name"] = json!(internal_name);
        }
        entry.to_string()
    }
}
