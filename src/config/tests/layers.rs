//! Which source wins, and what stands when none says anything.

use super::{Case, Config, RULES, Sources, from_yaml, load};

const PORT: &[&str] = &["server", "port"];

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let yaml = Some("server: { port: 1001 }");
    let variables = [("AIPROXY__SERVER__PORT", "1002"), ("PORT", "1003")];
    let flags: &[(&'static [&'static str], &'static str, &str)] = &[(PORT, "--port", "1004")];
    for (case, port) in [
        (Case::default(), 8000),
        (
            Case {
                variables: &variables[1..],
                ..Case::default()
            },
            1003,
        ),
        (
            Case {
                variables: &variables,
                ..Case::default()
            },
            1002,
        ),
        (
            Case {
                yaml,
                ..Case::default()
            },
            1001,
        ),
        (
            Case {
                yaml,
                variables: &variables[1..],
                ..Case::default()
            },
            1001,
        ),
        (
            Case {
                yaml,
                variables: &variables,
                ..Case::default()
            },
            1002,
        ),
        (
            Case {
                yaml,
                variables: &variables,
                flags,
            },
            1004,
        ),
    ] {
        assert_eq!(case.load().expect("valid").server.port, port);
    }
}

#[test]
fn the_environment_reaches_every_kind_of_value() {
    let variables = [
        ("AIPROXY__SERVER__WORKERS", "2"),
        ("AIPROXY__SERVER__INSECURE", "true"),
        ("AIPROXY__SERVER__HOST", "0.0.0.0"),
        ("AIPROXY__SERVER__KEEP_ALIVE_S", "0.5"),
        ("AIPROXY__SERVER__CORS__ORIGINS__0", "*"),
        ("AIPROXY__LOG__BODIES", "none"),
        ("AIPROXY__LOG__COLUMNS__TEAM__FROM", "tag.team"),
        ("AIPROXY__PROVIDERS__0__KIND", "openai"),
        ("AIPROXY__PROVIDERS__0__API_KEYS__0__KEY", "12345"),
        ("AIPROXY__PROVIDERS__0__API_KEYS__0__WEIGHT", "0.25"),
        ("AIPROXY__PROVIDERS__0__HEADERS__X-TEAM", "true"),
        ("AIPROXY__FILTERS__0__KIND", "tag"),
        ("AIPROXY__FILTERS__0__TAGS__RUN", "7"),
    ];
    let config = Case {
        variables: &variables,
        ..Case::default()
    }
    .load()
    .expect("valid");
    insta::assert_snapshot!(config.show());
}

#[test]
fn wrong_values_are_blamed_on_their_source() {
    let case = Case {
        yaml: Some("server: { port: 1 }"),
        variables: &[
            ("AIPROXY__SERVER__PROT", "1"),
            ("AIPROXY__SERVER__WORKERS", "many"),
            ("AIPROXY__SERVER__TRUSTED_PROXIES", "10.0.0.1"),
            ("DATABASE_URL", "redis://h"),
            ("OPENAI_API_KEY", ""),
        ],
        flags: &[
            (PORT, "--port", "99999"),
            (&["server", "host"], "--host", "::"),
        ],
    };
    insta::assert_snapshot!(case.load().expect_err("wrong"));
}

#[test]
fn without_a_file_the_environment_is_enough() {
    let shown = |config: &Config| {
        let provider = &config.providers[0];
        let keys: Vec<&str> = provider
            .api_keys
            .iter()
            .map(|key| key.key.expose())
            .collect();
        let database = &config.database.url;
        format!("{} {keys:?} {database}", provider.base_url.as_str())
    };
    for (variables, expected) in [
        (&[][..], "https://api.openai.com/v1 [] sqlite://aiproxy.db"),
        (
            &[("OPENAI_API_KEY", "sk-1")],
            "https://api.openai.com/v1 [\"sk-1\"] sqlite://aiproxy.db",
        ),
        (
            &[("DATABASE_URL", "postgresql+psycopg://h/db")],
            "https://api.openai.com/v1 [] postgres://h/db",
        ),
    ] {
        let config = Case {
            variables,
            ..Case::default()
        }
        .load()
        .expect("valid");
        assert_eq!(shown(&config), expected);
        assert_eq!(config.file(), None);
        assert!(config.providers[0].models.allow[0].matches("anything"));
    }
}

#[test]
fn a_file_without_providers_takes_them_from_the_environment() {
    let case = Case {
        yaml: Some("telemetry: { log_level: debug }"),
        variables: &[("OPENAI_API_KEY", "sk-1")],
        ..Case::default()
    };
    assert_eq!(
        case.load().expect("valid").providers[0].api_keys[0]
            .key
            .expose(),
        "sk-1"
    );
}

#[test]
fn a_variable_cannot_add_keys() {
    let case = Case {
        yaml: Some(
            "server: { port: \"${P:-9000}\" }\nproviders:\n  - { kind: openai, name: \"${N}\" }\n",
        ),
        variables: &[("N", "x, base_url: http://evil"), ("P", "9001")],
        ..Case::default()
    };
    let listing = case.load().expect_err("not a name");
    assert!(listing.contains("providers[0].name"), "{listing}");
    assert!(!listing.contains("server.port"), "{listing}");
}

#[test]
fn which_models_a_provider_takes_by_default() {
    for (models, allow, discover) in [
        ("", vec!["*"], false),
        (", models: {}", vec![], true),
        (", models: { deny: [a] }", vec![], true),
        (", models: { discover: false }", vec![], false),
        (", models: { list: [a] }", vec![], false),
        (", models: { list: [a], discover: true }", vec![], true),
        (", models: { allow: [\"gpt-*\"] }", vec!["gpt-*"], false),
    ] {
        let config = from_yaml(&format!("providers: [{{ kind: openai{models} }}]")).expect("valid");
        let allow: Vec<_> = allow.into_iter().map(crate::config::Glob::new).collect();
        let found = &config.providers[0].models;
        assert_eq!(
            (&found.allow, found.discover),
            (&allow, discover),
            "{models}"
        );
    }
}

#[test]
fn the_version_changes_with_every_value_and_with_nothing_else() {
    let version = |yaml: &str| from_yaml(yaml).expect("valid").version().to_owned();
    let key = |key: &str| {
        version(&format!(
            "providers: [{{ kind: openai, api_keys: [{{ key: {key} }}] }}]"
        ))
    };
    assert_eq!(
        version(""),
        version("server: { port: 8000 } # the default\n")
    );
    assert_ne!(version(""), version("server: { port: 8002 }"));
    assert_ne!(key("sk-a"), key("sk-b"));
    assert_eq!(version("").len(), 12);
}

#[test]
fn files_are_found_in_their_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let home = root.join("home/.config/aiproxy");
    std::fs::create_dir_all(&home).expect("made");
    for (name, port) in [
        ("given", 1),
        ("named", 2),
        ("aiproxy.yaml", 3),
        ("home/.config/aiproxy/config.yaml", 4),
    ] {
        std::fs::write(root.join(name), format!("server: {{ port: {port} }}")).expect("written");
    }
    let home = root.join("home").into_os_string();
    let mut sources = Sources {
        file: Some(root.join("given")),
        environment: [
            ("HOME", home),
            ("AIPROXY_CONFIG", root.join("named").into_os_string()),
        ]
        .into_iter()
        .collect(),
        overrides: Vec::new(),
        folder: root.to_owned(),
    };
    let port = |sources: &Sources| load(sources, &RULES).expect("valid").server.port;
    assert_eq!(port(&sources), 1);
    sources.file = None;
    assert_eq!(port(&sources), 2);
    sources.environment.set("AIPROXY_CONFIG", "");
    assert_eq!(port(&sources), 3);
    std::fs::remove_file(root.join("aiproxy.yaml")).expect("removed");
    assert_eq!(port(&sources), 4);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("latin1"), b"a: \xe9").expect("written");
    for (name, part) in [
        ("nowhere", "cannot be read"),
        ("latin1", "is not UTF-8"),
        (".", "cannot be read"),
    ] {
        let mut sources = Sources::of_process(Some(folder.path().join(name)));
        sources.environment = Case::default().variables.iter().copied().collect();
        let problems = load(&sources, &RULES).expect_err(name).to_string();
        assert!(problems.contains(part), "{problems}");
    }
}
