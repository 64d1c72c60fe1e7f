//! Reading the configuration anew: what comes of it, how often what came, and `POST /api/config/reload`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::config::{Origin, Problem, Problems};

/// What came of reading the configuration anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// The next request is served by it.
    Applied {
        /// As in the column `config_version`.
        config_version: String,
        /// Paths of what differs from the start and waits for a restart.
        restart_needed: Vec<String>,
    },
    /// It says what it said before.
    Unchanged {
        /// As in the column `config_version`.
        config_version: String,
    },
}

/// Why the configuration of before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReloaded {
    /// It did not come from a file.
    #[error("there is no configuration file to read anew")]
    NoFile,
    /// Something in it is wrong.
    #[error(transparent)]
    Wrong(#[from] Problems),
    /// The server ends, or a filter's factory panicked.
    #[error("the configuration could not be read anew")]
    BrokeOff,
}

/// Reads it anew.
pub type ReloadNow =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Reloaded, NotReloaded>> + Send + Sync>;

/// How often what came of it.
#[derive(Debug, Default)]
pub struct ReloadCounts {
    applied: AtomicU64,
    failed: AtomicU64,
    unchanged: AtomicU64,
}

impl ReloadCounts {
    /// Counts one.
    pub fn add(&self, result: &Result<Reloaded, NotReloaded>) {
        let counter = match result {
            Ok(Reloaded::Applied { .. }) => &self.applied,
            Ok(Reloaded::Unchanged { .. }) => &self.unchanged,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// By result.
    pub fn totals(&self) -> [(&'static str, u64); 3] {
        [
            ("applied", self.applied.load(Ordering::Relaxed)),
            ("failed", self.failed.load(Ordering::Relaxed)),
            ("unchanged", self.unchanged.load(Ordering::Relaxed)),
        ]
    }
}

/// The answer to who asked for it over the admin port.
pub fn answer(result: &Result<Reloaded, NotReloaded>) -> HttpResponse {
    match result {
        Ok(Reloaded::Applied {
            config_version,
            restart_needed,
        }) => HttpResponse::Ok().json(json!({
            "applied": true,
            "config_version": config_version,
            "restart_needed": restart_needed,
        })),
        Ok(Reloaded::Unchanged { config_version }) => HttpResponse::Ok().json(json!({
            "applied": false,
            "unchanged": true,
            "config_version": config_version,
        })),
        Err(error) => {
            let (status, code, problems) = match error {
                NotReloaded::NoFile => (StatusCode::CONFLICT, "no_config_file", Vec::new()),
                NotReloaded::Wrong(Problems(problems)) => (
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "invalid_config",
                    problems.iter().map(shown).collect(),
                ),
                NotReloaded::BrokeOff => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "reload_failed",
                    Vec::new(),
                ),
            };
            let message = match error {
                NotReloaded::Wrong(_) => "the configuration is wrong; the one of before stays",
                NotReloaded::NoFile => {
                    "the configuration did not come from a file: there is nothing to read anew"
                }
                NotReloaded::BrokeOff => "the configuration could not be read anew",
            };
            HttpResponse::build(status).json(json!({
                "applied": false,
                "error": { "message": message, "code": code },
                "problems": problems,
            }))
        }
    }
}

fn shown(problem: &Problem) -> Value {
    let (file, line, column, source) = match &problem.origin {
        Origin::File { file, line: 0, .. } => (Some(&**file), None, None, "file"),
        Origin::File { file, line, column } => (Some(&**file), Some(line), Some(column), "file"),
        Origin::Environment(name) => (None, None, None, &**name),
        Origin::Flag(flag) => (None, None, None, *flag),
        Origin::Default => (None, None, None, "default"),
    };
    json!({
        "source": source,
        "file": file,
        "line": line,
        "column": column,
        "path": problem.path,
        "message": problem.message,
    })
}
