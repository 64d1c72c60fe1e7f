//! Times as SQLite holds them: `YYYY-MM-DD HH:MM:SS.ffffff`, UTC, always 26 characters, so that text order is
//! time order. Written by hand because it runs twice a row. Years outside 1 to 9999 are clamped.

/// Microseconds in a day.
pub const DAY_US: i64 = 86_400_000_000;

const FIRST_US: i64 = -719_162 * DAY_US;
const LAST_US: i64 = 2_932_897 * DAY_US - 1;

/// The text of a time given in microseconds since the Unix epoch.
pub fn format(time_us: i64) -> String {
    let time_us = time_us.clamp(FIRST_US, LAST_US);
    let (year, month, day) = civil(time_us.div_euclid(DAY_US));
    let in_day = time_us.rem_euclid(DAY_US);
    let mut text = String::with_capacity(26);
    for (before, two_digits) in [
        ("", year / 100),
        ("", year % 100),
        ("-", month),
        ("-", day),
        (" ", in_day / 3_600_000_000),
        (":", in_day / 60_000_000 % 60),
        (":", in_day / 1_000_000 % 60),
        (".", in_day / 10_000 % 100),
        ("", in_day / 100 % 100),
        ("", in_day % 100),
    ] {
        text.push_str(before);
        text.push(char::from(b'0' + (two_digits / 10) as u8));
        text.push(char::from(b'0' + (two_digits % 10) as u8));
    }
    text
}

/// The microseconds of a text written by [`format()`]; `None` for any other text.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 26 {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        bytes.get(from..to)?.iter().try_fold(0_i64, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + i64::from(byte - b'0'))
        })
    };
    for (at, mark) in [
        (4, b'-'),
        (7, b'-'),
        (10, b' '),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
    ] {
        if bytes.get(at) != Some(&mark) {
            return None;
        }
    }
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    Some(days * DAY_US + seconds * 1_000_000 + number(20, 26)?)
}

/// The day of a time as `YYYYMMDD`, and the texts of its first and the next day's first moment.
pub fn day_bounds(day: i64) -> (String, String, String) {
    let (year, month, of_month) = civil(day.clamp(FIRST_US / DAY_US, LAST_US / DAY_US));
    let name = format!("{year:04}{month:02}{of_month:02}");
    let moment = |day: i64| {
        let (year, month, day) = civil(day);
        format!("{year:04}-{month:02}-{day:02} 00:00:00+00")
    };
    (name, moment(day), moment(day + 1))
}

/// The day number, counted from the Unix epoch, of a name `YYYYMMDD`.
pub fn day_of_name(name: &str) -> Option<i64> {
    if name.len() != 8 || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = name.parse().ok()?;
    Some(days(number / 10_000, number / 100 % 100, number % 100))
}

/// Year, month and day of a day counted from the Unix epoch, in the Gregorian calendar; years begin in March
/// inside, so that the leap day is a year's last.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (
        era * 400 + year_of_era + i64::from(month <= 2),
        month,
        of_month,
    )
}

/// The inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_back() {
        for (us, text) in [
            (0, "1970-01-01 00:00:00.000000"),
            (-1, "1969-12-31 23:59:59.999999"),
            (951_782_400_000_001, "2000-02-29 00:00:00.000001"),
            (1_798_761_599_123_456, "2026-12-31 23:59:59.123456"),
            (LAST_US, "9999-12-31 23:59:59.999999"),
            (FIRST_US, "0001-01-01 00:00:00.000000"),
        ] {
            assert_eq!(format(us), text);
            assert_eq!(parse(text), Some(us));
        }
        assert_eq!(format(i64::MAX), "9999-12-31 23:59:59.999999");
        assert_eq!(format(i64::MIN), "0001-01-01 00:00:00.000000");
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in -20_000..126_097 {
            let text = format(day * DAY_US);
            assert_eq!(parse(&text), Some(day * DAY_US), "{text}");
            let (name, from, _) = day_bounds(day);
            assert_eq!(day_of_name(&name), Some(day));
            assert!(text.starts_with(from.get(..10).unwrap()));
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2026-01-01T00:00:00.000000",
            "2026-01-01 00:00:00",
            "2026-01-01 00:00:0x.000000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(day_of_name("2026-1-1"), None);
    }
}
