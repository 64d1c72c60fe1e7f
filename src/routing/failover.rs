//! What follows from a try that did not answer well: whether another candidate is tried, and who is to blame.

use std::time::Duration;

use crate::config::Statuses;

/// How a try went wrong, in the words of this decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// 429: too much for this key.
    RateLimited {
        /// When it may be asked again.
        retry_after: Option<Duration>,
    },
    /// Our key was refused.
    KeyRefused,
    /// Another error status, in a head or in a stream's first event.
    Status {
        /// The status.
        status: u16,
        /// When it may be asked again.
        retry_after: Option<Duration>,
    },
    /// No connection: name, TCP or TLS.
    Unreachable,
    /// No answer within the time limit for the first byte.
    Silent,
    /// An answer that broke off before its content, or that is none.
    Broken,
    /// A stream's first event says that it failed, in words that are not known: whose trouble it is, nobody knows.
    Unclear,
    /// The client left, the server stops, or the defect is ours.
    Ended,
}

/// Statuses that say "not now".
const OVERLOADED: [u16; 2] = [503, 529];

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nobody's that is chosen from here.
    Nobody,
    /// The key's.
    Key,
    /// The target's: it fails, and cools down when it does so again and again.
    Target,
    /// The target's: nobody is there, which opens its circuit when it happens again and again.
    Connection,
}

impl Trouble {
    /// Whose trouble it is. A status that another target is tried with may be the client's own: that is nobody's here.
    pub fn blame(self) -> Blame {
        match self {
            Self::RateLimited { .. } | Self::KeyRefused => Blame::Key,
            Self::Status { status, .. } if status < 500 => Blame::Nobody,
            Self::Status { .. } | Self::Broken => Blame::Target,
            Self::Unreachable | Self::Silent => Blame::Connection,
            Self::Unclear | Self::Ended => Blame::Nobody,
        }
    }

    /// Its word in rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::KeyRefused => "key_refused",
            Self::Status { .. } => "error_status",
            Self::Unreachable => "unreachable",
            Self::Silent => "timeout",
            Self::Broken => "broken",
            // As those whose words are known.
            Self::Unclear => "error_status",
            Self::Ended => "ended",
        }
    }

    /// Whether another candidate is tried. `retried`: the statuses with which one is.
    pub fn goes_on(self, retried: &Statuses) -> bool {
        match self {
            Self::RateLimited { .. } => retried.contains(429),
            Self::Status { status, .. } => retried.contains(status),
            Self::KeyRefused | Self::Unreachable | Self::Silent | Self::Broken | Self::Unclear => {
                true
            }
            Self::Ended => false,
        }
    }

    /// When a target that cannot serve for now said that it can again.
    pub fn back_at(self) -> Option<Duration> {
        match self {
            Self::Status {
                status,
                retry_after,
            } if OVERLOADED.contains(&status) => retry_after,
            _ => None,
        }
    }

    /// When the provider said that it may be asked again.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Status { retry_after, .. } => retry_after,
            Self::KeyRefused
            | Self::Unreachable
            | Self::Silent
            | Self::Broken
            | Self::Unclear
            | Self::Ended => None,
        }
    }
}

/// Reads `retry-after-ms`, or `retry-after` in seconds or as a date; `now_s`: seconds since the Unix epoch. `None` where
/// neither can be read. A date that has passed is no wait.
pub fn retry_after(millis: Option<&str>, header: Option<&str>, now_s: i64) -> Option<Duration> {
    let millis = millis.and_then(|text| text.trim().parse::<f64>().ok());
    let millis = millis.filter(|millis| millis.is_finite() && 0.0 <= *millis);
    if let Some(millis) = millis {
        return Duration::try_from_secs_f64(millis / 1000.0).ok();
    }
    let text = header?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        let seconds = Some(seconds).filter(|seconds| seconds.is_finite() && 0.0 <= *seconds)?;
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = jiff::fmt::rfc2822::parse(text)
        .ok()?
        .timestamp()
        .as_second();
    Some(Duration::from_secs(
        u64::try_from(at.saturating_sub(now_s)).unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_and_whether_another_is_tried() {
        let none = None;
        let cases = [
            (Trouble::RateLimited { retry_after: none }, Blame::Key, true),
            (Trouble::KeyRefused, Blame::Key, true),
            (
                Trouble::Status {
                    status: 500,
                    retry_after: none,
                },
                Blame::Target,
                true,
            ),
            (
                Trouble::Status {
                    status: 529,
                    retry_after: none,
                },
                Blame::Target,
                true,
            ),
            (
                Trouble::Status {
                    status: 404,
                    retry_after: none,
                },
                Blame::Nobody,
                false,
            ),
            (Trouble::Unreachable, Blame::Connection, true),
            (Trouble::Silent, Blame::Connection, true),
            (Trouble::Broken, Blame::Target, true),
            (Trouble::Unclear, Blame::Nobody, true),
            (Trouble::Ended, Blame::Nobody, false),
        ];
        for (trouble, blame, goes_on) in cases {
            assert_eq!(
                (
                    trouble.blame(),
                    trouble.goes_on(&Statuses::default_retries())
                ),
                (blame, goes_on),
                "{trouble:?}"
            );
        }
        let status = |status| Trouble::Status {
            status,
            retry_after: none,
        };
        let only = Statuses::of(&[408]);
        assert!(status(408).goes_on(&only) && !status(500).goes_on(&only));
        assert!(!Trouble::RateLimited { retry_after: none }.goes_on(&only));
    }

    #[test]
    fn f26_how_long_to_wait_is_read_in_every_form() {
        let now = 1_700_000_000;
        for (millis, header, expected) in [
            (None, Some("7"), Some(7_000)),
            (None, Some("0.25"), Some(250)),
            (Some("1500"), Some("7"), Some(1_500)),
            (Some("x"), Some("7"), Some(7_000)),
            (None, Some("Tue, 14 Nov 2023 22:13:30 GMT"), Some(10_000)),
            (None, Some("Tue, 14 Nov 2023 22:13:10 GMT"), Some(0)),
            (None, Some("soon"), None),
            (None, Some("-1"), None),
            (None, Some("1e400"), None),
            (None, None, None),
        ] {
            let read = retry_after(millis, header, now).map(|wait| wait.as_millis());
            assert_eq!(read, expected, "{millis:?} {header:?}");
        }
    }
}
