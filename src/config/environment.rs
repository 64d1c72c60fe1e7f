//! The environment as a value: read from the process once, handed in everywhere else, so that tests need none.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::problem::{Origin, Problem};

/// Environment variables by name.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The environment of this process: the only place that reads it. Names that are not UTF-8 are left out.
    pub fn from_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
        )
    }

    /// Sets a variable in the place of what was there, its `_FILE` variant too: for flags that stand for one.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.remove(&format!("{name}_FILE"));
        self.0.insert(name.to_owned(), value.into());
    }

    /// Of the variables those of these names.
    pub fn only(&self, names: &[&str]) -> Self {
        let kept = |(name, _): &(&String, &OsString)| names.contains(&name.as_str());
        self.0.iter().filter(kept).collect()
    }

    /// Whether the variable is there, be it empty.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether the variable is there and not empty.
    pub fn is_given(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_empty())
    }

    /// Names that begin with `prefix`, in order.
    pub(super) fn names_with(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.0
            .keys()
            .map(String::as_str)
            .filter(move |name| name.starts_with(prefix))
    }

    /// The text of `name`, or what the file named by `NAME_FILE` holds (without its last line end).
    /// `None` when neither is set.
    ///
    /// # Errors
    /// Both are set, the text is not UTF-8, or the file cannot be read.
    pub(super) fn lookup(&self, name: &str) -> Result<Option<String>, Problem> {
        let file_name = format!("{name}_FILE");
        match (self.0.get(name), self.0.get(&file_name)) {
            (Some(_), Some(_)) => Err(problem(
                name,
                format!("set together with {file_name}; only one of them is allowed"),
            )),
            (Some(value), None) => match value.to_str() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(problem(name, "not UTF-8".to_owned())),
            },
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some(without_line_end(&text).to_owned())),
                Err(error) => Err(problem(
                    &file_name,
                    format!("cannot read {}: {error}", Path::new(path).display()),
                )),
            },
            (None, None) => Ok(None),
        }
    }

    /// A path with a leading `~/` replaced by `HOME`, where there is one.
    pub fn expand_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.0.get("HOME")) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            (Some(_), None) | (None, _) => PathBuf::from(path),
        }
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values are credentials more often than not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn problem(name: &str, message: String) -> Problem {
    Problem {
        origin: Origin::Environment(name.to_owned()),
        path: String::new(),
        message,
    }
}

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, "sk-1\r\n").expect("written");
        let environment: Environment = [("KEY_FILE", file.as_os_str())].into_iter().collect();
        assert_eq!(environment.lookup("KEY"), Ok(Some("sk-1".to_owned())));
        assert_eq!(environment.lookup("OTHER"), Ok(None));
    }

    #[test]
    fn what_cannot_be_had_is_a_problem() {
        let both: Environment = [("KEY", "a"), ("KEY_FILE", "b")].into_iter().collect();
        assert!(
            both.lookup("KEY")
                .expect_err("both")
                .message
                .contains("KEY_FILE")
        );
        let absent: Environment = [("KEY_FILE", "/nonexistent/key")].into_iter().collect();
        assert!(
            absent
                .lookup("KEY")
                .expect_err("no file")
                .message
                .contains("cannot read")
        );
    }

    #[test]
    fn debug_shows_names_only() {
        let environment: Environment = [("KEY", "canary")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), "{\"KEY\"}");
    }
}
