//! How providers do, by their traffic: health and metrics.

use serde_json::{Value, json};

use super::{get, members, pair, pair_at, quiet, well, wire};
use crate::support::fake_upstream::FakeUpstream;

#[test]
fn apiproxy_provider_health_before_any_request_is_not_known() {
    let gateway = quiet();
    let health = get(&gateway, "/providers/b/health");
    assert_eq!(
        members(&health),
        [
            "provider_id",
            "status",
            "timestamp",
            "response_time_ms",
            "error_message",
            "last_successful_check",
            "breaker",
            "keys",
            "models",
        ]
    );
    assert_eq!(health["provider_id"], "b");
    assert_eq!(health["status"], "unknown");
    for unknown in ["response_time_ms", "error_message", "last_successful_check"] {
        assert_eq!(health[unknown], Value::Null, "{unknown}");
    }
    assert!(health["timestamp"].as_f64().is_some_and(|at| 1.7e9 < at));
    let closed = json!({ "state": "closed", "open_for_s": null, "cooling_for_s": null });
    assert_eq!(health["breaker"], closed);
}

#[test]
fn apiproxy_provider_health_after_an_answer() {
    let (first, second) = (well(), well());
    let gateway = pair(&first, &second);
    assert_eq!(gateway.chat("fast", "").status, 200);
    gateway.settle();
    let health = get(&gateway, "/providers/openai/health");
    assert_eq!(health["status"], "healthy");
    assert!(
        health["response_time_ms"]
            .as_f64()
            .is_some_and(|ms| 0.0 < ms)
    );
    let at = health["timestamp"].as_f64().expect("a time");
    let last = health["last_successful_check"].as_f64().expect("a time");
    assert!(last <= at && at - 60.0 < last, "{health}");
    assert_eq!(health["keys"][0]["picks"], 1);
    assert_eq!(health["models"][0]["model_id"], "model-a");
    assert_eq!(health["models"][0]["status"], "healthy");
    let other = get(&gateway, "/providers/b/health");
    assert_eq!(other["status"], "unknown");
    let provider = get(&gateway, "/providers/openai");
    assert_eq!(provider["status"], "healthy");
    assert!(provider["last_check"].as_f64().is_some());
}

#[test]
fn apiproxy_provider_health_tells_what_is_wrong() {
    for (status, shown, reason, words) in [
        (
            "401 No",
            "down",
            Some("refused"),
            "the key 'primary' was refused and cools down for 30 s",
        ),
        (
            "429 No",
            "degraded",
            Some("rate_limited"),
            "the key 'primary' is over its rate and cools down for",
        ),
        (
            "500 No",
            "down",
            None,
            "100 % of the attempts of the last minute failed",
        ),
    ] {
        let (bad, good) = (FakeUpstream::answering(wire(status, "{}")), well());
        let gateway = pair(&bad, &good);
        assert_eq!(gateway.chat("fast", "").status, 200, "{status}");
        gateway.settle();
        let health = get(&gateway, "/providers/openai/health");
        assert_eq!(health["status"], shown, "{health}");
        let said = health["error_message"].as_str().expect("words");
        assert!(said.contains(words), "{said}");
        let cooling = &health["keys"][0]["cooling_down"];
        assert_eq!(cooling["reason"].as_str(), reason);
        assert_eq!(cooling["for_s"].is_number(), reason.is_some());
    }
}

#[test]
fn apiproxy_provider_health_shows_an_open_circuit() {
    let other = well();
    let gateway = pair_at(
        "http://127.0.0.1:1/v1",
        &other.base_url(),
        "routing: { breaker_failures: 1 }\n",
    );
    assert_eq!(gateway.chat("fast", "").status, 200);
    let health = get(&gateway, "/providers/openai/health");
    assert_eq!(health["status"], "down");
    let said = health["error_message"].as_str().expect("words");
    assert!(
        said.contains("the model 'model-a' cannot be reached"),
        "{said}"
    );
    let breaker = &health["models"][0]["breaker"];
    assert_eq!(breaker["state"], "open");
    assert!(
        breaker["open_for_s"]
            .as_f64()
            .is_some_and(|left| left <= 10.0)
    );
}

#[test]
fn apiproxy_provider_metrics() {
    let (first, second) = (well(), well());
    let gateway = pair(&first, &second);
    let none = get(&gateway, "/providers/openai/metrics");
    assert_eq!(none, json!({ "metrics": [] }));
    let path = "/providers/openai/metrics?logical_model=fast";
    let before = get(&gateway, path);
    for (member, value) in [
        ("logical_model", json!("fast")),
        ("provider_id", json!("openai")),
        ("latency_avg_ms", Value::Null),
        ("latency_p50_ms", Value::Null),
        ("latency_p95_ms", Value::Null),
        ("latency_p99_ms", Value::Null),
        ("first_token_ms", Value::Null),
        ("error_rate", Value::Null),
        ("success_qps_1m", json!(0.0)),
        ("total_requests_1m", json!(0)),
        ("total_requests", json!(0)),
        ("total_failures", json!(0)),
        ("in_flight", json!(0)),
        ("last_updated", Value::Null),
        ("last_success", Value::Null),
        ("status", json!("unknown")),
    ] {
        assert_eq!(before["metrics"][0][member], value, "{member}");
    }
    assert_eq!(gateway.chat("fast", "").status, 200);
    gateway.settle();
    let after = get(&gateway, path);
    let one = &after["metrics"][0];
    assert_eq!(one["total_requests_1m"], 1);
    assert_eq!(one["error_rate"], 0.0);
    assert_eq!(one["status"], "healthy");
    for known in ["latency_p95_ms", "latency_avg_ms", "last_updated"] {
        assert!(one[known].is_number(), "{known}");
    }
    let by_model = get(&gateway, "/providers/openai/metrics");
    assert_eq!(by_model["metrics"][0]["logical_model"], "model-a");
    for path in [
        "/providers/openai/metrics?logical_model=model-b",
        "/providers/openai/metrics?logical_model=nothing",
    ] {
        assert_eq!(get(&gateway, path), json!({ "metrics": [] }), "{path}");
    }
    let slashes = get(&gateway, "/providers/b/metrics?logical_model=team%2Fblue");
    assert_eq!(slashes["metrics"][0]["logical_model"], "team/blue");
}
