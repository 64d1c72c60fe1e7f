//! The table of prices that is shipped: `prices.json`, in US dollars for a million tokens, as decimal texts. `seen` says where
//! the figures were read: on the provider's own page, or in at least one public list that names that page. A model whose
//! price could not be read has no entry.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Price, Rates};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Table {
    version: String,
    prices: HashMap<(String, String), Price>,
}

static SHIPPED: LazyLock<Table> =
    LazyLock::new(|| Table::read(include_str!("prices.json")).unwrap_or_default());

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: String,
    pub(super) providers: HashMap<String, Provider>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provider {
    pub(super) source: String,
    pub(super) models: Vec<Model>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Seen {
    Provider,
    Lists,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    pub(super) names: Vec<String>,
    #[expect(dead_code, reason = "for people, and checked to be one of the words")]
    pub(super) seen: Seen,
    input: String,
    cached: Option<String>,
    cache_write: Option<String>,
    cache_write_1h: Option<String>,
    image_input: Option<String>,
    audio_input: Option<String>,
    output: String,
    above: Option<Above>,
    known_up_to: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Above {
    prompt_tokens: u64,
    input: String,
    cached: Option<String>,
    output: String,
}

impl Table {
    /// The one that is shipped; read once.
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// `None` when anything in it is not understood: half a table would be a wrong one.
    pub(super) fn read(text: &str) -> Option<Self> {
        let file: File = serde_json::from_str(text).ok()?;
        let mut prices = HashMap::new();
        for (provider, listed) in file.providers {
            if !listed.source.starts_with("https://") {
                return None;
            }
            for model in listed.models {
                let price = model.price()?;
                for name in model.names {
                    prices.insert((provider.clone(), name), price.clone());
                }
            }
        }
        let version = file.version;
        Some(Self { version, prices })
    }

    /// The day of the table.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The price of exactly this model at this provider, by the provider's word.
    pub fn find(&self, provider: &str, model: &str) -> Option<&Price> {
        self.prices.get(&(provider.to_owned(), model.to_owned()))
    }
}

impl Model {
    fn price(&self) -> Option<Price> {
        let optional = |text: &Option<String>| match text {
            Some(text) => nano(text).map(Some),
            None => Some(None),
        };
        let above = match &self.above {
            Some(above) => {
                let rates = Rates {
                    input: Some(nano(&above.input)?),
                    cached: optional(&above.cached)?,
                    output: Some(nano(&above.output)?),
                    ..Rates::default()
                };
                Some((above.prompt_tokens, rates))
            }
            None => None,
        };
        Some(Price {
            rates: Rates {
                input: Some(nano(&self.input)?),
                cached: optional(&self.cached)?,
                cache_write: optional(&self.cache_write)?,
                cache_write_1h: optional(&self.cache_write_1h)?,
                image_input: optional(&self.image_input)?,
                audio_input: optional(&self.audio_input)?,
                output: Some(nano(&self.output)?),
                ..Rates::default()
            },
            above,
            known_up_to: self.known_up_to,
        })
    }
}

/// A decimal text in 10⁻⁹, exactly. `None` for anything but digits, a point, and at most nine digits more.
pub(super) fn nano(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(part) || 9 < part.len() {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = format!("{part:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(part)
}
