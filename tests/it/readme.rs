//! What the documents show is true: their YAML is accepted, their SQL runs, their tables and links are whole.

use std::path::Path;

use aiproxy::config::{FilterKinds, OptionProblem, Rules, Sources, load};
use aiproxy::database::value::fetch;
use serde_json::Value;

use crate::support::db::{TestDb, for_each_backend};

const DOCUMENTS: &[(&str, &str)] = &[
    ("README.md", include_str!("../../README.md")),
    ("ARCHITECTURE.md", include_str!("../../ARCHITECTURE.md")),
    ("CONTRIBUTING.md", include_str!("../../CONTRIBUTING.md")),
    ("CHANGELOG.md", include_str!("../../CHANGELOG.md")),
    (
        "migration/README.md",
        include_str!("../../migration/README.md"),
    ),
];

const README: &str = DOCUMENTS[0].1;

/// The blocks of code in a language, with the document that holds them.
fn blocks(language: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for (document, text) in DOCUMENTS {
        let mut lines = text.lines();
        while let Some(fence) = lines.next() {
            let Some(of) = fence.trim_start().strip_prefix("```") else {
                continue;
            };
            let block: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != "```")
                .collect();
            if of == language {
                found.push((*document, block.join("\n")));
            }
        }
    }
    assert_ne!(found, [], "no document has a block in {language}");
    found
}

/// The stock filters, and the kind that the README writes.
struct Kinds<K>(K);

impl<K: FilterKinds> FilterKinds for Kinds<K> {
    fn kinds(&self) -> Vec<String> {
        [self.0.kinds(), vec!["office_hours".to_owned()]].concat()
    }

    fn check_options(&self, kind: &str, options: &Value) -> Vec<OptionProblem> {
        match kind {
            "office_hours" => Vec::new(),
            _ => self.0.check_options(kind, options),
        }
    }
}

#[test]
fn every_yaml_is_a_configuration() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("aiproxy.yaml");
    let kinds = Kinds(aiproxy::gateway::stock_kinds());
    let names = aiproxy::access_log::columns::built_in_names();
    let rules = Rules {
        filters: &kinds,
        built_in_columns: &names,
    };
    for (document, yaml) in blocks("yaml") {
        std::fs::write(&file, &yaml).expect("a file");
        let sources = Sources {
            file: Some(file.clone()),
            environment: [("OPENAI_API_KEY", "sk-0123456789")].into_iter().collect(),
            overrides: Vec::new(),
            folder: dir.path().to_owned(),
        };
        if let Err(problems) = load(&sources, &rules) {
            panic!("{document}: {problems}\n{yaml}");
        }
    }
}

#[test]
fn the_readme_shows_the_whole_reference() {
    let reference = include_str!("../fixtures/config/reference.yaml");
    assert!(
        README.contains(reference.trim_end()),
        "copy tests/fixtures/config/reference.yaml into README.md, section Configuration"
    );
}

#[tokio::test]
async fn every_sql_runs() {
    for_each_backend(async |db: TestDb| {
        let database = db.migrated().await;
        for (document, sql) in blocks("sql") {
            if let Err(error) = fetch(database.write(), sql.trim_end_matches(';'), &[]).await {
                panic!("{document} on {:?}: {error}\n{sql}", db.backend);
            }
        }
    })
    .await;
}

#[test]
fn the_readme_names_every_stock_filter() {
    for kind in aiproxy::gateway::stock_kinds().kinds() {
        assert!(README.contains(&format!("| `{kind}` |")), "{kind}");
    }
}

#[test]
fn links_lead_somewhere() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (document, text) in DOCUMENTS {
        let folder = top.join(document).parent().expect("a folder").to_owned();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
        {
            let target = link.0.split('#').next().unwrap_or_default();
            let is_file = !target.is_empty() && !target.contains("://");
            assert!(
                !is_file || folder.join(target).exists(),
                "{document}: {target}"
            );
        }
    }
}
