//! Which models are told by us, and which by a provider itself: what is known in the background, what the configuration
//! lists, and who is to be asked. Asks nobody.

use std::sync::Arc;

use super::percent_decoded;
use crate::filter::{Dialect, Endpoint};
use crate::pipeline::Worker;
use crate::pipeline::exchange::Exchange;
use crate::routing::table::{Question, Reach, Table};
use crate::upstream::discovery::{ProviderModels, Snapshot};
use crate::upstream::provider::Provider;
use crate::wire::found::Found;

/// A list of models, or one of it, that we put together.
pub struct OwnList {
    /// The names of the logical models that are in it.
    pub(super) logical: Vec<String>,
    /// The indices of the providers whose models are in it.
    pub(super) providers: Vec<usize>,
    /// The one model that is asked for.
    pub(super) model: Option<String>,
    /// Whether the path names the provider: then its models have the names that it knows.
    pub(super) is_bare: bool,
    /// What was found when the list was asked for.
    pub(super) snapshot: Arc<Snapshot>,
}

/// What is put together here of what an exchange asks for: the lists of several providers, of logical models, of what was
/// found and of the configuration, and whatever is asked of one whose list has a shape of its own. `None`: the provider's
/// answer is the client's.
pub fn own_list(exchange: &Exchange, worker: &Worker) -> Option<OwnList> {
    let of_one = one_model(exchange);
    let is_list = exchange.endpoint == Endpoint::Models && is_list(exchange);
    if of_one.is_none() && !is_list {
        return None;
    }
    let table = worker.routing.table();
    let snapshot = worker.routing.snapshot();
    let places = Places {
        worker,
        table: &table,
        snapshot: &snapshot,
        dialect: exchange.dialect,
        named: exchange.provider.as_deref(),
    };
    let is_bare = places.named.is_some();
    let own = |logical, providers, model| OwnList {
        logical,
        providers,
        model,
        is_bare,
        snapshot: snapshot.clone(),
    };
    if let Some(model) = of_one {
        return match places.one(model)? {
            Place::Logical(name) => Some(own(vec![name.clone()], Vec::new(), Some(name))),
            Place::Of(provider, model) => Some(own(Vec::new(), vec![provider], Some(model))),
        };
    }
    if is_bare {
        let provider = places.choose(None)?.0;
        let is_own = places.lists_otherwise(provider);
        return is_own.then(|| own(Vec::new(), vec![provider], None));
    }
    let all = 0..worker.providers.len();
    let providers: Vec<usize> = all.filter(|index| places.has_models(*index)).collect();
    let logical = places.logical();
    // The one provider that the client understands says itself what it has.
    let says_itself = match providers.as_slice() {
        [only] => places.speaks(*only) && !places.is_told(*only) && !places.lists_otherwise(*only),
        others => others.is_empty(),
    };
    let is_own = !says_itself || !logical.is_empty();
    is_own.then(|| own(logical, providers, None))
}

/// Who has which models, for the clients of one dialect.
struct Places<'a> {
    worker: &'a Worker,
    table: &'a Table,
    snapshot: &'a Snapshot,
    dialect: Dialect,
    /// The provider in the path.
    named: Option<&'a str>,
}

/// Where one model is that we tell of.
enum Place {
    /// A logical model's name.
    Logical(String),
    /// A provider, and the model's name in our list.
    Of(usize, String),
}

impl Places<'_> {
    fn provider(&self, index: usize) -> &Provider {
        &self.worker.providers[index]
    }

    fn question<'q>(&'q self, model: Option<&'q str>) -> Question<'q> {
        Question {
            named: self.named,
            model,
            reach: Reach::Clients {
                dialect: self.dialect,
                translatable: Some(Endpoint::ChatCompletions),
            },
        }
    }

    /// The first provider for a model, the name to ask it by where that is another one, and whether it does not understand
    /// the client.
    fn choose(&self, model: Option<&str>) -> Option<(usize, Option<String>, bool)> {
        let route = self.table.route(self.question(model)).ok()?;
        let target = route.first();
        Some((target.provider, target.model.clone(), target.is_translated))
    }

    /// Where a model is, if it is for us to tell.
    fn one(&self, model: String) -> Option<Place> {
        if self.named.is_none() && self.is_logical(&model) {
            return Some(Place::Logical(model));
        }
        let (index, upstream, is_translated) = self.choose(Some(&model))?;
        let asked = upstream.unwrap_or(model);
        // A provider in the path says itself what it has, unless it says so in a shape of its own.
        let is_ours = self.named.is_none() || self.lists_otherwise(index);
        let found = self.snapshot.of(index).filter(|_| is_ours);
        if let Some((models, found)) = found.and_then(|all| Some((all, all.get(&asked)?))) {
            return Some(Place::Of(index, self.name_of(models, found)));
        }
        // Only who understands the client can be asked for one of its list.
        let is_listed = is_translated && self.provider(index).list.contains(&asked);
        (is_listed || self.lists_otherwise(index)).then_some(Place::Of(index, asked))
    }

    fn name_of(&self, models: &ProviderModels, found: &Found) -> String {
        match self.named {
            Some(_) => found.id.clone(),
            None => models.name_of(found),
        }
    }

    fn is_logical(&self, model: &str) -> bool {
        let route = self.table.route(self.question(Some(model)));
        route.is_ok_and(|route| route.logical.is_some())
    }

    /// The logical models that these clients can ask for, sorted.
    fn logical(&self) -> Vec<String> {
        let names = self.table.logical_names().into_iter();
        let reached = names.filter(|name| self.is_logical(name));
        reached.map(str::to_owned).collect()
    }

    fn speaks(&self, index: usize) -> bool {
        self.provider(index).speaks(self.dialect)
    }

    fn lists_otherwise(&self, index: usize) -> bool {
        has_listing_for(self.provider(index), self.dialect)
    }

    /// Whether models of a provider are in the list of these clients.
    fn has_models(&self, index: usize) -> bool {
        let provider = self.provider(index);
        let is_known = self.snapshot.of(index).is_some() || !provider.list.is_empty();
        is_asked(provider, self.dialect) || is_reached(provider, self.dialect) && is_known
    }

    fn is_told(&self, index: usize) -> bool {
        is_told(self.snapshot, index, self.provider(index))
    }
}

/// Whether it is known what a provider has, so that it is not asked for a client's sake: it is asked in the background, or
/// takes no other names than those that the configuration lists. Who was asked in the background in vain is asked for the
/// client's sake: then the client hears why there is no list.
pub(super) fn is_told(snapshot: &Snapshot, index: usize, provider: &Provider) -> bool {
    let found = snapshot.of(index);
    let is_found = found.is_some_and(|found| found.fetched_at_us.is_some());
    is_found || !provider.list.is_empty() && provider.allow.is_empty()
}

/// Whether a path is of the list; Gemini's has its version.
fn is_list(exchange: &Exchange) -> bool {
    match exchange.dialect {
        Dialect::Gemini => exchange.rest.ends_with("/models"),
        Dialect::Openai | Dialect::Azure | Dialect::Anthropic => exchange.rest == "/models",
        Dialect::Bedrock => false,
    }
}

/// The one model that is asked for.
fn one_model(exchange: &Exchange) -> Option<String> {
    match exchange.dialect {
        Dialect::Gemini if exchange.endpoint == Endpoint::Models => exchange.deployment.clone(),
        Dialect::Gemini | Dialect::Bedrock => None,
        Dialect::Openai | Dialect::Azure | Dialect::Anthropic => {
            // Names with slashes are written with and without their escapes.
            let model = exchange.rest.strip_prefix("/models/");
            let model = model.filter(|model| exchange.method == "GET" && !model.is_empty());
            model.and_then(percent_decoded)
        }
    }
}

/// Whether a provider is asked for its list: one that clients of a dialect understand, or that has a shape of its own.
pub(super) fn is_asked(provider: &Provider, dialect: Dialect) -> bool {
    provider.speaks(dialect) || has_listing_for(provider, dialect)
}

/// Whether clients of a dialect can ask a provider for texts.
fn is_reached(provider: &Provider, dialect: Dialect) -> bool {
    provider.speaks(dialect) || provider.generation(Endpoint::ChatCompletions).is_some()
}

/// Whether a provider's list has a shape of its own, which is put into the clients'.
fn has_listing_for(provider: &Provider, dialect: Dialect) -> bool {
    provider.quirks.listing.is_some() && is_reached(provider, dialect)
}
