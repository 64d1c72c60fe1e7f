//! What is wrong in a configuration, and where: every problem names its place, its path and what is allowed.
//! Values are shown only where they stood in the file and cannot be a secret.

use std::fmt;
use std::sync::Arc;

use super::printable;

/// Where a value of the configuration came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A place in a file; lines and columns count from 1.
    File {
        /// The file as it was named.
        file: Arc<str>,
        /// Line, from 1.
        line: u64,
        /// Column in characters, from 1.
        column: u64,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A flag of the command line, as it is written there.
    Flag(&'static str),
    /// Nobody said anything: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: 0, .. } => write!(f, "{}", printable(file)),
            Self::File { file, line, column } => write!(f, "{}:{line}:{column}", printable(file)),
            Self::Environment(name) => write!(f, "environment {}", printable(name)),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it was said.
    pub origin: Origin,
    /// Path of the key, such as `providers[0].base_url`; empty when it is about the whole.
    pub path: String,
    /// What is wrong and what is allowed: lower-case, no full stop, never a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", printable(&self.path))?;
        }
        f.write_str(&printable(&self.message))
    }
}

/// All that is wrong in a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a problem:")?,
            count => write!(f, "the configuration has {count} problems:")?,
        }
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
