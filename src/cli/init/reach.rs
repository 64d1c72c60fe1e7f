//! Whether a provider answers: its list of models is asked for, with each of its keys. Of one without a list it is tried
//! whether anything answers at all.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::config::ProviderConfig;
use crate::filter::{Dialect, Headers};
use crate::upstream::headers::to_upstream;
use crate::upstream::provider::{Place, Provider};
use crate::upstream::registry;
use crate::upstream::transport::{
    RequestBody, SendFailure, Transport, TransportOptions, UpstreamRequest,
};

use super::ask::Ask;
use super::sketch::{Judge, Sketch};

/// Longest time of one try.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries the provider that was asked for last and tells what came of it; where it failed, asks whether it is kept.
///
/// # Errors
/// The terminal has gone, or the machine has no descriptor left.
pub(super) fn is_kept(
    ask: &Ask<'_>,
    judge: &Judge<'_>,
    sketch: &Sketch,
    has_list: bool,
) -> anyhow::Result<bool> {
    let config = match judge.whole(sketch) {
        Ok(config) => config,
        Err(problems) => {
            ask.say(&problems.to_string());
            return Ok(false);
        }
    };
    let Some(config) = config.providers.last() else {
        return Ok(false);
    };
    let mut is_well = true;
    for (config, key) in one_key_each(config) {
        let providers = match registry::build(&[config]) {
            Ok(providers) => providers,
            Err(error) => {
                ask.say(&format!("{:#}", anyhow::Error::new(error)));
                return Ok(false);
            }
        };
        let Some(provider) = providers.first() else {
            continue;
        };
        let what = if has_list { " for its models" } else { "" };
        ask.say(&format!("asking {}{what}", provider.base_url));
        let answer = limited(status(provider))?;
        let (well, told) = match (has_list, answer) {
            (false, Some(Ok(status))) => {
                let told = format!("it can be reached ({status}); its credentials are not tried");
                (true, told)
            }
            (_, answer) => judged(answer, provider.has_key()),
        };
        let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
        ask.say(&format!("{key}{told}"));
        is_well &= well;
    }
    match is_well {
        true => Ok(true),
        false => ask.yes("keep this provider all the same", Some(false)),
    }
}

/// The provider once for each of its keys, with the key's name; as it is where it has none.
fn one_key_each(config: &ProviderConfig) -> Vec<(ProviderConfig, Option<String>)> {
    if config.api_keys.is_empty() {
        return vec![(config.clone(), None)];
    }
    let keys = config.api_keys.iter();
    keys.map(|key| {
        let mut config = config.clone();
        config.api_keys = vec![key.clone()];
        (config, Some(key.name.clone()))
    })
    .collect()
}

/// Runs one try; `None` where it takes too long. The failure is this machine's.
pub(super) fn limited<F: Future>(work: F) -> anyhow::Result<Option<F::Output>> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start a runtime")?;
    let done = LocalSet::new().block_on(&runtime, async { timeout(PATIENCE, work).await });
    // A name server that is still awaited is nothing to wait for.
    runtime.shutdown_background();
    Ok(done.ok())
}

async fn status(provider: &Provider) -> Result<u16, SendFailure> {
    let transport = Transport::new(&TransportOptions {
        connect: PATIENCE,
        tls: provider.tls.clone(),
    });
    let client = Headers::default();
    let (method, url, body) = match &provider.quirks.listing {
        Some(listing) => (
            listing.method,
            [&*provider.base_url, listing.path].concat(),
            listing.body,
        ),
        None => ("GET", models_url(provider), ""),
    };
    let request = UpstreamRequest {
        method,
        url: &url,
        headers: &to_upstream(&client, provider, provider.keys.first(), &url, true),
        body: match body {
            "" => RequestBody::None,
            body => RequestBody::Whole(Bytes::from_static(body.as_bytes())),
        },
    };
    Ok(transport.send_fresh(request).await?.status)
}

fn models_url(provider: &Provider) -> String {
    let dialects = provider.api.dialects;
    provider.url(&Place {
        rest: "/models",
        query: "",
        model: None,
        dialect: dialects.first().copied().unwrap_or(Dialect::Openai),
    })
}

/// Whether that is well, and what is said of it.
fn judged(answer: Option<Result<u16, SendFailure>>, has_key: bool) -> (bool, String) {
    let Some(answer) = answer else {
        let waited = PATIENCE.as_secs();
        return (false, format!("it does not answer within {waited} seconds"));
    };
    match answer {
        Ok(status @ 200..=299) => (true, format!("it answers ({status})")),
        Ok(status @ (401 | 403)) if has_key => (false, format!("it refuses the key ({status})")),
        // The clients will have one.
        Ok(status @ (401 | 403)) => (true, format!("it answers, and wants a key ({status})")),
        Ok(status) => (
            false,
            format!("it answers with {status}, not with its models; is the URL right?"),
        ),
        Err(failure) => (false, format!("it cannot be reached: {failure}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_told() {
        for (answer, has_key, well, part) in [
            (Some(Ok(200)), true, true, "it answers (200)"),
            (Some(Ok(401)), true, false, "refuses the key (401)"),
            (Some(Ok(403)), false, true, "wants a key (403)"),
            (Some(Ok(404)), true, false, "answers with 404"),
            (Some(Ok(302)), false, false, "answers with 302"),
            (
                Some(Err(SendFailure::Dns)),
                true,
                false,
                "cannot be reached: the host",
            ),
            (None, true, false, "does not answer within 5 seconds"),
        ] {
            let (got, told) = judged(answer, has_key);
            assert_eq!(got, well, "{told}");
            assert!(told.contains(part), "{told}");
        }
    }
}
