//! What `config show` prints: everything, resolved, and no secret.

use super::super::tree::{Node, Value, parse};
use super::{Case, Config, RULES, Sources, fixture, from_yaml, load};

const CANARY: &str = "canary-0123456789";

const TWO: &str = r#"
providers:
  - kind: openai
    name: one
    region: north
    weight: 0
    key_selection: weighted
    models: { deny: ["*-preview"], ttl_s: 10 }
    prefix: mine
    retry_statuses: [408, 500-503]
    probe_s: 5
    api_keys: [{ key: a, weight: 0.5, max_rps: 3 }]
  - { kind: bedrock, name: two, region: eu-central-1, api_keys: [{ key: b }] }
"#;

const MODELS: &str = r#"
models:
  team/fast:
    description: for the team
    sticky: false
    targets:
      - { provider: one, model: small, when: { headers: { X-Team: "blue*" }, keys: [k], max_prompt_bytes: 5 } }
      - { provider: two, model: small, weight: 2, tier: 1, when: { tags: { team: blue } } }
  slow: { strategy: priority, prefix_affinity: false, targets: [{ provider: two, model: large, region: south }] }
routing: { strategy: latency_first, prefix_affinity: true, preferred_region: south, retry_statuses: [] }
prices: { large: { input_usd_per_mtok: 3, output_usd_per_mtok: 15 } }
"#;

fn full_of_secrets() -> Config {
    let yaml = format!(
        "admin: {{ token: {CANARY} }}\n\
         database: {{ url: 'postgres://u:{CANARY}@h/db?password={CANARY}' }}\n\
         providers:\n  - kind: openai\n    base_url: http://h:1/v1\n    api_keys: [{{ key: '${{K}}', name: a }}]\n    \
         headers: {{ Authorization: 'Bearer {CANARY}', X-Api-Key: {CANARY}, x-team: blue, x-env: '${{K}}', x-other: 'Bearer {CANARY}' }}\n  \
         - {{ kind: bedrock, region: eu-central-1, access_key_id: AKIA1, secret_access_key: {CANARY}, session_token: {CANARY} }}\n\
         redis: {{ url: 'rediss://u:{CANARY}@h:6380/2' }}\n\
         filters:\n  - {{ kind: tag, api_key: {CANARY}, url: 'https://u:{CANARY}@h/?key={CANARY}', tags: {{ a: b }} }}\n"
    );
    Case {
        yaml: Some(&yaml),
        variables: &[("K", CANARY)],
        ..Case::default()
    }
    .load()
    .expect("valid")
}

#[test]
fn secrets_are_masked() {
    insta::assert_snapshot!(full_of_secrets().show());
}

#[test]
fn what_is_left_out_comes_from_the_provider_and_from_routing() {
    let config = from_yaml(&format!("{TWO}{MODELS}")).expect("valid");
    insta::assert_snapshot!(config.show());
}

#[test]
fn no_secret_is_in_any_form() {
    let config = full_of_secrets();
    for text in [
        config.show().to_owned(),
        format!("{config:?}"),
        format!("{config:#?}"),
    ] {
        assert!(!text.contains(CANARY), "{text}");
    }
    assert_eq!(config.providers[0].api_keys[0].key.expose(), CANARY);
    assert_eq!(config.filters[0].options["api_key"], CANARY);
}

#[test]
fn what_is_shown_can_be_read_again() {
    let of_kinds = "providers:\n  - { kind: ocf, base_url: http://h:8092 }\n  - { kind: asksage, persona: 5, dataset: a }\n";
    let of_routing = format!("{TWO}{MODELS}");
    for config in [
        from_yaml(&of_routing).expect("valid"),
        full_of_secrets(),
        from_yaml("").expect("valid"),
        from_yaml(of_kinds).expect("valid"),
    ] {
        let again = from_yaml(config.show()).expect("valid");
        // Masks are masked again; everything else stays.
        let lines = |config: &Config| -> Vec<String> {
            config
                .show()
                .lines()
                .filter(|line| !line.contains("***"))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(lines(&again), lines(&config));
    }
}

/// Every path of a tree; members of lists are all called `[]`.
fn paths(node: &Node, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    if let Value::Map(entries) = &node.value {
        for entry in entries {
            paths(&entry.node, &format!("{path}.{}", entry.key), found);
        }
    } else if let Value::List(items) = &node.value {
        for item in items {
            paths(item, &format!("{path}[]"), found);
        }
    }
}

fn paths_of(yaml: &str) -> Vec<String> {
    let mut found = Vec::new();
    paths(
        &parse(&"a.yaml".into(), yaml).expect("valid YAML"),
        "",
        &mut found,
    );
    found
}

#[test]
fn the_reference_has_every_key() {
    let file = fixture("reference.yaml");
    let written = paths_of(&std::fs::read_to_string(&file).expect("read"));
    let mut sources = Sources::of_process(Some(file));
    sources.environment = [("NOTHING", "")].into_iter().collect();
    let config = load(&sources, &RULES).expect("valid");
    let missing: Vec<String> = paths_of(config.show())
        .into_iter()
        .filter(|path| !written.contains(path))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_reference_says_the_defaults() {
    let sections = |yaml: &str| -> serde_json::Value {
        parse(&"a.yaml".into(), yaml).expect("valid YAML").to_json()
    };
    let reference = sections(&std::fs::read_to_string(fixture("reference.yaml")).expect("read"));
    let default = sections(from_yaml("").expect("valid").show());
    for path in [
        "/server",
        "/database",
        "/log/retention",
        "/log/queue_bytes",
        "/log/spool_max_bytes",
        "/telemetry",
        "/routing",
        "/redis",
    ] {
        assert_eq!(reference.pointer(path), default.pointer(path), "{path}");
    }
    for path in [
        "/providers/0/timeouts",
        "/providers/0/models",
        "/providers/0/key_selection",
        "/providers/0/retry_statuses",
        "/providers/0/probe_s",
        "/providers/0/weight",
        "/providers/0/max_event_bytes",
    ] {
        assert_eq!(reference.pointer(path), default.pointer(path), "{path}");
    }
}
