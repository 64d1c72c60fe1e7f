//! How values with a unit are written out.

use std::time::Duration;

use serde::Serializer;

/// For `#[serde(serialize_with)]`: seconds; 0 where there is no time.
pub(super) fn as_seconds_or_zero<S: Serializer>(
    time: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    as_seconds(&time.unwrap_or_default(), to)
}

/// For `#[serde(serialize_with)]`: seconds, without a fraction where there is none.
pub(super) fn as_seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    if time.subsec_nanos() == 0 {
        to.serialize_u64(time.as_secs())
    } else {
        to.serialize_f64(time.as_secs_f64())
    }
}
