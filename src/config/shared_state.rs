//! `redis`: where several instances keep what they must agree on.

use serde::{Serialize, Serializer};
use url::Url;

use super::secret::{Secret, mask_url};
use super::section::Section;

/// What several instances share.
#[derive(Debug, Clone, Serialize)]
pub struct RedisConfig {
    /// `redis://` or `rediss://`, password included; `None`: this instance is alone and keeps it in memory.
    #[serde(serialize_with = "masked")]
    pub url: Option<Secret>,
}

/// Reads `redis`.
pub(super) fn read_redis(mut section: Section<'_>) -> RedisConfig {
    let url = section.text("url");
    let url = url.filter(|url| !url.trim().is_empty());
    let url = url.and_then(|text| match check(text.trim()) {
        Ok(()) => Some(Secret::new(text.trim())),
        Err(message) => {
            section.report("url", message);
            None
        }
    });
    section.finish();
    RedisConfig { url }
}

/// What is wrong with a URL, without the URL itself, which may hold a password.
fn check(text: &str) -> Result<(), &'static str> {
    const FORM: &str = "expected redis://:PASSWORD@HOST:PORT/NUMBER, or rediss:// for TLS; \
                        signs such as @ / ? # in the password are written %40 %2F %3F %23";
    if text.chars().any(char::is_control) {
        return Err(FORM);
    }
    let url = Url::parse(text).map_err(|_| FORM)?;
    if !matches!(url.scheme(), "redis" | "rediss") || url.host_str().is_none_or(str::is_empty) {
        return Err(FORM);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("nothing is taken behind `?` and `#`; \
                    such signs in the password are written %3F and %23");
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err("expected a database's number behind the host, such as /0, or nothing");
    }
    Ok(())
}

fn masked<S: Serializer>(url: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
    let url = url.as_ref();
    to.serialize_str(&url.map_or(String::new(), |url| mask_url(url.expose())))
}
