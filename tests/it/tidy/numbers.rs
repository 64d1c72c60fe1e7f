//! Tests that carry numbers, and what `tests/README.md` says of the numbers: neither without the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::house::{files, root};

/// A number, with the modules that it stands in.
type Places = BTreeMap<String, BTreeSet<String>>;

/// Whether a word is a number such as `F12`, in either case.
fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['p', 'P', 'f', 'F', 's', 'S', 'c', 'C', 'g', 'G']);
    word.len() == digits.len() + 1 && digits.parse::<u8>().is_ok()
}

/// The numbers at the beginning of a test's name: of `f1_f2_bodies`, F1 and F2.
fn numbers_of(test: &str) -> impl Iterator<Item = String> {
    let words = test.split('_').take_while(|word| is_number(word));
    words.map(str::to_uppercase)
}

/// The module of a file, as the table names it: `outage::postgres`, `wire::sse`.
fn module_of(path: &str) -> String {
    let folders = ["tests/it/", "filters/src/", "src/"];
    let path = folders
        .iter()
        .find_map(|folder| path.strip_prefix(folder))
        .unwrap_or(path);
    path.trim_end_matches(".rs").replace('/', "::")
}

fn tested() -> Places {
    let mut places = Places::new();
    let all = ["src", "filters/src", "tests/it"];
    for file in all.iter().flat_map(|folder| files(folder, &["rs"])) {
        let text = fs::read_to_string(root().join(&file)).expect("text");
        let after_fn = text.split("fn ").skip(1);
        for test in after_fn.filter_map(|rest| rest.split('(').next()) {
            for number in numbers_of(test) {
                places.entry(number).or_default().insert(module_of(&file));
            }
        }
    }
    places
}

/// The rows of the tables: the number in the first column, modules in the last.
fn told() -> Places {
    let text = fs::read_to_string(root().join("tests/README.md")).expect("text");
    let rows = text.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("| ")?.split_once(" |")?;
        let (_, modules) = rest.trim_end_matches(" |").rsplit_once("| ")?;
        let modules = modules.split(", ").map(|name| name.trim_matches('`'));
        is_number(number).then(|| (number.to_owned(), modules.map(str::to_owned).collect()))
    });
    let mut places = Places::new();
    for (number, modules) in rows {
        let twice = places.insert(number.clone(), modules);
        assert_eq!(twice, None, "{number} stands twice");
    }
    places
}

#[test]
fn every_number_has_its_tests_and_its_line() {
    let (tested, told) = (tested(), told());
    assert!(60 < told.len(), "{}", told.len());
    let untold: Vec<_> = tested
        .keys()
        .filter(|number| !told.contains_key(*number))
        .collect();
    assert!(
        untold.is_empty(),
        "tests/README.md does not know {untold:?}"
    );
    let mut untested = Vec::new();
    for (number, modules) in &told {
        let places = tested.get(number).cloned().unwrap_or_default();
        let holds = |module: &String| {
            let below = format!("{module}::");
            places
                .iter()
                .any(|place| place == module || place.starts_with(&below))
        };
        let missing = modules.iter().filter(|module| !holds(module));
        untested.extend(missing.map(|module| format!("{number} in {module}")));
    }
    assert!(untested.is_empty(), "no test of {untested:#?}");
}

#[test]
fn numbers_are_read_out_of_names() {
    let numbers = |test| numbers_of(test).collect::<Vec<_>>();
    assert_eq!(numbers("f1_f2_f3_bodies"), ["F1", "F2", "F3"]);
    assert_eq!(numbers("p10_views"), ["P10"]);
    for none in ["fixed", "f_1", "bodies_f1", "sse_1", "x9_y"] {
        assert!(numbers(none).is_empty(), "{none}");
    }
}
