//! How one of several targets is chosen: the words of `strategy`.

use serde::Serialize;

use super::item::Word;

/// What counts when several targets could answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Shares by weight; targets that fail or are slow get less.
    Balanced,
    /// The fastest ones first.
    LatencyFirst,
    /// The cheapest ones first, by `prices`.
    CostFirst,
    /// Those with the fewest errors first.
    ReliabilityFirst,
    /// In the order of the list; `tier` groups equals.
    Priority,
}

impl Strategy {
    /// Its word.
    pub fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, known)| *known == self);
        found.map_or("", |(word, _)| word)
    }

    /// Every strategy's word.
    pub fn words() -> Vec<&'static str> {
        Self::WORDS.iter().map(|(word, _)| *word).collect()
    }

    /// The strategy of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, strategy)| *strategy)
    }
}

impl Word for Strategy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("balanced", Self::Balanced),
        ("latency_first", Self::LatencyFirst),
        ("cost_first", Self::CostFirst),
        ("reliability_first", Self::ReliabilityFirst),
        ("priority", Self::Priority),
    ];
}
