//! What Argo has of its own: as whom it is asked, and URLs one by one.

use serde_json::Value as Json;

use crate::config::base_url::BaseUrl;
use crate::config::section::Section;

/// Settings of an Argo provider.
#[derive(Debug, Default)]
pub(super) struct ArgoSettings {
    /// The member `user` of each request, where the configuration names one.
    pub(super) user: Vec<(&'static str, Json)>,
    /// Whether the client's key is the user's name.
    pub(super) passthrough: bool,
    /// URLs by the setting's name.
    pub(super) urls: Vec<(&'static str, BaseUrl)>,
}

impl ArgoSettings {
    /// The base URL of a chat's URL that has the usual path behind it.
    pub(super) fn base_url(&self) -> Option<BaseUrl> {
        let (_, url) = self.urls.iter().find(|(name, _)| *name == "chat_url")?;
        let base = url.as_str().strip_suffix("/api/v1/resource/chat")?;
        BaseUrl::parse(base).ok()
    }
}

/// Settings that name one URL each.
const URLS: [&str; 3] = ["chat_url", "stream_url", "embed_url"];

/// Reads them.
pub(super) fn read_argo(section: &mut Section<'_>) -> ArgoSettings {
    let passthrough = section.flag("user_passthrough", false);
    let user = section.text("user").map(|user| user.trim().to_owned());
    match user.as_deref() {
        None if !passthrough => section.report(
            "user",
            "missing; expected your user name with Argo, or user_passthrough: true",
        ),
        Some("") => section.report("user", "is empty; expected your user name with Argo"),
        // Argo's earlier proxies refuse the account that all machines share.
        Some("cels") => section.report(
            "user",
            "`cels` is nobody's; expected your user name with Argo",
        ),
        Some(_) | None => {}
    }
    let mut urls = Vec::new();
    for name in URLS {
        match section.text(name).map(|text| BaseUrl::parse(&text)) {
            Some(Ok(url)) => urls.push((name, url)),
            Some(Err(message)) => section.report(name, message),
            None => {}
        }
    }
    ArgoSettings {
        user: user
            .map(|user| ("user", Json::from(user)))
            .into_iter()
            .collect(),
        passthrough,
        urls,
    }
}
