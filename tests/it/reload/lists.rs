//! Lists of models follow the configuration.

use crate::support::fake_upstream::{FakeUpstream, Step};
use crate::support::gateway::{TestGateway, Wanted, wait_until};
use crate::support::wire::json;

use super::{applied, edit, read, reloading, write};

/// The answer that lists one model.
fn list(model: &str) -> Vec<u8> {
    let body = format!(r#"{{"object":"list","data":[{{"id":"{model}","object":"model"}}]}}"#);
    json(200, "connection: close\r\n", &body)
}

fn wait_for_list(gateway: &TestGateway, provider: &str) {
    let name = format!("aiproxy_discovery_models{{provider=\"{provider}\"}} 1");
    wait_until("the list is there", || {
        gateway.admin_get("/metrics").text().contains(&name)
    });
}

fn names(gateway: &TestGateway) -> Vec<String> {
    let list = gateway.get("/v1/models").json();
    let items = list["data"].as_array().expect("a list").iter();
    let names = items.map(|item| item["id"].as_str().expect("a name").to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn known_lists_stay_and_new_ones_are_asked_for() {
    // Who asks the first one again is cut off.
    let first = FakeUpstream::start(vec![
        vec![
            Step::ReadRequest,
            Step::Send(list("m-one")),
            Step::ReadToEnd,
        ],
        vec![Step::ReadRequest, Step::Rst],
    ]);
    let second = FakeUpstream::answering(list("m-two"));
    let gateway = reloading(Wanted {
        upstream: Some(first.base_url()),
        provider: "    models: { discover: true }\n".to_owned(),
        ..Wanted::default()
    });
    wait_for_list(&gateway, "openai");
    let before = read(&gateway);
    let added = format!(
        "providers:\n  - {{ name: b, kind: openai, base_url: \"{}\", models: {{ discover: true }} }}",
        second.base_url()
    );
    edit(&gateway, "providers:", &added);
    applied(&gateway);
    assert!(names(&gateway).contains(&"m-one".to_owned()), "at once");
    wait_for_list(&gateway, "b");
    assert_eq!(names(&gateway), ["m-one", "m-two"]);
    write(&gateway, &before);
    applied(&gateway);
    assert_eq!(names(&gateway), ["m-one"]);
    assert_eq!(gateway.chat("m-two", "").status, 404);
}
