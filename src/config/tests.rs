//! The configuration as its users meet it: a file, an environment and flags in; a configuration or a listing of
//! problems out.

mod errors;
mod layers;
mod show;

use std::path::PathBuf;

use serde_json::Value;

use super::{Config, Environment, FilterKinds, OptionProblem, Override, Rules, Sources, load};

/// Two kinds of filters, of which one has an option that can be wrong.
struct Kinds;

impl FilterKinds for Kinds {
    fn kinds(&self) -> Vec<String> {
        vec!["banned_users".to_owned(), "tag".to_owned()]
    }

    fn check_options(&self, kind: &str, options: &Value) -> Vec<OptionProblem> {
        match options.get("users") {
            Some(users) if kind == "banned_users" && !users.is_array() => {
                vec![OptionProblem {
                    path: "users".into(),
                    message: "expected a list".into(),
                }]
            }
            Some(_) | None => Vec::new(),
        }
    }
}

const RULES: Rules<'_> = Rules {
    filters: &Kinds,
    built_in_columns: &["model", "provider"],
};

/// What a configuration is made of in a test.
#[derive(Default)]
struct Case<'a> {
    yaml: Option<&'a str>,
    variables: &'a [(&'a str, &'a str)],
    flags: &'a [(&'static [&'static str], &'static str, &'a str)],
}

impl Case<'_> {
    /// The configuration, or the listing of its problems with `aiproxy.yaml` for the file's name.
    fn load(&self) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(yaml) = self.yaml {
            std::fs::write(folder.path().join("aiproxy.yaml"), yaml).expect("written");
        }
        let overrides = self.flags.iter().map(|(path, flag, value)| Override {
            path,
            flag,
            value: (*value).to_owned(),
        });
        let sources = Sources {
            file: None,
            environment: self.variables.iter().copied().collect::<Environment>(),
            overrides: overrides.collect(),
            folder: folder.path().to_owned(),
        };
        let prefix = format!("{}/", folder.path().display());
        load(&sources, &RULES).map_err(|problems| problems.to_string().replace(&prefix, ""))
    }
}

fn from_yaml(yaml: &str) -> Result<Config, String> {
    Case {
        yaml: Some(yaml),
        ..Case::default()
    }
    .load()
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(name)
}
