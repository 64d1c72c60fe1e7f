//! The choice that several stock filters leave to the configuration: a normal answer, or, with a
//! status, a refusal.
use crate::{ConfigError, Refusal, RequestVerdict};

/// Refuses with `status` when there is one, else answers with the message.
pub(super) fn verdict(message: &str, status: Option<u16>, reason: &str) -> RequestVerdict {
    match status {
        Some(status) => {
            let refusal = Refusal::new(message)
                .with_status(status)
                .with_reason(reason);
            RequestVerdict::Refuse(refusal)
        }
        None => RequestVerdict::answer(message),
    }
}

/// # Errors
/// When the status is no error.
pub(super) fn check_status(status: Option<u16>) -> Result<(), ConfigError> {
    match status {
        Some(status) if !(400..=599).contains(&status) => Err(ConfigError::option(
            "status",
            format!("{status} is not between 400 and 599"),
        )),
        Some(_) | None => Ok(()),
    }
}

/// # Errors
/// When a text is empty.
pub(super) fn check_text(option: &str, text: &str) -> Result<(), ConfigError> {
    match text.is_empty() {
        true => Err(ConfigError::option(option, "must not be empty")),
        false => Ok(()),
    }
}
