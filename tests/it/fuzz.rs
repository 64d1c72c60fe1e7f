//! What the fuzzers of `fuzz/` check, over the inputs that were worth keeping.

mod array;
mod event_stream;
mod input;
mod sse;
mod translate;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The names in a folder, less `ending`.
fn names(path: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder(path)).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let names = names.map(|name| name.expect("a name of UTF-8"));
    names
        .map(|name| name.trim_end_matches(ending).to_owned())
        .collect()
}

/// Runs a check over its corpus, and names the input that fails it.
fn each_input(target: &str, check: fn(&[u8])) {
    let path = format!("tests/fixtures/fuzz/{target}");
    let inputs = names(&path, "");
    assert!(!inputs.is_empty(), "{path} is empty");
    for name in inputs {
        let input = fs::read(folder(&path).join(&name)).expect("an input");
        let checked = std::panic::catch_unwind(|| check(&input));
        assert!(checked.is_ok(), "{path}/{name}");
    }
}

#[test]
fn event_stream_corpus() {
    each_input("event_stream", event_stream::check);
}

#[test]
fn sse_corpus() {
    each_input("sse", sse::check);
}

#[test]
fn translate_corpus() {
    each_input("translate", translate::check);
}

#[test]
fn every_fuzzer_has_a_corpus() {
    let targets = names("fuzz/fuzz_targets", ".rs");
    assert_eq!(names("tests/fixtures/fuzz", ""), targets);
    assert_eq!(targets.len(), 3, "each has its test here");
}
