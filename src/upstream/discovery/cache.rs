//! Lists of an earlier process, in a file beside the spool: `models refresh` writes it, `serve` begins with it. It holds no
//! secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::upstream::provider::Provider;
use crate::wire::found::{Found, MOST_MODELS, is_name};

/// Longest file that is read, in bytes.
const FILE_BYTES: u64 = 128 * 1024 * 1024;

/// The form of the file; one of another form is not read.
const FORM: u32 = 1;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cached {
    providers: BTreeMap<String, CachedList>,
}

/// A provider's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedList {
    /// The kind of its API. A provider of that name and another kind is another one.
    kind: String,
    /// Where it was. A provider of that name and another place is another one.
    base_url: String,
    /// When the list came, in microseconds since the Unix epoch.
    pub fetched_at_us: i64,
    /// All that it listed, what refused us too.
    pub models: Vec<Found>,
    /// Names that refused us when they were tried. They are left out of later lists, too, until they are tried again.
    #[serde(default)]
    pub refused: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Form<T> {
    form: u32,
    providers: T,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The machine does not let us.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what we wrote.
    #[error("is not what `aiproxy models refresh` writes")]
    Form,
}

/// The file for a spool's folder: beside it, with its name, so that each instance has its own.
pub fn file_for(spool_dir: &Path) -> PathBuf {
    let mut name = spool_dir.as_os_str().to_owned();
    name.push(".models.json");
    name.into()
}

/// Reads the file; nothing where there is none.
///
/// # Errors
/// [`CacheError`]. Whoever serves goes on without it.
pub fn read(file: &Path) -> Result<Cached, CacheError> {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Cached::default()),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Cached::parse(&bytes).ok_or(CacheError::Form)
}

impl CachedList {
    /// A list of a provider as it is configured now.
    pub fn new(
        provider: &Provider,
        fetched_at_us: i64,
        models: Vec<Found>,
        refused: Vec<String>,
    ) -> Self {
        Self {
            kind: provider.api.kind.to_owned(),
            base_url: provider.base_url.clone(),
            fetched_at_us,
            models,
            refused,
        }
    }

    /// The list's text, alone.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A list of this provider from its text; `None` where that is something else.
    pub(super) fn parse(text: &[u8], provider: &Provider) -> Option<Self> {
        let list: Self = serde_json::from_slice(text).ok()?;
        (list.is_of(provider) && list.is_sound() && !list.models.is_empty()).then_some(list)
    }

    fn is_of(&self, provider: &Provider) -> bool {
        self.kind == provider.api.kind && self.base_url == provider.base_url
    }

    fn is_sound(&self) -> bool {
        let is_short = self.models.len() <= MOST_MODELS && self.refused.len() <= MOST_MODELS;
        let is_sound = || self.models.iter().all(Found::is_sound);
        is_short && is_sound() && self.refused.iter().all(|name| is_name(name))
    }
}

impl Cached {
    /// The list of a provider, if it is the one that the list came from.
    pub fn of(&self, provider: &Provider) -> Option<&CachedList> {
        let list = self.providers.get(&provider.name);
        list.filter(|list| list.is_of(provider))
    }

    /// As [`Cached::of`], taken out.
    pub(super) fn take(&mut self, provider: &Provider) -> Option<CachedList> {
        self.of(provider)?;
        self.providers.remove(&provider.name)
    }

    /// Puts a list there.
    pub fn put(&mut self, provider: &Provider, list: CachedList) {
        self.providers.insert(provider.name.clone(), list);
    }

    /// Says which models of a provider refused us, in the place of what was said before.
    pub fn refuse(&mut self, provider: &Provider, refused: Vec<String>) {
        if let Some(list) = self.providers.get_mut(&provider.name) {
            list.refused = refused;
        }
    }

    /// Forgets providers that are no longer configured.
    pub fn keep(&mut self, providers: &[Provider]) {
        let is_there = |name: &str| providers.iter().any(|provider| provider.name == name);
        self.providers.retain(|name, _| is_there(name));
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let form = Form {
            form: FORM,
            providers: &self.providers,
        };
        // Names, numbers and texts: nothing of it cannot be written.
        serde_json::to_string(&form).unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let form: Form<BTreeMap<String, CachedList>> = serde_json::from_slice(bytes).ok()?;
        let is_sound = form.form == FORM && form.providers.values().all(CachedList::is_sound);
        is_sound.then_some(Self {
            providers: form.providers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::headers::testing::provider;
    use crate::upstream::{anthropic, openai};

    fn model(id: &str) -> Found {
        Found {
            owned_by: Some("o".to_owned()),
            device: Some("4x A".to_owned()),
            ..Found::named(id)
        }
    }

    #[test]
    fn a_list_is_of_the_provider_that_it_came_from() {
        let one = provider(None, &openai::API);
        let list = CachedList::new(&one, 7, vec![model("a")], vec!["b".to_owned()]);
        let mut cached = Cached::default();
        cached.put(&one, list.clone());
        let folder = tempfile::tempdir().expect("a folder");
        let file = file_for(&folder.path().join("spool"));
        assert!(file.ends_with("spool.models.json"), "{file:?}");
        assert_eq!(read(&file).expect("none yet"), Cached::default());
        std::fs::write(&file, cached.to_json()).expect("written");
        let mut cached = read(&file).expect("ours");
        assert_eq!(cached.of(&one), Some(&list));
        let moved = Provider {
            base_url: "http://elsewhere".to_owned(),
            ..provider(None, &openai::API)
        };
        assert_eq!(cached.of(&moved), None);
        assert_eq!(cached.of(&provider(None, &anthropic::API)), None);
        assert_eq!(cached.take(&moved), None);
        assert_eq!(cached.take(&one), Some(list.clone()));
        cached.put(&one, list);
        cached.keep(&[]);
        assert_eq!(cached.of(&one), None);
    }

    #[test]
    fn what_we_did_not_write_is_not_read() {
        let list = |models: &str| {
            format!(
                r#"{{"form":1,"providers":{{"a":{{"kind":"k","base_url":"u","fetched_at_us":1,"models":[{models}]}}}}}}"#
            )
        };
        for (text, is_read) in [
            (list(""), true),
            (list(r#"{"id":"a","nodes":1}"#), true),
            (list(r#"{"id":"a\nb","nodes":1}"#), false),
            (list("").replace("\"form\":1", "\"form\":2"), false),
            (String::new(), false),
            ("[]".to_owned(), false),
        ] {
            assert_eq!(Cached::parse(text.as_bytes()).is_some(), is_read, "{text}");
        }
    }
}
