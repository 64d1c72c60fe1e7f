use super::*;
use crate::routing::testing::{routing_after, routing_by};

const BEFORE: &str = "
providers:
  - { name: a, kind: openai, base_url: 'http://a.test/v1', models: { list: [m, n] } }
  - { name: b, kind: anthropic, base_url: 'http://b.test', api_keys: [{ key: sk-b }], models: { list: [m] } }
";

/// What is known of these targets, each with whether it is what was known of it before.
#[track_caller]
fn check(after: &str, expected: &[(&str, &str, bool)]) {
    let clock = Clock::manual(0);
    let before = routing_by(BEFORE, &clock);
    for (provider, model) in [("a", "m"), ("a", "n"), ("b", "m")] {
        before.health.of_target(provider, model);
    }
    let known = before.health.states(usize::MAX);
    let after = routing_after(after, &clock, Some(&before));
    let mut told: Vec<_> = after
        .health
        .states(usize::MAX)
        .into_iter()
        .map(|now| {
            let is_same = known.iter().any(|before| Arc::ptr_eq(before, &now));
            (now.provider.to_string(), now.model.to_string(), is_same)
        })
        .collect();
    told.sort();
    let told = told.iter();
    let told = told.map(|(provider, model, is_same)| (&**provider, &**model, *is_same));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    // Running requests have what they began with.
    assert_eq!(before.health.states(usize::MAX).len(), known.len());
}

#[test]
fn what_is_known_of_targets_that_stay_outlives_a_configuration() {
    let all = [("a", "", true), ("a", "m", true), ("a", "n", true)];
    check(
        BEFORE,
        &[&all[..], &[("b", "", true), ("b", "m", true)]].concat(),
    );
}

#[test]
fn a_provider_and_a_model_that_are_there_no_more_are_forgotten() {
    let yaml = "providers: [{ name: a, kind: openai, base_url: 'http://a.test/v1', models: { list: [n] } }]";
    check(yaml, &[("a", "", true), ("a", "n", true)]);
}

#[test]
fn of_a_provider_of_another_place_or_kind_nothing_is_known() {
    let yaml = "
providers:
  - { name: a, kind: openai, base_url: 'http://other.test/v1', models: { list: [m] } }
  - { name: b, kind: gemini, base_url: 'http://b.test', api_keys: [{ key: sk-b }], models: { list: [m] } }
";
    check(yaml, &[("a", "", false), ("b", "", false)]);
}
