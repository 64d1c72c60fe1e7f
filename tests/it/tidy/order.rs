//! Which module may use which, and who may name which crate.

use super::found;
use super::house::{Source, sources};

/// The modules, lowest first: one may use those of the rows above its own, none of its own row.
const ROWS: [&[&str]; 10] = [
    &["config"],
    &["clock"],
    &["telemetry"],
    &["database", "shared_state", "tokens", "pricing", "wire"],
    &["access_log", "upstream", "dialect"],
    &["routing"],
    &["pipeline"],
    &["server"],
    &["gateway"],
    &["cli"],
];

/// Modules that may use less than their row allows: all that they may.
const NARROW: [(&str, &[&str]); 5] = [
    ("clock", &[]),
    ("telemetry", &["config", "clock"]),
    ("shared_state", &["config", "clock", "telemetry"]),
    ("wire", &[]),
    ("dialect", &["wire"]),
];

/// Modules that may not use one that stands above them.
const NEVER: [(&str, &str); 1] = [("pipeline", "dialect")];

/// Crates that only these files and folders name.
const CRATES: [(&str, &[&str]); 9] = [
    ("actix_web", &["src/server", "src/cli/mock"]),
    ("awc", &["src/upstream/transport"]),
    ("clap", &["src/cli"]),
    ("anyhow", &["src/cli", "src/main.rs"]),
    ("sea_orm", &["src/database", "src/access_log"]),
    ("aiproxy_migration", &["src/database"]),
    ("tiktoken_rs", &["src/tokens"]),
    ("redis", &["src/shared_state"]),
    ("prometheus_client", &["src/server/metrics"]),
];

fn row(module: &str) -> usize {
    let row = ROWS.iter().position(|row| row.contains(&module));
    row.unwrap_or_else(|| panic!("module {module} has no place in the order"))
}

fn may_use(module: &str, other: &str) -> bool {
    if let Some((_, all)) = NARROW.iter().find(|(narrow, _)| *narrow == module) {
        return all.contains(&other);
    }
    row(other) < row(module) && !NEVER.contains(&(module, other))
}

/// The module that a file belongs to; `None` for `lib.rs` and `main.rs`.
fn module_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?;
    let name = name.trim_end_matches(".rs");
    (!["lib", "main"].contains(&name)).then_some(name)
}

/// The modules that a line names behind `crate::`.
fn used(line: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.split("crate::")
        .skip(1)
        .map(move |rest| rest.split(|c| !is_name(c)).next().unwrap_or_default())
}

/// Uses of one source that the order forbids.
fn forbidden(source: &Source) -> Vec<String> {
    let Some(module) = module_of(&source.path) else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    for line in source.code() {
        for other in used(line) {
            // `filter` is the crate below all; types of the library's root have capitals.
            let is_module = other != "filter" && other.starts_with(|c: char| c.is_lowercase());
            if other.is_empty() {
                wrong.push(format!(
                    "{}: one `use` a module, please: {line}",
                    source.path
                ));
            } else if is_module && other != module && !may_use(module, other) {
                wrong.push(format!("{}: {module} may not use {other}", source.path));
            }
        }
    }
    wrong
}

#[test]
fn modules_use_what_stands_above_them() {
    let wrong: Vec<String> = sources("src").iter().flat_map(forbidden).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_order_is_told_apart() {
    let check = |path: &str, text: &str, is_fine: bool| {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(forbidden(&source).is_empty(), is_fine, "{path}: {text}");
    };
    check("src/server/data.rs", "use crate::pipeline::Worker;", true);
    check("src/pipeline/events.rs", "use crate::server::form;", false);
    check(
        "src/pipeline.rs",
        "let x = crate::dialect::openai::X;",
        false,
    );
    check("src/upstream/a.rs", "use crate::access_log::guard;", false);
    check("src/config/a.rs", "use crate::filter::Endpoint;", true);
    check("src/config/a.rs", "// use crate::server::form;", true);
    check("src/clock.rs", "use crate::config::Config;", false);
    check("src/server.rs", "use crate::{config, wire};", false);
}

#[test]
fn crates_are_named_where_they_belong() {
    let sources = sources("src");
    for (name, places) in CRATES {
        let is_named = |line: &str| {
            let mut parts = line.split(name);
            let before = parts.next().unwrap_or_default();
            let after = parts.next();
            let is_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            is_word && after.is_some_and(|after| after.starts_with("::"))
        };
        let named = found(&sources, is_named);
        assert!(!named.is_empty(), "{name} is named nowhere");
        let wrong = named
            .iter()
            .filter(|(path, _)| !places.iter().any(|place| path.starts_with(place)));
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{name} belongs to {places:?}: {wrong:#?}");
    }
}

#[test]
fn filters_and_migrations_stand_below_the_program() {
    for folder in ["filters/src", "migration/src"] {
        let named = found(&sources(folder), |line| line.contains("aiproxy::"));
        assert!(named.is_empty(), "{named:#?}");
    }
}
