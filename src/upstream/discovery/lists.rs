//! What providers have, as it was found last: an unchanging snapshot, exchanged as a whole.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Glob;
use crate::wire::found::Found;

/// What of a provider's list counts, and under which names.
#[derive(Debug, Clone, Default)]
pub struct NameFilter {
    /// Patterns of names that count; none: all do.
    pub allow: Vec<Glob>,
    /// Patterns of names that do not.
    pub deny: Vec<Glob>,
    /// Names that refused us when they were tried.
    pub refused: Vec<String>,
    /// What is put before the names with a slash; empty: nothing.
    pub prefix: String,
}

/// The models of one provider.
#[derive(Debug, Clone, Default)]
pub struct ProviderModels {
    /// Those that count, by the provider's own names, sorted, each once.
    pub models: Arc<[Found]>,
    /// All that the list names, those that do not count too: another configuration may begin with it.
    pub listed: Arc<[Found]>,
    /// What stands before each name when it is asked for, with its slash; empty: nothing.
    pub prefix: String,
    /// When the list came, in microseconds since the Unix epoch; `None` before the first one.
    pub fetched_at_us: Option<i64>,
    /// Why the last try gave none; `None` when it did.
    pub error: Option<String>,
    /// Whether the list is older than the last try, or of an earlier process.
    pub is_stale: bool,
    /// How many tries gave none.
    pub failures: u64,
}

/// What was found of all providers.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Grows with every change of what can be asked for.
    pub version: u64,
    providers: Vec<Option<Arc<ProviderModels>>>,
}

/// The snapshot of now. One task changes it, any number of threads read.
#[derive(Debug)]
pub struct ModelLists {
    now: watch::Sender<Arc<Snapshot>>,
}

// === impl NameFilter ===

impl NameFilter {
    /// Those that count, sorted, each once: of two of one name the first.
    pub fn of(&self, mut models: Vec<Found>) -> Vec<Found> {
        models.retain(|model| self.counts(&model.id));
        models.sort_by(|one, other| one.id.cmp(&other.id));
        models.dedup_by(|later, first| later.id == first.id);
        models
    }

    /// Whether a name counts.
    pub fn counts(&self, name: &str) -> bool {
        let is_allowed = self.allow.is_empty() || self.allow.iter().any(|glob| glob.matches(name));
        is_allowed
            && !self.deny.iter().any(|glob| glob.matches(name))
            && !self.refused.iter().any(|refused| refused == name)
    }

    /// What stands before each name when it is asked for.
    pub fn before_names(&self) -> String {
        match self.prefix.is_empty() {
            true => String::new(),
            false => format!("{}/", self.prefix),
        }
    }
}

// === impl ProviderModels ===

impl ProviderModels {
    /// The model that is asked for, if it is one of these. Its `id` is the name that the provider knows.
    pub fn find(&self, asked: &str) -> Option<&Found> {
        self.get(asked.strip_prefix(&*self.prefix)?)
    }

    /// The model of this name, as the provider knows it.
    pub fn get(&self, id: &str) -> Option<&Found> {
        let found = self.models.binary_search_by(|model| (*model.id).cmp(id));
        self.models.get(found.ok()?)
    }

    /// The name under which one of them is asked for.
    pub fn name_of(&self, model: &Found) -> String {
        [&*self.prefix, &*model.id].concat()
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The models of a provider, by its index in the configuration; `None` for one whose list is not looked at.
    pub fn of(&self, provider: usize) -> Option<&ProviderModels> {
        self.providers.get(provider)?.as_deref()
    }

    /// Every provider whose list is looked at, with its index.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &ProviderModels)> {
        let all = self.providers.iter().enumerate();
        all.filter_map(|(index, models)| Some((index, models.as_deref()?)))
    }
}

// === impl ModelLists ===

impl ModelLists {
    /// Nothing yet, for so many providers; those of `looked_at` are the ones whose list will be.
    pub(super) fn new(providers: usize, looked_at: impl Iterator<Item = (usize, String)>) -> Self {
        let mut all = vec![None; providers];
        for (index, prefix) in looked_at {
            if let Some(place) = all.get_mut(index) {
                let empty = ProviderModels {
                    prefix,
                    ..ProviderModels::default()
                };
                *place = Some(Arc::new(empty));
            }
        }
        let snapshot = Snapshot {
            version: 0,
            providers: all,
        };
        Self {
            now: watch::Sender::new(Arc::new(snapshot)),
        }
    }

    /// Of no provider.
    pub fn none() -> Self {
        Self::new(0, std::iter::empty())
    }

    /// What is known now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.now.borrow().clone()
    }

    /// Told after every try, whether it changed anything or not.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.now.subscribe()
    }

    /// Puts a list in the place of the one before.
    pub(super) fn put(&self, provider: usize, filter: &NameFilter, models: Vec<Found>, at_us: i64) {
        self.replace(provider, filter, models, at_us, false);
    }

    /// Puts a list of an earlier process there, to be looked at until the first one comes.
    pub(super) fn put_stale(
        &self,
        provider: usize,
        filter: &NameFilter,
        models: Vec<Found>,
        at_us: i64,
    ) {
        self.replace(provider, filter, models, at_us, true);
    }

    /// Goes on from what another configuration knows of a provider: its list where none is as new, and how its tries went.
    pub(super) fn go_on(&self, provider: usize, filter: &NameFilter, from: &ProviderModels) {
        let snapshot = self.snapshot();
        let known = snapshot.of(provider).and_then(|now| now.fetched_at_us);
        if let Some(at_us) = from.fetched_at_us.filter(|_| known < from.fetched_at_us) {
            self.put_stale(provider, filter, from.listed.to_vec(), at_us);
        }
        self.change(provider, |before| ProviderModels {
            error: from.error.clone(),
            failures: from.failures,
            ..before.clone()
        });
    }

    /// Keeps the list and says why there is no newer one.
    pub(super) fn failed(&self, provider: usize, error: String) {
        self.change(provider, |before| ProviderModels {
            is_stale: before.fetched_at_us.is_some(),
            error: Some(error),
            failures: before.failures + 1,
            ..before.clone()
        });
    }

    fn replace(
        &self,
        provider: usize,
        filter: &NameFilter,
        models: Vec<Found>,
        at_us: i64,
        is_stale: bool,
    ) {
        let listed: Arc<[Found]> = NameFilter::default().of(models).into();
        // Most lists count whole: then they are there once.
        let models = match listed.iter().all(|model| filter.counts(&model.id)) {
            true => listed.clone(),
            false => filter.of(listed.to_vec()).into(),
        };
        self.change(provider, |before| ProviderModels {
            models: match *before.models == *models {
                true => before.models.clone(),
                false => models,
            },
            listed,
            prefix: filter.before_names(),
            fetched_at_us: Some(at_us),
            error: None,
            is_stale,
            failures: before.failures,
        });
    }

    fn change(&self, provider: usize, make: impl FnOnce(&ProviderModels) -> ProviderModels) {
        self.now.send_modify(|now| {
            let mut next = Snapshot::clone(now);
            if let Some(Some(place)) = next.providers.get_mut(provider) {
                let made = make(place);
                if !Arc::ptr_eq(&made.models, &place.models) {
                    next.version += 1;
                }
                *place = Arc::new(made);
            }
            *now = Arc::new(next);
        });
    }
}

/// What tests of other modules stand on.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// What was found of these providers: index, what stands before the names, and the names.
    pub(crate) fn snapshot(providers: usize, found: &[(usize, &str, &[&str])]) -> Arc<Snapshot> {
        let places = found
            .iter()
            .map(|(index, before, _)| (*index, (*before).to_owned()));
        let lists = ModelLists::new(providers, places);
        for (index, before, names) in found {
            let filter = NameFilter {
                prefix: before.trim_end_matches('/').to_owned(),
                ..NameFilter::default()
            };
            let models = names.iter().map(|name| Found::named(*name)).collect();
            lists.put(*index, &filter, models, 1);
        }
        lists.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<Found> {
        names.iter().map(|name| Found::named(*name)).collect()
    }

    fn filter(allow: &[&str], deny: &[&str], prefix: &str) -> NameFilter {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(*text)).collect();
        NameFilter {
            allow: globs(allow),
            deny: globs(deny),
            refused: vec!["refused".to_owned()],
            prefix: prefix.to_owned(),
        }
    }

    fn lists(filter: &NameFilter) -> ModelLists {
        ModelLists::new(2, [(1, filter.before_names())].into_iter())
    }

    #[test]
    fn what_counts_is_sorted_and_stands_there_once() {
        for (allow, deny, expected) in [
            (&[][..], &[][..], &["a-1", "a-2", "b"][..]),
            (&["a-*"], &[], &["a-1", "a-2"]),
            (&["a-*", "b"], &["*-1"], &["a-2", "b"]),
            (&[], &["*"], &[]),
            (&["refused"], &[], &[]),
        ] {
            let counted = filter(allow, deny, "").of(found(&["b", "a-2", "refused", "a-1", "b"]));
            assert_eq!(counted, found(expected), "{allow:?} {deny:?}");
        }
    }

    #[test]
    fn names_are_found_behind_their_prefix_alone() {
        for (prefix, asked, expected) in [
            ("", "b", Some("b")),
            ("", "c", None),
            ("", "", None),
            ("lab", "lab/b", Some("b")),
            ("lab", "lab/Qwen/Q", Some("Qwen/Q")),
            ("lab", "b", None),
            ("lab", "labb", None),
            ("lab", "lab/lab/b", None),
        ] {
            let filter = filter(&[], &[], prefix);
            let lists = lists(&filter);
            lists.put(1, &filter, found(&["b", "a", "Qwen/Q"]), 7);
            let snapshot = lists.snapshot();
            let models = snapshot.of(1).expect("looked at");
            let got = models.find(asked);
            assert_eq!(got.map(|model| &*model.id), expected, "{prefix} {asked}");
            assert!(got.is_none_or(|model| models.name_of(model) == asked));
        }
    }

    #[test]
    fn a_failure_keeps_the_list_and_a_change_has_a_new_version() {
        let filter = filter(&[], &[], "");
        let lists = lists(&filter);
        let state = || {
            let snapshot = lists.snapshot();
            let of = snapshot.of(1).expect("looked at");
            let error = of.error.clone().unwrap_or_default();
            (
                snapshot.version,
                of.models.len(),
                of.fetched_at_us,
                error,
                of.is_stale,
            )
        };
        let none = String::new();
        assert_eq!(state(), (0, 0, None, none.clone(), false));
        lists.failed(1, "away".to_owned());
        assert_eq!(state(), (0, 0, None, "away".to_owned(), false));
        lists.put_stale(1, &filter, found(&["a"]), 5);
        assert_eq!(state(), (1, 1, Some(5), none.clone(), true));
        lists.put(1, &filter, found(&["a"]), 6);
        assert_eq!(state(), (1, 1, Some(6), none.clone(), false));
        lists.failed(1, "away".to_owned());
        assert_eq!(state(), (1, 1, Some(6), "away".to_owned(), true));
        lists.put(1, &filter, found(&["a", "b"]), 7);
        assert_eq!(state(), (2, 2, Some(7), none, false));
        // Of others nothing is kept.
        lists.put(0, &filter, found(&["a"]), 8);
        lists.put(9, &filter, found(&["a"]), 8);
        assert!(lists.snapshot().of(0).is_none());
        assert_eq!(lists.snapshot().iter().count(), 1);
    }

    #[test]
    fn another_configuration_goes_on_from_the_newer_list_and_its_failures() {
        let narrow = filter(&["a"], &[], "");
        let before = lists(&narrow);
        before.put(1, &narrow, found(&["b", "a", "refused"]), 5);
        before.failed(1, "away".to_owned());
        let before = before.snapshot();
        let before = before.of(1).expect("looked at");
        assert_eq!(before.models[..], found(&["a"]));
        let wide = filter(&[], &[], "lab");
        for (file_at_us, expected, at_us) in [
            (None, &["a", "b"][..], 5),
            (Some(4), &["a", "b"], 5),
            (Some(6), &["c"], 6),
        ] {
            let after = lists(&wide);
            if let Some(file_at_us) = file_at_us {
                after.put_stale(1, &wide, found(&["c"]), file_at_us);
            }
            after.go_on(1, &wide, before);
            let after = after.snapshot();
            let after = after.of(1).expect("looked at");
            assert_eq!(after.models[..], found(expected), "{file_at_us:?}");
            let told = (after.fetched_at_us, after.error.as_deref(), after.failures);
            assert_eq!(told, (Some(at_us), Some("away"), 1), "{file_at_us:?}");
            assert!(after.is_stale && after.prefix == "lab/");
        }
    }

    #[test]
    fn who_reads_keeps_what_was_and_hears_of_what_is() {
        let filter = filter(&[], &[], "");
        let lists = lists(&filter);
        let mut told = lists.subscribe();
        let before = lists.snapshot();
        lists.put(1, &filter, found(&["a"]), 1);
        assert!(told.has_changed().expect("it is there"));
        assert_eq!(told.borrow_and_update().version, 1);
        assert_eq!(before.of(1).expect("looked at").models.len(), 0);
    }
}
