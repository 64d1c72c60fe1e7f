//! What clients are told of providers whose list has not come in the background, or that are not asked there.

use super::served::{DISCOVER, another, gateway, list, listing, names, wait_for};
use super::{CLOSE, received, then};
use crate::support::fake_upstream::FakeUpstream;
use crate::support::gateway::{TestGateway, wait_until};
use crate::support::wire::json;

fn wait_for_failures(gateway: &TestGateway, provider: &str, failures: u32) {
    let name = format!("discovery_failures_total{{provider=\"{provider}\"}}");
    wait_until("it is asked in vain", || {
        gateway.metric(&name) >= f64::from(failures)
    });
}

#[test]
fn where_no_list_comes_the_client_hears_why() {
    let refusing = || FakeUpstream::answering(json(401, CLOSE, "{}"));
    let (one, other) = (refusing(), refusing());
    let gateway = gateway(
        &one,
        DISCOVER,
        &another("b", &other, "{ discover: true }"),
        "",
    );
    for name in ["openai", "b"] {
        wait_for_failures(&gateway, name, 1);
    }
    let reply = gateway.get("/v1/models");
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert_eq!((one.connections(), other.connections()), (2, 2));
}

#[test]
fn another_key_of_ours_is_shown_where_one_is_refused() {
    let upstream = FakeUpstream::start(vec![then(json(401, CLOSE, "{}")), list(&["n-1"])]);
    let found = listing(&["m-1"]);
    let more = another("b", &upstream, "{ allow: [\"*\"] }").replace(
        "{ key: sk-b-0123456789 }",
        "{ key: sk-b-0123456789 }, { key: sk-c-0123456789 }",
    );
    let gateway = gateway(&found, DISCOVER, &more, "");
    wait_for(&gateway, "openai", 1);
    assert_eq!(names(&gateway, "/v1/models", ""), ["m-1", "n-1"]);
    assert!(received(&upstream, 1).contains("sk-c-"));
}

#[test]
fn who_does_not_stand_is_not_waited_for() {
    let (found, away) = (listing(&["m-1"]), listing(&[]));
    let away_for_good = another("b", &away, "{ discover: true }, probe_s: 3600");
    drop(away);
    let gateway = gateway(&found, DISCOVER, &away_for_good, "");
    wait_for(&gateway, "openai", 1);
    // By the sixth the circuit has heard of five.
    for failures in 1..=6 {
        gateway.running().refresh_models();
        wait_for_failures(&gateway, "b", failures);
    }
    assert_eq!(names(&gateway, "/v1/models", ""), ["m-1"]);
    assert_eq!(gateway.row().record.attempts, 0);
}
