use std::time::{Duration, Instant};

use super::*;
use crate::routing::Routing;
use crate::routing::testing::{chat, routing};

const THREE: &str = "
providers:
  - { name: a, kind: openai, base_url: 'http://a.test/v1', region: eu }
  - { name: b, kind: openai, base_url: 'http://b.test/v1', region: us }
  - { name: c, kind: openai, base_url: 'http://c.test/v1', region: us }
models:
  fast:
    targets:
      - { provider: a, model: m, weight: 2 }
      - { provider: b, model: m, when: { headers: { x-team: 'blue*' } } }
      - { provider: c, model: m, when: { max_prompt_bytes: 1000 } }
  all:
    prefix_affinity: true
    targets: [{ provider: a, model: m }, { provider: b, model: m }, { provider: c, model: m }]
  loose:
    sticky: false
    targets: [{ provider: a, model: m }, { provider: b, model: m }]
";

/// A request, as far as it decides.
struct Asked {
    headers: Headers,
    tags: Vec<(String, String)>,
    excluded: Vec<String>,
}

impl Asked {
    fn new(headers: &[(&str, &str)], excluded: &[&str]) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        Self {
            headers: Headers::from_pairs(headers),
            tags: Vec::new(),
            excluded: excluded.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            headers: &self.headers,
            tags: &self.tags,
            prompt_bytes: 10,
            region: None,
            excluded: &self.excluded,
            bound: None,
            prefix: None,
        }
    }
}

/// The names of the providers in the order in which they are tried.
fn tried(routing: &Routing, model: &str, facts: &Facts<'_>, now: Instant) -> String {
    let route = chat(routing, Some(model)).expect("a route");
    let order = candidates(&route, facts, routing.providers(), now, &Dice::seeded(3));
    let names = order.iter().map(|index| {
        let target = &route.targets[*index];
        routing.providers()[target.provider].name.clone()
    });
    names.collect()
}

/// How often each is the first of so many.
fn firsts(routing: &Routing, model: &str, facts: &Facts<'_>, count: usize) -> [usize; 3] {
    let now = Instant::now();
    let mut firsts = [0; 3];
    for _ in 0..count {
        let order = tried(routing, model, facts, now);
        firsts[usize::from(order.as_bytes()[0] - b'a')] += 1;
    }
    firsts
}

#[test]
fn conditions_and_exclusions_leave_out_and_the_rest_keep_their_shares() {
    let routing = routing(THREE);
    let plain = Asked::new(&[], &[]);
    assert_eq!(firsts(&routing, "fast", &plain.facts(), 300), [200, 0, 100]);
    let blue = Asked::new(&[("x-team", "blue-2")], &[]);
    assert_eq!(
        firsts(&routing, "fast", &blue.facts(), 400),
        [200, 100, 100]
    );
    let long = Facts {
        prompt_bytes: 1_001,
        ..blue.facts()
    };
    assert_eq!(firsts(&routing, "fast", &long, 300), [200, 100, 0]);
    let without = Asked::new(&[], &["a", "c"]);
    assert_eq!(
        tried(&routing, "fast", &without.facts(), Instant::now()),
        ""
    );
}

#[test]
fn a_region_goes_first_where_there_is_one() {
    let routing = routing(THREE);
    let asked = Asked::new(&[], &[]);
    let of = |region| Facts {
        region: Some(region),
        ..asked.facts()
    };
    assert_eq!(firsts(&routing, "all", &of("us"), 100), [0, 50, 50]);
    assert!(tried(&routing, "all", &of("us"), Instant::now()).ends_with('a'));
    assert_eq!(firsts(&routing, "all", &of("moon"), 99), [33, 33, 33]);
}

#[test]
fn a_session_stays_while_its_target_is_well() {
    let routing = routing(THREE);
    let asked = Asked::new(&[], &[]);
    let bound = Facts {
        bound: Some(("b", "m")),
        ..asked.facts()
    };
    assert_eq!(firsts(&routing, "all", &bound, 30), [0, 30, 0]);
    // Unless that is not wanted, or it is another model's, or nobody's.
    assert_eq!(firsts(&routing, "loose", &bound, 30), [15, 15, 0]);
    for bound in [("b", "other"), ("gone", "m")] {
        let facts = Facts {
            bound: Some(bound),
            ..asked.facts()
        };
        assert_eq!(firsts(&routing, "all", &facts, 30), [10, 10, 10]);
    }
    let route = chat(&routing, Some("all")).expect("a route");
    let now = Instant::now();
    for _ in 0..3 {
        route.targets[1].state.breaker.overloaded(now, now, None);
    }
    assert_eq!(firsts(&routing, "all", &bound, 30)[1], 0);
    assert!(tried(&routing, "all", &bound, now).ends_with('b'));
    let later = now + Duration::from_secs(11);
    assert!(tried(&routing, "all", &bound, later).starts_with('b'));
}

#[test]
fn prompts_that_begin_alike_go_to_one_target_and_others_spread() {
    let routing = routing(THREE);
    let asked = Asked::new(&[], &[]);
    let mut spread = [0; 3];
    for prefix in 0..3_000 {
        let facts = Facts {
            prefix: Some(prefix),
            ..asked.facts()
        };
        let firsts = firsts(&routing, "all", &facts, 2);
        let own = firsts.iter().position(|count| *count == 2);
        spread[own.expect("the same twice")] += 1;
    }
    assert!(
        spread.iter().all(|count| (900..1_100).contains(count)),
        "{spread:?}"
    );
}

#[test]
fn f51_an_open_circuit_is_tried_last() {
    let routing = routing(THREE);
    let asked = Asked::new(&[], &[]);
    let route = chat(&routing, Some("all")).expect("a route");
    let start = Instant::now();
    for second in 0..5 {
        let now = start + Duration::from_secs(second);
        route.targets[0].state.breaker.failed(now, now);
    }
    let now = start + Duration::from_secs(5);
    for _ in 0..10 {
        assert!(tried(&routing, "all", &asked.facts(), now).ends_with('a'));
    }
}
