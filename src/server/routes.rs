//! Which paths the data port serves, and what each means.

use crate::dialect::{self, openai};
use crate::filter::{Dialect, Endpoint};
use crate::pipeline::failure::Failure;
use crate::pipeline::models::percent_decoded;

/// What a request asks of the data port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /`: what this is.
    About,
    /// `GET /health`, `/healthz`, `/livez`.
    Health,
    /// `GET /readyz`.
    Ready,
    /// `GET /version`.
    Version,
    /// An exchange with a provider.
    Api {
        /// Which API.
        endpoint: Endpoint,
        /// Whose API.
        dialect: Dialect,
        /// The deployment that an Azure client's path names, percent signs resolved.
        deployment: Option<String>,
        /// The provider named by the first path segment, if one was.
        provider: Option<String>,
        /// The raw path behind `/v1`, beginning with a slash.
        rest: String,
    },
}

/// Our own paths, which have no row.
const OWN: &[(&str, Route)] = &[
    ("/", Route::About),
    ("/health", Route::Health),
    ("/healthz", Route::Health),
    ("/livez", Route::Health),
    ("/readyz", Route::Ready),
    ("/version", Route::Version),
];

/// A path that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// What the client is told.
    pub failure: Failure,
    /// Whether it leaves a row: not when nobody serves its first segment.
    pub recorded: bool,
}

/// What a request says of itself, as far as routes depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The raw path.
    pub path: &'a str,
    /// Whether it has Anthropic's header `anthropic-version`.
    pub names_anthropic: bool,
}

/// Finds the route of a request whose path was checked. `is_provider` says whether a provider has this name.
///
/// # Errors
/// [`Unserved`] with a 404 or 405.
pub fn find(said: Said<'_>, is_provider: impl Fn(&str) -> bool) -> Result<Route, Unserved> {
    let Said { method, path, .. } = said;
    if let Some((_, route)) = OWN.iter().find(|(own, _)| *own == path) {
        return match method {
            "GET" | "HEAD" => Ok(route.clone()),
            _ => Err(Unserved {
                failure: Failure::MethodNotAllowed,
                recorded: false,
            }),
        };
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    let behind_first = path.get(1 + first.len()..).unwrap_or_default();
    if first == "v1" {
        return api(said, behind_first, None);
    }
    if openai::BARE_SEGMENTS.contains(&first) {
        return api(said, path, None);
    }
    if let Some(behind) = behind_first.strip_prefix("/deployments/")
        && first == "openai"
    {
        return azure(said, behind);
    }
    if first == "openai" || is_provider(first) {
        // A doubled `v1` is dropped: the provider's base URL has one.
        let rest = match behind_first.strip_prefix("/v1") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => behind_first,
        };
        return api(said, rest, Some(first.to_owned()));
    }
    Err(Unserved {
        failure: Failure::UnknownPath,
        recorded: false,
    })
}

/// `/openai/deployments/{deployment}/…`, as Azure's clients write it.
fn azure(said: Said<'_>, behind: &str) -> Result<Route, Unserved> {
    let (deployment, rest) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    match (percent_decoded(deployment), api(said, rest, None)?) {
        (Some(deployment), Route::Api { endpoint, rest, .. }) if !deployment.is_empty() => {
            Ok(Route::Api {
                endpoint,
                dialect: Dialect::Azure,
                deployment: Some(deployment),
                provider: None,
                rest,
            })
        }
        _ => Err(Unserved {
            failure: Failure::UnknownPath,
            recorded: true,
        }),
    }
}

fn api(said: Said<'_>, rest: &str, provider: Option<String>) -> Result<Route, Unserved> {
    if rest.len() < 2 {
        return Err(Unserved {
            failure: Failure::UnknownPath,
            recorded: true,
        });
    }
    let (endpoint, dialect) = dialect::endpoint(said.method, rest, said.names_anthropic);
    Ok(Route::Api {
        endpoint,
        dialect,
        deployment: None,
        provider,
        rest: rest.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<'a>(method: &'a str, path: &'a str) -> Said<'a> {
        Said {
            method,
            path,
            names_anthropic: false,
        }
    }

    fn rest_of(method: &str, path: &str) -> Option<(Endpoint, Option<String>, String)> {
        match find(said(method, path), |name| name == "local") {
            Ok(Route::Api {
                endpoint,
                provider,
                rest,
                ..
            }) => Some((endpoint, provider, rest)),
            _ => None,
        }
    }

    #[test]
    fn with_and_without_v1_mean_the_same() {
        for path in ["/v1/chat/completions", "/chat/completions"] {
            let expected = (
                Endpoint::ChatCompletions,
                None,
                "/chat/completions".to_owned(),
            );
            assert_eq!(rest_of("POST", path), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_provider_can_be_named() {
        for (path, provider) in [
            ("/openai/chat/completions", "openai"),
            ("/openai/v1/chat/completions", "openai"),
            ("/local/chat/completions", "local"),
        ] {
            let expected = (
                Endpoint::ChatCompletions,
                Some(provider.to_owned()),
                "/chat/completions".to_owned(),
            );
            assert_eq!(rest_of("POST", path), Some(expected), "{path}");
        }
    }

    #[test]
    fn azures_paths_name_a_deployment() {
        let of = |path: &str| match find(said("POST", path), |_| false) {
            Ok(Route::Api {
                endpoint,
                dialect,
                deployment,
                rest,
                ..
            }) => Some((endpoint, dialect, deployment?, rest)),
            _ => None,
        };
        let (endpoint, dialect, deployment, rest) =
            of("/openai/deployments/my%204o/chat/completions").expect("a route");
        assert_eq!(
            (endpoint, dialect),
            (Endpoint::ChatCompletions, Dialect::Azure)
        );
        assert_eq!((&*deployment, &*rest), ("my 4o", "/chat/completions"));
        for path in ["", "d", "d/", "/chat/completions", "%ff/chat/completions"] {
            assert_eq!(of(&format!("/openai/deployments/{path}")), None, "{path}");
        }
    }

    #[test]
    fn strangers_get_404_without_a_row() {
        for path in ["/wp-login.php", "/admin", "/other/chat/completions"] {
            let unserved = find(said("GET", path), |_| false).unwrap_err();
            assert!(
                !unserved.recorded && unserved.failure == Failure::UnknownPath,
                "{path}"
            );
        }
        for path in ["/v1", "/v1/", "/openai", "/openai/v1", "/openai/v1/"] {
            assert!(
                find(said("GET", path), |_| false).unwrap_err().recorded,
                "{path}"
            );
        }
        assert_eq!(
            rest_of("GET", "/openai/v1beta").map(|found| found.2),
            Some("/v1beta".to_owned())
        );
        assert_eq!(find(said("GET", "/healthz"), |_| false), Ok(Route::Health));
        assert_eq!(
            find(said("POST", "/health"), |_| false)
                .unwrap_err()
                .failure,
            Failure::MethodNotAllowed
        );
    }
}
