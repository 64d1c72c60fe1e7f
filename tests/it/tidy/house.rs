//! The files of the project, and sources without their tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are not the project's own.
const FOREIGN: [&str; 6] = [
    "target",
    ".git",
    "node_modules",
    ".venv",
    "__pycache__",
    ".github",
];

/// A source file as far as it goes into the program.
pub(super) struct Source {
    /// From the project's folder, with slashes.
    pub(super) path: String,
    /// Without the tests at its end.
    pub(super) text: String,
}

/// The project's folder.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder whose names end so, from the project's folder.
pub(super) fn files(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if path.is_dir() {
                if !FOREIGN.contains(&name) {
                    folders.push(path);
                }
            } else if endings.contains(&name.rsplit('.').next().unwrap_or_default()) {
                let path = path.strip_prefix(root()).expect("within the project");
                let path = path.to_str().expect("a name of UTF-8");
                found.push(path.trim_start_matches("./").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The sources below a folder, without tests.
pub(super) fn sources(folder: &str) -> Vec<Source> {
    let is_test = |path: &str| {
        path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("/testing.rs")
    };
    files(folder, &["rs"])
        .into_iter()
        .filter(|path| !is_test(path))
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).expect("text");
            let end = [
                "#[cfg(test)]\nmod tests {",
                "#[cfg(test)]\npub(crate) mod tests {",
            ]
            .iter()
            .find_map(|mark| text.find(mark));
            let (text, _) = text.split_at(end.unwrap_or(text.len()));
            let text = text.to_owned();
            Source { path, text }
        })
        .collect()
}

impl Source {
    /// All lines.
    pub(super) fn lines(&self) -> std::str::Lines<'_> {
        self.text.lines()
    }

    /// The lines that are no comments.
    pub(super) fn code(&self) -> impl Iterator<Item = &str> {
        self.lines()
            .filter(|line| !line.trim_start().starts_with("//"))
    }
}
