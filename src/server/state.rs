//! What the data port's handler needs, once for each worker thread.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpRequest;

use crate::access_log::draft::Keep;
use crate::access_log::recorder::AccessLog;
use crate::config::IpNet;
use crate::filter::{Endpoint, Headers};
use crate::pipeline::Worker;
use crate::pipeline::failure::Failure;
use crate::pipeline::replay::Replays;
use crate::server::admin::Hosts;
use crate::server::cors::Cors;
use crate::server::ingest::BodyLimits;
use crate::server::manage::{Histories, KeptAnswer};

/// See the module.
pub struct DataState {
    /// What runs exchanges.
    pub worker: Rc<Worker>,
    /// Limits on request bodies.
    pub body_limits: BodyLimits,
    /// Longest stored body in bytes.
    pub body_max_bytes: u64,
    /// How much of an exchange is kept.
    pub keep: Keep,
    /// Whether there are columns of one's own, which may be made of headers.
    pub has_own_columns: bool,
    /// The column `instance`.
    pub instance: Arc<str>,
    /// The column `config_version`.
    pub config_version: Arc<str>,
    /// Cross-origin rules.
    pub cors: Cors,
    /// Names by which its own paths may be called: a page that points its name at loopback reads nothing there. `None`: any.
    pub manage_hosts: Option<Hosts>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The access log, for its state.
    pub log: Arc<AccessLog>,
    /// Finds recorded answers.
    pub replays: Replays,
    /// Reads sessions from the record.
    pub histories: Histories,
    /// What `/v1/models_detailed` says.
    pub models_detailed: KeptAnswer,
    /// What has no row.
    pub counts: Arc<Unrecorded>,
}

/// Requests that leave no row, by reason.
#[derive(Debug, Default)]
pub struct Unrecorded {
    malformed: AtomicU64,
    unknown_path: AtomicU64,
    no_request: AtomicU64,
}

impl Unrecorded {
    /// Counts one.
    pub fn refused_unrecorded(&self, failure: &Failure) {
        let counter = match failure {
            Failure::UnknownPath => &self.unknown_path,
            _ => &self.malformed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that ended before a request's head could be read: nothing came, or no HTTP, or too
    /// much, or too slowly.
    pub fn connection_without_request(&self) {
        self.no_request.fetch_add(1, Ordering::Relaxed);
    }

    /// Refused for target, `Host` or method; for a path that nobody serves; connections without a readable request.
    pub fn totals(&self) -> [(&'static str, u64); 3] {
        [
            ("malformed", self.malformed.load(Ordering::Relaxed)),
            ("unknown_path", self.unknown_path.load(Ordering::Relaxed)),
            ("no_request", self.no_request.load(Ordering::Relaxed)),
        ]
    }
}

impl DataState {
    /// Whether the provider of this name, or any, takes Argo's own calls.
    pub fn takes_argo(&self, name: Option<&str>) -> bool {
        self.worker.providers.iter().any(|provider| {
            let is_meant = name.is_none_or(|name| provider.name == name);
            is_meant && provider.own_call(Endpoint::ArgoChat).is_some()
        })
    }

    /// Whether a provider has this name.
    pub fn is_provider(&self, name: &str) -> bool {
        self.worker
            .providers
            .iter()
            .any(|provider| provider.name == name)
    }

    /// The client's address: the peer's, or, behind trusted proxies, the right-most one that is not trusted.
    pub fn client_ip(&self, request: &HttpRequest, headers: &Headers) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip();
        Some(client_ip(peer, headers, |ip| {
            self.trusted_proxies.iter().any(|net| net.contains(ip))
        }))
    }
}

fn client_ip(peer: IpAddr, headers: &Headers, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    if !is_trusted(peer) {
        return peer;
    }
    let mut address = peer;
    let forwarded: Vec<&str> = headers
        .iter()
        .filter(|(name, _)| *name == "x-forwarded-for")
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in forwarded.iter().rev() {
        let Ok(hop) = hop.trim().parse() else { break };
        address = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let headers = Headers::from_pairs(
            forwarded
                .iter()
                .map(|value| ("x-forwarded-for", value.as_bytes())),
        );
        let peer = peer.parse().unwrap();
        client_ip(peer, &headers, |ip| {
            trusted.contains(&ip.to_string().as_str())
        })
        .to_string()
    }

    #[test]
    fn c3_forwarded_addresses_count_only_from_trusted_proxies() {
        let cases: [(&str, &[&str], &[&str], &str); 6] = [
            ("9.9.9.9", &[], &[], "9.9.9.9"),
            ("9.9.9.9", &["1.1.1.1"], &[], "9.9.9.9"),
            ("10.0.0.1", &["1.1.1.1"], &["10.0.0.1"], "1.1.1.1"),
            (
                "10.0.0.1",
                &["6.6.6.6, 1.1.1.1, 10.0.0.2"],
                &["10.0.0.1", "10.0.0.2"],
                "1.1.1.1",
            ),
            (
                "10.0.0.1",
                &["6.6.6.6", "1.1.1.1"],
                &["10.0.0.1"],
                "1.1.1.1",
            ),
            ("10.0.0.1", &["nonsense"], &["10.0.0.1"], "10.0.0.1"),
        ];
        for (peer, forwarded, trusted, expected) in cases {
            assert_eq!(
                derived(peer, forwarded, trusted),
                expected,
                "{peer} {forwarded:?}"
            );
        }
    }
}
