//! `telemetry`: how much the process says about itself.

use serde::Serialize;

use super::item::Word;
use super::section::Section;

/// Process logs and metrics.
#[derive(Debug, Clone, Serialize)]
pub struct TelemetryConfig {
    /// The least important lines that are written.
    pub log_level: LogLevel,
}

/// How important a line of the process log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing is written.
    Off,
    /// Something failed for good.
    Error,
    /// Something is wrong but mended or put off.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Its word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Word for LogLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// Reads `telemetry`.
pub(super) fn read_telemetry(mut section: Section<'_>) -> TelemetryConfig {
    let config = TelemetryConfig {
        log_level: section.word("log_level", LogLevel::Info),
    };
    section.finish();
    config
}
