//! `prices`: what models cost, for those that no table knows, or whose price is another one here.

use serde::{Serialize, Serializer};

use super::section::Section;

/// What a model costs, in US dollars for a million tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PriceConfig {
    /// The model, as its provider calls it.
    #[serde(skip)]
    pub model: String,
    /// Tokens of the prompt.
    pub input_usd_per_mtok: f64,
    /// Tokens of the answer.
    pub output_usd_per_mtok: f64,
    /// Tokens of the prompt that the provider had in its cache; `None`: as other tokens of it. It counts for the cost, and for no choice:
    /// nobody knows before an answer what will be in a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_usd_per_mtok: Option<f64>,
    /// Tokens of the prompt that were written to a cache; `None`, here and below: nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_usd_per_mtok: Option<f64>,
    /// Tokens of the answer's reasoning; `None`: as other tokens of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_usd_per_mtok: Option<f64>,
    /// Tokens of images in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_usd_per_mtok: Option<f64>,
    /// Tokens of audio in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_input_usd_per_mtok: Option<f64>,
    /// Tokens of audio in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_output_usd_per_mtok: Option<f64>,
}

/// Reads `prices`.
pub(super) fn read_prices(root: &mut Section<'_>) -> Vec<PriceConfig> {
    let reading = root.reading();
    let named = root.named("prices").into_iter();
    named
        .map(|(entry, path)| {
            let mut section = Section::new(&entry.node, path, reading);
            let price = PriceConfig {
                model: entry.key.clone(),
                input_usd_per_mtok: needed(&mut section, "input_usd_per_mtok"),
                output_usd_per_mtok: needed(&mut section, "output_usd_per_mtok"),
                cached_usd_per_mtok: section.amount("cached_usd_per_mtok"),
                cache_write_usd_per_mtok: section.amount("cache_write_usd_per_mtok"),
                reasoning_usd_per_mtok: section.amount("reasoning_usd_per_mtok"),
                image_usd_per_mtok: section.amount("image_usd_per_mtok"),
                audio_input_usd_per_mtok: section.amount("audio_input_usd_per_mtok"),
                audio_output_usd_per_mtok: section.amount("audio_output_usd_per_mtok"),
            };
            section.finish();
            price
        })
        .collect()
}

fn needed(section: &mut Section<'_>, key: &'static str) -> f64 {
    if section.item(key).is_none() {
        section.report(key, "missing; expected US dollars for a million tokens");
    }
    section.amount(key).unwrap_or_default()
}

/// For `#[serde(serialize_with)]`: a section with the models as its keys.
pub(super) fn as_map<S: Serializer>(prices: &[PriceConfig], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(prices.iter().map(|price| (&price.model, price)))
}
