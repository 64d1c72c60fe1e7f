//! Reads numbers of `/metrics`.

use std::net::SocketAddr;

use super::gateway::get;
use super::raw_client::exchange;

/// The number behind `aiproxy_` and `name`, labels as they stand in the text, of a port that asks for no token.
///
/// # Panics
/// When there is none.
#[track_caller]
pub(crate) fn read(admin: SocketAddr, name: &str) -> f64 {
    number(exchange(admin, get("/metrics")).text(), name)
}

/// The same out of the text that was read.
///
/// # Panics
/// When there is none.
#[track_caller]
pub(crate) fn number(text: &str, name: &str) -> f64 {
    let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(known, _)| known.strip_prefix("aiproxy_") == Some(name));
    let (_, value) = found.unwrap_or_else(|| panic!("no {name} in:\n{text}"));
    value.parse().expect("a number")
}
