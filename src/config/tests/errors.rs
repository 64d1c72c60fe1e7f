//! Listings of problems: all at once, each with its place, its path and what is allowed.

use super::{Case, from_yaml};

#[track_caller]
fn check(name: &str, yaml: &str) {
    let listing = from_yaml(yaml).expect_err("wrong");
    insta::assert_snapshot!(name, format!("{yaml}\n{listing}"));
}

#[test]
fn many_at_once() {
    check(
        "many_at_once",
        r#"
server:
  prot: 8000
  port: 70000
  keep_alive_s: soon
  max_body_bytes: -1
  insecure: yes
  trusted_proxies: [10.0.0.0/8, 10.0.0.0/99, home]
  cors: { origins: ["https://a.example", "https://a.example/path"] }
admin: []
database:
  url: mysql://u:canary@h/db
log:
  durability: disk
  bodies: { rules: [] }
  columns:
    Team: { from: request.header.x-team }
    model: { from: tag.m, kind: text }
    cost: { from: nowhere, type: money }
providers:
  - name: V1
    base_url: api.openai.com
    api_keys:
      - { key: "" }
      - { name: a }
      - { key: " sk-1", wait: 3 }
    timeouts: { idle_s: 0 }
    on_disconnect: drain
  - { kind: vertex, name: two, headers: { "bad name": x, host: y } }
filters:
  - { kind: baned_users }
  - { kind: banned_users, users: mallory }
  - { on_error: ignore, when: { endpoints: [chat] } }
keys: { required: false }
telemetry: { log_level: 5 }
"#,
    );
}

#[test]
fn broken_yaml() {
    check("broken_yaml", "server:\n  port: [1\nadmin: {}\n");
}

#[test]
fn keys_said_twice() {
    check(
        "keys_said_twice",
        "server: { port: 1 }\nadmin: { port: 2, port: 3 }\nserver: { port: 4 }\n",
    );
}

#[test]
fn listeners() {
    check(
        "listeners_beyond_loopback",
        "server: { host: 0.0.0.0 }\nadmin: { host: '::', token: '' }\n",
    );
    check(
        "listeners_meet",
        "server: { host: localhost, port: 9000 }\nadmin: { port: 9000 }\n",
    );
    check(
        "listeners_malformed",
        "server: { host: 'http://localhost' }\nadmin: { token: ' ' }\n",
    );
}

#[test]
fn providers() {
    let head = "providers:\n";
    for (name, rows) in [
        ("providers_empty", "[]"),
        (
            "providers_same_name",
            "- { kind: openai }\n- { kind: openai, name: OpenAI }",
        ),
        (
            "providers_files",
            "- { kind: openai, ca_cert: /nonexistent/ca.pem, client_cert: /nonexistent/c.pem }",
        ),
        (
            "providers_of_other_kinds",
            "- { kind: azure, name: a, base_url: https://r.openai.azure.com/openai, api_version: \"1/2\", deployments: { m: \"\" } }\n\
             - { kind: azure, name: b }\n\
             - { kind: anthropic, base_url: https://api.anthropic.com/v1, api_version: \"1\", deployments: {} }",
        ),
        (
            "providers_of_ocf_and_asksage",
            "- { kind: ocf, name: a }\n\
             - { kind: ocf, name: b, base_url: http://h:8092/v1, dataset: x }\n\
             - { kind: ocf, name: c, base_url: http://h:8092/v1/service/llm, persona: 1 }\n\
             - { kind: asksage, name: d, base_url: https://api.asksage.ai }\n\
             - { kind: asksage, name: e, dataset: \"\", persona: -1 }\n\
             - { kind: asksage, name: f, dataset: [a], persona: someone }\n\
             - { kind: asksage, name: g, dataset: all, persona: [1] }",
        ),
        (
            "providers_of_bedrock",
            "- { kind: bedrock, name: a }\n\
             - { kind: bedrock, name: b, region: Frankfurt, base_url: http://h/model }\n\
             - { kind: bedrock, name: c, region: us-east-1, access_key_id: \"A K\", secret_access_key: s, api_keys: [{ key: k }] }\n\
             - { kind: bedrock, name: d, region: us-east-1, access_key_id: AK }\n\
             - { kind: bedrock, name: e, region: us-east-1, secret_access_key: s }\n\
             - { kind: bedrock, name: f, region: us-east-1, session_token: t }\n\
             - { kind: openai, name: g, region: us-east-1, access_key_id: AK }",
        ),
        (
            "providers_keys_same_name",
            "- { kind: openai, api_keys: [{ key: a, name: x }, { key: b, name: x }] }",
        ),
        (
            "providers_keys_weights",
            "- kind: openai\n  api_keys:\n  \
             - { key: a, weight: 0 }\n  - { key: b, weight: -1.5 }\n  - { key: c, weight: \"${W:-inf}\" }\n  \
             - { key: d, weight: \"${W:-nan}\" }\n  - { key: e, weight: heavy }\n  - { key: f, weight: \"2\" }\n  \
             - { key: g, weight: [1] }\n  - { key: h, weight: 1e-9 }\n  - { key: i, weight: 5000000000 }",
        ),
    ] {
        check(name, &format!("{head}  {}\n", rows.replace('\n', "\n  ")));
    }
}

#[test]
fn settings_of_routing() {
    check(
        "settings_of_routing",
        r#"
routing:
  max_attempts: 0
  retry_statuses: [399, 600, 200-500, 503-500, "five", 5.5, 429, " 500 - 502 "]
  retry_budget_percent: 101
  breaker_failures: 0
  breaker_open_s: 0
  session_ttl_s: never
  preferred_region: west
  strategy: fastest
prices:
  a: { input_usd_per_mtok: -1, output_usd_per_mtok: free }
  b: { input_usd_per_mtok: "${P:-nan}", cached_usd_per_mtok: "${P:-inf}", per_image: 1 }
  c: 5
providers:
  - kind: openai
    weight: -1
    key_selection: random
    api_keys: [{ key: a, max_rps: -1 }, { key: b, max_rps: 1.5 }]
    models: { discover: yes, ttl_s: 9.9, deny: a }
    prefix: /a
    retry_statuses: 500
    probe_s: 4
  - { kind: openai, name: two, weight: "${P:-inf}", prefix: openai/x, region: north, probe_s: often }
redis: { url: "redis://h", size: 1 }
"#,
    );
}

#[test]
fn logical_models() {
    check(
        "logical_models",
        r#"
providers:
  - { kind: openai, name: one }
  - { kind: openai, name: two }
models:
  "": { targets: [{ provider: one, model: a }] }
  " a": { targets: [{ provider: one, model: a }] }
  "gpt-*": { targets: [{ provider: one, model: a }] }
  one/a: { targets: [{ provider: one, model: a }] }
  three/a: { targets: [{ provider: one, model: a }] }
  twice: { targets: [{ provider: one, model: a }] }
  twice: { targets: [{ provider: one, model: a }] }
  none: {}
  empty: { targets: [] }
  text: one/a
  wrong:
    strategy: fastest
    sticky: 1
    kind: x
    targets:
      - { provider: on, model: a }
      - { provider: elsewhere, model: a, weight: 0 }
      - { model: "", tier: -1 }
      - { provider: two }
      - { provider: two, model: a, when: { headers: { "a b": x, Authorization: "sk-*" }, tags: [a], keys: a } }
      - { provider: two, model: b, when: { tags: { n: 1 }, min_prompt_bytes: 5, max_prompt_bytes: 4, models: [] } }
      - { provider: two, model: c }
      - { provider: two, model: c, tier: 1, weight: 2 }
      - { provider: two, model: c, when: { keys: [k] } }
"#,
    );
}

#[test]
fn urls_of_redis() {
    let canary = "canary-0123456789";
    for (url, is_taken) in [
        ("", true),
        ("redis://h", true),
        ("redis://h:6379/0", true),
        ("rediss://u:canary-0123456789@[::1]:6380/15", true),
        ("redis://:%40%2F@h/", true),
        ("h:6379", false),
        ("http://h", false),
        ("redis://", false),
        ("redis:///0", false),
        ("redis://:canary-0123456789/x@h", false),
        ("redis://h/zero", false),
        ("redis://h/0/1", false),
        ("redis://h?password=canary-0123456789", false),
        ("rediss://:canary-0123456789#x@h", false),
        ("redis://h:70000", false),
        ("redis+unix:///run/redis", false),
    ] {
        let found = from_yaml(&format!("redis: {{ url: '{url}' }}"));
        assert_eq!(found.is_ok(), is_taken, "{url}: {:?}", found.err());
        let said = found.map_or_else(
            |listing| listing,
            |config| format!("{config:?}{}", config.show()),
        );
        assert!(!said.contains(canary), "{said}");
    }
}

#[test]
fn variables_that_are_not_there() {
    check(
        "variables_that_are_not_there",
        "server: { port: \"${PORT_A}\" }\nproviders:\n  - kind: openai\n    api_keys: [{ key: \"${KEY_A}\" }, { key: '${oops' }]\n",
    );
}

#[test]
fn the_proxy_is_not_its_own_upstream() {
    for (url, refused) in [
        ("http://127.0.0.1:8000/v1", true),
        ("http://localhost:8000", true),
        ("http://LOCALHOST:8000", true),
        ("http://0.0.0.0:8000/v1", true),
        ("http://2130706433:8000/v1", true),
        ("https://127.0.0.1:8000/v1", true),
        ("http://[::ffff:127.0.0.1]:8000/v1", true),
        ("http://127.0.0.1:8001/v1", true),
        ("http://127.0.0.1:9000/v1", false),
        ("http://[::1]:8000/v1", false),
        ("http://upstream:8000/v1", false),
    ] {
        let yaml = format!("providers: [{{ kind: openai, base_url: '{url}' }}]");
        let found = from_yaml(&yaml).err();
        assert_eq!(found.is_some(), refused, "{url}: {found:?}");
        let case = Case {
            variables: &[("OPENAI_BASE_URL", url)],
            ..Case::default()
        };
        assert_eq!(case.load().is_err(), refused, "{url} from the environment");
    }
    check(
        "loop",
        "providers: [{ kind: openai, base_url: 'http://localhost:8000/v1' }]",
    );
}

#[test]
fn no_secret_is_in_a_listing() {
    let canary = "canary-0123456789";
    let yaml = format!(
        "server: {{ host: '${{S}}', port: '${{S}}' }}\nlog: {{ durability: '${{S}}' }}\n\
         database: {{ url: 'mysql://u:{canary}@h/d' }}\nadmin: {{ token: ' {canary}' }}\n\
         providers:\n  - {{ kind: '${{S}}', base_url: 'http://u:{canary}@h', api_keys: [{{ key: '{canary} ' }}] }}\n"
    );
    let variables = [
        ("S", canary),
        ("AIPROXY__SERVER__WORKERS", canary),
        ("AIPROXY__FILTERS", canary),
    ];
    let case = Case {
        yaml: Some(&yaml),
        variables: &variables,
        ..Case::default()
    };
    let listing = case.load().expect_err("wrong");
    assert!(!listing.contains(canary), "{listing}");
    assert!(listing.lines().count() > 7, "{listing}");
}

#[test]
fn a_file_cannot_steer_the_terminal() {
    let listing = from_yaml("\"k\\e[31m\\nforged: line\": 1\n").expect_err("wrong");
    assert!(!listing.contains('\x1b'), "{listing}");
    assert_eq!(listing.lines().count(), 2, "{listing}");
}
