//! `server` and `admin`: the two listeners.

use std::time::Duration;

use serde::Serialize;

use super::ip_net::IpNet;
use super::secret::{Secret, serialize_masked_option};
use super::section::Section;
use super::units::as_seconds;

/// The data port, which clients use.
#[derive(Debug, Clone, Serialize)]
pub struct ServerConfig {
    /// Address or name to listen on. Beyond loopback only with `insecure`.
    pub host: String,
    /// TCP port; 0 takes a free one.
    pub port: u16,
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// Largest body that is held whole, in bytes; larger ones are refused with 413.
    pub max_body_bytes: usize,
    /// Most streams open at once; 0 is `min(20000, (open-file limit - 200) / 3)`.
    pub max_streams: usize,
    /// How long an idle client connection is kept. Longer than the clients' own, or connections die when reused.
    #[serde(rename = "keep_alive_s", serialize_with = "as_seconds")]
    pub keep_alive: Duration,
    /// Proxies whose `X-Forwarded-For` is believed for the column `client_ip`.
    pub trusted_proxies: Vec<IpNet>,
    /// How long open streams may go on after a signal to stop.
    #[serde(rename = "shutdown_grace_s", serialize_with = "as_seconds")]
    pub shutdown_grace: Duration,
    /// Whether the five repairs of streams are made.
    pub repair_streams: bool,
    /// Which web pages may call from a browser.
    pub cors: CorsConfig,
    /// Whether listening beyond loopback without keys is meant.
    pub insecure: bool,
    /// Longest wait for a request's head.
    #[serde(rename = "header_read_s", serialize_with = "as_seconds")]
    pub header_read: Duration,
    /// Longest wait for the next piece of a request's body.
    #[serde(rename = "body_idle_s", serialize_with = "as_seconds")]
    pub body_idle: Duration,
    /// Longest time that a client may take for the whole of a request's body; time that the upstream takes for an upload does
    /// not count.
    #[serde(rename = "body_total_s", serialize_with = "as_seconds")]
    pub body_total: Duration,
}

/// Cross-origin requests.
#[derive(Debug, Clone, Serialize)]
pub struct CorsConfig {
    /// Allowed origins, such as `https://app.example`; `*` allows all; none: no CORS headers of ours.
    pub origins: Vec<String>,
}

/// The admin port: metrics, management and dashboard.
#[derive(Debug, Clone, Serialize)]
pub struct AdminConfig {
    /// Whether the port is opened.
    pub enabled: bool,
    /// Address or name to listen on. Beyond loopback only with `token`.
    pub host: String,
    /// TCP port; 0 takes a free one.
    pub port: u16,
    /// Sent by callers as `Authorization: Bearer …`; `None` asks for nothing.
    #[serde(serialize_with = "serialize_masked_option")]
    pub token: Option<Secret>,
}

/// Reads `server`.
pub(super) fn read_server(mut section: Section<'_>) -> ServerConfig {
    let seconds = Duration::from_secs;
    let config = ServerConfig {
        host: read_host(&mut section),
        port: section.number("port", 8000, 0..=65535),
        workers: section.number("workers", 0, 0..=1024),
        max_body_bytes: section.number("max_body_bytes", 67_108_864, 1..=4_294_967_296),
        max_streams: section.number("max_streams", 0, 0..=1_000_000),
        keep_alive: section.seconds("keep_alive_s", seconds(75)),
        trusted_proxies: read_networks(&mut section, "trusted_proxies"),
        shutdown_grace: section.seconds("shutdown_grace_s", seconds(30)),
        repair_streams: section.flag("repair_streams", true),
        cors: read_cors(section.section("cors")),
        insecure: section.flag("insecure", false),
        header_read: section.seconds("header_read_s", seconds(10)),
        body_idle: section.seconds("body_idle_s", seconds(30)),
        body_total: section.seconds("body_total_s", seconds(120)),
    };
    section.finish();
    config
}

/// Reads `admin`.
pub(super) fn read_admin(mut section: Section<'_>) -> AdminConfig {
    let config = AdminConfig {
        enabled: section.flag("enabled", true),
        host: read_host(&mut section),
        port: section.number("port", 8001, 0..=65535),
        token: read_token(&mut section),
    };
    section.finish();
    config
}

fn read_host(section: &mut Section<'_>) -> String {
    const DEFAULT: &str = "127.0.0.1";
    let Some(host) = section.text("host") else {
        return DEFAULT.to_owned();
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bare.parse::<std::net::IpAddr>().is_ok() || (!bare.is_empty() && bare.chars().all(is_name)) {
        return bare.to_owned();
    }
    section.report(
        "host",
        "expected an address or a host name, without scheme and port",
    );
    DEFAULT.to_owned()
}

/// An empty token is none, so that `${AIPROXY_ADMIN_TOKEN:-}` can stand in a file.
fn read_token(section: &mut Section<'_>) -> Option<Secret> {
    match section.text("token") {
        Some(text) if !text.is_empty() => section.secret("token"),
        Some(_) | None => None,
    }
}

fn read_networks(section: &mut Section<'_>, key: &'static str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (path, item) in section.list(key).unwrap_or_default() {
        match item.text(&path).map(|text| text.parse()) {
            Some(Ok(network)) => networks.push(network),
            Some(Err(_)) => {
                item.report(&path, "expected an address or a network such as 10.0.0.0/8")
            }
            None => {}
        }
    }
    networks
}

fn read_cors(mut section: Section<'_>) -> CorsConfig {
    let mut origins = Vec::new();
    for (path, item) in section.list("origins").unwrap_or_default() {
        match item.text(&path) {
            // Browsers write origins in lower case.
            Some(text) if text == "*" || is_web_origin(&text) => {
                origins.push(text.to_ascii_lowercase());
            }
            Some(_) => item.report(
                &path,
                "expected `*` or an origin such as https://app.example, without a path",
            ),
            None => {}
        }
    }
    section.finish();
    CorsConfig { origins }
}

fn is_web_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.origin().ascii_serialization() == text.to_ascii_lowercase()
    })
}
