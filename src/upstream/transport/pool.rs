//! Connections that wait for their next request, by the origin they lead to.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use awc::http::Uri;

use super::connection::Connection;
use super::dial::Dialler;
use super::{SendFailure, TransportOptions};

/// Below the keep-alive of common servers (nginx 75 s, `uvicorn` 5 s), so that a connection rarely dies at reuse.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// A connection is never reused after this.
const LIFETIME: Duration = Duration::from_secs(600);

/// What one worker thread knows of one provider's servers.
pub(super) struct Pool {
    pub(super) dialler: Dialler,
    /// As many as the provider has base URLs.
    origins: RefCell<Vec<Rc<Origin>>>,
}

/// A server: scheme, host and port.
pub(super) struct Origin {
    /// As it stands in URLs: `https://api.openai.com`.
    text: String,
    /// The same for awc, which sees plain connections only; the port stays what it was.
    pub(super) plain: Uri,
    /// The name that a certificate must have; an IPv6 address without brackets.
    pub(super) name: String,
    /// Value of the `Host` header.
    pub(super) host: String,
    idle: RefCell<VecDeque<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(options: &TransportOptions) -> Self {
        Self {
            dialler: Dialler::new(options),
            origins: RefCell::default(),
        }
    }

    /// The server of a URL, and the path and query there.
    ///
    /// # Errors
    /// [`SendFailure::Url`].
    pub(super) fn origin<'a>(&self, url: &'a str) -> Result<(Rc<Origin>, &'a str), SendFailure> {
        let scheme_end = url.find("://").ok_or(SendFailure::Url)? + 3;
        let rest = url.get(scheme_end..).unwrap_or_default();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len()) + scheme_end;
        let (text, target) = url.split_at(end);
        let mut origins = self.origins.borrow_mut();
        if let Some(known) = origins.iter().find(|known| known.text == text) {
            return Ok((known.clone(), target));
        }
        let origin = Rc::new(Origin::new(text).ok_or(SendFailure::Url)?);
        origins.push(origin.clone());
        Ok((origin, target))
    }
}

// === impl Origin ===

impl Origin {
    fn new(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let host = uri.host()?;
        let default_port = match uri.scheme_str()? {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(default_port);
        Some(Self {
            text: text.to_owned(),
            plain: format!("http://{host}:{port}").parse().ok()?,
            name: host.trim_matches(['[', ']']).to_owned(),
            host: match port == default_port {
                true => host.to_owned(),
                false => format!("{host}:{port}"),
            },
            idle: RefCell::default(),
        })
    }

    /// Whether it is reached by TLS.
    pub(super) fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// The connection that was used last, if it is still good.
    pub(super) fn take(&self) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        while let Some(mut last) = idle.pop_back() {
            if KEEP_ALIVE < now.duration_since(last.since) {
                // The others wait for longer still.
                idle.clear();
            } else if last.connection.is_quiet() {
                return Some(last.connection);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(super) fn put_back(&self, connection: Connection) {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        while idle
            .front()
            .is_some_and(|oldest| KEEP_ALIVE < now.duration_since(oldest.since))
        {
            idle.pop_front();
        }
        if now.duration_since(connection.opened) < LIFETIME {
            idle.push_back(Idle {
                connection,
                since: now,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let pool = Pool::new(&TransportOptions::default());
        let check = |url: &str, plain: &str, name: &str, host: &str, target: &str| {
            let (origin, rest) = pool.origin(url).unwrap();
            let got = (origin.plain.to_string(), &*origin.name, &*origin.host, rest);
            assert_eq!(got, (format!("{plain}/"), name, host, target), "{url}");
        };
        check("http://a/b", "http://a:80", "a", "a", "/b");
        check("https://a/b?c", "http://a:443", "a", "a", "/b?c");
        check("https://a:8443/b", "http://a:8443", "a", "a:8443", "/b");
        check("http://a:443/b", "http://a:443", "a", "a:443", "/b");
        check(
            "https://[::1]/b:c",
            "http://[::1]:443",
            "::1",
            "[::1]",
            "/b:c",
        );
        check(
            "https://[::1]:1?d",
            "http://[::1]:1",
            "::1",
            "[::1]:1",
            "?d",
        );
        check("https://a", "http://a:443", "a", "a", "");
        for url in ["", "a/b", "ftp://a/", "http://", "http:///x", "http://a b/"] {
            assert!(pool.origin(url).is_err(), "{url}");
        }
    }
}
