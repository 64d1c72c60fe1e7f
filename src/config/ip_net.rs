//! Addresses: networks whose word is believed, and which hosts are this machine's own loopback.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// One address or a network, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix_bits: u8,
}

impl IpNet {
    /// Whether the network holds `address`; an IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix_bits);
                u32::from(net).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix_bits);
                u128::from(net).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The text is neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("not an address or network")]
pub struct NotAnIpNet;

impl FromStr for IpNet {
    type Err = NotAnIpNet;

    fn from_str(text: &str) -> Result<Self, NotAnIpNet> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NotAnIpNet)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotAnIpNet)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits.unwrap_or(most);
        if prefix_bits > most {
            return Err(NotAnIpNet);
        }
        Ok(Self {
            address,
            prefix_bits,
        })
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl Serialize for IpNet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The addresses that a host name stands for without asking a name server: those it spells out, and `localhost`.
/// Empty for every other name.
pub(super) fn known_addresses(host: &str) -> Vec<IpAddr> {
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .trim_end_matches('.');
    let name = host.to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    host.parse::<IpAddr>()
        .map(|address| vec![address.to_canonical()])
        .unwrap_or_default()
}

/// Whether only this machine can reach a listener on `host`.
pub(super) fn is_loopback(host: &str) -> bool {
    let addresses = known_addresses(host);
    !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback)
}

/// Whether a connection to `target` would reach a listener on `listener`, as far as the names tell.
pub(super) fn reaches(target: &str, listener: &str) -> bool {
    if target.eq_ignore_ascii_case(listener) {
        return true;
    }
    let listening = known_addresses(listener);
    let everywhere = listening.iter().any(IpAddr::is_unspecified);
    known_addresses(target)
        .into_iter()
        // To connect to "any address" is to connect to loopback.
        .map(|address| {
            if address.is_unspecified() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                address
            }
        })
        .any(|address| listening.contains(&address) || (everywhere && address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        for (net, address, holds) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("fd00::/8", "fd12::1", true),
            ("::/0", "fe80::1", true),
            ("::/0", "10.0.0.1", false),
        ] {
            let parsed: IpNet = net.parse().expect("a network");
            assert_eq!(
                parsed.contains(address.parse().expect("an address")),
                holds,
                "{net} {address}"
            );
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "name",
            "10.0.0.0/-1",
        ] {
            assert!(wrong.parse::<IpNet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        for (host, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("localhost", true),
            ("LOCALHOST.", true),
            ("api.localhost", true),
            ("::1", true),
            ("[::1]", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("192.168.0.1", false),
            ("localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    #[test]
    fn reaching_oneself_is_seen_through_the_names_of_loopback() {
        for (target, listener, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("localhost", "127.0.0.1", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("[::1]", "localhost", true),
            ("127.0.0.9", "0.0.0.0", true),
            ("::1", "::", true),
            ("proxy.lan", "PROXY.lan", true),
            ("127.0.0.2", "127.0.0.1", false),
            ("api.openai.com", "0.0.0.0", false),
            ("192.168.0.7", "192.168.0.8", false),
        ] {
            assert_eq!(reaches(target, listener), expected, "{target} → {listener}");
        }
    }
}
