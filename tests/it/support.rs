//! What the integration tests stand on: databases, upstreams and clients that do as they are told, a gateway.

pub(crate) mod canary;
pub(crate) mod db;
pub(crate) mod fake_upstream;
pub(crate) mod framing;
pub(crate) mod gateway;
pub(crate) mod invariants;
pub(crate) mod memory;
pub(crate) mod metrics;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod raw_client;
pub(crate) mod records;
pub(crate) mod redis;
pub(crate) mod served;
pub(crate) mod shouts;
pub(crate) mod signal;
pub(crate) mod terminal;
pub(crate) mod tls_upstream;
pub(crate) mod two_targets;
pub(crate) mod wire;

/// A variable that steers the tests; `None` when it is not set or empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the program reads its environment in `config`, the tests theirs here"
)]
pub(crate) fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the program `id` says; nothing for a user whom it does not know.
pub(crate) fn id(arguments: &[&str]) -> String {
    let output = std::process::Command::new("id")
        .args(arguments)
        .output()
        .expect("a program of every system");
    String::from_utf8(output.stdout)
        .expect("a number")
        .trim()
        .to_owned()
}
