//! Lists of models in the background: what an upstream may do instead of giving one, what is kept then, and what it is sent.

pub(crate) mod served;
mod told;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use aiproxy::clock::{Clock, Dice};
use aiproxy::config::{Config, Environment, Rules, load_text};
use aiproxy::upstream::discovery::ask::{AskFailure, ask, health, transport};
use aiproxy::upstream::discovery::cache::{Cached, CachedList};
use aiproxy::upstream::discovery::{Discovery, DiscoverySettings, ModelLists, Probes, Snapshot};
use aiproxy::upstream::provider::Provider;
use aiproxy::upstream::registry;
use aiproxy::wire::found::Found;
use async_compression::tokio::bufread::GzipEncoder;
use tokio::io::AsyncReadExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::LocalSet;

use crate::support::fake_upstream::{FakeUpstream, Script, Step};
use crate::support::signal::{LIMIT, Signal};
use crate::support::wire::{chunk, json};

const KEY: &str = "sk-canary-of-the-provider";

/// So that each request has a connection of its own.
const CLOSE: &str = "connection: close\r\n";

const ONE: &str = r#"{"object":"list","data":[{"id":"m-1"}]}"#;
const TWO: &str = r#"{"object":"list","data":[{"id":"m-2"},{"id":"m-1"}]}"#;

fn config(providers: &str) -> Config {
    let names = aiproxy::access_log::columns::built_in_names();
    let kinds = aiproxy::gateway::stock_kinds();
    let rules = Rules {
        filters: &kinds,
        built_in_columns: &names,
    };
    let yaml = format!("providers:\n{providers}");
    let config = load_text(Path::new("t.yaml"), &yaml, &Environment::default(), &rules);
    config.unwrap_or_else(|problems| panic!("{problems}"))
}

fn entry(name: &str, kind: &str, base_url: &str, more: &str) -> String {
    format!(
        "  - {{ name: {name}, kind: {kind}, base_url: \"{base_url}\", api_keys: [{{ key: {KEY} }}], headers: {{ x-team: blue }}, models: {{ discover: true }}{more} }}\n"
    )
}

fn openai(upstream: &FakeUpstream, more: &str) -> String {
    entry("one", "openai", &upstream.base_url(), more)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(LIMIT, work).await.expect("in time")
    })
}

/// Runs the task beside `work`, lists good for so long.
fn looking<T>(
    providers: &str,
    ttl: Duration,
    cached: impl FnOnce(&[Provider]) -> Cached,
    probes: Option<Probes>,
    work: impl AsyncFnOnce(&ModelLists, &dyn Fn()) -> T,
) -> T {
    let config = config(providers);
    let providers = registry::build(&config.providers).expect("providers");
    let mut settings = DiscoverySettings::of(&config.providers);
    for one in &mut settings {
        one.ttl = ttl;
        one.probe = one.probe.map(|_| ttl);
    }
    let cached = cached(&providers);
    let discovery = Discovery::new(
        providers,
        settings,
        cached,
        Clock::machine(),
        Dice::seeded(1),
    );
    let (lists, refresher) = (discovery.lists(), discovery.refresher());
    run(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = discovery.run(async { drop(stopped.await) }, probes);
        let work = async {
            let done = work(&lists, &|| refresher.refresh_now()).await;
            drop(stop);
            done
        };
        tokio::join!(task, work).1
    })
}

const FOR_EVER: Duration = Duration::from_secs(3_600);
const AGAIN: Duration = Duration::from_millis(5);

fn no_cache(_: &[Provider]) -> Cached {
    Cached::default()
}

/// Waits until what is known of the first provider is so.
async fn until(lists: &ModelLists, is_so: impl Fn(&Known) -> bool) -> Known {
    let mut told = lists.subscribe();
    let known = told.wait_for(|now| is_so(&known_of(now))).await;
    known_of(&known.expect("it is there"))
}

#[derive(Debug, Clone, PartialEq)]
struct Known {
    names: Vec<String>,
    error: Option<String>,
    is_stale: bool,
}

fn known_of(snapshot: &Snapshot) -> Known {
    let models = snapshot.of(0).expect("it is looked at");
    Known {
        names: models
            .models
            .iter()
            .map(|model| models.name_of(model))
            .collect(),
        error: models.error.clone(),
        is_stale: models.is_stale,
    }
}

fn good(names: &[&str]) -> Known {
    Known {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        error: None,
        is_stale: false,
    }
}

fn then(answer: Vec<u8>) -> Script {
    vec![Step::ReadRequest, Step::Send(answer), Step::ReadToEnd]
}

fn received(upstream: &FakeUpstream, connection: usize) -> String {
    String::from_utf8(upstream.received(connection)).expect("text")
}

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(bytes);
    let mut encoded = Vec::new();
    encoder.read_to_end(&mut encoded).await.expect("memory");
    encoded
}

/// Asks once, and gives what came of it.
fn asked(upstream: &FakeUpstream, limit: Duration) -> Result<Vec<Found>, AskFailure> {
    let config = config(&openai(upstream, ""));
    let providers = registry::build(&config.providers).expect("providers");
    run(async { ask(&providers[0], &transport(&providers[0]), limit).await })
}

#[test]
fn what_is_no_list_is_told_and_says_what_it_says_of_health() {
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\":[";
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 16777217\r\n\r\n{";
    for (answer, expected, is_well) in [
        (json(200, "", ""), "the answer is empty", true),
        (html.into(), "the answer is an HTML page", true),
        (
            json(200, "", r#"{"data":[]}"#),
            "the list names no model",
            true,
        ),
        (
            json(200, "", r#"{"data":[{"id":""},7]}"#),
            "the list names no model",
            true,
        ),
        (
            json(200, "", r#"{"error":{"code":"no_quota","message":"m"}}"#),
            "the answer reports an error (no_quota)",
            true,
        ),
        (
            json(200, "", r#"{"data":[{"id":"a""#),
            "the answer is broken JSON",
            true,
        ),
        (long.into(), "the list is longer than 16777216 bytes", true),
        (json(404, "", "{}"), "it answers with 404", true),
        (
            json(302, "location: /elsewhere\r\n", ""),
            "it answers with 302",
            true,
        ),
        (json(401, "", "{}"), "it answers with 401", false),
        (json(503, "", ONE), "it answers with 503", false),
        (
            b"HTTP/1.1 garbage\r\n\r\n".to_vec(),
            "the answer could not be read",
            false,
        ),
        (
            cut.into(),
            "the connection was closed before the end",
            false,
        ),
    ] {
        let script = vec![
            Step::ReadRequest,
            Step::Send(answer),
            Step::Fin,
            Step::ReadToEnd,
        ];
        let upstream = FakeUpstream::start(vec![script]);
        let asked = asked(&upstream, LIMIT);
        let told = asked.as_ref().expect_err(expected).to_string();
        assert!(told.starts_with(expected), "{expected}: {told}");
        assert_eq!(health(&asked).is_ok(), is_well, "{expected}");
    }
}

#[test]
fn the_next_key_is_shown_where_one_is_refused_and_none_is_told() {
    let refused = |status| then(json(status, CLOSE, "{}"));
    let echo = r#"{"error":{"code":"sk_second_0123456789"}}"#;
    for (scripts, connections, expected) in [
        (vec![refused(401), then(json(200, CLOSE, ONE))], 2, Ok(1)),
        (
            vec![refused(403), refused(401)],
            2,
            Err("it answers with 401"),
        ),
        (vec![refused(500)], 1, Err("it answers with 500")),
        (
            vec![refused(401), then(json(200, CLOSE, echo))],
            2,
            Err("the answer reports an error"),
        ),
    ] {
        let upstream = FakeUpstream::start(scripts);
        let keys = format!("{{ key: {KEY} }}, {{ key: sk_second_0123456789 }}");
        let entry = openai(&upstream, "").replace(&format!("{{ key: {KEY} }}"), &keys);
        let providers = registry::build(&config(&entry).providers).expect("providers");
        let listed = run(async { ask(&providers[0], &transport(&providers[0]), LIMIT).await });
        let listed = listed.map(|models| models.len());
        let told = listed.map_err(|failure| failure.to_string());
        assert_eq!(told, expected.map_err(str::to_owned));
        assert_eq!(upstream.connections(), connections);
        let key = ["sk-canary", "sk_second"][connections - 1];
        assert!(received(&upstream, connections - 1).contains(key));
    }
}

#[test]
fn a_list_without_an_end_and_one_that_does_not_come_are_given_up() {
    // In chunks, so that its length is not told.
    let piece = chunk(vec![b' '; 1024 * 1024]);
    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    (0..17).for_each(|_| endless.extend_from_slice(&piece));
    let upstream = FakeUpstream::start(vec![then(endless)]);
    let told = asked(&upstream, LIMIT).expect_err("too long").to_string();
    assert_eq!(told, "the list is longer than 16777216 bytes");
    let never = Signal::new();
    let silent = vec![Step::ReadRequest, Step::Wait(never.clone())];
    let upstream = FakeUpstream::start(vec![silent]);
    let limit = Duration::from_millis(20);
    let asked = asked(&upstream, limit);
    never.fire();
    let told = asked.as_ref().expect_err("silence").to_string();
    assert_eq!(told, "no list within 20ms");
    assert_eq!(
        health(&asked).expect_err("silence").to_string(),
        "it did not answer in time"
    );
}

#[test]
fn what_comes_encoded_is_read_and_its_length_counts_decoded() {
    for (megabytes, expected) in [
        (0, None),
        (17, Some("the list is longer than 16777216 bytes")),
    ] {
        let mut list = ONE.as_bytes().to_vec();
        let dice = Dice::seeded(1);
        // Text without a sense: blanks would count as a bomb.
        (0..megabytes * 65_536)
            .for_each(|_| list.extend_from_slice(format!("{:016x}", dice.bits()).as_bytes()));
        let body = run(gzip(&list));
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let upstream = FakeUpstream::answering([head.as_bytes(), &body].concat());
        match (asked(&upstream, LIMIT), expected) {
            (Ok(found), None) => assert_eq!(found, [Found::named("m-1")]),
            (Err(error), Some(expected)) => assert_eq!(error.to_string(), expected),
            (got, _) => panic!("{got:?}"),
        }
    }
}

#[test]
fn each_kind_is_asked_in_its_own_way_with_our_key_and_headers() {
    let page = |more: &str| format!(r#"{{"data":[{{"id":"a"}}]{more}}}"#);
    for (kind, path, key, first, next) in [
        (
            "openai",
            "GET /v1/models HTTP",
            format!("authorization: Bearer {KEY}"),
            page(""),
            None,
        ),
        (
            "azure",
            "GET /openai/deployments?api-version=2023-03-15-preview HTTP",
            format!("api-key: {KEY}"),
            page(""),
            None,
        ),
        (
            "anthropic",
            "GET /v1/models?limit=1000 HTTP",
            format!("x-api-key: {KEY}"),
            page(r#","has_more":true,"last_id":"a b&c""#),
            Some((
                "GET /v1/models?limit=1000&after_id=a%20b%26c HTTP",
                page(r#","has_more":false"#),
            )),
        ),
        (
            "gemini",
            "GET /v1beta/models?pageSize=1000 HTTP",
            format!("x-goog-api-key: {KEY}"),
            r#"{"models":[{"name":"models/a"}],"nextPageToken":"t/2"}"#.to_owned(),
            Some((
                "GET /v1beta/models?pageSize=1000&pageToken=t%2F2 HTTP",
                r#"{"models":[{"name":"models/a"}]}"#.to_owned(),
            )),
        ),
        (
            "argo",
            "GET /argoapi/api/v1/models/ HTTP",
            String::new(),
            r#"[{"id":"a"}]"#.to_owned(),
            None,
        ),
        (
            "asksage",
            "POST /server/get-models HTTP",
            format!("x-access-tokens: {KEY}"),
            page(""),
            None,
        ),
        (
            "ocf",
            "GET /v1/dnt/table HTTP",
            format!("authorization: Bearer {KEY}"),
            include_str!("../fixtures/ocf/table.json").to_owned(),
            None,
        ),
    ] {
        let mut scripts = vec![then(json(200, CLOSE, &first))];
        scripts.extend(next.iter().map(|(_, page)| then(json(200, CLOSE, page))));
        let upstream = FakeUpstream::start(scripts);
        let base_url = match kind {
            "openai" => upstream.base_url(),
            "argo" => format!("http://{}/argoapi", upstream.addr()),
            "asksage" => format!("http://{}/server", upstream.addr()),
            _ => format!("http://{}", upstream.addr()),
        };
        let mut entry = entry("one", kind, &base_url, "");
        if kind == "argo" {
            entry = entry.replace(&format!("api_keys: [{{ key: {KEY} }}]"), "user: alice");
        }
        let config = config(&entry);
        let providers = registry::build(&config.providers).expect("providers");
        let listed = run(async { ask(&providers[0], &transport(&providers[0]), LIMIT).await });
        let pages = 1 + next.iter().len();
        assert_eq!(upstream.connections(), pages, "{kind}");
        let listed = listed.expect(kind);
        assert!(pages <= listed.len(), "{kind}: {listed:?}");
        let paths = [path].into_iter().chain(next.iter().map(|(path, _)| *path));
        for (connection, path) in paths.enumerate() {
            let sent = received(&upstream, connection);
            assert!(sent.starts_with(path), "{kind}: {sent}");
            assert!(
                sent.contains(&key) && sent.contains("x-team: blue\r\n"),
                "{kind}: {sent}"
            );
        }
    }
}

#[test]
fn pages_that_come_again_and_again_end() {
    let page = r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"a"}"#;
    let upstream = FakeUpstream::start(vec![then(json(200, CLOSE, page))]);
    let base_url = format!("http://{}", upstream.addr());
    let config = config(&entry("one", "anthropic", &base_url, ""));
    let providers = registry::build(&config.providers).expect("providers");
    let asked = run(async { ask(&providers[0], &transport(&providers[0]), LIMIT).await });
    assert_eq!(
        asked.expect_err("endless").to_string(),
        "the list does not end"
    );
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn a_list_stays_when_none_comes_and_gives_way_when_one_does() {
    let fails = || then(json(500, CLOSE, "{}"));
    let scripts = vec![
        then(json(200, CLOSE, ONE)),
        fails(),
        fails(),
        then(json(200, CLOSE, TWO)),
    ];
    let upstream = FakeUpstream::start(scripts);
    looking(
        &openai(&upstream, ""),
        AGAIN,
        no_cache,
        None,
        async |lists, _| {
            let stale = until(lists, |known| known.is_stale).await;
            let expected = Known {
                error: Some("it answers with 500".to_owned()),
                is_stale: true,
                ..good(&["m-1"])
            };
            assert_eq!(stale, expected);
            let known = until(lists, |known| known.names.len() == 2).await;
            assert_eq!(known, good(&["m-1", "m-2"]));
        },
    );
    let sent = received(&upstream, 0);
    assert!(
        !sent.contains("\r\ncontent-length"),
        "nothing that costs: {sent}"
    );
}

#[test]
fn filters_and_prefixes_are_those_of_the_configuration() {
    let list = r#"{"data":[{"id":"gpt-b"},{"id":"gpt-a"},{"id":"gpt-old"},{"id":"other"}]}"#;
    let upstream = FakeUpstream::answering(json(200, CLOSE, list));
    let entry = openai(&upstream, ", prefix: lab").replace(
        "{ discover: true }",
        "{ discover: true, allow: [\"gpt-*\"], deny: [\"*-old\"] }",
    );
    looking(&entry, FOR_EVER, no_cache, None, async |lists, _| {
        let known = until(lists, |known| !known.names.is_empty()).await;
        assert_eq!(known, good(&["lab/gpt-a", "lab/gpt-b"]));
    });
}

#[test]
fn lists_are_asked_for_out_of_turn() {
    let scripts = vec![then(json(200, CLOSE, ONE)), then(json(200, CLOSE, TWO))];
    let upstream = FakeUpstream::start(scripts);
    looking(
        &openai(&upstream, ""),
        FOR_EVER,
        no_cache,
        None,
        async |lists, refresh| {
            until(lists, |known| *known == good(&["m-1"])).await;
            assert_eq!(upstream.connections(), 1);
            refresh();
            until(lists, |known| *known == good(&["m-1", "m-2"])).await;
        },
    );
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn it_begins_with_the_lists_of_an_earlier_process() {
    let go = Signal::new();
    let script = vec![
        Step::ReadRequest,
        Step::Wait(go.clone()),
        Step::Send(json(200, CLOSE, TWO)),
        Step::ReadToEnd,
    ];
    let upstream = FakeUpstream::start(vec![script]);
    let cache = |providers: &[Provider]| {
        let mut cached = Cached::default();
        let models = vec![Found::named("m-0"), Found::named("m-2")];
        let refused = vec!["m-2".to_owned()];
        cached.put(
            &providers[0],
            CachedList::new(&providers[0], 1, models, refused),
        );
        cached
    };
    looking(
        &openai(&upstream, ""),
        FOR_EVER,
        cache,
        None,
        async |lists, _| {
            let stale = Known {
                is_stale: true,
                ..good(&["m-0"])
            };
            assert_eq!(known_of(&lists.snapshot()), stale);
            go.fire();
            // What refused us stays away.
            until(lists, |known| *known == good(&["m-1"])).await;
        },
    );
}

#[test]
fn at_most_four_are_asked_at_once_and_a_stop_waits_for_none() {
    let never = Signal::new();
    let silent = vec![Step::ReadRequest, Step::Wait(never.clone())];
    let upstream = FakeUpstream::start(vec![silent]);
    let entries: Vec<String> = (0..6)
        .map(|number| entry(&format!("p{number}"), "openai", &upstream.base_url(), ""))
        .collect();
    looking(&entries.concat(), FOR_EVER, no_cache, None, async |_, _| {
        while upstream.connections() < 4 {
            tokio::task::yield_now().await;
        }
        // Whoever would come fifth has had its turns.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(upstream.connections(), 4);
    });
    never.fire();
    assert_eq!(upstream.connections(), 4);
}

#[test]
fn probes_are_told_what_came_and_ask_only_when_they_are_wanted() {
    let scripts = vec![then(json(200, CLOSE, ONE)), then(json(503, CLOSE, "{}"))];
    let upstream = FakeUpstream::start(scripts);
    // Who is only probed has no list.
    let entry = openai(&upstream, ", probe_s: 5").replace("discover: true", "allow: [\"*\"]");
    let told = Rc::new(RefCell::new(Vec::new()));
    let hears = told.clone();
    let heard = Rc::new(Notify::new());
    let tells = heard.clone();
    let wanted = Rc::new(RefCell::new(0_usize));
    let asks = wanted.clone();
    let probes = Probes {
        is_wanted: Box::new(move |provider| {
            *asks.borrow_mut() += 1;
            // Every second time there was traffic.
            provider == 0 && asks.borrow().is_multiple_of(2)
        }),
        told: Box::new(move |provider, result| {
            let told = result.map_err(|failure| failure.to_string());
            hears.borrow_mut().push((provider, told));
            tells.notify_one();
        }),
    };
    looking(&entry, AGAIN, no_cache, Some(probes), async |lists, _| {
        while told.borrow().len() < 2 {
            heard.notified().await;
        }
        assert!(lists.snapshot().of(0).is_none());
    });
    let told = told.borrow();
    let failed = Err("it answers with 503".to_owned());
    assert_eq!(told[..2], [(0, Ok(())), (0, failed)]);
    assert!(2 * told.len() <= *wanted.borrow(), "{told:?}");
}
