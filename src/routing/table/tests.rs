use std::fmt::Write as _;

use super::*;
use crate::routing::testing::{chat, routing, told};

const PROVIDERS: &str = "
providers:
  - { name: openai, kind: openai, base_url: 'http://a.test/v1' }
  - { name: local, kind: openai, base_url: 'http://b.test/v1', models: { list: [small, Qwen/Qwen3-8B, shared] } }
  - { name: claude, kind: anthropic, base_url: 'http://c.test', api_keys: [{ key: sk-c }], models: { allow: ['claude-*'], list: [shared], deny: ['claude-old*'] } }
  - { name: spare, kind: openai, base_url: 'http://d.test/v1', models: { allow: ['claude-*', 'sma*'] } }
models:
  fast:
    targets:
      - { provider: claude, model: claude-haiku }
      - { provider: openai, model: gpt-mini, weight: 3 }
  org/big:
    strategy: priority
    targets: [{ provider: openai, model: gpt-big }]
  claude-next:
    targets: [{ provider: openai, model: gpt-next }]
";

/// What a chat that asks for this is routed to.
fn routed(model: &str) -> Result<Vec<String>, NoTarget> {
    let routing = routing(PROVIDERS);
    let route = chat(&routing, Some(model))?;
    Ok(told(&routing, &route))
}

#[test]
fn names_resolve_in_the_documented_order() {
    for (model, targets) in [
        // A logical model, also one whose name has a slash or would be a provider's.
        ("fast", &["claude:claude-haiku*", "openai:gpt-mini"][..]),
        ("org/big", &["openai:gpt-big"]),
        ("claude-next", &["openai:gpt-next"]),
        // A provider's name before the first slash.
        ("local/any/thing", &["local:any/thing"]),
        ("claude/claude-x", &["claude:claude-x*"]),
        // Those who list it or have a pattern for it; who understands the client has the lower tier.
        ("small", &["local", "spare"]),
        ("shared", &["local", "claude*"]),
        ("claude-new", &["claude*", "spare"]),
        ("claude-old-1", &["spare"]),
        // A name with a slash whose first part is no provider's.
        ("Qwen/Qwen3-8B", &["local"]),
        ("meta/llama", &["openai"]),
        // The first that takes any.
        ("unheard-of", &["openai"]),
        ("", &["openai"]),
        ("local/", &["openai"]),
    ] {
        assert_eq!(routed(model).expect("a route"), targets, "{model}");
    }
}

#[test]
fn who_understands_the_client_is_asked_before_who_is_translated() {
    let routing = routing(PROVIDERS);
    let route = chat(&routing, Some("claude-new")).expect("a route");
    let tiers: Vec<u32> = route.targets.iter().map(|target| target.tier).collect();
    assert_eq!(tiers, [1, 0]);
}

#[test]
fn a_name_that_nobody_takes_is_told_with_its_neighbours() {
    let routing = routing(
        "
providers:
  - { name: a, kind: openai, base_url: 'http://a.test/v1', models: { list: [gpt-4o, gpt-4o-mini, o3] } }
models:
  fast: { targets: [{ provider: a, model: o3 }] }
",
    );
    for (model, near) in [
        ("gpt-4", &["gpt-4o", "gpt-4o-mini"][..]),
        ("GPT-4o", &["gpt-4o", "gpt-4o-mini"]),
        ("gpt-4o-mini-2024", &["gpt-4o", "gpt-4o-mini"]),
        ("fest", &["fast"]),
        ("nothing-like-it-at-all", &[]),
        ("b/gpt-4o", &["gpt-4o"]),
    ] {
        let unknown = NoTarget::UnknownModel {
            model: model.to_owned(),
        };
        assert_eq!(chat(&routing, Some(model)).err(), Some(unknown));
        let mut nearest = routing.table().nearest(model);
        nearest.sort_unstable();
        assert_eq!(nearest, near, "{model}");
    }
}

#[test]
fn a_logical_model_goes_to_its_targets_or_to_nobody() {
    let routing = routing(
        "
providers:
  - { name: any, kind: openai, base_url: 'http://a.test/v1' }
  - { name: claude, kind: anthropic, base_url: 'http://c.test', api_keys: [{ key: sk-c }] }
models:
  fast: { targets: [{ provider: claude, model: claude-haiku }] }
",
    );
    let table = routing.table();
    let asked = |model, endpoint| {
        let route = table.route(Question {
            named: None,
            model: Some(model),
            reach: Reach::Clients {
                dialect: Dialect::Openai,
                translatable: Some(endpoint),
            },
        });
        route.map(|route| told(&routing, &route).join(" "))
    };
    let unknown = NoTarget::UnknownModel {
        model: "fast".to_owned(),
    };
    for (model, endpoint, expected) in [
        (
            "fast",
            Endpoint::ChatCompletions,
            Ok("claude:claude-haiku*"),
        ),
        ("fast", Endpoint::Embeddings, Err(unknown)),
        ("fest", Endpoint::Embeddings, Ok("any")),
    ] {
        let expected = expected.map(str::to_owned);
        assert_eq!(asked(model, endpoint), expected, "{model}");
    }
    assert!(table.nearest("fast").is_empty());
    assert_eq!(table.nearest("fest"), ["fast"]);
}

#[test]
fn a_denied_name_is_not_taken_by_who_takes_any() {
    let routing = routing(
        "
providers:
  - { name: a, kind: openai, base_url: 'http://a.test/v1', models: { allow: ['*'], deny: ['secret-*'] } }
  - { name: b, kind: openai, base_url: 'http://b.test/v1', models: { allow: ['*'] } }
",
    );
    for (model, target) in [("x", "a"), ("secret-1", "b"), ("x", "a")] {
        let route = chat(&routing, Some(model)).expect("a route");
        assert_eq!(told(&routing, &route), [target], "{model}");
    }
}

#[test]
fn the_path_names_the_only_target_and_no_model_means_the_first() {
    let routing = routing(PROVIDERS);
    let asked = |named: Option<&str>, model: Option<&str>| {
        let route = routing.table().route(Question {
            named,
            model,
            reach: Reach::Clients {
                dialect: Dialect::Openai,
                translatable: None,
            },
        });
        route.map(|route| told(&routing, &route).join(" "))
    };
    assert_eq!(asked(Some("local"), Some("fast")).as_deref(), Ok("local"));
    assert_eq!(asked(Some("anthropic"), None).as_deref(), Ok("claude"));
    assert_eq!(asked(Some("nobody"), None), Err(NoTarget::UnknownProvider));
    assert_eq!(asked(None, None).as_deref(), Ok("openai"));
    // Who would have to be translated is left out of what is not.
    assert_eq!(asked(None, Some("fast")).as_deref(), Ok("openai:gpt-mini"));
    assert_eq!(asked(None, Some("shared")).as_deref(), Ok("local"));
}

#[test]
fn the_turns_of_a_name_go_on_and_junk_does_not_end_them() {
    let routing = routing(PROVIDERS);
    let first = chat(&routing, Some("small")).expect("a route");
    for number in 0..100 {
        drop(chat(&routing, Some(&format!("junk-{number}"))));
        drop(chat(&routing, Some(&format!("local/junk-{number}"))));
    }
    let again = chat(&routing, Some("small")).expect("a route");
    assert!(Arc::ptr_eq(&first, &again));
}

#[test]
fn names_that_clients_make_up_take_no_memory_and_no_turns() {
    let routing = routing(&format!(
        "{PROVIDERS}
prices: {{ claude-priced: {{ input_usd_per_mtok: 1, output_usd_per_mtok: 1 }} }}
"
    ));
    let table = routing.table();
    let known = ["small", "shared", "fast", "claude-haiku", "claude-priced"];
    let asked = || known.map(|model| chat(&routing, Some(model)).expect("a route"));
    let before = asked();
    let states = routing.health.states(usize::MAX).len();
    for number in 0..50_000 {
        let junk = ["claude-", "sma", "local/", "claude/claude-"][number % 4];
        let model = format!("{junk}{number}");
        assert!(chat(&routing, Some(&model)).is_ok(), "{model}");
    }
    assert_eq!(routing.health.states(usize::MAX).len(), states);
    let kept = table.kept.read().expect("a lock");
    let count = |of: fn(&Kept) -> usize| kept.values().map(of).sum::<usize>();
    assert_eq!(count(|kept| kept.names.len()), known.len());
    // Those of `claude` and `spare`, and of `spare` alone.
    assert_eq!(count(|kept| kept.sets.len()), 2);
    assert!(count(|kept| kept.lately.len()) <= MOST_LATELY * 2);
    for (before, now) in before.iter().zip(asked()) {
        assert!(Arc::ptr_eq(before, &now));
    }
}

#[test]
fn names_by_the_same_patterns_take_turns_and_have_the_figures_of_their_providers() {
    let routing = routing(PROVIDERS);
    let route = |model| chat(&routing, Some(model)).expect("a route");
    let one = route("claude-a");
    assert!(Arc::ptr_eq(&one, &route("claude-b")));
    assert!(!Arc::ptr_eq(&one, &route("claude-old-b")));
    let models = |model| {
        let route = route(model);
        let states = route.targets.iter().map(|target| &target.state);
        states
            .map(|state| state.model.to_string())
            .collect::<Vec<_>>()
    };
    for (model, expected) in [
        ("claude-a", &["", ""][..]),
        // A target of a logical model.
        ("claude-haiku", &["claude-haiku", "claude-haiku"]),
        ("openai/gpt-mini", &["gpt-mini"]),
        ("openai/made-up", &[""]),
        ("small", &["small", "small"]),
        ("spare/shared", &[""]),
    ] {
        assert_eq!(models(model), expected, "{model}");
    }
}

#[test]
fn ten_thousand_models_of_two_hundred_providers_have_their_own() {
    let mut yaml = String::from("providers:\n");
    for provider in 0..200 {
        let own = (0..50).map(|model| format!("m-{}", provider * 50 + model));
        let own = own.collect::<Vec<_>>().join(", ");
        let entry = format!(
            "kind: openai, base_url: 'http://p{provider}.test/v1', models: {{ list: [{own}] }}"
        );
        writeln!(yaml, "  - {{ name: p{provider}, {entry} }}").expect("text");
    }
    let routing = routing(&yaml);
    for model in [0, 49, 50, 4_999, 9_999] {
        let route = chat(&routing, Some(&format!("m-{model}"))).expect("a route");
        assert_eq!(told(&routing, &route), [format!("p{}", model / 50)]);
    }
    assert!(chat(&routing, Some("m-10000")).is_err());
}

#[test]
fn discovered_names_go_to_their_providers_by_their_own_names() {
    let routing = routing(
        "
providers:
  - { name: a, kind: openai, base_url: 'http://a.test/v1', models: { list: [m], deny: ['bad*'] } }
  - { name: b, kind: openai, base_url: 'http://b.test/v1', models: { list: [m-b] } }
models: { fast: { targets: [{ provider: b, model: lab/x }] } }
",
    );
    let listed = |name: &str, upstream: Option<&str>| Listed {
        name: name.to_owned(),
        upstream: upstream.map(str::to_owned),
    };
    let table = Table::new(&Parts {
        providers: routing.providers().clone(),
        discovered: &[
            vec![listed("m", None), listed("n", None), listed("bad-1", None)],
            vec![listed("lab/x", Some("x")), listed("n", None)],
        ],
        logical: routing.logical_models(),
        prices: &[],
        strategy: Strategy::Balanced,
        has_prefix_affinity: false,
        health: &routing.health,
    });
    let asked = |model| {
        let route = table.route(Question {
            named: None,
            model: Some(model),
            reach: Reach::Clients {
                dialect: Dialect::Openai,
                translatable: None,
            },
        });
        route.map(|route| told(&routing, &route))
    };
    for (model, targets) in [
        ("m", &["a"][..]),
        ("n", &["a", "b"]),
        ("lab/x", &["b:x"]),
        ("fast", &["b:x"]),
    ] {
        assert_eq!(asked(model).expect("a route"), targets, "{model}");
    }
    for model in ["bad-1", "x"] {
        assert!(asked(model).is_err(), "{model}");
    }
}

#[test]
fn priority_is_the_order_of_the_list_unless_tiers_say_otherwise() {
    let routing = routing(
        "
providers:
  - { name: claude, kind: anthropic, base_url: 'http://c.test', api_keys: [{ key: sk-c }], models: { list: [m] } }
  - { name: a, kind: openai, base_url: 'http://a.test/v1', models: { list: [m] } }
  - { name: b, kind: openai, base_url: 'http://b.test/v1', models: { list: [m] } }
routing: { strategy: priority }
models:
  listed: { targets: [{ provider: b, model: m }, { provider: a, model: m }, { provider: claude, model: m }] }
  tiered: { targets: [{ provider: b, model: m, tier: 1 }, { provider: a, model: m }, { provider: claude, model: m, tier: 1 }] }
",
    );
    for (model, expected) in [
        ("listed", [("b", 0), ("a", 1), ("claude", 2)]),
        ("tiered", [("b", 1), ("a", 0), ("claude", 1)]),
        ("m", [("a", 0), ("b", 1), ("claude", 2)]),
    ] {
        let route = chat(&routing, Some(model)).expect("a route");
        let tiers = route.targets.iter();
        let tiers = tiers.map(|target| (&*routing.providers()[target.provider].name, target.tier));
        assert_eq!(tiers.collect::<Vec<_>>(), expected, "{model}");
    }
}
