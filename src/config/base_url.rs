//! Where an upstream is.

use serde::Serialize;
use url::Url;

/// Where OpenAI's own API is, with its version (platform.openai.com, API reference).
const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// An `http` or `https` URL that paths can be added to; it holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct BaseUrl {
    text: String,
    host: String,
    port: u16,
    https: bool,
}

impl BaseUrl {
    /// Reads a URL; slashes at its end go.
    ///
    /// # Errors
    /// What is allowed, without the URL itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const ALLOWED: &str = "expected a URL such as https://api.openai.com/v1";
        let url = Url::parse(text.trim()).map_err(|_| ALLOWED)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ALLOWED);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("credentials in the URL are not sent; use api_keys or headers");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a URL without `?` and `#` is needed, because paths are added to it");
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(ALLOWED)?;
        Ok(Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: url.port_or_known_default().ok_or(ALLOWED)?,
            https: url.scheme() == "https",
        })
    }

    /// OpenAI's own API.
    pub fn openai() -> Self {
        Self {
            text: OPENAI_BASE_URL.to_owned(),
            host: "api.openai.com".to_owned(),
            port: 443,
            https: true,
        }
    }

    /// Anthropic's own API.
    pub fn anthropic() -> Self {
        Self {
            text: "https://api.anthropic.com".to_owned(),
            host: "api.anthropic.com".to_owned(),
            port: 443,
            https: true,
        }
    }

    /// Gemini's API, as Google AI Studio serves it.
    pub fn gemini() -> Self {
        Self {
            text: "https://generativelanguage.googleapis.com".to_owned(),
            host: "generativelanguage.googleapis.com".to_owned(),
            port: 443,
            https: true,
        }
    }

    /// Ask Sage's public API.
    pub fn asksage() -> Self {
        Self {
            text: "https://api.asksage.ai/server".to_owned(),
            host: "api.asksage.ai".to_owned(),
            port: 443,
            https: true,
        }
    }

    /// Argo, as its users' proxies have it.
    pub fn argo() -> Self {
        Self {
            text: "https://apps-dev.inside.anl.gov/argoapi".to_owned(),
            host: "apps-dev.inside.anl.gov".to_owned(),
            port: 443,
            https: true,
        }
    }

    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether anything stands behind host and port.
    pub fn has_path(&self) -> bool {
        let behind_scheme = self.text.split_once("://").map_or("", |(_, rest)| rest);
        behind_scheme.contains('/')
    }

    /// Its host, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }
}

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> Self {
        url.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_lose_their_last_slash() {
        for (text, expected) in [
            (OPENAI_BASE_URL, "https://api.openai.com/v1"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
            ("http://h/v1//", "http://h/v1"),
            ("HTTP://H:80/v1", "http://h/v1"),
            ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ] {
            assert_eq!(BaseUrl::parse(text).expect(text).as_str(), expected);
        }
        for wrong in [
            "",
            "api.openai.com",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h/v1?a=b",
            "http://h/#x",
        ] {
            assert!(BaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn host_and_port_are_those_that_are_connected_to() {
        let url = BaseUrl::parse("https://[::1]/v1").expect("valid");
        assert_eq!((url.host(), url.port(), url.is_https()), ("::1", 443, true));
        for url in [BaseUrl::openai(), BaseUrl::anthropic(), BaseUrl::gemini()] {
            assert_eq!(BaseUrl::parse(url.as_str()), Ok(url));
        }
    }
}
