//! What an entry of `model_list` says of its model: prices, which are by the token there and by the million here.

use crate::config::draft::{Line, Yaml};
use crate::config::import::taking::Taking;
use crate::config::section::Section;

/// Prices by the model's name, as they will be written.
#[derive(Debug, Default)]
pub(super) struct Prices(Vec<Line>);

/// Their keys, and ours.
const KEYS: [(&str, &str); 3] = [
    ("input_cost_per_token", "input_usd_per_mtok"),
    ("output_cost_per_token", "output_usd_per_mtok"),
    ("cache_read_input_token_cost", "cached_usd_per_mtok"),
];

/// Other keys, which say what a model can do.
const LEFT: &[(&str, &str)] = &[
    ("mode", "the path of a request says what is asked"),
    ("base_model", "tokenizers go by the model's name"),
    ("id", "a target has no name"),
];

impl Prices {
    /// Takes a model's prices; the first entry of it counts.
    pub(super) fn take(&mut self, info: &mut Section<'_>, model: &str, taking: &Taking<'_>) {
        let [input, output, cached] = KEYS.map(|(theirs, ours)| {
            let amount = info.amount(theirs)?;
            // Three digits more than any price has: what is behind them comes from the sum.
            let by_million = (amount * 1e15).round() / 1e9;
            Some(Line::plain(ours, by_million))
        });
        let is_known = self.0.iter().any(|line| line.key == model);
        match (input, output) {
            (Some(input), Some(output)) if !is_known => {
                let lines = [Some(input), Some(output), cached];
                let lines = lines.into_iter().flatten().collect();
                self.0.push(Line::new(model, Yaml::Section(lines)));
            }
            (Some(_), None) | (None, Some(_)) => {
                info.report(
                    "input_cost_per_token",
                    "needs output_cost_per_token beside it, and the other way round",
                );
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        taking.leave_rest(info, LEFT);
    }

    /// `prices`; nothing where there is none.
    pub(super) fn into_line(self) -> Option<Line> {
        (!self.0.is_empty()).then(|| Line::new("prices", Yaml::Section(self.0)))
    }
}
