//! Which targets a name has: in which order names are looked up, and how many there may be.

use std::path::Path;

use super::*;
use crate::clock::Clock;
use crate::config::{Config, Environment, Rules, load_text};
use crate::routing::breaker::BreakerSettings;
use crate::upstream::registry;

const CHATS: Reach = Reach::Clients {
    dialect: Dialect::Openai,
    translatable: Some(Endpoint::ChatCompletions),
};

const MESSAGES: Reach = Reach::Clients {
    dialect: Dialect::Anthropic,
    translatable: Some(Endpoint::Messages),
};

fn config(yaml: &str) -> Config {
    let rules = Rules {
        filters: &(),
        built_in_columns: &[],
    };
    let config = load_text(Path::new("t"), yaml, &Environment::default(), &rules);
    config.unwrap_or_else(|problems| panic!("{problems}"))
}

fn table(config: &Config, discovered: &[Vec<Listed>]) -> Table {
    let base = Clock::manual(0).now();
    Table::new(&Parts {
        providers: registry::build(&config.providers).expect("providers"),
        discovered,
        logical: &config.models,
        prices: &config.prices,
        strategy: config.routing.strategy,
        has_prefix_affinity: false,
        health: &Arc::new(Health::new(base, BreakerSettings::default())),
    })
}

/// `provider`, or `provider=model` where it is asked for another name, `~` before it where it is translated.
fn found(table: &Table, reach: Reach, model: &str) -> Result<Vec<String>, NoTarget> {
    let question = Question {
        named: None,
        model: Some(model),
        reach,
    };
    let shown = |target: &Target| {
        let translated = if target.is_translated { "~" } else { "" };
        let name = &table.providers()[target.provider].name;
        let model = target.model.as_ref().map(|model| format!("={model}"));
        format!("{translated}{name}{}", model.unwrap_or_default())
    };
    let route = table.route(question)?;
    Ok(route.targets.iter().map(shown).collect())
}

const SEVERAL: &str = "
providers:
  - { name: a, kind: openai, base_url: http://a.test/v1, models: { list: [both, Qwen/Qwen3-8B, taken, none/x], allow: ['gpt-*'], deny: ['gpt-old*', both-not] } }
  - { name: c, kind: anthropic, base_url: http://c.test, api_keys: [{ key: k }], models: { list: [both, claude-x] } }
  - { name: b, kind: openai, base_url: http://b.test/v1, models: { list: [both, a/listed], allow: ['gpt-4*'] } }
  - { name: any, kind: openai, base_url: http://any.test/v1, models: { allow: ['*'], deny: ['secret*'] } }
models:
  taken: { targets: [{ provider: b, model: one }, { provider: c, model: two }] }
  team/blue: { targets: [{ provider: a, model: Qwen/Qwen3-8B }] }
";

#[test]
fn a_name_is_looked_up_in_one_order() {
    let config = config(SEVERAL);
    let table = table(&config, &[]);
    for (model, expected) in [
        // A logical model goes before a listed one of its name.
        ("taken", &["b=one", "~c=two"][..]),
        ("team/blue", &["a=Qwen/Qwen3-8B"]),
        // A provider's name before the first slash means that provider, whatever others list.
        ("a/listed", &["a=listed"]),
        ("b/both", &["b=both"]),
        ("c/claude-x", &["~c=claude-x"]),
        ("b/Qwen/Qwen3-8B", &["b=Qwen/Qwen3-8B"]),
        // Else a slash is a part of the name.
        ("Qwen/Qwen3-8B", &["a"]),
        ("none/x", &["a"]),
        // All who name it, in the order of the configuration, by lists and patterns.
        ("both", &["a", "~c", "b"]),
        ("gpt-4o", &["a", "b"]),
        ("gpt-5", &["a"]),
        ("claude-x", &["~c"]),
        // Who does not take a name has it not, though a pattern would.
        ("gpt-old", &["any"]),
        // Else the first that takes any.
        ("whatever", &["any"]),
        ("Qwen/Other", &["any"]),
        ("a/", &["any"]),
        ("/x", &["any"]),
    ] {
        assert_eq!(found(&table, CHATS, model), Ok(own(expected)), "{model}");
    }
    assert_eq!(found(&table, MESSAGES, "both"), Ok(own(&["~a", "c", "~b"])));
    assert_eq!(found(&table, MESSAGES, "claude-x"), Ok(own(&["c"])));
}

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn who_understands_the_client_has_the_first_tier() {
    let config = config(SEVERAL);
    let table = table(&config, &[]);
    let question = |reach| Question {
        named: None,
        model: Some("both"),
        reach,
    };
    let tiers = |reach| -> Vec<u32> {
        let route = table.route(question(reach)).expect("a route");
        route.targets.iter().map(|target| target.tier).collect()
    };
    assert_eq!(tiers(CHATS), [0, 1, 0]);
    assert_eq!(tiers(MESSAGES), [1, 0, 1]);
}

#[test]
fn names_that_nobody_takes_are_told_their_nearest() {
    let config = config(SEVERAL);
    let table = table(&config, &[]);
    for (model, expected) in [("secret-claude-x", &[][..]), ("secret", &[])] {
        let none = found(&table, CHATS, model).expect_err("nobody takes it");
        let NoTarget::UnknownModel {
            model: told,
            nearest,
        } = none
        else {
            panic!("{none:?}")
        };
        assert_eq!((&*told, nearest), (model, own(expected)));
    }
    let config = self::config(
        "providers: [{ name: a, kind: openai, base_url: http://a.test/v1, models: { list: [gpt-4o-mini, gpt-4o, o3, Qwen/Qwen3-8B] } }]\nmodels: { fast: { targets: [{ provider: a, model: o3 }] } }\n",
    );
    let table = self::table(&config, &[]);
    for (model, first) in [
        ("gpt-4o-mni", "gpt-4o-mini"),
        ("fasst", "fast"),
        ("Qwen/Qwen3-8b", "Qwen/Qwen3-8B"),
    ] {
        let none = found(&table, CHATS, model).expect_err("nobody takes it");
        let NoTarget::UnknownModel { nearest, .. } = none else {
            panic!("{none:?}")
        };
        assert_eq!(nearest.first().map(String::as_str), Some(first), "{model}");
    }
}

#[test]
fn discovered_names_go_to_their_providers_by_their_own_names() {
    let config = config(
        "providers:
  - { name: a, kind: openai, base_url: http://a.test/v1, models: { list: [m], deny: ['bad*'] } }
  - { name: b, kind: openai, base_url: http://b.test/v1, prefix: lab, models: { discover: true } }
models: { fast: { targets: [{ provider: b, model: lab/x }] } }
",
    );
    let listed = |name: &str, upstream: Option<&str>| Listed {
        name: name.to_owned(),
        upstream: upstream.map(str::to_owned),
    };
    let discovered = [
        vec![listed("m", None), listed("n", None), listed("bad-1", None)],
        vec![listed("lab/x", Some("x")), listed("n", None)],
    ];
    let table = table(&config, &discovered);
    for (model, expected) in [
        ("m", &["a"][..]),
        ("n", &["a", "b"]),
        ("lab/x", &["b=x"]),
        ("fast", &["b=x"]),
    ] {
        assert_eq!(found(&table, CHATS, model), Ok(own(expected)), "{model}");
    }
    assert!(found(&table, CHATS, "bad-1").is_err());
    assert!(found(&table, CHATS, "x").is_err());
}

/// Each of ten thousand models is had by two of two hundred providers; a hundred logical models have ten targets each.
#[test]
fn ten_thousand_models_of_two_hundred_providers_are_found() {
    const PROVIDERS: usize = 200;
    const MODELS: usize = 10_000;
    let mut yaml = "providers:\n".to_owned();
    for index in 0..PROVIDERS {
        yaml += &format!(
            "  - {{ name: p{index}, kind: openai, base_url: http://p{index}.test/v1, models: {{ list: [own-{index}] }} }}\n"
        );
    }
    yaml += "models:\n";
    for index in 0..100 {
        let targets: Vec<String> = (0..10)
            .map(|target| {
                format!(
                    "{{ provider: p{}, model: m }}",
                    (index + target) % PROVIDERS
                )
            })
            .collect();
        yaml += &format!(
            "  logical-{index}: {{ targets: [{}] }}\n",
            targets.join(", ")
        );
    }
    let config = config(&yaml);
    let mut discovered = vec![Vec::new(); PROVIDERS];
    let holders = |model: usize| [model % PROVIDERS, (model + 7) % PROVIDERS];
    for model in 0..MODELS {
        for provider in holders(model) {
            discovered[provider].push(Listed {
                name: format!("org/model-{model}"),
                upstream: None,
            });
        }
    }
    let table = table(&config, &discovered);
    for model in 0..MODELS {
        let mut expected = holders(model);
        expected.sort_unstable();
        let expected = expected.map(|provider| format!("p{provider}"));
        let got = found(&table, CHATS, &format!("org/model-{model}"));
        assert_eq!(got, Ok(expected.to_vec()), "{model}");
    }
    for index in 0..100 {
        let got = found(&table, CHATS, &format!("logical-{index}")).expect("a route");
        assert_eq!(got.len(), 10);
        assert_eq!(got[9], format!("p{}=m", (index + 9) % PROVIDERS));
    }
    assert_eq!(table.names_listed().len(), MODELS + PROVIDERS);
    assert!(found(&table, CHATS, "org/model-x").is_err());
}

#[test]
fn a_route_is_one_for_all_who_ask_the_same() {
    let config = config(SEVERAL);
    let table = table(&config, &[]);
    let ask = |model, reach| {
        table.route(Question {
            named: None,
            model: Some(model),
            reach,
        })
    };
    for model in ["taken", "both", "gpt-4o"] {
        let (one, other) = (ask(model, CHATS), ask(model, CHATS));
        let (one, other) = (one.expect("a route"), other.expect("a route"));
        assert!(Arc::ptr_eq(&one, &other), "{model}");
        let elsewhere = ask(model, MESSAGES).expect("a route");
        assert!(!Arc::ptr_eq(&one, &elsewhere), "{model}");
    }
}
