use super::*;

/// 2026-11-21 10:00:00 UTC.
const NOW_US: i64 = 1_795_255_200_000_000;

fn now() -> Zoned {
    Timestamp::from_microsecond(NOW_US)
        .expect("a time")
        .to_zoned(TimeZone::UTC)
}

fn record(text: &str) -> LogRecord {
    LogRecord {
        request_id: "019a0000-0000-7000-8000-000000000001".to_owned(),
        created_at_us: NOW_US - 1_000_000,
        model: Some("gpt-4o-mini-2024-07-18".to_owned()),
        end_user: Some("ann".to_owned()),
        outcome: "client_disconnected".to_owned(),
        status_code: 200,
        prompt_tokens: Some(21),
        completion_tokens: Some(1_200),
        usage_source: Some("partial".to_owned()),
        duration_ms: Some(1234.5),
        request_text: Some(text.to_owned()),
        ..LogRecord::default()
    }
}

fn at_width(width: Option<u16>) -> String {
    let long =
        "Tell me about the origin of the word aardvark, at length, please, and leave nothing out";
    let unknown = LogRecord {
        request_id: "019a0000-0000-7000-8000-000000000002".to_owned(),
        created_at_us: NOW_US - 400 * 86_400_000_000,
        outcome: "crashed".to_owned(),
        status_code: 499,
        method: "GET".to_owned(),
        path: "/v1/models".to_owned(),
        ..LogRecord::default()
    };
    let rows = [record(long), record("Grüße, 世界"), unknown].map(|record| Row::of(&record));
    lines(&rows, &now(), width, false).join("\n")
}

#[test]
fn every_width_keeps_the_id_and_fits() {
    for width in [180, 140, 120, 100, 80, 60] {
        let table = at_width(Some(width));
        for line in table.lines() {
            assert!(
                line.chars().count() <= usize::from(width),
                "{width}: {line}"
            );
        }
        assert!(
            table.contains("019a0000-0000-7000-8000-000000000001"),
            "{width}"
        );
    }
    insta::assert_snapshot!(
        [None, Some(180), Some(120), Some(80), Some(60)]
            .map(|width| format!("{width:?}\n{}", at_width(width)))
            .join("\n\n")
    );
}

#[test]
fn a_terminal_of_no_width_is_no_failure() {
    for width in [0, 1, 10, u16::MAX] {
        assert_eq!(at_width(Some(width)).lines().count(), 4, "{width}");
    }
}

#[test]
fn texts_of_others_stay_on_their_line() {
    let row = Row::of(&LogRecord {
        model: Some("m\x1b[2J".to_owned()),
        end_user: Some("u\u{202e}\u{9b}1m".to_owned()),
        ..record("a\nb\t c\x07")
    });
    let table = lines(&[row], &now(), None, false).join("\n");
    assert_eq!(table.lines().count(), 2);
    assert!(
        !table.replace('\n', "").chars().any(crate::config::steers),
        "{table}"
    );
    assert!(
        table.contains("m\\u{1b}[2J") && table.contains("a b c\\u{7}"),
        "{table}"
    );
}

#[test]
fn colours_are_only_there_when_wanted() {
    let row = [Row::of(&record("x"))];
    assert!(!lines(&row, &now(), None, false).join("").contains('\x1b'));
    assert!(lines(&row, &now(), None, true).join("").contains('\x1b'));
}
