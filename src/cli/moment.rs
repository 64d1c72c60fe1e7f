//! A point in time as people write it on a command line.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// A point in time: a while ago, or by the calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Duration),
    /// Then, in microseconds since the Unix epoch.
    At(i64),
}

impl Moment {
    /// Microseconds since the Unix epoch, when it is `now_us` now.
    pub fn wall_us(self, now_us: i64) -> i64 {
        match self {
            Self::Ago(ago) => {
                now_us.saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX))
            }
            Self::At(wall_us) => wall_us,
        }
    }
}

/// The text is no point in time.
#[derive(Debug, thiserror::Error)]
#[error("expected 30s, 15m, 2h, 7d, 2w, 2026-01-31 or 2026-01-31T12:00:00Z")]
pub struct NotAMoment;

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        const UNITS: &[(char, u64)] = &[
            ('s', 1),
            ('m', 60),
            ('h', 3_600),
            ('d', 86_400),
            ('w', 604_800),
        ];
        for (letter, seconds) in UNITS {
            if let Some(count) = text.strip_suffix(*letter) {
                let count: u64 = count.parse().map_err(|_| NotAMoment)?;
                let seconds = count.checked_mul(*seconds).ok_or(NotAMoment)?;
                return Ok(Self::Ago(Duration::from_secs(seconds)));
            }
        }
        let at = text
            .parse::<Timestamp>()
            .or_else(|_| in_utc(text.parse::<DateTime>()))
            .or_else(|_| in_utc(text.parse::<Date>().map(Date::into)))
            .map_err(|_| NotAMoment)?;
        Ok(Self::At(at.as_microsecond()))
    }
}

fn in_utc(time: Result<DateTime, jiff::Error>) -> Result<Timestamp, jiff::Error> {
    TimeZone::UTC.to_timestamp(time?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        const NOW_US: i64 = 1_800_000_000_000_000;
        for (text, wall_us) in [
            ("15m", NOW_US - 900_000_000),
            ("0s", NOW_US),
            ("2h", NOW_US - 7_200_000_000),
            ("7d", NOW_US - 604_800_000_000),
            ("2w", NOW_US - 1_209_600_000_000),
            ("1970-01-02", 86_400_000_000),
            ("1970-01-01T00:00:01Z", 1_000_000),
            ("1970-01-01T01:00:01+01:00", 1_000_000),
            ("1970-01-01 00:00:01", 1_000_000),
        ] {
            let moment: Moment = text.parse().expect(text);
            assert_eq!(moment.wall_us(NOW_US), wall_us, "{text}");
        }
        for wrong in [
            "",
            "m",
            "-5m",
            "5",
            "5y",
            "yesterday",
            "2026-13-01",
            "99999999999999999999d",
        ] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
