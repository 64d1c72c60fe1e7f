//! Lists of models of a running gateway: they come without a request, decide where requests go, and are what clients and the
//! process log are told.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aiproxy::clock::{Clock, Dice};
use aiproxy::config::{Config, Environment, LogLevel, Rules, Sources, load};
use aiproxy::gateway::Gateway;
use aiproxy::telemetry::{LogFormat, subscriber};
use aiproxy::upstream::discovery::cache::{Cached, CachedList};
use aiproxy::upstream::discovery::{Discovery, DiscoverySettings};
use aiproxy::upstream::provider::Provider;
use aiproxy::upstream::registry;
use aiproxy::wire::found::Found;
use tempfile::TempDir;

use super::{
    AGAIN, CLOSE, config, entry, good, known_of, looking, no_cache, openai, received, then, until,
};
use crate::support::fake_upstream::{FakeUpstream, Script, Step};
use crate::support::gateway::{PROVIDER_KEY, TestGateway, Wanted, sqlite_in, wait_until};
use crate::support::signal::Signal;
use crate::support::wire::{WHOLE, json};

const CLIENTS_KEY: &str = "authorization: Bearer sk-canary-of-the-client\r\n";

pub(crate) fn list(names: &[&str]) -> Script {
    then(json(200, CLOSE, &list_body(names)))
}

fn list_body(names: &[&str]) -> String {
    let entries: Vec<String> = names
        .iter()
        .map(|id| format!(r#"{{"id":"{id}","created":7,"owned_by":"lab"}}"#))
        .collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, entries.join(","))
}

fn answer() -> Script {
    then(json(200, CLOSE, WHOLE))
}

/// An upstream that gives this list to whoever comes first, and answers to all others.
pub(super) fn listing(names: &[&str]) -> FakeUpstream {
    FakeUpstream::start(vec![list(names), answer()])
}

/// A gateway before this upstream, whose provider has these settings, with more providers and sections.
pub(crate) fn gateway(
    upstream: &FakeUpstream,
    settings: &str,
    more: &str,
    yaml: &str,
) -> TestGateway {
    TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: format!("    {settings}\n{more}"),
        yaml: yaml.to_owned(),
        ..Wanted::default()
    })
}

/// Another provider of OpenAI's kind.
pub(super) fn another(name: &str, upstream: &FakeUpstream, models: &str) -> String {
    let url = upstream.base_url();
    format!(
        "  - {{ name: {name}, kind: openai, base_url: \"{url}\", api_keys: [{{ key: sk-{name}-0123456789 }}], models: {models} }}\n"
    )
}

pub(crate) const DISCOVER: &str = "models: { discover: true }";

/// Waits until a provider was found to have so many models.
pub(crate) fn wait_for(gateway: &TestGateway, provider: &str, models: u32) {
    let name = format!("discovery_models{{provider=\"{provider}\"}}");
    wait_until("the list is there", || {
        gateway.metric(&name) == f64::from(models)
    });
}

/// Has the lists asked for, and waits until so many did not come.
fn fail_again(gateway: &TestGateway, failures: u32) {
    gateway.running().refresh_models();
    wait_until("it is asked in vain", || {
        f64::from(failures) <= gateway.metric("discovery_failures_total{provider=\"openai\"}")
    });
}

/// The names in a list, in its order.
pub(crate) fn names(gateway: &TestGateway, path: &str, headers: &str) -> Vec<String> {
    let answer = gateway.send("GET", path, headers, b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let list = answer.json();
    let entries = list["data"]
        .as_array()
        .or_else(|| list["models"].as_array());
    let name = |entry: &serde_json::Value| {
        let name = entry["id"].as_str().or_else(|| entry["name"].as_str());
        name.map(str::to_owned)
    };
    entries.into_iter().flatten().filter_map(name).collect()
}

#[test]
fn a_list_comes_without_a_request_and_no_request_asks_for_one() {
    let upstream = listing(&["m-2", "lab/m-1", "m-2"]);
    let gateway = gateway(&upstream, DISCOVER, "", "");
    wait_for(&gateway, "openai", 2);
    assert_eq!(upstream.connections(), 1);
    let asked = received(&upstream, 0);
    assert!(asked.starts_with("GET /v1/models HTTP/1.1\r\n"), "{asked}");
    let key = format!("authorization: Bearer {PROVIDER_KEY}\r\n");
    assert!(asked.contains(&key), "{asked}");
    let entry =
        |id: &str| format!(r#"{{"id":"{id}","object":"model","created":7,"owned_by":"lab"}}"#);
    let all = format!(
        r#"{{"object":"list","data":[{},{}]}}"#,
        entry("lab/m-1"),
        entry("m-2")
    );
    for (path, expected) in [
        ("/v1/models", all.clone()),
        ("/models", all),
        ("/v1/models/m-2", entry("m-2")),
        ("/v1/models/lab/m-1", entry("lab/m-1")),
        ("/v1/models/lab%2Fm-1", entry("lab/m-1")),
        ("/v1/models/openai/m-2", entry("m-2")),
    ] {
        let told = gateway.send("GET", path, CLIENTS_KEY, b"");
        assert_eq!((told.status, told.text()), (200, &*expected), "{path}");
    }
    assert_eq!(gateway.get("/v1/models/m-3").status, 404);
    assert_eq!(gateway.chat("m-3", "").status, 404);
    assert_eq!(upstream.connections(), 1);
    for row in gateway.rows() {
        let row = row.record;
        assert_eq!((row.attempts, row.provider), (0, None));
    }
    assert_eq!(gateway.chat("lab/m-1", "").status, 200);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_model_that_appears_can_be_asked_for_and_one_that_goes_cannot() {
    let scripts = vec![list(&["m-1"]), list(&["m-2", "m-3"]), answer()];
    let upstream = FakeUpstream::start(scripts);
    let gateway = gateway(&upstream, DISCOVER, "", "");
    wait_for(&gateway, "openai", 1);
    assert_eq!(gateway.chat("m-2", "").status, 404);
    gateway.running().refresh_models();
    wait_for(&gateway, "openai", 2);
    assert_eq!(gateway.chat("m-2", "").status, 200);
    let gone = gateway.chat("m-1", "");
    assert_eq!(
        (gone.status, gone.json()["error"]["code"].as_str()),
        (404, Some("model_not_found"))
    );
    assert_eq!(names(&gateway, "/v1/models", ""), ["m-2", "m-3"]);
}

#[test]
fn what_is_no_list_leaves_the_one_before() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>";
    let huge = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 16777217\r\n\r\n{";
    let bad = [
        html.as_bytes().to_vec(),
        huge.as_bytes().to_vec(),
        json(200, CLOSE, r#"{"data":[]}"#),
        json(200, CLOSE, "null"),
        json(200, CLOSE, r#"{"data":[{"id":"m-9"}"#),
        json(404, CLOSE, "{}"),
        json(503, CLOSE, "{}"),
    ];
    let wrong = bad.iter().cloned().map(then);
    let scripts = [list(&["m-1"])].into_iter().chain(wrong);
    let upstream = FakeUpstream::start(scripts.chain([answer()]).collect());
    let gateway = gateway(&upstream, DISCOVER, "", "");
    wait_for(&gateway, "openai", 1);
    for failures in 1..=bad.len() {
        fail_again(&gateway, failures as u32);
        assert_eq!(names(&gateway, "/v1/models", ""), ["m-1"]);
    }
    assert_eq!(gateway.chat("m-1", "").status, 200);
}

#[test]
fn before_the_first_list_requests_are_served() {
    let go = Signal::new();
    let slow = vec![
        Step::ReadRequest,
        Step::Wait(go.clone()),
        Step::Send(json(200, CLOSE, &list_body(&["m-1"]))),
        Step::ReadToEnd,
    ];
    let upstream = FakeUpstream::start(vec![slow, answer(), list(&["m-0"]), answer()]);
    let any = "models: { discover: true, allow: [\"*\"] }";
    let gateway = gateway(&upstream, any, "", "");
    upstream.wait_for_connections(1);
    assert_eq!(gateway.chat("whatever", "").status, 200);
    assert_eq!(names(&gateway, "/v1/models", ""), ["m-0"]);
    assert_eq!(upstream.connections(), 3);
    go.fire();
    wait_for(&gateway, "openai", 1);
    assert_eq!(names(&gateway, "/v1/models", ""), ["m-1"]);
    // The pattern still holds.
    assert_eq!(gateway.chat("whatever", "").status, 200);
}

#[test]
fn it_begins_with_the_lists_that_models_refresh_left() {
    let upstream = FakeUpstream::start(vec![then(json(500, CLOSE, "{}")), answer()]);
    let dir = TempDir::new().expect("a folder");
    let cached = format!(
        r#"{{"form":1,"providers":{{"openai":{{"kind":"openai","base_url":"{}","fetched_at_us":1,"models":[{{"id":"m-0","nodes":1}}]}}}}}}"#,
        upstream.base_url()
    );
    std::fs::write(dir.path().join("spool.models.json"), cached).expect("a file");
    let wanted = Wanted {
        upstream: Some(upstream.base_url()),
        provider: format!("    {DISCOVER}\n"),
        ..Wanted::default()
    };
    let gateway = TestGateway::in_dir(dir, wanted);
    fail_again(&gateway, 1);
    assert_eq!(names(&gateway, "/v1/models", ""), ["m-0"]);
    assert_eq!(gateway.chat("m-0", "").status, 200);
}

#[test]
fn providers_that_list_a_model_share_its_requests() {
    let (first, second) = (listing(&["m-1", "m-2"]), listing(&["m-1"]));
    let gateway = gateway(
        &first,
        DISCOVER,
        &another("b", &second, "{ discover: true }"),
        "",
    );
    wait_for(&gateway, "openai", 2);
    wait_for(&gateway, "b", 1);
    for _ in 0..12 {
        assert_eq!(gateway.chat("m-1", "").status, 200);
    }
    let shares = [first.connections() - 1, second.connections() - 1];
    assert_eq!(shares.iter().sum::<usize>(), 12);
    assert!(shares.iter().all(|share| 3 <= *share), "{shares:?}");
    // Of two with one name the list has one.
    assert_eq!(names(&gateway, "/v1/models", ""), ["m-1", "m-2"]);
    for _ in 0..3 {
        let answer = gateway.chat("m-2", "");
        assert_eq!(answer.header("x-aiproxy-provider"), Some("openai"));
    }
}

#[test]
fn names_have_the_prefix_of_their_provider_and_what_is_denied_has_none() {
    let upstream = listing(&["m-1", "m-old"]);
    let settings = "prefix: lab\n    models: { discover: true, deny: [\"*-old\"] }";
    let yaml = "models:\n  fast:\n    targets: [{ provider: openai, model: lab/m-1 }]\n";
    let gateway = gateway(&upstream, settings, "", yaml);
    wait_for(&gateway, "openai", 1);
    assert_eq!(names(&gateway, "/v1/models", ""), ["fast", "lab/m-1"]);
    for (model, status) in [
        ("lab/m-1", 200),
        ("openai/lab/m-1", 200),
        ("fast", 200),
        ("m-1", 404),
        ("lab/m-old", 404),
        ("m-old", 404),
    ] {
        assert_eq!(gateway.chat(model, "").status, status, "{model}");
    }
    for connection in 1..=3 {
        let sent = received(&upstream, connection);
        assert!(sent.contains(r#"{"model":"m-1","#), "{sent}");
    }
}

#[test]
fn logical_models_stand_first_in_every_clients_list() {
    let (first, second) = (listing(&["m-2", "m-1"]), listing(&["l-2"]));
    let yaml = "models:\n  smart:\n    targets: [{ provider: openai, model: m-1 }]\n  fast/er:\n    targets: [{ provider: b, model: l-1 }]\n";
    let more = another("b", &second, "{ list: [l-1, m-1] }");
    let gateway = gateway(&first, DISCOVER, &more, yaml);
    wait_for(&gateway, "openai", 2);
    let expected = ["fast/er", "smart", "m-1", "m-2", "l-1"];
    let anthropics = "anthropic-version: 2023-06-01\r\n";
    assert_eq!(names(&gateway, "/v1/models", ""), expected);
    assert_eq!(names(&gateway, "/v1/models?limit=1", anthropics), expected);
    let geminis = expected.map(|name| format!("models/{name}"));
    assert_eq!(names(&gateway, "/v1beta/models?pageSize=1", ""), geminis);
    for (path, headers, expected) in [
        (
            "/v1/models/smart",
            "",
            r#"{"id":"smart","object":"model","created":0,"owned_by":"aiproxy"}"#,
        ),
        (
            "/v1/models/fast/er",
            "",
            r#"{"id":"fast/er","object":"model","created":0,"owned_by":"aiproxy"}"#,
        ),
        (
            "/v1/models/smart",
            anthropics,
            r#"{"type":"model","id":"smart","display_name":"smart","created_at":"1970-01-01T00:00:00Z"}"#,
        ),
        (
            "/v1beta/models/smart",
            "",
            r#"{"name":"models/smart","displayName":"smart","supportedGenerationMethods":["generateContent"]}"#,
        ),
        (
            "/v1beta/models/m-1",
            "",
            r#"{"name":"models/m-1","displayName":"m-1","supportedGenerationMethods":["generateContent"]}"#,
        ),
    ] {
        let told = gateway.send("GET", path, headers, b"");
        let told: serde_json::Value = told.json();
        let expected: serde_json::Value = serde_json::from_str(expected).expect("JSON");
        assert_eq!(told, expected, "{path}");
    }
    assert_eq!((first.connections(), second.connections()), (1, 0));
}

#[test]
fn who_is_not_found_out_is_asked_beside_those_who_are() {
    let found = listing(&["m-1"]);
    let asked = FakeUpstream::start(vec![list(&["n-1", "n-2"])]);
    let more = another("b", &asked, "{ allow: [\"n-1\"] }");
    let yaml = "models:\n  fast:\n    targets: [{ provider: b, model: n-1 }]\n";
    let gateway = gateway(&found, DISCOVER, &more, yaml);
    wait_for(&gateway, "openai", 1);
    assert_eq!(names(&gateway, "/v1/models", ""), ["fast", "m-1", "n-1"]);
    assert_eq!((found.connections(), asked.connections()), (1, 1));
    let row = gateway.row().record;
    assert_eq!(
        (&*row.endpoint, row.attempts, row.provider),
        ("models", 1, None)
    );
}

#[test]
fn without_a_key_of_ours_the_client_is_told_with_its_own() {
    let scripts = vec![then(json(401, CLOSE, "{}")), list(&["m-1"])];
    let upstream = FakeUpstream::start(scripts);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: "    models: { discover: true, allow: [\"*\"] }\n".to_owned(),
        no_key: true,
        ..Wanted::default()
    });
    wait_until("it is asked in vain", || {
        gateway.metric("discovery_failures_total{provider=\"openai\"}") == 1.0
    });
    assert_eq!(names(&gateway, "/v1/models", CLIENTS_KEY), ["m-1"]);
    assert!(!received(&upstream, 0).contains("authorization"));
    assert!(received(&upstream, 1).contains(CLIENTS_KEY));
}

#[test]
fn nodes_of_one_model_are_one_entry_and_the_table_is_not_asked_for_again() {
    let table = include_str!("../../fixtures/ocf/table.json");
    let upstream = FakeUpstream::start(vec![then(json(200, CLOSE, table))]);
    let other = FakeUpstream::answering(json(200, CLOSE, "{}"));
    let node = format!(
        "  - {{ name: node, kind: ocf, base_url: \"http://{}\", api_keys: [{{ key: sk-node-0123456789 }}], prefix: ocf, models: {{ discover: true }} }}\n",
        upstream.addr()
    );
    let gateway = gateway(&other, "models: { list: [m-1] }", &node, "");
    wait_for(&gateway, "node", 2);
    let bare = ["Qwen/Qwen2.5-7B-Instruct-1M", "Qwen/Qwen3-8B"];
    let [first, second] = bare.map(|name| format!("ocf/{name}"));
    assert_eq!(
        names(&gateway, "/v1/models", ""),
        ["m-1", &*first, &*second]
    );
    // Whoever names the provider sends it what it knows.
    assert_eq!(names(&gateway, "/node/v1/models", ""), bare);
    for (path, id) in [
        ("/v1/models/ocf/Qwen/Qwen3-8B", &*second),
        ("/node/v1/models/Qwen/Qwen3-8B", bare[1]),
    ] {
        assert_eq!(gateway.get(path).json()["id"], id, "{path}");
    }
    assert_eq!(gateway.get("/node/v1/models/gone").status, 404);
    assert_eq!((upstream.connections(), other.connections()), (1, 0));
}

#[test]
fn where_probes_find_nobody_models_are_not_tried() {
    let upstream = listing(&["m-1"]);
    let settings = format!("{DISCOVER}\n    probe_s: 3600");
    let gateway = gateway(&upstream, &settings, "", "");
    wait_for(&gateway, "openai", 1);
    drop(upstream);
    for failures in 1..=5 {
        fail_again(&gateway, failures);
    }
    let refused = gateway.chat("m-1", "");
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (503, Some("no_upstream_available"))
    );
    assert_eq!(gateway.row().record.attempts, 0);
}

#[test]
fn who_is_not_probed_is_not_judged_by_its_list() {
    let upstream = listing(&["m-1"]);
    let gateway = gateway(&upstream, DISCOVER, "", "");
    wait_for(&gateway, "openai", 1);
    drop(upstream);
    for failures in 1..=6 {
        fail_again(&gateway, failures);
    }
    assert_eq!(gateway.chat("m-1", "").status, 502);
    assert_eq!(gateway.row().record.attempts, 1);
}

/// The configuration of this environment alone.
fn of_environment(dir: &Path, variables: &[(&str, &str)]) -> Config {
    let spool = dir.join("spool").display().to_string();
    let database = sqlite_in(dir);
    let own = [
        ("AIPROXY__SERVER__PORT", "0"),
        ("AIPROXY__SERVER__WORKERS", "1"),
        ("AIPROXY__ADMIN__PORT", "0"),
        ("AIPROXY__LOG__SPOOL_DIR", &*spool),
        ("DATABASE_URL", &*database),
    ];
    let environment: Environment = own.into_iter().chain(variables.iter().copied()).collect();
    let names = aiproxy::access_log::columns::built_in_names();
    let kinds = aiproxy::gateway::stock_kinds();
    let rules = Rules {
        filters: &kinds,
        built_in_columns: &names,
    };
    let sources = Sources {
        file: None,
        environment,
        overrides: Vec::new(),
        folder: dir.to_owned(),
    };
    load(&sources, &rules).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What AI Proxy's README says of several endpoints, and what it did not do: a dead one is left out.
#[test]
fn ai_proxy_endpoints_share_the_load_and_a_dead_one_is_left_out() {
    let (first, second) = (listing(&["both", "a-1"]), listing(&["b-1", "both"]));
    let dir = TempDir::new().expect("a folder");
    let endpoints = format!("http://{},http://{}", first.addr(), second.addr());
    let variables = [
        ("ENDPOINTS", &*endpoints),
        ("API_KEY", "sk-shared-0123456789"),
    ];
    let config = of_environment(dir.path(), &variables);
    let unused = FakeUpstream::answering("");
    let database_url = sqlite_in(dir.path());
    let gateway = TestGateway::in_dir(
        dir,
        Wanted {
            upstream: Some(unused.base_url()),
            database_url: Some(database_url),
            extend: Some(Box::new(move |gateway: Gateway| gateway.config(config))),
            ..Wanted::default()
        },
    );
    wait_for(&gateway, "openai", 2);
    wait_for(&gateway, "openai-2", 2);
    assert_eq!(names(&gateway, "/v1/models", ""), ["a-1", "both", "b-1"]);
    for (model, provider) in [("a-1", "openai"), ("b-1", "openai-2"), ("new", "openai")] {
        let answer = gateway.chat(model, "");
        assert_eq!(
            answer.header("x-aiproxy-provider"),
            Some(provider),
            "{model}"
        );
    }
    for _ in 0..12 {
        assert_eq!(gateway.chat("both", "").status, 200);
    }
    let shares = [first.connections() - 3, second.connections() - 2];
    assert!(shares.iter().all(|share| 3 <= *share), "{shares:?}");
    drop(first);
    let mut tried = 0;
    for _ in 0..12 {
        let answer = gateway.chat("both", "");
        assert_eq!(
            (answer.status, answer.header("x-aiproxy-provider")),
            (200, Some("openai-2"))
        );
        tried += usize::from(answer.header("x-aiproxy-attempts") == Some("2"));
    }
    assert!(tried <= 5, "a dead endpoint was tried {tried} times");
}

#[test]
fn a_new_configuration_begins_with_the_lists_of_the_one_before() {
    let (kept, gone) = ("http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1");
    let make = |entries: &str, cached: &dyn Fn(&[Provider]) -> Cached| {
        let config = config(entries);
        let providers = registry::build(&config.providers).expect("providers");
        let settings = DiscoverySettings::of(&config.providers);
        let cached = cached(&providers);
        let (clock, dice) = (Clock::machine(), Dice::seeded(1));
        let discovery = Discovery::new(providers.clone(), settings, cached, clock, dice);
        (providers, discovery)
    };
    let (providers, before) = make(&entry("one", "openai", kept, ""), &|providers| {
        let mut cached = Cached::default();
        let models = vec![Found::named("m-1"), Found::named("m-2")];
        cached.put(
            &providers[0],
            CachedList::new(&providers[0], 1, models, Vec::new()),
        );
        cached
    });
    let snapshot = before.lists().snapshot();
    for (url, deny, expected) in [
        (kept, "", &["m-1", "m-2"][..]),
        (kept, ", deny: [m-2]", &["m-1"]),
        (gone, "", &[]),
    ] {
        let entries = entry("one", "openai", url, "").replace("true }", &format!("true{deny} }}"));
        let (_, after) = make(&entries, &|_| Cached::default());
        after.begin_with(&providers, &snapshot);
        let known = known_of(&after.lists().snapshot());
        assert_eq!(known.names, good(expected).names, "{url}{deny}");
        assert_eq!(known.is_stale, !expected.is_empty());
    }
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_tells_a_change_and_a_failure_once() {
    let fails = || then(json(500, CLOSE, "{}"));
    let one = || list(&["m-1"]);
    let scripts = vec![one(), one(), fails(), fails(), one(), list(&["m-1", "m-2"])];
    let upstream = FakeUpstream::start(scripts);
    let kept = Kept::default();
    let writer = kept.clone();
    let dispatch = subscriber(LogLevel::Info, LogFormat::Json, move || writer.clone());
    tracing::dispatcher::with_default(&dispatch, || {
        let entry = openai(&upstream, "");
        looking(&entry, AGAIN, no_cache, None, async |lists, _| {
            until(lists, |known| known.names.len() == 2).await;
        });
    });
    let text = String::from_utf8(kept.0.lock().expect("no panic").clone()).expect("text");
    let said: Vec<(String, u64)> = text
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(line["provider.name"], "one");
            let message = line["message"].as_str().unwrap_or_default().to_owned();
            (message, line["models"].as_u64().unwrap_or_default())
        })
        .collect();
    let expected = [
        ("the list of models has changed", 1),
        ("the list of models did not come: it answers with 500", 0),
        ("the list of models comes again", 1),
        ("the list of models has changed", 2),
    ];
    assert_eq!(
        said,
        expected.map(|(line, n)| (line.to_owned(), n)),
        "{text}"
    );
}
