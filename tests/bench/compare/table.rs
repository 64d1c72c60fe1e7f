//! The table: what was measured beside what must be and what is aimed at.

/// One line.
pub(crate) struct Line {
    /// What was measured.
    pub(crate) what: String,
    /// nginx's figure.
    pub(crate) nginx: String,
    /// aiproxy's figure.
    pub(crate) aiproxy: String,
    /// The figure that is judged, and its unit.
    pub(crate) judged: f64,
    /// How the judged figure is written, with its unit: `x nginx`, `KiB`.
    pub(crate) unit: &'static str,
    /// Bound that must hold.
    pub(crate) must: f64,
    /// Bound that is aimed at.
    pub(crate) aim: f64,
    /// Whether more is better.
    pub(crate) more: bool,
}

impl Line {
    /// A line where less is better, without nginx.
    pub(crate) fn of(what: &str, judged: f64, unit: &'static str, must: f64, aim: f64) -> Self {
        Self {
            what: what.to_owned(),
            nginx: String::new(),
            aiproxy: number(judged),
            judged,
            unit,
            must,
            aim,
            more: false,
        }
    }

    /// A line that is judged by its ratio to nginx.
    pub(crate) fn ratio(what: &str, nginx: f64, aiproxy: f64, must: f64, aim: f64) -> Self {
        Self {
            nginx: number(nginx),
            aiproxy: number(aiproxy),
            ..Self::of(what, aiproxy / nginx, "x nginx", must, aim)
        }
    }

    /// A line that is judged by what is added to nginx's figure.
    pub(crate) fn added(what: &str, nginx: f64, aiproxy: f64, must: f64, aim: f64) -> Self {
        Self {
            nginx: number(nginx),
            aiproxy: number(aiproxy),
            ..Self::of(what, aiproxy - nginx, "µs added", must, aim)
        }
    }

    /// Beside what nginx has.
    pub(crate) fn beside(self, nginx: f64) -> Self {
        Self {
            nginx: number(nginx),
            ..self
        }
    }

    /// With both figures of a ratio between two of our own.
    pub(crate) fn beside_of_ours(self, first: f64, second: f64) -> Self {
        Self {
            nginx: format!("({})", number(first)),
            aiproxy: number(second),
            ..self
        }
    }

    /// More is better.
    pub(crate) fn at_least(self) -> Self {
        Self { more: true, ..self }
    }

    fn holds(&self, bound: f64) -> bool {
        if self.more {
            self.judged >= bound
        } else {
            self.judged <= bound
        }
    }

    /// Whether the bound that must hold does.
    pub(crate) fn is_good(&self) -> bool {
        self.holds(self.must)
    }

    /// As a line of a Markdown table.
    pub(crate) fn markdown(&self) -> String {
        let sign = if self.more { "≥" } else { "≤" };
        let verdict = match (self.holds(self.must), self.holds(self.aim)) {
            (true, true) => "pass, aim reached",
            (true, false) => "pass",
            (false, _) => "**miss**",
        };
        format!(
            "| {} | {} | {} | {} {} | {sign} {} | {sign} {} | {verdict} |",
            self.what,
            self.nginx,
            self.aiproxy,
            number(self.judged),
            self.unit,
            number(self.must),
            number(self.aim),
        )
    }
}

/// The first two lines of the table.
pub(crate) const HEADING: &str =
    "| scenario | nginx | aiproxy | judged | must | aim | |\n|---|---|---|---|---|---|---|";

/// The middle one of some figures; of an even number the mean of the two in the middle.
pub(crate) fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

/// The figure below which a share of them lies, between neighbours in proportion.
pub(crate) fn quantile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = share * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        ..1e-9 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
