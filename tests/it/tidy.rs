//! The house keeps its own order: which module may use which, how long a file may be, where things may stand.
//! Reads the sources as text, roughly as a person skims them.

mod house;
mod numbers;
mod order;

use std::collections::BTreeMap;
use std::fs;

use house::{Source, files, root, sources};

/// A file with more lines than this is two files.
const MOST_LINES: usize = 600;

/// Of the program's public items, so many in a hundred have a doc comment; of the filters', all.
const DOCUMENTED_PERCENT: usize = 80;

#[test]
fn no_file_is_too_long() {
    let all = ["src", "filters", "migration", "tests"].iter();
    let lengths = all.flat_map(|folder| files(folder, &["rs"])).map(|file| {
        let text = fs::read_to_string(&file).expect("text");
        (text.lines().count(), file)
    });
    let long: Vec<_> = lengths.filter(|(lines, _)| MOST_LINES < *lines).collect();
    assert!(long.is_empty(), "longer than {MOST_LINES} lines: {long:#?}");
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the numbers are what a person who runs it wants to see"
)]
fn lines_a_file() {
    let mut lengths: Vec<_> = ["src", "filters/src", "migration/src"]
        .iter()
        .flat_map(|folder| sources(folder))
        .map(|source| (source.lines().count(), source.path))
        .collect();
    lengths.sort();
    let at = |percent: usize| lengths[(lengths.len() - 1) * percent / 100].0;
    println!(
        "lines a file, source without tests, {} files: median {}, 90th percentile {}, largest {:?}",
        lengths.len(),
        at(50),
        at(90),
        lengths.last().expect("files"),
    );
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the numbers are what a person who runs it wants to see"
)]
fn public_items_are_documented() {
    let (documented, bare) = items("filters/src");
    assert!(documented > 0);
    assert!(bare.is_empty(), "{bare:#?}");
    let (documented, bare) = items("src");
    let all = documented + bare.len();
    println!("public items documented: {documented} of {all}");
    assert!(all * DOCUMENTED_PERCENT <= documented * 100, "{bare:#?}");
}

/// Counts documented public items, and names the others.
fn items(folder: &str) -> (usize, Vec<String>) {
    const KINDS: [&str; 8] = [
        "fn ",
        "async fn ",
        "const ",
        "struct ",
        "enum ",
        "trait ",
        "type ",
        "static ",
    ];
    let (mut documented, mut bare) = (0, Vec::new());
    for source in sources(folder) {
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            let item = line.strip_prefix("pub ").unwrap_or_default();
            if !KINDS.iter().any(|kind| item.starts_with(kind)) {
                continue;
            }
            let above = lines[..number].iter().rev();
            let above = above.skip_while(|line| line.starts_with("#[") || line.ends_with(")]"));
            match above.clone().next() {
                Some(line) if line.starts_with("///") => documented += 1,
                _ => bare.push(format!("{}:{}: {line}", source.path, number + 1)),
            }
        }
    }
    (documented, bare)
}

/// Outside `server/error.rs`, where a status of an error may be named, and why.
const STATUSES: [(&str, &str); 6] = [
    (
        "src/server/admin.rs",
        "the admin port's refusals are no failures of exchanges",
    ),
    (
        "src/server/config_reload.rs",
        "what the admin port says of a configuration is no failure of an exchange",
    ),
    ("src/server/about.rs", "`/readyz` is for load balancers"),
    (
        "src/server/data.rs",
        "what is left where not even a failure can be told",
    ),
    (
        "src/access_log/guard.rs",
        "what the record says where no head was sent",
    ),
    (
        "src/access_log/recorder/ticket.rs",
        "what the record says of a defect of ours",
    ),
];

#[test]
fn statuses_of_errors_are_chosen_in_one_place() {
    const NAMES: [&str; 9] = [
        "StatusCode::BAD_",
        "StatusCode::FORBIDDEN",
        "StatusCode::UNAUTHORIZED",
        "StatusCode::NOT_FOUND",
        "StatusCode::TOO_MANY",
        "StatusCode::SERVICE_",
        "StatusCode::INTERNAL_",
        "StatusCode::GATEWAY_",
        "StatusCode::CONFLICT",
    ];
    let choose = |line: &str| {
        let literal = ["status: ", "status_code: ", "status = ", "status_code = "];
        let number = literal.iter().filter_map(|name| line.split_once(name));
        let closed = line.split_once("Closed::new(");
        let argument = closed.and_then(|(_, arguments)| arguments.split_once(", "));
        let mut numbers = number
            .chain(argument)
            .map(|(_, value)| value.trim_start_matches("Some("));
        numbers.any(is_error_status) || NAMES.iter().any(|name| line.contains(name))
    };
    let allowed = |path: &str| {
        path == "src/server/error.rs"
            || path.starts_with("src/cli/mock")
            || STATUSES.iter().any(|(file, _)| *file == path)
    };
    let places: Vec<_> = found(&sources("src"), choose);
    let wrong: Vec<_> = places.iter().filter(|(path, _)| !allowed(path)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (file, why) in STATUSES {
        let used = places.iter().any(|(path, _)| path == file);
        assert!(used, "{file} needs no exception any more ({why})");
    }
}

fn is_error_status(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits == 3 && (text.starts_with('4') || text.starts_with('5'))
}

/// The lines of code of which something holds, with their files.
fn found(sources: &[Source], holds: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let lines = sources.iter().flat_map(|source| {
        let lines = source.code().filter(|line| holds(line));
        lines.map(|line| (source.path.clone(), line.trim().to_owned()))
    });
    lines.collect()
}

#[test]
fn bytes_of_streams_are_never_replaced() {
    for folder in ["src", "filters/src", "migration/src"] {
        let lossy = found(&sources(folder), |line| {
            line.contains(concat!("from_utf8", "_lossy"))
        });
        assert!(lossy.is_empty(), "{lossy:#?}");
    }
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    let names = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("crates", ".io"),
        concat!("registry.", "npmjs"),
        concat!("pypi", ".org"),
        concat!("docker", ".io"),
    ];
    // Both name the index where packages come from in the only way that Cargo takes.
    let exempt = |path: &str| ["Cargo.lock", "deny.toml"].contains(&path);
    let kinds = [
        "rs", "toml", "md", "py", "mjs", "json", "yaml", "yml", "sh", "run",
    ];
    let named: Vec<_> = files(".", &kinds)
        .into_iter()
        .filter(|path| !exempt(path))
        .filter(|path| {
            let text = fs::read_to_string(root().join(path)).unwrap_or_default();
            names.iter().any(|name| text.contains(name))
        })
        .collect();
    assert!(named.is_empty(), "{named:#?}");
}

#[test]
fn every_filter_kind_stands_in_the_docs_with_its_options() {
    let stock = fs::read_to_string(root().join("filters/src/stock.rs")).expect("text");
    let (_, table) = stock.split_once("KINDS").expect("the table of kinds");
    let kinds = table.split('"').skip(1).step_by(2);
    let mut kinds_seen = 0;
    for kind in kinds {
        let file = format!("filters/src/stock/{kind}.rs");
        let text = fs::read_to_string(root().join(&file)).expect("a file of its kind's name");
        assert!(text.starts_with("//!"), "{file} does not say what it does");
        assert!(
            text.contains(&format!("kind: {kind}")),
            "{file} shows no configuration"
        );
        kinds_seen += 1;
    }
    assert!(kinds_seen > 0);
}

#[test]
fn every_fixture_is_read_by_a_test() {
    let everything: Vec<String> = ["src", "tests", "filters"]
        .iter()
        .flat_map(|folder| files(folder, &["rs", "py", "mjs", "snap"]))
        .map(|file| fs::read_to_string(root().join(file)).expect("text"))
        .collect();
    let mut unread = BTreeMap::new();
    for file in files("tests/fixtures", &["json", "sse", "bin", "yaml"]) {
        let name = file.rsplit('/').next().expect("a name");
        let stem = name.split('.').next().expect("a stem");
        let (name, stem) = (format!("{name}\""), format!("\"{stem}\""));
        if !everything
            .iter()
            .any(|text| text.contains(&name) || text.contains(&stem))
        {
            unread.insert(file.clone(), "no test names it");
        }
    }
    assert!(unread.is_empty(), "{unread:#?}");
}
