//! What tokens cost: prices of the configuration and a shipped table, and disjoint buckets of tokens. Integers only: a rate is
//! in 10⁻⁹ US dollars for a million tokens, a cost in 10⁻⁹ US dollars. What is not known for sure is `None`, never 0.

mod shared;
mod table;

use std::collections::HashMap;

pub use shared::SharedPrices;
pub use table::Table;

use crate::config::{Config, PriceConfig, ProviderKind};

/// Tokens that a rate is for.
const PER: i128 = 1_000_000;

/// Rates in 10⁻⁹ US dollars for a million tokens. `None`: nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Tokens of the prompt that are in no other bucket.
    pub input: Option<i64>,
    /// Tokens that came from a cache.
    pub cached: Option<i64>,
    /// Tokens that were written to a cache, for as long as the provider keeps them by default.
    pub cache_write: Option<i64>,
    /// Tokens that were written to a cache for an hour.
    pub cache_write_1h: Option<i64>,
    /// Tokens of images in the prompt.
    pub image_input: Option<i64>,
    /// Tokens of audio in the prompt.
    pub audio_input: Option<i64>,
    /// Tokens of the answer that are in no other bucket.
    pub output: Option<i64>,
    /// Tokens of the answer's reasoning; `None`: as [`Self::output`], which is every provider's rule.
    pub reasoning: Option<i64>,
    /// Tokens of audio in the answer.
    pub audio_output: Option<i64>,
}

/// What a model costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Price {
    /// For prompts of any size, or those that are not longer than what [`Self::above`] begins at.
    pub rates: Rates,
    /// Rates of the whole exchange where the prompt has more tokens than this.
    pub above: Option<(u64, Rates)>,
    /// Longest prompt whose price is known, in tokens; `None`: all are.
    pub known_up_to: Option<u64>,
}

/// Tokens of one exchange. Each count but the first of each side is a part of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// All of the prompt.
    pub prompt: u64,
    /// From a cache.
    pub cached: u64,
    /// Written to a cache.
    pub cache_write: u64,
    /// The part of [`Self::cache_write`] that is kept for an hour.
    pub cache_write_1h: u64,
    /// Of images in the prompt.
    pub image_input: u64,
    /// Of audio in the prompt.
    pub audio_input: u64,
    /// All of the answer.
    pub completion: u64,
    /// Of reasoning.
    pub reasoning: u64,
    /// Of images in the answer, which no rate here is for.
    pub image_output: u64,
    /// Of audio in the answer.
    pub audio_output: u64,
}

impl Price {
    /// The cost in 10⁻⁹ US dollars, rounded once, half up. `None` when a bucket that has tokens has no rate, when the
    /// parts are more than the whole, or when it does not fit.
    pub fn cost(&self, tokens: &Tokens) -> Option<i64> {
        if self.known_up_to.is_some_and(|most| most < tokens.prompt) {
            return None;
        }
        let rates = match &self.above {
            Some((limit, rates)) if *limit < tokens.prompt => rates,
            Some(_) | None => &self.rates,
        };
        // Nobody says how much of a cache is images or audio: those counts may be of the same tokens.
        let media = tokens.image_input.checked_add(tokens.audio_input)?;
        if 0 < media && 0 < tokens.cached.max(tokens.cache_write) {
            return None;
        }
        let writes = tokens.cache_write.checked_sub(tokens.cache_write_1h)?;
        let input = rest(tokens.prompt, &[tokens.cached, tokens.cache_write, media])?;
        let special = [tokens.reasoning, tokens.image_output, tokens.audio_output];
        let output = rest(tokens.completion, &special)?;
        let buckets = [
            (input, rates.input),
            (tokens.cached, rates.cached),
            (writes, rates.cache_write),
            (tokens.cache_write_1h, rates.cache_write_1h),
            (tokens.image_input, rates.image_input),
            (tokens.audio_input, rates.audio_input),
            (output, rates.output),
            (tokens.reasoning, rates.reasoning.or(rates.output)),
            (tokens.image_output, None),
            (tokens.audio_output, rates.audio_output),
        ];
        let mut sum: i128 = 0;
        for (count, rate) in buckets.into_iter().filter(|(count, _)| 0 < *count) {
            sum = sum.checked_add(i128::from(count).checked_mul(i128::from(rate?))?)?;
        }
        i64::try_from(sum.checked_add(PER / 2)? / PER).ok()
    }
}

fn rest(whole: u64, parts: &[u64]) -> Option<u64> {
    let mut parts = parts.iter();
    parts.try_fold(whole, |left, part| left.checked_sub(*part))
}

/// Whether an answer was made at the ordinary price: it names no service tier, or the default one.
pub fn is_default_tier(tier: Option<&str>) -> bool {
    matches!(
        tier,
        None | Some("default" | "standard" | "standard_only" | "STANDARD")
    )
}

/// The prices that hold for one configuration.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    own: HashMap<String, Price>,
    own_version: String,
    /// The word of the kind of each provider that is its maker's own API.
    makers: HashMap<String, &'static str>,
}

impl Prices {
    /// Those of a configuration, over the shipped table.
    pub fn of(config: &Config) -> Self {
        let own = config.prices.iter();
        let makers = config.providers.iter().filter_map(|provider| {
            // A server of one's own that speaks a maker's API has other prices, whatever its models are called.
            let is_makers = provider.kind.own_url()? == provider.base_url;
            let word = table_of(provider.kind).filter(|_| is_makers)?;
            Some((provider.name.clone(), word))
        });
        Self {
            own: own
                .map(|price| (price.model.clone(), own_price(price)))
                .collect(),
            own_version: format!("config:{}", config.version()),
            makers: makers.collect(),
        }
    }

    /// The price of what answered, and the version of it. The configuration comes before the table, the name that the
    /// answer reports before the one that was `sent`; the table knows exact names only.
    pub fn find(
        &self,
        provider: Option<&str>,
        reported: Option<&str>,
        sent: Option<&str>,
    ) -> Option<(&Price, &str)> {
        let mut names = reported.into_iter().chain(sent);
        if let Some(own) = names.find_map(|name| self.own.get(name)) {
            return Some((own, &self.own_version));
        }
        let maker = self.makers.get(provider?)?;
        let table = Table::shipped();
        let price = table.find(maker, reported.or(sent)?)?;
        Some((price, table.version()))
    }
}

/// The shipped table's word for a kind of providers. Azure's and Bedrock's prices differ by region and contract.
fn table_of(kind: ProviderKind) -> Option<&'static str> {
    match kind {
        ProviderKind::Openai => Some("openai"),
        ProviderKind::Anthropic => Some("anthropic"),
        ProviderKind::Gemini => Some("gemini"),
        ProviderKind::Azure
        | ProviderKind::Ocf
        | ProviderKind::Asksage
        | ProviderKind::Argo
        | ProviderKind::Bedrock => None,
    }
}

fn own_price(price: &PriceConfig) -> Price {
    let nano = |usd: f64| Some((usd * 1e9).round() as i64);
    let cache_write = price.cache_write_usd_per_mtok.and_then(nano);
    Price {
        rates: Rates {
            input: nano(price.input_usd_per_mtok),
            cached: nano(
                price
                    .cached_usd_per_mtok
                    .unwrap_or(price.input_usd_per_mtok),
            ),
            cache_write,
            cache_write_1h: cache_write,
            image_input: price.image_usd_per_mtok.and_then(nano),
            audio_input: price.audio_input_usd_per_mtok.and_then(nano),
            output: nano(price.output_usd_per_mtok),
            reasoning: price.reasoning_usd_per_mtok.and_then(nano),
            audio_output: price.audio_output_usd_per_mtok.and_then(nano),
        },
        ..Price::default()
    }
}

#[cfg(test)]
mod tests;
