//! `log`: what of an exchange is kept, how safely, how long, and the columns of one's own.

use std::path::PathBuf;

use serde::Serialize;

use super::columns::{ColumnConfig, as_map, read_columns};
use super::item::Word;
use super::section::Section;

/// How exchanges are recorded.
#[derive(Debug, Clone, Serialize)]
pub struct LogConfig {
    /// What a record survives.
    pub durability: Durability,
    /// Folder of the spool; made with mode 0700.
    pub spool_dir: PathBuf,
    /// Most bytes that the spool may take on disk.
    pub spool_max_bytes: u64,
    /// What happens when it is full.
    pub on_spool_full: OnSpoolFull,
    /// How much of each exchange is kept.
    pub bodies: Bodies,
    /// Longer bodies are stored cut, in bytes; true size and SHA-256 are kept.
    pub body_max_bytes: u64,
    /// The same for request bodies that are not JSON: uploads, forms, audio. The lesser of both counts for them.
    pub upload_max_bytes: u64,
    /// Most bytes of finished records waiting in memory; the rest waits in the spool.
    pub queue_bytes: usize,
    /// How long rows and bodies stay.
    pub retention: RetentionConfig,
    /// Columns of one's own, in the order of the file.
    #[serde(serialize_with = "as_map")]
    pub columns: Vec<ColumnConfig>,
}

/// What a record survives once the client saw the end of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing: records live in memory until they are in SQL.
    Memory,
    /// The end of the process, however it comes.
    Process,
}

/// What to do with requests when the spool is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSpoolFull {
    /// Serve and count what is dropped.
    Degrade,
    /// Refuse with 503 `log_unavailable`.
    Refuse,
}

/// How much of an exchange is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bodies {
    /// Row, headers, bodies.
    Full,
    /// The row alone, without texts.
    Metadata,
    /// As `Metadata`, said with `body_state = off`.
    None,
}

/// How long records stay, in days; 0 keeps them.
#[derive(Debug, Clone, Serialize)]
pub struct RetentionConfig {
    /// Rows of `exchanges` and what hangs on them.
    pub exchanges_days: u32,
    /// Rows of `exchange_bodies`.
    pub bodies_days: u32,
}

impl Word for Durability {
    const WORDS: &'static [(&'static str, Self)] =
        &[("memory", Self::Memory), ("process", Self::Process)];
}

impl Word for OnSpoolFull {
    const WORDS: &'static [(&'static str, Self)] =
        &[("degrade", Self::Degrade), ("refuse", Self::Refuse)];
}

impl Word for Bodies {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("full", Self::Full),
        ("metadata", Self::Metadata),
        ("none", Self::None),
    ];
}

/// Reads `log`.
pub(super) fn read_log(mut section: Section<'_>) -> LogConfig {
    let config = LogConfig {
        durability: section.word("durability", Durability::Process),
        spool_dir: section
            .path_of("spool_dir")
            .unwrap_or_else(|| PathBuf::from("aiproxy-spool")),
        spool_max_bytes: section.number("spool_max_bytes", 8_589_934_592, 65_536..=u64::MAX / 2),
        on_spool_full: section.word("on_spool_full", OnSpoolFull::Degrade),
        bodies: section.word("bodies", Bodies::Full),
        body_max_bytes: section.number("body_max_bytes", 8_388_608, 0..=4_294_967_296),
        upload_max_bytes: section.number("upload_max_bytes", 262_144, 0..=4_294_967_296),
        queue_bytes: section.number("queue_bytes", 33_554_432, 4_096..=4_294_967_296),
        retention: read_retention(section.section("retention")),
        columns: read_columns(&mut section),
    };
    section.finish();
    config
}

fn read_retention(mut section: Section<'_>) -> RetentionConfig {
    let config = RetentionConfig {
        exchanges_days: section.number("exchanges_days", 90, 0..=36_500),
        bodies_days: section.number("bodies_days", 14, 0..=36_500),
    };
    section.finish();
    config
}
