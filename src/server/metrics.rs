//! `/metrics`: every name and label in one place, from one consistent snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::access_log::ledger::DropReason;
use crate::access_log::observer::Observer;
use crate::access_log::record::LogRecord;
use crate::access_log::recorder::AccessLog;
use crate::clock::Clock;
use crate::filter::VerdictKind;
use crate::pipeline::StreamCount;
use crate::routing::current::CurrentRouting;
use crate::server::config_reload::ReloadCounts;
use crate::server::state::Unrecorded;
use crate::shared_state::SharedState;

/// Media type of the answer (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Verdicts of a filter that failed: with its exchange, and without.
const FAILURES: [&str; 2] = [VerdictKind::Failed.as_str(), VerdictKind::Skipped.as_str()];

/// What is shown.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The access log's own counts.
    pub log: Arc<AccessLog>,
    /// Finished exchanges by outcome.
    pub outcomes: Arc<Outcomes>,
    /// Open streams.
    pub streams: StreamCount,
    /// Requests without a row.
    pub unrecorded: Arc<Unrecorded>,
    /// Results of reading the configuration anew.
    pub reloads: Arc<ReloadCounts>,
    /// Worker threads that are stuck.
    pub stuck_workers: Arc<AtomicU64>,
    /// What is known of providers.
    pub routing: CurrentRouting,
    /// What several instances share.
    pub shared: Arc<dyn SharedState>,
    /// What time it is there.
    pub clock: Clock,
}

/// Counts finished records by outcome, and failures of filters.
#[derive(Debug, Default)]
pub struct Outcomes {
    by_outcome: Mutex<BTreeMap<String, u64>>,
    unpriced: AtomicU64,
    filter_errors: Mutex<BTreeMap<(String, String), u64>>,
    attempts: Mutex<BTreeMap<(String, String), u64>>,
    key_coolings: Mutex<BTreeMap<[String; 3], u64>>,
}

/// Why a key cools down, in the words of a try's `skip_reason`.
const KEY_TROUBLES: [&str; 2] = ["key_refused", "rate_limited"];

impl Observer for Outcomes {
    fn on_complete(&self, record: &LogRecord) {
        add(&self.by_outcome, record.outcome.clone());
        let has_tokens = record.usage_source.as_deref() != Some("none");
        if has_tokens && record.cost_nano_usd.is_none() {
            self.unpriced.fetch_add(1, Ordering::Relaxed);
        }
        for verdict in record
            .verdicts
            .iter()
            .filter(|verdict| FAILURES.contains(&verdict.verdict.as_str()))
        {
            let kind = verdict.detail.as_deref().unwrap_or("error");
            let kind = kind.split(':').next().unwrap_or(kind).to_owned();
            add(&self.filter_errors, (verdict.filter.clone(), kind));
        }
        let Some(provider) = &record.provider else {
            return;
        };
        if record.tries.is_empty() {
            add(&self.attempts, (provider.clone(), record.outcome.clone()));
        }
        for tried in record.tries.iter().filter(|tried| tried.was_made()) {
            add(
                &self.attempts,
                (tried.provider.clone(), tried.outcome.as_str().to_owned()),
            );
            let reason = tried.skip_reason.as_deref();
            let reason = reason.filter(|reason| KEY_TROUBLES.contains(reason));
            if let (Some(key), Some(reason)) = (&tried.provider_key, reason) {
                let labels = [tried.provider.clone(), key.clone(), reason.to_owned()];
                add(&self.key_coolings, labels);
            }
        }
    }
}

fn add<K: Ord>(counts: &Mutex<BTreeMap<K, u64>>, key: K) {
    *counts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(key)
        .or_default() += 1;
}

/// The text of `/metrics`.
///
/// # Errors
/// Never in practice: writing to a `String` does not fail.
pub fn render(sources: &Sources) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("aiproxy");
    registry.register_collector(Box::new(sources.clone()));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.log.stats();
        let ledger = &stats.ledger;
        let mut one = |name: &str, help: &str, kind: MetricType, metric: &dyn Encode| {
            metric.encode_to(encoder.encode_descriptor(name, help, None, kind)?)
        };
        let (counter, gauge) = (MetricType::Counter, MetricType::Gauge);
        one(
            "log_accepted",
            "Exchanges accepted",
            counter,
            &count(ledger.accepted),
        )?;
        one("log_open", "Exchanges running", gauge, &level(ledger.open))?;
        one(
            "log_queued",
            "Finished exchanges in memory",
            gauge,
            &level(ledger.queued),
        )?;
        one(
            "log_spooled",
            "Finished exchanges in the spool only",
            gauge,
            &level(ledger.spooled),
        )?;
        one(
            "log_stored",
            "Exchanges committed to SQL",
            counter,
            &count(ledger.stored),
        )?;
        one(
            "log_spool_bytes",
            "Bytes of all spool files",
            gauge,
            &level(stats.spool_bytes),
        )?;
        one(
            "log_recovering",
            "Exchanges of earlier processes not resolved yet",
            gauge,
            &level(stats.recovering),
        )?;
        one(
            "log_db_up",
            "Whether the last insert succeeded and none takes long",
            gauge,
            &level(u64::from(stats.db_up)),
        )?;
        one(
            "spool_corrupt",
            "Damaged places found in the spool",
            counter,
            &count(stats.spool_corrupt_total),
        )?;
        one(
            "unpriced",
            "Exchanges with tokens whose cost is not known",
            counter,
            &count(self.outcomes.unpriced.load(Ordering::Relaxed)),
        )?;
        one(
            "streams_active",
            "Event streams open",
            gauge,
            &level(self.streams.open() as u64),
        )?;
        let stuck = self.stuck_workers.load(Ordering::Relaxed);
        one(
            "worker_stuck",
            "Worker threads kept by a filter for more than a second",
            gauge,
            &level(stuck),
        )?;
        let shared = self.shared.health();
        one(
            "shared_state_degraded",
            "Whether what instances share is this one's own, as Redis is away",
            gauge,
            &level(u64::from(shared.degraded)),
        )?;
        one(
            "shared_state_errors",
            "Calls of Redis and tries to connect that failed",
            counter,
            &count(shared.errors),
        )?;
        let oldest = ConstGauge::new(stats.oldest_unpersisted.as_secs_f64());
        one(
            "log_oldest_unpersisted_seconds",
            "Age of the oldest finished exchange not in SQL",
            gauge,
            &oldest,
        )?;

        let reasons = DropReason::ALL.into_iter();
        family(
            &mut encoder,
            "log_dropped",
            "Exchanges that have no row, by reason",
            reasons.map(|reason| {
                (
                    [("reason", reason.as_str().to_owned())],
                    ledger.dropped(reason),
                )
            }),
        )?;
        let totals = self.unrecorded.totals().into_iter();
        family(
            &mut encoder,
            "shed",
            "Requests refused without a row, by reason",
            totals.map(|(reason, n)| ([("reason", reason.to_owned())], n)),
        )?;
        let reloads = self.reloads.totals().into_iter();
        family(
            &mut encoder,
            "config_reload",
            "Readings of the configuration after the start, by result",
            reloads.map(|(result, n)| ([("result", result.to_owned())], n)),
        )?;
        family(
            &mut encoder,
            "requests",
            "Finished exchanges by outcome",
            snapshot(&self.outcomes.by_outcome)
                .into_iter()
                .map(|(outcome, n)| ([("outcome", outcome)], n)),
        )?;
        family(
            &mut encoder,
            "attempts",
            "Tries of providers by result",
            snapshot(&self.outcomes.attempts)
                .into_iter()
                .map(|((upstream, result), n)| ([("upstream", upstream), ("result", result)], n)),
        )?;
        family(
            &mut encoder,
            "key_coolings",
            "Keys left alone for a while, by reason",
            snapshot(&self.outcomes.key_coolings).into_iter().map(
                |([upstream, key, reason], n)| {
                    (
                        [("upstream", upstream), ("key", key), ("reason", reason)],
                        n,
                    )
                },
            ),
        )?;
        upstream_health(
            &mut encoder,
            self.routing.now().health.levels(self.clock.now()),
        )?;
        family(
            &mut encoder,
            "filter_errors",
            "Failures of filters by kind",
            snapshot(&self.outcomes.filter_errors)
                .into_iter()
                .map(|((filter, kind), n)| ([("filter", filter), ("kind", kind)], n)),
        )?;
        self.encode_discovery(&mut encoder)
    }
}

impl Sources {
    /// Lists of models, of each provider that is asked for one.
    fn encode_discovery(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let routing = self.routing.now();
        let snapshot = routing.snapshot();
        let lists = || {
            let known = snapshot.iter().filter_map(|(index, models)| {
                let provider = routing.providers().get(index)?;
                Some(([("provider", provider.name.clone())], models))
            });
            known.collect::<Vec<_>>()
        };
        let help = "Models that a provider was found to have";
        let mut models =
            encoder.encode_descriptor("discovery_models", help, None, MetricType::Gauge)?;
        for (labels, list) in lists() {
            level(list.models.len() as u64).encode(models.encode_family(&labels)?)?;
        }
        family(
            encoder,
            "discovery_failures",
            "Lists of models that did not come",
            lists()
                .into_iter()
                .map(|(labels, list)| (labels, list.failures)),
        )
    }
}

fn upstream_health(
    encoder: &mut DescriptorEncoder<'_>,
    levels: Vec<(String, f64)>,
) -> Result<(), fmt::Error> {
    let help = "1: well; 0.5: a model of it cools down or is probed; 0: a circuit is open";
    let mut family = encoder.encode_descriptor("upstream_health", help, None, MetricType::Gauge)?;
    for (upstream, level) in levels {
        let labels = [("upstream", upstream)];
        ConstGauge::new(level).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn snapshot<K: Clone + Ord>(counts: &Mutex<BTreeMap<K, u64>>) -> BTreeMap<K, u64> {
    counts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn family<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = ([(&'static str, String); N], u64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn count(value: u64) -> ConstCounter {
    ConstCounter::new(value)
}

fn level(value: u64) -> ConstGauge {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

/// `EncodeMetric` without its generics, so that one closure takes each.
trait Encode {
    fn encode_to(
        &self,
        encoder: prometheus_client::encoding::MetricEncoder<'_>,
    ) -> Result<(), fmt::Error>;
}

impl<M: EncodeMetric> Encode for M {
    fn encode_to(
        &self,
        encoder: prometheus_client::encoding::MetricEncoder<'_>,
    ) -> Result<(), fmt::Error> {
        self.encode(encoder)
    }
}
