//! Models of providers: listed, discovered, and what they run on.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{get, quiet, texts};
use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, wait_until};
use crate::support::wire::json as answer;

const TABLE: &str = include_str!("../../fixtures/ocf/table.json");

/// A gateway before an API and a node, of which `models refresh` has kept lists.
fn with_kept_lists(node: &FakeUpstream) -> TestGateway {
    let dir = TempDir::new().expect("a folder");
    let url = format!("http://{}", node.addr());
    let model =
        |id: &str, device: &str, nodes: u32| json!({ "id": id, "device": device, "nodes": nodes });
    let kept = json!({
        "form": 1,
        "providers": {
            "node": {
                "kind": "ocf", "base_url": url, "fetched_at_us": 1_700_000_000_000_000_i64,
                "models": [
                    model("Qwen/Qwen2.5-7B-Instruct-1M", "1x NVIDIA GH200 120GB", 1),
                    model("Qwen/Qwen3-8B", "1x NVIDIA GH200 120GB", 2),
                ],
            },
        },
    });
    let file = dir.path().join("spool.models.json");
    std::fs::write(file, kept.to_string()).expect("a file");
    TestGateway::in_dir(
        dir,
        Wanted {
            upstream: Some("http://127.0.0.1:1/v1".to_owned()),
            provider: format!(
                "    models: {{ list: [m-1] }}\n  - name: node\n    kind: ocf\n    base_url: {url}\n    models: {{ discover: true }}\n"
            ),
            yaml: "models: { mixed: { targets: [{ provider: openai, model: m-1 }, { provider: node, model: Qwen/Qwen2.5-7B-Instruct-1M }] } }\n".to_owned(),
            ..Wanted::default()
        },
    )
}

/// A node that gives its table as often as it is asked.
fn node() -> FakeUpstream {
    FakeUpstream::start(vec![vec![
        Step::ReadRequest,
        Step::Send(answer(200, "connection: close\r\n", TABLE)),
        Step::ReadToEnd,
    ]])
}

#[test]
fn ai_proxy_models_detailed() {
    let node = node();
    let gateway = with_kept_lists(&node);
    let list = get(&gateway, "/v1/models_detailed");
    assert_eq!(list["object"], "list");
    let data = &list["data"];
    assert_eq!(
        texts(data, "id"),
        [
            "m-1",
            "Qwen/Qwen2.5-7B-Instruct-1M",
            "Qwen/Qwen3-8B",
            "mixed"
        ]
    );
    for (index, device, provider) in [
        (0, "API", json!("openai")),
        (1, "1x NVIDIA GH200 120GB", json!("node")),
        (3, "API, 1x NVIDIA GH200 120GB", Value::Null),
    ] {
        let item = &data[index];
        assert_eq!(
            (&item["device"], &item["provider"]),
            (&json!(device), &provider)
        );
        assert_eq!(
            (&item["object"], &item["created"]),
            (&json!("model"), &json!(0))
        );
        assert!(item["owned_by"].is_string());
    }
    assert_eq!(data[0]["nodes"], Value::Null);
}

#[test]
fn models_detailed_is_the_same_until_a_list_changes() {
    let list = |id: &str| {
        let body = json!({ "object": "list", "data": [{ "id": id }] }).to_string();
        vec![
            Step::ReadRequest,
            Step::Send(answer(200, "connection: close\r\n", &body)),
            Step::ReadToEnd,
        ]
    };
    let upstream = FakeUpstream::start(vec![list("m-1"), list("m-2")]);
    let gateway = TestGateway::with(Wanted {
        upstream: Some(upstream.base_url()),
        provider: "    models: { discover: true }\n".to_owned(),
        ..Wanted::default()
    });
    let has = |id: &str| {
        let list = get(&gateway, "/v1/models_detailed");
        texts(&list["data"], "id") == [id]
    };
    wait_until("the list comes", || has("m-1"));
    let body = || gateway.get("/v1/models_detailed").body;
    assert_eq!(body(), body());
    gateway.running().refresh_models();
    wait_until("another list comes", || has("m-2"));
}

#[test]
fn ai_proxy_models_detailed_of_a_node_that_names_no_device() {
    let gateway = TestGateway::with(Wanted {
        upstream: Some("http://127.0.0.1:1/v1".to_owned()),
        provider: "  - name: node\n    kind: ocf\n    base_url: http://127.0.0.1:1\n    models: { list: [acme/x] }\n"
            .to_owned(),
        ..Wanted::default()
    });
    let list = get(&gateway, "/v1/models_detailed");
    assert_eq!(texts(&list["data"], "id"), ["acme/x"]);
    assert_eq!(list["data"][0]["device"], "Unknown");
}

#[test]
fn ai_proxy_endpoints() {
    let node = node();
    let gateway = with_kept_lists(&node);
    let list = get(&gateway, "/v1/endpoints");
    let expected = json!({ "object": "list", "data": [
        {
            "url": "http://127.0.0.1:1/v1", "type": "openai", "name": "openai",
            "models": ["m-1"], "patterns": [],
        },
        {
            "url": format!("http://{}", node.addr()), "type": "ocf", "name": "node",
            "models": ["Qwen/Qwen2.5-7B-Instruct-1M", "Qwen/Qwen3-8B"], "patterns": [],
        },
    ] });
    assert_eq!(list, expected);
}

#[test]
fn apiproxy_provider_models() {
    let gateway = quiet();
    let models = get(&gateway, "/providers/openai/models");
    assert_eq!(models["total"], 2);
    assert_eq!(texts(&models["models"], "id"), ["model-a", "shared"]);
    assert_eq!(models["patterns"], json!(["gpt-*"]));
    assert_eq!(models["fetched_at"], Value::Null);
    let expected = json!({
        "id": "model-a", "model_id": "model-a", "provider_id": "openai", "object": "model",
        "created": null, "owned_by": null, "device": "API", "nodes": null, "source": "listed",
        "context_length": null, "capabilities": null,
        "pricing": { "input_usd_per_mtok": 4.0, "output_usd_per_mtok": 8.0 },
    });
    assert_eq!(models["models"][0], expected);
    let node = node();
    let gateway = with_kept_lists(&node);
    let models = get(&gateway, "/providers/node/models");
    assert_eq!(models["total"], 2);
    assert_eq!(models["models"][1]["id"], "Qwen/Qwen3-8B");
    assert_eq!(models["models"][1]["source"], "discovered");
    assert!(models["fetched_at"].is_number());
}
