//! What a try that did not answer well is to who chooses the next one.

use std::time::Duration;

use crate::pipeline::answer::Waits;
use crate::pipeline::failure::Failure;
use crate::routing::failover::{Trouble, retry_after};
use crate::upstream::provider::Provider;
use crate::wire::translate::ProviderError;

/// What an error status is to who chooses.
pub(super) fn of_status(status: u16, retry_after: Option<Duration>) -> Trouble {
    match status {
        429 => Trouble::RateLimited { retry_after },
        _ => Trouble::Status {
            status,
            retry_after,
        },
    }
}

/// What a failure is to who chooses. `has_head`: the provider gave a head, so it is there: whom it does not reach itself is one
/// model's peer, and others that it has may be well.
pub(super) fn trouble(failure: &Failure, has_head: bool, retry_after: Option<Duration>) -> Trouble {
    match failure {
        Failure::UpstreamUnreachable { .. } if has_head => Trouble::Broken,
        Failure::UpstreamUnreachable { .. }
        | Failure::UpstreamDns
        | Failure::UpstreamTls { .. } => Trouble::Unreachable,
        Failure::UpstreamTimeout => Trouble::Silent,
        Failure::UpstreamAuth { .. } => Trouble::KeyRefused,
        Failure::UpstreamStatus { status } | Failure::UpstreamSaid { status, .. } => {
            of_status(*status, retry_after)
        }
        Failure::UpstreamIdleTimeout
        | Failure::UpstreamRedirect
        | Failure::UpstreamBadContentType
        | Failure::UpstreamProtocol { .. }
        | Failure::UpstreamEventTooLarge
        | Failure::UpstreamTruncated
        | Failure::UpstreamClosed
        | Failure::UpstreamDisconnected => Trouble::Broken,
        _ => Trouble::Ended,
    }
}

/// What a stream that said nothing but its error is to who chooses.
pub(super) fn of_stillborn(
    failure: &Failure,
    said: Option<&ProviderError>,
    retry_after: Option<Duration>,
) -> Trouble {
    match said {
        Some(said) if said.status.is_none() => Trouble::Unclear,
        _ => trouble(failure, true, retry_after),
    }
}

/// Whether a provider without keys does not know the user whom it is told by the configuration: that is no client's mistake.
pub(super) fn refuses_our_user(failure: &Failure, provider: &Provider) -> bool {
    let mut fields = provider.request_fields.iter();
    let is_ours = !provider.user_passthrough && fields.any(|(name, _)| *name == "user");
    let Failure::UpstreamSaid { status, .. } = failure else {
        return false;
    };
    is_ours && !provider.has_key() && matches!(status, 401 | 403)
}

/// When the provider said that it may be asked again; `wall_us`: microseconds since the Unix epoch.
pub(super) fn wait(kept: &Waits, wall_us: i64) -> Option<Duration> {
    let text = |name: &str| {
        let (_, value) = kept.iter().find(|(known, _)| *known == name)?;
        std::str::from_utf8(value).ok()
    };
    let now_s = wall_us / 1_000_000;
    retry_after(text("retry-after-ms"), text("retry-after"), now_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_failed_in_unknown_words_is_nobodys_trouble() {
        let retry_after = None;
        for (told, expected) in [
            (None, Trouble::Unclear),
            (Some(429), Trouble::RateLimited { retry_after }),
            (
                Some(400),
                Trouble::Status {
                    status: 400,
                    retry_after,
                },
            ),
        ] {
            let error = ProviderError {
                status: told,
                ..ProviderError::default()
            };
            let failure = Failure::UpstreamSaid {
                status: told.unwrap_or(500),
                error: error.clone(),
            };
            let trouble = of_stillborn(&failure, Some(&error), None);
            assert_eq!(trouble, expected, "{told:?}");
        }
        let broken = of_stillborn(&Failure::UpstreamTruncated, None, None);
        assert_eq!(broken, Trouble::Broken);
    }
}
