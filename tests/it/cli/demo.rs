//! The demo, and filters in a configuration.

use std::time::{Duration, Instant};

use super::{aiproxy, folder_with, text};

#[test]
fn the_demo_shows_everything_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_str().expect("UTF-8");
    let begun = Instant::now();
    // Whatever the shell points at is not looked at.
    let variables = [
        ("TMPDIR", place),
        ("DATABASE_URL", "mysql://nobody"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"),
        ("AIPROXY__SERVER__PORT", "1"),
    ];
    let output = aiproxy(folder.path(), "demo", &variables);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let shown = text(&output.stdout);
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), ""),
        "{shown}"
    );
    for part in [
        "a word that a filter blocks         400",
        "filter_blocked",
        "upstream_truncated",
        "rate_limited",
        "aiproxy replay ",
        "x-aiproxy-replayed: ",
        "data: [DONE]",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let rows = shown.lines().filter(|line| line.contains("  ok  "));
    assert_eq!(rows.count(), 7, "{shown}");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn filters_of_the_configuration_are_shown() {
    let yaml = "filters:\n  - kind: block_patterns\n    words: [swordfish]\n    on_error: skip\n";
    let shown = text(&aiproxy(folder_with(yaml).path(), "config show", &[]).stdout);
    for part in [
        "kind: block_patterns",
        "name: block_patterns",
        "on_error: skip",
        "swordfish",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let wrong = folder_with(
        "filters:\n  - kind: block_pattern\n  - kind: block_patterns\n    wrods: [a]\n",
    );
    let output = aiproxy(wrong.path(), "config check", &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [
        "aiproxy.yaml:2:11: filters[0].kind",
        "`block_patterns`",
        "filters[1]",
        "wrods",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
