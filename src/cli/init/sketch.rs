//! The configuration while it is being asked for, and what its own rules say about it.

use std::path::Path;

use crate::config::{
    Config, Draft, Environment, Line, Problems, Rules, Scalar, Secrets, Yaml, load_text,
};

/// All answers so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Sketch {
    pub(super) server: Vec<Line>,
    pub(super) admin: Vec<Line>,
    pub(super) database: Vec<Line>,
    /// Those that are settled.
    pub(super) providers: Vec<ProviderSketch>,
    /// The one that is being asked for, behind them; without a line there is none.
    pub(super) provider: ProviderSketch,
}

/// One provider.
#[derive(Debug, Clone, Default)]
pub(super) struct ProviderSketch {
    pub(super) lines: Vec<Line>,
    pub(super) keys: Vec<Vec<Line>>,
}

impl Sketch {
    /// The file.
    pub(super) fn yaml(&self, secrets: Secrets) -> String {
        let mut lines = Vec::new();
        for (key, section) in [
            ("server", &self.server),
            ("admin", &self.admin),
            ("database", &self.database),
        ] {
            if !section.is_empty() {
                lines.push(Line::new(key, Yaml::Section(section.clone())));
            }
        }
        let current = Some(&self.provider).filter(|provider| !provider.lines.is_empty());
        let providers = self.providers.iter().chain(current);
        let providers: Vec<Vec<Line>> = providers.map(ProviderSketch::all).collect();
        if !providers.is_empty() {
            lines.push(Line::new("providers", Yaml::Sections(providers)));
        }
        let head = vec!["Made by `aiproxy init`. Every key: README, Configuration.".to_owned()];
        Draft { head, lines }.yaml(secrets)
    }

    /// The path of the provider that is being asked for.
    pub(super) fn provider_path(&self) -> String {
        format!("providers[{}]", self.providers.len())
    }

    /// Ends the asking for a provider; it stays, or is forgotten.
    pub(super) fn end_provider(&mut self, is_kept: bool) {
        let provider = std::mem::take(&mut self.provider);
        if is_kept {
            self.providers.push(provider);
        }
    }
}

impl ProviderSketch {
    fn all(&self) -> Vec<Line> {
        let mut lines = self.lines.clone();
        // The kind is asked for first, for the name follows from it.
        lines.sort_by_key(|line| line.key != "name");
        if !self.keys.is_empty() {
            lines.push(Line::new("api_keys", Yaml::Sections(self.keys.clone())));
        }
        lines
    }

    /// Whether a key is set.
    pub(super) fn has(&self, key: &str) -> bool {
        self.lines.iter().any(|line| line.key == key)
    }

    /// The text of a key; empty where it is not set.
    pub(super) fn text(&self, key: &str) -> &str {
        text_of(&self.lines, key)
    }
}

/// The text of a key among these; empty where it is not set.
pub(super) fn text_of<'a>(lines: &'a [Line], key: &str) -> &'a str {
    let line = lines.iter().find(|line| line.key == key);
    match line.map(|line| &line.value) {
        Some(Yaml::One(Scalar::Text(text) | Scalar::Plain(text))) => text,
        Some(_) | None => "",
    }
}

/// Sets a key; nothing takes it away.
pub(super) fn put(lines: &mut Vec<Line>, key: &str, value: Option<Yaml>) {
    let Some(value) = value else {
        return lines.retain(|line| line.key != key);
    };
    match lines.iter_mut().find(|line| line.key == key) {
        Some(line) => line.value = value,
        None => lines.push(Line::new(key, value)),
    }
}

/// Text that is set; empty text is none.
pub(super) fn text(answer: &str) -> Option<Yaml> {
    (!answer.is_empty()).then(|| Yaml::One(Scalar::Text(answer.to_owned())))
}

/// A number where it is one, else text: whether that may stand there is not ours to say.
pub(super) fn number_or_text(answer: &str) -> Option<Yaml> {
    match answer.parse::<u64>() {
        Ok(number) => Some(Yaml::One(Scalar::Plain(number.to_string()))),
        Err(_) => text(answer),
    }
}

/// A number where it is one, else text, likewise.
pub(super) fn weight_or_text(answer: &str) -> Option<Yaml> {
    match answer.parse::<f64>() {
        // As YAML writes it: words such as `inf` are no numbers there.
        Ok(number) if number.is_finite() => Some(Yaml::One(Scalar::Plain(format!("{number:?}")))),
        Ok(_) | Err(_) => text(answer),
    }
}

/// The configuration's rules.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) file: &'a Path,
    pub(super) environment: &'a Environment,
    pub(super) rules: &'a Rules<'a>,
}

impl Judge<'_> {
    /// The configuration, or all that is wrong with it.
    pub(super) fn whole(&self, sketch: &Sketch) -> Result<Config, Problems> {
        let yaml = sketch.yaml(Secrets::Written);
        load_text(self.file, &yaml, self.environment, self.rules)
    }

    /// What is wrong at one of these paths, or below it; what was not asked yet may be missing.
    pub(super) fn objection(&self, sketch: &Sketch, paths: &[&str]) -> Option<String> {
        let problems = self.whole(sketch).err()?.0;
        let is_there = |found: &str| {
            found.is_empty()
                || paths.iter().any(|path| {
                    let rest = found.strip_prefix(path);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                })
        };
        let problem = problems.into_iter().find(|problem| is_there(&problem.path));
        problem.map(|problem| problem.message)
    }
}
