use super::table::{File, nano};
use super::*;

#[test]
fn decimals_are_exact() {
    for (text, expected) in [
        ("0", Some(0)),
        ("2.5", Some(2_500_000_000)),
        ("0.075", Some(75_000_000)),
        ("0.000000001", Some(1)),
        ("0.0000000001", None),
        ("", None),
        (".5", None),
        ("5.", None),
        ("-1", None),
        ("1e3", None),
        ("99999999999", None),
    ] {
        assert_eq!(nano(text), expected, "{text:?}");
    }
}

#[test]
fn the_shipped_table_is_whole() {
    let file: File = serde_json::from_str(include_str!("prices.json")).unwrap();
    let table = Table::shipped();
    assert_eq!(table.version(), file.version);
    let digits = file.version.split('-').map(str::len).collect::<Vec<_>>();
    assert_eq!(digits, [4, 2, 2], "{}", file.version);
    let mut seen = std::collections::HashSet::new();
    for (provider, listed) in &file.providers {
        assert!(listed.source.starts_with("https://"), "{provider}");
        let kind = ProviderKind::of_word(provider).unwrap();
        assert_eq!(table_of(kind), Some(provider.as_str()));
        for name in listed.models.iter().flat_map(|model| &model.names) {
            assert!(seen.insert((provider, name)), "{name} stands there twice");
            let rates = table.find(provider, name).unwrap().rates;
            assert!(rates.input.is_some_and(|rate| 0 < rate), "{name}");
            assert!(rates.output.is_some(), "{name}");
            assert!(
                rates.cached.is_none_or(|rate| rate < rates.input.unwrap()),
                "{name}"
            );
        }
    }
    assert!(20 < seen.len(), "{}", seen.len());
}

#[test]
fn only_exact_names_have_a_price() {
    let table = Table::shipped();
    assert!(table.find("openai", "gpt-4o").is_some());
    for (provider, model) in [
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "gpt-4o-2024-08"),
        ("openai", "gpt-4o-2030-01-01"),
        ("openai", "claude-haiku-4-5"),
        ("azure", "gpt-4o"),
        ("anthropic", "claude-haiku-4"),
    ] {
        assert_eq!(table.find(provider, model), None, "{provider} {model}");
    }
}

#[test]
fn costs_of_disjoint_buckets() {
    let usd = |amount: i64| Some(amount * 1_000_000_000);
    let price = Price {
        rates: Rates {
            input: usd(3),
            cached: usd(1),
            cache_write: usd(4),
            cache_write_1h: usd(6),
            audio_input: usd(40),
            output: usd(15),
            ..Rates::default()
        },
        above: Some((
            1000,
            Rates {
                input: usd(6),
                output: usd(20),
                ..Rates::default()
            },
        )),
        known_up_to: Some(5000),
    };
    let all = Tokens {
        prompt: 100,
        completion: 10,
        ..Tokens::default()
    };
    let whole = |prompt, completion| Tokens {
        prompt,
        completion,
        ..all
    };
    for (tokens, expected) in [
        (Tokens::default(), Some(0)),
        (all, Some(300_000 + 150_000)),
        (
            Tokens { cached: 40, ..all },
            Some(180_000 + 40_000 + 150_000),
        ),
        (
            Tokens {
                cache_write: 40,
                ..all
            },
            Some(180_000 + 160_000 + 150_000),
        ),
        (
            Tokens {
                cache_write: 40,
                cache_write_1h: 10,
                ..all
            },
            Some(180_000 + 120_000 + 60_000 + 150_000),
        ),
        (
            Tokens {
                reasoning: 9,
                ..all
            },
            Some(450_000),
        ),
        (
            Tokens {
                audio_input: 10,
                ..all
            },
            Some(270_000 + 400_000 + 150_000),
        ),
        // Nobody knows a rate, or which tokens are which.
        (
            Tokens {
                audio_output: 1,
                ..all
            },
            None,
        ),
        (
            Tokens {
                image_input: 1,
                ..all
            },
            None,
        ),
        (
            Tokens {
                image_output: 1,
                ..all
            },
            None,
        ),
        (
            Tokens {
                audio_input: 10,
                cached: 10,
                ..all
            },
            None,
        ),
        // Parts that are more than the whole.
        (
            Tokens {
                cached: 60,
                cache_write: 41,
                ..all
            },
            None,
        ),
        (
            Tokens {
                cache_write_1h: 1,
                ..all
            },
            None,
        ),
        (
            Tokens {
                reasoning: 11,
                ..all
            },
            None,
        ),
        // By the size of the prompt, from one token to the next.
        (whole(1000, 0), Some(3_000_000)),
        (whole(1001, 1), Some(6_006_000 + 20_000)),
        (
            Tokens {
                cached: 1,
                ..whole(1001, 1)
            },
            None,
        ),
        (whole(5000, 0), Some(30_000_000)),
        (whole(5001, 0), None),
        (whole(0, u64::MAX), None),
    ] {
        assert_eq!(price.cost(&tokens), expected, "{tokens:?}");
    }
}

#[test]
fn a_cost_is_rounded_once_and_half_up() {
    let price = Price {
        rates: Rates {
            input: Some(500_000),
            output: Some(499_999),
            ..Rates::default()
        },
        ..Price::default()
    };
    for (prompt, completion, expected) in [(1, 0, 1), (0, 1, 0), (1, 1, 1), (3, 0, 2), (0, 2, 1)] {
        let tokens = Tokens {
            prompt,
            completion,
            ..Tokens::default()
        };
        assert_eq!(price.cost(&tokens), Some(expected), "{prompt} {completion}");
    }
}

#[test]
fn own_prices_come_before_the_table_and_only_a_maker_has_the_table() {
    let own = HashMap::from([("gpt-4o".to_owned(), Price::default())]);
    let makers = HashMap::from([("maker".to_owned(), "openai")]);
    let own_version = "config:abc".to_owned();
    let prices = Prices {
        own,
        own_version,
        makers,
    };
    let table = Table::shipped().version();
    for (provider, reported, sent, expected) in [
        (Some("maker"), Some("gpt-4o"), None, Some("config:abc")),
        (
            Some("maker"),
            Some("gpt-4o-2024-08-06"),
            Some("gpt-4o"),
            Some("config:abc"),
        ),
        (Some("maker"), Some("gpt-4o-2024-08-06"), None, Some(table)),
        (Some("maker"), None, Some("gpt-4.1"), Some(table)),
        // What answered counts, not what was asked for.
        (Some("maker"), Some("gpt-4.1-new"), Some("gpt-4.1"), None),
        (Some("server"), Some("gpt-4.1"), None, None),
        (None, Some("gpt-4.1"), None, None),
        (None, None, None, None),
    ] {
        let found = prices.find(provider, reported, sent);
        let version = found.map(|(_, version)| version);
        assert_eq!(version, expected, "{provider:?} {reported:?} {sent:?}");
    }
}

#[test]
fn other_tiers_have_other_prices() {
    let tiers = [
        None,
        Some("default"),
        Some("standard"),
        Some("flex"),
        Some("priority"),
        Some("batch"),
    ];
    let ordinary = tiers.map(is_default_tier);
    assert_eq!(ordinary, [true, true, true, false, false, false]);
}
