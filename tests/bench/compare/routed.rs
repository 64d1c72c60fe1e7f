//! What choosing costs: requests for a logical model of several providers and keys beside the same requests asked of one, and
//! choices by themselves, measured by their own program.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::client;
use crate::dialects::{STREAMS, WHOLE};
use crate::load::Ask;
use crate::scenarios::Series;
use crate::table::{Line, median};
use crate::targets::plain;

/// Pieces of text in a stream.
const PIECES: usize = 200;

impl Series {
    /// A logical model of three providers with two keys each, beside one provider.
    pub(crate) async fn routed(&mut self, program: &Path) -> anyhow::Result<()> {
        let direct = Ask::new(self.mock, plain()).await?;
        let routed = direct.asked_with(client::chat("fast", false, 730));
        let what = "a routed chat beside a direct one, CPU µs per request";
        self.beside(what, &direct, &routed, &WHOLE, 1).await?;
        let direct = Ask::stream(self.mock, &format!("mock-s{PIECES}")).await?;
        let routed = direct.asked_with(client::chat("fast-stream", true, 730));
        let what = format!("a routed stream of {PIECES} beside a direct one, CPU µs per piece");
        self.beside(&what, &direct, &routed, &STREAMS, PIECES)
            .await?;
        self.choices(program)
    }

    fn choices(&mut self, program: &Path) -> anyhow::Result<()> {
        let mut runs: Vec<Vec<f64>> = Vec::new();
        for _ in 0..self.runs {
            let mut command = Command::new("taskset");
            let output = command.args(["-c", "0"]).arg(program).output();
            let output = output.context("the program that measures choices")?;
            let said = String::from_utf8(output.stderr)?;
            ensure!(output.status.success(), "choices were not measured: {said}");
            let text = String::from_utf8(output.stdout)?;
            let figures = text.split_whitespace().map(str::parse);
            runs.push(figures.collect::<Result<_, _>>()?);
        }
        let of = |place: usize| {
            let figures: Vec<f64> = runs
                .iter()
                .filter_map(|run| run.get(place).copied())
                .collect();
            median(&figures) / 1_000.0
        };
        let (small, large, pattern) = (of(0), of(1), of(2));
        for (what, us) in [
            (
                "a name among 10,000 models of 200 providers, µs; (10 of 10)",
                large,
            ),
            (
                "a name by the pattern of the last of 200 providers, µs; (10 of 10)",
                pattern,
            ),
        ] {
            // As fast as ten, but for what a larger table costs the processor's caches.
            let line = Line::of(what, us, "µs", small.max(0.1) * 4.0, small.max(0.1) * 2.0);
            self.lines.push(line.beside_of_ours(small, us));
        }
        let strategies = [
            "balanced",
            "latency_first",
            "cost_first",
            "reliability_first",
        ];
        for (place, strategy) in strategies.iter().enumerate() {
            let what = format!("a choice among 100 targets, {strategy}, µs");
            self.lines
                .push(Line::of(&what, of(3 + place), "µs", 5.0, 5.0));
        }
        Ok(())
    }
}
