//! How the program ends: every exit code, and which failure has which.

use std::process::ExitCode;

use crate::config::Problems;
use crate::gateway::StartError;

use super::output::Closed;

/// What the program's exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong use, or a wrong configuration.
    Usage = 2,
    /// The schema of the database does not fit.
    Schema = 3,
    /// Another instance holds the spool or the SQLite file.
    Held = 4,
    /// Ended by Ctrl-C in the middle of questions (128 and the signal's number, as shells say it).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure with the exit code that it asks for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What is said on stderr: lower-case, no full stop, no secret.
    pub message: String,
}

impl Failure {
    /// Wrong use of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    /// Something that was asked for could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            message: message.into(),
        }
    }
}

/// The exit code of an error: the first cause that asks for one, else [`Exit::Failed`].
pub fn of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.exit;
        }
        if let Some(error) = cause.downcast_ref::<StartError>() {
            return of_start(error);
        }
        if cause.is::<Problems>() {
            return Exit::Usage;
        }
        if cause.is::<Closed>() {
            return Exit::Done;
        }
    }
    Exit::Failed
}

fn of_start(error: &StartError) -> Exit {
    match error {
        StartError::Config(_)
        | StartError::Column(_)
        | StartError::Provider(_)
        | StartError::Shared(_)
        | StartError::Filter(_) => Exit::Usage,
        StartError::Schema(_) => Exit::Schema,
        StartError::Held(_) => Exit::Held,
        StartError::Spool(_) | StartError::System { .. } => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn each_failure_has_its_code() {
        let failed = |exit| {
            anyhow::Error::new(Failure {
                exit,
                message: "x".to_owned(),
            })
        };
        for (error, exit) in [
            (anyhow::anyhow!("x"), Exit::Failed),
            (failed(Exit::Schema), Exit::Schema),
            (failed(Exit::Held).context("outer"), Exit::Held),
            (anyhow::Error::new(Problems(Vec::new())), Exit::Usage),
            (anyhow::Error::new(Closed), Exit::Done),
        ] {
            assert_eq!(of(&error), exit);
        }
        let wrapped: anyhow::Result<()> = Err(Failure::usage("x")).context("outer");
        assert_eq!(wrapped.map_err(|error| of(&error)), Err(Exit::Usage));
    }
}
