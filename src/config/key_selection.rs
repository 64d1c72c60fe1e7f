//! How one of a provider's keys is chosen: the words of `key_selection`.

use serde::Serialize;

use super::item::Word;

/// How the keys of a provider take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySelection {
    /// Exact shares by weight, spread evenly.
    Smooth,
    /// Groups of equal weight by chance, turns within the group: asksage-proxy's rule.
    WeightedRoundRobin,
    /// Turns, whatever the weights.
    RoundRobin,
    /// By chance, in proportion to the weights.
    Weighted,
}

impl Word for KeySelection {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("smooth", Self::Smooth),
        ("weighted_round_robin", Self::WeightedRoundRobin),
        ("round_robin", Self::RoundRobin),
        ("weighted", Self::Weighted),
    ];
}
