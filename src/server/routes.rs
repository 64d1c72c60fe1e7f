//! Which paths the data port serves, and what each means.

use crate::dialect::{self, gemini, openai};
use crate::filter::{Dialect, Endpoint};
use crate::pipeline::failure::Failure;
use crate::pipeline::models::percent_decoded;
use crate::server::manage::{self, Manage};
use crate::wire::bedrock::ModelPath;
use crate::wire::gemini::behind_openai;

/// What a request asks of the data port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /`, `/v1/docs`: what this is.
    About,
    /// `GET /health`, `/healthz`, `/livez`.
    Health,
    /// `GET /readyz`.
    Ready,
    /// `GET /version`.
    Version,
    /// `GET /v1/status`, where a provider takes Argo's own calls.
    Status,
    /// A question about providers, models and choices.
    Manage(Manage),
    /// An exchange with a provider.
    Api {
        /// Which API.
        endpoint: Endpoint,
        /// Whose API.
        dialect: Dialect,
        /// The deployment that an Azure client's path names, or the model that one of Gemini's or Bedrock's names,
        /// percent signs resolved.
        deployment: Option<String>,
        /// The provider named by the first path segment, if one was.
        provider: Option<String>,
        /// The raw path behind `/v1`, beginning with a slash; of Gemini's API, and of Google's for OpenAI's clients, with its
        /// version.
        rest: String,
    },
}

impl Route {
    /// The same where providers take Argo's own calls, as their proxy's clients make them: `POST /v1/chat`, and
    /// `GET /v1/status`. `takes_argo`: whether the provider of this name does, or any.
    pub fn or_argo(self, method: &str, takes_argo: impl Fn(Option<&str>) -> bool) -> Self {
        let Self::Api {
            endpoint: Endpoint::Passthrough,
            dialect: Dialect::Openai,
            deployment: None,
            provider,
            rest,
        } = &self
        else {
            return self;
        };
        match (method, &**rest) {
            ("POST", "/chat") if takes_argo(provider.as_deref()) => Self::Api {
                endpoint: Endpoint::ArgoChat,
                dialect: Dialect::Openai,
                deployment: None,
                provider: provider.clone(),
                rest: rest.clone(),
            },
            ("GET" | "HEAD", "/status") if takes_argo(provider.as_deref()) => Self::Status,
            _ => self,
        }
    }
}

/// Our own paths, which have no row.
const OWN: &[(&str, Route)] = &[
    ("/", Route::About),
    ("/health", Route::Health),
    ("/healthz", Route::Health),
    ("/livez", Route::Health),
    ("/readyz", Route::Ready),
    ("/version", Route::Version),
    ("/v1/docs", Route::About),
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
    /// Whether it has a header or a key of Gemini's.
    pub names_gemini: bool,
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
                failure: Failure::MethodNotAllowed {
                    allow: Some("GET, HEAD"),
                },
                recorded: false,
            }),
        };
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    let behind_first = path.get(1 + first.len()..).unwrap_or_default();
    if manage::is_ours(first, behind_first) {
        return manage::find(method, path).map(Route::Manage);
    }
    let is_gemini = |path: &str, rest: &str| {
        gemini::endpoint(method, path).is_some() || said.names_gemini && is_shared(method, rest)
    };
    if is_gemini_version(first) || first == "v1" && is_gemini(path, behind_first) {
        return of_gemini(said, path, None);
    }
    if first == "v1" {
        return api(said, behind_first, None);
    }
    if first == "model" {
        return of_bedrock(said, path, None);
    }
    if openai::BARE_SEGMENTS.contains(&first) {
        return api(said, path, None);
    }
    if let Some(behind) = behind_first.strip_prefix("/deployments/")
        && first == "openai"
    {
        return azure(said, behind, is_provider);
    }
    if KINDS.contains(&first) || is_provider(first) {
        let names_call = ModelPath::read(behind_first)
            .is_some_and(|path| path.endpoint() != Endpoint::Passthrough);
        if first == BEDROCK || names_call && method == "POST" {
            return of_bedrock(said, behind_first, Some(first.to_owned()));
        }
        // A doubled `v1` is dropped: the provider's base URL has one.
        let rest = match behind_first.strip_prefix("/v1") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => behind_first,
        };
        let second = behind_first.split('/').nth(1).unwrap_or_default();
        if is_gemini_version(second) || is_gemini(behind_first, rest) {
            return of_gemini(said, behind_first, Some(first.to_owned()));
        }
        return api(said, rest, Some(first.to_owned()));
    }
    Err(Unserved {
        failure: Failure::UnknownPath,
        recorded: false,
    })
}

/// Whether a path behind the version may be of any API, so that headers tell whose it is.
fn is_shared(method: &str, rest: &str) -> bool {
    let (endpoint, dialect) = dialect::endpoint(method, rest, false);
    dialect == Dialect::Openai && matches!(endpoint, Endpoint::Models | Endpoint::Passthrough)
}

/// First segments that stand for the first provider of a kind where none has that name.
const KINDS: &[&str] = &["openai", "anthropic", GOOGLE, BEDROCK];

/// What stands for the first provider of Gemini's API.
const GOOGLE: &str = "googleaistudio";

/// What stands for the first provider of Bedrock's API.
const BEDROCK: &str = "bedrock-claude";

/// A path of Bedrock's runtime, which names a model.
fn of_bedrock(said: Said<'_>, rest: &str, provider: Option<String>) -> Result<Route, Unserved> {
    let path = ModelPath::read(rest).filter(|_| said.method == "POST");
    match path.map(|path| (path, percent_decoded(path.model))) {
        Some((path, Some(model))) => Ok(Route::Api {
            endpoint: path.endpoint(),
            dialect: Dialect::Bedrock,
            deployment: Some(model),
            provider,
            rest: rest.to_owned(),
        }),
        Some((_, None)) | None => Err(Unserved {
            failure: Failure::UnknownPath,
            recorded: true,
        }),
    }
}

/// Whether a segment is a version of an API that only Gemini has.
fn is_gemini_version(segment: &str) -> bool {
    matches!(segment, "v1beta" | "v1alpha")
}

/// A path of Gemini's; `rest` has its version, if it has one. Those on which Google serves OpenAI's API are OpenAI's.
fn of_gemini(said: Said<'_>, rest: &str, provider: Option<String>) -> Result<Route, Unserved> {
    if let Some(openais) = behind_openai(rest).filter(|behind| 1 < behind.len()) {
        return Ok(Route::Api {
            endpoint: openai::endpoint(said.method, openais),
            dialect: Dialect::Openai,
            deployment: None,
            provider,
            rest: rest.to_owned(),
        });
    }
    let (endpoint, model) = gemini::any_endpoint(said.method, rest);
    let model = model.map(percent_decoded);
    let behind_version = rest.split('/').nth(2).unwrap_or_default();
    if behind_version.is_empty() || model == Some(None) {
        return Err(Unserved {
            failure: Failure::UnknownPath,
            recorded: true,
        });
    }
    Ok(Route::Api {
        endpoint,
        dialect: Dialect::Gemini,
        deployment: model.flatten(),
        provider,
        rest: rest.to_owned(),
    })
}

/// Calls whose deployment may have a slash.
const OF_DEPLOYMENTS: &[&str] = &["/chat/completions", "/completions", "/embeddings"];

/// `/openai/deployments/{deployment}/…`, as Azure's clients write it. A deployment that begins with a provider's name goes
/// on to the call: SDKs write it as they are given it.
fn azure(
    said: Said<'_>,
    behind: &str,
    is_provider: impl Fn(&str) -> bool,
) -> Result<Route, Unserved> {
    let (first, rest) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    let mut calls = OF_DEPLOYMENTS.iter();
    let long = match OF_DEPLOYMENTS.contains(&rest) || !is_provider(first) {
        true => None,
        false => calls.find_map(|call| Some((behind.strip_suffix(call)?, *call))),
    };
    let (deployment, rest) = long.unwrap_or((first, rest));
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
            names_gemini: false,
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
        let of = |path: &str| match find(said("POST", path), |name| name == "anthropic") {
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
        for (path, expected, call) in [
            ("a%2Fb/chat/completions", "a/b", "/chat/completions"),
            ("anthropic%2Fm/embeddings", "anthropic/m", "/embeddings"),
            (
                "anthropic/m/chat/completions",
                "anthropic/m",
                "/chat/completions",
            ),
            ("anthropic/a/b/completions", "anthropic/a/b", "/completions"),
            (
                "anthropic/chat/completions",
                "anthropic",
                "/chat/completions",
            ),
            ("anthropic/images/x", "anthropic", "/images/x"),
            ("d/m/chat/completions", "d", "/m/chat/completions"),
        ] {
            let (_, _, deployment, rest) = of(&format!("/openai/deployments/{path}")).expect(path);
            assert_eq!((&*deployment, &*rest), (expected, call), "{path}");
        }
        for path in ["", "d", "d/", "/chat/completions", "%ff/chat/completions"] {
            assert_eq!(of(&format!("/openai/deployments/{path}")), None, "{path}");
        }
    }

    #[test]
    fn a_key_of_geminis_tells_only_of_shared_paths() {
        let whose = |path: &str| {
            let said = Said {
                names_gemini: true,
                ..said("POST", path)
            };
            match find(said, |name| name == "gem") {
                Ok(Route::Api { dialect, .. }) => dialect,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(whose("/v1/chat/completions"), Dialect::Openai);
        assert_eq!(whose("/gem/v1/chat/completions"), Dialect::Openai);
        assert_eq!(whose("/v1/messages"), Dialect::Anthropic);
        assert_eq!(whose("/v1/files"), Dialect::Gemini);
        assert_eq!(whose("/gem/v1/models"), Dialect::Gemini);
    }

    #[test]
    fn geminis_paths_name_a_model() {
        let of = |method: &str, path: &str| match find(said(method, path), |name| name == "gem") {
            Ok(Route::Api {
                endpoint,
                dialect: Dialect::Gemini,
                deployment,
                provider,
                rest,
            }) => Some((endpoint, deployment, provider, rest)),
            _ => None,
        };
        let chat = Endpoint::GenerateContent;
        for (path, provider, rest) in [
            ("/v1beta/models/a%2Fb:generateContent", None, ""),
            ("/v1/models/a/b:streamGenerateContent", None, ""),
            (
                "/googleaistudio/v1beta/models/a/b:generateContent",
                Some(GOOGLE),
                GOOGLE,
            ),
            ("/gem/models/a/b:generateContent", Some("gem"), "gem"),
        ] {
            let rest = path.trim_start_matches('/').trim_start_matches(rest);
            let rest = format!("/{}", rest.trim_start_matches('/'));
            let expected = (
                chat,
                Some("a/b".to_owned()),
                provider.map(str::to_owned),
                rest,
            );
            assert_eq!(of("POST", path), Some(expected), "{path}");
        }
        for path in [
            "/v1/models/gpt-4o",
            "/v1/models/ft:gpt-4o:org::id",
            "/v1/models",
        ] {
            assert_eq!(of("GET", path), None, "{path}");
        }
        let openais = |method: &str, path: &str| match find(said(method, path), |_| false) {
            Ok(Route::Api {
                endpoint,
                dialect: Dialect::Openai,
                deployment: None,
                provider,
                rest,
            }) => Some((endpoint, provider, rest)),
            _ => None,
        };
        let rest = "/v1beta/openai/chat/completions";
        for (path, provider) in [
            (rest.to_owned(), None),
            (format!("/{GOOGLE}{rest}"), Some(GOOGLE.to_owned())),
        ] {
            let expected = (Endpoint::ChatCompletions, provider, rest.to_owned());
            assert_eq!(openais("POST", &path), Some(expected), "{path}");
        }
        for (path, endpoint) in [
            ("/v1beta/openai/models/gemini-2.5-flash", Endpoint::Models),
            ("/v1beta/openai/batches/b", Endpoint::Passthrough),
        ] {
            let expected = (endpoint, None, path.to_owned());
            assert_eq!(openais("GET", path), Some(expected), "{path}");
        }
        assert_eq!(openais("POST", "/v1beta/openai"), None);
        assert_eq!(openais("POST", "/v1beta/openai/"), None);
        assert_eq!(openais("POST", "/v1beta/openais/chat/completions"), None);
        for path in ["/v1beta", "/v1beta/", "/v1beta/models/%ff:generateContent"] {
            let unserved = find(said("POST", path), |_| false).unwrap_err();
            assert!(unserved.recorded, "{path}");
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
            rest_of("GET", "/openai/v1beta/files").map(|found| found.2),
            Some("/v1beta/files".to_owned())
        );
        assert_eq!(find(said("GET", "/healthz"), |_| false), Ok(Route::Health));
        assert_eq!(
            find(said("POST", "/health"), |_| false)
                .unwrap_err()
                .failure,
            Failure::MethodNotAllowed {
                allow: Some("GET, HEAD")
            }
        );
    }
}
