//! What the users of other proxies are promised: keys with weights and names, loads shared among those who have a model,
//! names with a provider before them, and who stands in for whom.

use std::collections::BTreeMap;

use aiproxy::cli::mock::{Mock, MockHandle};

use super::{answer_of, seen, wire};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, Wanted};

fn mock() -> MockHandle {
    Mock::start(([127, 0, 0, 1], 0).into()).expect("a mock")
}

/// An OpenAI-compatible provider that lists these models.
fn endpoint(name: &str, mock: &MockHandle, models: &str) -> String {
    format!(
        "  - {{ name: {name}, kind: openai, base_url: \"http://{}/v1\", models: {{ list: [{models}] }}, api_keys: [{{ key: sk-{name}-0123456789 }}] }}\n",
        mock.addr()
    )
}

/// How often each key was shown to Ask Sage, and how often the rows name it.
fn uses(mock: &MockHandle, gateway: &TestGateway) -> [BTreeMap<String, usize>; 2] {
    let mut uses = [BTreeMap::new(), BTreeMap::new()];
    for request in mock.requests() {
        let key = request.header("x-access-tokens").expect("a key");
        let (_, name) = key.rsplit_once('-').expect("a name");
        *uses[0].entry(name.to_owned()).or_default() += 1;
    }
    for row in gateway.rows() {
        let name = row.record.provider_key.expect("a name");
        *uses[1].entry(name).or_default() += 1;
    }
    uses
}

/// Its README: several keys, each with a weight and a name, and a request draws one.
#[test]
fn asksage_several_keys_have_weights_and_names() {
    const REQUESTS: usize = 100;
    for selection in ["smooth", "weighted_round_robin"] {
        let mock = mock();
        let gateway = TestGateway::with(Wanted {
            provider: format!(
                "  - name: sage\n    kind: asksage\n    base_url: http://{}/server\n    key_selection: {selection}\n    \
                 api_keys:\n      - {{ key: ask-0123456789abcdef-main, name: main, weight: 2 }}\n      \
                 - {{ key: ask-0123456789abcdef-lab, name: lab, weight: 1 }}\n      \
                 - {{ key: ask-0123456789abcdef-spare, name: spare, weight: 1 }}\n",
                mock.addr()
            ),
            ..Wanted::default()
        });
        for _ in 0..REQUESTS {
            assert_eq!(gateway.chat("sage/mock", "").status, 200);
        }
        let [shown, told] = uses(&mock, &gateway);
        assert_eq!(shown, told, "the rows name the keys that were used");
        let [main, lab, spare] = ["main", "lab", "spare"].map(|name| shown[name]);
        assert_eq!(main + lab + spare, REQUESTS);
        match selection {
            "smooth" => assert_eq!([main, lab, spare], [50, 25, 25]),
            // By chance between the weights, in turns among equals.
            _ => assert!(
                (25..=75).contains(&main) && lab.abs_diff(spare) <= 1,
                "{shown:?}"
            ),
        }
    }
}

/// Keys without a name are called by their numbers, as there, in our spelling.
#[test]
fn asksage_keys_without_names_have_numbers() {
    let mock = mock();
    let gateway = TestGateway::with(Wanted {
        provider: format!(
            "  - name: sage\n    kind: asksage\n    base_url: http://{}/server\n    \
             api_keys: [{{ key: ask-0123456789abcdef-0 }}, {{ key: ask-0123456789abcdef-1 }}]\n",
            mock.addr()
        ),
        ..Wanted::default()
    });
    for _ in 0..4 {
        assert_eq!(gateway.chat("sage/mock", "").status, 200);
    }
    let [_, told] = uses(&mock, &gateway);
    let told: Vec<_> = told.into_iter().collect();
    let expected = [("key-1".to_owned(), 2), ("key-2".to_owned(), 2)];
    assert_eq!(told, expected);
}

/// Its README: requests for a model go to those endpoints that have it, of any type, and to no other.
#[test]
fn ai_proxy_the_load_is_shared_among_those_who_have_the_model() {
    let mocks = [mock(), mock(), mock(), mock()];
    let node = format!(
        "  - {{ name: node, kind: ocf, base_url: \"http://{}\", models: {{ list: [mock-s2] }}, api_keys: [{{ key: sk-rc-0123456789 }}] }}\n",
        mocks[2].addr()
    );
    let gateway = TestGateway::with(Wanted {
        provider: [
            endpoint("one", &mocks[0], "mock-s2, mock-s3"),
            endpoint("two", &mocks[1], "mock-s2"),
            node,
            endpoint("other", &mocks[3], "mock-s3"),
        ]
        .concat(),
        ..Wanted::default()
    });
    for _ in 0..30 {
        assert_eq!(gateway.chat("mock-s2", "").status, 200);
    }
    let asked = || mocks.each_ref().map(|mock| mock.stats().requests);
    assert_eq!(asked(), [10, 10, 10, 0]);
    for _ in 0..10 {
        assert_eq!(gateway.chat("mock-s3", "").status, 200);
    }
    assert_eq!(asked(), [15, 10, 10, 5]);
}

/// An endpoint that is away costs nobody an answer.
#[test]
fn ai_proxy_an_endpoint_that_is_away_is_stood_in_for() {
    let mock = mock();
    let gateway = TestGateway::with(Wanted {
        provider: "  - { name: away, kind: openai, base_url: \"http://127.0.0.1:1/v1\", models: { list: [mock-s2] }, api_keys: [{ key: sk-away-0123456789 }] }\n"
            .to_owned()
            + &endpoint("here", &mock, "mock-s2"),
        ..Wanted::default()
    });
    for _ in 0..10 {
        let answer = gateway.chat("mock-s2", "");
        assert_eq!((answer.status, seen(&answer).1), (200, Some("here")));
    }
    assert_eq!(mock.stats().requests, 10);
}

/// Its README: `provider/model` asks that provider, whoever else has the model, and for the name behind the slash.
#[test]
fn apiproxy_names_with_a_provider() {
    let mocks = [mock(), mock()];
    let gateway = TestGateway::with(Wanted {
        provider: endpoint("one", &mocks[0], "mock-s2") + &endpoint("two", &mocks[1], "mock-s2"),
        ..Wanted::default()
    });
    for _ in 0..4 {
        let answer = gateway.chat("two/mock-s2", "");
        assert_eq!((answer.status, seen(&answer).1), (200, Some("two")));
    }
    let sent = mocks[1].requests().pop().expect("a request");
    let sent: serde_json::Value = serde_json::from_slice(&sent.body).expect("JSON");
    assert_eq!(sent["model"], "mock-s2");
    assert_eq!(mocks[0].stats().requests, 0);
    let row = gateway.rows().pop().expect("a row").record;
    assert_eq!(row.requested_model.as_deref(), Some("two/mock-s2"));
}

/// Its README: a provider says which of its statuses another one is tried for.
#[test]
fn apiproxy_fallbacks_by_the_providers_own_statuses() {
    for (own, status, expected) in [
        ("", "404 No", (404, Some("openai"), Some("1"))),
        (
            "    retry_statuses: [404]\n",
            "404 No",
            (200, Some("b"), Some("2")),
        ),
        (
            "    retry_statuses: [404]\n",
            "500 No",
            (500, Some("openai"), Some("1")),
        ),
        (
            "    retry_statuses: [\"400-499\"]\n",
            "422 No",
            (200, Some("b"), Some("2")),
        ),
    ] {
        let first = FakeUpstream::answering(wire(status, "", r#"{"error":{"message":"no"}}"#));
        let second = FakeUpstream::answering(wire("200 OK", "", &answer_of("m")));
        let gateway = TestGateway::with(Wanted {
            upstream: Some(first.base_url()),
            provider: format!(
                "{own}  - {{ name: b, kind: openai, base_url: \"{}\", api_keys: [{{ key: sk-second-0123456789 }}] }}\n",
                second.base_url()
            ),
            yaml: "models: { fast: { targets: [{ provider: openai, model: m }, { provider: b, model: m, tier: 1 }] } }\n"
                .to_owned(),
            ..Wanted::default()
        });
        assert_eq!(seen(&gateway.chat("fast", "")), expected, "{own} {status}");
    }
}

/// Its README: where all upstreams of a model fail, the client is told of the last failure.
#[test]
fn apiproxy_all_providers_fail() {
    let mocks = [mock(), mock()];
    let model = "mock-err-503";
    let gateway = TestGateway::with(Wanted {
        provider: endpoint("one", &mocks[0], model) + &endpoint("two", &mocks[1], model),
        ..Wanted::default()
    });
    let answer = gateway.chat(model, "");
    assert_eq!((answer.status, seen(&answer).2), (503, Some("2")));
    let asked = mocks.each_ref().map(|mock| mock.stats().requests);
    assert_eq!(asked, [1, 1]);
}
