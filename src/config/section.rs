//! Reading one section of the tree into a struct: each accessor names a key, gives its value or the default, and
//! notes what is wrong. `finish` finds the keys that nobody asked for.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::item::{Item, Word};
use super::problem::{Origin, Problem};
use super::secret::Secret;
use super::suggest::unknown_key;
use super::tree::{Entry, Node, Value};

/// What all sections of one configuration share while it is read.
pub(super) struct Reading<'a> {
    pub(super) environment: &'a Environment,
    problems: RefCell<Vec<Problem>>,
    /// Paths whose value could not be had at all: nothing more is said about them.
    lost: Vec<String>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(environment: &'a Environment, problems: Vec<Problem>) -> Self {
        let lost = problems
            .iter()
            .map(|problem| problem.path.clone())
            .collect();
        Self {
            environment,
            problems: RefCell::new(problems),
            lost,
        }
    }

    pub(super) fn report(&self, origin: &Origin, path: &str, message: impl Into<String>) {
        if !path.is_empty() && self.lost.iter().any(|lost| lost == path) {
            return;
        }
        let problem = Problem {
            origin: origin.clone(),
            path: path.to_owned(),
            message: message.into(),
        };
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// One section: a map of the tree, or nothing where it was left out.
pub(super) struct Section<'a> {
    entries: &'a [Entry],
    path: String,
    origin: &'a Origin,
    asked: Vec<&'static str>,
    reading: &'a Reading<'a>,
}

impl<'a> Section<'a> {
    /// Reads `node` as a section.
    pub(super) fn new(node: &'a Node, path: String, reading: &'a Reading<'a>) -> Self {
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text { .. }
            | Value::Open { .. }
            | Value::List(_) => {
                let found = node.value.kind();
                reading.report(
                    &node.origin,
                    &path,
                    format!("expected a section, found {found}"),
                );
                &[]
            }
        };
        let mut seen: Vec<&str> = Vec::new();
        for entry in entries {
            if seen.contains(&entry.key.as_str()) {
                let message = "this key stands here twice; keep one";
                reading.report(&entry.key_origin, &join(&path, &entry.key), message);
            }
            seen.push(&entry.key);
        }
        Self {
            entries,
            path,
            origin: &node.origin,
            asked: Vec::new(),
            reading,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// The value of a key; nothing where it is left out or null.
    pub(super) fn item(&mut self, key: &'static str) -> Option<Item<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let given = !matches!(entry.node.value, Value::Null);
        given.then_some(Item {
            node: &entry.node,
            reading: self.reading,
        })
    }

    /// Notes a problem of one of this section's keys.
    pub(super) fn report(&self, key: &str, message: impl Into<String>) {
        let origin = self
            .entries
            .iter()
            .find(|entry| entry.key == key)
            .map_or(self.origin, |entry| &entry.node.origin);
        self.reading.report(origin, &join(&self.path, key), message);
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let path = join(&self.path, key);
        self.item(key)?.text(&path)
    }

    pub(super) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        let text = self.text(key)?;
        match secret_from(&text) {
            Ok(secret) => Some(secret),
            Err(message) => {
                self.report(key, message);
                None
            }
        }
    }

    pub(super) fn path_of(&mut self, key: &'static str) -> Option<PathBuf> {
        let text = self.text(key)?;
        if text.trim().is_empty() || text.contains('\0') {
            self.report(key, "expected a path");
            return None;
        }
        Some(self.reading.environment.expand_home(&text))
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let path = join(&self.path, key);
        self.item(key)
            .and_then(|item| item.flag(&path))
            .unwrap_or(default)
    }

    pub(super) fn number<T>(
        &mut self,
        key: &'static str,
        default: T,
        allowed: RangeInclusive<T>,
    ) -> T
    where
        T: Copy + PartialOrd + TryFrom<i128> + fmt::Display,
    {
        let Some(item) = self.item(key) else {
            return default;
        };
        let (low, high) = (allowed.start(), allowed.end());
        let range = if high.to_string().len() > 15 {
            format!("{low} or more")
        } else {
            format!("{low} to {high}")
        };
        match item.integer().map(T::try_from) {
            Some(Ok(value)) if allowed.contains(&value) => value,
            Some(Ok(_) | Err(_)) => {
                self.report(key, format!("out of range; allowed: {range}"));
                default
            }
            None => {
                let found = item.node.value.kind();
                self.report(
                    key,
                    format!("expected a whole number, {range}, found {found}"),
                );
                default
            }
        }
    }

    /// A time in seconds, fractions allowed.
    pub(super) fn seconds(&mut self, key: &'static str, default: Duration) -> Duration {
        const MOST_S: f64 = 604_800.0;
        let Some(item) = self.item(key) else {
            return default;
        };
        match item.float() {
            Some(value) if (0.001..=MOST_S).contains(&value) => Duration::from_secs_f64(value),
            Some(_) => {
                self.report(key, "out of range; allowed: 0.001 to 604800 seconds");
                default
            }
            None => {
                let found = item.node.value.kind();
                self.report(key, format!("expected seconds, found {found}"));
                default
            }
        }
    }

    /// A time in seconds that is not shorter than `least_s`.
    pub(super) fn seconds_from(
        &mut self,
        key: &'static str,
        least_s: u64,
        default: Duration,
    ) -> Duration {
        let value = self.seconds(key, default);
        if Duration::from_secs(least_s) <= value {
            return value;
        }
        self.report(
            key,
            format!("out of range; allowed: {least_s} to 604800 seconds"),
        );
        default
    }

    /// As [`Self::seconds_from`], where 0 means never.
    pub(super) fn seconds_or_never(&mut self, key: &'static str, least_s: u64) -> Option<Duration> {
        if self.item(key)?.float() == Some(0.0) {
            return None;
        }
        Some(self.seconds_from(key, least_s, Duration::from_secs(least_s)))
    }

    /// A number that may be 0 and not less; `None` where it is left out or wrong.
    pub(super) fn amount(&mut self, key: &'static str) -> Option<f64> {
        let item = self.item(key)?;
        let value = item.float();
        match value.filter(|value| 0.0 <= *value && value.is_finite()) {
            Some(value) => Some(value),
            None if value.is_some() => {
                self.report(key, "out of range; allowed: 0 or more");
                None
            }
            None => {
                let found = item.node.value.kind();
                self.report(key, format!("expected a number, 0 or more, found {found}"));
                None
            }
        }
    }

    /// A share among others.
    pub(super) fn weight(&mut self, key: &'static str, default: f64) -> f64 {
        let Some(item) = self.item(key) else {
            return default;
        };
        match item.float() {
            Some(value) if 0.0 < value && value.is_finite() => value,
            Some(_) => {
                self.report(key, "out of range; allowed: a number above 0");
                default
            }
            None => {
                let found = item.node.value.kind();
                self.report(key, format!("expected a number above 0, found {found}"));
                default
            }
        }
    }

    pub(super) fn word<T: Word>(&mut self, key: &'static str, default: T) -> T {
        let path = join(&self.path, key);
        self.item(key)
            .and_then(|item| item.word(&path))
            .unwrap_or(default)
    }

    /// The members of a list, with the path of each; nothing where the key is left out.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<(String, Item<'a>)>> {
        let item = self.item(key)?;
        let path = join(&self.path, key);
        let Value::List(items) = &item.node.value else {
            let found = item.node.value.kind();
            let mut message = format!("expected a list, found {found}");
            if let Origin::Environment(name) = &item.node.origin {
                message = format!("{message}; set its members by index, as {name}__0");
            }
            self.report(key, message);
            return Some(Vec::new());
        };
        let reading = self.reading;
        Some(
            items
                .iter()
                .enumerate()
                .map(|(index, node)| (format!("{path}[{index}]"), Item { node, reading }))
                .collect(),
        )
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let items = self.list(key)?;
        Some(
            items
                .iter()
                .filter_map(|(path, item)| item.text(path))
                .collect(),
        )
    }

    /// A section below this one; an empty one where it is left out.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let path = join(&self.path, key);
        match self.item(key) {
            Some(item) => Section::new(item.node, path, self.reading),
            None => Section {
                entries: &[],
                path,
                origin: self.origin,
                asked: Vec::new(),
                reading: self.reading,
            },
        }
    }

    /// The entries of a section whose keys are names that users choose.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(&'a Entry, String)> {
        let section = self.section(key);
        section
            .entries
            .iter()
            .map(|entry| (entry, join(&section.path, &entry.key)))
            .collect()
    }

    /// The entries that nobody asked for.
    pub(super) fn rest(&self) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(|entry| !self.asked.contains(&entry.key.as_str()))
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn finish(self) {
        for entry in self.rest() {
            let path = join(&self.path, &entry.key);
            self.reading.report(
                &entry.key_origin,
                &path,
                unknown_key(&entry.key, &self.asked),
            );
        }
    }
}

/// A credential that can be sent: not empty, no white space at its ends, no control characters.
pub(super) fn secret_from(text: &str) -> Result<Secret, &'static str> {
    if text.trim().is_empty() {
        Err("is empty; leave it out or give a value")
    } else if text.trim() != text {
        Err("begins or ends with white space")
    } else if text.chars().any(char::is_control) {
        Err("holds a control character or a line end")
    } else {
        Ok(Secret::new(text))
    }
}

/// `path.key`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
