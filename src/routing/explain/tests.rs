//! What is said of a choice, and that nothing comes of it.

use std::sync::Arc;

use super::*;
use crate::clock::Clock;
use crate::filter::Headers;
use crate::routing::breaker::Allowed;
use crate::routing::candidates::candidates;
use crate::routing::key_pool::{KeyTrouble, Pick};
use crate::routing::testing::{chat, routing_by};

struct Bench {
    clock: Clock,
    routing: Routing,
    route: Arc<Route>,
    headers: Headers,
}

impl Bench {
    fn new() -> Self {
        let yaml = "
providers:
  - { name: a, kind: openai, base_url: http://a.test/v1, api_keys: [{ key: k1, name: one, max_rps: 1 }, { key: k2, name: two, max_rps: 1 }] }
  - { name: b, kind: openai, base_url: http://b.test/v1, api_keys: [{ key: k, name: only }] }
routing: { breaker_failures: 1 }
models:
  fast: { targets: [{ provider: a, model: m, weight: 3 }, { provider: b, model: m }] }
";
        let clock = Clock::manual(0);
        let routing = routing_by(yaml, &clock);
        let route = chat(&routing, Some("fast")).expect("a route");
        Self {
            clock,
            routing,
            route,
            headers: Headers::default(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            headers: &self.headers,
            tags: &[],
            prompt_bytes: 0,
            region: None,
            excluded: &[],
            bound: None,
            prefix: None,
        }
    }

    fn explain(&self) -> Explained {
        let now = self.clock.now();
        explain(&self.routing, &self.route, &self.facts(), None, now)
    }

    /// The targets that would be asked, and the words of those that would not.
    fn said(&self) -> (Vec<usize>, Vec<&'static str>) {
        let explained = self.explain();
        let asked = explained.asked().map(|judged| judged.index).collect();
        let words = explained.left_out().map(|(_, passed)| passed.word);
        (asked, words.collect())
    }

    /// What a request does.
    fn order(&self) -> Vec<usize> {
        let providers = self.routing.providers();
        let (now, dice) = (self.clock.now(), &self.routing.dice);
        candidates(&self.route, &self.facts(), providers, now, dice)
    }

    fn pick(&self) -> Pick {
        let now = self.clock.now();
        self.routing
            .pool(0)
            .pick(now, &self.routing.dice, &[], false)
    }
}

#[test]
fn it_is_the_order_of_the_next_request_and_takes_no_turn() {
    let bench = Bench::new();
    let mut firsts = [0, 0];
    for _ in 0..40 {
        let said = bench.said().0;
        for _ in 0..3 {
            assert_eq!(bench.said().0, said);
        }
        assert_eq!(bench.order(), said);
        firsts[said[0]] += 1;
    }
    assert_eq!(firsts, [30, 10]);
    let explained = bench.explain();
    assert!(!explained.is_bound);
    let mut shares = explained.targets.iter().map(|judged| judged.share);
    assert_eq!(shares.clone().flatten().sum::<f64>(), 4.0);
    assert!(shares.all(|share| share.is_some()));
    let picks = explained.targets.iter().flat_map(|judged| &judged.keys);
    assert_eq!(picks.map(|key| key.picks).sum::<u64>(), 0);
}

#[test]
fn keys_without_room_are_told_and_none_is_counted() {
    let bench = Bench::new();
    for _ in 0..2 {
        assert_eq!(bench.said().1, [""; 0]);
        assert!(matches!(bench.pick(), Pick::Key(_)));
    }
    for _ in 0..3 {
        assert_eq!(bench.said(), (vec![1], vec!["key_rate"]));
    }
    assert!(matches!(bench.pick(), Pick::Busy { .. }));
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.said().1, [""; 0]);
}

#[test]
fn keys_that_cool_down_are_passed_over_but_for_the_last_target() {
    let bench = Bench::new();
    let refused = KeyTrouble::Refused;
    for key in 0..2 {
        bench.routing.pool(0).cools(key, refused, bench.clock.now());
    }
    assert_eq!(bench.said(), (vec![1], vec!["key_cooling_down"]));
    let explained = bench.explain();
    let lasts = explained
        .left_out()
        .next()
        .and_then(|(_, passed)| passed.lasts);
    assert_eq!(lasts, Some(Duration::from_secs(30)));
    bench.routing.pool(1).cools(0, refused, bench.clock.now());
    // The last one is tried all the same.
    let (asked, left_out) = bench.said();
    assert_eq!((asked.len(), left_out.len()), (1, 1));
}

#[test]
fn an_open_circuit_is_told_and_a_probes_place_is_not_taken() {
    let bench = Bench::new();
    let breaker = &bench.route.targets[0].state.breaker;
    let now = bench.clock.now();
    breaker.failed(now, now);
    assert_eq!(bench.said(), (vec![1], vec!["circuit_open"]));
    let explained = bench.explain();
    let lasts = explained
        .left_out()
        .next()
        .and_then(|(_, passed)| passed.lasts);
    assert_eq!(lasts, Some(Duration::from_secs(10)));
    bench.clock.advance(Duration::from_secs(10));
    for _ in 0..3 {
        assert_eq!(bench.said().1, [""; 0]);
    }
    assert_eq!(breaker.allows(bench.clock.now()), Allowed::Probe);
    assert_eq!(bench.said(), (vec![1], vec!["circuit_open"]));
}
