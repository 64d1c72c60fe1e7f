//! Keys are found and marked wherever they occur. However many providers have keys, a body is read once for all of them.

use std::cmp::Reverse;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Match, MatchKind, packed};
use bytes::Bytes;
use memchr::memmem::{self, Finder};

use super::{SHORTEST_SEARCHED, mark, without_scheme};

/// The texts that must never be kept, wherever they occur: the providers' keys, and a client's own.
#[derive(Clone, Default)]
pub struct Secrets {
    /// What was known when they were collected. Shared: a request that brings a key of its own costs only that.
    shared: Option<Arc<Many>>,
    /// What came later, each a set of its own.
    own: Vec<Arc<Many>>,
}

/// Texts that are searched for together.
struct Many {
    /// The longest first.
    searched: Vec<Secret>,
    finder: Find,
}

enum Find {
    /// The only one. Made in no time, which counts where a request brings it.
    One(Box<Finder<'static>>),
    /// Up to some hundred in one pass, many bytes at a time.
    Few(Box<packed::Searcher>),
    /// All of them in one pass.
    All(AhoCorasick),
    /// They are more than can be searched for: what cannot be searched for is anywhere.
    Anywhere,
}

#[derive(Clone)]
struct Secret {
    text: Vec<u8>,
    mark: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.all().count())
    }
}

// === impl Secrets ===

impl Secrets {
    /// Collects the texts to search for; those under 8 bytes are left out.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self {
            shared: Many::new(texts).map(Arc::new),
            own: Vec::new(),
        }
    }

    /// Adds one more text.
    pub fn add(&mut self, text: &[u8]) {
        let text = without_scheme(text);
        if self.all().any(|known| known.text == text) {
            return;
        }
        let Some(one) = Many::new([text]) else {
            return;
        };
        let is_apart = |known: &Secret| {
            let (known, text) = (known.text.as_slice(), text);
            memmem::find(known, text).is_none() && memmem::find(text, known).is_none()
        };
        if self.all().all(is_apart) {
            self.own.push(Arc::new(one));
            return;
        }
        // Where one is a part of another they are searched for together, so that nothing of the longer one is left.
        let texts: Vec<Vec<u8>> = self.all().map(|known| known.text.clone()).collect();
        *self = Self::new(texts.iter().map(Vec::as_slice).chain([text]));
    }

    /// Adds all of another collection.
    pub fn add_all(&mut self, other: &Self) {
        let texts: Vec<&[u8]> = self
            .all()
            .chain(other.all())
            .map(|known| known.text.as_slice())
            .collect();
        *self = Self::new(texts);
    }

    /// Whether one of them occurs.
    pub fn occur_in(&self, bytes: &[u8]) -> bool {
        self.sets().any(|set| set.occur_in(bytes))
    }

    /// The same bytes, or a copy with each occurrence marked.
    pub fn mask(&self, bytes: Bytes) -> Bytes {
        self.sets().fold(bytes, |bytes, set| {
            set.masked(&bytes).map_or(bytes, Bytes::from)
        })
    }

    /// A text with each occurrence marked.
    pub fn mask_text(&self, text: &str) -> String {
        self.sets().fold(text.to_owned(), |text, set| {
            let masked = set.masked(text.as_bytes());
            // Only a key that is no text itself could leave none.
            masked.map_or(text, |masked| {
                String::from_utf8(masked).unwrap_or_else(|_| "***".to_owned())
            })
        })
    }

    /// Marks each occurrence in a text where it stands.
    pub fn mask_in(&self, text: &mut String) {
        if self.occur_in(text.as_bytes()) {
            *text = self.mask_text(text);
        }
    }

    /// The length of the longest of them: what may hang over a border between two pieces.
    pub fn longest(&self) -> usize {
        self.all().map(|known| known.text.len()).max().unwrap_or(0)
    }

    fn sets(&self) -> impl Iterator<Item = &Many> {
        self.shared.iter().chain(&self.own).map(|set| &**set)
    }

    fn all(&self) -> impl Iterator<Item = &Secret> {
        self.sets().flat_map(|set| &set.searched)
    }
}

// === impl Many ===

impl Many {
    /// `None` where none of the texts is long enough.
    fn new<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let texts = texts.into_iter().map(without_scheme);
        let mut texts: Vec<&[u8]> = texts
            .filter(|text| SHORTEST_SEARCHED <= text.len())
            .collect();
        if texts.is_empty() {
            return None;
        }
        texts.sort_by_key(|text| (Reverse(text.len()), *text));
        texts.dedup();
        let finder = match texts.as_slice() {
            [only] => Find::One(Box::new(Finder::new(only).into_owned())),
            // The longest of those that begin at one place.
            all => packed::Config::new()
                .match_kind(packed::MatchKind::LeftmostLongest)
                .builder()
                .extend(all)
                .build()
                .map(|few| Find::Few(Box::new(few)))
                .or_else(|| {
                    let mut builder = AhoCorasick::builder();
                    let builder = builder.match_kind(MatchKind::LeftmostLongest);
                    builder.build(all).ok().map(Find::All)
                })
                .unwrap_or(Find::Anywhere),
        };
        let secret = |text: &&[u8]| Secret {
            text: text.to_vec(),
            mark: mark(text),
        };
        Some(Self {
            searched: texts.iter().map(secret).collect(),
            finder,
        })
    }

    fn occur_in(&self, bytes: &[u8]) -> bool {
        match &self.finder {
            Find::One(finder) => finder.find(bytes).is_some(),
            Find::Few(finder) => finder.find(bytes).is_some(),
            Find::All(finder) => finder.is_match(bytes),
            Find::Anywhere => true,
        }
    }

    /// A copy with each occurrence marked; `None` where there is none.
    fn masked(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut masked = Masked {
            bytes,
            until: 0,
            copy: None,
        };
        match &self.finder {
            Find::One(finder) => {
                let secret = self.searched.first()?;
                finder
                    .find_iter(bytes)
                    .for_each(|at| masked.mark(at, secret));
            }
            Find::Few(finder) => {
                let found = finder.find_iter(bytes);
                found.for_each(|found| masked.found(found, &self.searched));
            }
            Find::All(finder) => {
                let found = finder.find_iter(bytes);
                found.for_each(|found| masked.found(found, &self.searched));
            }
            Find::Anywhere => return Some(b"***".to_vec()),
        }
        masked.whole()
    }
}

/// Bytes that are copied from the first mark on.
struct Masked<'a> {
    bytes: &'a [u8],
    /// How far the copy goes.
    until: usize,
    copy: Option<Vec<u8>>,
}

impl Masked<'_> {
    fn found(&mut self, found: Match, secrets: &[Secret]) {
        if let Some(secret) = secrets.get(found.pattern().as_usize()) {
            self.mark(found.start(), secret);
        }
    }

    fn mark(&mut self, at: usize, secret: &Secret) {
        let size = self.bytes.len();
        let copy = self.copy.get_or_insert_with(|| Vec::with_capacity(size));
        copy.extend_from_slice(self.bytes.get(self.until..at).unwrap_or_default());
        copy.extend_from_slice(secret.mark.as_bytes());
        self.until = at + secret.text.len();
    }

    fn whole(self) -> Option<Vec<u8>> {
        let mut copy = self.copy?;
        copy.extend_from_slice(self.bytes.get(self.until..).unwrap_or_default());
        Some(copy)
    }
}
