use super::*;

#[track_caller]
fn check(model: &str, expected: impl FnOnce(&mut Behaviour)) {
    let mut wanted = Behaviour::default();
    expected(&mut wanted);
    assert_eq!(Behaviour::parse(model), Ok(wanted), "{model}");
}

#[track_caller]
fn check_unknown(model: &str, part: &str) {
    assert_eq!(Behaviour::parse(model), Err(part.to_owned()), "{model}");
}

fn error(status: u16) -> ErrorAnswer {
    ErrorAnswer {
        status,
        times: None,
        percent: None,
        retry_after_s: None,
        should_retry: None,
    }
}

#[test]
fn other_names_are_plain() {
    for model in [
        "mock",
        "gpt-4o-mini",
        "openai/mock",
        "Qwen/Qwen3-8B",
        "mocking-s3",
        "",
    ] {
        check(model, |_| ());
    }
}

#[test]
fn numbers() {
    check("mock-s200-d20", |b| {
        (b.chunks, b.pause) = (200, Duration::from_millis(20))
    });
    check("mock-b4096", |b| b.size_bytes = Some(4096));
    check("mock-b64k", |b| b.size_bytes = Some(65_536));
    check("mock-slow-5000", |b| {
        b.first_byte_after = Duration::from_secs(5)
    });
    check("mock-line-200m", |b| b.line_bytes = Some(200 << 20));
    check("mock-big-2g", |b| b.big_bytes = Some(2 << 30));
    check("mock-bytes1", |b| b.pieces = Pieces::Bytes(1));
}

#[test]
fn endings() {
    check("mock-cut", |b| b.end = End::Reset(None));
    check("mock-cut-3", |b| b.end = End::Reset(Some(3)));
    check("mock-eof-0", |b| b.end = End::Early(Some(0)));
    check("mock-cut-s4", |b| (b.end, b.chunks) = (End::Reset(None), 4));
    check("mock-stall", |b| b.end = End::Stall(None));
    check("mock-hangup", |b| b.connection = Connection::CloseBefore);
}

#[test]
fn errors() {
    check("mock-err-429", |b| b.error = Some(error(429)));
    check("x/mock-err-503-times-2-after-0-noretry", |b| {
        b.error = Some(ErrorAnswer {
            times: Some(2),
            retry_after_s: Some(0),
            should_retry: Some(false),
            ..error(503)
        });
    });
    check("mock-err-500-part-30", |b| {
        b.error = Some(ErrorAnswer {
            percent: Some(30),
            ..error(500)
        });
    });
    check("mock-err-502-html", |b| {
        (b.error, b.form) = (Some(error(502)), Form::Html)
    });
}

#[test]
fn a_part_of_the_requests_fails() {
    for percent in [0, 10, 50, 100] {
        let some = ErrorAnswer {
            percent: Some(percent),
            ..error(500)
        };
        let failed = (1..=1_000).filter(|number| some.is_for(*number)).count();
        assert_eq!(failed, percent as usize * 10);
    }
    assert!((1..=100).all(|number| error(500).is_for(number)));
}

#[test]
fn styles() {
    check("mock-usage-string", |b| b.usage = UsageStyle::Text);
    check("mock-redirect", |b| b.form = Form::Redirect(302));
    check("mock-redirect-307-close", |b| {
        (b.form, b.connection) = (Form::Redirect(307), Connection::CloseAfter);
    });
    check("mock-utf8", |b| {
        (b.content, b.pieces) = (Content::Wide, Pieces::InsideCharacters);
    });
    check("mock-bom-crlf-nodone-noblank", |b| {
        b.oddities = Oddities {
            bom: true,
            crlf: true,
            no_done: true,
            no_final_blank: true,
            ..Oddities::default()
        };
    });
}

#[test]
fn unknown_parts_are_named() {
    check_unknown("mock-fast", "fast");
    check_unknown("mock-s", "s");
    check_unknown("mock-sx1", "sx1");
    check_unknown("mock-err", "err");
    check_unknown("mock-err-200", "err");
    check_unknown("mock-times-2", "times");
    check_unknown("mock-usage-odd", "usage");
    check_unknown("mock-redirect-200", "redirect");
    check_unknown("mock-bytes0", "bytes0");
    check_unknown("mock-b99999999999999999999g", "b99999999999999999999g");
    check_unknown("mock-", "");
}
